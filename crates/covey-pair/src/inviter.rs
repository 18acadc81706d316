//! The side that showed the code.
//!
//! It holds no invitation of its own: every message is judged against the [`Invitations`] as they are
//! at that moment. So sessions that run side by side can't guess more often than one after the other,
//! and a code that burns or expires halfway is worth nothing any more.

use covey_types::{DeviceId, wire};
use zeroize::Zeroizing;

use crate::{
    Invitations, PairError, Purpose, Step, Terms,
    code::Nameplate,
    joiner::check_len,
    message::{Element, Message, Refusal, VERSION},
    transcript::{Exchange, Keys, Parties, Sealed, Side},
};

/// What comes out on the inviter's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InviterOutcome {
    /// The code was right, and the invitation is now this device's. Answer with [`Inviter::accept`] or
    /// [`Inviter::decline`].
    Request {
        /// The invitation.
        nameplate: Nameplate,
        /// What it invites to.
        terms: Terms,
        /// What the joiner's caller had to say.
        request: Vec<u8>,
    },
    /// The joiner's answer to [`Inviter::ask`]. Answer with [`Inviter::accept`] or [`Inviter::decline`].
    Answered(Vec<u8>),
    /// The code was wrong; the invitation has counted it. The session is over.
    WrongGuess {
        /// The invitation.
        nameplate: Nameplate,
        /// Whether this guess burnt it.
        burnt: bool,
    },
    /// The joiner was refused. The session is over.
    Refused(Refusal),
    /// The joiner has the welcome. The session is over.
    Finished,
}

/// A device that is asked by another to let it join.
pub struct Inviter {
    me: DeviceId,
    joiner: DeviceId,
    purpose: Purpose,
    state: State,
}

enum State {
    Waiting,
    Replied { keys: Box<Keys>, nameplate: Nameplate },
    Asked { keys: Box<Keys>, confirm: blake3::Hash },
    Consulting { keys: Box<Keys>, ask: blake3::Hash },
    Accepted { done: blake3::Hash },
    Over,
}

impl Inviter {
    /// A session of `me` with `joiner`, which the channel has authenticated.
    pub const fn new(me: DeviceId, joiner: DeviceId) -> Self {
        Self { me, joiner, purpose: Purpose::Space, state: State::Waiting }
    }

    /// What the joiner's code is for; known once it was [asked for](InviterOutcome::Request).
    pub const fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Whether nothing more is to come in this session.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Takes in a message from the joiner. `now_ms` is the wall clock, milliseconds since 1970.
    pub fn handle(
        &mut self,
        message: &[u8],
        invitations: &mut Invitations,
        now_ms: u64,
    ) -> Result<Step<InviterOutcome>, PairError> {
        let state = std::mem::replace(&mut self.state, State::Over);
        match state {
            State::Asked { .. } => return Err(PairError::OutOfTurn("before its request is answered")),
            State::Over => return Err(PairError::OutOfTurn("after its end")),
            _ => {}
        }
        match (state, Message::decode(message)?) {
            (State::Waiting, Message::Start { version, nameplate, element }) => {
                self.started(version, nameplate, element, invitations, now_ms)
            }
            (State::Waiting, Message::Link { version, nameplate, element }) => {
                self.purpose = Purpose::Device;
                self.started(version, nameplate, element, invitations, now_ms)
            }
            (State::Consulting { keys, ask }, Message::Answer { mac, sealed }) => {
                let answer = keys.answer_mac(&ask, &sealed);
                if answer != blake3::Hash::from_bytes(mac) {
                    return Err(PairError::NotConfirmed);
                }
                let said = std::mem::take(&mut *keys.open(Sealed::Answer, sealed)?);
                self.state = State::Asked { keys, confirm: answer };
                Ok(Step::outcome(InviterOutcome::Answered(said)))
            }
            (State::Replied { keys, nameplate }, Message::Confirm { mac, sealed }) => {
                self.confirmed(keys, nameplate, mac, sealed, invitations, now_ms)
            }
            (State::Accepted { done }, Message::Done { mac }) => {
                let understood = done == blake3::Hash::from_bytes(mac);
                if understood {
                    Ok(Step::outcome(InviterOutcome::Finished))
                } else {
                    Err(PairError::NotConfirmed)
                }
            }
            (State::Waiting, other) => Err(other.unexpected("Start or Link")),
            (State::Consulting { .. }, other) => Err(other.unexpected("Answer")),
            (State::Replied { .. }, other) => Err(other.unexpected("Confirm")),
            (_, other) => Err(other.unexpected("Done")),
        }
    }

