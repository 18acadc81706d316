//! Looking for the inviter among all devices that can be found, by a code.
//!
//! Whoever is asked may say that the code is its own, and then gets to check one guess of the secret against
//! the joiner's Confirm. So a join sends at most [`MAX_WRONG_GUESSES`] Confirms, over all devices, and never
//! two to the same. What a device says before that proves nothing: a stranger that is busy, speaks another
//! version or can't be reached doesn't end the search, and the word of one that claims to be the inviter does
//! only when nobody else is about to answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use covey_pair::{Code, Purpose, Refusal};
use covey_types::{DeviceId, SpaceId, limits::MAX_WRONG_GUESSES};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::{
    JoinError,
    joining::{Answer, ask},
};
use crate::{Node, NodeError};

/// How often a joiner looks for devices that it has not asked yet, or that are due again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Devices that a joiner with a code asks: a crowd on one LAN, with room.
const MAX_ASKED: usize = 1024;

/// How often one device is asked that could not be reached or was busy: over a minute with the pauses.
const MAX_TRIES: u32 = 32;

/// The pause before a device is asked for the second time; it doubles from then on.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest of those pauses: an inviter that comes up late is not kept waiting for longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// How long others that are being asked get to say otherwise when one device has refused the code as its own.
const GRACE: Duration = Duration::from_secs(3);

/// The Confirms that one join has sent: each lets its receiver check one guess.
#[derive(Debug, Default)]
pub(super) struct Guesses(AtomicU32);

impl Guesses {
    /// Whether one more Confirm may be sent; it counts as sent then.
    pub(super) fn take(&self) -> bool {
        let one_more = |sent| (sent < MAX_WRONG_GUESSES).then_some(sent + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }
}

/// How it stands with one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Asking,
    /// To be asked again.
    Due(Instant),
    /// Never to be asked again in this join.
    Settled,
}

#[derive(Debug)]
struct Candidate {
    tries: u32,
    standing: Standing,
}

#[derive(Default)]
struct Search {
    candidates: BTreeMap<DeviceId, Candidate>,
    attempts: JoinSet<(DeviceId, Answer)>,
    guesses: Arc<Guesses>,
    failed_guesses: u32,
    /// What a device said that claims to be the inviter, and when.
    verdict: Option<(Refusal, Instant)>,
    /// What else went wrong: told when the time is over and nobody was better.
    broken: Option<JoinError>,
    /// Somebody speaks another version.
    other_version: bool,
    /// Devices that had others before this one, and have said nothing else since.
    busy: BTreeSet<DeviceId>,
}

/// The pause after having asked a device for the `tries`th time.
pub(super) fn pause_after(tries: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << (tries.max(1) - 1).min(10)).min(LONGEST_PAUSE)
}

/// Asks every device that can be found until one lets us in; the space and the inviter.
pub(super) async fn join_by_code(
    node: &Node,
    purpose: Purpose,
    code: &Code,
    started: Instant,
    deadline: Instant,
) -> Result<(SpaceId, DeviceId), NodeError> {
    let mut search = Search::default();
    loop {
        search.ask_those_due(node, purpose, code).await;
        let look_again = (Instant::now() + LOOK_AGAIN).min(deadline);
        match timeout_at(look_again, search.attempts.join_next()).await {
            Ok(Some(Ok((device, answer)))) => {
                if let Some(space) = search.heard(device, answer)? {
                    return Ok((space, device));
                }
            }
            Ok(Some(Err(_))) | Err(_) => {}
            Ok(None) => tokio::time::sleep_until(look_again).await,
        }
        if let Some(err) = search.end(started, deadline) {
            return Err(err.into());
        }
    }
}

impl Search {
    async fn ask_those_due(&mut self, node: &Node, purpose: Purpose, code: &Code) {
        let peers = node.0.net.peers().await;
        let now = Instant::now();
        for info in peers {
            if self.candidates.len() >= MAX_ASKED && !self.candidates.contains_key(&info.device) {
                continue;
            }
            let new = Candidate { tries: 0, standing: Standing::Due(now) };
            let candidate = self.candidates.entry(info.device).or_insert(new);
            if !matches!(candidate.standing, Standing::Due(at) if at <= now) {
                continue;
            }
            candidate.tries += 1;
            candidate.standing = Standing::Asking;
            let (node, code, guesses) = (node.clone(), code.clone(), Arc::clone(&self.guesses));
            self.attempts.spawn(async move {
                (info.device, reach(&node, purpose, &code, info.device, &guesses).await)
            });
        }
    }

