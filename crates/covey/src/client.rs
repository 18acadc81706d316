//! The client of the running node: HTTP/1.1 and WebSocket over loopback.
//!
//! Where the node is and by which token it knows us stands in `HOME/api.json`. The token is sent only while
//! the process that wrote the file is alive: a stranger that got its port must not get its token.

use std::{
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use covey_api::dto::{ApiFile, ProblemDto};
use futures::{Stream, StreamExt, TryStreamExt};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, client::IntoClientRequest},
};
use zeroize::Zeroizing;

use crate::{args::Args, diag::Failure, settings};

/// The name of the file in the home that says how to reach the node.
pub(crate) const API_FILE: &str = "api.json";

/// Longest answer that is collected in memory; what is larger is streamed.
const MAX_ANSWER_BYTES: usize = 64 << 20;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A running node, as seen from outside.
pub(crate) struct Client {
    /// `127.0.0.1:PORT`.
    place: String,
    token: Zeroizing<String>,
    up: String,
}

/// The kind of an answer that is streamed as JSON lines.
const NDJSON: &str = "application/x-ndjson";

impl Client {
    /// The node of this home.
    pub(crate) fn new(args: &Args) -> Result<Self, Failure> {
        let (home, _) = settings::home(args)?;
        let up = settings::command_for(args, "up");
        let file = read_api_file(&home).map_err(|problem| match problem {
            NoApi::Absent(why) => no_node(&why, &up),
            // There may well be a node: it's another user's, or the disk is broken.
            NoApi::Unreadable { path, error } => Failure::failed(format!("{} can't be read", path.display()))
                .because(error)
                .hint("a node's home is for its user alone; name your own with --home, or be that user"),
        })?;
        let Some(place) = file.api.strip_prefix("http://").map(str::to_owned) else {
            return Err(no_node(&format!("{} has no address", home.join(API_FILE).display()), &up));
        };
        Ok(Self { place, token: Zeroizing::new(file.token), up })
    }

