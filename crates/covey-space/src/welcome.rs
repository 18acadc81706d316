//! What a joining device sends, and what it gets, inside a pairing session.

use covey_types::{
    SpaceId,
    limits::MAX_PAIR_MESSAGE_BYTES,
    wire::{self, DecodeError},
};
use serde::{Deserialize, Serialize};

use crate::{Device, KeyRing, Role, ops::is_display_name};

/// "This is who I am": sent by the joiner once both proved to know the code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The joiner's name.
    pub user_name: String,
    /// The joiner's device, certified by its user.
    pub device: Device,
}

/// "Come in": sent by the inviter once the joiner stands in its log, durably.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The space.
    pub space: SpaceId,
    /// Its name.
    pub name: String,
    /// The joiner's role.
    pub role: Role,
    /// The keys.
    pub keys: KeyRing,
    /// The inviter's name.
    pub inviter_name: String,
    /// The inviter's device.
    pub inviter: Device,
    /// Multiaddrs at which the inviter can be reached.
    pub addresses: Vec<String>,
}

impl JoinRequest {
    /// The request as bytes.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// The request in these bytes, with a valid certificate and decent names.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let request: Self = wire::decode("a request to join", bytes, MAX_PAIR_MESSAGE_BYTES)?;
        if !is_display_name(&request.user_name) || !is_display_name(&request.device.name) {
            return Err(DecodeError::malformed(
                "a request to join",
                "a name is empty, too long or not printable",
            ));
        }
        if !request.device.cert.is_valid() {
            return Err(DecodeError::malformed("a request to join", "the user did not certify this device"));
        }
        Ok(request)
    }
}

impl Welcome {
    /// The welcome as bytes.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// The welcome in these bytes.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let welcome: Self = wire::decode("a welcome", bytes, MAX_PAIR_MESSAGE_BYTES)?;
        if !welcome.keys.is_sound() {
            return Err(DecodeError::malformed(
                "a welcome",
                "it holds no key, more than a space has, or one under another's name",
            ));
        }
        if !is_display_name(&welcome.name) || !welcome.inviter.cert.is_valid() {
            return Err(DecodeError::malformed(
                "a welcome",
                "the space's name or the inviter's certificate is bad",
            ));
        }
        Ok(welcome)
    }
}
