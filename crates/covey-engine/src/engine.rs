//! [`Engine`]: what is kept in memory of the rows.
//!
//! Memberships, keys, the clock, device numbers. It's changed only inside transactions, so that memory and rows move
//! together; when a transaction fails after memory has moved, memory is read afresh: the rows are always right.

use std::{collections::BTreeMap, sync::Arc};

use covey_log::{BodyContext, Draft, Entry, Kind};
use covey_space::{KeyRing, Membership, MembershipOp, ops};
use covey_store::StoreError;
use covey_types::{DeviceId, Head, Hlc, HlcClock, Incarnation, LogId, SpaceId, keys::random_bytes, wire};

use crate::{
    EngineError, LookBack, Rows, RowsMut, Secrets, SpaceInfo, SpaceState,
    devices::DeviceTable,
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
    /// Whether anyone joined or changed.
    pub membership_changed: bool,
    /// Whether entries that were judged before may have to be judged otherwise.
    pub(crate) to_judge: bool,
    /// Whether keys came that open what is held.
    pub(crate) keys_came: bool,
    /// Devices that joined, and their users' names.
    pub joined: Vec<(DeviceId, String)>,
    /// Entries from the future: who, and how far ahead.
    pub from_the_future: BTreeMap<DeviceId, u64>,
    /// Entries that are stored and have no effect, and why.
    pub refused: Vec<(LogId, u64, String)>,
    /// Own logs that came back longer than they were here, or different, and where.
    pub came_back: BTreeMap<LogId, (LookBack, u64)>,
    /// Records that were put back to what they are without entries that don't count any more.
    pub rolled_back: u64,
}

impl Ingested {
    /// Adds what became of further entries. The entries themselves were told of already.
    pub fn merge(&mut self, later: Self) {
        self.durable.extend(later.durable);
        self.rejected.extend(later.rejected);
        self.refused.extend(later.refused);
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
            let membership = load_membership(rows, row.key, row.id, &info.keys)?;
            newest = newest.max(newest_believed(rows, row.key)?);
            engine.spaces.insert(row.id, SpaceState::new(row.key, row.id, info, membership));
        }
        engine.clock = HlcClock::after(newest);
        Ok(engine)
    }

    /// Reads everything afresh after a transaction failed, and keeps only the clock, which never goes back.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn reload(&mut self, rows: &impl Rows) -> Result<(), StoreError> {
        let clock = self.clock;
        *self = Self::load(rows)?;
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
        let internal = |err: String| EngineError::Internal(err);
        let (keys, first) = KeyRing::generate();
        let device = secrets.device.id();
        let incarnation = Incarnation(u64::from_le_bytes(random_bytes()));
        let info = SpaceInfo { version: 1, name: name.to_owned(), keys, incarnation, inviter: None };
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
            parent: None,
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
        if let Some(state) = self.spaces.get_mut(&id) {
            // Until the founding entry has proved that the keys are the space's, a later welcome may be the true one.
            let news = if state.membership.is_founded() {
                state.membership.was_device(inviter) && state.info.keys.merge(&keys)
            } else {
                state.info.keys = keys;
                state.info.inviter = Some(inviter);
                true
            };
            if news {
                rows.set_space_info(state.key, &wire::encode(&state.info))?;
            }
            return Ok(());
        }
        let incarnation = Incarnation(u64::from_le_bytes(random_bytes()));
        let info = SpaceInfo { version: 1, name: name.to_owned(), keys, incarnation, inviter: Some(inviter) };
        let key = rows.insert_space(id, &wire::encode(&info))?;
        self.spaces.insert(id, SpaceState::new(key, id, info, Membership::new(id)));
        Ok(())
    }
}
