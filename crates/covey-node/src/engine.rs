//! Where the cores and the store meet: appending own entries, ingesting those of others, applying both.
//!
//! [`Engine`] is what the node keeps in memory of its store: memberships, keys, the clock, device numbers. It's
//! changed only inside the store's writing closures, so that memory and disk move together. When a
//! transaction fails after memory has moved, memory is marked stale and read afresh before the next write: the
//! disk is always right.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use covey_log::{BodyContext, Draft, Entry, Header, Kind, open, seal};
use covey_space::{KeyRing, Membership, MembershipError, MembershipOp, Role, SealedKey, Verdict, ops};
use covey_store::{LogKey, NewEntry, Reader, SpaceKey, StoreError, StoredEntry, Tx};
use covey_types::{
    DeviceId, EntryHash, Head, Hlc, HlcClock, Incarnation, LogId, Signature, SpaceId, UserId,
    keys::random_bytes,
    limits::{MAX_LOGS_PER_DEVICE, MAX_LOGS_PER_SPACE},
    wire::{self, DecodeError},
};
use serde::{Deserialize, Serialize};

use crate::{
    NodeError,
    apply::{self, Writer},
    devices::DeviceTable,
    identity::Secrets,
};

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

/// Entries of one space that were checked as far as that goes without the store.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) entry: Arc<Entry>,
    /// The opened body; `None` if the key isn't here; an error if the body is bad.
    plain: Option<Result<Vec<u8>, String>>,
}

/// What became of ingested entries.
#[derive(Debug, Default)]
pub(crate) struct Ingested {
    /// Entries that are new here.
    pub(crate) stored: Vec<Arc<Entry>>,
    /// How far the logs concerned reach now.
    pub(crate) durable: BTreeMap<LogId, Head>,
    /// Logs of which something did not fit, and whether that was a fork.
    pub(crate) rejected: BTreeMap<LogId, bool>,
    /// Whether anyone joined or changed.
    pub(crate) membership_changed: bool,
    /// Devices that joined, and their users' names.
    pub(crate) joined: Vec<(DeviceId, String)>,
    /// Entries from the future: who, and how far ahead.
    pub(crate) from_the_future: BTreeMap<DeviceId, u64>,
    /// Entries that are stored and will never be applied, and why.
    pub(crate) refused: Vec<(LogId, u64, String)>,
}

impl Ingested {
    /// Adds what became of further entries. The entries themselves were told of already.
    pub(crate) fn merge(&mut self, later: Self) {
        self.durable.extend(later.durable);
        self.rejected.extend(later.rejected);
        self.refused.extend(later.refused);
    }
}

fn context(header: &Header) -> BodyContext {
    BodyContext { space: header.space, log: header.log, seq: header.seq, kind: header.kind }
}

/// Checks signatures and opens bodies, from the front: the costly part, done outside the store's writer. Takes as many
/// as fit into [`PREPARED_BYTES`] once opened (a little sealed body may open to a large one), and at least one.
///
/// # Errors
/// The first entry whose signature is wrong; none of them may be used then.
pub(crate) fn prepare(
    entries: &mut VecDeque<Entry>,
    keys: &KeyRing,
) -> Result<Vec<Prepared>, covey_log::EntryError> {
    let mut prepared = Vec::new();
    let mut opened = 0;
    while opened < PREPARED_BYTES && !entries.is_empty() {
        let group: Vec<Entry> = entries.drain(..entries.len().min(PREPARED_GROUP)).collect();
        for one in prepare_group(group, keys)? {
            opened += one.plain.as_ref().and_then(|plain| plain.as_ref().ok()).map_or(0, Vec::len);
            prepared.push(one);
        }
    }
    Ok(prepared)
}

/// Bytes of opened bodies that wait for one transaction.
const PREPARED_BYTES: usize = 16 << 20;

/// Entries opened before their sizes are added up: with the largest bodies that is 128 MiB more, for a moment.
const PREPARED_GROUP: usize = 32;

