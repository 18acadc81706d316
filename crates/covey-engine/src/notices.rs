//! Notices of child spaces: sent in the parent's log to whoever was taken in, and followed by those they are for.
//!
//! A member can make children up, or found them by the hundred, and the spaces that a device may be in are bounded. So
//! each person gets no more room than is left for all others, whatever their devices; what is passed over for want of room
//! is remembered, and looked at again when there is some.

use covey_space::{ChildNews, KemPublic, MembershipOp, News, Notice, notice::MAX_SLOTS, ops};
use covey_store::StoreError;
use covey_types::{DeviceId, LogId, SpaceId, UserId, limits::MAX_SPACES_PER_SESSION, wire};
use serde::{Deserialize, Serialize};

use crate::{
    Deeds, Engine, EngineError, Ingested, Rows, RowsMut, Secrets, SpaceState,
    fold::Void,
    ingest::Place,
    load::{corrupt, decode_stored},
    prepare::open_body,
};

/// Children of one space of which one person's notices have told, and whose founding entry isn't here: a member can make up
/// as many.
const MAX_UNPROVED: usize = 64;

/// Spaces that there may be for another one to be entered by a notice: those that are founded or joined by hand always
/// find room in a session.
const MAX_SPACES: usize = MAX_SPACES_PER_SESSION / 4 * 3;

/// Where it's noted which notices were passed over for want of room.
const META: &str = "passed-over-notices";

/// Notices of one person in one space that are remembered: as many as may find room at once.
const MAX_PASSED_OVER_EACH: usize = MAX_UNPROVED;

/// Notices that are remembered in all: as many as there may be spaces.
const MAX_PASSED_OVER: usize = MAX_SPACES_PER_SESSION;

/// Longest stored list of them, bytes.
const MAX_PASSED_OVER_BYTES: usize = MAX_PASSED_OVER * 128;

/// Where a notice stands that was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct PassedOver {
    parent: SpaceId,
    log: LogId,
    seq: u64,
}

fn passed_over(rows: &impl Rows) -> Result<Vec<PassedOver>, StoreError> {
    let Some(bytes) = rows.meta(META)? else { return Ok(Vec::new()) };
    wire::decode("the notices that were passed over", &bytes, MAX_PASSED_OVER_BYTES)
        .map_err(|err| corrupt("read which notices were passed over", &err))
}

/// What to do about a notice.
enum Way {
    Open,
    /// What it tells of can't be.
    Closed,
    /// There's no room now.
    Full,
}

impl Engine {
    /// Tells devices in the parent's log that they were taken into the child; and this one too: should it go back to a copy
    /// of its home that is older than the child, its own notice comes back and leads it there again.
    pub(crate) fn notify(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        devices: &[(DeviceId, KemPublic)],
        wall_ms: u64,
    ) -> Result<Deeds, EngineError> {
        let author = secrets.device.id();
        let state = self.space(id)?;
        let parent = self.parent_of(state)?.id;
        let no_key = || EngineError::NoKey { space: state.name().to_owned() };
        let epoch = state.membership.current_epoch().ok_or_else(no_key)?;
        let (name, keys) = (state.name().to_owned(), state.info.keys.for_joining(epoch));
        let news = News::Child(ChildNews { space: id, name, keys });
        let others: Vec<_> = devices.iter().copied().filter(|(device, _)| *device != author).collect();
        let mut deeds = Deeds::new();
        for some in others.chunks(MAX_SLOTS - 1) {
            let to: Vec<_> = some.iter().copied().chain([(author, secrets.kem.public())]).collect();
            let notice = Notice::seal(parent, author, &to, &news);
            let notice = notice.ok_or_else(|| EngineError::Internal("a notice is too long".into()))?;
            let acts = [MembershipOp::Notice(notice)];
            deeds.push((parent, self.append_acts(rows, secrets, parent, wall_ms, &acts)?));
        }
        Ok(deeds)
    }

    /// Enters the children of which these acts tell this device.
    pub(crate) fn take_notices(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        place: Place<'_>,
        acts: &[MembershipOp],
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let (author, device) = (place.entry.header.log.device, secrets.device.id());
        let notices = acts.iter().filter_map(|act| match act {
            MembershipOp::Notice(notice) => Some(notice),
            _ => None,
        });
        for notice in notices {
            let Some(News::Child(news)) = notice.open(place.space, author, device, &secrets.kem) else {
                continue;
            };
            if author == device && self.spaces.contains_key(&news.space) {
                continue;
            }
            match self.way(place.space, news.space, author) {
                Way::Open => {}
                Way::Closed => {
                    tracing::warn!(%author, "a notice tells of what can't be a child space");
                    continue;
                }
                Way::Full => {
                    tracing::warn!(%author, "there's no room for the child space that a notice tells of");
                    self.pass_over(rows, place)?;
                    continue;
                }
            }
            let is_new = !self.spaces.contains_key(&news.space);
            self.enter(rows, news.space, &news.name, news.keys, (author, Some(place.space)))?;
            outcome.hears_of(news.space, is_new);
        }
        Ok(())
    }

