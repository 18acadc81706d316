//! Keys of one session, and what is done with them.
//!
//! The transcript is a BLAKE3 hash over version, nameplate, both device ids and both SPAKE2 messages,
//! all of fixed length. From it and the SPAKE2 key BLAKE3's `derive_key` makes a key per purpose and
//! direction. Payloads are sealed with AES-256-GCM under the transcript as associated data; each sealing
//! key is used for one message of one session, so the nonce may be constant.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use covey_types::{DeviceId, SecretBytes};
use spake2::{Ed25519Group, Identity, Password, Spake2};
use zeroize::Zeroizing;

use crate::{
    PairError, Purpose,
    code::{Nameplate, Secret},
    message::{Element, VERSION},
};

const NONCE: [u8; 12] = [0; 12];

/// What sealing adds to a payload, bytes.
pub(crate) const SEAL_BYTES: usize = 16;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Side {
    Joiner,
    Inviter,
}

impl Side {
    /// How the spake2 crate marks whose message it is.
    const fn mark(self) -> u8 {
        match self {
            Self::Joiner => b'A',
            Self::Inviter => b'B',
        }
    }
}

/// Whom the session is between, and over which invitation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parties {
    pub(crate) purpose: Purpose,
    pub(crate) nameplate: Nameplate,
    pub(crate) joiner: DeviceId,
    pub(crate) inviter: DeviceId,
}

/// One side's half of the key exchange. The `spake2` crate does not wipe its copy of the password;
/// it lives no longer than this value.
pub(crate) struct Exchange {
    spake: Spake2<Ed25519Group>,
    side: Side,
    parties: Parties,
    element: Element,
}

impl Exchange {
    /// Starts, and gives the message for the other side.
    pub(crate) fn start(side: Side, parties: Parties, secret: &Secret) -> Result<(Self, Element), PairError> {
        let password = Password::new(secret.expose());
        let joiner = Identity::new(parties.joiner.as_bytes());
        let inviter = Identity::new(parties.inviter.as_bytes());
        let (spake, message) = match side {
            Side::Joiner => Spake2::start_a(&password, &joiner, &inviter),
            Side::Inviter => Spake2::start_b(&password, &joiner, &inviter),
        };
        let element = message.get(1..).and_then(|element| element.try_into().ok());
        let element: Element = element.ok_or(PairError::KeyExchange("a message of another length"))?;
        Ok((Self { spake, side, parties, element }, element))
    }

    /// The keys that both sides have if both know the secret.
    pub(crate) fn finish(self, theirs: &Element) -> Result<Keys, PairError> {
        let (from, joiners, inviters) = match self.side {
            Side::Joiner => (Side::Inviter, &self.element, theirs),
            Side::Inviter => (Side::Joiner, theirs, &self.element),
        };
        let transcript = transcript(&self.parties, joiners, inviters);
        let message = [&[from.mark()], theirs.as_slice()].concat();
        let key =
            self.spake.finish(&message).map_err(|_| PairError::KeyExchange("not a point of the group"))?;
        Ok(Keys::new(&Zeroizing::new(key), transcript))
    }
}

fn transcript(parties: &Parties, joiners: &Element, inviters: &Element) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(match parties.purpose {
        Purpose::Space => "covey 2026 pair transcript v1",
        Purpose::Device => "covey 2026 pair device transcript v1",
    });
    hasher.update(&VERSION.to_le_bytes());
    hasher.update(&parties.nameplate.number().to_le_bytes());
    hasher.update(parties.joiner.as_bytes());
    hasher.update(parties.inviter.as_bytes());
    hasher.update(joiners);
    hasher.update(inviters);
    *hasher.finalize().as_bytes()
}

pub(crate) struct Keys {
    transcript: [u8; 32],
    joiner_mac: SecretBytes<32>,
    joiner_seal: SecretBytes<32>,
    inviter_mac: SecretBytes<32>,
    inviter_seal: SecretBytes<32>,
    done_mac: SecretBytes<32>,
    ask_mac: SecretBytes<32>,
    ask_seal: SecretBytes<32>,
    answer_mac: SecretBytes<32>,
    answer_seal: SecretBytes<32>,
}

