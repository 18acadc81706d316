//! [`Engine`]: what is kept in memory of the rows.
//!
//! Memberships, keys, the clock, device numbers. It's changed only inside transactions, so that memory and rows move
//! together; when a transaction fails after memory has moved, memory is read afresh: the rows are always right.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use covey_log::{BodyContext, Draft, Entry, Kind};
use covey_space::{KeyRing, Membership, MembershipOp, ops};
use covey_store::StoreError;
use covey_types::{DeviceId, Head, Hlc, HlcClock, Incarnation, LogId, SpaceId, keys::random_bytes, wire};

use crate::{
    EngineError, LookBack, Rows, RowsMut, Secrets, SpaceInfo, SpaceState,
    devices::DeviceTable,
    forks::contradicted,
    judge::Target,
    load::{corrupt, load_membership, newest_believed},
    logs::append,
};

/// Longest stored description of a space: its key ring may be long.
pub(crate) const MAX_INFO_BYTES: usize = 1 << 20;

/// What is kept in memory of the rows.
#[derive(Debug, Default)]
pub struct Engine {
    /// The hybrid clock.
    pub clock: HlcClock,
    /// Small numbers for device ids in stored stamps.
    pub devices: DeviceTable,
    /// The spaces this device is, or was, in.
    pub spaces: BTreeMap<SpaceId, SpaceState>,
    /// Whether logs are kept and taken whole: nothing is taken from a checkpoint on, and no agreement counts.
    pub keeps_whole_logs: bool,
}

/// What has to be looked at again.
#[derive(Debug, Default)]
pub(crate) struct Due {
    /// Entries that were judged before may have to be judged otherwise.
    pub(crate) judge: bool,
    /// Something without effect was built upon, and may count now.
    pub(crate) fold: bool,
    /// Forked logs of which something came that may lead to where they end; and whether more of them is to be asked for if
    /// it doesn't.
    pub(crate) ends: BTreeMap<LogId, bool>,
}

/// What became of ingested entries.
#[derive(Debug, Default)]
pub struct Ingested {
    /// Entries that are new here.
    pub stored: Vec<Arc<Entry>>,
    /// How far the logs concerned reach now.
    pub durable: BTreeMap<LogId, Head>,
    /// Logs of which something did not fit, and whether that was a fork.
    pub rejected: BTreeMap<LogId, bool>,
    /// Authors of logs of which nothing was taken, since nothing was known of them.
    pub strangers: BTreeSet<DeviceId>,
    /// Whether anyone joined or changed.
    pub membership_changed: bool,
    /// What is still to be done about what was judged before.
    pub(crate) due: Due,
    /// Whether keys came that open what is held.
    pub(crate) keys_came: bool,
    /// Whether acts are held that were not before, and may wait for each other.
    pub(crate) acts_wait: bool,
    /// Devices that joined, and their users' names.
    pub joined: Vec<(DeviceId, String)>,
    /// Entries from the future: who, and how far ahead.
    pub from_the_future: BTreeMap<DeviceId, u64>,
    /// Entries that are stored and have no effect, and why.
    pub refused: Vec<(LogId, u64, String)>,
    /// Own logs that came back longer than they were here, or different, and where.
    pub came_back: BTreeMap<LogId, (LookBack, u64)>,
    /// Logs that just began here, of devices that have written in another one before.
    pub new_logs: BTreeSet<LogId>,
    /// Child spaces of which a notice has told this device, and whether it hadn't heard of them before.
    pub entered: BTreeMap<SpaceId, bool>,
    /// Records that were put back to what they are without entries that don't count any more.
    pub rolled_back: u64,
    /// Logs of which it became known that their authors wrote two histories, or more about that.
    pub frozen: BTreeSet<LogId>,
    /// Logs of which it just became known that they don't count from some place on, or from an earlier one, and which.
    pub forked: BTreeMap<LogId, u64>,
    /// Logs that end elsewhere than they did, or of which more counts than is here, and how far they reach now.
    pub shortened: BTreeMap<LogId, Head>,
    /// Records that are to be merged afresh.
    pub(crate) touched: BTreeSet<Target>,
}

impl Ingested {
    /// A notice has told of a child. Several may tell of one at once: it's new if it was for the first of them.
    pub fn hears_of(&mut self, child: SpaceId, is_new: bool) {
        *self.entered.entry(child).or_default() |= is_new;
    }

    /// Adds what became of further entries. The entries themselves were told of already.
    pub fn merge(&mut self, later: Self) {
        self.durable.extend(later.durable);
        self.rejected.extend(later.rejected);
        self.strangers.extend(later.strangers);
        self.membership_changed |= later.membership_changed;
        self.refused.extend(later.refused);
        self.frozen.extend(later.frozen);
    }
}

impl Engine {
    /// Reads everything.
    ///
    /// # Errors
    /// The backend's; [`StoreError::Corrupt`] if the rows don't fit each other.
    pub fn load(rows: &impl Rows) -> Result<Self, StoreError> {
        let mut engine = Self { devices: DeviceTable::load(rows)?, ..Self::default() };
        let mut newest = Hlc::default();
        for row in rows.spaces()? {
            let info: SpaceInfo = wire::decode("a space's description", &row.info, MAX_INFO_BYTES)
                .map_err(|err| corrupt("read a space", &err))?;
            let loaded = load_membership(rows, row.key, row.id, &info.keys)?;
            newest = newest.max(newest_believed(rows, row.key)?);
            let mut state = SpaceState::new(row.key, row.id, info, loaded.membership);
            (state.frozen, state.sealed_voids) = (loaded.frozen, loaded.sealed_voids);
            state.unplaced_voids = loaded.unplaced_voids;
            state.ends = state.ends_by_cuts();
            let cuts = contradicted(rows, &state)?;
            state.membership.contradict(cuts);
            engine.spaces.insert(row.id, state);
        }
        engine.clock = HlcClock::after(newest);
        Ok(engine)
    }

