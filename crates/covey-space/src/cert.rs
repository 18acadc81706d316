//! A user's word that a device is theirs, and the device's that it is the user's.
//!
//! Without the first, whoever joins a space could claim to be somebody who is in it already and inherit
//! their role. Without the second, an admin could hand somebody's device over to a user of their own making.

use covey_types::{DeviceId, DeviceSecret, Signature, UserId, UserSecret, keys::Domain, wire};
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
    /// The device's signature over the same.
    consent: Signature,
}

impl DeviceCert {
    fn message(user: UserId, device: DeviceId, kem: KemPublic) -> Vec<u8> {
        wire::encode(&(user, device, kem))
    }

    /// Certifies a device.
    pub fn sign(user: &UserSecret, device: &DeviceSecret, kem: KemPublic) -> Self {
        let message = Self::message(user.id(), device.id(), kem);
        Self {
            user: user.id(),
            device: device.id(),
            kem,
            signature: user.sign(Domain::DeviceCert, &message),
            consent: device.sign(Domain::DeviceConsent, &message),
        }
    }

    /// What a device signs to become this user's, where the user's secret is elsewhere.
    pub fn consent(user: UserId, device: &DeviceSecret, kem: KemPublic) -> Signature {
        device.sign(Domain::DeviceConsent, &Self::message(user, device.id(), kem))
    }

    /// Certifies a device that is elsewhere and has agreed; `None` if that isn't its signature.
    pub fn countersign(
        user: &UserSecret,
        device: DeviceId,
        kem: KemPublic,
        consent: Signature,
    ) -> Option<Self> {
        let signature = user.sign(Domain::DeviceCert, &Self::message(user.id(), device, kem));
        let cert = Self { user: user.id(), device, kem, signature, consent };
        cert.is_valid().then_some(cert)
    }

    /// Whether both the user and the device really said so.
    pub fn is_valid(&self) -> bool {
        let message = Self::message(self.user, self.device, self.kem);
        self.user.verify(Domain::DeviceCert, &message, &self.signature)
            && self.device.verify(Domain::DeviceConsent, &message, &self.consent)
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
        let laptop = DeviceSecret::generate();
        let cert = DeviceCert::sign(&ada, &laptop, KemSecret::generate().public());
        assert!(cert.is_valid());
        // Nor can a user take somebody's device over: the device has to agree.
        let eves = DeviceCert::sign(&eve, &DeviceSecret::generate(), cert.kem);
        assert!(!DeviceCert { device: laptop.id(), ..eves.clone() }.is_valid());
        assert!(!DeviceCert { consent: cert.consent, device: laptop.id(), ..eves }.is_valid());
        assert!(!DeviceCert { device: DeviceId([2; 32]), ..cert.clone() }.is_valid());
        assert!(!DeviceCert { user: eve.id(), ..cert.clone() }.is_valid());
        assert!(!DeviceCert { kem: KemSecret::generate().public(), ..cert.clone() }.is_valid());
        // A device that is elsewhere agrees to one user and one key, and the same certificate comes out.
        let consent = DeviceCert::consent(ada.id(), &laptop, cert.kem);
        assert_eq!(DeviceCert::countersign(&ada, laptop.id(), cert.kem, consent), Some(cert.clone()));
        assert_eq!(DeviceCert::countersign(&eve, laptop.id(), cert.kem, consent), None);
        let other = KemSecret::generate().public();
        assert_eq!(DeviceCert::countersign(&ada, laptop.id(), other, consent), None);
    }
}
