//! What a machine does by itself: it acts for its people, makes things durable, and tells of them.

use std::sync::Arc;

use covey_engine::{
    AnyRows, Deeds, Engine, EngineError, HoldReason, Ingested, Secrets, acts::Acted, planted::Defect,
};
use covey_space::Standing;
use covey_sync::Input;
use covey_types::SpaceId;

use super::{Event, MAX_TENDED, World};
use crate::{
    Planted,
    machine::{Answer, Pending},
};

/// From the last word in a session to its end, as a node has it.
const STOPPED_MS: u64 = 50;

impl World {
    /// Does something as the person at a machine.
    pub(crate) fn act(
        &mut self,
        machine: usize,
        job: impl FnOnce(&mut AnyRows<'_>, &mut Engine, &Secrets, u64) -> Result<Acted, EngineError>
        + Send
        + 'static,
    ) -> Result<(), EngineError> {
        let Some(space) = self.space else { return Ok(()) };
        self.act_in(machine, space, job)
    }

    /// As [`World::act`], in this space.
    pub(crate) fn act_in(
        &mut self,
        machine: usize,
        space: SpaceId,
        job: impl FnOnce(&mut AnyRows<'_>, &mut Engine, &Secrets, u64) -> Result<Acted, EngineError>
        + Send
        + 'static,
    ) -> Result<(), EngineError> {
        self.act_all(machine, move |rows, engine, secrets, wall| {
            Ok(vec![(space, job(rows, engine, secrets, wall)?)])
        })
    }

    /// Does something that may concern several spaces.
    pub(crate) fn act_all(
        &mut self,
        machine: usize,
        job: impl FnOnce(&mut AnyRows<'_>, &mut Engine, &Secrets, u64) -> Result<Deeds, EngineError>
        + Send
        + 'static,
    ) -> Result<(), EngineError> {
        for (space, acted) in self.transact(machine, job)? {
            self.note_forks(machine, space, &acted.1);
            self.pend(machine, Pending::acted(space, acted));
        }
        Ok(())
    }

    /// A space was founded at a machine: it's offered to others once it's durable.
    pub(crate) fn is_new(&mut self, machine: usize, space: SpaceId) {
        let entered = [(space, true)].into();
        self.pend(machine, Pending { entered, ..Pending::of(space, &Ingested::default()) });
    }

    pub(crate) fn pend(&mut self, machine: usize, pending: Pending) {
        if self.options.planted == Some(Planted::TellsTooEarly) && machine == 1 {
            return self.tell(machine, pending);
        }
        self.machines[machine].pending.push(pending);
        if !std::mem::replace(&mut self.machines[machine].sync_due, true) {
            let delay = 1 + self.rng.u64(0..20);
            self.at(delay, Event::Sync { machine });
        }
    }

    pub(super) fn sync(&mut self, machine: usize) {
        if !self.machines[machine].up || !std::mem::take(&mut self.machines[machine].sync_due) {
            return;
        }
        self.machines[machine].disk.sync();
        for pending in std::mem::take(&mut self.machines[machine].pending) {
            self.tell(machine, pending);
        }
        self.tell_forks(machine);
    }

    /// Tells everybody concerned of what is durable.
    pub(super) fn tell(&mut self, machine: usize, pending: Pending) {
        let Pending { space, entries, membership_changed, entered, answer, own } = pending;
        if own {
            let heads = entries.iter().map(|entry| (space, entry.header.log, entry.head()));
            self.machines[machine].acked.extend(heads);
        }
        for peer in self.machines[machine].conns.keys().copied().collect::<Vec<_>>() {
            for entry in &entries {
                self.feed(machine, peer, Input::Appended { space, entry: Arc::clone(entry) });
            }
        }
        if let Some(answer) = answer {
            let Answer { peer, conn, durable, rejected, bytes } = answer;
            if self.machines[machine].conns.get(&peer).is_some_and(|known| known.id == conn) {
                self.feed(machine, peer, Input::Ingested { space, durable, rejected, bytes });
            }
        }
        if membership_changed {
            let children = self.machines[machine].engine().children(space);
            for space in std::iter::once(space).chain(children) {
                self.membership_changed(machine, space);
            }
        }
        for (child, is_new) in entered {
            self.entered(machine, child, is_new);
        }
    }

    pub(crate) fn membership_changed(&mut self, machine: usize, space: SpaceId) {
        for peer in self.machines[machine].conns.keys().copied().collect::<Vec<_>>() {
            let device = self.machines[peer].device();
            let Some(conn) = self.machines[machine].conns.get(&peer) else { continue };
            let (refused, shared) = (conn.refused.contains(&space), conn.session.view(space).is_some());
            match self.machines[machine].standing(space, device) {
                Standing::Member if refused => {
                    self.hang_up(machine, peer);
                    continue;
                }
                Standing::Member => self.feed(machine, peer, Input::Authorise(space)),
                Standing::PutOut if shared && !refused => {
                    self.feed(machine, peer, Input::Forbid(space));
                    self.stop(machine, peer);
                    continue;
                }
                Standing::PutOut | Standing::Unknown => {}
            }
            self.feed(machine, peer, Input::Again(space));
        }
        self.write_again(machine, space);
        let turn = 50 + 400 * machine as u64;
        self.at(turn, Event::Chores { machine, space });
    }

    /// Ends a session. The other side mostly hears of it; but it may have ended the session itself, and listen no more.
    fn stop(&mut self, machine: usize, peer: usize) {
        let Some(conn) = self.machines[machine].conns.get(&peer).map(|conn| conn.id) else { return };
        self.feed(machine, peer, Input::Stop);
        self.at(STOPPED_MS, Event::Stopped { machine, peer, conn });
    }

    pub(super) fn stopped(&mut self, machine: usize, peer: usize, conn: u64) {
        if self.machines[machine].conns.get(&peer).is_some_and(|known| known.id == conn) {
            self.hang_up(machine, peer);
        }
    }

    pub(super) fn chores(&mut self, machine: usize, space: SpaceId) {
        if !self.machines[machine].up {
            return;
        }
        let own = self.machines[machine].device();
        if self.machines[machine].engine().chores(space, own).is_empty() {
            return;
        }
        let done = self
            .transact(machine, move |rows, engine, secrets, wall| engine.tend(rows, secrets, space, wall));
        match done {
            Ok(deeds) if deeds.is_empty() => {}
            Ok(deeds) => {
                let (name, what) = (self.machines[machine].name.clone(), self.called(space));
                self.note(format!("{name} sees to what {what} needs"));
                self.tended += 1;
                if self.tended > MAX_TENDED {
                    self.fail(format!("{what} never has what it needs"));
                }
                for (space, acted) in deeds {
                    self.note_forks(machine, space, &acted.1);
                    self.pend(machine, Pending::acted(space, acted));
                }
            }
            Err(err) => self.fail(format!("seeing to what a space needs: {err}")),
        }
    }

    /// Lets entries go whose time has come.
    pub(crate) fn release_held(&mut self) {
        for machine in 0..self.machines.len() {
            if !self.machines[machine].up {
                continue;
            }
            for space in self.machines[machine].spaces() {
                self.release(machine, space, HoldReason::Future);
            }
        }
    }

    /// Looks again at what was held for some reason.
    pub(super) fn release(&mut self, machine: usize, space: SpaceId, reason: HoldReason) {
        let released = self.transact(machine, move |rows, engine, secrets, wall| {
            engine.release(rows, secrets, space, reason, wall)
        });
        match released {
            Ok(outcome) => {
                self.note_forks(machine, space, &outcome);
                self.pend(machine, Pending::of(space, &outcome));
            }
            Err(err) => self.fail(format!("looking at held entries: {err}")),
        }
    }

    /// The defect that a machine works with.
    pub(crate) fn defect_of(&self, machine: usize) -> Option<Defect> {
        match self.options.planted {
            Some(Planted::SkipsSignatures) if machine == 1 => Some(Defect::SkipsSignatures),
            Some(Planted::LosesCuts) if machine == 1 => Some(Defect::LosesCuts),
            Some(Planted::KeepsTheKey) => Some(Defect::KeepsTheKey),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Options, world::World};

    #[test]
    fn two_who_end_their_session_at_the_same_moment_meet_again() {
        let mut world = World::new(1, Options::default());
        for _ in 0..2 {
            world.add_machine(None);
        }
        world.run_until(500);
        let before = world.machines[0].conns[&1].id;
        world.stop(0, 1);
        world.stop(1, 0);
        world.run_until_quiet(10_000);
        assert_ne!(world.machines[0].conns[&1].id, before);
        assert_eq!(world.machines[0].conns[&1].id, world.machines[1].conns[&0].id);
    }
}
