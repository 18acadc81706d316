//! The keys of a space that one device holds.
//!
//! The *discovery key* is common to all members for the life of the space. From it two nodes compute
//! the [`Tag`]s by which they find the spaces they share without naming them: a tag is a keyed hash
//! over both device ids and both nonces of the session, and its two directions differ, so that nobody
//! can answer a tag by reflecting it.

use covey_log::EpochKey;
use covey_types::{DeviceId, EpochId, SecretBytes};
use serde::{Deserialize, Serialize};

/// What one side shows for one space in one session.
pub type Tag = [u8; 16];

/// Most epoch keys of one space: a rotation a day for ten years, with room.
pub const MAX_EPOCHS: usize = 4096;

/// The keys of one space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRing {
    discovery: SecretBytes<32>,
    /// Oldest first; the last one is current.
    epochs: Vec<EpochKey>,
}

/// The ends of a session, from the point of view of the side that shows a tag.
#[derive(Debug, Clone, Copy)]
pub struct TagSession {
    /// The device that shows the tag.
    pub shower: DeviceId,
    /// The device that looks at it.
    pub viewer: DeviceId,
    /// The nonce of the device that shows the tag.
    pub shower_nonce: [u8; 32],
    /// The nonce of the device that looks at it.
    pub viewer_nonce: [u8; 32],
}

impl TagSession {
    /// The same session seen from the other side.
    pub const fn reversed(self) -> Self {
        Self {
            shower: self.viewer,
            viewer: self.shower,
            shower_nonce: self.viewer_nonce,
            viewer_nonce: self.shower_nonce,
        }
    }
}

impl KeyRing {
    /// The keys of a new space.
    pub fn generate() -> Self {
        Self { discovery: SecretBytes::random(), epochs: vec![EpochKey::generate()] }
    }

    /// Keys that were given by a member; `None` without a single epoch or with too many.
    pub fn new(discovery: SecretBytes<32>, epochs: Vec<EpochKey>) -> Option<Self> {
        (!epochs.is_empty() && epochs.len() <= MAX_EPOCHS).then_some(Self { discovery, epochs })
    }

    /// The discovery key.
    pub const fn discovery(&self) -> &SecretBytes<32> {
        &self.discovery
    }

    /// All epoch keys, oldest first.
    pub fn epochs(&self) -> &[EpochKey] {
        &self.epochs
    }

    /// The key under which this device writes.
    pub fn current(&self) -> &EpochKey {
        self.epochs.last().expect("a key ring holds at least one epoch")
    }

    /// The key of an epoch.
    pub fn key(&self, epoch: EpochId) -> Option<&EpochKey> {
        self.epochs.iter().rev().find(|key| key.id() == epoch)
    }

    /// The tag that `session.shower` shows for this space.
    pub fn tag(&self, session: &TagSession) -> Tag {
        let mut hasher = blake3::Hasher::new_keyed(self.discovery.expose());
        hasher
            .update(b"covey/space-tag/1\0")
            .update(&session.shower.0)
            .update(&session.viewer.0)
            .update(&session.shower_nonce)
            .update(&session.viewer_nonce);
        hasher.finalize().as_bytes()[..16].try_into().expect("16 of 32 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_to_members_only_and_cannot_be_reflected_or_replayed() {
        let ring = KeyRing::generate();
        let session = TagSession {
            shower: DeviceId([1; 32]),
            viewer: DeviceId([2; 32]),
            shower_nonce: [3; 32],
            viewer_nonce: [4; 32],
        };
        let tag = ring.tag(&session);
        assert_eq!(tag, ring.clone().tag(&session));
        assert_ne!(tag, KeyRing::generate().tag(&session));
        assert_ne!(tag, ring.tag(&session.reversed()));
        assert_ne!(tag, ring.tag(&TagSession { viewer_nonce: [5; 32], ..session }));
        assert_ne!(tag, ring.tag(&TagSession { shower_nonce: [5; 32], ..session }));
    }

    #[test]
    fn every_epoch_key_is_found_by_its_id() {
        let (old, new) = (EpochKey::generate(), EpochKey::generate());
        let ring = KeyRing::new(SecretBytes::random(), vec![old.clone(), new.clone()]).unwrap();
        assert_eq!(ring.key(old.id()), Some(&old));
        assert_eq!(ring.current(), &new);
        assert_eq!(ring.key(EpochId([0; 16])), None);
        assert_eq!(KeyRing::new(SecretBytes::random(), vec![]), None);
    }
}
