//! Whole clusters in one thread, under virtual time, with everything going wrong.
//!
//! A run is a seed: it picks a [`story`] (people who write, join, promote and remove each other, while machines crash,
//! lose what they had not synced, go back to old backups, have wrong clocks, and can't reach each other), plays it
//! in a [`world`] of the real engine and the real sync sessions, lets everybody meet in the end, and [`check`]s what
//! has to be true then. The same seed gives the same run, down to every random key.
//!
//! Links are what sessions have: streams that keep the order of what one sends, as QUIC gives them. On the way of a single stream
//! nothing overtakes or comes twice, then; it's late, or cut off with all that was under way. Between streams everything
//! overtakes everything, and as each entry comes from several others, most come more than once.
//!
//! | module | what it holds |
//! |---|---|
//! | [`disk`] | what a machine keeps: a model of the store with a volatile and a durable half, or the real store |
//! | [`machine`] | one device: the engine, its disk, and its end of each session |
//! | `children` | spaces within the space: who makes them, who comes into them, who goes |
//! | `flood` | liars who send without end, and the bounds that hold all the same |
//! | `forks` | logs with two histories: who makes them, and what nodes do about it |
//! | `pairing` | codes, and the real machines of both who use one |
//! | [`world`] | virtual time, links, and what happens when |
//! | [`story`] | what people do, drawn from the seed |
//! | [`check`] | what must be true in the end |
//! | [`crowd`] | no story, but a measurement: many who all write at once |

use std::panic::{AssertUnwindSafe, catch_unwind};

pub mod check;
mod children;
mod compaction;
pub mod crowd;
pub mod disk;
mod flood;
mod forks;
pub mod machine;
mod pairing;
pub mod story;
mod thieves;
pub mod world;

/// What came of one seed.
#[derive(Debug, Default)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// What happened, a line each, for whoever has to find out why.
    pub log: Vec<String>,
    /// Entries that all members hold in the end.
    pub entries: u64,
    /// Logs of which somebody has dropped what was superseded.
    pub compacted: u64,
    /// Forked logs that count up to where their author was put out.
    pub saved: u64,
    /// Virtual milliseconds from the last trouble until everybody agreed.
    pub settled_ms: u64,
    /// Bytes that were under way in a session, at most.
    pub most_under_way: u64,
    /// Whether nobody was left in the end whom it could be asked of: all had gone, or had put each other out.
    pub vacuous: bool,
    /// What should have been true and was not.
    pub failure: Option<String>,
}

/// How a run is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Whether machines keep their rows in the real store instead of the model.
    pub real_store: bool,
    /// Whether machines get lost for good, with what only they had.
    pub losses: bool,
    /// Whether devices that were put out are in the hands of somebody who signs second histories of their logs.
    pub thieves: bool,
    /// A defect to be planted, to see that it is noticed.
    pub planted: Option<Planted>,
}

impl Options {
    /// Every fourth story with losses, and every fourth with thieves, beside what is asked for in all.
    #[must_use]
    pub const fn mixed(self, seed: u64) -> Self {
        Self { losses: self.losses || seed % 4 == 1, thieves: self.thieves || seed % 4 == 3, ..self }
    }

    /// What `covey-sim` needs beside the seed to play the same story, each with a space before it.
    pub fn flags(self) -> String {
        let flags =
            [(self.real_store, " --real-store"), (self.losses, " --losses"), (self.thieves, " --thieves")];
        flags.into_iter().filter(|(is_on, _)| *is_on).map(|(_, flag)| flag).collect()
    }
}

/// Defects that the checks must notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// One machine tells others of entries before they are durable.
    TellsTooEarly,
    /// A machine that went back to a backup goes on with its old log.
    ReusesPlaces,
    /// One machine applies what lies past the end of somebody's membership.
    LosesCuts,
    /// One machine takes forged entries.
    SkipsSignatures,
    /// Nobody begins a new epoch when somebody goes.
    KeepsTheKey,
    /// Machines grant each other more than they have room for.
    GrantsTooMuch,
    /// One machine whose session broke never tries again.
    GivesUp,
    /// Machines send what is newer than the last time they met, in place of what the other lacks.
    TimeAsCursor,
}

/// Plays one seed.
pub fn run(seed: u64, options: Options) -> Run {
    covey_types::replay::seed(seed);
    let mut world = world::World::new(seed, options);
    // What panics has failed like any other: the seed is what is wanted then.
    let played = catch_unwind(AssertUnwindSafe(|| story::play(&mut world)));
    let failure = match played {
        Ok(played) => played.err(),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("nothing said");
            let failure = Some(format!("it panicked: {said}"));
            return Run { seed, log: world.into_log(), failure, ..Run::default() };
        }
    };
    let (entries, settled_ms) = (world.entries(), world.settled_ms());
    let (compacted, saved, vacuous) = (world.compacted(), world.saved_by_cuts(), world.vacuous);
    let most_under_way = world.most_under_way;
    Run {
        seed,
        log: world.into_log(),
        entries,
        compacted,
        saved,
        settled_ms,
        most_under_way,
        vacuous,
        failure,
    }
}
