//! Pairing: inviters and joiners, honest and not, whose messages a script delivers, changes, swaps and invents.
//!
//! What must hold: no panic; a request or a welcome that comes out is one that an honest side put in; a code burns
//! after its wrong guesses.

use covey_pair::{
    Code, Invitation, Invitations, Inviter, InviterOutcome, Joiner, JoinerOutcome, Refusal, Step, Terms,
};
use covey_types::{
    DeviceId,
    limits::{DEFAULT_INVITE_MS, MAX_WRONG_GUESSES},
};

use super::steady;
use crate::{
    people::{ACTORS, SPACE},
    script::Script,
};

const NOW_MS: u64 = 1_700_000_000_000;

/// Most steps of one script: a few whole pairings. Each costs a key exchange.
const MAX_STEPS: usize = 48;

/// Two sessions with one inviter, and a script of what is said in them.
pub fn pairing(bytes: &[u8]) {
    steady();
    let mut script = Script::new(bytes);
    let mut table = Table::new();
    for _ in 0..MAX_STEPS {
        let Some(step) = script.next() else { break };
        table.step(step, &mut script);
    }
    for (_, invitation) in table.invitations.iter() {
        assert!(invitation.wrong_guesses() <= MAX_WRONG_GUESSES);
    }
}

/// A script in which somebody guesses wrong, and then everything goes well.
pub(crate) fn whole_pairing() -> Vec<u8> {
    let wrong = [0, 1, 6, 14, 6];
    let right = [0, 0, 6, 14, 6, 20, 0, 14, 6];
    [wrong.as_slice(), &right].concat()
}

/// One joiner and the inviter's side of it.
struct Session {
    joiner: Option<Joiner>,
    inviter: Inviter,
    to_inviter: Vec<u8>,
    to_joiner: Vec<u8>,
    is_asked: bool,
}

struct Table {
    invitations: Invitations,
    code: Code,
    now_ms: u64,
    sessions: [Session; 2],
}

fn terms() -> Terms {
    Terms { space: SPACE, role: 1, expires_at_ms: NOW_MS + DEFAULT_INVITE_MS }
}

fn inviter() -> DeviceId {
    ACTORS[0].id()
}

fn joiner(n: usize) -> DeviceId {
    ACTORS[1 + n].id()
}

fn request(n: usize) -> Vec<u8> {
    format!("let {n} in").into_bytes()
}

const WELCOME: &[u8] = b"come in";

impl Table {
    fn new() -> Self {
        let mut invitations = Invitations::new();
        let code = invitations.open(terms(), NOW_MS).expect("there are none yet");
        let session = |n| Session {
            joiner: None,
            inviter: Inviter::new(inviter(), joiner(n)),
            to_inviter: Vec::new(),
            to_joiner: Vec::new(),
            is_asked: false,
        };
        Self { invitations, code, now_ms: NOW_MS, sessions: [session(0), session(1)] }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        let n = usize::from(step & 1);
        match step >> 1 & 15 {
            0..=2 => self.start(n, script.byte()),
            3..=6 => self.reach_inviter(n),
            7..=9 => self.reach_joiner(n),
            10 | 11 => self.answer(n, script.byte()),
            12 => self.now_ms += u64::from(script.number()) << 6,
            13 => {
                let session = &mut self.sessions[n];
                let message = if step & 32 == 0 { &mut session.to_inviter } else { &mut session.to_joiner };
                change(message, script);
            }
            14 => {
                let session = &mut self.sessions[n];
                let invented = script.sized().to_vec();
                if step & 32 == 0 {
                    session.to_inviter = invented;
                } else {
                    session.to_joiner = invented;
                }
            }
            _ if step & 32 == 0 => self.sessions.swap(0, 1),
            _ => {
                self.sessions[n].inviter = Inviter::new(inviter(), joiner(n));
                self.sessions[n].is_asked = false;
            }
        }
    }

    fn start(&mut self, n: usize, how: u8) {
        let code = if how & 1 == 0 { self.code.clone() } else { wrong(&self.code) };
        let started = Joiner::start(&code, joiner(n), inviter(), request(n)).expect("the request is short");
        let session = &mut self.sessions[n];
        session.joiner = Some(started.0);
        session.to_inviter = started.1;
        if how & 2 == 0 {
            session.inviter = Inviter::new(inviter(), joiner(n));
            session.is_asked = false;
        }
    }

    fn reach_inviter(&mut self, n: usize) {
        let session = &mut self.sessions[n];
        let handled = session.inviter.handle(&session.to_inviter, &mut self.invitations, self.now_ms);
        let Ok(Step { send, outcome }) = handled else { return };
        session.to_joiner = send.unwrap_or_default();
        match outcome {
            Some(InviterOutcome::Request { request: came, terms: of, nameplate }) => {
                assert!((0..2).any(|n| came == request(n)), "only who knows the code can ask");
                assert!(of == terms() && nameplate == self.code.nameplate());
                assert!(self.now_ms < terms().expires_at_ms, "a code that expired is worth nothing");
                session.is_asked = true;
            }
            Some(InviterOutcome::WrongGuess { nameplate, burnt }) => {
                let guesses = self.invitations.invitation(nameplate).map_or(0, Invitation::wrong_guesses);
                assert_eq!(burnt, guesses >= MAX_WRONG_GUESSES);
            }
            _ => {}
        }
    }

    fn reach_joiner(&mut self, n: usize) {
        let session = &mut self.sessions[n];
        let Some(joiner) = &mut session.joiner else { return };
        let Ok(Step { send, outcome }) = joiner.handle(&session.to_joiner) else { return };
        session.to_inviter = send.unwrap_or_default();
        if let Some(JoinerOutcome::Welcome { welcome, terms: of }) = outcome {
            assert!(*welcome == WELCOME && of == terms(), "only the inviter can welcome");
        }
    }

    fn answer(&mut self, n: usize, how: u8) {
        let session = &mut self.sessions[n];
        let answer = if how & 1 == 0 {
            session.inviter.accept(WELCOME, terms())
        } else {
            session.inviter.decline(Refusal::Declined)
        };
        assert!(answer.is_err() || session.is_asked, "nobody is welcomed who did not ask");
        if let Ok(answer) = answer {
            session.to_joiner = answer;
            session.is_asked = false;
        }
    }
}

/// The same nameplate with another secret.
fn wrong(code: &Code) -> Code {
    let text = code.to_string();
    let last = if text.ends_with('0') { "1" } else { "0" };
    format!("{}{last}", &text[..text.len() - 1]).parse().expect("a code with another last character")
}

fn change(message: &mut Vec<u8>, script: &mut Script<'_>) {
    if message.is_empty() {
        return;
    }
    let (at, by) = (usize::from(script.number()), script.byte());
    let len = message.len();
    if by == 0 {
        message.truncate(at % len);
    } else {
        message[at % len] ^= by;
    }
}
