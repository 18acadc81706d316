//! The side that was told the code.

use std::fmt;

use covey_types::{DeviceId, limits::MAX_PAIR_MESSAGE_BYTES, wire};
use zeroize::Zeroizing;

use crate::{
    PairError, Purpose, Step, Terms,
    code::Code,
    message::{Message, Refusal, VERSION},
    transcript::{Exchange, Keys, Parties, SEAL_BYTES, Sealed, Side},
};

/// Room that a message takes beside its payload: its number, a mac, the length of the payload, the terms.
pub(crate) const MESSAGE_ROOM_BYTES: usize = 128;

/// Longest request or welcome, bytes.
pub const MAX_PAYLOAD_BYTES: usize = MAX_PAIR_MESSAGE_BYTES - MESSAGE_ROOM_BYTES - SEAL_BYTES;

/// What comes out on the joiner's side.
#[derive(Clone, PartialEq, Eq)]
pub enum JoinerOutcome {
    /// The inviter wants to know something first. Answer with [`Joiner::answer`].
    Asked(Vec<u8>),
    /// Joined: what the inviter's caller had to say, and the terms. The message that is to be
    /// sent with it tells the inviter that it arrived.
    Welcome {
        /// The welcome. It holds secrets.
        welcome: Zeroizing<Vec<u8>>,
        /// What this device was invited to.
        terms: Terms,
    },
    /// The inviter said no. Nothing proves that it wasn't someone else who can't know the code.
    Refused(Refusal),
}

impl fmt::Debug for JoinerOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked(question) => f.debug_tuple("Asked").field(question).finish(),
            // A welcome holds the keys of a space, and for a further device the user's secret.
            Self::Welcome { terms, .. } => {
                f.debug_struct("Welcome").field("terms", terms).finish_non_exhaustive()
            }
            Self::Refused(refusal) => f.debug_tuple("Refused").field(refusal).finish(),
        }
    }
}

/// A device that joins by a code.
pub struct Joiner(State);

enum State {
    Started {
        exchange: Box<Exchange>,
        purpose: Purpose,
        request: Zeroizing<Vec<u8>>,
    },
    /// `last` is the mac of what was said last. A question may come, once, if `may_ask`.
    Confirmed {
        keys: Box<Keys>,
        last: blake3::Hash,
        may_ask: bool,
    },
    Consulted {
        keys: Box<Keys>,
        ask: blake3::Hash,
    },
    Over,
}

impl Joiner {
    /// As [`Joiner::start_for`], to be let into a space.
    pub fn start(
        code: &Code,
        me: DeviceId,
        inviter: DeviceId,
        request: Vec<u8>,
    ) -> Result<(Self, Vec<u8>), PairError> {
        Self::start_for(Purpose::Space, code, me, inviter, request)
    }

    /// Begins: the session of `me` with `inviter`, which the channel has authenticated, and the first
    /// message. `request` is what the inviter's caller gets to read once the code is known to be right.
    pub fn start_for(
        purpose: Purpose,
        code: &Code,
        me: DeviceId,
        inviter: DeviceId,
        request: Vec<u8>,
    ) -> Result<(Self, Vec<u8>), PairError> {
        let request = Zeroizing::new(request);
        check_len("a join request", &request)?;
        let parties = Parties { purpose, nameplate: code.nameplate, joiner: me, inviter };
        let (exchange, element) = Exchange::start(Side::Joiner, parties, &code.secret)?;
        let (version, nameplate) = (VERSION, code.nameplate.number());
        let message = match purpose {
            Purpose::Space => Message::Start { version, nameplate, element },
            Purpose::Device => Message::Link { version, nameplate, element },
        };
        Ok((Self(State::Started { exchange: Box::new(exchange), purpose, request }), message.encode()))
    }

    /// Takes in a message from the inviter.
    pub fn handle(&mut self, message: &[u8]) -> Result<Step<JoinerOutcome>, PairError> {
        let state = std::mem::replace(&mut self.0, State::Over);
        if matches!(state, State::Over) {
            return Err(PairError::OutOfTurn("after its end"));
        }
        match (state, Message::decode(message)?) {
            (_, Message::Refused { reason }) => Ok(Step::outcome(JoinerOutcome::Refused(reason))),
            (State::Started { exchange, purpose, request }, Message::Reply { element }) => {
                let keys = exchange.finish(&element)?;
                let sealed = keys.seal(Sealed::Request, request)?;
                let confirm = keys.confirm_mac(&sealed);
                let may_ask = purpose == Purpose::Device;
                self.0 = State::Confirmed { keys: Box::new(keys), last: confirm, may_ask };
                Ok(Step::send(Message::Confirm { mac: confirm.into(), sealed }.encode()))
            }
            (State::Confirmed { keys, last, .. }, Message::Accept { mac, sealed }) => {
                accepted(&keys, &last, mac, sealed)
            }
            (State::Confirmed { keys, last, may_ask: true }, Message::Ask { mac, sealed }) => {
                let ask = keys.ask_mac(&last, &sealed);
                if ask != blake3::Hash::from_bytes(mac) {
                    return Err(PairError::NotConfirmed);
                }
                let question = std::mem::take(&mut *keys.open(Sealed::Ask, sealed)?);
                self.0 = State::Consulted { keys, ask };
                Ok(Step::outcome(JoinerOutcome::Asked(question)))
            }
            (State::Consulted { .. }, _) => Err(PairError::OutOfTurn("before its question is answered")),
            (State::Started { .. }, other) => Err(other.unexpected("Reply")),
            (_, other) => Err(other.unexpected("Accept")),
        }
    }
}

impl Joiner {
    /// Answers what the inviter has asked: the message that does.
    pub fn answer(&mut self, answer: Vec<u8>) -> Result<Vec<u8>, PairError> {
        let answer = Zeroizing::new(answer);
        check_len("an answer", &answer)?;
        match std::mem::replace(&mut self.0, State::Over) {
            State::Consulted { keys, ask } => {
                let sealed = keys.seal(Sealed::Answer, answer)?;
                let last = keys.answer_mac(&ask, &sealed);
                self.0 = State::Confirmed { keys, last, may_ask: false };
                Ok(Message::Answer { mac: last.into(), sealed }.encode())
            }
            other => {
                self.0 = other;
                Err(PairError::OutOfTurn("without a question"))
            }
        }
    }
}

fn accepted(
    keys: &Keys,
    confirm: &blake3::Hash,
    mac: [u8; 32],
    sealed: Vec<u8>,
) -> Result<Step<JoinerOutcome>, PairError> {
    let accept = keys.accept_mac(confirm, &sealed);
    if accept != blake3::Hash::from_bytes(mac) {
        return Err(PairError::NotConfirmed);
    }
    let payload = keys.open(Sealed::Welcome, sealed)?;
    let (welcome, terms): (Vec<u8>, _) =
        wire::decode("a welcome and its terms", &payload, MAX_PAIR_MESSAGE_BYTES)?;
    let welcome = Zeroizing::new(welcome);
    let done = Message::Done { mac: keys.done_mac(&accept).into() };
    Ok(Step { send: Some(done.encode()), outcome: Some(JoinerOutcome::Welcome { welcome, terms }) })
}

pub(crate) fn check_len(what: &'static str, payload: &[u8]) -> Result<(), PairError> {
    let (len, max) = (payload.len(), MAX_PAYLOAD_BYTES);
    if len > max { Err(PairError::TooLong { what, len, max }) } else { Ok(()) }
}
