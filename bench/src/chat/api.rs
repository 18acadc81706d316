//! A connection to a node's API that stays open, as a page has one, and its web socket of events.

use std::{path::Path, time::Instant};

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::client::IntoClientRequest};

use crate::nodes::PATIENCE;

/// Where a node's API is, and what opens it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    address: String,
    token: String,
}

impl Place {
    /// Of the node that runs on this home.
    pub(super) fn of(home: &Path) -> Result<Self> {
        let file = home.join("api.json");
        let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let found: Value = serde_json::from_slice(&text)?;
        let text = |name: &str| found[name].as_str().with_context(|| format!("api.json has no {name}"));
        let address = text("api")?.trim_start_matches("http://").to_owned();
        Ok(Self { address, token: text("token")?.to_owned() })
    }

    async fn connect(&self) -> Result<TcpStream> {
        let stream =
            TcpStream::connect(&self.address).await.context("nothing answers at the API's address")?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// A connection for requests.
    pub(super) async fn open(&self) -> Result<Api> {
        Ok(Api { stream: BufReader::new(self.connect().await?), place: self.clone() })
    }

    /// The events from now on.
    pub(super) async fn events(&self) -> Result<Events> {
        let mut request = format!("ws://{}/api/v1/events", self.address).into_client_request()?;
        request.headers_mut().insert("authorization", format!("Bearer {}", self.token).parse()?);
        let (socket, _) = client_async(request, self.connect().await?).await.context("no web socket")?;
        Ok(Events(socket))
    }
}

/// A connection over which one request is made after the other.
pub(super) struct Api {
    stream: BufReader<TcpStream>,
    place: Place,
}

impl Api {
    /// Sends a value; what is answered.
    pub(super) async fn post(&mut self, path: &str, body: &Value) -> Result<Value> {
        let (Place { address, token }, body) = (&self.place, body.to_string());
        let request = format!(
            "POST /api/v1/{path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        let (mut length, mut status, mut line) = (0, String::new(), String::new());
        loop {
            line.clear();
            self.stream.read_line(&mut line).await?;
            let header = line.trim_end().to_ascii_lowercase();
            match header.split_once(": ") {
                Some(("content-length", bytes)) => length = bytes.parse()?,
                None if header.starts_with("http/") => status = header,
                None if header.is_empty() => break,
                _ => {}
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        if !status.contains(" 2") {
            bail!("POST {path}: {status}: {}", String::from_utf8_lossy(&answer));
        }
        Ok(if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer)? })
    }
}

/// What a node tells as it happens.
pub(super) struct Events(WebSocketStream<TcpStream>);

impl Events {
    /// The next message of a channel, by its id; and when it was there. `None` if events were missed.
    pub(super) async fn message(&mut self) -> Result<Option<(String, Instant)>> {
        let next = async {
            loop {
                let frame = self.0.next().await.context("the web socket was closed")??;
                if !frame.is_text() {
                    continue;
                }
                let at = Instant::now();
                let event: Value = serde_json::from_str(frame.to_text()?)?;
                match event["event"].as_str() {
                    Some("message") => {
                        let id = event["message"]["id"].as_str().context("a message without an id")?;
                        return Ok(Some((id.to_owned(), at)));
                    }
                    Some("reset") => return Ok(None),
                    _ => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, next).await.context("no message was told of")?
    }
}
