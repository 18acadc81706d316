//! Logs with two histories: machines that are set back by copying files, liars that show each side another history, and
//! what nodes do about it.

use std::{collections::BTreeSet, sync::Arc};

use covey_engine::{EngineError, Ingested, compare, differing, points, unwritten};
use covey_log::{BodyContext, Compared, Draft, Entry, Evidence, Kind, SignedHeader, seal};
use covey_records::{BodyWriter, Op, RecordId};
use covey_store::StoreError;
use covey_sync::Input;
use covey_types::{Head, Hlc, LogId, Signature, SpaceId};

use crate::{machine::Pending, world::World};

impl World {
    /// Goes back to its backup, as somebody does who copies files: with the log that it had.
    pub(crate) fn set_back(&mut self, machine: usize) {
        if !self.go_back(machine, "is set back by copying files") {
            return;
        }
        self.machines[machine].copied = true;
        self.start(machine);
        self.went_back(machine);
    }

    /// Signs two entries for one place, and shows one to each half of those it's connected to.
    pub(crate) fn equivocate(&mut self, machine: usize) {
        let Some(space) = self.one_of_its_spaces(machine) else { return };
        let Some(two) = self.two_histories(machine, space) else { return };
        self.note(format!("m{machine} shows each side another history"));
        let [one, other] = two.map(Arc::new);
        for peer in self.machines[machine].conns.keys().copied().collect::<Vec<_>>() {
            let entry = if peer % 2 == 0 { &one } else { &other };
            self.tell_session(machine, peer, Input::Appended { space, entry: Arc::clone(entry) });
        }
    }

    fn two_histories(&self, machine: usize, space: SpaceId) -> Option<[Entry; 2]> {
        let (it, wall) = (&self.machines[machine], self.wall_ms(machine));
        let heads = it.heads(space);
        let engine = it.engine();
        let state = engine.space(space).ok()?;
        let log = LogId { device: it.device(), incarnation: state.info.incarnation };
        let (head, key) = (heads.head(&log), state.current_key()?);
        let sign = |value: &str, hlc: Hlc| {
            let mut body = BodyWriter::new();
            let id = RecordId::parse("record 1").ok()?;
            body.push(&Op::Put { collection: "plants", id, fields: vec![("f0", value)] }).ok()?;
            let place = BodyContext { space, log, seq: head.seq + 1, kind: Kind::RECORDS };
            let deps = state.membership.deps_for(log.device);
            let draft = Draft { space, log, head, hlc, kind: Kind::RECORDS, epoch: key.id(), deps };
            Some(Entry::sign(&it.secrets.device, draft, seal(key, place, &body.finish())))
        };
        let mut clock = engine.clock;
        Some([sign("1", clock.tick(wall))?, sign("2", clock.tick(wall))?])
    }

    /// A session has found that a log has two histories: that's no defect only if somebody made them.
    pub(crate) fn forked(&mut self, machine: usize, log: LogId) {
        let honest = |other: &&crate::machine::Machine| !other.liar && !other.copied;
        let is_honest = self.machines.iter().filter(honest).any(|other| other.device() == log.device);
        let line = format!("{} sees that the log {log} has two histories", self.machines[machine].name);
        if is_honest { self.fail(line) } else { self.note(line) }
    }

    /// Takes a step in the search for the place where they part.
    pub(crate) fn compare(
        &mut self,
        machine: usize,
        peer: usize,
        (space, log): (SpaceId, LogId),
        theirs: Option<Vec<Head>>,
    ) {
        let Ok(key) = self.machines[machine].engine().space(space).map(|state| state.key) else { return };
        let compared = self.machines[machine].disk.read(move |rows| match theirs {
            Some(theirs) => compare(rows, key, log, &theirs),
            None => points(rows, key, log, u64::MAX),
        });
        self.tell_compared(machine, peer, (space, log), compared);
    }

    fn tell_compared(
        &mut self,
        machine: usize,
        peer: usize,
        (space, log): (SpaceId, LogId),
        compared: Result<Compared, StoreError>,
    ) {
        match compared {
            Ok(answer) => self.answer(machine, peer, Input::Compared { space, log, answer }),
            Err(err) => self.fail(format!("comparing histories: {err}")),
        }
    }

