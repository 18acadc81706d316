//! One device: the engine, its disk, and its end of each session.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use covey_engine::{Engine, Ingested, Profile, Secrets, SpaceState, acts::Acted, planted::Defect};
use covey_log::Entry;
use covey_pair::Invitations;
use covey_space::{Standing, keyring::TagSession};
use covey_sync::{Hello, Offer, Rejection, Session};
use covey_types::{DeviceId, Head, Heads, LogId, SpaceId};

use crate::disk::{Backup, Disk};

/// One end of a session.
#[derive(Debug)]
pub(crate) struct Conn {
    /// The same at both ends.
    pub(crate) id: u64,
    pub(crate) session: Session,
    pub(crate) nonce: [u8; 32],
    pub(crate) hello: Option<Hello>,
    /// Spaces that the peer was put out of.
    pub(crate) refused: BTreeSet<SpaceId>,
    /// When the last frame to the peer arrives: frames don't overtake each other.
    pub(crate) arrives: u64,
}

/// What is told once it's durable.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) space: SpaceId,
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) membership_changed: bool,
    /// Child spaces of which a notice has told, or that were founded here, and whether they are new.
    pub(crate) entered: BTreeMap<SpaceId, bool>,
    /// To whom, in which session, and what is acknowledged.
    pub(crate) answer: Option<Answer>,
    /// Whether somebody waits for the word that it's kept.
    pub(crate) own: bool,
}

impl Pending {
    /// What came of something that nobody waits for.
    pub(crate) fn of(space: SpaceId, outcome: &Ingested) -> Self {
        Self {
            space,
            entries: Vec::new(),
            membership_changed: outcome.membership_changed,
            entered: outcome.entered.clone(),
            answer: None,
            own: false,
        }
    }

    /// An act of this device's own, and what came of it.
    pub(crate) fn acted(space: SpaceId, (entry, outcome): Acted) -> Self {
        Self { entries: vec![entry], own: true, ..Self::of(space, &outcome) }
    }
}

/// What a peer is told of what it sent.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) peer: usize,
    pub(crate) conn: u64,
    pub(crate) durable: Vec<(LogId, Head)>,
    pub(crate) rejected: Vec<Rejection>,
    pub(crate) bytes: u32,
}

/// An own entry that somebody was told is kept: in which space, of which log.
pub(crate) type Acked = (SpaceId, LogId, Head);

/// One device.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a mishap of its own")]
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) engine: Arc<Mutex<Engine>>,
    pub(crate) disk: Disk,
    pub(crate) up: bool,
    /// Its clock against the true time, milliseconds.
    pub(crate) skew_ms: i64,
    pub(crate) conns: BTreeMap<usize, Conn>,
    pub(crate) pending: Vec<Pending>,
    pub(crate) sync_due: bool,
    /// What somebody was told is kept.
    pub(crate) acked: Vec<Acked>,
    /// Machines that have let it in.
    pub(crate) inviters: BTreeSet<usize>,
    /// Somebody who let it in went back to a backup of before that.
    pub(crate) is_forgotten: bool,
    /// It was given the keys of the space and kept them; not so if its welcome was lost, or it went back to before.
    pub(crate) came_in: bool,
    /// A copy of its things, and what had been acknowledged then.
    pub(crate) backup: Option<(Backup, Vec<Acked>)>,
    /// Its open codes: gone with the power.
    pub(crate) invitations: Invitations,
    /// It forges entries.
    pub(crate) liar: bool,
    /// It was set back by copying files.
    pub(crate) copied: bool,
    /// It went back to an older copy of its things.
    pub(crate) went_back: bool,
    /// It was honest, and is in somebody else's hands since it was put out.
    pub(crate) stolen: bool,
    /// Logs of which it just became known that they have two histories, and how far those reach that are shorter now.
    pub(crate) frozen: BTreeSet<(SpaceId, LogId)>,
    pub(crate) shortened: BTreeMap<(SpaceId, LogId), Head>,
    /// It's lost, with its disk, and never comes back.
    pub(crate) lost: bool,
    pub(crate) defect: Option<Defect>,
    /// When it last met each other machine, for the defect that takes time for a cursor.
    pub(crate) met: BTreeMap<usize, u64>,
}

impl Machine {
    pub(crate) fn new(index: usize, owner: Option<&Secrets>, real: bool) -> Self {
        let profile = Profile { user_name: format!("user {index}"), device_name: format!("device {index}") };
        let mut secrets = Secrets::generate(profile).expect("the names are fine");
        if let Some(owner) = owner {
            secrets.user = owner.user.clone();
            secrets.profile.user_name.clone_from(&owner.profile.user_name);
        }
        let mut disk = Disk::new(real);
        let engine = disk.start();
        Self {
            name: format!("m{index}"),
            secrets: Arc::new(secrets),
            engine: Arc::new(Mutex::new(engine)),
            disk,
            up: true,
            skew_ms: 0,
            conns: BTreeMap::new(),
            pending: Vec::new(),
            sync_due: false,
            acked: Vec::new(),
            inviters: BTreeSet::new(),
            is_forgotten: false,
            came_in: index == 0,
            backup: None,
            invitations: Invitations::new(),
            liar: false,
            copied: false,
            went_back: false,
            stolen: false,
            frozen: BTreeSet::new(),
            shortened: BTreeMap::new(),
            lost: false,
            defect: None,
            met: BTreeMap::new(),
        }
    }

    pub(crate) fn device(&self) -> DeviceId {
        self.secrets.device.id()
    }

    pub(crate) fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the logs of a space reach, durably.
    pub(crate) fn heads(&self, space: SpaceId) -> Heads {
        if !self.up {
            return Heads::default();
        }
        let Ok(key) = self.engine().space(space).map(|state| state.key) else { return Heads::default() };
        let rows = self.disk.read(move |rows| rows.logs(key)).unwrap_or_default();
        Heads(rows.into_iter().map(|row| (row.id, row.head)).filter(|(_, head)| head.seq > 0).collect())
    }

    pub(crate) fn offers(&self, peer: DeviceId, conn: &Conn) -> Vec<Offer> {
        let Some(hello) = &conn.hello else { return Vec::new() };
        let session = TagSession {
            shower: self.device(),
            viewer: peer,
            shower_nonce: conn.nonce,
            viewer_nonce: hello.nonce,
        };
        let offer = |space: &SpaceState| Offer {
            space: space.id,
            mine: space.info.keys.tag(&session),
            theirs: space.info.keys.tag(&session.reversed()),
        };
        self.engine().spaces.values().map(offer).collect()
    }

    /// Whether a peer is in a space, and where that is a child in its parent too; was; or neither that we know.
    pub(crate) fn standing(&self, space: SpaceId, peer: DeviceId) -> Standing {
        self.engine().standing(space, peer)
    }

    /// The spaces that are known here.
    pub(crate) fn spaces(&self) -> Vec<SpaceId> {
        self.engine().spaces.keys().copied().collect()
    }
}
