//! What a device had written before it was put out, and was told is kept, is kept by all as far as the cut goes, whatever was
//! signed with it afterwards.

use covey_engine::compact::first_kept;
use covey_types::SpaceId;

use crate::world::World;

/// Checks that nothing of it is missing.
pub(super) fn nothing_before_a_cut_is_missing(
    world: &World,
    space: SpaceId,
    members: &[usize],
) -> Result<(), String> {
    // Whoever put a device out may have lost, with an older copy of their things, what they alone had seen of it.
    if world.machines.iter().any(|machine| machine.lost || machine.copied || machine.went_back) {
        return Ok(());
    }
    for holder in members {
        let machine = &world.machines[*holder];
        let (key, frozen) = {
            let engine = machine.engine();
            let state = engine.space(space).map_err(|err| err.to_string())?;
            (state.key, state.frozen().collect::<Vec<_>>())
        };
        for thief in world.machines.iter().filter(|machine| machine.stolen) {
            for (_, log, head) in
                thief.acked.iter().filter(|(of, log, _)| *of == space && log.device == thief.device())
            {
                let fork = frozen.iter().find(|frozen| frozen.line.log == *log);
                // Behind the cut nothing counts; and where there's none behind the fork it's as any that is forked.
                if fork.is_some_and(|fork| head.seq > fork.end) {
                    continue;
                }
                let (log, head) = (*log, *head);
                let found = machine.disk.read(move |rows| {
                    let row = rows.logs(key).unwrap_or_default().into_iter().find(|row| row.id == log)?;
                    if head.seq < first_kept(rows, row.key).ok()? && row.head.seq >= head.seq {
                        return Some(head.hash);
                    }
                    rows.hash_at(row.key, head.seq).ok().flatten().filter(|_| row.head.seq >= head.seq)
                });
                if fork.is_some() && found != Some(head.hash) {
                    let (name, seq) = (&thief.name, head.seq);
                    return Err(format!(
                        "m{holder} lacks entry {seq} of {log}, which {name} was told is kept before it was put out"
                    ));
                }
            }
        }
    }
    Ok(())
}
