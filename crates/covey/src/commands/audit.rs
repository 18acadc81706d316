//! `covey audit`: who did what to a space's membership.

use std::pin::pin;

use covey_api::dto::{ActDto, PersonDto};
use futures::{StreamExt, TryStreamExt};

use crate::{
    args::Audit,
    client::{Client, path, with_query},
    commands::{status::short, transfer::values},
    diag::Failure,
    output::Out,
};

pub(super) async fn run(client: &Client, audit: &Audit, out: &Out) -> Result<(), Failure> {
    let parameters =
        [("since", audit.since.clone()), ("who", audit.who.clone()), ("what", audit.what.clone())];
    let query = with_query(path(&["spaces", &audit.space, "audit"]), &parameters);
    let chunks = pin!(client.download(&query).await?);
    let mut acts = pin!(values::<ActDto>(chunks));
    if out.is_json() {
        while let Some(act) = acts.next().await {
            out.document(&act?)?;
        }
        return Ok(());
    }
    let rows: Vec<Vec<String>> = acts.map_ok(|act| row(&act)).try_collect().await?;
    if rows.is_empty() {
        out.hint("Nothing of this kind was done.");
        return Ok(());
    }
    out.table(&["WHEN", "WHO", "ON", "ID", "WHAT", "EFFECT", "LOG", "SEQ", "HASH"], &rows)
}

fn row(act: &ActDto) -> Vec<String> {
    let PersonDto { user_id, user, device, peer_id } = &act.who;
    // Of a stranger who guessed at a code nothing but the id is known.
    let device = device.clone().or_else(|| peer_id.as_deref().map(short));
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let effect = if act.stands { "stands" } else { "fell" };
    vec![
        act.at.clone(),
        or_dash(user),
        or_dash(&device),
        user_id.as_deref().map_or_else(|| "-".to_owned(), short),
        act.text.clone(),
        effect.to_owned(),
        act.log.as_deref().map_or_else(|| "-".to_owned(), log),
        act.seq.map_or_else(|| "-".to_owned(), |seq| seq.to_string()),
        or_dash(&act.hash),
    ]
}

/// A log by the ends of what it's named by.
fn log(log: &str) -> String {
    let (device, incarnation) = log.split_once('/').unwrap_or((log, ""));
    format!("{}/{}", short(device), &incarnation[..incarnation.len().min(4)])
}
