//! Where the cores and the store meet: appending own entries, ingesting those of others, applying both.
//!
//! [`Engine`] is what the node keeps in memory of its store: memberships, keys, the clock, device numbers. It's
//! changed only inside the store's writing closures, so that memory and disk move together. When a
//! transaction fails after memory has moved, memory is marked stale and read afresh before the next write: the
//! disk is always right.

mod ingest;
mod prepare;
mod serve;

use std::{collections::BTreeMap, sync::Arc};

use covey_log::{BodyContext, Draft, Entry, Header, Kind, open, seal};
use covey_space::{KeyRing, Membership, MembershipOp, Role, SealedKey, Verdict, ops};
use covey_store::{LogKey, NewEntry, Reader, SpaceKey, StoreError, StoredEntry, Tx};
use covey_types::{
    DeviceId, EntryHash, Head, Hlc, HlcClock, Incarnation, LogId, Signature, SpaceId, UserId,
    keys::random_bytes,
    wire::{self, DecodeError},
};
use serde::{Deserialize, Serialize};

pub(crate) use self::{
    ingest::Ingested,
    prepare::{Prepared, prepare},
    serve::load_for_peer,
};
use crate::{NodeError, apply::Writer, devices::DeviceTable, identity::Secrets};

/// Longest stored description of a space: its key ring may be long.
const MAX_INFO_BYTES: usize = 1 << 20;

/// What the store keeps of a space beside its logs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SpaceInfo {
    pub(crate) version: u8,
    /// The name as the founder or the inviter told it; the membership's once that is here.
    pub(crate) name: String,
    pub(crate) keys: KeyRing,
    /// Which of this device's logs is written now.
    pub(crate) incarnation: Incarnation,
    /// Who let this device in.
    pub(crate) inviter: Option<DeviceId>,
}

/// Why an entry is stored and not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HoldReason {
    /// It names membership entries that aren't here.
    Past = 1,
    /// It claims to be from the future.
    Future = 2,
    /// Its epoch's key isn't here.
    Key = 3,
    /// It was written by a later version: kept, forwarded, and looked at again by the next version here.
    Unknown = 4,
    /// It is applied, but for operations that a later version wrote: looked at again like those.
    PartlyUnknown = 5,
}

/// One space in memory.
#[derive(Debug)]
pub(crate) struct SpaceState {
    pub(crate) key: SpaceKey,
    pub(crate) id: SpaceId,
    pub(crate) info: SpaceInfo,
    pub(crate) membership: Membership,
    /// The last question to the membership and its answer: entries in a row ask the same one.
    verdict: Option<(DeviceId, Vec<EntryHash>, Verdict)>,
}

impl SpaceState {
    pub(crate) fn name(&self) -> &str {
        self.membership.name().unwrap_or(&self.info.name)
    }

    fn may_write(&mut self, author: DeviceId, deps: &[EntryHash]) -> Verdict {
        if let Some((last, past, verdict)) = &self.verdict
            && *last == author
            && past == deps
        {
            return *verdict;
        }
        let verdict = self.membership.may_write(author, deps);
        // "Unknown" may change with the next membership entry; the other two never do.
        self.verdict = (verdict != Verdict::Unknown).then(|| (author, deps.to_vec(), verdict));
        verdict
    }

    fn own_log(&self, device: DeviceId) -> LogId {
        LogId { device, incarnation: self.info.incarnation }
    }
}

/// What the node keeps in memory of its store.
#[derive(Debug, Default)]
pub(crate) struct Engine {
    pub(crate) clock: HlcClock,
    pub(crate) devices: DeviceTable,
    pub(crate) spaces: BTreeMap<SpaceId, SpaceState>,
}

fn context(header: &Header) -> BodyContext {
    BodyContext { space: header.space, log: header.log, seq: header.seq, kind: header.kind }
}

fn open_body(entry: &Entry, keys: &KeyRing) -> Option<Result<Vec<u8>, String>> {
    if !entry.is_understood() {
        return Some(Ok(Vec::new()));
    }
    let key = keys.key(entry.header.epoch)?;
    Some(open(key, context(&entry.header), &entry.body).map_err(|err| err.to_string()))
}

/// The entry in a stored row.
pub(crate) fn decode_stored(stored: &StoredEntry) -> Result<Entry, StoreError> {
    Entry::decode(&stored.header, Signature(stored.signature), &stored.body)
        .map_err(|err| StoreError::Corrupt { doing: "read an entry", reason: err.to_string() })
}

fn corrupt(doing: &'static str, err: &DecodeError) -> StoreError {
    StoreError::Corrupt { doing, reason: err.to_string() }
}