/// What is sealed: each by a key of its own, once in a session.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sealed {
    Request,
    Ask,
    Answer,
    Welcome,
}

impl Keys {
    fn new(shared: &[u8], transcript: [u8; 32]) -> Self {
        let derive = |purpose| {
            let mut hasher = blake3::Hasher::new_derive_key(purpose);
            hasher.update(shared).update(&transcript);
            SecretBytes::new(*hasher.finalize().as_bytes())
        };
        Self {
            transcript,
            joiner_mac: derive("covey 2026 pair joiner mac v1"),
            joiner_seal: derive("covey 2026 pair joiner seal v1"),
            inviter_mac: derive("covey 2026 pair inviter mac v1"),
            inviter_seal: derive("covey 2026 pair inviter seal v1"),
            done_mac: derive("covey 2026 pair done mac v1"),
            ask_mac: derive("covey 2026 pair ask mac v1"),
            ask_seal: derive("covey 2026 pair ask seal v1"),
            answer_mac: derive("covey 2026 pair answer mac v1"),
            answer_seal: derive("covey 2026 pair answer seal v1"),
        }
    }

    /// The joiner knows the code and sends this. Comparing two of these takes constant time.
    pub(crate) fn confirm_mac(&self, sealed: &[u8]) -> blake3::Hash {
        self.mac(&self.joiner_mac, &[sealed])
    }

    /// The inviter knows the code and asks this behind that confirmation.
    pub(crate) fn ask_mac(&self, confirm: &blake3::Hash, sealed: &[u8]) -> blake3::Hash {
        self.mac(&self.ask_mac, &[confirm.as_bytes(), sealed])
    }

    /// The joiner answers that question with this.
    pub(crate) fn answer_mac(&self, ask: &blake3::Hash, sealed: &[u8]) -> blake3::Hash {
        self.mac(&self.answer_mac, &[ask.as_bytes(), sealed])
    }

    /// The inviter knows the code and answers this confirmation, or this answer, with this welcome and these terms.
    pub(crate) fn accept_mac(&self, confirm: &blake3::Hash, sealed: &[u8]) -> blake3::Hash {
        self.mac(&self.inviter_mac, &[confirm.as_bytes(), sealed])
    }

    /// The joiner has understood that answer.
    pub(crate) fn done_mac(&self, accept: &blake3::Hash) -> blake3::Hash {
        self.mac(&self.done_mac, &[accept.as_bytes()])
    }

    /// Of parts of which only the last may vary in length.
    fn mac(&self, key: &SecretBytes<32>, parts: &[&[u8]]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(key.expose());
        hasher.update(&self.transcript);
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize()
    }

    /// Seals the one payload of this kind in this session.
    pub(crate) fn seal(&self, what: Sealed, mut payload: Zeroizing<Vec<u8>>) -> Result<Vec<u8>, PairError> {
        payload.reserve_exact(SEAL_BYTES);
        self.aead(what)?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(NONCE),
                Aad::from(self.transcript),
                &mut *payload,
            )
            .map_err(|_| PairError::KeyExchange("the payload could not be sealed"))?;
        Ok(std::mem::take(&mut *payload))
    }

    /// Opens the payload that the other side sent.
    pub(crate) fn open(&self, what: Sealed, mut sealed: Vec<u8>) -> Result<Zeroizing<Vec<u8>>, PairError> {
        let opened = self
            .aead(what)?
            .open_in_place(Nonce::assume_unique_for_key(NONCE), Aad::from(self.transcript), &mut sealed)
            .map_err(|_| PairError::NotConfirmed)?
            .len();
        sealed.truncate(opened);
        Ok(Zeroizing::new(sealed))
    }

    fn aead(&self, what: Sealed) -> Result<LessSafeKey, PairError> {
        let key = match what {
            Sealed::Request => &self.joiner_seal,
            Sealed::Ask => &self.ask_seal,
            Sealed::Answer => &self.answer_seal,
            Sealed::Welcome => &self.inviter_seal,
        };
        let key = UnboundKey::new(&AES_256_GCM, key.expose());
        key.map(LessSafeKey::new).map_err(|_| PairError::KeyExchange("the cipher refuses the key"))
    }
}
