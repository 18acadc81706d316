//! Messages, what is said about them, and what they look like then.
//!
//! A message is an own record of the device that sent it. Its author is the user of that device: no field says so. From
//! the same device it's edited in place; from another device of the same user, by an [`Edit`] of that one. A message is
//! deleted by its author, or by somebody who was an admin when they did it; a deletion stays. What anybody else says of it
//! has no effect.

use std::collections::BTreeMap;

use covey_records::{Record, Stamp};
use covey_types::UserId;

use crate::{
    Position, fields, ids,
    limits::{MAX_EMOJI_BYTES, MAX_MENTIONS, MAX_REACTIONS, MAX_TEXT_BYTES},
    text,
};

/// A message as its own device has written it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// The channel, by its id in the space.
    pub channel: String,
    /// When it was first written, and by which device.
    pub sent: Stamp,
    /// The text, and when it was written.
    pub text: (Stamp, String),
    /// Who is mentioned.
    pub mentions: Vec<UserId>,
    /// The message that it answers.
    pub reply_to: Option<String>,
    /// The first message of its thread.
    pub root: Option<String>,
    /// Whether its own device has deleted it.
    pub deleted: bool,
}

impl Message {
    /// What is to be read in a record of [`ids::MESSAGES`]; `None` if that is no message.
    pub fn parse(id: &str, record: &Record) -> Option<Self> {
        let (sent, channel) = fields::text(record, "in")?;
        let (written, text) = fields::text(record, "text")?;
        if !ids::is_message(id)
            || text.len() > MAX_TEXT_BYTES
            || !(ids::is_channel(&channel) || channel == ids::MAIN)
        {
            return None;
        }
        let other = |name| {
            let (_, other) = fields::text(record, name)?;
            (ids::is_message(&other) && other != id).then_some(other)
        };
        let reply_to = other("reply");
        Some(Self {
            id: id.to_owned(),
            channel,
            sent,
            text: (written, text::clean(&text)),
            mentions: mentions(record),
            root: reply_to.as_ref().and_then(|reply| other("root").or_else(|| Some(reply.clone()))),
            reply_to,
            deleted: is_deleted(record),
        })
    }

    /// Its place in the channel.
    pub fn position(&self) -> Position {
        Position { hlc: self.sent.hlc, id: self.id.clone() }
    }

    /// What it looks like, given what other devices have said of it.
    pub fn shown(&self, edits: &[Edit], by: impl Fn(&Edit) -> Right) -> Shown {
        let mut newest = (self.text.0, self.text.1.as_str(), self.mentions.as_slice());
        let mut deleted = self.deleted;
        for edit in edits {
            let right = by(edit);
            deleted |= edit.deleted && right != Right::None;
            if let Some((stamp, text)) = &edit.text
                && right == Right::Author
                && *stamp > newest.0
            {
                newest = (*stamp, text, &edit.mentions);
            }
        }
        if deleted {
            return Shown { deleted, ..Shown::default() };
        }
        let (stamp, text, mentions) = newest;
        Shown {
            text: text.to_owned(),
            mentions: mentions.to_vec(),
            edited: stamp != self.sent,
            deleted: text.is_empty(),
        }
    }
}

/// What the one who wrote an edit may do with the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Nothing.
    None,
    /// Delete it: they were an admin.
    Admin,
    /// Anything: it's theirs.
    Author,
}

/// What another device than the message's has said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Who said it, and when at last.
    pub stamp: Stamp,
    /// The new text.
    pub text: Option<(Stamp, String)>,
    /// Who is mentioned in it.
    pub mentions: Vec<UserId>,
    /// Whether it's deleted.
    pub deleted: bool,
}

impl Edit {
    /// What is to be read in a record of [`ids::EDITS`]; `None` if that is nothing.
    pub fn parse(record: &Record) -> Option<Self> {
        let new = fields::text(record, "text").filter(|(_, text)| text.len() <= MAX_TEXT_BYTES);
        let new = new.map(|(stamp, text)| (stamp, text::clean(&text)));
        let deletion = fields::flag(record, "deleted").filter(|(_, deleted)| *deleted);
        // A deletion is judged by when it was made, an edit by whose it is.
        let stamp = deletion.map(|(stamp, _)| stamp).or_else(|| new.as_ref().map(|(stamp, _)| *stamp))?;
        Some(Self { stamp, text: new, mentions: mentions(record), deleted: deletion.is_some() })
    }
}

fn mentions(record: &Record) -> Vec<UserId> {
    fields::users(record, "mentions", MAX_MENTIONS).map(|(_, users)| users).unwrap_or_default()
}

fn is_deleted(record: &Record) -> bool {
    fields::flag(record, "deleted").is_some_and(|(_, deleted)| deleted)
}

/// A message as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    /// The text; empty if it was deleted.
    pub text: String,
    /// Who is mentioned.
    pub mentions: Vec<UserId>,
    /// Whether it was written otherwise first.
    pub edited: bool,
    /// Whether it was deleted.
    pub deleted: bool,
}

/// One device's reactions to a message: each emoji, when, and whether it's there or taken back.
pub type Reactions = BTreeMap<String, (Stamp, bool)>;

/// What is to be read in a record of [`ids::REACTIONS`]. `names` are those of its fields.
pub fn reactions<'a>(record: &Record, names: impl Iterator<Item = &'a str>) -> Reactions {
    let one = |name: &'a str| Some((name.to_owned(), fields::flag(record, name).filter(|_| is_emoji(name))?));
    names.filter_map(one).take(MAX_REACTIONS).collect()
}