impl Engine {
    /// Reads everything from the store.
    pub(crate) fn load(reader: &Reader<'_>) -> Result<Self, StoreError> {
        let mut engine = Self { devices: DeviceTable::load(reader)?, ..Self::default() };
        let mut newest = Hlc::default();
        for row in reader.spaces()? {
            let info: SpaceInfo = wire::decode("a space's description", &row.info, MAX_INFO_BYTES)
                .map_err(|err| corrupt("read a space", &err))?;
            let membership = load_membership(reader, row.key, row.id, &info.keys)?;
            newest = newest.max(newest_believed(reader, row.key)?);
            let state = SpaceState { key: row.key, id: row.id, info, membership, verdict: None };
            engine.spaces.insert(row.id, state);
        }
        engine.clock = HlcClock::after(newest);
        Ok(engine)
    }

    /// Reads everything afresh after a transaction failed, and keeps only the clock, which never goes back.
    pub(crate) fn reload(&mut self, reader: &Reader<'_>) -> Result<(), StoreError> {
        let clock = self.clock;
        *self = Self::load(reader)?;
        if clock.last() > self.clock.last() {
            self.clock = clock;
        }
        Ok(())
    }

    pub(crate) fn space(&self, id: SpaceId) -> Result<&SpaceState, NodeError> {
        self.spaces.get(&id).ok_or_else(|| NodeError::NotFound { kind: "space", name: id.to_string() })
    }

    /// Founds a space whose owner is this device's user.
    pub(crate) fn found_space(
        &mut self,
        tx: &mut Tx<'_>,
        secrets: &Secrets,
        name: &str,
        wall_ms: u64,
    ) -> Result<(SpaceId, Arc<Entry>), NodeError> {
        let keys = KeyRing::generate();
        let device = secrets.device.id();
        let info = SpaceInfo {
            version: 1,
            name: name.to_owned(),
            keys: keys.clone(),
            incarnation: Incarnation(u64::from_le_bytes(random_bytes())),
            inviter: None,
        };
        let log = LogId { device, incarnation: info.incarnation };
        let sealed = covey_space::kem::seal(SpaceId::FOUNDING, keys.current(), device, secrets.kem.public())
            .map_err(|err| NodeError::Internal(err.to_string()))?;
        let acts = vec![MembershipOp::Found(ops::Found {
            name: name.to_owned(),
            history: ops::HistoryPolicy::Full,
            user_name: secrets.profile.user_name.clone(),
            device: secrets.certified(),
            nonce: random_bytes(),
            keys: vec![sealed],
        })];
        let draft = Draft {
            space: SpaceId::FOUNDING,
            log,
            head: Head::EMPTY,
            hlc: self.clock.tick(wall_ms),
            kind: Kind::FOUNDING,
            epoch: keys.current().id(),
            deps: Vec::new(),
        };
        let place = BodyContext { space: SpaceId::FOUNDING, log, seq: 1, kind: Kind::FOUNDING };
        let entry = Entry::sign(&secrets.device, draft, seal(keys.current(), place, &ops::encode(&acts)));
        let id = entry.space();
        let key = tx.insert_space(id, &wire::encode(&info))?;
        let mut membership = Membership::new(id);
        membership.apply(&entry, &acts).map_err(|err| NodeError::Internal(err.to_string()))?;
        let log_key = tx.ensure_log(key, log)?;
        append(tx, log_key, &entry)?;
        tx.add_membership(key, entry.hash, log_key, 1)?;
        self.spaces.insert(id, SpaceState { key, id, info, membership, verdict: None });
        Ok((id, Arc::new(entry)))
    }

    /// Notes a space that this device was let into. One that is here already is left alone.
    pub(crate) fn enter_space(
        &mut self,
        tx: &mut Tx<'_>,
        id: SpaceId,
        name: &str,
        keys: KeyRing,
        inviter: DeviceId,
    ) -> Result<(), NodeError> {
        if let Some(state) = self.spaces.get_mut(&id) {
            // Until the founding entry has proved that the keys are the space's, a later welcome may be the true one.
            if !state.membership.is_founded() {
                state.info.keys = keys;
                state.info.inviter = Some(inviter);
                tx.set_space_info(state.key, &wire::encode(&state.info))?;
            }
            return Ok(());
        }
        let incarnation = Incarnation(u64::from_le_bytes(random_bytes()));
        let info = SpaceInfo { version: 1, name: name.to_owned(), keys, incarnation, inviter: Some(inviter) };
        let key = tx.insert_space(id, &wire::encode(&info))?;
        let membership = Membership::new(id);
        self.spaces.insert(id, SpaceState { key, id, info, membership, verdict: None });
        Ok(())
    }

