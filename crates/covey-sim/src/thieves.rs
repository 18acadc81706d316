//! Devices that were put out and are in somebody else's hands: their logs are signed anew at old places.

use std::sync::Arc;

use covey_engine::{Ingested, load::decode_stored};
use covey_log::{Draft, Entry, Kind, SignedHeader};
use covey_space::Standing;
use covey_types::{DeviceId, Head, SpaceId};

use crate::{machine::Pending, world::World};

impl World {
    /// For devices that somebody knows to be put out, a second history is signed at any place of their logs, and told to them.
    pub(crate) fn thieves_sign(&mut self, hearer: usize) {
        let Some(space) = self.space.filter(|_| self.machines[hearer].up) else { return };
        for thief in 0..self.machines.len() {
            let device = self.machines[thief].device();
            let is_out = self.machines[hearer].standing(space, device) == Standing::PutOut;
            if is_out
                && self.machines[hearer].standing(space, self.machines[hearer].device()) == Standing::Member
            {
                self.sign_again(thief, hearer, space);
            }
        }
    }

    fn sign_again(&mut self, thief: usize, hearer: usize, space: SpaceId) {
        let entries = self.held_of(hearer, space, self.machines[thief].device());
        if entries.is_empty() {
            return;
        }
        let of = &entries[self.rng.usize(0..entries.len())];
        let header = &of.header;
        let draft = Draft {
            space,
            log: header.log,
            head: Head { seq: header.seq - 1, hash: header.prev },
            hlc: header.hlc,
            kind: Kind::RECORDS,
            epoch: header.epoch,
            deps: header.deps.clone(),
        };
        let it = &mut self.machines[thief];
        // What it was told until now was told to somebody honest.
        it.stolen |= !it.liar && !it.copied;
        it.liar = true;
        let other = Entry::sign(&it.secrets.device, draft, vec![7; 40]);
        self.note(format!(
            "who has m{thief} signs entry {} of {} again, and tells m{hearer}",
            header.seq, header.log
        ));
        let half = SignedHeader::from(&other);
        let told = self.transact(hearer, move |rows, engine, secrets, wall| {
            engine.take_branch(rows, secrets, space, half, wall)
        });
        match told {
            Ok(outcome) => self.concluded(hearer, space, &outcome),
            Err(err) => self.fail(format!("taking in a second history: {err}")),
        }
    }

    fn concluded(&mut self, machine: usize, space: SpaceId, outcome: &Ingested) {
        self.note_forks(machine, space, outcome);
        self.pend(machine, Pending::of(space, outcome));
    }

    /// The entries of a device's logs that a machine holds, but for the first of each.
    fn held_of(&self, machine: usize, space: SpaceId, device: DeviceId) -> Vec<Arc<Entry>> {
        let Ok(key) = self.machines[machine].engine().space(space).map(|state| state.key) else {
            return Vec::new();
        };
        let stored = self.machines[machine].disk.read(move |rows| {
            let logs = rows.logs(key).unwrap_or_default().into_iter().filter(|row| row.id.device == device);
            let of = |log| rows.entries(log, 2, usize::MAX, usize::MAX).unwrap_or_default();
            logs.flat_map(|row| of(row.key)).collect::<Vec<_>>()
        });
        stored.iter().filter_map(|stored| decode_stored(stored).ok().map(Arc::new)).collect()
    }

    /// Forked logs that count further than to the fork at some machine, since their author was put out behind it.
    pub fn saved_by_cuts(&self) -> u64 {
        let Some(space) = self.space else { return 0 };
        let of = |machine: &crate::machine::Machine| {
            let engine = machine.engine();
            let Ok(state) = engine.space(space) else { return 0 };
            state.frozen().filter(|frozen| frozen.end >= frozen.line.from).count() as u64
        };
        self.machines.iter().filter(|machine| machine.up).map(of).max().unwrap_or(0)
    }
}