    /// Looks for logs of which a peer has another history, though it's shorter.
    pub(crate) fn compare_heads(
        &mut self,
        machine: usize,
        peer: usize,
        space: SpaceId,
        heads: Vec<(LogId, Head)>,
    ) {
        let Ok(key) = self.machines[machine].engine().space(space).map(|state| state.key) else { return };
        let found = self.machines[machine].disk.read(move |rows| differing(rows, key, &heads));
        for (log, upto) in found.unwrap_or_default() {
            self.forked(machine, log);
            let compared = self.machines[machine].disk.read(move |rows| points(rows, key, log, upto));
            self.tell_compared(machine, peer, (space, log), compared);
        }
    }

    /// Gives a peer the evidence that it asks for.
    pub(crate) fn prove(&mut self, machine: usize, peer: usize, space: SpaceId, log: LogId) {
        let Ok(key) = self.machines[machine].engine().space(space).map(|state| state.key) else { return };
        let found = self.machines[machine].disk.read(move |rows| rows.forks(key).unwrap_or_default());
        let evidence = found.into_iter().find(|row| row.id == log).map(|row| row.evidence);
        self.answer(machine, peer, Input::Evidence { space, evidence });
    }

    /// Tells a session what is known of forks, once it's open.
    pub(crate) fn tell_forks_to(&mut self, machine: usize, peer: usize, space: SpaceId) {
        let lines = self.machines[machine]
            .engine()
            .space(space)
            .map_or_else(|_| Vec::new(), |state| state.frozen().collect());
        self.answer(machine, peer, Input::Frozen { space, lines, heads: Vec::new() });
    }

    /// Checks and takes in the evidence that a peer sent.
    pub(crate) fn take_evidence(
        &mut self,
        machine: usize,
        peer: usize,
        space: SpaceId,
        bytes: &[u8],
        credit: u32,
    ) {
        match Evidence::verified(space, bytes) {
            Ok(evidence) => self.judge(machine, peer, space, credit, move |rows, engine, secrets, wall| {
                engine.take_evidence(rows, secrets, space, evidence, wall)
            }),
            Err(err) => self.fail(format!("m{machine} was given false evidence: {err}")),
        }
    }

    /// Checks and takes in the first entry that differs, as a peer has it.
    pub(crate) fn take_branch(
        &mut self,
        machine: usize,
        peer: usize,
        space: SpaceId,
        (header, signature): (&[u8], Signature),
        credit: u32,
    ) {
        match SignedHeader::verified(header, signature) {
            Ok(half) => self.judge(machine, peer, space, credit, move |rows, engine, secrets, wall| {
                engine.take_branch(rows, secrets, space, half, wall)
            }),
            Err(err) => self.fail(format!("m{machine} was given a forged header: {err}")),
        }
    }

    fn judge(
        &mut self,
        machine: usize,
        peer: usize,
        space: SpaceId,
        bytes: u32,
        job: impl FnOnce(
            &mut covey_engine::AnyRows<'_>,
            &mut covey_engine::Engine,
            &covey_engine::Secrets,
            u64,
        ) -> Result<Ingested, EngineError>
        + Send
        + 'static,
    ) {
        match self.transact(machine, job) {
            Ok(outcome) => {
                self.note_forks(machine, space, &outcome);
                self.pend(machine, Pending::of(space, &outcome));
            }
            Err(err) => self.fail(format!("taking in evidence: {err}")),
        }
        self.answer(machine, peer, Input::Ingested { space, durable: vec![], rejected: vec![], bytes });
    }

    /// Notes what became known of forks, to be told once it's durable.
    pub(crate) fn note_forks(&mut self, machine: usize, space: SpaceId, outcome: &Ingested) {
        for (log, from) in &outcome.forked {
            let line = format!("m{machine} freezes the log {log} from {from} on");
            self.note(line);
        }
        let it = &mut self.machines[machine];
        it.frozen.extend(outcome.frozen.iter().map(|log| (space, *log)));
        it.shortened.extend(outcome.shortened.iter().map(|(log, head)| ((space, *log), *head)));
    }

