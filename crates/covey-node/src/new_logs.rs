//! Devices that go on in a new log, as people are told of them.
//!
//! Once or twice that's the trace of a restore, and as it should be. A device that does it again and again has a store that goes
//! back, and some day it has no log left that it may begin.

use std::collections::BTreeMap;

use covey_engine::SpaceState;
use covey_store::LogRow;
use covey_types::{DeviceId, limits::MAX_LOGS_PER_DEVICE};

use crate::{Check, NewLogs};

/// Logs of a device from which on it's said that this can't go on: half of what it may have.
const MANY: u64 = MAX_LOGS_PER_DEVICE as u64 / 2;

/// The devices of a space with more than one log.
pub(crate) fn of(space: &SpaceState, logs: &[LogRow]) -> Vec<NewLogs> {
    let mut begun: BTreeMap<DeviceId, u64> = BTreeMap::new();
    for log in logs.iter().filter(|log| log.head.seq > 0 && space.membership.has_device(log.id.device)) {
        *begun.entry(log.id.device).or_default() += 1;
    }
    let again = begun.into_iter().filter(|(_, logs)| *logs > 1);
    again
        .map(|(device, logs)| NewLogs {
            device,
            name: space.membership.device_name(device).map(str::to_owned),
            times: logs - 1,
        })
        .collect()
}

/// What is to be said of them.
pub(crate) fn check(name: &str, found: &[NewLogs]) -> Option<Check> {
    if found.is_empty() {
        return None;
    }
    let said = |one: &NewLogs| {
        let device = one.name.clone().unwrap_or_else(|| one.device.to_string());
        let times = if one.times == 1 { "once".to_owned() } else { format!("{} times", one.times) };
        format!("{device} went on in a new log {times}")
    };
    let detail = format!(
        "{name}: {}; that happens when a device is restored or set back, or its home is copied",
        found.iter().map(said).collect::<Vec<_>>().join(", ")
    );
    let worst = found.iter().max_by_key(|one| one.times).filter(|one| one.times + 1 >= MANY);
    let remedy = worst.map(|one| {
        format!(
            "it may do so {} times: find out why its store goes back; then its user makes it a fresh device: `covey device revoke {}`, \
             and `covey device join CODE` in a new home",
            MAX_LOGS_PER_DEVICE - 1,
            one.device
        )
    });
    Some(Check { name: "new-log", ok: remedy.is_none(), detail, remedy })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn went_on(times: u64) -> NewLogs {
        NewLogs { device: DeviceId([7; 32]), name: Some("phone".into()), times }
    }

    #[test]
    fn a_few_new_logs_are_told_and_many_are_something_to_mend() {
        assert_eq!(check("garden", &[]), None);
        let few = check("garden", &[went_on(1), went_on(3)]).unwrap();
        assert!(few.ok && few.remedy.is_none(), "{few:?}");
        assert!(
            few.detail
                .starts_with("garden: phone went on in a new log once, phone went on in a new log 3 times;"),
            "{few:?}"
        );
        let many = check("garden", &[went_on(MANY - 1)]).unwrap();
        assert!(!many.ok && many.remedy.unwrap().contains("covey device revoke"));
    }
}
