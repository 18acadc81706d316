//! A user's word that a device is theirs.
//!
//! Without it, whoever joins a space could claim to be somebody who is in it already and inherit
//! their role.

use covey_types::{DeviceId, Signature, UserId, UserSecret, keys::Domain, wire};
use serde::{Deserialize, Serialize};

use crate::KemPublic;

/// A device and its keys, certified by its user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceCert {
    /// Whose device.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
    /// To which keys are sealed for it.
    pub kem: KemPublic,
    /// The user's signature over all of the above.
    signature: Signature,
}

impl DeviceCert {
    fn message(user: UserId, device: DeviceId, kem: KemPublic) -> Vec<u8> {
        wire::encode(&(user, device, kem))
    }

    /// Certifies a device.
    pub fn sign(user: &UserSecret, device: DeviceId, kem: KemPublic) -> Self {
        let signature = user.sign(Domain::DeviceCert, &Self::message(user.id(), device, kem));
        Self { user: user.id(), device, kem, signature }
    }

    /// Whether the user really said so.
    pub fn is_valid(&self) -> bool {
        self.user.verify(
            Domain::DeviceCert,
            &Self::message(self.user, self.device, self.kem),
            &self.signature,
        )
    }
}

/// A certified device and what people call it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Who it is and whose.
    pub cert: DeviceCert,
    /// Its name, as its user chose it.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KemSecret;

    #[test]
    fn nobody_can_claim_to_be_another_user() {
        let (ada, eve) = (UserSecret::generate(), UserSecret::generate());
        let cert = DeviceCert::sign(&ada, DeviceId([1; 32]), KemSecret::generate().public());
        assert!(cert.is_valid());
        assert!(!DeviceCert { device: DeviceId([2; 32]), ..cert.clone() }.is_valid());
        assert!(!DeviceCert { user: eve.id(), ..cert.clone() }.is_valid());
        assert!(!DeviceCert { kem: KemSecret::generate().public(), ..cert }.is_valid());
    }
}