    /// Takes in what came of asking a device; the space, if that was it.
    fn heard(&mut self, device: DeviceId, answer: Answer) -> Result<Option<SpaceId>, NodeError> {
        let confirmed = match answer {
            Answer::Joined(space) => return Ok(Some(space)),
            Answer::NotKept(err) => return Err(err),
            Answer::Refused { refusal, confirmed } => {
                self.refused(device, refusal, confirmed);
                confirmed
            }
            Answer::Broken { reason, confirmed } => {
                tracing::debug!(%device, reason, confirmed, "asking for the code");
                if confirmed {
                    self.broken = Some(JoinError::Broken { peer: device, reason });
                } else {
                    self.later(device);
                }
                confirmed
            }
        };
        if confirmed {
            self.settle(device);
            self.failed_guesses += 1;
        }
        Ok(None)
    }

    fn refused(&mut self, device: DeviceId, refusal: Refusal, confirmed: bool) {
        tracing::debug!(%device, %refusal, confirmed, "a device refused the code");
        self.busy.remove(&device);
        match refusal {
            Refusal::UnknownNameplate => self.settle(device),
            Refusal::Busy => {
                self.busy.insert(device);
                self.later(device);
            }
            Refusal::Version => {
                self.other_version = true;
                self.settle(device);
            }
            // Only who has the invitation can say so, or who pretends to have it.
            _ => {
                self.verdict.get_or_insert((refusal, Instant::now()));
                self.settle(device);
            }
        }
    }

    fn settle(&mut self, device: DeviceId) {
        if let Some(candidate) = self.candidates.get_mut(&device) {
            candidate.standing = Standing::Settled;
        }
    }

    fn later(&mut self, device: DeviceId) {
        let Some(candidate) = self.candidates.get_mut(&device) else { return };
        candidate.standing = if candidate.tries < MAX_TRIES {
            Standing::Due(Instant::now() + pause_after(candidate.tries))
        } else {
            Standing::Settled
        };
    }

    /// Why the search is over, once it is.
    fn end(&mut self, started: Instant, deadline: Instant) -> Option<JoinError> {
        let now = Instant::now();
        if self.failed_guesses >= MAX_WRONG_GUESSES {
            return Some(JoinError::Guessed { devices: self.failed_guesses });
        }
        if let Some((refusal, at)) = self.verdict {
            let others = self.candidates.values().any(|candidate| candidate.standing != Standing::Settled);
            if !others || now >= at + GRACE || now >= deadline {
                return Some(JoinError::Refused(refusal));
            }
        }
        if now < deadline {
            return None;
        }
        let hint = match self {
            Self { other_version: true, .. } => Some(JoinError::Refused(Refusal::Version)),
            Self { busy, .. } if !busy.is_empty() => Some(JoinError::Refused(Refusal::Busy)),
            _ => None,
        };
        Some(self.broken.take().or(hint).unwrap_or_else(|| JoinError::NobodyAnswered {
            waited: started.elapsed(),
            asked: self.candidates.len(),
        }))
    }
}

async fn reach(node: &Node, purpose: Purpose, code: &Code, device: DeviceId, guesses: &Guesses) -> Answer {
    let _asking = node.0.pairing.asking(device);
    match node.0.net.connect(device, Vec::new()).await {
        Ok(()) => ask(node, purpose, code, device, guesses).await,
        Err(err) => Answer::Broken { reason: err.to_string(), confirmed: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_was_busy_and_then_knows_nothing_of_the_code_is_not_called_busy() {
        let said = |answers: &[(u8, Refusal)]| {
            let mut search = Search::default();
            for (device, refusal) in answers {
                let device = DeviceId([*device; 32]);
                search.candidates.insert(device, Candidate { tries: 1, standing: Standing::Asking });
                let answer = Answer::Refused { refusal: *refusal, confirmed: false };
                assert!(matches!(search.heard(device, answer), Ok(None)));
            }
            let now = Instant::now();
            search.end(now, now).expect("the time is over")
        };
        let (busy, unknown, version) = (Refusal::Busy, Refusal::UnknownNameplate, Refusal::Version);
        for (answers, expected) in [
            (&[(1, busy), (1, unknown)][..], None),
            (&[(1, unknown)], None),
            (&[(1, busy)], Some(busy)),
            (&[(1, busy), (2, unknown)], Some(busy)),
            (&[(1, busy), (2, busy), (1, unknown)], Some(busy)),
            (&[(1, version), (2, busy)], Some(version)),
            (&[(1, busy), (1, version)], Some(version)),
        ] {
            let told = match said(answers) {
                JoinError::Refused(refusal) => Some(refusal),
                JoinError::NobodyAnswered { .. } => None,
                other => panic!("{other}"),
            };
            assert_eq!(told, expected, "{answers:?}");
        }
    }
}