    /// Tells what became known of forks, and writes again what this machine has in a history that doesn't count.
    pub(crate) fn tell_forks(&mut self, machine: usize) {
        let it = &mut self.machines[machine];
        let (frozen, shortened) = (std::mem::take(&mut it.frozen), std::mem::take(&mut it.shortened));
        let spaces: BTreeSet<SpaceId> =
            frozen.iter().copied().chain(shortened.keys().copied()).map(|(space, _)| space).collect();
        for space in spaces {
            let of = |(of, log): (SpaceId, LogId)| (of == space).then_some(log);
            let frozen = frozen.iter().copied().filter_map(of).collect();
            let heads = shortened.iter().filter_map(|(place, head)| Some((of(*place)?, *head)));
            self.tell_forks_in(machine, space, &frozen, &heads.collect::<Vec<_>>());
        }
    }

    fn tell_forks_in(
        &mut self,
        machine: usize,
        space: SpaceId,
        frozen: &BTreeSet<LogId>,
        heads: &[(LogId, Head)],
    ) {
        let it = &mut self.machines[machine];
        let lines: Vec<_> = it.engine().space(space).map_or_else(
            |_| Vec::new(),
            |state| state.frozen().filter(|one| frozen.contains(&one.line.log)).collect(),
        );
        for peer in self.machines[machine].conns.keys().copied().collect::<Vec<_>>() {
            let (lines, heads) = (lines.clone(), heads.to_vec());
            self.tell_session(machine, peer, Input::Frozen { space, lines, heads });
        }
        self.write_again(machine, space);
    }

    /// Writes again what this machine has in a history of its own log that doesn't count.
    pub(crate) fn write_again(&mut self, machine: usize, space: SpaceId) {
        if !self.machines[machine].up || self.machines[machine].engine().space(space).is_err() {
            return;
        }
        loop {
            let written = self.transact(machine, move |rows, engine, secrets, wall| {
                let before = unwritten(rows, space)?;
                let entries = engine.write_again(rows, secrets, space, wall)?;
                Ok((entries, (1..before).contains(&unwritten(rows, space)?)))
            });
            match written {
                Ok((entries, more)) => {
                    if !entries.is_empty() {
                        self.note(format!("m{machine} writes {} entries again", entries.len()));
                        let pending = Pending::of(space, &Ingested::default());
                        self.pend(machine, Pending { entries, own: true, ..pending });
                    }
                    if !more {
                        return;
                    }
                }
                Err(err) => return self.fail(format!("writing again: {err}")),
            }
        }
    }

    /// Own entries of a machine that don't count and that it has not written again, though it may write.
    pub(crate) fn unwritten(&self, machine: usize, space: SpaceId) -> u64 {
        let it = &self.machines[machine];
        let may = it.engine().space(space).is_ok_and(|state| {
            state.require_role(it.device(), covey_space::Role::Member).is_ok()
                && state.current_key().is_some()
        });
        if may { it.disk.read(move |rows| unwritten(rows, space).unwrap_or(u64::MAX)) } else { 0 }
    }

    /// Whether the history of a forked log that counts at this machine isn't the one that an entry is of.
    pub(crate) fn is_of_another_history(
        &self,
        machine: usize,
        space: SpaceId,
        log: LogId,
        head: Head,
    ) -> bool {
        let it = &self.machines[machine];
        let key = it.engine().space(space).ok().and_then(|state| {
            let parts = |frozen: covey_log::Frozen| frozen.line.log == log && head.seq >= frozen.line.parts;
            state.frozen().any(parts).then_some(state.key)
        });
        let Some(key) = key else { return false };
        let here = it.disk.read(move |rows| {
            let row = rows.logs(key).unwrap_or_default().into_iter().find(|row| row.id == log)?;
            rows.hash_at(row.key, head.seq).ok()?
        });
        here.is_some_and(|here| here != head.hash)
    }

    /// Whether an entry stands in a part of a log that doesn't count at this machine.
    pub(crate) fn is_frozen(&self, machine: usize, space: SpaceId, log: LogId, seq: u64) -> bool {
        self.machines[machine].engine().space(space).is_ok_and(|state| state.is_frozen(log, seq))
    }
}