/// Whether this may be a reaction: one word without control characters. Whether it's an emoji is for whoever shows it.
pub fn is_emoji(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_EMOJI_BYTES
        && !text.contains(|c: char| c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use covey_records::{Op, RecordId, own};
    use covey_types::{DeviceId, Hlc, Incarnation, LogId};
    use proptest::prelude::*;

    use super::*;

    const ADA: DeviceId = DeviceId([1; 32]);
    const PHONE: DeviceId = DeviceId([2; 32]);
    const EVE: DeviceId = DeviceId([3; 32]);

    fn put(record: &mut Record, id: &str, device: DeviceId, time: u64, fields: &[(&str, &str)]) {
        let op = Op::Put { collection: "c", id: RecordId::parse(id).unwrap(), fields: fields.to_vec() };
        let stamp = Stamp { hlc: Hlc::from_u64(time), device };
        record.apply(&op, stamp, LogId { device, incarnation: Incarnation(0) });
    }

    fn sent(text: &str) -> (String, Record) {
        let (id, mut record) = (own::id(ADA, "message-1"), Record::new());
        let text = serde_json::to_string(text).unwrap();
        put(&mut record, &id, ADA, 10, &[("in", "\"main\""), ("text", &text)]);
        (id, record)
    }

    fn edit(device: DeviceId, time: u64, fields: &[(&str, &str)]) -> Edit {
        let mut record = Record::new();
        put(&mut record, "x", device, time, fields);
        Edit::parse(&record).unwrap()
    }

    fn right(edit: &Edit) -> Right {
        if [ADA, PHONE].contains(&edit.stamp.device) { Right::Author } else { Right::None }
    }

    #[test]
    fn an_edit_counts_if_it_is_by_the_same_user_and_a_deletion_also_if_by_an_admin() {
        let (id, record) = sent("first");
        let message = Message::parse(&id, &record).unwrap();
        let theirs = edit(EVE, 30, &[("text", "\"forged\""), ("deleted", "true")]);
        let own = edit(PHONE, 20, &[("text", "\"second\"")]);
        let shown = message.shown(&[theirs.clone(), own.clone()], right);
        assert_eq!((shown.text.as_str(), shown.edited, shown.deleted), ("second", true, false));
        let shown = message.shown(&[theirs, own], |edit| match right(edit) {
            Right::None => Right::Admin,
            right => right,
        });
        assert_eq!(shown, Shown { deleted: true, ..Shown::default() });
    }

    #[test]
    fn an_edit_in_place_keeps_the_place_and_an_older_one_has_no_effect() {
        let (id, mut record) = sent("first");
        let before = Message::parse(&id, &record).unwrap().position();
        put(&mut record, &id, ADA, 40, &[("text", "\"third\"")]);
        let message = Message::parse(&id, &record).unwrap();
        assert_eq!(message.position(), before);
        let shown = message.shown(&[edit(PHONE, 20, &[("text", "\"second\"")])], right);
        assert_eq!((shown.text.as_str(), shown.edited), ("third", true));
    }

    #[test]
    fn what_is_no_message_is_none() {
        let (id, record) = sent("x");
        assert!(Message::parse("x", &record).is_none());
        for fields in [
            &[("text", "\"no channel\"")][..],
            &[("in", "\"main\"")],
            &[("in", "\"elsewhere\""), ("text", "\"x\"")],
            &[("in", "7"), ("text", "\"x\"")],
            &[("in", "\"main\""), ("text", "{}")],
        ] {
            let mut record = Record::new();
            put(&mut record, &id, ADA, 10, fields);
            assert!(Message::parse(&id, &record).is_none(), "{fields:?}");
        }
        let (id, record) = sent(&"x".repeat(MAX_TEXT_BYTES + 1));
        assert!(Message::parse(&id, &record).is_none());
    }

    #[test]
    fn reactions_are_words_and_not_too_many() {
        let mut record = Record::new();
        let names: Vec<String> = (0..MAX_REACTIONS + 5).map(|n| format!("r{n:03}")).collect();
        for name in &names {
            put(&mut record, "x", ADA, 5, &[(name, "true")]);
        }
        assert_eq!(reactions(&record, names.iter().map(String::as_str)).len(), MAX_REACTIONS);
        assert!(is_emoji("👩‍👩‍👧‍👦") && is_emoji("+1"));
        assert!(!is_emoji("two words") && !is_emoji("") && !is_emoji(&"👍".repeat(20)));
    }

    proptest! {
        #[test]
        fn whatever_the_order_of_edits_all_see_the_same(
            edits in prop::collection::vec((1u8..4, 1u64..50, "[ab]{1,3}", any::<bool>()), 0..8),
            seed in any::<u64>(),
        ) {
            let (id, record) = sent("first");
            let message = Message::parse(&id, &record).unwrap();
            let make = |(device, time, text, deleted): &(u8, u64, String, bool)| {
                let text = format!("\"{text}\"");
                let deleted = (*device == 3 && *deleted).to_string();
                edit(DeviceId([*device; 32]), *time, &[("text", &text), ("deleted", &deleted)])
            };
            // A device has one record for a message: of two by the same at one time there is only one.
            let mut seen = std::collections::BTreeSet::new();
            let edits: Vec<Edit> =
                edits.iter().filter(|edit| seen.insert((edit.0, edit.1))).map(make).collect();
            let mut other = edits.clone();
            other.reverse();
            let at = (seed as usize) % other.len().max(1);
            other.rotate_left(at);
            let shown = message.shown(&edits, right);
            prop_assert_eq!(&shown, &message.shown(&other, right));
            let own: Vec<Edit> = edits.into_iter().filter(|edit| right(edit) == Right::Author).collect();
            prop_assert_eq!(shown, message.shown(&own, right), "what others say has no effect");
        }
    }
}
