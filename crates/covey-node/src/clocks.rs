//! Whose clock is wrong: what devices say of their own in the greeting, and what their entries show.
//!
//! Time decides nothing but which of two writes to the same field is the later one. A clock that is far ahead would win
//! for ever, so what it dates is held until its time comes, but for acts of membership, which count at once; whoever has it
//! must hear of that, and so must the others.

use std::collections::BTreeMap;

use covey_engine::{HoldReason, load_acts_ahead};
use covey_types::{DeviceId, limits::MAX_CLOCK_DRIFT_MS};

use crate::{
    Check, ClockStatus, Node, NodeError,
    doctor::{fail, pass},
};

/// A wall clock before this (2025-01-01) is surely wrong.
const EARLIEST_PLAUSIBLE_MS: u64 = 1_735_689_600_000;

/// Devices that are named in one sentence: more say nothing more.
const MOST_NAMED: usize = 3;

impl Node {
    /// Members' devices whose clocks are too far from this one's: as they say while they are connected, or as what they have
    /// written shows.
    ///
    /// # Errors
    /// The store's.
    pub async fn clocks(&self) -> Result<Vec<ClockStatus>, NodeError> {
        let mut found: BTreeMap<DeviceId, (i64, u64)> = BTreeMap::new();
        for (device, (ahead_ms, held)) in self.held_by_device().await? {
            found.insert(device, (i64::try_from(ahead_ms).unwrap_or(i64::MAX), held));
        }
        for (device, ahead_ms) in self.0.sessions.clocks() {
            let held = found.get(&device).map_or(0, |(_, held)| *held);
            if ahead_ms.unsigned_abs() > MAX_CLOCK_DRIFT_MS {
                found.insert(device, (ahead_ms, held));
            }
        }
        let engine = self.engine();
        let name = |device| engine.spaces.values().find_map(|space| space.membership.device_name(device));
        let status = |(device, (ahead_ms, held))| ClockStatus {
            device,
            name: name(device).map(str::to_owned),
            ahead_ms,
            held,
        };
        Ok(found.into_iter().filter(|(device, _)| *device != self.device()).map(status).collect())
    }

    /// How far ahead the newest entry of each device is that is dated in the future, and how many are held for their time.
    async fn held_by_device(&self) -> Result<BTreeMap<DeviceId, (u64, u64)>, NodeError> {
        let keys: Vec<_> = self.engine().spaces.values().map(|space| space.key).collect();
        let now = self.now_ms();
        let read = move |reader: &covey_store::Reader<'_>| {
            let mut found: BTreeMap<DeviceId, (u64, u64)> = BTreeMap::new();
            for key in keys {
                let logs: BTreeMap<_, _> =
                    reader.logs(key)?.into_iter().map(|log| (log.key, log.id.device)).collect();
                let future =
                    reader.held(key)?.into_iter().filter(|row| row.reason == HoldReason::Future as u32);
                for row in future {
                    let Some(device) = logs.get(&row.log) else { continue };
                    let ahead = row.until_ms.saturating_add(MAX_CLOCK_DRIFT_MS).saturating_sub(now);
                    let (most, count) = found.entry(*device).or_default();
                    *most = ahead.max(*most);
                    *count += 1;
                }
                // Acts of membership wait for nothing; who wrote them has to hear of it all the same.
                for (log, until_ms) in load_acts_ahead(reader, key)? {
                    let ahead = until_ms.saturating_add(MAX_CLOCK_DRIFT_MS).saturating_sub(now);
                    if let Some(device) = logs.get(&log).filter(|_| ahead > MAX_CLOCK_DRIFT_MS) {
                        let (most, _) = found.entry(*device).or_default();
                        *most = ahead.max(*most);
                    }
                }
            }
            Ok(found)
        };
        Ok(self.0.store.read(read).await?)
    }
}

/// Whether the clocks agree, and if not, whose seems to be wrong.
pub(crate) async fn check(node: &Node) -> Check {
    let now = node.now_ms();
    if now < EARLIEST_PLAUSIBLE_MS {
        return fail("clock", "this device's clock is years behind", OWN_REMEDY);
    }
    let wrong = match node.clocks().await {
        Ok(wrong) => wrong,
        Err(err) => {
            return fail("clock", err.to_string(), "look at the disk: the system's log names its errors");
        }
    };
    let said = node.0.sessions.clocks();
    if let Some(check) = verdict(&wrong, said.len()) {
        return check;
    }
    let newest = node.engine().clock.last().wall_ms();
    if newest > now + 1000 {
        let behind = span(newest - now);
        let detail = format!("this device's clock is {behind} behind the newest change that is here");
        let remedy = "compare the clocks of your devices and set the wrong one; if it was this one's, what it writes until \
                      then is applied elsewhere when that time comes";
        return fail("clock", detail, remedy);
    }
    pass("clock", "agrees with the clocks of other devices and with the changes that came from them")
}