/// Two threads share a group: both cores check signatures.
fn prepare_group(mut first: Vec<Entry>, keys: &KeyRing) -> Result<Vec<Prepared>, covey_log::EntryError> {
    let one = |entry: Entry| -> Result<Prepared, covey_log::EntryError> {
        entry.verify()?;
        let plain = open_body(&entry, keys);
        Ok(Prepared { entry: Arc::new(entry), plain })
    };
    if first.len() < PREPARED_GROUP {
        return first.into_iter().map(one).collect();
    }
    let second = first.split_off(first.len() / 2);
    std::thread::scope(|scope| {
        let other = scope.spawn(move || second.into_iter().map(one).collect::<Result<Vec<_>, _>>());
        let mut all = first.into_iter().map(one).collect::<Result<Vec<_>, _>>()?;
        all.extend(other.join().expect("checking entries does not panic")?);
        Ok(all)
    })
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

    /// Stores entries of others and applies what can be applied.
    pub(crate) fn ingest(
        &mut self,
        tx: &mut Tx<'_>,
        id: SpaceId,
        prepared: Vec<Prepared>,
        wall_ms: u64,
    ) -> Result<Ingested, NodeError> {
        let mut outcome = Ingested::default();
        let mut logs = LogCursors::load(tx, self.space(id)?.key)?;
        for Prepared { entry, plain } in prepared {
            let log = entry.header.log;
            if outcome.rejected.contains_key(&log) {
                continue;
            }
            if !self.is_welcome(id, &entry)? {
                outcome.rejected.insert(log, false);
                continue;
            }
            if !logs.has_room_for(log) {
                tracing::warn!(%log, "its device has more logs than it may have");
                outcome.rejected.insert(log, true);
                continue;
            }
            let cursor = logs.cursor(tx, log)?;
            match entry.follows(cursor.head, cursor.hlc) {
                Ok(()) => {}
                Err(covey_log::ChainError::Known { seq }) => {
                    if tx.hash_at(cursor.key, seq)?.is_some_and(|here| here != entry.hash) {
                        tracing::warn!(%log, seq, "another entry stands here at this place: the log is forked");
                        outcome.rejected.insert(log, true);
                    } else {
                        outcome.durable.insert(log, cursor.head);
                    }
                    continue;
                }
                Err(err) => {
                    tracing::warn!(%log, %err, "an entry does not fit");
                    outcome.rejected.insert(log, matches!(err, covey_log::ChainError::Fork { .. }));
                    continue;
                }
            }
            append(tx, cursor.key, &entry)?;
            cursor.head = entry.head();
            cursor.hlc = entry.header.hlc;
            let key = cursor.key;
            outcome.durable.insert(log, entry.head());
            self.take(tx, id, key, &entry, plain, wall_ms, &mut outcome)?;
            outcome.stored.push(entry);
        }
        if outcome.membership_changed {
            self.release_held(tx, id, HoldReason::Past, wall_ms, &mut outcome)?;
        }
        self.devices.save(tx)?;
        Ok(outcome)
    }

    /// Whether an entry may be stored at all: its author is one of the space's devices, or it founds the space.
    fn is_welcome(&self, id: SpaceId, entry: &Entry) -> Result<bool, NodeError> {
        let state = self.space(id)?;
        Ok(entry.space() == id
            && (entry.header.kind == Kind::FOUNDING || state.membership.may_have_log(&entry.header.log)))
    }

    /// Applies a stored entry, or notes why that has to wait.
    #[expect(clippy::too_many_arguments, reason = "one step of ingesting, split off for reading")]
    fn take(
        &mut self,
        tx: &mut Tx<'_>,
        id: SpaceId,
        log: LogKey,
        entry: &Entry,
        plain: Option<Result<Vec<u8>, String>>,
        wall_ms: u64,
        outcome: &mut Ingested,
    ) -> Result<(), NodeError> {
        let Header { hlc, seq, log: log_id, .. } = entry.header;
        if let Err(err) = self.clock.observe(hlc, wall_ms) {
            outcome.from_the_future.insert(log_id.device, err.ahead_ms);
            let until = hlc.wall_ms().saturating_sub(covey_types::limits::MAX_CLOCK_DRIFT_MS);
            return Ok(tx.hold(log, seq, HoldReason::Future as u32, until)?);
        }
        match plain {
            None => Ok(tx.hold(log, seq, HoldReason::Key as u32, u64::MAX >> 1)?),
            Some(Err(reason)) => {
                outcome.refused.push((log_id, seq, reason));
                Ok(())
            }
            Some(Ok(plain)) => self.apply(tx, id, log, entry, &plain, Writer::Elsewhere, outcome),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one step of ingesting, split off for reading")]
    fn apply(
        &mut self,
        tx: &mut Tx<'_>,
        id: SpaceId,
        log: LogKey,
        entry: &Entry,
        plain: &[u8],
        writer: Writer,
        outcome: &mut Ingested,
    ) -> Result<(), NodeError> {
        if !entry.is_understood() {
            return Ok(tx.hold(log, entry.header.seq, HoldReason::Unknown as u32, u64::MAX >> 1)?);
        }
        if entry.header.kind.is_membership() {
            return self.apply_membership(tx, id, log, entry, plain, outcome);
        }
        let header = &entry.header;
        let state = self.spaces.get_mut(&id).expect("entries are applied to spaces that are here");
        match state.may_write(header.log.device, &header.deps) {
            Verdict::Unknown => {
                return Ok(tx.hold(log, header.seq, HoldReason::Past as u32, u64::MAX >> 1)?);
            }
            Verdict::Refused => {
                outcome.refused.push((
                    header.log,
                    header.seq,
                    "its author may not write in this space".into(),
                ));
                return Ok(());
            }
            Verdict::Allowed => {}
        }
        let space = state.key;
        match apply::apply(tx, space, &mut self.devices, header, plain, writer) {
            Ok(0) => Ok(()),
            Ok(_) => Ok(tx.hold(log, header.seq, HoldReason::PartlyUnknown as u32, u64::MAX >> 1)?),
            Err(apply::ApplyError::Body(err)) => {
                outcome.refused.push((header.log, header.seq, err.to_string()));
                Ok(())
            }
            Err(apply::ApplyError::Store(err)) => Err(err.into()),
            Err(apply::ApplyError::TooLarge { len }) => {
                let what = "a record, merged with this change,";
                Err(NodeError::TooLarge { what, len, max: apply::MAX_MERGED_BYTES })
            }
        }
    }

    fn apply_membership(
        &mut self,
        tx: &mut Tx<'_>,
        id: SpaceId,
        log: LogKey,
        entry: &Entry,
        plain: &[u8],
        outcome: &mut Ingested,
    ) -> Result<(), NodeError> {
        let state = self.spaces.get_mut(&id).expect("entries are applied to spaces that are here");
        let header = &entry.header;
        let acts = match ops::decode(plain) {
            Ok(acts) => acts,
            Err(err) => {
                outcome.refused.push((header.log, header.seq, err.to_string()));
                return Ok(());
            }
        };
        match state.membership.apply(entry, &acts) {
            Ok(()) => {
                tx.add_membership(state.key, entry.hash, log, header.seq)?;
                outcome.membership_changed = true;
                outcome.joined.extend(acts.iter().flat_map(joined_by));
            }
            Err(MembershipError::MissingPast) => {
                tx.hold(log, header.seq, HoldReason::Past as u32, u64::MAX >> 1)?;
            }
            Err(err) => outcome.refused.push((header.log, header.seq, err.to_string())),
        }
        Ok(())
    }

    /// Tries held entries again: those that wait for membership, or those whose time has come.
    pub(crate) fn release_held(
        &mut self,
        tx: &mut Tx<'_>,
        id: SpaceId,
        reason: HoldReason,
        wall_ms: u64,
        outcome: &mut Ingested,
    ) -> Result<(), NodeError> {
        // Each round that changes the membership may free more; there are at most as many as held entries.
        loop {
            // What changed the membership may itself have been held, for another reason than those that wait for it.
            let past_is_due = outcome.membership_changed;
            let due = |row: &covey_store::HeldRow| {
                row.reason == reason as u32 && (reason != HoldReason::Future || row.until_ms <= wall_ms)
                    || past_is_due && row.reason == HoldReason::Past as u32
                    || reason == HoldReason::Unknown && row.reason == HoldReason::PartlyUnknown as u32
            };
            let held: Vec<_> = tx.held(self.space(id)?.key)?.into_iter().filter(due).collect();
            let mut round = Ingested::default();
            for row in &held {
                let Some(stored) = tx.entry(row.log, row.seq)? else { continue };
                let entry = decode_stored(&stored)?;
                let plain = open_body(&entry, &self.space(id)?.info.keys);
                tx.release(row.log, row.seq)?;
                self.take(tx, id, row.log, &entry, plain, wall_ms, &mut round)?;
            }
            outcome.refused.append(&mut round.refused);
            outcome.joined.append(&mut round.joined);
            outcome.membership_changed |= round.membership_changed;
            if !round.membership_changed {
                return Ok(());
            }
        }
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

fn joined_by(act: &MembershipOp) -> Vec<(DeviceId, String)> {
    match act {
        MembershipOp::AddMember(add) => {
            add.devices.iter().map(|device| (device.cert.device, add.user_name.clone())).collect()
        }
        _ => Vec::new(),
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

/// How far each log reaches, while a batch is ingested.
struct LogCursors {
    space: SpaceKey,
    logs: BTreeMap<LogId, LogCursor>,
}

struct LogCursor {
    key: LogKey,
    head: Head,
    hlc: Hlc,
}

impl LogCursors {
    fn load(tx: &Tx<'_>, space: SpaceKey) -> Result<Self, StoreError> {
        let rows = tx.logs(space)?.into_iter();
        let logs =
            rows.map(|row| (row.id, LogCursor { key: row.key, head: row.head, hlc: row.hlc })).collect();
        Ok(Self { space, logs })
    }

    /// Whether a log is here already, or may be begun.
    fn has_room_for(&self, log: LogId) -> bool {
        let of_device = |incarnation| LogId { device: log.device, incarnation };
        let all_of_device = of_device(Incarnation(u64::MIN))..=of_device(Incarnation(u64::MAX));
        self.logs.contains_key(&log)
            || self.logs.len() < MAX_LOGS_PER_SPACE
                && self.logs.range(all_of_device).count() < MAX_LOGS_PER_DEVICE
    }

    fn cursor(&mut self, tx: &mut Tx<'_>, log: LogId) -> Result<&mut LogCursor, StoreError> {
        if let std::collections::btree_map::Entry::Vacant(slot) = self.logs.entry(log) {
            let key = tx.ensure_log(self.space, log)?;
            slot.insert(LogCursor { key, head: Head::EMPTY, hlc: Hlc::default() });
        }
        Ok(self.logs.get_mut(&log).expect("it was put there"))
    }
}

/// Loads entries for a peer in causal order: by time, which no author sets before what it had seen.
pub(crate) fn load_for_peer(
    reader: &Reader<'_>,
    space: SpaceKey,
    wants: &[(LogId, u64)],
    max_bytes: usize,
) -> Result<Vec<Entry>, StoreError> {
    /// Most entries of one log that are looked at for one batch.
    const CHUNK: usize = 1024;
    /// Least that is read of each log for one batch.
    const MIN_SHARE_BYTES: usize = 8 << 10;
    let keys: BTreeMap<LogId, LogKey> =
        reader.logs(space)?.into_iter().map(|row| (row.id, row.key)).collect();
    let mut entries = Vec::new();
    // Past the last entry of a log of which there is more, nothing is known: stop before that time.
    let mut horizon = Hlc::from_u64(u64::MAX);
    let wanted: BTreeSet<_> = wants.iter().collect();
    // Of many logs little of each: what is not sent in this batch is read again for the next.
    let share = (max_bytes / wanted.len().max(1)).max(MIN_SHARE_BYTES);
    for (log, from) in wanted {
        let Some(key) = keys.get(log) else { continue };
        let stored = reader.entries(*key, *from, share, CHUNK)?;
        let size: usize = stored.iter().map(StoredEntry::size_bytes).sum();
        let more = stored.len() >= CHUNK || size >= share;
        for row in &stored {
            entries.push(decode_stored(row)?);
        }
        if let Some(last) = entries.last().filter(|_| more && !stored.is_empty()) {
            horizon = horizon.min(last.header.hlc);
        }
    }
    entries.sort_by_key(|entry| (entry.header.hlc, entry.header.log));
    let mut size = 0;
    let mut count = 0;
    for entry in &entries {
        if count > 0 && (entry.header.hlc > horizon || size >= max_bytes) {
            break;
        }
        size += entry.body.len() + entry.header_bytes.len();
        count += 1;
    }
    entries.truncate(count);
    Ok(entries)
}
