//! What is told and never kept: who is there, and who is typing.
//!
//! Each device says now and then that it's there, and whether its user is. Who hasn't been heard for a while is offline.
//! Signals may get lost, come twice or in another order; of one device only what is newer by its own clock counts.
//!
//! Driving contract: [`Roster::hear`] for each signal, [`Roster::forget`] for a space that is gone, [`Roster::tick`] at
//! [`Roster::poll_timeout`]. What they give back is what others are to be told.

use std::collections::{BTreeMap, BTreeSet};

use covey_types::{
    DeviceId, SpaceId, UserId,
    limits::{MAX_CLOCK_DRIFT_MS, MAX_RECORD_ID_BYTES},
    wire,
};
use serde::{Deserialize, Serialize};

use crate::limits::{OFFLINE_AFTER, TYPING_FOR};

/// Longest signal, bytes.
pub const MAX_SIGNAL_BYTES: usize = 512;

/// Most devices of one space that are remembered: the members' of a large one.
const MAX_DEVICES: usize = 4096;

/// Whether somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Presence {
    /// None of their devices is.
    Offline,
    /// A device is, and they have done nothing on it for a while.
    Away,
    /// They are.
    Online,
}

impl Presence {
    /// The word for it in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Away => "away",
            Self::Online => "online",
        }
    }
}

/// What a device tells. Variants are only added, at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// How its user is; said now and then, and when it changes.
    Here(Presence),
    /// Its user is typing in a channel, by its id in the space.
    Typing(String),
}

/// A signal with the time of its device's clock, milliseconds since 1970: later ones are newer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// When.
    pub at_ms: u64,
    /// What.
    pub signal: Signal,
}

impl Said {
    /// The bytes of it.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// What these bytes say; `None` if that isn't known here.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let said: Self = wire::decode("a signal", bytes, MAX_SIGNAL_BYTES).ok()?;
        let fits = match &said.signal {
            Signal::Here(_) => true,
            Signal::Typing(channel) => channel.len() <= MAX_RECORD_ID_BYTES,
        };
        fits.then_some(said)
    }
}

