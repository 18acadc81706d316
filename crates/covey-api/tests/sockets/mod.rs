//! Nodes behind their API, in this process, on loopback: requests as a program or a browser makes them, and web sockets.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "helpers of tests fail by panicking; not every test uses all"
)]

use std::{path::Path, time::Duration};

use covey_api::{
    ApiConfig, Server, Token,
    limits::{IDLE_TIMEOUT, SEND_TIMEOUT},
    serve,
};
use covey_node::{MdnsConfig, Node, NodeConfig, Profile, Role, Space};
use futures::StreamExt;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

/// How long anything may take before a test gives up: far more than it needs, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running node and its API.
pub(crate) struct Served {
    pub(crate) node: Node,
    pub(crate) server: Server,
    token: String,
}

/// By what a request proves itself.
#[derive(Clone, Copy)]
pub(crate) enum As<'a> {
    Program,
    Browser(&'a str),
    Nobody,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }
}

/// A node that is called so, on loopback.
pub(crate) fn config(home: &Path, name: &str) -> NodeConfig {
    let mut config = NodeConfig::new(home.join(name));
    config.profile = Some(Profile { user_name: name.into(), device_name: format!("{name}'s laptop") });
    config.listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".into()];
    config.mdns = MdnsConfig::off();
    config
}

impl Served {
    pub(crate) async fn new(config: NodeConfig) -> Self {
        Self::with(config, "127.0.0.1:0", SEND_TIMEOUT).await
    }

    /// One whose API is at this address, and waits this long for a client that takes nothing.
    pub(crate) async fn with(config: NodeConfig, addr: &str, send_timeout: Duration) -> Self {
        Self::patient(config, addr, send_timeout, IDLE_TIMEOUT).await
    }

    /// The same; a connection that asks nothing for `idle_timeout` is let go.
    pub(crate) async fn patient(
        config: NodeConfig,
        addr: &str,
        send_timeout: Duration,
        idle_timeout: Duration,
    ) -> Self {
        let node = Node::open(config).await.unwrap();
        let token = Token::generate();
        let shown = token.expose().to_owned();
        let listener = TcpListener::bind(addr).await.unwrap();
        let api = ApiConfig { listener, token, hosts: Vec::new(), send_timeout, idle_timeout };
        let server = serve(node.clone(), api).await.unwrap();
        Self { node, server, token: shown }
    }

    fn credential(&self, who: As<'_>) -> String {
        match who {
            As::Program => format!("Authorization: Bearer {}\r\n", self.token),
            As::Browser(cookie) => format!("Cookie: {cookie}\r\nOrigin: http://{}\r\n", self.server.addr()),
            As::Nobody => String::new(),
        }
    }

    pub(crate) async fn ask(&self, who: As<'_>, method: &str, path: &str, body: &Value) -> Answer {
        self.send(&self.credential(who), method, path, body).await
    }

    async fn send(&self, headers: &str, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}Connection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.server.addr(),
            body.len(),
        );
        let mut stream = TcpStream::connect(self.server.addr()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await.unwrap().unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// A request of a program that must be answered so.
    pub(crate) async fn done(&self, method: &str, path: &str, body: &Value, status: u16) -> Value {
        let answer = self.ask(As::Program, method, &format!("/api/v1/{path}"), body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// A request of a program that doesn't want to wait: the job.
    pub(crate) async fn job(&self, path: &str, body: &Value) -> Value {
        let headers = self.credential(As::Program) + "Prefer: respond-async\r\n";
        let answer = self.send(&headers, "POST", &format!("/api/v1/{path}"), body).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        answer.json()
    }

    /// Opens the link that `covey web` prints; the cookie.
    pub(crate) async fn sign_in(&self) -> String {
        let link = self.server.web_link();
        let path = link.strip_prefix(&self.server.url()).unwrap().to_owned();
        let answer = self.ask(As::Nobody, "GET", &path, &Value::Null).await;
        let cookie = answer.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {}", answer.body));
        cookie.split(';').next().unwrap().to_owned()
    }

    /// A web socket, with what it was opened on.
    pub(crate) async fn socket(&self, who: As<'_>, stream: TcpStream) -> WebSocketStream<TcpStream> {
        let url = format!("ws://{}/api/v1/events", self.server.addr());
        let mut request = url.into_client_request().unwrap();
        for line in self.credential(who).lines() {
            let (name, value) = line.split_once(": ").unwrap();
            let name: tokio_tungstenite::tungstenite::http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        client_async(request, stream).await.unwrap().0
    }

    /// The events from now on.
    pub(crate) async fn events(&self, who: As<'_>) -> Events {
        let stream = TcpStream::connect(self.server.addr()).await.unwrap();
        Events(self.socket(who, stream).await)
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
        self.node.shutdown().await;
    }
}

/// What a node tells as it happens.
pub(crate) struct Events(pub(crate) WebSocketStream<TcpStream>);

impl Events {
    /// The next event; `None` when the node has closed the socket.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let next = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
                    None | Some(Err(_) | Ok(Message::Close(_))) => return None,
                    Some(Ok(_)) => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("an event in time")
    }

    /// Passes events over until the right one comes.
    pub(crate) async fn until(&mut self, what: &str, right: impl Fn(&Value) -> bool) -> Value {
        let find = async {
            loop {
                let event =
                    self.next().await.unwrap_or_else(|| panic!("the socket was closed before {what}"));
                if right(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(PATIENCE, find).await.unwrap_or_else(|_| panic!("never came: {what}"))
    }
}

/// Lets `joiner` into a space by link.
pub(crate) async fn join(space: &Space, joiner: &Node, role: Role) -> Space {
    let invitation = space.invite(role, Duration::from_secs(60)).await.unwrap();
    joiner.join(&invitation.link, PATIENCE).await.unwrap().space
}