    /// Appends an entry of this device. `body` makes the plain body; it sees the store as it is now.
    pub(crate) fn append_own(
        &mut self,
        tx: &mut Tx<'_>,
        secrets: &Secrets,
        id: SpaceId,
        kind: Kind,
        wall_ms: u64,
        body: impl FnOnce(&mut Tx<'_>, &mut Self, LogId) -> Result<Vec<u8>, NodeError>,
    ) -> Result<Arc<Entry>, NodeError> {
        let device = secrets.device.id();
        let state = self.space(id)?;
        let needed = if kind.is_membership() { Role::Admin } else { Role::Member };
        require_role(state, device, needed)?;
        let (space_key, log) = (state.key, state.own_log(device));
        let log_key = tx.ensure_log(space_key, log)?;
        let plain = body(tx, self, log)?;
        let state = self.spaces.get_mut(&id).expect("the space was here a moment ago");
        let head = tx.head(log_key)?;
        let hlc = self.clock.tick(wall_ms);
        let key = state.info.keys.current();
        let draft = Draft {
            space: id,
            log,
            head,
            hlc,
            kind,
            epoch: key.id(),
            deps: state.membership.deps_for(device),
        };
        let place = BodyContext { space: id, log, seq: head.seq + 1, kind };
        let entry = Entry::sign(&secrets.device, draft, seal(key, place, &plain));
        append(tx, log_key, &entry)?;
        let mut outcome = Ingested::default();
        self.apply(tx, id, log_key, &entry, &plain, Writer::Here, &mut outcome)?;
        if let Some((_, _, reason)) = outcome.refused.pop() {
            return Err(NodeError::Internal(reason));
        }
        self.devices.save(tx)?;
        Ok(Arc::new(entry))
    }

    /// The body that lets a user in; the current key is sealed to the device.
    pub(crate) fn invitation_body(
        &self,
        id: SpaceId,
        user: UserId,
        user_name: &str,
        role: Role,
        device: &covey_space::Device,
    ) -> Result<Vec<u8>, NodeError> {
        let state = self.space(id)?;
        let cert = &device.cert;
        let sealed: SealedKey = covey_space::kem::seal(id, state.info.keys.current(), cert.device, cert.kem)
            .map_err(|err| NodeError::Invalid(err.to_string()))?;
        Ok(ops::encode(&[MembershipOp::AddMember(ops::AddMember {
            user,
            user_name: user_name.to_owned(),
            role,
            devices: vec![device.clone()],
            keys: vec![sealed],
        })]))
    }
}

/// Refuses unless the device's user has at least this role.
pub(crate) fn require_role(state: &SpaceState, device: DeviceId, needed: Role) -> Result<(), NodeError> {
    let act = if needed >= Role::Admin { "inviting" } else { "writing" };
    match state.membership.role_of(device) {
        Some(role) if role >= needed => Ok(()),
        Some(role) => Err(NodeError::NotAllowed {
            act,
            space: state.name().to_owned(),
            needed: needed.as_str(),
            role: role.to_string(),
        }),
        None => Err(NodeError::NotReady { space: state.name().to_owned() }),
    }
}

/// The newest time in a space's logs that the clock may go by: entries that are held because they claim to be from
/// the future, and what follows them in their logs, don't count.
fn newest_believed(reader: &Reader<'_>, space: SpaceKey) -> Result<Hlc, StoreError> {
    let mut first_held: BTreeMap<LogKey, u64> = BTreeMap::new();
    for row in reader.held(space)?.iter().filter(|row| row.reason == HoldReason::Future as u32) {
        let seq = first_held.entry(row.log).or_insert(row.seq);
        *seq = row.seq.min(*seq);
    }
    let mut newest = Hlc::default();
    for log in reader.logs(space)? {
        let hlc = match first_held.get(&log.key) {
            None => log.hlc,
            Some(seq) => match reader.entry(log.key, seq - 1)? {
                Some(before) => decode_stored(&before)?.header.hlc,
                None => continue,
            },
        };
        newest = newest.max(hlc);
    }
    Ok(newest)
}

fn load_membership(
    reader: &Reader<'_>,
    key: SpaceKey,
    id: SpaceId,
    keys: &KeyRing,
) -> Result<Membership, StoreError> {
    let mut membership = Membership::new(id);
    for (_, stored) in reader.membership(key)? {
        let entry = decode_stored(&stored)?;
        let plain = open_body(&entry, keys).and_then(Result::ok).unwrap_or_default();
        let acts = ops::decode(&plain).map_err(|err| corrupt("read a membership entry", &err))?;
        membership.apply(&entry, &acts).map_err(|err| StoreError::Corrupt {
            doing: "apply a membership entry",
            reason: err.to_string(),
        })?;
    }
    Ok(membership)
}

fn append(tx: &mut Tx<'_>, log: LogKey, entry: &Entry) -> Result<(), StoreError> {
    tx.append(
        log,
        NewEntry {
            seq: entry.header.seq,
            hash: entry.hash,
            prev: entry.header.prev,
            hlc: entry.header.hlc,
            header: &entry.header_bytes,
            signature: &entry.signature.0,
            body: &entry.body,
        },
    )
}