    /// Enters the children of which entries tell that stand past the place where their author forked the log, and of which
    /// nothing else has told: with the log, their author knows nothing any more of having told.
    pub(crate) fn take_void_notices(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        voids: &[Void],
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        for (entry, acts) in voids {
            let (author, device) = (entry.header.log.device, secrets.device.id());
            let is_news = |act: &&MembershipOp| match act {
                MembershipOp::Notice(notice) => {
                    let told = notice.open(id, author, device, &secrets.kem);
                    told.is_some_and(|News::Child(news)| !self.spaces.contains_key(&news.space))
                }
                _ => false,
            };
            let news: Vec<_> = acts.iter().flatten().filter(is_news).cloned().collect();
            if news.is_empty() {
                continue;
            }
            let log = rows.ensure_log(self.space(id)?.key, entry.header.log)?;
            let place = Place { space: id, log, entry };
            self.take_notices(rows, secrets, place, &news, outcome)?;
        }
        Ok(())
    }

    /// Whether a notice in `parent` may tell of a child: it's new and there's room, or it's known as that one's child.
    fn way(&self, parent: SpaceId, child: SpaceId, author: DeviceId) -> Way {
        if self.space(parent).is_ok_and(|state| state.parent().is_some()) || parent == child {
            return Way::Closed;
        }
        match self.spaces.get(&child) {
            Some(known) if known.parent() == Some(parent) => Way::Open,
            Some(_) => Way::Closed,
            None if self.has_room_for(parent, author) => Way::Open,
            None => Way::Full,
        }
    }

    /// Whether one more child may be entered of which this device's user tells: of all spaces that they have led into there
    /// may be as many as there's room left for others.
    fn has_room_for(&self, parent: SpaceId, author: DeviceId) -> bool {
        let Some(user) = self.person(parent, author) else { return false };
        let is_theirs = |state: &&SpaceState| {
            let told = state.info.parent.zip(state.info.inviter);
            told.and_then(|(parent, by)| self.person(parent, by)) == Some(user)
        };
        let theirs: Vec<_> = self.spaces.values().filter(is_theirs).collect();
        let is_unproved =
            |state: &&&SpaceState| state.parent() == Some(parent) && !state.membership.is_founded();
        let unproved = theirs.iter().filter(is_unproved).count();
        theirs.len() + self.spaces.len() < MAX_SPACES && unproved < MAX_UNPROVED
    }

    /// Whose device it is, or was, in a space; or as whose it was let in, though that fell: others have followed what it told
    /// before they heard of that, so it must not depend on what is heard first.
    fn person(&self, space: SpaceId, device: DeviceId) -> Option<UserId> {
        let membership = &self.space(space).ok()?.membership;
        membership.user_of(device).or_else(|| membership.named_as(device))
    }

    /// Remembers a notice that was passed over for want of room.
    fn pass_over(&self, rows: &mut impl RowsMut, place: Place<'_>) -> Result<(), EngineError> {
        let header = &place.entry.header;
        let one = PassedOver { parent: place.space, log: header.log, seq: header.seq };
        let mut all = passed_over(rows)?;
        let user = self.person(one.parent, one.log.device);
        let is_theirs = |other: &&PassedOver| {
            other.parent == one.parent && self.person(other.parent, other.log.device) == user
        };
        let theirs = all.iter().filter(is_theirs).count();
        if all.contains(&one) || theirs >= MAX_PASSED_OVER_EACH || all.len() >= MAX_PASSED_OVER {
            return Ok(());
        }
        all.push(one);
        Ok(rows.set_meta(META, &wire::encode(&all))?)
    }

    /// Follows notices in a space, or in the parent of a child, that were passed over before, as far as there's room now.
    pub(crate) fn look_at_notices_again(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let parent = self.space(id)?.parent().unwrap_or(id);
        for one in passed_over(rows)?.into_iter().filter(|one| one.parent == parent) {
            if !self.has_room_for(parent, one.log.device) {
                continue;
            }
            let rest: Vec<_> = passed_over(rows)?.into_iter().filter(|other| *other != one).collect();
            rows.set_meta(META, &wire::encode(&rest))?;
            let state = self.space(parent)?;
            let Some(row) = rows.logs(state.key)?.into_iter().find(|row| row.id == one.log) else { continue };
            let Some(stored) = rows.entry(row.key, one.seq)? else { continue };
            let entry = decode_stored(&stored)?;
            // It may have turned out not to count.
            let opened = open_body(&entry, &state.info.keys).and_then(Result::ok);
            let acts = opened.filter(|_| state.membership.knows_all(&[entry.hash]));
            let Some(Ok(acts)) = acts.map(|plain| ops::decode(&plain)) else { continue };
            let place = Place { space: parent, log: row.key, entry: &entry };
            self.take_notices(rows, secrets, place, &acts, outcome)?;
        }
        Ok(())
    }
}
