//! Read marks as they come: what they say is read, and which messages came behind them.

use covey_chat::{ids, mark::Mark};
use covey_engine::Engine;
use covey_records::Record;
use covey_store::{ChatKey, ChatMark, StoreError, Tx};
use covey_types::{Hlc, UserId};

use super::{
    has_read,
    project::{News, Place, Projector, names, tag_bytes},
    rooms::Home,
};
use crate::NodeError;

impl Projector {
    /// Notes which of these messages stand before the place up to which this user has read on some device, and were there
    /// read on none: they came later.
    pub(super) fn note_late(
        &self,
        tx: &mut Tx<'_>,
        channel: ChatKey,
        messages: Vec<(i64, Hlc, String)>,
    ) -> Result<(), NodeError> {
        let marks = marks_of(tx, channel, self.user)?;
        let here = tx.chat_read_here(channel)?;
        let furthest = marks.iter().map(|mark| &mark.at).max().max(here.as_ref());
        for (number, hlc, id) in messages {
            let is_passed = furthest.is_some_and(|at| (at.0, at.1.as_str()) >= (hlc, id.as_str()));
            if is_passed && !marks.iter().any(|mark| has_read(mark, (hlc, &id))) {
                tx.add_chat_late(channel, number)?;
            }
        }
        Ok(())
    }

    pub(super) fn mark(
        &self,
        tx: &mut Tx<'_>,
        engine: &Engine,
        place: Place,
        (id, tag, rest): (&str, &str, &str),
        record: &Record,
        news: &mut News,
    ) -> Result<(), NodeError> {
        if !(ids::is_channel(rest) || rest == ids::MAIN) {
            return Ok(());
        }
        let channel = tx.ensure_chat_channel(place.key, rest)?;
        let names = names(tx, place, ids::MARKS, id)?;
        let said = Mark::parse(record, names.iter().map(String::as_str));
        let user =
            said.as_ref().map(|mark| engine.space(place.id).map(|space| space.author(mark.stamp.device)));
        let (Some(said), Some(user)) = (said, user.transpose()?.flatten()) else {
            return Ok(tag_bytes(tag).map_or(Ok(()), |tag| tx.drop_chat_mark(channel, &tag))?);
        };
        let Mark { stamp, upto, seen } = said;
        let mark = ChatMark { device: stamp.device, user, written: stamp.hlc, at: (upto.hlc, upto.id), seen };
        let before = marks_of(tx, channel, self.user)?.into_iter().map(|mark| mark.at).max();
        let before = before.max(tx.chat_read_here(channel)?);
        tx.put_chat_mark(channel, &mark)?;
        if user == self.user {
            for (number, hlc, id) in tx.chat_late(channel)? {
                if has_read(&mark, (hlc, &id)) {
                    tx.drop_chat_late(number)?;
                }
            }
            // What this device itself has marked as read was here.
            let before = before.unwrap_or_default();
            if stamp.device != self.device && mark.at > before {
                let passed = tx.chat_between(channel, self.user, (&before, &mark.at))?;
                self.note_late(tx, channel, passed)?;
            }
        }
        news.channel(place, rest);
        Ok(())
    }
}

/// Notes on this device alone that a channel was read up to a place; whether that says anything new.
///
/// # Errors
/// The store's.
pub(super) fn read_here(tx: &mut Tx<'_>, home: &Home, at: &(Hlc, String)) -> Result<bool, StoreError> {
    let channel = tx.ensure_chat_channel(home.key, &home.inner)?;
    let is_further = tx.chat_read_here(channel)?.is_none_or(|before| before < *at);
    if is_further {
        tx.set_chat_read_here(channel, at)?;
    }
    let late = tx.chat_late(channel)?;
    let read: Vec<_> =
        late.into_iter().filter(|(_, hlc, id)| (*hlc, id.as_str()) <= (at.0, at.1.as_str())).collect();
    for (number, ..) in &read {
        tx.drop_chat_late(*number)?;
    }
    Ok(is_further || !read.is_empty())
}

/// How far a user has read a channel, on each of their devices.
fn marks_of(tx: &Tx<'_>, channel: ChatKey, user: UserId) -> Result<Vec<ChatMark>, StoreError> {
    Ok(tx.chat_marks(channel)?.into_iter().filter(|mark| mark.user == user).collect())
}
