//! Who this replica is: the secrets and names that its rows keep.

use covey_space::{Device, DeviceCert, KemSecret, ops::is_display_name};
use covey_store::StoreError;
use covey_types::{DeviceSecret, SecretBytes, UserSecret, wire};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{Rows, RowsMut};

const META: &str = "identity";

/// Longest stored identity, bytes.
const MAX_STORED_BYTES: usize = 4096;

/// The names of a user and of their device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What people call the user.
    pub user_name: String,
    /// What people call the device.
    pub device_name: String,
}

/// The secrets of this device and of its user.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Signs entries; the device's identity on the network.
    pub device: DeviceSecret,
    /// Certifies the user's devices.
    pub user: UserSecret,
    /// Opens the keys that are sealed to this device.
    pub kem: KemSecret,
    /// The names.
    pub profile: Profile,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u8,
    device: SecretBytes<32>,
    user: SecretBytes<32>,
    kem: SecretBytes<32>,
    user_name: String,
    device_name: String,
}

impl Secrets {
    /// A new person on a new device.
    pub fn generate(profile: Profile) -> Result<Self, String> {
        for name in [&profile.user_name, &profile.device_name] {
            if !is_display_name(name) {
                return Err(format!(
                    "{name:?} can't be a name: 1 to 64 printable characters without blanks at the ends"
                ));
            }
        }
        Ok(Self {
            device: DeviceSecret::generate(),
            user: UserSecret::generate(),
            kem: KemSecret::generate(),
            profile,
        })
    }

    /// This device as one of another user's.
    pub fn of_user(&self, user: UserSecret, user_name: String) -> Self {
        let profile = Profile { user_name, ..self.profile.clone() };
        Self { user, profile, ..self.clone() }
    }

    /// The same with other names.
    pub fn called(&self, profile: Profile) -> Self {
        Self { profile, ..self.clone() }
    }

    /// The identity in a store, if there is one.
    pub fn load(reader: &impl Rows) -> Result<Option<Self>, StoreError> {
        let Some(bytes) = reader.meta(META)?.map(Zeroizing::new) else { return Ok(None) };
        let stored: Stored = wire::decode("the identity", &bytes, MAX_STORED_BYTES)
            .map_err(|err| StoreError::Corrupt { doing: "read the identity", reason: err.to_string() })?;
        Ok(Some(Self {
            device: DeviceSecret::from_seed(&stored.device),
            user: UserSecret::from_seed(&stored.user),
            kem: KemSecret::from_seed(stored.kem),
            profile: Profile { user_name: stored.user_name, device_name: stored.device_name },
        }))
    }

    /// Puts the identity into a store.
    pub fn save(&self, tx: &mut impl RowsMut) -> Result<(), StoreError> {
        let stored = Stored {
            version: 1,
            device: self.device.seed(),
            user: self.user.seed(),
            kem: self.kem.seed().clone(),
            user_name: self.profile.user_name.clone(),
            device_name: self.profile.device_name.clone(),
        };
        tx.set_meta(META, &Zeroizing::new(wire::encode(&stored)))
    }

    /// This device, certified by its user.
    pub fn certified(&self) -> Device {
        let cert = DeviceCert::sign(&self.user, &self.device, self.kem.public());
        Device { cert, name: self.profile.device_name.clone() }
    }
}
