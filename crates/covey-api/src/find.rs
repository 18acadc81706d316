//! Things named by people: by id, by the beginning of one, or by name.
//!
//! Names are chosen by others. A whole id always means what has that id, and a name that could be taken for the
//! beginning of somebody else's id is said to be ambiguous: nobody can put themself in another one's place.

use covey_node::NodeError;

use crate::problem::Problem;

/// Shorter beginnings and ends of ids are more likely mistyped names.
const MIN_PART: usize = 4;

/// What stands before the end of an id, where only that is shown: all devices' ids begin alike.
const END: &str = "..";

/// One thing that may be meant.
pub(crate) struct Named<T> {
    /// Its id, as it is printed.
    pub(crate) id: String,
    /// What it is called: more than one name if that differs from place to place.
    pub(crate) names: Vec<String>,
    /// The thing.
    pub(crate) what: T,
}

/// The one of `all` that `wanted` means.
pub(crate) fn pick<T>(kind: &'static str, wanted: &str, all: Vec<Named<T>>) -> Result<T, Problem> {
    let is_meant = |one: &Named<T>| one.names.iter().any(|name| name == wanted) || is_part(&one.id, wanted);
    let whole = all.iter().any(|one| one.id == wanted);
    let fits = |one: &Named<T>| if whole { one.id == wanted } else { is_meant(one) };
    let mut found: Vec<Named<T>> = all.into_iter().filter(fits).collect();
    if found.len() > 1 {
        let candidate = |one: &Named<T>| (one.names.first().cloned().unwrap_or_default(), one.id.clone());
        let candidates = found.iter().map(candidate).collect();
        return Err(NodeError::Ambiguous { kind, name: wanted.to_owned(), candidates }.into());
    }
    let one = found.pop().ok_or_else(|| NodeError::NotFound { kind, name: wanted.to_owned() })?;
    Ok(one.what)
}

fn is_part(id: &str, wanted: &str) -> bool {
    match wanted.strip_prefix(END) {
        Some(end) => end.len() >= MIN_PART && id.ends_with(end),
        None => wanted.len() >= MIN_PART && id.starts_with(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(wanted: &str) -> Result<u8, u16> {
        let one = |id: &str, name: &str, what| Named { id: id.into(), names: vec![name.into()], what };
        let all = vec![
            one("12D3KooWaaaa", "phone", 1),
            one("12D3KooWbbbb", "phone", 2),
            one("12D3KooWcccc", "desk", 3),
            one("12D3KooWdddd", "12D3KooWcccc", 4),
            one("12D3KooWeeee", "12D3KooWb", 5),
        ];
        pick("device", wanted, all).map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn a_thing_is_found_by_its_id_a_part_of_it_or_its_name() {
        assert_eq!(find("desk"), Ok(3));
        assert_eq!(find("12D3KooWaaaa"), Ok(1));
        assert_eq!(find("12D3KooWa"), Ok(1));
        assert_eq!(find("..bbbb"), Ok(2));
        assert_eq!(find("phone"), Err(409));
        assert_eq!(find("12D3"), Err(409));
        for missing in ["", "..", "..b", "12D", "Phone", "tablet"] {
            assert_eq!(find(missing), Err(404), "{missing}");
        }
    }

    #[test]
    fn nobody_is_taken_for_another_by_taking_their_id_as_a_name() {
        assert_eq!(find("12D3KooWcccc"), Ok(3));
        assert_eq!(find("12D3KooWb"), Err(409));
    }
}
