//! Machines that compact their logs in a story.

use covey_engine::{
    EngineError, Ingested,
    compact::{Compacted, Limits, first_kept},
};

use crate::{
    machine::{Machine, Pending},
    world::World,
};

/// Logs are compacted when that saves an entry or two.
const COMPACTED_FROM: Limits = Limits { min_bytes: 800, min_percent: 10 };

/// Steps of compaction in a row; more are a loop.
const MOST_COMPACTED: usize = 200;

impl World {
    /// Logs that the machines hold from a checkpoint on.
    pub fn compacted(&self) -> u64 {
        let Some(space) = self.space else { return 0 };
        let by = |machine: &Machine| {
            let Ok(key) = machine.engine().space(space).map(|state| state.key) else { return 0 };
            if !machine.up {
                return 0;
            }
            machine.disk.read(move |rows| {
                let logs = rows.logs(key).unwrap_or_default();
                logs.iter().filter(|row| first_kept(rows, row.key).is_ok_and(|first| first > 1)).count()
                    as u64
            })
        };
        self.machines.iter().map(by).sum()
    }

    /// Lets a machine compact what it can.
    pub(crate) fn compact(&mut self, machine: usize) {
        let (Some(space), device) = (self.space, self.machines[machine].device()) else { return };
        for _ in 0..MOST_COMPACTED {
            if !self.machines[machine].up || self.machines[machine].engine().space(space).is_err() {
                return;
            }
            let done = self.transact(machine, move |rows, engine, secrets, wall| {
                let step = engine.planner(space, device, COMPACTED_FROM)?.next(rows, wall)?;
                engine.compact(rows, secrets, space, step, wall)
            });
            match done {
                Ok(Compacted { entries, more }) => {
                    if !entries.is_empty() {
                        let pending =
                            Pending { entries, own: true, ..Pending::of(space, &Ingested::default()) };
                        self.pend(machine, pending);
                    }
                    if !more {
                        // What is compacted may turn out to be another history than the own one.
                        return self.write_again(machine, space);
                    }
                }
                Err(EngineError::NoKey { .. }) => return,
                Err(err) => return self.fail(format!("compacting: {err}")),
            }
        }
        self.fail("compaction never comes to an end");
    }
}
