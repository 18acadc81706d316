//! Who has been heard on the LAN, and since when no more. Pure: the time comes in as an argument.
//!
//! The records of multicast DNS live for 120 s and more, which is long for a node that has vanished. Nodes
//! announce themselves at a set [`Pace`]; here it is kept when each was last heard, and one that has
//! missed three is dropped. Shortly before that it is asked once more, so that a node whose announcements
//! got lost, or that makes none, can answer for itself.

use std::{collections::HashMap, time::Duration};

use covey_types::DeviceId;
use libp2p::Multiaddr;
use tokio::time::Instant;

use super::{MdnsEvent, record::Found};
use crate::{
    config::{MAX_ADDRESSES, MAX_KNOWN_PEERS},
    events::Transport,
    interfaces::socket_address,
};

/// When nodes speak, and for how long they may be silent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// How often a node announces itself.
    pub(crate) announce_every: Duration,
    /// A peer that was not heard for this long is asked whether it is there.
    ask_after: Duration,
    /// A peer that is asked has this long to answer before it is dropped (RFC 6762 §10.4 names 10 s, which it is
    /// at the usual pace).
    pub(crate) verify_within: Duration,
}

impl Pace {
    /// A peer that has missed three announcements has been asked and is dropped.
    pub(crate) fn announcing_every(announce_every: Duration) -> Self {
        Self { announce_every, ask_after: announce_every * 8 / 3, verify_within: announce_every / 3 }
    }
}

/// A peer known from a one-shot answer alone is forgotten after that answer's longest life (RFC 6762
/// §6.7), unless browsing has found it too by then.
const PROVISIONAL: Duration = Duration::from_secs(10);
/// Peers asked at once. Announcements can be forged, and each question is a multicast: whoever makes up
/// thousands of nodes must not make us flood the LAN.
const ASK_AT_ONCE: usize = 32;
/// The others have to wait this long.
const ASK_NEXT: Duration = Duration::from_secs(1);

/// Who speaks for a peer, and until when that is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vouched {
    /// A one-shot answer alone: forgotten then.
    Provisionally(Instant),
    /// The browsing: asked then.
    ByBrowsing(Instant),
}

#[derive(Debug)]
struct Known {
    found: Found,
    vouched: Vouched,
}

/// What is to be done about a peer whose time is over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Ask the instance with this name whether it is there, and drop it after [`Pace::verify_within`] if not.
    Ask(String),
    /// It is gone.
    Gone(DeviceId),
}

/// Every peer that was heard and is not gone: at most [`MAX_KNOWN_PEERS`].
#[derive(Debug)]
pub(crate) struct Roster {
    me: DeviceId,
    ask_after: Duration,
    known: HashMap<DeviceId, Known>,
}

impl Roster {
    pub(crate) fn new(me: DeviceId, pace: Pace) -> Self {
        Self { me, ask_after: pace.ask_after, known: HashMap::new() }
    }

    /// What browsing says of a peer; an event if that is news.
    pub(crate) fn browsed(&mut self, found: Found, now: Instant) -> Option<MdnsEvent> {
        if found.leaving {
            return self.forget(found.device);
        }
        let said = |found: &Found| (found.number, found.generation);
        // An address that runs out is reported too, and so is what we were told before: no sign of life.
        let vouched = match self.known.get(&found.device) {
            Some(Known { found: before, vouched: vouched @ Vouched::ByBrowsing(_) })
                if said(before) == said(&found) =>
            {
                *vouched
            }
            _ => Vouched::ByBrowsing(now + self.ask_after),
        };
        self.learn(found, vouched)
    }

    /// A one-shot answer: may add to what such answers said before, never to what browsing said.
    pub(crate) fn answered(&mut self, mut found: Found, now: Instant) -> Option<MdnsEvent> {
        match self.known.get(&found.device) {
            Some(Known { vouched: Vouched::ByBrowsing(_), .. }) => return None,
            Some(known) => {
                let earlier = known.found.addrs.iter().filter(|&addr| !found.addrs.contains(addr)).cloned();
                let mut addrs: Vec<Multiaddr> = earlier.collect();
                addrs.append(&mut found.addrs);
                addrs.truncate(MAX_ADDRESSES);
                addrs.sort_by_key(|addr| socket_address(addr).map(|(_, t)| t == Transport::Tcp));
                found.addrs = addrs;
            }
            None => {}
        }
        if found.leaving {
            return None;
        }
        self.learn(found, Vouched::Provisionally(now + PROVISIONAL))
    }

    fn learn(&mut self, found: Found, vouched: Vouched) -> Option<MdnsEvent> {
        let full = self.known.len() >= MAX_KNOWN_PEERS && !self.known.contains_key(&found.device);
        if full || found.device == self.me || found.addrs.is_empty() {
            return None;
        }
        let known = Known { found: found.clone(), vouched };
        let before = self.known.insert(found.device, known);
        let is_news = before.is_none_or(|before| {
            before.found.addrs != found.addrs || before.found.generation != found.generation
        });
        is_news.then_some(MdnsEvent::Found(found))
    }

    /// A peer is gone; an event if it was known.
    pub(crate) fn forget(&mut self, device: DeviceId) -> Option<MdnsEvent> {
        self.known.remove(&device).map(|_| MdnsEvent::Gone(device))
    }

    /// The same by the name of its instance, in whatever capitals.
    pub(crate) fn forget_named(&mut self, fullname: &str) -> Option<MdnsEvent> {
        let gone = self.known.iter().find(|(_, known)| known.found.fullname.eq_ignore_ascii_case(fullname));
        let device = *gone?.0;
        self.forget(device)
    }