    /// Reads everything afresh after a transaction failed, and keeps only what no row holds: the clock, which never goes
    /// back, and what others were believed about this device's own logs, which they are not believed twice.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn reload(&mut self, rows: &impl Rows) -> Result<(), StoreError> {
        let clock = self.clock;
        let looked_back = |spaces: &BTreeMap<SpaceId, SpaceState>| -> BTreeSet<SpaceId> {
            spaces.values().filter(|state| state.looked_back).map(|state| state.id).collect()
        };
        let believed = looked_back(&self.spaces);
        *self = Self { keeps_whole_logs: self.keeps_whole_logs, ..Self::load(rows)? };
        for state in self.spaces.values_mut() {
            state.looked_back = believed.contains(&state.id);
        }
        if clock.last() > self.clock.last() {
            self.clock = clock;
        }
        Ok(())
    }

    /// A space.
    ///
    /// # Errors
    /// [`EngineError::NoSpace`].
    pub fn space(&self, id: SpaceId) -> Result<&SpaceState, EngineError> {
        self.spaces.get(&id).ok_or(EngineError::NoSpace(id))
    }

    pub(crate) fn space_mut(&mut self, id: SpaceId) -> Result<&mut SpaceState, EngineError> {
        self.spaces.get_mut(&id).ok_or(EngineError::NoSpace(id))
    }

    /// Founds a space whose owner is this device's user.
    ///
    /// # Errors
    /// The backend's.
    pub fn found_space(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        name: &str,
        wall_ms: u64,
    ) -> Result<(SpaceId, Arc<Entry>), EngineError> {
        self.found(rows, secrets, name, (false, None), wall_ms)
    }

    pub(crate) fn found(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        name: &str,
        (personal, parent): (bool, Option<SpaceId>),
        wall_ms: u64,
    ) -> Result<(SpaceId, Arc<Entry>), EngineError> {
        let internal = |err: String| EngineError::Internal(err);
        let (keys, first) = KeyRing::generate();
        let device = secrets.device.id();
        let incarnation = Incarnation(u64::from_le_bytes(random_bytes()));
        let info = SpaceInfo { version: 1, name: name.to_owned(), keys, incarnation, inviter: None, parent };
        let log = LogId { device, incarnation };
        let sealed = covey_space::kem::seal(SpaceId::FOUNDING, &first, device, secrets.kem.public())
            .map_err(|err| internal(err.to_string()))?;
        let acts = vec![MembershipOp::Found(ops::Found {
            name: name.to_owned(),
            history: ops::HistoryPolicy::Full,
            user_name: secrets.profile.user_name.clone(),
            device: secrets.certified(),
            nonce: random_bytes(),
            keys: vec![sealed],
            parent,
            personal,
        })];
        let draft = Draft {
            space: SpaceId::FOUNDING,
            log,
            head: Head::EMPTY,
            hlc: self.clock.tick(wall_ms),
            kind: Kind::FOUNDING,
            epoch: first.id(),
            deps: Vec::new(),
        };
        let place = BodyContext { space: SpaceId::FOUNDING, log, seq: 1, kind: Kind::FOUNDING };
        let entry = Entry::sign(&secrets.device, draft, ops::seal_acts(&first, place, &ops::encode(&acts)));
        let id = entry.space();
        let key = rows.insert_space(id, &wire::encode(&info))?;
        let mut membership = Membership::new(id);
        membership.apply(&entry, &acts).map_err(|err| internal(err.to_string()))?;
        let log_key = rows.ensure_log(key, log)?;
        append(rows, log_key, &entry)?;
        rows.add_membership(key, entry.hash, log_key, 1)?;
        self.spaces.insert(id, SpaceState::new(key, id, info, membership));
        Ok((id, Arc::new(entry)))
    }

    /// Notes a space that this device was let into. One that is here already learns the keys, if they come from somebody
    /// who is, or was, in it.
    ///
    /// # Errors
    /// The backend's.
    pub fn enter_space(
        &mut self,
        rows: &mut impl RowsMut,
        id: SpaceId,
        name: &str,
        keys: KeyRing,
        inviter: DeviceId,
    ) -> Result<(), EngineError> {
        self.enter(rows, id, name, keys, (inviter, None))
    }

    /// As [`Engine::enter_space`], where who lets this device in also says whose child the space is.
    pub(crate) fn enter(
        &mut self,
        rows: &mut impl RowsMut,
        id: SpaceId,
        name: &str,
        keys: KeyRing,
        (inviter, parent): (DeviceId, Option<SpaceId>),
    ) -> Result<(), EngineError> {
        if let Some(state) = self.spaces.get_mut(&id) {
            // Until the founding entry has proved that the keys are the space's, a later welcome may be the true one.
            let news = if state.membership.is_founded() {
                state.membership.was_device(inviter) && state.info.keys.merge(&keys)
            } else {
                state.info.keys = keys;
                state.info.inviter = Some(inviter);
                state.info.parent = parent;
                true
            };
            if news {
                rows.set_space_info(state.key, &wire::encode(&state.info))?;
            }
            return Ok(());
        }
        let incarnation = Incarnation(u64::from_le_bytes(random_bytes()));
        let inviter = Some(inviter);
        let info = SpaceInfo { version: 1, name: name.to_owned(), keys, incarnation, inviter, parent };
        let key = rows.insert_space(id, &wire::encode(&info))?;
        self.spaces.insert(id, SpaceState::new(key, id, info, Membership::new(id)));
        Ok(())
    }
}
