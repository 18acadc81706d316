//! The server as a whole: what it is made of, its links, and a clean stop.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use covey_node::Node;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::{
    access::{Access, Token},
    connections,
    events::{self, EventLog},
    jobs::Jobs,
    limits::STOP_TIMEOUT,
    routes::{self, ApiState},
    sessions::Sessions,
};

/// What the API of a node is like.
#[derive(Debug)]
pub struct ApiConfig {
    /// A bound listener; on a loopback address unless the user asked for another.
    pub listener: TcpListener,
    /// The token that clients must show.
    pub token: Token,
    /// More `host:port` values that requests may be addressed to.
    pub hosts: Vec<String>,
    /// A web socket whose client takes this long to accept one message is closed: [`limits::SEND_TIMEOUT`](crate::limits)
    /// where people are.
    pub send_timeout: Duration,
    /// A connection that asks nothing for this long is closed, web sockets not: [`limits::IDLE_TIMEOUT`](crate::limits) where
    /// people are.
    pub idle_timeout: Duration,
}

/// The API could not be started.
#[derive(Debug, thiserror::Error)]
#[error("the API could not start on its listener: {0}")]
pub struct ServeError(#[from] io::Error);

/// A running API.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    access: Arc<Access>,
    jobs: Arc<Jobs>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    recording: JoinHandle<()>,
}

/// Serves `node` until [`Server::stop`].
///
/// # Errors
/// When the listener has no address.
pub async fn serve(node: Node, config: ApiConfig) -> Result<Server, ServeError> {
    let addr = config.listener.local_addr()?;
    let kept = node.browsers().await.unwrap_or_else(|error| {
        // Whoever was signed in needs a new link, and nobody else is kept from anything.
        tracing::warn!(%error, "reading which browsers are signed in");
        Vec::new()
    });
    let sessions = Sessions::new(kept, node.clock());
    let access = Arc::new(Access::new(&config.token, addr, &config.hosts, sessions));
    let events = Arc::new(EventLog::new());
    let recording = tokio::spawn(events::record(events.clone(), node.clone(), node.events()));
    let (stop, stopping) = watch::channel(false);
    let jobs = Arc::new(Jobs::new(events.clone()));
    let state = ApiState {
        node,
        access: access.clone(),
        events,
        jobs: jobs.clone(),
        stopping: stopping.clone(),
        addr,
        send_timeout: config.send_timeout,
    };
    let router = routes::router(state);
    let serving = tokio::spawn(connections::serve(config.listener, router, config.idle_timeout, stopping));
    Ok(Server { addr, access, jobs, stop, serving, recording })
}

/// Returns when the server is told to stop, or is gone.
pub(crate) async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the server itself is gone, which is a stop as well.
    let _ = stopping.wait_for(|stop| *stop).await;
}

impl Server {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://ADDRESS`, as this machine reaches it.
    pub fn url(&self) -> String {
        url(self.addr)
    }

    /// A link that signs one browser in, once.
    pub fn web_link(&self) -> String {
        web_link(self.addr, &self.access)
    }

    /// Takes no more requests, lets those under way end within a bounded time, and returns.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        self.recording.abort();
        let ended = async {
            self.jobs.stop().await;
            // It ends by itself, or was cut off already.
            let _ = (&mut self.serving).await;
        };
        if tokio::time::timeout(STOP_TIMEOUT, ended).await.is_err() {
            tracing::warn!(
                "requests or jobs were still under way after {} s and are cut off",
                STOP_TIMEOUT.as_secs()
            );
            self.serving.abort();
        }
    }
}

/// Where a client on this machine finds the API: nobody can connect to "any address".
fn url(addr: SocketAddr) -> String {
    let ip: IpAddr = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, addr.port()))
}

pub(crate) fn web_link(addr: SocketAddr, access: &Access) -> String {
    format!("{}/open?code={}", url(addr), *access.new_link_code())
}