    /// Asks the joiner something first, once, where it wants to be one's own device: the message that does.
    pub fn ask(&mut self, question: &[u8]) -> Result<Vec<u8>, PairError> {
        check_len("a question", question)?;
        if self.purpose != Purpose::Device {
            return Err(PairError::OutOfTurn("for a space"));
        }
        let (keys, confirm) = self.asked()?;
        let sealed = keys.seal(Sealed::Ask, Zeroizing::new(question.to_vec()))?;
        let mac = keys.ask_mac(&confirm, &sealed);
        self.state = State::Consulting { keys, ask: mac };
        Ok(Message::Ask { mac: mac.into(), sealed }.encode())
    }

    /// Lets the joiner in: the message that tells it so. `welcome` is for the joiner's caller.
    pub fn accept(&mut self, welcome: &[u8], terms: Terms) -> Result<Vec<u8>, PairError> {
        check_len("a welcome", welcome)?;
        let (keys, confirm) = self.asked()?;
        let sealed = keys.seal(Sealed::Welcome, Zeroizing::new(wire::encode(&(welcome, terms))))?;
        let mac = keys.accept_mac(&confirm, &sealed);
        self.state = State::Accepted { done: keys.done_mac(&mac) };
        Ok(Message::Accept { mac: mac.into(), sealed }.encode())
    }

    /// Turns the joiner away after all: the message that tells it so. The invitation stays its own.
    pub fn decline(&mut self, reason: Refusal) -> Result<Vec<u8>, PairError> {
        self.asked()?;
        Ok(Self::refusal(reason))
    }

    /// The message that refuses a joiner without a session, when there are too many of them.
    pub fn refusal(reason: Refusal) -> Vec<u8> {
        Message::Refused { reason }.encode()
    }

    fn asked(&mut self) -> Result<(Box<Keys>, blake3::Hash), PairError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Asked { keys, confirm } => Ok((keys, confirm)),
            other => {
                self.state = other;
                Err(PairError::OutOfTurn("without a request"))
            }
        }
    }

    fn started(
        &mut self,
        version: u16,
        nameplate: u32,
        element: Element,
        invitations: &mut Invitations,
        now_ms: u64,
    ) -> Result<Step<InviterOutcome>, PairError> {
        // Whose code it is comes first: a version is of no interest to who asks the wrong device.
        let Some(nameplate) = Nameplate::new(nameplate) else {
            return Ok(refused(Refusal::UnknownNameplate));
        };
        let secret = match invitations.admit(nameplate, self.purpose, self.joiner, now_ms) {
            Ok((secret, _)) => secret,
            Err(reason) => return Ok(refused(reason)),
        };
        if version != VERSION {
            return Ok(refused(Refusal::Version));
        }
        let parties = Parties { purpose: self.purpose, nameplate, joiner: self.joiner, inviter: self.me };
        let (exchange, ours) = Exchange::start(Side::Inviter, parties, secret)?;
        let keys = Box::new(exchange.finish(&element)?);
        self.state = State::Replied { keys, nameplate };
        Ok(Step::send(Message::Reply { element: ours }.encode()))
    }

    fn confirmed(
        &mut self,
        keys: Box<Keys>,
        nameplate: Nameplate,
        mac: [u8; 32],
        sealed: Vec<u8>,
        invitations: &mut Invitations,
        now_ms: u64,
    ) -> Result<Step<InviterOutcome>, PairError> {
        // Looked at again before the guess is: other sessions may have burnt or used it meanwhile.
        let terms = match invitations.admit(nameplate, self.purpose, self.joiner, now_ms) {
            Ok((_, terms)) => terms,
            Err(reason) => return Ok(refused(reason)),
        };
        let confirm = keys.confirm_mac(&sealed);
        if confirm != blake3::Hash::from_bytes(mac) {
            let burnt = invitations.wrong_guess(nameplate, self.joiner, now_ms);
            let send = Some(Self::refusal(Refusal::WrongCode));
            return Ok(Step { send, outcome: Some(InviterOutcome::WrongGuess { nameplate, burnt }) });
        }
        let request = std::mem::take(&mut *keys.open(Sealed::Request, sealed)?);
        invitations.use_up(nameplate, self.joiner, now_ms);
        self.state = State::Asked { keys, confirm };
        Ok(Step::outcome(InviterOutcome::Request { nameplate, terms, request }))
    }
}

fn refused(reason: Refusal) -> Step<InviterOutcome> {
    Step { send: Some(Inviter::refusal(reason)), outcome: Some(InviterOutcome::Refused(reason)) }
}
