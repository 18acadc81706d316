//! What happens on the node, numbered and kept for a while, so that a client that was away can resume.
//!
//! The numbers start at the microsecond of the node's start and so grow across restarts: the position
//! that a client holds from an earlier run is older than everything here, and it is told to fetch anew.
//! The same happens to one that missed more than [`EVENTS_KEPT`] events.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use covey_node::{Event, Node};
use tokio::sync::{broadcast, watch};

use crate::{
    convert::{self, rfc3339},
    dto::{EventDto, EventKind},
    limits::EVENTS_KEPT,
};

/// The last events, and the number of the newest.
#[derive(Debug)]
pub(crate) struct EventLog {
    kept: Mutex<Kept>,
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct Kept {
    events: VecDeque<EventDto>,
    /// A client that has seen up to here, or later, has missed nothing that isn't kept.
    floor: u64,
    newest: u64,
}

/// What a client that has seen up to some position should get.
#[derive(Debug, PartialEq)]
pub(crate) enum Missed {
    /// These, in order.
    Events(Vec<EventDto>),
    /// More than is kept.
    TooMuch(EventDto),
}

pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Whether whoever hears of `next` needn't hear of `last`. An import changes records hundreds of times a second, and only the
/// newest of a row of such events says anything; so does how far a job is.
fn says_it_all(next: &EventKind, last: &EventKind) -> bool {
    match (next, last) {
        (EventKind::RecordsChanged { .. }, EventKind::RecordsChanged { .. }) => true,
        (EventKind::Job { job: next }, EventKind::Job { job: last }) => next.id == last.id,
        _ => false,
    }
}

impl EventLog {
    pub(crate) fn new() -> Self {
        Self::starting_at(unix_ms().saturating_mul(1000))
    }

    fn starting_at(position: u64) -> Self {
        let kept = Kept { events: VecDeque::new(), floor: position, newest: position };
        Self { kept: Mutex::new(kept), newest: watch::Sender::new(position) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the newest event.
    pub(crate) fn newest(&self) -> u64 {
        self.kept().newest
    }

    /// Changes whenever there is a newer event.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    pub(crate) fn push(&self, event: EventKind) {
        let mut kept = self.kept();
        kept.newest += 1;
        let position = kept.newest;
        let replaces = kept.events.back().is_some_and(|last| says_it_all(&event, &last.event));
        if replaces {
            kept.events.pop_back();
        }
        kept.events.push_back(EventDto { position, at: rfc3339(unix_ms()), event });
        while kept.events.len() > EVENTS_KEPT {
            if let Some(gone) = kept.events.pop_front() {
                kept.floor = gone.position;
            }
        }
        drop(kept);
        self.newest.send_replace(position);
    }

    /// Events were lost on the way here: everybody must fetch anew.
    fn forget(&self) {
        let mut kept = self.kept();
        kept.events.clear();
        kept.newest += 1;
        kept.floor = kept.newest;
        let newest = kept.newest;
        drop(kept);
        self.newest.send_replace(newest);
    }

    /// What a client that has seen up to `position` has missed.
    pub(crate) fn since(&self, position: u64) -> Missed {
        let kept = self.kept();
        if position < kept.floor || position > kept.newest {
            let reset = EventDto { position: kept.newest, at: rfc3339(unix_ms()), event: EventKind::Reset };
            return Missed::TooMuch(reset);
        }
        let first = kept.events.partition_point(|event| event.position <= position);
        Missed::Events(kept.events.range(first..).cloned().collect())
    }
}

/// What is told of an event. Of chat it's how the message or the channel looks now.
async fn told(node: &Node, event: Event) -> Option<EventKind> {
    match event {
        Event::Message { space, id, is_new } => {
            let space = node.space(&space.to_string()).ok()?;
            let message = convert::chat::message(space.chat().message(&id).await.ok()?);
            let space = space.parent().unwrap_or(space).id().to_string();
            let (channel, message) = (message.channel.clone(), Box::new(message));
            Some(EventKind::Message { space, channel, is_new, message })
        }
        Event::ChannelChanged { space: id, channel } => {
            let space = node.space(&id.to_string()).ok()?;
            let channel = space.chat().channel_at(id, &channel).await.ok()??;
            let channel = Box::new(convert::chat::channel(channel));
            Some(EventKind::Channel { space: channel.space.clone(), channel })
        }
        Event::Typing { space: id, channel, user } => {
            let space = node.space(&id.to_string()).ok()?;
            let channel = space.chat().channel_at(id, &channel).await.ok()??;
            Some(EventKind::Typing {
                space: channel.space.to_string(),
                channel: channel.id,
                user: user.to_string(),
            })
        }
        event => convert::event(event),
    }
}

/// Takes down the node's events until the node is gone.
pub(crate) async fn record(log: Arc<EventLog>, node: Node, mut events: broadcast::Receiver<Event>) {
    loop {
        match events.recv().await {
            Ok(event) => {
                if let Some(event) = told(&node, event).await {
                    log.push(event);
                }
            }
            Err(broadcast::error::RecvError::Lagged(_)) => log.forget(),
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u64) -> EventKind {
        EventKind::PeerConnected { peer_id: n.to_string() }
    }

    fn positions(missed: Missed) -> Vec<u64> {
        match missed {
            Missed::Events(events) => events.iter().map(|event| event.position).collect(),
            Missed::TooMuch(_) => panic!("a reset"),
        }
    }

    #[test]
    fn a_client_resumes_where_it_was() {
        let log = EventLog::starting_at(100);
        (0..3).for_each(|n| log.push(peer(n)));
        assert_eq!(positions(log.since(100)), [101, 102, 103]);
        assert_eq!(positions(log.since(102)), [103]);
        assert!(positions(log.since(103)).is_empty());
    }

    #[test]
    fn a_client_too_far_behind_or_of_another_run_is_told_to_fetch_anew() {
        let log = EventLog::starting_at(100);
        (0..EVENTS_KEPT as u64 + 2).for_each(|n| log.push(peer(n)));
        assert!(matches!(log.since(101), Missed::TooMuch(reset) if reset.position == log.newest()));
        assert_eq!(positions(log.since(102)).len(), EVENTS_KEPT);
        assert!(matches!(log.since(7), Missed::TooMuch(_)));
        assert!(matches!(log.since(u64::MAX), Missed::TooMuch(_)));
    }

    #[test]
    fn a_gap_on_the_way_here_resets_everybody() {
        let log = EventLog::starting_at(100);
        log.push(peer(1));
        log.forget();
        assert!(matches!(log.since(101), Missed::TooMuch(_)));
        assert!(positions(log.since(log.newest())).is_empty());
    }

    #[test]
    fn a_row_of_record_changes_is_one_event_and_the_newest() {
        let log = EventLog::starting_at(0);
        (1..=500).for_each(|feed_position| log.push(EventKind::RecordsChanged { feed_position }));
        let Missed::Events(events) = log.since(3) else { panic!("a reset") };
        assert_eq!(events.len(), 1);
        assert_eq!(
            (events[0].position, &events[0].event),
            (500, &EventKind::RecordsChanged { feed_position: 500 })
        );
    }
}
