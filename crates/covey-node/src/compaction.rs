//! Compacts the logs of this node's spaces beside everything else: looks at a snapshot, and writes a little.
//!
//! What to do is the engine's to say ([`covey_engine::compact`]); here is when. A space in which
//! something was stored is looked at soon after, for as long as there's something to be done, one step in one small transaction at a time, so that whoever writes
//! waits for one step at most. Whoever writes more than is dropped meanwhile waits for the next one (`turns`).

mod turns;

use std::{sync::PoisonError, time::Duration};

use covey_engine::compact::{Limits, Step};
use covey_types::{DeviceId, SpaceId};

pub(crate) use self::turns::News;
use crate::{Check, EngineError, Node, NodeError};

/// From news to a look at them, if they aren't many: what comes together is looked at together.
const PAUSE: Duration = Duration::from_millis(100);

/// How often all spaces are looked at, news or not: devices that are away for long are waited for no more some day.
const INTERVAL: Duration = Duration::from_mins(10);

/// Steps in one space before it's the next one's turn.
const STEPS_IN_A_ROW: usize = 256;

/// Devices that are named where a log waits for more.
const NAMED: usize = 3;

const DAY_MS: u64 = 86_400_000;

/// Looks at spaces of which there's news until the node stops.
pub(crate) async fn run(node: Node, limits: Limits) {
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        tokio::select! {
            _ = ticks.tick() => node.engine().spaces.keys().for_each(|space| node.0.news.of(*space)),
            () = node.0.news.any() => tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = node.0.news.much() => {}
            },
        }
        for space in node.0.news.take() {
            match compact(&node, space, limits).await {
                // If the key isn't here it's on its way, or never comes: then the space stays as it is.
                Ok(()) | Err(NodeError::Membership(EngineError::NoKey { .. }) | NodeError::Closing) => {}
                Err(err) => tracing::warn!(%space, %err, "compacting a space; it's tried again"),
            }
        }
    }
}

async fn compact(node: &Node, space: SpaceId, limits: Limits) -> Result<(), NodeError> {
    let mut going = None;
    for _ in 0..STEPS_IN_A_ROW {
        if !step(node, space, limits).await? {
            if going.is_some() {
                // What was compacted may have turned out to be another history of the own log than the one here.
                crate::sync::write_again(node, space);
            }
            return Ok(());
        }
        going.get_or_insert_with(|| node.0.news.begin(space)).stepped();
    }
    // There's more to do when it's this one's turn again.
    node.0.news.of(space);
    Ok(())
}

/// Does the next thing; whether there may be more.
async fn step(node: &Node, space: SpaceId, limits: Limits) -> Result<bool, NodeError> {
    let device = node.device();
    let now = node.now_ms();
    // Taken in the writer's queue, so that what it knows is committed when the snapshot is taken.
    let planner = node.write(move |_, engine| Ok(engine.planner(space, device, limits)?)).await?;
    let planned = node.0.store.read(move |reader| Ok(planner.next(reader, now))).await??;
    let is_idle = matches!(planned, Step::Nothing(_));
    let secrets = node.secrets();
    let done = node.write(move |tx, engine| Ok(engine.compact(tx, &secrets, space, planned, now)?)).await?;
    node.published(space, &done.entries);
    Ok(done.more && !is_idle)
}

/// What compaction waits for in a space: said only where there is something.
pub(crate) async fn waits(node: &Node, space: SpaceId, name: &str) -> Result<Option<Check>, NodeError> {
    if node.0.config.compaction.is_none() {
        return Ok(None);
    }
    let now = node.now_ms();
    let engine = node.0.engine_handle();
    let waiting = node.0.store.read(move |reader| {
        let engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(engine.space(space).and_then(|state| state.compaction_waits(reader, now)))
    });
    let waiting = waiting.await??;
    if let Some(doubt) = waiting.iter().find_map(|waiting| Some((waiting.log, waiting.doubt.clone()?))) {
        let (log, why) = doubt;
        let detail = format!(
            "{name}: a checkpoint of {} is not agreed to here: {why}",
            called(node, space, log.device)
        );
        let remedy =
            "nothing of it is dropped, and nothing is lost; if it stays so, ask whoever has that device";
        return Ok(Some(Check { name: "compaction", ok: false, detail, remedy: Some(remedy.into()) }));
    }
    let mut late: Vec<_> = waiting.iter().flat_map(|waiting| waiting.devices.iter().copied()).collect();
    late.sort_unstable_by_key(|(device, heard_ms)| (*heard_ms, *device));
    late.dedup();
    if waiting.is_empty() {
        return Ok(None);
    }
    if late.is_empty() {
        let detail = format!("{name}: all have agreed to what was superseded, and it's about to be dropped");
        return Ok(Some(Check { name: "compaction", ok: true, detail, remedy: None }));
    }
    let days = |heard_ms: u64| now.saturating_sub(heard_ms) / DAY_MS;
    let late: Vec<_> = late.into_iter().map(|(device, at)| (called(node, space, device), days(at))).collect();
    Ok(Some(waits_for(name, &late)))
}

/// What is to be said of devices that haven't agreed, those that were seen longest ago first, with how many days ago that was.
fn waits_for(name: &str, late: &[(String, u64)]) -> Check {
    let named = late.iter().take(NAMED).map(|(device, days)| format!("{device} (last seen {days} days ago)"));
    let named: Vec<_> = named.collect();
    let more = if late.len() > NAMED { " and others" } else { "" };
    let detail = format!("{name}: what was superseded is dropped once {}{more} has agreed", named.join(", "));
    // Those who administer a space are waited for however long they are away, and so are devices of people with several.
    let gone = late.iter().find(|(_, days)| *days > covey_engine::compact::ABSENT_AFTER_MS / DAY_MS);
    let remedy = gone.map(|(device, _)| {
        format!(
            "nothing is lost, and the space takes more room; if {device} doesn't come back, its user revokes it: covey device revoke; \
             or, if the person is to go too, an owner: covey member remove"
        )
    });
    Check { name: "compaction", ok: remedy.is_none(), detail, remedy }
}

fn called(node: &Node, space: SpaceId, device: DeviceId) -> String {
    let engine = node.engine();
    let name = engine.space(space).ok().and_then(|state| state.membership.device_name(device));
    name.map_or_else(|| device.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_administers_and_is_away_for_long_is_something_to_mend() {
        let said = waits_for("garden", &[("phone".into(), 3), ("laptop".into(), 0)]);
        assert!(said.ok && said.detail.contains("phone (last seen 3 days ago), laptop"), "{said:?}");
        let said = waits_for("garden", &[("phone".into(), 31)]);
        assert!(!said.ok && said.remedy.unwrap().contains("if phone doesn't come back"));
    }
}