/// What others are to be told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum News {
    /// Somebody is there, or not any more.
    Presence(UserId, Presence),
    /// Somebody is typing in a channel.
    Typing(UserId, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Heard {
    user: UserId,
    state: Presence,
    at_ms: u64,
    last_ms: u64,
}

/// Who is there, in all spaces. Times are milliseconds of the caller's clock.
#[derive(Debug, Default)]
pub struct Roster {
    spaces: BTreeMap<SpaceId, BTreeMap<DeviceId, Heard>>,
    since: BTreeMap<(SpaceId, UserId), (Presence, u64)>,
    typing: BTreeMap<(SpaceId, DeviceId), u64>,
}

impl Roster {
    /// Takes in what a member's device has said.
    pub fn hear(
        &mut self,
        space: SpaceId,
        (device, user): (DeviceId, UserId),
        said: Said,
        now_ms: u64,
    ) -> Vec<News> {
        // Something old is sent again by whoever kept it; something of the future would silence the device for long.
        if said.at_ms.abs_diff(now_ms) > MAX_CLOCK_DRIFT_MS {
            return Vec::new();
        }
        match said.signal {
            Signal::Typing(channel) => {
                let last = self.typing.get(&(space, device)).copied().unwrap_or_default();
                if said.at_ms <= last || self.typing.len() >= MAX_DEVICES {
                    self.typing.retain(|_, at_ms| at_ms.abs_diff(now_ms) <= MAX_CLOCK_DRIFT_MS);
                    return Vec::new();
                }
                self.typing.insert((space, device), said.at_ms);
                vec![News::Typing(user, channel)]
            }
            Signal::Here(state) => {
                let devices = self.spaces.entry(space).or_default();
                let is_old = devices.get(&device).is_some_and(|heard| heard.at_ms >= said.at_ms);
                if is_old || (devices.len() >= MAX_DEVICES && !devices.contains_key(&device)) {
                    return Vec::new();
                }
                devices.insert(device, Heard { user, state, at_ms: said.at_ms, last_ms: now_ms });
                self.compare(space, now_ms)
            }
        }
    }

    /// Forgets a space.
    pub fn forget(&mut self, space: SpaceId) {
        self.spaces.remove(&space);
        self.since.retain(|(of, _), _| *of != space);
        self.typing.retain(|(of, _), _| *of != space);
    }

    /// A device is not connected any more, whether it has said that it goes or not: until it's heard again it's gone.
    pub fn lose(&mut self, device: DeviceId, now_ms: u64) -> Vec<(SpaceId, News)> {
        for heard in self.spaces.values_mut().filter_map(|devices| devices.get_mut(&device)) {
            heard.state = Presence::Offline;
        }
        self.tick(now_ms)
    }

    /// Lets those go that haven't been heard for too long.
    pub fn tick(&mut self, now_ms: u64) -> Vec<(SpaceId, News)> {
        let spaces: Vec<SpaceId> = self.spaces.keys().copied().collect();
        let all = |space| {
            self.compare(space, now_ms).into_iter().map(move |news| (space, news)).collect::<Vec<_>>()
        };
        spaces.into_iter().flat_map(all).collect()
    }

    /// When to come back at the latest, if anybody is there.
    pub fn poll_timeout(&self) -> Option<u64> {
        let present =
            self.spaces.values().flat_map(BTreeMap::values).filter(|heard| heard.state > Presence::Offline);
        present.map(|heard| heard.last_ms + millis(OFFLINE_AFTER)).min()
    }

    /// How somebody is, and since when.
    pub fn of(&self, space: SpaceId, user: UserId) -> Option<(Presence, u64)> {
        self.since.get(&(space, user)).copied()
    }

    /// What has changed in a space.
    fn compare(&mut self, space: SpaceId, now_ms: u64) -> Vec<News> {
        let Some(devices) = self.spaces.get_mut(&space) else { return Vec::new() };
        let mut now: BTreeMap<UserId, Presence> = BTreeMap::new();
        for heard in devices.values_mut() {
            if now_ms.saturating_sub(heard.last_ms) >= millis(OFFLINE_AFTER) {
                heard.state = Presence::Offline;
            }
            let slot = now.entry(heard.user).or_insert(Presence::Offline);
            *slot = (*slot).max(heard.state);
        }
        let users: BTreeSet<UserId> = now.keys().copied().collect();
        let mut news = Vec::new();
        for user in users {
            let state = now[&user];
            let before = self.since.get(&(space, user)).map_or(Presence::Offline, |(state, _)| *state);
            if state != before {
                self.since.insert((space, user), (state, now_ms));
                news.push(News::Presence(user, state));
            }
        }
        news
    }
}

/// How long whoever shows it shows that somebody is typing.
pub const fn typing_ms() -> u64 {
    TYPING_FOR.as_millis() as u64
}

const fn millis(duration: std::time::Duration) -> u64 {
    duration.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GARDEN: SpaceId = SpaceId([9; 32]);
    const ADA: UserId = UserId([1; 32]);
    const LAPTOP: (DeviceId, UserId) = (DeviceId([1; 32]), ADA);
    const PHONE: (DeviceId, UserId) = (DeviceId([2; 32]), ADA);

    fn here(state: Presence, at_ms: u64) -> Said {
        Said { at_ms, signal: Signal::Here(state) }
    }

    #[test]
    fn somebody_is_as_the_most_awake_of_their_devices_and_gone_when_none_is_heard() {
        let mut roster = Roster::default();
        let start = 1_000_000;
        let heard = roster.hear(GARDEN, LAPTOP, here(Presence::Online, start), start);
        assert_eq!(heard, [News::Presence(ADA, Presence::Online)]);
        assert!(roster.hear(GARDEN, PHONE, here(Presence::Away, start), start).is_empty());
        let heard = roster.hear(GARDEN, LAPTOP, here(Presence::Offline, start + 1), start + 10);
        assert_eq!(heard, [News::Presence(ADA, Presence::Away)]);
        assert!(
            roster.hear(GARDEN, LAPTOP, here(Presence::Online, start), start + 11).is_empty(),
            "an old one"
        );
        let timeout = roster.poll_timeout().unwrap();
        assert!(roster.tick(timeout - 1).is_empty());
        assert_eq!(roster.tick(timeout), [(GARDEN, News::Presence(ADA, Presence::Offline))]);
        assert_eq!(roster.of(GARDEN, ADA), Some((Presence::Offline, timeout)));
        assert_eq!(roster.poll_timeout(), None);
    }

    #[test]
    fn who_is_lost_without_a_word_is_gone_until_they_are_heard_again() {
        let mut roster = Roster::default();
        let start = 1_000_000;
        for device in [LAPTOP, PHONE] {
            roster.hear(GARDEN, device, here(Presence::Online, start), start);
        }
        assert!(roster.lose(LAPTOP.0, start + 1).is_empty(), "the phone is still there");
        assert_eq!(roster.lose(PHONE.0, start + 2), [(GARDEN, News::Presence(ADA, Presence::Offline))]);
        assert!(roster.lose(PHONE.0, start + 3).is_empty(), "that's no news");
        let heard = roster.hear(GARDEN, PHONE, here(Presence::Online, start + 4), start + 4);
        assert_eq!(heard, [News::Presence(ADA, Presence::Online)]);
    }

    #[test]
    fn what_is_old_or_of_the_future_is_not_believed() {
        let mut roster = Roster::default();
        let now = 10_000_000;
        for at_ms in [now - MAX_CLOCK_DRIFT_MS - 1, now + MAX_CLOCK_DRIFT_MS + 1] {
            assert!(roster.hear(GARDEN, LAPTOP, here(Presence::Online, at_ms), now).is_empty());
        }
        let typing = |at_ms| Said { at_ms, signal: Signal::Typing("main".into()) };
        assert_eq!(roster.hear(GARDEN, LAPTOP, typing(now), now), [News::Typing(ADA, "main".into())]);
        assert!(roster.hear(GARDEN, LAPTOP, typing(now), now).is_empty(), "sent again");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_signal_or_none(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Some(said) = Said::decode(&bytes) {
                prop_assert_eq!(Said::decode(&said.encode()), Some(said));
            }
        }
    }
}