    /// The name of a peer's instance.
    pub(crate) fn fullname(&self, device: &DeviceId) -> Option<&str> {
        self.known.get(device).map(|known| known.found.fullname.as_str())
    }

    /// When [`due`](Self::due) is to be called next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let due = |known: &Known| match known.vouched {
            Vouched::Provisionally(until) | Vouched::ByBrowsing(until) => until,
        };
        self.known.values().map(due).min()
    }

    /// Whose time is over by now. Those asked are asked again if they are silent, and not dropped, that long again.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Due> {
        let (mut due, mut asked) = (Vec::new(), 0);
        for (device, known) in &mut self.known {
            match &mut known.vouched {
                Vouched::Provisionally(until) if *until <= now => due.push(Due::Gone(*device)),
                Vouched::ByBrowsing(until) if *until <= now && asked == ASK_AT_ONCE => {
                    *until = now + ASK_NEXT;
                }
                Vouched::ByBrowsing(until) if *until <= now => {
                    asked += 1;
                    *until = now + self.ask_after;
                    due.push(Due::Ask(known.found.fullname.clone()));
                }
                _ => {}
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ANNOUNCE_EVERY;

    const ME: DeviceId = DeviceId([0; 32]);
    const S: Duration = Duration::from_secs(1);

    fn usual() -> Pace {
        Pace::announcing_every(ANNOUNCE_EVERY)
    }

    fn found(device: u8, number: u64) -> Found {
        Found {
            device: DeviceId([device; 32]),
            addrs: vec![format!("/ip4/10.0.0.{device}/udp/1/quic-v1").parse().unwrap()],
            generation: 0,
            number,
            leaving: false,
            fullname: format!("Node{device}._covey._udp.local."),
        }
    }

    fn asked(device: u8) -> Vec<Due> {
        vec![Due::Ask(found(device, 0).fullname)]
    }

    #[test]
    fn a_peer_that_is_silent_is_asked_in_time_to_be_dropped_after_three_announcements() {
        let (mut roster, start) = (Roster::new(ME, usual()), Instant::now());
        assert!(matches!(roster.browsed(found(1, 1), start), Some(MdnsEvent::Found(_))));
        assert_eq!(roster.next_due(), Some(start + 80 * S));
        assert_eq!(roster.due(start + 79 * S), []);
        assert_eq!(roster.due(start + 80 * S), asked(1));
        assert_eq!(usual().verify_within, 10 * S);
        // The daemon reports what came of it, by a name in small letters.
        let gone = roster.forget_named("node1._covey._udp.local.");
        assert!(matches!(gone, Some(MdnsEvent::Gone(device)) if device == DeviceId([1; 32])));
        assert_eq!(roster.next_due(), None);
    }

    #[test]
    fn a_peer_that_announces_itself_is_never_asked() {
        let (mut roster, start) = (Roster::new(ME, usual()), Instant::now());
        for number in 0..100u32 {
            let now = start + number * ANNOUNCE_EVERY;
            assert_eq!(roster.due(now), []);
            assert_eq!(roster.browsed(found(1, number.into()), now).is_some(), number == 0);
        }
    }

    #[test]
    fn what_was_said_before_is_no_sign_of_life() {
        let (mut roster, start) = (Roster::new(ME, usual()), Instant::now());
        roster.browsed(found(1, 7), start);
        let mut fewer = found(1, 7);
        fewer.addrs.push("/ip4/10.0.0.9/udp/1/quic-v1".parse().unwrap());
        assert!(roster.browsed(fewer, start + 79 * S).is_some());
        assert_eq!(roster.due(start + 80 * S), asked(1));
        // It has answered, then: nothing is reported, and it is asked again if it goes on so.
        assert_eq!(roster.due(start + 159 * S), []);
        assert_eq!(roster.due(start + 160 * S), asked(1));
    }

    #[test]
    fn a_one_shot_answer_is_believed_for_ten_seconds_unless_browsing_says_the_same() {
        let (mut roster, start) = (Roster::new(ME, usual()), Instant::now());
        assert!(roster.answered(found(1, 1), start).is_some());
        assert!(roster.answered(found(2, 1), start).is_some());
        assert!(roster.browsed(found(2, 1), start + S).is_none());
        assert_eq!(roster.due(start + 10 * S), [Due::Gone(DeviceId([1; 32]))]);
        assert!(roster.forget(DeviceId([1; 32])).is_some());
        assert_eq!(roster.next_due(), Some(start + 81 * S));
    }

    #[test]
    fn a_goodbye_takes_effect_at_once() {
        let (mut roster, start) = (Roster::new(ME, usual()), Instant::now());
        roster.browsed(found(1, 1), start);
        let bye = Found { leaving: true, ..found(1, 1) };
        assert!(roster.answered(bye.clone(), start).is_none());
        assert!(matches!(roster.browsed(bye.clone(), start), Some(MdnsEvent::Gone(_))));
        assert!(roster.browsed(bye, start).is_none());
    }

    #[test]
    fn made_up_peers_do_not_make_us_ask_for_all_of_them_at_once() {
        let (mut roster, start) = (Roster::new(ME, usual()), Instant::now());
        for device in 1..=100 {
            roster.browsed(found(device, 1), start);
        }
        let at = start + 80 * S;
        for (later, expected) in [32, 32, 32, 4].into_iter().enumerate() {
            let now = at + S * u32::try_from(later).unwrap();
            assert_eq!(roster.due(now).len(), expected);
        }
    }
}