const OWN_REMEDY: &str = "set this device's clock (timedatectl set-ntp true), and start covey again; what it wrote with \
    one that was ahead, and what it writes until then, is applied elsewhere when that time comes: if that is too late, \
    make it a fresh device (covey device revoke, then covey device join CODE in a new home) and write it there";

/// What the clocks that are too far off say: `None` if there are none. `near` is how many others are connected.
fn verdict(wrong: &[ClockStatus], near: usize) -> Option<Check> {
    let first = wrong.first()?;
    let named: Vec<String> = wrong.iter().take(MOST_NAMED).map(sentence).collect();
    let more = wrong.len().saturating_sub(MOST_NAMED);
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    let all = format!("{}{more}", named.join("; "));
    // Clocks of others that are off in the same way agree with each other: it's this one that is wrong.
    let same_way = wrong.iter().filter(|one| (one.ahead_ms > 0) == (first.ahead_ms > 0)).count();
    let own = same_way > 1 && same_way == wrong.len() && same_way >= near;
    if own {
        let way = if first.ahead_ms > 0 { "behind" } else { "ahead of" };
        let detail = format!("this device's clock seems to be wrong: it is {way} those of all others: {all}");
        return Some(fail("clock", detail, OWN_REMEDY));
    }
    let remedy = if wrong.len() == 1 && near <= 1 {
        "one of the two clocks is wrong: compare both with a third, and set it: timedatectl set-ntp true"
    } else {
        "set the clocks of those devices: timedatectl set-ntp true"
    };
    let remedy = format!(
        "{remedy}; changes of records that are dated in the future are kept, and applied when their time comes"
    );
    Some(fail("clock", all, remedy))
}

/// `phone is 2 years ahead of this device, and 3 of its entries wait for their time`.
fn sentence(one: &ClockStatus) -> String {
    let name = one.name.clone().unwrap_or_else(|| one.device.to_string());
    let way = if one.ahead_ms > 0 { "ahead of" } else { "behind" };
    let held = match one.held {
        0 => String::new(),
        1 => ", and 1 of its entries waits for its time".to_owned(),
        held => format!(", and {held} of its entries wait for their time"),
    };
    format!("the clock of {name} is {} {way} this device's{held}", span(one.ahead_ms.unsigned_abs()))
}

/// A time in words, in the largest unit of which it holds two.
fn span(ms: u64) -> String {
    const UNITS: [(u64, &str); 5] =
        [(31_557_600_000, "years"), (86_400_000, "days"), (3_600_000, "hours"), (60_000, "min"), (1000, "s")];
    let fits = UNITS.iter().find(|(unit, _)| (ms + unit / 2) / unit >= 2);
    fits.map_or_else(|| format!("{ms} ms"), |(unit, name)| format!("{} {name}", (ms + unit / 2) / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: i64 = 31_557_600_000;

    fn off(n: u8, ahead_ms: i64, held: u64) -> ClockStatus {
        ClockStatus { device: DeviceId([n; 32]), name: Some(format!("d{n}")), ahead_ms, held }
    }

    #[test]
    fn one_clock_among_several_that_is_off_is_named_with_how_far_and_what_waits() {
        let check = verdict(&[off(1, 2 * YEAR, 3)], 3).unwrap();
        assert_eq!(
            check.detail,
            "the clock of d1 is 2 years ahead of this device's, and 3 of its entries wait for their time"
        );
        assert!(check.remedy.unwrap().starts_with("set the clocks of those devices"));
        assert_eq!(verdict(&[], 3), None);
    }

    #[test]
    fn a_device_from_which_all_others_are_off_the_same_way_is_told_that_its_own_clock_is_wrong() {
        let behind = verdict(&[off(1, 2 * YEAR, 1), off(2, 2 * YEAR, 0)], 2).unwrap();
        assert!(
            behind.detail.starts_with("this device's clock seems to be wrong: it is behind"),
            "{behind:?}"
        );
        let ahead = verdict(&[off(1, -2 * YEAR, 0), off(2, -2 * YEAR, 0)], 2).unwrap();
        assert!(ahead.detail.contains("it is ahead of those of all others"), "{ahead:?}");
        let torn = verdict(&[off(1, 2 * YEAR, 0), off(2, -2 * YEAR, 0)], 2).unwrap();
        assert!(!torn.detail.contains("this device's clock seems"), "{torn:?}");
    }

    #[test]
    fn of_two_devices_either_may_be_wrong() {
        let check = verdict(&[off(1, -2 * YEAR, 0)], 1).unwrap();
        assert!(check.remedy.unwrap().starts_with("one of the two clocks is wrong"));
    }

    #[test]
    fn spans_are_told_in_a_unit_that_people_use() {
        let told = [(1500, "2 s"), (400_000, "7 min"), (36_000_000, "10 hours"), (400, "400 ms")];
        for (ms, text) in told {
            assert_eq!(span(ms), text);
        }
    }
}
