//! The side that was told the code.

use covey_types::{DeviceId, limits::MAX_PAIR_MESSAGE_BYTES, wire};
use zeroize::Zeroizing;

use crate::{
    PairError, Step, Terms,
    code::Code,
    message::{Message, Refusal, VERSION},
    transcript::{Exchange, Keys, Parties, SEAL_BYTES, Side},
};

/// Room that a message takes beside its payload: its number, a mac, the length of the payload, the terms.
pub(crate) const MESSAGE_ROOM_BYTES: usize = 128;

/// Longest request or welcome, bytes.
pub const MAX_PAYLOAD_BYTES: usize = MAX_PAIR_MESSAGE_BYTES - MESSAGE_ROOM_BYTES - SEAL_BYTES;

/// What comes out on the joiner's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinerOutcome {
    /// Joined: what the inviter's caller had to say, and the terms. The message that is to be
    /// sent with it tells the inviter that it arrived.
    Welcome {
        /// The welcome.
        welcome: Vec<u8>,
        /// What this device was invited to.
        terms: Terms,
    },
    /// The inviter said no. Nothing proves that it wasn't someone else who can't know the code.
    Refused(Refusal),
}

/// A device that joins by a code.
pub struct Joiner(State);

enum State {
    Started { exchange: Box<Exchange>, request: Zeroizing<Vec<u8>> },
    Confirmed { keys: Box<Keys>, confirm: blake3::Hash },
    Over,
}

impl Joiner {
    /// Begins: the session of `me` with `inviter`, which the channel has authenticated, and the first
    /// message. `request` is what the inviter's caller gets to read once the code is known to be right.
    pub fn start(
        code: &Code,
        me: DeviceId,
        inviter: DeviceId,
        request: Vec<u8>,
    ) -> Result<(Self, Vec<u8>), PairError> {
        let request = Zeroizing::new(request);
        check_len("a join request", &request)?;
        let parties = Parties { nameplate: code.nameplate, joiner: me, inviter };
        let (exchange, element) = Exchange::start(Side::Joiner, parties, &code.secret)?;
        let message = Message::Start { version: VERSION, nameplate: code.nameplate.number(), element };
        Ok((Self(State::Started { exchange: Box::new(exchange), request }), message.encode()))
    }

    /// Takes in a message from the inviter.
    pub fn handle(&mut self, message: &[u8]) -> Result<Step<JoinerOutcome>, PairError> {
        let state = std::mem::replace(&mut self.0, State::Over);
        if matches!(state, State::Over) {
            return Err(PairError::OutOfTurn("after its end"));
        }
        match (state, Message::decode(message)?) {
            (_, Message::Refused { reason }) => Ok(Step::outcome(JoinerOutcome::Refused(reason))),
            (State::Started { exchange, request }, Message::Reply { element }) => {
                let keys = exchange.finish(&element)?;
                let sealed = keys.seal(Side::Joiner, request)?;
                let confirm = keys.confirm_mac(&sealed);
                self.0 = State::Confirmed { keys: Box::new(keys), confirm };
                Ok(Step::send(Message::Confirm { mac: confirm.into(), sealed }.encode()))
            }
            (State::Confirmed { keys, confirm }, Message::Accept { mac, sealed }) => {
                accepted(&keys, &confirm, mac, sealed)
            }
            (State::Started { .. }, other) => Err(other.unexpected("Reply")),
            (_, other) => Err(other.unexpected("Accept")),
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
    let payload = keys.open(Side::Inviter, sealed)?;
    let (welcome, terms) = wire::decode("a welcome and its terms", &payload, MAX_PAIR_MESSAGE_BYTES)?;
    let done = Message::Done { mac: keys.done_mac(&accept).into() };
    Ok(Step { send: Some(done.encode()), outcome: Some(JoinerOutcome::Welcome { welcome, terms }) })
}

pub(crate) fn check_len(what: &'static str, payload: &[u8]) -> Result<(), PairError> {
    let (len, max) = (payload.len(), MAX_PAYLOAD_BYTES);
    if len > max { Err(PairError::TooLong { what, len, max }) } else { Ok(()) }
}
