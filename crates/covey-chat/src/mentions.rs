//! Who is mentioned in a text: `@` and a name, as the members of the space are called.

use std::collections::BTreeSet;

use covey_types::UserId;

use crate::limits::MAX_MENTIONS;

/// Most places of a text that are looked at.
const MAX_PLACES: usize = 256;

/// The people whose names stand behind an `@`, in order. Of names that fit at one place the longest is meant; if several
/// people have it, all of them. Upper and lower case are the same.
pub fn mentioned(text: &str, people: &[(UserId, String)]) -> Vec<UserId> {
    let lower = text.to_lowercase();
    let names: Vec<(UserId, String)> = people
        .iter()
        .map(|(user, name)| (*user, name.to_lowercase()))
        .filter(|(_, name)| !name.is_empty())
        .collect();
    let mut found = BTreeSet::new();
    for (at, _) in lower.match_indices('@').take(MAX_PLACES) {
        // An address such as a@example.org is no mention.
        if lower[..at].chars().next_back().is_some_and(char::is_alphanumeric) {
            continue;
        }
        let rest = &lower[at + 1..];
        let fits = |name: &str| {
            rest.strip_prefix(name)
                .is_some_and(|behind| !behind.chars().next().is_some_and(char::is_alphanumeric))
        };
        let longest = names.iter().filter(|(_, name)| fits(name)).map(|(_, name)| name.len()).max();
        found.extend(
            names.iter().filter(|(_, name)| Some(name.len()) == longest && fits(name)).map(|(user, _)| *user),
        );
    }
    found.into_iter().take(MAX_MENTIONS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_behind_an_at_are_mentions() {
        let (ann, anna, eve) = (UserId([1; 32]), UserId([2; 32]), UserId([3; 32]));
        let people = [(ann, "Ann".to_owned()), (anna, "Ann Smith".to_owned()), (eve, "Zoë".to_owned())];
        let of = |text| mentioned(text, &people);
        assert_eq!(of("@ann: look"), [ann]);
        assert_eq!(of("hi @Ann Smith, and @zoë!"), [anna, eve]);
        assert_eq!(of("@annabel, ann@example.org, Ann"), []);
        assert_eq!(of("(@ann)(@ann)"), [ann]);
    }

    proptest! {
        #[test]
        fn any_text_can_be_looked_through(text in any::<String>(), name in any::<String>()) {
            let people = [(UserId([1; 32]), name)];
            prop_assert!(mentioned(&text, &people).len() <= 1);
        }
    }
}
