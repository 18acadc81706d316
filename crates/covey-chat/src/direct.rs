//! Direct messages: one channel for the same people, whoever began it.
//!
//! Two people may each begin a direct message with the other while neither hears of it: then there are two child spaces.
//! Both are shown as one channel, whose id follows from who is in it, with the messages of both in one order; new ones go
//! to the child with the lowest id. So all come to the same without asking each other.
//!
//! Who is in it is what the child's record names *and* who is, or was, in the child: a child into which somebody else was
//! taken is never taken for one between fewer people.

use std::{collections::BTreeSet, fmt::Write};

use covey_types::{SpaceId, UserId};

/// What the ids of direct messages begin with.
const PREFIX: &str = "dm-";

/// Bytes of a hash that are the rest of it.
const ID_BYTES: usize = 16;

/// The people between whom it is.
pub fn people(named: &[UserId], members: impl IntoIterator<Item = UserId>) -> BTreeSet<UserId> {
    named.iter().copied().chain(members).collect()
}

/// The id of the channel between these people of a space.
pub fn id(parent: SpaceId, people: &BTreeSet<UserId>) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("covey 2026 direct message id v1");
    hasher.update(parent.as_bytes());
    for user in people {
        hasher.update(user.as_bytes());
    }
    let mut out = PREFIX.to_owned();
    for byte in &hasher.finalize().as_bytes()[..ID_BYTES] {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_people_have_the_same_channel_and_one_more_has_another() {
        let (ada, bob, eve) = (UserId([1; 32]), UserId([2; 32]), UserId([3; 32]));
        let garden = SpaceId([9; 32]);
        let of = |named: &[UserId], members: &[UserId]| id(garden, &people(named, members.iter().copied()));
        assert_eq!(of(&[ada, bob], &[ada]), of(&[bob, ada], &[bob, ada]));
        assert_ne!(of(&[ada, bob], &[ada, bob]), of(&[ada, bob], &[ada, bob, eve]));
        assert_ne!(of(&[ada, bob], &[]), id(SpaceId([8; 32]), &people(&[ada, bob], [])));
    }
}
