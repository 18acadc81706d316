//! What two devices say to each other when one becomes a further device of the other's user, inside a pairing session.
//!
//! The new device's consent is needed before its user is known to it: so it's asked, with the user's id, once both have
//! proved to know the code. Only then is it certified and taken in, and only then given the user's secret.

use covey_types::{
    SecretBytes, Signature, SpaceId, UserId,
    limits::MAX_PAIR_MESSAGE_BYTES,
    wire::{self, DecodeError},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::{Device, KemPublic, KeyRing, ops::is_display_name};

/// "This is my key": the first thing that the new device says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRequest {
    /// What the device is called.
    pub device_name: String,
    /// To which keys are sealed for it.
    pub kem: KemPublic,
}

/// "Do you want to be this user's?"
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkQuestion {
    /// Whose device it is to be.
    pub user: UserId,
}

/// "I do": see [`crate::DeviceCert::consent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkConsent {
    /// The device's signature.
    pub signature: Signature,
}

/// "You are": sent once the device stands in the personal space, durably.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkWelcome {
    /// What makes the user: from it the user's key comes.
    pub user: SecretBytes<32>,
    /// The user's name.
    pub user_name: String,
    /// The user's personal space.
    pub personal: SpaceId,
    /// Its keys.
    pub keys: KeyRing,
    /// The device that lets this one in.
    pub linker: Device,
    /// Multiaddrs at which that can be reached.
    pub addresses: Vec<String>,
}

fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, DecodeError> {
    wire::decode(what, bytes, MAX_PAIR_MESSAGE_BYTES)
}

impl LinkRequest {
    /// The request as bytes.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// The request in these bytes, with a decent name.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let request: Self = decode("a request to be linked", bytes)?;
        if !is_display_name(&request.device_name) {
            let reason = "the name is empty, too long or not printable";
            return Err(DecodeError::malformed("a request to be linked", reason));
        }
        Ok(request)
    }
}

impl LinkQuestion {
    /// The question as bytes.
    pub fn encode(self) -> Vec<u8> {
        wire::encode(&self)
    }

    /// The question in these bytes.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("a question to a device", bytes)
    }
}

impl LinkConsent {
    /// The consent as bytes.
    pub fn encode(self) -> Vec<u8> {
        wire::encode(&self)
    }

    /// The consent in these bytes; whose it is isn't checked here.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("a device's consent", bytes)
    }
}

impl LinkWelcome {
    /// The welcome as bytes, which are as secret as what is in it.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(wire::encode(self))
    }

    /// The welcome in these bytes.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let what = "a welcome for a device";
        let welcome: Self = decode(what, bytes)?;
        if !welcome.keys.is_sound() {
            return Err(DecodeError::malformed(what, "it holds no key, or more than a space has"));
        }
        if !is_display_name(&welcome.user_name) || !welcome.linker.cert.is_valid() {
            return Err(DecodeError::malformed(what, "the user's name or the linker's certificate is bad"));
        }
        Ok(welcome)
    }
}

#[cfg(test)]
mod tests {
    use covey_types::{DeviceSecret, UserSecret};
    use proptest::prelude::*;

    use super::*;
    use crate::{DeviceCert, KemSecret};

    fn welcome() -> LinkWelcome {
        let user = UserSecret::generate();
        let cert = DeviceCert::sign(&user, &DeviceSecret::generate(), KemSecret::generate().public());
        LinkWelcome {
            user: user.seed(),
            user_name: "Ada".into(),
            personal: SpaceId([1; 32]),
            keys: KeyRing::generate().0,
            linker: Device { cert, name: "laptop".into() },
            addresses: vec!["/ip4/192.0.2.1/udp/4001/quic-v1".into()],
        }
    }

    #[test]
    fn what_is_said_reads_back_and_what_is_indecent_does_not() {
        let good = welcome();
        assert_eq!(LinkWelcome::decode(&good.encode()), Ok(good.clone()));
        assert!(LinkWelcome::decode(&LinkWelcome { user_name: "a\nb".into(), ..good }.encode()).is_err());
        let kem = KemSecret::generate().public();
        let request = LinkRequest { device_name: "phone".into(), kem };
        assert_eq!(LinkRequest::decode(&request.encode()), Ok(request));
        assert!(LinkRequest::decode(&LinkRequest { device_name: String::new(), kem }.encode()).is_err());
        assert!(!format!("{:?}", welcome()).contains("[0x"), "secrets are not shown");
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = (LinkRequest::decode(&bytes), LinkQuestion::decode(&bytes));
            let _ = (LinkConsent::decode(&bytes), LinkWelcome::decode(&bytes));
        }
    }
}
