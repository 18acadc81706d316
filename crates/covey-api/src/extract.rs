//! What a handler takes from a request, with problem documents for what doesn't fit.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, BodyDataStream},
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, header, request::Parts},
};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use crate::{
    limits::{DRAIN_TIMEOUT, MAX_BODY_BYTES, MAX_DRAIN_BYTES},
    problem::Problem,
};

/// The parts of the path.
pub(crate) struct InPath<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(value) = Path::from_request_parts(parts, state)
            .await
            .map_err(|error| Problem::invalid(error.body_text()))?;
        Ok(Self(value))
    }
}

/// The query parameters.
pub(crate) struct InQuery<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for InQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(value) = Query::from_request_parts(parts, state)
            .await
            .map_err(|error| Problem::invalid(error.body_text()))?;
        Ok(Self(value))
    }
}

/// A JSON body of at most [`MAX_BODY_BYTES`].
pub(crate) struct InJson<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for InJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        // A form of a foreign page can't send this type without asking first (CORS preflight).
        if !is_json(request.headers()) {
            return Err(Problem::not_json("send the header \"Content-Type: application/json\""));
        }
        let body = read_body(request).await?;
        // Of an array, serde would take the items for the fields in their order.
        if body.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
            return Err(Problem::malformed("the body must be a JSON object, which begins with \"{\""));
        }
        serde_json::from_slice(&body).map(Self).map_err(|error| Problem::malformed(describe(&error)))
    }
}

/// What is wrong with a text that isn't the JSON it should be, with line and column.
fn describe(error: &serde_json::Error) -> String {
    format!("the body is not the JSON that was expected: {error}")
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.eq_ignore_ascii_case("application/merge-patch+json")
}

async fn read_body(request: Request) -> Result<Bytes, Problem> {
    let told =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut stream = request.into_body().into_data_stream();
    if told.is_some_and(|len: u64| len > MAX_BODY_BYTES as u64) {
        drain(stream);
        return Err(body_too_large());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| Problem::invalid(format!("the body broke off: {error}")))?;
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            drain(stream);
            return Err(body_too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn body_too_large() -> Problem {
    Problem::too_large(format!("the body is longer than the limit of {MAX_BODY_BYTES} bytes"))
}

/// Reads on for a bounded while, so that a client that is still sending gets to read the answer: closing
/// a connection with unread data resets it, and the reset overtakes the answer.
fn drain(mut stream: BodyDataStream) {
    // Without a runtime nobody is there to answer, either.
    let Ok(runtime) = Handle::try_current() else { return };
    runtime.spawn(tokio::time::timeout(DRAIN_TIMEOUT, async move {
        let mut left = MAX_DRAIN_BYTES;
        while let Some(Ok(chunk)) = stream.next().await {
            match left.checked_sub(chunk.len()) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }));
}

/// The whole body as it comes. Whoever drops it before its end still leaves the client the time to hear why.
pub(crate) struct InStream(BodyDataStream);

impl Stream for InStream {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl Drop for InStream {
    fn drop(&mut self) {
        drain(std::mem::replace(&mut self.0, Body::empty().into_data_stream()));
    }
}

impl<S: Send + Sync> FromRequest<S> for InStream {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        Ok(Self(Body::into_data_stream(request.into_body())))
    }
}