    /// Asks for a value.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let answer = self.send(Method::GET, path, None, empty()).await?;
        decode(answer).await
    }

    /// Sends a value, gets another.
    pub(crate) async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Failure> {
        self.send_value(Method::POST, path, body).await
    }

    /// Changes part of something; gets what it is then.
    pub(crate) async fn patch<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Failure> {
        self.send_value(Method::PATCH, path, body).await
    }

    /// Puts something in the place of what was there; gets what it is then.
    pub(crate) async fn put<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Failure> {
        self.send_value(Method::PUT, path, body).await
    }

    async fn send_value<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> Result<T, Failure> {
        decode(self.send_json(method, path, body).await?).await
    }

    async fn send_json<B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> Result<Response<Incoming>, Failure> {
        self.send(method, path, Some("application/json"), json_body(body)).await
    }

    /// Tells something to which there is no answer but that it's done.
    pub(crate) async fn tell<B: Serialize>(&self, path: &str, body: &B) -> Result<(), Failure> {
        self.send_json(Method::POST, path, body).await.map(drop)
    }

    /// Puts something in the place of what was there; there is no answer but that it's done.
    pub(crate) async fn note<B: Serialize>(&self, path: &str, body: &B) -> Result<(), Failure> {
        self.send_json(Method::PUT, path, body).await.map(drop)
    }

    /// Removes something; gets what came of it.
    pub(crate) async fn remove<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        decode(self.send(Method::DELETE, path, None, empty()).await?).await
    }

    /// Sends a value, gets a stream of JSON lines.
    pub(crate) async fn post_stream<B: Serialize>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<impl Stream<Item = Result<Bytes, Failure>> + use<B>, Failure> {
        let answer = self.send_json(Method::POST, path, body).await?;
        Ok(answer.into_body().into_data_stream().map_err(broke_off))
    }

    /// Deletes something.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.send(Method::DELETE, path, None, empty()).await.map(drop)
    }

    /// Sends a stream of JSON lines.
    pub(crate) async fn upload<T: DeserializeOwned>(
        &self,
        path: &str,
        chunks: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<T, Failure> {
        let body = StreamBody::new(chunks.map(|chunk| Ok(Frame::data(chunk)))).boxed_unsync();
        let answer = self.send(Method::POST, path, Some(NDJSON), body).await;
        decode(answer.map_err(Failure::in_a_file)?).await
    }

    /// Asks for a stream of JSON lines.
    pub(crate) async fn download(
        &self,
        path: &str,
    ) -> Result<impl Stream<Item = Result<Bytes, Failure>> + use<>, Failure> {
        let answer = self.send(Method::GET, path, None, empty()).await?;
        Ok(answer.into_body().into_data_stream().map_err(broke_off))
    }

    /// Opens a WebSocket.
    pub(crate) async fn socket(&self, path: &str) -> Result<WebSocketStream<TcpStream>, Failure> {
        let stream = self.connect().await?;
        let failed = |error| Failure::failed("the live connection to the node failed").because(error);
        let mut request =
            format!("ws://{}/api/v1/{path}", self.place).into_client_request().map_err(failed)?;
        request.headers_mut().insert(header::AUTHORIZATION, self.bearer()?);
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::Error::Http(answer)) => {
                Err(refusal(answer.status(), answer.body().as_deref().unwrap_or_default()))
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn bearer(&self) -> Result<header::HeaderValue, Failure> {
        let mut value = header::HeaderValue::try_from(format!("Bearer {}", *self.token))
            .map_err(|error| Failure::failed("the token in api.json is damaged").because(error))?;
        value.set_sensitive(true);
        Ok(value)
    }

    async fn connect(&self) -> Result<TcpStream, Failure> {
        let connected = TcpStream::connect(&self.place).await;
        connected
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(|error| no_node(&format!("nothing answers at {}", self.place), &self.up).because(error))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        kind: Option<&str>,
        body: Body,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/{path}"))
            .header(header::HOST, &self.place)
            .header(header::AUTHORIZATION, self.bearer()?)
            .header(header::ACCEPT, format!("{NDJSON}, application/json"));
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request
            .body(body)
            .map_err(|error| Failure::failed("the request could not be put together").because(error))?;
        let answer = self.open().await?.send_request(request).await.map_err(broke_off)?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        Err(refusal(status, &collect(answer).await?))
    }

    async fn open(&self) -> Result<SendRequest<Body>, Failure> {
        let stream = TokioIo::new(self.connect().await?);
        let (sender, connection) = http1::handshake(stream).await.map_err(broke_off)?;
        tokio::spawn(async move {
            // Whoever waits for the answer gets the error too.
            let _ = connection.await;
        });
        Ok(sender)
    }
}

/// A value as a body. It may hold a passphrase or a code, so that its bytes are wiped once they are sent: ours, not those of
/// the sockets.
fn json_body(value: &impl Serialize) -> Body {
    let bytes = Bytes::from_owner(wiped_json(value));
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// A value as JSON in one piece of memory: one that grows leaves copies behind, which nobody wipes.
fn wiped_json(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    struct Length(usize);
    impl io::Write for Length {
        fn write(&mut self, part: &[u8]) -> io::Result<usize> {
            self.0 += part.len();
            Ok(part.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    const WRITABLE: &str = "these types can be written as JSON";
    let mut length = Length(0);
    serde_json::to_writer(&mut length, value).expect(WRITABLE);
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *bytes, value).expect(WRITABLE);
    bytes
}

fn empty() -> Body {
    Full::default().map_err(|never| match never {}).boxed_unsync()
}

fn broke_off(error: hyper::Error) -> Failure {
    Failure::failed("the connection to the node broke off")
        .because(error)
        .hint("if the node stopped, its own output says why")
}

fn no_node(problem: &str, up: &str) -> Failure {
    Failure::no_node(format!("no node is running: {problem}")).hint(format!("start one: {up}"))
}

/// Why a home doesn't tell of a node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoApi {
    /// None runs.
    #[error("{0}")]
    Absent(String),
    /// Whether one runs can't be seen.
    #[error("{} can't be read: {error}", path.display())]
    Unreadable {
        /// The file that would say so.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// What `api.json` says, if the node that wrote it may still be there.
pub(crate) fn read_api_file(home: &Path) -> Result<ApiFile, NoApi> {
    let path = home.join(API_FILE);
    let shown = path.display();
    let text = Zeroizing::new(match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(NoApi::Absent(format!("there is no {shown}")));
        }
        Err(error) => return Err(NoApi::Unreadable { path, error }),
    });
    let file: ApiFile =
        serde_json::from_str(&text).map_err(|error| NoApi::Absent(format!("{shown} is damaged: {error}")))?;
    if !is_alive(file.pid) {
        return Err(NoApi::Absent(format!("the process {} that wrote {shown} is gone", file.pid)));
    }
    Ok(file)
}

#[cfg(unix)]
fn is_alive(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else { return false };
    // A process of another user exists as well: only "no such process" means that it is gone.
    rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

#[cfg(not(unix))]
fn is_alive(_: u32) -> bool {
    true
}

async fn collect(answer: Response<Incoming>) -> Result<Bytes, Failure> {
    let body = http_body_util::Limited::new(answer.into_body(), MAX_ANSWER_BYTES);
    let collected = body.collect().await;
    collected
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| Failure::failed("the node's answer broke off").because(error))
}

async fn decode<T: DeserializeOwned>(answer: Response<Incoming>) -> Result<T, Failure> {
    let bytes = collect(answer).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Failure::failed("the node's answer is not what this version of covey expects")
            .because(error)
            .hint("`covey version` and `covey status` tell the two versions")
    })
}

fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    let problem: Option<ProblemDto> = serde_json::from_slice(body).ok();
    let kind = problem.as_ref().map(|problem| problem.kind.clone()).unwrap_or_default();
    let detail = problem.map_or_else(|| format!("the node answered {status}"), |problem| problem.detail);
    let hint = match status {
        StatusCode::FORBIDDEN if kind == "/problems/last-owner" => "covey member role SPACE USER owner",
        StatusCode::UNAUTHORIZED => "api.json is not of the node that runs here; stop it and start it again",
        StatusCode::NOT_FOUND if detail.starts_with("there is no space") => {
            "`covey space list` prints those that there are"
        }
        StatusCode::NOT_FOUND if detail.starts_with("there is no member") => {
            "`covey member list SPACE` prints those who are in it"
        }
        StatusCode::NOT_FOUND if detail.starts_with("there is no channel") => {
            "`covey channel list SPACE` prints those that there are"
        }
        StatusCode::NOT_FOUND if detail.starts_with("there is no device") => {
            "`covey device list` prints those that there are"
        }
        _ => "",
    };
    let failure = match status {
        StatusCode::BAD_REQUEST => Failure::usage(detail),
        StatusCode::FORBIDDEN => Failure::not_allowed(detail),
        _ => Failure::failed(detail),
    };
    if hint.is_empty() { failure } else { failure.hint(hint) }
}

