//! A node on its own behind real HTTP, and the plainest of clients.
#![allow(clippy::unwrap_used, reason = "a test stops where it stands")]
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::fmt::Write as _;

use covey_api::{
    ApiConfig, Server, Token,
    limits::{IDLE_TIMEOUT, SEND_TIMEOUT},
    serve,
};
use covey_node::{NetworkMode, Node, NodeConfig, Profile};
use futures::{Stream, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

/// A node on its own, whose user owns the space `garden`.
pub(crate) struct Served {
    pub(crate) home: TempDir,
    pub(crate) node: Node,
    pub(crate) server: Server,
    pub(crate) token: String,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// Reads an answer to its end.
    pub(crate) async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let pair =
            |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        let headers: Vec<_> = headers.lines().filter_map(pair).collect();
        let status = first.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Self { status, headers, body: body.to_owned() };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = unchunked(&answer.body);
        }
        answer
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn kind(&self) -> &str {
        self.header("content-type").unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Asserts that this is a problem document of this status and type; gives its detail.
    pub(crate) fn problem(&self, status: u16, name: &str) -> String {
        assert_eq!((self.status, self.kind()), (status, "application/problem+json"), "{}", self.body);
        let problem = self.json();
        assert_eq!(
            (&problem["status"], &problem["type"]),
            (&json!(status), &json!(format!("/problems/{name}")))
        );
        problem["detail"].as_str().unwrap().to_owned()
    }
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((length, tail)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        body.push_str(&tail[..length]);
        rest = tail[length..].strip_prefix("\r\n").unwrap();
        if length == 0 {
            break;
        }
    }
    body
}

impl Served {
    pub(crate) async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut config = NodeConfig::new(home.path().join("node"));
        config.profile = Some(Profile { user_name: "Ada".into(), device_name: "laptop".into() });
        config.network = NetworkMode::Solo;
        let node = Node::open(config).await.unwrap();
        node.create_space("garden").await.unwrap();
        let token = Token::generate();
        let shown = token.expose().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (send_timeout, idle_timeout) = (SEND_TIMEOUT, IDLE_TIMEOUT);
        let config = ApiConfig { listener, token, hosts: Vec::new(), send_timeout, idle_timeout };
        let server = serve(node.clone(), config).await.unwrap();
        Self { home, node, server, token: shown }
    }

    /// Opens a connection and writes the head of a request, without any credentials but those in `headers`.
    pub(crate) async fn begin(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> TcpStream {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            let _ = write!(head, "Host: {}\r\n", self.server.addr());
        }
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let mut stream = TcpStream::connect(self.server.addr()).await.unwrap();
        stream.write_all((head + "\r\n").as_bytes()).await.unwrap();
        stream
    }

    /// One request as it stands, and its answer.
    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let length = body.len().to_string();
        let mut headers = headers.to_vec();
        headers.push(("Content-Length", &length));
        let mut stream = self.begin(method, path, &headers).await;
        stream.write_all(body.as_bytes()).await.unwrap();
        Answer::read(&mut stream).await
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    pub(crate) async fn send(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        self.request(method, &format!("/api/v1/{path}"), &headers, body).await
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send(&self.token, method, path, body).await
    }

    /// As `ask`, of a client that doesn't want to wait.
    pub(crate) async fn ask_async(&self, method: &str, path: &str, body: &str) -> Answer {
        let bearer = self.bearer();
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
            ("Prefer", "respond-async"),
        ];
        self.request(method, &format!("/api/v1/{path}"), &headers, body).await
    }

    /// The events of the node from now on.
    pub(crate) async fn events(&self) -> impl Stream<Item = Value> + Unpin + use<> {
        let mut request = format!("ws://{}/api/v1/events", self.server.addr()).into_client_request().unwrap();
        request.headers_mut().insert("authorization", self.bearer().parse().unwrap());
        let stream = TcpStream::connect(self.server.addr()).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        Box::pin(socket.filter_map(async |message| match message.unwrap() {
            Message::Text(text) => Some(serde_json::from_str(&text).unwrap()),
            _ => None,
        }))
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
        self.node.shutdown().await;
    }
}
