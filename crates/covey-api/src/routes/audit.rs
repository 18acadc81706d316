//! Who did what to the membership of a space.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::Response,
};
use covey_node::{Act, PairingAct, Person, UserId};
use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::IntoParams;

use super::{ApiState, records::NDJSON};
use crate::{
    convert,
    dto::{ACT_KINDS, ActDto, words},
    extract::{InPath, InQuery},
    find::{Named, pick},
    problem::Problem,
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// Acts from this time on, RFC 3339.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Acts of this person only: their id, part of it, or their name.
    who: Option<String>,
    /// Acts of this kind only.
    #[param(value_type = Option<words::ActKind>)]
    what: Option<String>,
}

/// Who did what to the membership of a space, and what became of this node's invitations to it, as lines of JSON, oldest first.
#[utoipa::path(
    get,
    path = "/spaces/{space}/audit",
    tag = "members",
    operation_id = "auditSpace",
    params(AuditQuery),
    responses((status = 200, description = "A line for each act: this is the schema of a line.", body = ActDto, content_type = "application/x-ndjson"))
)]
pub(super) async fn audit(
    State(state): State<ApiState>,
    InPath(space): InPath<String>,
    InQuery(query): InQuery<AuditQuery>,
) -> Result<Response, Problem> {
    let space = state.node.space(&space)?;
    let mut acts: Vec<Told> = space.audit().await?.into_iter().map(|act| Told::Act(Box::new(act))).collect();
    acts.extend(space.pairing().await?.into_iter().map(Told::Pairing));
    // Stable: what is of one moment stays in its order, entries in front.
    acts.sort_by_key(Told::at_ms);
    let since_ms = query.since.as_deref().map(since_ms).transpose()?;
    let who = query.who.as_deref().map(|wanted| author(&acts, wanted)).transpose()?;
    let what = query.what.as_deref().map(kind).transpose()?;
    let wanted = acts
        .into_iter()
        .filter(|act| since_ms.is_none_or(|since| i128::from(act.at_ms()) >= since))
        .filter(|act| who.is_none_or(|who| act.who().user == Some(who)))
        .map(Told::dto)
        .filter(|act| what.is_none_or(|what| act.what == what));
    let mut lines = Vec::new();
    for act in wanted {
        serde_json::to_writer(&mut lines, &act).map_err(|error| Problem::internal(error.to_string()))?;
        lines.push(b'\n');
    }
    let mut response = Response::new(Body::from(lines));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    Ok(response)
}

/// A line of the audit: what an entry says, or what happened to an invitation.
enum Told {
    Act(Box<Act>),
    Pairing(PairingAct),
}

impl Told {
    fn at_ms(&self) -> u64 {
        match self {
            Self::Act(act) => act.hlc.wall_ms(),
            Self::Pairing(act) => act.at_ms,
        }
    }

    fn who(&self) -> &Person {
        match self {
            Self::Act(act) => &act.who,
            Self::Pairing(act) => &act.who,
        }
    }

    fn whom(&self) -> Option<&Person> {
        match self {
            Self::Act(act) => act.whom.as_ref(),
            Self::Pairing(_) => None,
        }
    }

    fn dto(self) -> ActDto {
        match self {
            Self::Act(act) => convert::act(*act),
            Self::Pairing(act) => convert::pairing_act(act),
        }
    }
}

fn since_ms(text: &str) -> Result<i128, Problem> {
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|error| {
        Problem::invalid(format!("{text:?} is no time: {error}; write it like 2026-11-21T07:41:00Z"))
    })?;
    Ok(time.unix_timestamp_nanos().div_euclid(1_000_000))
}

fn kind(text: &str) -> Result<&'static str, Problem> {
    let unknown =
        || Problem::invalid(format!("{text:?} is no kind of act; kinds are {}", ACT_KINDS.join(", ")));
    ACT_KINDS.into_iter().find(|kind| *kind == text).ok_or_else(unknown)
}

/// Whoever has acted, or was acted upon, in the space, by id, part of it, or name: also those who are out.
fn author(acts: &[Told], wanted: &str) -> Result<UserId, Problem> {
    let people = acts.iter().flat_map(|act| std::iter::once(act.who()).chain(act.whom()));
    let all: BTreeMap<UserId, Option<&String>> =
        people.filter_map(|person| Some((person.user?, person.user_name.as_ref()))).collect();
    let named = |(user, name): (UserId, Option<&String>)| Named {
        id: user.to_string(),
        names: name.into_iter().cloned().collect(),
        what: user,
    };
    pick("member", wanted, all.into_iter().map(named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_and_with_an_offset_are_times() {
        assert_eq!(since_ms("1970-01-01T00:00:01Z").unwrap(), 1000);
        assert_eq!(since_ms("1970-01-01T01:00:00+01:00").unwrap(), 0);
        assert_eq!(since_ms("1969-12-31T23:59:59.9995Z").unwrap(), -1);
        for bad in ["", "yesterday", "2026-11-21", "2026-11-21T07:41:00"] {
            assert_eq!(since_ms(bad).unwrap_err().status().as_u16(), 400, "{bad}");
        }
    }
}