/// A path from its parts, each escaped.
pub(crate) fn path(parts: &[&str]) -> String {
    let parts: Vec<_> = parts.iter().map(|part| escape(part)).collect();
    parts.join("/")
}

/// The first half of a code, which names its invitation, of however much of the code somebody typed: the second half is a
/// secret, and has no place in an address.
pub(crate) fn first_half(code: &str) -> String {
    let is_part = |character: &char| character.is_alphanumeric();
    let characters: String = code.chars().filter(is_part).collect::<String>().to_ascii_uppercase();
    let rest = characters.strip_prefix("COVEY").filter(|rest| !rest.is_empty()).unwrap_or(&characters);
    rest.chars().take(4).collect()
}

/// A path with query parameters; those without a value are left out.
pub(crate) fn with_query(path: String, parameters: &[(&str, Option<String>)]) -> String {
    let given = parameters.iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
    let mut out = path;
    for (i, (name, value)) in given.enumerate() {
        out.push(if i == 0 { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        out.push_str(&escape(value));
    }
    out
}

/// Percent-encoding of all but RFC 3986's unreserved characters.
fn escape(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
            out.extend(['%', char::from(high), char::from(low)]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_kind_travel_in_a_path() {
        assert_eq!(path(&["spaces", "a/b ?é"]), "spaces/a%2Fb%20%3F%C3%A9");
        let query = with_query("x".into(), &[("where", Some("a = 'b&c'".into())), ("limit", None)]);
        assert_eq!(query, "x?where=a%20%3D%20%27b%26c%27");
    }

    #[test]
    fn a_body_with_a_secret_is_written_once_into_memory_that_is_wiped() {
        let request = serde_json::json!({"file": "/b", "passphrase": "correct horse".repeat(20)});
        let bytes: Zeroizing<Vec<u8>> = wiped_json(&request);
        // Had it grown, pieces of it would be left where it was before.
        assert_eq!((bytes.len(), bytes.capacity()), (request.to_string().len(), bytes.len()));
        assert_eq!(bytes.as_slice(), request.to_string().as_bytes());
    }

    #[test]
    fn of_a_code_only_the_first_half_goes_into_an_address() {
        for code in ["COVEY-7K2M-9QXZ", "covey 7k2m 9qxz", "7K2M9QXZ", "7k2m"] {
            assert_eq!(first_half(code), "7K2M", "{code}");
        }
        assert_eq!(first_half("covey"), "COVE");
        assert_eq!(first_half(""), "");
    }

    #[test]
    fn a_file_of_a_dead_node_is_not_believed() {
        let home = tempfile::tempdir().unwrap();
        assert!(read_api_file(home.path()).err().unwrap().to_string().contains("there is no"));
        let path = home.path().join(API_FILE);
        std::fs::write(&path, r#"{"api":"http://127.0.0.1:1","token":"t","pid":4194305}"#).unwrap();
        assert!(read_api_file(home.path()).err().unwrap().to_string().contains("is gone"));
        std::fs::write(&path, "{").unwrap();
        assert!(read_api_file(home.path()).err().unwrap().to_string().contains("damaged"));
    }
}
