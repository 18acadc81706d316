//! Liars who flood: authors who don't exist, spaces without end, heads of what nobody has, frames that mean nothing,
//! and entries that are sound and far too many. Whoever is flooded may hang up; nobody's memory grows, and the honest
//! come to the same in time.

use std::sync::Arc;

use covey_engine::{MAX_UNKNOWN_LOGS, Profile, Secrets};
use covey_log::{BodyContext, Draft, Entry, Kind, seal};
use covey_records::{BodyWriter, Op, RecordId};
use covey_sync::{Input, Offer};
use covey_types::{
    DeviceId, EntryHash, Head, Hlc, Incarnation, LogId, SpaceId,
    keys::random_bytes,
    limits::{MAX_LOGS_PER_DEVICE, MAX_SYNC_FRAME_BYTES},
};

use crate::{Planted, world::World};

/// Authors that are made up at once: more than a space keeps the logs of.
const AUTHORS: u64 = MAX_UNKNOWN_LOGS as u64 + 16;

/// Spaces that are offered and don't exist; as many as one may offer.
const SPACES: usize = 1000;

/// Times that a liar tells everybody of heads that aren't there.
const CLAIMS: u64 = 8;

/// Frames of nothing, sent one after the other to each peer.
const FRAMES: usize = 100;

/// Sound entries, written in one go.
const ENTRIES: u32 = 150;

/// By how much a sender may run over a window beside one entry: one batch.
const SLACK_BYTES: u64 = 256 << 10;

/// Large ones, and their bytes, less than a record may have: together more than a window may have under way.
const LARGE_ENTRIES: u32 = 20;
const LARGE_BYTES: usize = 900 << 10;

impl World {
    /// A liar floods everybody it is connected to.
    pub(crate) fn flood(&mut self, machine: usize) {
        let space = self.one_of_its_spaces(machine).filter(|space| {
            let engine = self.machines[machine].engine();
            engine.space(*space).is_ok_and(|state| state.current_key().is_some())
        });
        match (self.rng.u8(0..5), space) {
            (0, Some(space)) => self.make_authors_up(machine, space),
            (1, Some(space)) => self.write_much(machine, space),
            (2, Some(space)) => self.claim_heads(machine, space),
            (3, _) => self.offer_spaces(machine),
            _ => {
                self.note(format!("m{machine} sends nonsense without end"));
                for _ in 0..FRAMES {
                    self.babble_once(machine);
                }
            }
        }
    }

    fn tell_all(&mut self, machine: usize, input: &mut dyn FnMut() -> Input) {
        for peer in self.machines[machine].conns.keys().copied().collect::<Vec<_>>() {
            self.tell_session(machine, peer, input());
        }
    }

    /// Entries of devices of which nobody has heard, who may have been taken in by somebody who is away.
    fn make_authors_up(&mut self, machine: usize, space: SpaceId) {
        self.note(format!("m{machine} makes {AUTHORS} authors up"));
        let wall = self.wall_ms(machine);
        let forged: Vec<Arc<Entry>> = {
            let engine = self.machines[machine].engine();
            let Some(key) = engine.space(space).ok().and_then(|state| state.current_key().cloned()) else {
                return;
            };
            let forge = |i: u64| {
                let profile = Profile { user_name: "nobody".into(), device_name: "none".into() };
                let secrets = Secrets::generate(profile).ok()?;
                let log = LogId { device: secrets.device.id(), incarnation: Incarnation(i) };
                let place = BodyContext { space, log, seq: 1, kind: Kind::RECORDS };
                let draft = Draft {
                    space,
                    log,
                    head: Head::EMPTY,
                    hlc: Hlc::new(wall, 0),
                    kind: Kind::RECORDS,
                    epoch: key.id(),
                    deps: vec![EntryHash(random_bytes())],
                };
                Some(Arc::new(Entry::sign(&secrets.device, draft, seal(&key, place, b""))))
            };
            (0..AUTHORS).filter_map(forge).collect()
        };
        for entry in forged {
            self.tell_all(machine, &mut || Input::Appended { space, entry: Arc::clone(&entry) });
        }
    }

