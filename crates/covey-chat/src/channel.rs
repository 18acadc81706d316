//! Channels: who made them, what was changed of them, who is in them.
//!
//! A public channel is a record in its space, which everybody there can read. A private channel and a direct message are
//! child spaces; the record in the child, whose id ends with [`ids::MAIN`], says which of both it is. Who is in those is
//! the child's own membership, and its name is the child's.
//!
//! What a public channel is called is for its admins to say: whoever made it, those whom they or an admin of the space
//! named last, and the admins of the space. What others write of it has no effect.

use std::collections::{BTreeMap, BTreeSet};

use covey_records::{Record, Stamp};
use covey_types::UserId;

use crate::{
    fields, ids,
    limits::{MAX_ADMINS, MAX_DIRECT, MAX_NAME_CHARS, MAX_TOPIC_CHARS},
    text,
};

/// Which sort of channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Everybody in the space can read it.
    Public,
    /// Only those who are in it know of it.
    Private,
    /// A private one between the same few people for good.
    Direct,
}

impl Kind {
    /// The word for it in records and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Direct => "direct",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Public, Self::Private, Self::Direct].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A channel as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChannel {
    /// Its id.
    pub id: String,
    /// Who made it, and when.
    pub made: Stamp,
    /// Which sort.
    pub kind: Kind,
    /// Its name; empty where the child space has one.
    pub name: String,
    /// Its topic.
    pub topic: String,
    /// Between whom a direct message is, in order.
    pub users: Vec<UserId>,
}

impl NewChannel {
    /// What is to be read in a record of [`ids::CHANNELS`]; `None` if that is no channel.
    pub fn parse(id: &str, record: &Record) -> Option<Self> {
        let (made, kind) = fields::text(record, "kind")?;
        let kind = Kind::parse(&kind).filter(|_| ids::is_channel(id))?;
        let line = |name, max| fields::text(record, name).map(|(_, text)| text::line(&text, max));
        let name = line("name", MAX_NAME_CHARS).unwrap_or_default();
        if name.is_empty() && kind == Kind::Public {
            return None;
        }
        let topic = line("topic", MAX_TOPIC_CHARS).unwrap_or_default();
        let users = fields::users(record, "users", MAX_DIRECT).map(|(_, users)| users).unwrap_or_default();
        Some(Self { id: id.to_owned(), made, kind, name, topic, users })
    }
}

/// What a device has said of a channel after it was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// A new name.
    pub name: Option<(Stamp, String)>,
    /// A new topic.
    pub topic: Option<(Stamp, String)>,
    /// Whether nobody is to write in it any more.
    pub archived: Option<(Stamp, bool)>,
    /// Further admins.
    pub admins: Option<(Stamp, Vec<UserId>)>,
}

impl Change {
    /// What is to be read in a record of [`ids::CHANGES`].
    pub fn parse(record: &Record) -> Self {
        let line = |name, max| {
            fields::text(record, name).map(|(stamp, text): (Stamp, String)| (stamp, text::line(&text, max)))
        };
        Self {
            name: line("name", MAX_NAME_CHARS).filter(|(_, name)| !name.is_empty()),
            topic: line("topic", MAX_TOPIC_CHARS),
            archived: fields::flag(record, "archived"),
            admins: fields::users(record, "admins", MAX_ADMINS),
        }
    }

    /// When its parts were written: for whoever looks up what their author was then.
    pub fn stamps(&self) -> BTreeSet<Stamp> {
        let name = self.name.as_ref().map(|(stamp, _)| *stamp);
        let topic = self.topic.as_ref().map(|(stamp, _)| *stamp);
        let admins = self.admins.as_ref().map(|(stamp, _)| *stamp);
        [name, topic, admins, self.archived.map(|(stamp, _)| stamp)].into_iter().flatten().collect()
    }
}

/// Who wrote something, and whether they were an admin of the space when they did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writer {
    /// Who.
    pub user: UserId,
    /// Whether an admin.
    pub is_admin: bool,
}

/// A channel as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// As it was made, with the newest name and topic.
    pub new: NewChannel,
    /// Whether nobody is to write in it any more.
    pub archived: bool,
    /// Its admins, beside those of the space.
    pub admins: BTreeSet<UserId>,
}

