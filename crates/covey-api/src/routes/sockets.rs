//! The two live streams, as WebSockets: changes of a space's records, and events of the node.
//!
//! Both are numbered and resumable by `since=`. Nothing is queued for a slow client: the next message is
//! fetched when the one before it was accepted, and one that accepts none for [a while](crate::limits::SEND_TIMEOUT) is let go. A browser that
//! is signed out meanwhile gets nothing more.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use covey_node::Watch;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{Interval, MissedTickBehavior, interval, timeout},
};
use utoipa::IntoParams;

use super::ApiState;
use crate::{
    access::{Access, Credential},
    convert,
    dto::{ChangeDto, EventDto},
    events::{EventLog, Missed},
    extract::{InPath, InQuery},
    limits::PING_EVERY,
    problem::Problem,
    server::stopped,
};

/// Clients have nothing to say but pongs; this bounds what is read of them.
const MAX_INBOUND_BYTES: usize = 4096;

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

fn upgrade(upgrade: Upgrade) -> Result<WebSocketUpgrade, Problem> {
    let upgrade = upgrade.map_err(|error| Problem::invalid(format!("this is a WebSocket: {error}")))?;
    Ok(upgrade.max_message_size(MAX_INBOUND_BYTES).max_frame_size(MAX_INBOUND_BYTES))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WatchQuery {
    /// Changes of this collection only.
    collection: Option<String>,
    /// Changes behind this position of the feed; only what happens from now on unless it is said.
    since: Option<u64>,
}

/// Changes of a space's records, as a WebSocket.
///
/// Each text message is one change.
#[utoipa::path(
    get,
    path = "/spaces/{space}/watch",
    tag = "records",
    operation_id = "watchChanges",
    params(WatchQuery),
    responses((status = 101, description = "The WebSocket is open: this is the schema of its messages.", body = ChangeDto))
)]
pub(super) async fn watch(
    State(state): State<ApiState>,
    InPath(name): InPath<String>,
    InQuery(query): InQuery<WatchQuery>,
    Extension(credential): Extension<Credential>,
    socket: Upgrade,
) -> Result<Response, Problem> {
    let space = state.node.space(&name)?;
    let socket = upgrade(socket)?;
    let watch = space.watch(query.collection, query.since);
    Ok(socket.on_upgrade(move |socket| send_changes(Live::new(socket, &state, credential), watch)))
}

async fn send_changes(mut live: Live, mut watch: Watch) {
    loop {
        let next = pin!(watch.next());
        let Some(change) = live.wait_for(next).await else { return };
        let change = match change.map_err(Problem::from).and_then(convert::change) {
            Ok(change) => change,
            Err(problem) => return live.close(close_code::ERROR, problem.detail()).await,
        };
        if live.send(&change).await.is_none() {
            return;
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// Events behind this position; only what happens from now on unless it is said.
    since: Option<u64>,
}

/// What happens on the node, as a WebSocket of numbered events.
///
/// Each text message is one event. A client that missed more than the node keeps is told `reset`, and fetches anew.
#[utoipa::path(
    get,
    path = "/events",
    tag = "node",
    operation_id = "watchEvents",
    params(EventsQuery),
    responses((status = 101, description = "The WebSocket is open: this is the schema of its messages.", body = EventDto))
)]
pub(super) async fn events(
    State(state): State<ApiState>,
    InQuery(query): InQuery<EventsQuery>,
    Extension(credential): Extension<Credential>,
    socket: Upgrade,
) -> Result<Response, Problem> {
    let socket = upgrade(socket)?;
    let seen = query.since.unwrap_or_else(|| state.events.newest());
    Ok(socket.on_upgrade(move |socket| async move {
        send_events(Live::new(socket, &state, credential), &state.events, seen).await;
    }))
}

async fn send_events(mut live: Live, log: &EventLog, mut seen: u64) {
    let mut newest = log.subscribe();
    loop {
        newest.borrow_and_update();
        let missed = match log.since(seen) {
            Missed::Events(events) => events,
            Missed::TooMuch(reset) => vec![reset],
        };
        for event in missed {
            seen = event.position;
            if live.send(&event).await.is_none() {
                return;
            }
        }
        let changed = pin!(newest.changed());
        if !matches!(live.wait_for(changed).await, Some(Ok(()))) {
            return;
        }
    }
}

/// An open WebSocket whose other end may vanish, and whose server may stop.
struct Live {
    socket: WebSocket,
    stopping: watch::Receiver<bool>,
    ping: Interval,
    access: Arc<Access>,
    /// Browsers were signed out.
    ended: watch::Receiver<()>,
    credential: Credential,
    send_timeout: Duration,
}

impl Live {
    fn new(socket: WebSocket, state: &ApiState, credential: Credential) -> Self {
        let mut ping = interval(PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ping.reset();
        let (stopping, access) = (state.stopping.clone(), Arc::clone(&state.access));
        let ended = access.sessions.ended();
        Self { socket, stopping, ping, access, ended, credential, send_timeout: state.send_timeout }
    }

    /// Waits for `what` while keeping the socket alive; `None` when the client or the server is gone.
    async fn wait_for<T>(&mut self, mut what: impl Future<Output = T> + Unpin) -> Option<T> {
        let stop = stopped(self.stopping.clone());
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => {
                    self.close(close_code::AWAY, "the node is stopping").await;
                    return None;
                }
                Ok(()) = self.ended.changed() => {
                    if !self.access.still_holds(self.credential) {
                        self.sign_out().await;
                        return None;
                    }
                }
                heard = self.socket.recv() => match heard {
                    None | Some(Err(_) | Ok(Message::Close(_))) => return None,
                    Some(Ok(_)) => {}
                },
                found = &mut what => return Some(found),
                _ = self.ping.tick() => self.transmit(Message::Ping(bytes::Bytes::new())).await?,
            }
        }
    }

    async fn send<T: Serialize>(&mut self, value: &T) -> Option<()> {
        let text = serde_json::to_string(value).expect("these types can be written as JSON");
        self.transmit(Message::Text(text.into())).await
    }

    /// `None` when the client is gone, or may not be told any more.
    async fn transmit(&mut self, message: Message) -> Option<()> {
        if !self.access.still_holds(self.credential) {
            self.sign_out().await;
            return None;
        }
        timeout(self.send_timeout, self.socket.send(message)).await.ok()?.ok()
    }

    async fn sign_out(&mut self) {
        self.close(close_code::POLICY, "this browser was signed out").await;
    }

    async fn close(&mut self, code: u16, reason: &str) {
        // RFC 6455 gives a reason 123 bytes.
        let reason: String = reason.chars().take(40).collect();
        let frame = CloseFrame { code, reason: reason.into() };
        let _ = timeout(self.send_timeout, self.socket.send(Message::Close(Some(frame)))).await;
    }
}