    /// Says of every log that it reaches further, each time elsewhere, and of logs that don't exist; and has nothing of it.
    fn claim_heads(&mut self, machine: usize, space: SpaceId) {
        self.note(format!("m{machine} claims to have more of every log than there is"));
        let known: Vec<(LogId, Head)> = self.machines[machine].heads(space).0.into_iter().collect();
        let made_up = |incarnation| {
            let log = LogId { device: DeviceId(random_bytes()), incarnation };
            (log, Head { seq: 1 << 30, hash: EntryHash(random_bytes()) })
        };
        for round in 1..=CLAIMS {
            let further = |(log, head): &(LogId, Head)| {
                (*log, Head { seq: head.seq + 1000 * round, hash: EntryHash(random_bytes()) })
            };
            let heads: Vec<_> =
                known.iter().map(further).chain((0..AUTHORS).map(|n| made_up(Incarnation(n)))).collect();
            self.tell_all(machine, &mut || Input::Heads { space, heads: heads.clone() });
        }
    }

    /// Offers spaces that don't exist, again and again.
    fn offer_spaces(&mut self, machine: usize) {
        self.note(format!("m{machine} offers {SPACES} spaces that don't exist"));
        for _ in 0..8 {
            self.tell_all(machine, &mut || {
                let offer = |_| Offer {
                    space: SpaceId(random_bytes()),
                    mine: random_bytes(),
                    theirs: random_bytes(),
                };
                Input::Offer((0..SPACES).map(offer).collect())
            });
        }
    }

    /// Writes more than anybody could read, soundly: many entries, or large ones.
    fn write_much(&mut self, machine: usize, space: SpaceId) {
        let is_planted = self.options.planted == Some(Planted::GrantsTooMuch);
        let (entries, bytes) =
            if self.more.u8(0..4) == 0 || is_planted { (LARGE_ENTRIES, LARGE_BYTES) } else { (ENTRIES, 1) };
        self.note(format!("m{machine} writes {entries} entries of {bytes} bytes at once"));
        for i in 0..entries {
            let written = self.act_in(machine, space, move |rows, engine, secrets, wall| {
                let entry = engine.append_records(rows, secrets, space, wall, |_, _, _| {
                    let mut body = BodyWriter::new();
                    // Nothing that packs: the windows are to be filled.
                    let mut noise = fastrand::Rng::with_seed(u64::from(i));
                    let value: String = (0..bytes).map(|_| noise.alphanumeric()).collect();
                    let (id, value) = (format!("record {}", i % 12), value + &i.to_string());
                    let value = format!("\"{value}\"");
                    let id = RecordId::parse(&id)?;
                    body.push(&Op::Put { collection: "plants", id, fields: vec![("flood", &value)] })?;
                    Ok(body.finish())
                })?;
                Ok((entry, covey_engine::Ingested::default()))
            });
            if written.is_err() {
                return;
            }
        }
    }

    /// Whether what is under way in a session is within its bounds.
    pub(crate) fn check_bounds(&mut self, machine: usize, peer: usize) {
        let Some(conn) = self.machines[machine].conns.get(&peer) else { return };
        let (sent, taken) = conn.session.under_way();
        // A window, and what a sender may run over it by.
        let window = u64::from(self.window_bytes).max(MAX_SYNC_FRAME_BYTES as u64);
        let most = window + MAX_SYNC_FRAME_BYTES as u64 + SLACK_BYTES;
        self.most_under_way = self.most_under_way.max(sent).max(taken);
        if sent > most || taken > most {
            self.fail(format!(
                "{sent} bytes are under way from m{machine} to m{peer}, and {taken} wait: more than {most}"
            ));
        }
    }

    /// Whether what a machine keeps of a space is bounded by who is in that, whatever was sent to it.
    pub(crate) fn check_logs(&self, machine: usize, space: SpaceId) -> Result<(), String> {
        let it = &self.machines[machine];
        let (logs, known) = {
            let logs = it.heads(space).0.len();
            let engine = it.engine();
            let Ok(state) = engine.space(space) else { return Ok(()) };
            let known =
                self.machines.iter().filter(|other| state.membership.was_device(other.device())).count();
            (logs, known)
        };
        let most = known * MAX_LOGS_PER_DEVICE + MAX_UNKNOWN_LOGS;
        if logs > most { Err(format!("m{machine} keeps {logs} logs, more than {most}")) } else { Ok(()) }
    }
}