impl Channel {
    /// What became of a channel. `who` tells of a stamp who wrote it; what nobody known wrote has no effect.
    pub fn fold(new: NewChannel, changes: &[Change], who: impl Fn(Stamp) -> Option<Writer>) -> Self {
        let founder = who(new.made).map(|writer| writer.user);
        let names =
            |stamp: Stamp| who(stamp).is_some_and(|writer| writer.is_admin || Some(writer.user) == founder);
        let named = changes.iter().filter_map(|change| change.admins.as_ref());
        // Each list says who they all are: so somebody can be left out again.
        let named = named.filter(|(stamp, _)| names(*stamp)).max_by_key(|(stamp, _)| *stamp);
        let admins: BTreeSet<UserId> =
            named.map(|(_, users)| users).into_iter().flatten().copied().chain(founder).collect();
        let counts =
            |stamp: Stamp| who(stamp).is_some_and(|writer| writer.is_admin || admins.contains(&writer.user));
        let newest = |of: fn(&Change) -> Option<&(Stamp, String)>| {
            changes
                .iter()
                .filter_map(of)
                .filter(|(stamp, _)| counts(*stamp))
                .max()
                .map(|(_, text)| text.clone())
        };
        let mut new = new;
        if let Some(name) = newest(|change| change.name.as_ref()) {
            new.name = name;
        }
        if let Some(topic) = newest(|change| change.topic.as_ref()) {
            new.topic = topic;
        }
        let archived =
            changes.iter().filter_map(|change| change.archived).filter(|(stamp, _)| counts(*stamp)).max();
        Self { new, archived: archived.is_some_and(|(_, archived)| archived), admins }
    }
}

/// Who is in a public channel. What somebody has said for themself decides; of those who have said nothing, those are in
/// it who were invited or made it. So nobody is brought back who has left.
pub fn joined(
    founder: Option<UserId>,
    said: impl IntoIterator<Item = (UserId, Stamp, bool)>,
    invited: impl IntoIterator<Item = UserId>,
) -> BTreeSet<UserId> {
    let mut newest: BTreeMap<UserId, (Stamp, bool)> = BTreeMap::new();
    for (user, stamp, joined) in said {
        let slot = newest.entry(user).or_insert((stamp, joined));
        *slot = (*slot).max((stamp, joined));
    }
    let silent = invited.into_iter().chain(founder).filter(|user| !newest.contains_key(user));
    let mut all: BTreeSet<UserId> = silent.collect();
    all.extend(newest.iter().filter(|(_, (_, joined))| *joined).map(|(user, _)| *user));
    all
}

#[cfg(test)]
mod tests {
    use covey_types::{DeviceId, Hlc};

    use super::*;

    const fn at(device: u8, time: u64) -> Stamp {
        Stamp { hlc: Hlc::from_u64(time), device: DeviceId([device; 32]) }
    }

    const fn user(n: u8) -> UserId {
        UserId([n; 32])
    }

    /// Each device is its user's of the same number; 9 is an admin of the space.
    #[expect(clippy::unnecessary_wraps, reason = "as whoever asks wants it")]
    fn who(stamp: Stamp) -> Option<Writer> {
        let n = stamp.device.0[0];
        Some(Writer { user: user(n), is_admin: n == 9 })
    }

    fn made() -> NewChannel {
        NewChannel {
            id: "x".into(),
            made: at(1, 1),
            kind: Kind::Public,
            name: "beans".into(),
            topic: String::new(),
            users: Vec::new(),
        }
    }

    fn named(stamp: Stamp, name: &str) -> Change {
        Change { name: Some((stamp, name.into())), ..Change::default() }
    }

    #[test]
    fn only_its_admins_and_those_of_the_space_change_a_channel() {
        let name = |changes: &[Change]| Channel::fold(made(), changes, who).new.name;
        assert_eq!(name(&[named(at(2, 5), "forged")]), "beans");
        assert_eq!(name(&[named(at(1, 5), "peas"), named(at(2, 7), "forged")]), "peas");
        assert_eq!(name(&[named(at(9, 6), "leeks"), named(at(1, 5), "peas")]), "leeks");
        let admins = |by| Change { admins: Some((by, vec![user(2)])), ..Change::default() };
        assert_eq!(name(&[named(at(2, 5), "theirs"), admins(at(1, 9))]), "theirs");
        assert_eq!(name(&[named(at(2, 5), "theirs"), admins(at(2, 9))]), "beans", "nobody names themself");
        assert_eq!(name(&[named(at(2, 5), "theirs"), admins(at(3, 9))]), "beans");
    }

    #[test]
    fn the_newest_list_of_admins_counts_and_who_made_the_channel_is_one_for_good() {
        let list = |by, users: &[u8]| Change {
            admins: Some((by, users.iter().map(|n| user(*n)).collect())),
            ..Change::default()
        };
        let admins = |changes: &[Change]| Channel::fold(made(), changes, who).admins;
        assert_eq!(admins(&[list(at(1, 5), &[2, 3]), list(at(9, 7), &[3])]), [user(1), user(3)].into());
        assert_eq!(admins(&[list(at(9, 7), &[3]), list(at(1, 5), &[2, 3])]), [user(1), user(3)].into());
        assert_eq!(admins(&[list(at(1, 5), &[2]), list(at(9, 7), &[])]), [user(1)].into());
        assert_eq!(admins(&[list(at(1, 5), &[2]), list(at(2, 7), &[2, 3])]), [user(1), user(2)].into());
    }

    #[test]
    fn who_has_left_is_not_brought_back_by_others() {
        let said = [(user(2), at(2, 5), true), (user(2), at(2, 9), false), (user(3), at(3, 4), true)];
        let in_it = joined(Some(user(1)), said, [user(2), user(4)]);
        assert_eq!(in_it, [user(1), user(3), user(4)].into());
    }
}
