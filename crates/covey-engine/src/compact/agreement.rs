//! The agreement on a checkpoint: an entry of its log that holds everybody's words.
//!
//! What a device says of checkpoints stands in its own log, and may be dropped there, or fall with a history that doesn't
//! count. So the author puts the words that were needed, as they were signed, into an entry of kind
//! [`Kind::AGREED`] behind the checkpoint. That entry alone proves the agreement to whoever knows the membership that the
//! checkpoint's first entry names, whenever they come, and whatever became of the logs that the words stood in. Whether a
//! checkpoint is agreed to follows from that and from who has put the author out, so it's the same on all replicas that know the
//! same of the membership; `again` sees to what falls when that changes.

use std::collections::{BTreeMap, BTreeSet};

use covey_log::{Entry, Kind, SignedHeader, fork::MAX_AGREED_BYTES};
use covey_space::Membership;
use covey_store::LogKey;
use covey_types::{DeviceId, EntryHash, Head, LogId, Signature, wire};
use serde::{Deserialize, Serialize};

use crate::{EngineError, Rows, RowsMut, load::corrupt};

/// Longest list of words on checkpoints, bytes: twice what [`AGREED_AT_ONCE`](super::plan::AGREED_AT_ONCE) take.
const MAX_SEEN_BYTES: usize = 4 << 10;

/// Words of one agreement: the devices of all who may put others out. What is longer is not believed.
const MAX_WORDS: usize = 1024;

/// That a device has found a checkpoint true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Of which log.
    pub log: LogId,
    /// The entry that begins the checkpoint.
    pub begin: Head,
    /// Its last entry.
    pub last: Head,
}

/// The words in an entry of kind [`Kind::SEEN`].
///
/// # Errors
/// Why it can't be read.
pub fn read_seen(body: &[u8]) -> Result<Vec<Seen>, String> {
    wire::decode("a word on checkpoints", body, MAX_SEEN_BYTES).map_err(|err| err.to_string())
}

/// A checkpoint that all have found true who had to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// The entry that says so.
    pub at: Head,
    /// The entry that begins the checkpoint.
    pub begin: Head,
    /// Its last entry.
    pub last: Head,
}

/// An entry as it was signed: header, signature, body.
pub(super) type Signed = (Vec<u8>, Signature, Vec<u8>);

/// The body of an entry of kind [`Kind::AGREED`].
#[derive(Serialize, Deserialize)]
struct Wire {
    /// The header of the entry that begins the checkpoint.
    begin: (Vec<u8>, Signature),
    last: Head,
    words: Vec<Signed>,
}

/// What an entry of kind [`Kind::AGREED`] claims. All signatures in it are right.
#[derive(Debug)]
pub struct Claim {
    /// What is said to be agreed to.
    pub agreement: Agreement,
    /// Whose words are in it.
    pub said_by: BTreeSet<DeviceId>,
    log: LogId,
    /// The membership that the checkpoint's author knew.
    deps: Vec<EntryHash>,
}

impl Claim {
    /// Reads a claim, whose own signature was checked.
    ///
    /// # Errors
    /// Why it's none.
    pub fn read(entry: &Entry) -> Result<Self, String> {
        Self::decode(entry, true)
    }

    /// As [`Claim::read`], of an entry whose words' signatures were checked when it came.
    pub(crate) fn of_stored(entry: &Entry) -> Result<Self, String> {
        Self::decode(entry, false)
    }

    fn decode(entry: &Entry, verify: bool) -> Result<Self, String> {
        let log = entry.header.log;
        if entry.header.kind != Kind::AGREED || entry.body.len() > MAX_AGREED_BYTES {
            return Err("it is no agreement on a checkpoint".into());
        }
        let wire: Wire = wire::decode("an agreement on a checkpoint", &entry.body, MAX_AGREED_BYTES)
            .map_err(|err| err.to_string())?;
        let (header, signature) = &wire.begin;
        let begin = SignedHeader::verified(header, *signature).map_err(|err| err.to_string())?;
        let (first, last) = (&begin.header, wire.last);
        if first.log != log || first.space != entry.header.space || first.kind != Kind::CHECKPOINT {
            return Err("it does not begin with a checkpoint of its log".into());
        }
        if first.seq < 2 || first.seq >= last.seq || last.seq >= entry.header.seq {
            return Err("its places are not in order".into());
        }
        if wire.words.len() > MAX_WORDS {
            return Err("it holds more words than there may be".into());
        }
        let seen = Seen { log, begin: Head { seq: first.seq, hash: begin.hash }, last };
        let words = wire.words.iter().map(|word| word_by(word, seen, entry, verify));
        let said_by = words.collect::<Result<_, _>>()?;
        let agreement = Agreement { at: entry.head(), begin: seen.begin, last };
        Ok(Self { agreement, log, deps: begin.header.deps, said_by })
    }

