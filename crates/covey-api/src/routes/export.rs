//! Whole collections, streamed page by page as JSON lines.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use covey_node::{Collection, Filter};

use super::{
    ApiState,
    records::{self, NDJSON},
};
use crate::{
    extract::InPath,
    limits::{MAX_PAGE, MAX_PAGE_BYTES},
    problem::Problem,
};

/// The first page of a stream, before anything is known of the documents' sizes: at most 64 MiB.
const FIRST_PAGE: usize = 64;

/// Reads a collection page by page, in the order of ids. The size of a page follows the size of the
/// documents seen so far, so that a page stays near [`MAX_PAGE_BYTES`].
pub(super) struct Pages {
    collection: Collection,
    filter: Option<Filter>,
    after: Option<String>,
    next_size: usize,
    at_end: bool,
}

impl Pages {
    pub(super) fn new(collection: Collection, filter: Option<Filter>, after: Option<String>) -> Self {
        Self { collection, filter, after, next_size: FIRST_PAGE, at_end: false }
    }

    /// Whether the last page was the last.
    pub(super) fn at_end(&self) -> bool {
        self.at_end
    }

    /// The next rows, at most `most` of them; none at the end.
    pub(super) async fn next_page(&mut self, most: usize) -> Result<Vec<(String, String)>, Problem> {
        let size = self.next_size.min(most);
        if self.at_end || size == 0 {
            return Ok(Vec::new());
        }
        let mut rows = self.collection.query(self.filter.clone(), self.after.clone(), size + 1).await?;
        self.at_end = rows.len() <= size;
        rows.truncate(size);
        if let Some((id, _)) = rows.last() {
            self.after = Some(id.clone());
            let bytes: usize = rows.iter().map(|(_, doc)| doc.len()).sum();
            let mean = (bytes / rows.len()).max(1);
            self.next_size = (MAX_PAGE_BYTES / mean).clamp(1, MAX_PAGE);
        }
        Ok(rows)
    }
}

pub(super) async fn export(
    State(state): State<ApiState>,
    InPath((space, name)): InPath<(String, String)>,
) -> Result<Response, Problem> {
    let collection = records::collection(&state, &space, &name)?;
    Ok(stream(Pages::new(collection, None, None), None))
}

/// An answer of JSON lines, at most `limit` of them. An error on the way breaks the stream off, so that
/// half an export is never taken for a whole one.
pub(super) fn stream(pages: Pages, limit: Option<usize>) -> Response {
    let start = (pages, limit.unwrap_or(usize::MAX));
    let chunks = futures::stream::try_unfold(start, |(mut pages, left)| async move {
        let rows = pages.next_page(left).await.map_err(|problem| {
            tracing::warn!(reason = problem.detail(), "an export broke off");
            std::io::Error::other(problem.detail().to_owned())
        })?;
        if rows.is_empty() {
            return Ok::<_, std::io::Error>(None);
        }
        let chunk: Bytes = records::lines(&rows);
        Ok(Some((chunk, (pages, left - rows.len()))))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    response
}
