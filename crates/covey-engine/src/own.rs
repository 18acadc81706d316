//! Entries of this device.

use std::sync::Arc;

use covey_log::{BodyContext, Draft, Entry, EpochKey, Kind, seal};
use covey_space::{MembershipOp, Role, ops};
use covey_types::{
    DeviceId, Head, LogId, SpaceId,
    limits::{MAX_LOGS_PER_DEVICE, MAX_MEMBERSHIP_BODY_BYTES},
};

use crate::{
    Engine, EngineError, Ingested, Rows, RowsMut, Secrets, SpaceState,
    apply::Writer,
    ingest::Place,
    logs::{append, is_begun},
};

impl Engine {
    /// Appends an entry of operations on records. `body` makes the plain body; it sees the rows as they are now.
    ///
    /// # Errors
    /// [`EngineError`]; what was changed until then is not to be committed.
    pub fn append_records<R: RowsMut>(
        &mut self,
        rows: &mut R,
        secrets: &Secrets,
        id: SpaceId,
        wall_ms: u64,
        body: impl FnOnce(&mut R, &mut Self, LogId) -> Result<Vec<u8>, EngineError>,
    ) -> Result<Arc<Entry>, EngineError> {
        self.append_records_of(Writer::Here, rows, secrets, id, wall_ms, body)
    }

    /// The same, with operations that this device may have acknowledged before.
    pub(crate) fn append_records_of<R: RowsMut>(
        &mut self,
        writer: Writer,
        rows: &mut R,
        secrets: &Secrets,
        id: SpaceId,
        wall_ms: u64,
        body: impl FnOnce(&mut R, &mut Self, LogId) -> Result<Vec<u8>, EngineError>,
    ) -> Result<Arc<Entry>, EngineError> {
        let state = self.space(id)?;
        state.require_role(secrets.device.id(), Role::Member)?;
        self.require_inside(id, secrets.device.id())?;
        let Some(key) = state.current_key().cloned() else {
            return Err(EngineError::NoKey { space: state.name().to_owned() });
        };
        let log = state.own_log(secrets.device.id());
        let plain = body(rows, self, log)?;
        let what = (Kind::RECORDS, writer);
        self.append(rows, secrets, id, what, &key, &plain, wall_ms).map(|(entry, _)| entry)
    }

    /// Appends an entry of membership acts.
    ///
    /// # Errors
    /// [`EngineError::Membership`] if the rules don't allow it; nothing has changed then.
    pub(crate) fn append_acts(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        wall_ms: u64,
        acts: &[MembershipOp],
    ) -> Result<(Arc<Entry>, Ingested), EngineError> {
        #[cfg(feature = "planted")]
        let acts = &crate::planted::without_rotations(acts);
        let state = self.require_may(id, secrets.device.id(), acts)?;
        // Membership entries are read by all members whatever the epoch: an older key serves where the newest is missing.
        let key = state.current_key().or_else(|| state.info.keys.newest()).cloned();
        let key = key.ok_or_else(|| EngineError::NoKey { space: state.name().to_owned() })?;
        let what = (Kind::MEMBERSHIP, Writer::Here);
        self.append(rows, secrets, id, what, &key, &ops::encode(acts), wall_ms)
    }

    /// Refuses acts that a device may not do now.
    pub(crate) fn require_may(
        &self,
        id: SpaceId,
        device: DeviceId,
        acts: &[MembershipOp],
    ) -> Result<&SpaceState, EngineError> {
        let state = self.space(id)?;
        state.require_role(device, Role::Guest)?;
        self.require_inside(id, device)?;
        let refused = |reason| EngineError::Membership { space: state.name().to_owned(), reason };
        state.membership.check(device, acts).map_err(refused)?;
        Ok(state)
    }

    /// Refuses to begin a log that others would not take: what was acknowledged in it would never leave this device.
    fn require_room_for(&self, rows: &impl Rows, id: SpaceId, log: LogId) -> Result<(), EngineError> {
        let state = self.space(id)?;
        let mut begun = 0;
        for row in
            rows.logs(state.key)?.into_iter().filter(|row| row.id.device == log.device && row.id != log)
        {
            begun += usize::from(is_begun(rows, row.key, row.head)?);
        }
        if begun < MAX_LOGS_PER_DEVICE {
            return Ok(());
        }
        Err(EngineError::TooManyLogs { space: state.name().to_owned(), max: MAX_LOGS_PER_DEVICE })
    }

    #[expect(clippy::too_many_arguments, reason = "everything that an entry is made of")]
    pub(crate) fn append(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        (kind, writer): (Kind, Writer),
        key: &EpochKey,
        plain: &[u8],
        wall_ms: u64,
    ) -> Result<(Arc<Entry>, Ingested), EngineError> {
        let device = secrets.device.id();
        let state = self.space(id)?;
        let log = state.own_log(device);
        let log_key = rows.ensure_log(state.key, log)?;
        let head = rows.head(log_key)?;
        if head == Head::EMPTY {
            self.require_room_for(rows, id, log)?;
        }
        let deps = self.deps_to_name(rows, id, device)?;
        let hlc = self.clock.tick(wall_ms);
        let draft = Draft { space: id, log, head, hlc, kind, epoch: key.id(), deps };
        let place = BodyContext { space: id, log, seq: head.seq + 1, kind };
        let body = match kind {
            _ if kind.is_membership() => ops::seal_acts(key, place, plain),
            _ if kind.is_open() => plain.to_vec(),
            _ => seal(key, place, plain),
        };
        if kind.is_membership() && body.len() > MAX_MEMBERSHIP_BODY_BYTES {
            let what = "a change of who is in the space";
            return Err(EngineError::TooLarge { what, len: body.len(), max: MAX_MEMBERSHIP_BODY_BYTES });
        }
        let entry = Entry::sign(&secrets.device, draft, body);
        append(rows, log_key, &entry)?;
        let mut outcome = Ingested::default();
        let place = Place { space: id, log: log_key, entry: &entry };
        self.apply(rows, secrets, place, plain, writer, &mut outcome)?;
        if let Some((_, _, reason)) = outcome.refused.pop() {
            return Err(EngineError::Internal(reason));
        }
        self.settle(rows, secrets, id, wall_ms, &mut outcome)?;
        self.devices.save(rows)?;
        Ok((Arc::new(entry), outcome))
    }
}