    /// The body of an entry that says that all agree to the checkpoint from `begin` to `last`: their words on it, as they were
    /// signed.
    pub fn body<'a>(begin: &Entry, last: Head, words: impl IntoIterator<Item = &'a Entry>) -> Vec<u8> {
        encode(begin, last, words.into_iter().map(signed).collect())
    }

    /// Whether all have given their word who had to: those who might limit somebody, by the membership that the
    /// checkpoint's author knew, and whoever has put the author out before the agreement. `None` if that isn't here.
    /// Who put themself out before it, or was by their other device, had nothing to agree to any more.
    ///
    /// The author can't leave out what they have themselves said of the membership. What stands in the log up to `head` is
    /// theirs; what lies apart behind it may be of another history.
    pub(crate) fn holds(&self, membership: &Membership, head: u64) -> Option<bool> {
        let begin = self.agreement.begin.seq;
        let needed = membership.limiters_at(&self.deps)?;
        let before = begin.min(head.saturating_add(1));
        let names_own = membership.unnamed_acts(self.log, before, &self.deps)?.is_empty();
        let has_agreed = |device: &DeviceId| *device == self.log.device || self.said_by.contains(device);
        let limits = membership.limits_on(self.log, &self.deps)?;
        let is_before = limits.iter().any(|(by, end, _)| {
            // Who has given their word has seen the checkpoint, and not yet the agreement.
            let said = self.said_by.contains(by);
            let seen = if said { self.agreement.last.seq } else { self.agreement.at.seq };
            *end < seen && !self.is_excused(*by, membership)
        });
        Some(names_own && needed.iter().all(has_agreed) && !is_before)
    }

    /// Whether a limit that a device has set takes nothing from the agreement: its word is in it, and it's still among those who
    /// have to agree. Those who aren't any more may sign what they like, as of any time.
    fn is_excused(&self, by: DeviceId, membership: &Membership) -> bool {
        self.said_by.contains(&by) && membership.limiters().contains(&by)
    }

    /// Whether the log has another history here, which is the one that somebody had seen who put the author out and whose word
    /// isn't in the agreement. Whoever was put out makes others of any length.
    pub(crate) fn is_of_unseen_history(
        &self,
        rows: &impl Rows,
        log: LogKey,
        membership: &Membership,
    ) -> Result<bool, EngineError> {
        let begin = self.agreement.begin;
        if rows.hash_at(log, begin.seq)?.is_none_or(|here| here == begin.hash) {
            return Ok(false);
        }
        for (by, _, cut) in membership.limits_on(self.log, &self.deps).unwrap_or_default() {
            let cut = cut.filter(|cut| cut.seq >= begin.seq && !self.is_excused(by, membership));
            let Some(cut) = cut else { continue };
            if rows.hash_at(log, cut.seq)? == Some(cut.hash) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn signed(entry: &Entry) -> Signed {
    (entry.header_bytes.to_vec(), entry.signature, entry.body.to_vec())
}

fn encode(begin: &Entry, last: Head, words: Vec<Signed>) -> Vec<u8> {
    wire::encode(&Wire { begin: (begin.header_bytes.to_vec(), begin.signature), last, words })
}

/// Who says this of a checkpoint.
fn word_by(
    (header, signature, body): &Signed,
    seen: Seen,
    of: &Entry,
    verify: bool,
) -> Result<DeviceId, String> {
    let entry = Entry::decode(header, *signature, body).map_err(|err| err.to_string())?;
    if entry.header.kind != Kind::SEEN || entry.header.space != of.header.space {
        return Err("a word in it is none".into());
    }
    if !read_seen(body)?.contains(&seen) {
        return Err("a word in it is about something else".into());
    }
    if verify {
        entry.verify().map_err(|err| err.to_string())?;
    }
    Ok(entry.header.log.device)
}

/// The words on the own log's newest checkpoint, until they are put into an agreement.
pub(super) struct Collected {
    words: BTreeMap<DeviceId, Signed>,
}

impl Collected {
    pub(super) fn load(rows: &(impl Rows + ?Sized), log: LogKey) -> Result<Self, EngineError> {
        let words = match rows.meta(&name(log))? {
            None => BTreeMap::new(),
            Some(bytes) => wire::decode("words on the own checkpoint", &bytes, 2 * MAX_AGREED_BYTES)
                .map_err(|err| corrupt("read the words on the own checkpoint", &err))?,
        };
        Ok(Self { words })
    }

    /// Keeps the entry with a device's word on the newest checkpoint. Words of more devices than fit are left out: then
    /// nothing is agreed to.
    pub(super) fn keep(
        mut self,
        rows: &mut (impl RowsMut + ?Sized),
        log: LogKey,
        entry: &Entry,
    ) -> Result<(), EngineError> {
        let signed = signed(entry);
        let size = |(header, _, body): &Signed| header.len() + body.len() + 128;
        self.words.remove(&entry.header.log.device);
        let total: usize = self.words.values().map(size).sum();
        if total + size(&signed) <= MAX_AGREED_BYTES && self.words.len() < MAX_WORDS {
            self.words.insert(entry.header.log.device, signed);
            rows.set_meta(&name(log), &wire::encode(&self.words))?;
        }
        Ok(())
    }

    /// Whether a device has said this.
    pub(super) fn says(&self, device: DeviceId, seen: &Seen) -> bool {
        let says = |(_, _, body): &Signed| read_seen(body).is_ok_and(|said| said.contains(seen));
        self.words.get(&device).is_some_and(says)
    }

    /// The body of the entry that says that all agree, if all do who have to; `None` if somebody's word is missing.
    pub(super) fn agreement(self, begin: &Entry, last: Head, membership: &Membership) -> Option<Vec<u8>> {
        let seen = Seen { log: begin.header.log, begin: begin.head(), last };
        let mut needed = membership.limiters_at(&begin.header.deps)?;
        // Those who may limit the author by now: with their word in it, what they say of it later lies behind.
        needed.extend(membership.limiters());
        needed.remove(&seen.log.device);
        if !needed.iter().all(|device| self.says(*device, &seen)) {
            return None;
        }
        let words = needed.iter().filter_map(|device| self.words.get(device).cloned()).collect();
        let body = encode(begin, last, words);
        (body.len() <= MAX_AGREED_BYTES).then_some(body)
    }
}

fn name(log: LogKey) -> String {
    format!("words/{}", log.number())
}
