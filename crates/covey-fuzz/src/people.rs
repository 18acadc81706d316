//! The devices, keys and logs that targets play with: always the same ones.

use std::sync::LazyLock;

use covey_log::{BodyContext, Draft, Entry, EpochKey, Kind};
use covey_space::{Device, DeviceCert, KemSecret};
use covey_types::{
    DeviceId, DeviceSecret, EntryHash, Head, Hlc, Incarnation, LogId, SecretBytes, SpaceId, UserId,
    UserSecret,
};

/// The space of which most targets speak.
pub(crate) const SPACE: SpaceId = SpaceId([7; 32]);

/// People, of whom the second has the last device too.
pub(crate) const DEVICES: usize = 6;

/// Entries in each log.
pub(crate) const ENTRIES: u64 = 24;

/// One device and all its secrets.
pub(crate) struct Actor {
    pub(crate) user: UserSecret,
    pub(crate) device: DeviceSecret,
    pub(crate) kem: KemSecret,
    pub(crate) certified: Device,
}

impl Actor {
    fn new(device: usize, user: usize) -> Self {
        let seed = |purpose: u8, n: usize| SecretBytes::new([purpose + n as u8; 32]);
        let user = UserSecret::from_seed(&seed(10, user));
        let kem = KemSecret::from_seed(seed(50, device));
        let secret = DeviceSecret::from_seed(&seed(90, device));
        let cert = DeviceCert::sign(&user, &secret, kem.public());
        Self { user, device: secret, kem, certified: Device { cert, name: format!("device {device}") } }
    }

    pub(crate) fn id(&self) -> DeviceId {
        self.device.id()
    }

    pub(crate) fn user_id(&self) -> UserId {
        self.user.id()
    }

    pub(crate) fn log(&self) -> LogId {
        LogId { device: self.id(), incarnation: Incarnation(1) }
    }
}

/// All of them.
pub(crate) static ACTORS: LazyLock<Vec<Actor>> =
    LazyLock::new(|| (0..DEVICES).map(|n| Actor::new(n, if n == DEVICES - 1 { 1 } else { n })).collect());

/// The key of an epoch.
pub(crate) fn epoch(n: u8) -> EpochKey {
    EpochKey::new(SecretBytes::new([130 + n; 32]))
}

/// The place of a body.
pub(crate) fn place(kind: Kind) -> BodyContext {
    BodyContext { space: SPACE, log: ACTORS[0].log(), seq: 2, kind }
}

/// The logs of the first three devices, and another that the third wrote after it was at its fifth entry: a fork.
pub(crate) static LOGS: LazyLock<[Vec<Entry>; 4]> = LazyLock::new(|| logs(|_| Kind::RECORDS));

/// The same logs, where every sixth entry changes who is in the space.
pub(crate) static LOGS_WITH_ACTS: LazyLock<[Vec<Entry>; 4]> =
    LazyLock::new(|| logs(|seq| if seq.is_multiple_of(6) { Kind::MEMBERSHIP } else { Kind::RECORDS }));

fn logs(kind: fn(u64) -> Kind) -> [Vec<Entry>; 4] {
    let log = |device: usize| chain(device, &[], 1, kind);
    let third = log(2);
    let fork = chain(2, &third[..5], 2, kind);
    [log(0), log(1), third, fork]
}

fn chain(device: usize, start: &[Entry], salt: u8, kind: fn(u64) -> Kind) -> Vec<Entry> {
    let actor = &ACTORS[device];
    let mut entries = start.to_vec();
    while (entries.len() as u64) < ENTRIES {
        let head = entries.last().map_or(Head::EMPTY, Entry::head);
        let draft = Draft {
            space: SPACE,
            log: actor.log(),
            head,
            hlc: Hlc::new(1000 + 10 * head.seq, 0),
            kind: kind(head.seq + 1),
            epoch: epoch(u8::from(head.seq > 8)).id(),
            deps: vec![EntryHash([u8::from(head.seq > 16); 32])],
        };
        let body = vec![salt; 10 + 7 * head.seq as usize];
        entries.push(Entry::sign(&actor.device, draft, body));
    }
    entries
}
