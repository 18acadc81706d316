//! The keys of a space that one device holds.
//!
//! The *discovery key* is common to all members for the life of the space. From it two nodes compute
//! the [`Tag`]s by which they find the spaces they share without naming them: a tag is a keyed hash
//! over both device ids and both nonces of the session, and its two directions differ, so that nobody
//! can answer a tag by reflecting it.
//!
//! Of each *epoch* a device holds the key, or only what opens the membership entries of that time: who may read
//! from joining on still has to know who was in the space before, or could not judge what they do now. Which epoch is
//! current is not known here; see [`crate::Membership::current_epoch`].

use std::collections::HashMap;

use covey_log::{EpochKey, Kind, MembershipKey, Opener};
use covey_types::{DeviceId, EpochId, SecretBytes, SpaceId};
use serde::{Deserialize, Serialize};

use crate::{KemSecret, MembershipOp, SealedKey};

/// What one side shows for one space in one session.
pub type Tag = [u8; 16];

/// Most epoch keys of one space: a rotation a day for ten years, with room.
pub const MAX_EPOCHS: usize = 4096;

/// Places for keys that are kept free where keys of unknown epochs can be forgotten for it: as many as one entry may bring.
const ROOM: usize = 128;

/// An epoch's key, sealed with the key of an epoch that follows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedKey {
    /// Whose key it is.
    pub epoch: EpochId,
    /// The sealed key: 32 bytes and a tag of 16.
    pub bytes: Vec<u8>,
}

/// Most keys that are opened of what one entry seals to one device: an honest entry seals one, and a few to a further
/// device of a member who reads from joining on.
pub const MAX_OPENED: usize = 8;

/// What a device holds of one epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeldKey {
    /// Its key: everything can be read.
    Epoch(EpochKey),
    /// What opens its membership entries.
    Membership(MembershipKey),
}

/// The keys of one space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRing {
    discovery: SecretBytes<32>,
    /// In the order in which they came.
    held: Vec<(EpochId, HeldKey)>,
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
    /// The keys of a new space, and that of its first epoch.
    pub fn generate() -> (Self, EpochKey) {
        let first = EpochKey::generate();
        let held = vec![(first.id(), HeldKey::Epoch(first.clone()))];
        (Self { discovery: SecretBytes::random(), held }, first)
    }

    fn held(&self, epoch: EpochId) -> Option<&HeldKey> {
        self.held.iter().rev().find(|(id, _)| *id == epoch).map(|(_, held)| held)
    }

    /// The key of an epoch.
    pub fn key(&self, epoch: EpochId) -> Option<&EpochKey> {
        match self.held(epoch)? {
            HeldKey::Epoch(key) => Some(key),
            HeldKey::Membership(_) => None,
        }
    }

    /// The key that came last.
    pub fn newest(&self) -> Option<&EpochKey> {
        self.held.iter().rev().find_map(|(_, held)| match held {
            HeldKey::Epoch(key) => Some(key),
            HeldKey::Membership(_) => None,
        })
    }

    /// The keys that came last, newest first, without that of one epoch.
    pub fn newest_keys(&self, most: usize, without: EpochId) -> Vec<&EpochKey> {
        let held = self.held.iter().rev().filter_map(|(id, held)| match held {
            HeldKey::Epoch(key) if *id != without => Some(key),
            _ => None,
        });
        held.take(most).collect()
    }

    /// What opens bodies of this kind and epoch.
    pub fn opener(&self, epoch: EpochId, kind: Kind) -> Option<Opener> {
        match self.held(epoch)? {
            HeldKey::Epoch(key) => Some(Opener::All(key.clone())),
            HeldKey::Membership(key) if kind.is_membership() => Some(Opener::Membership(key.clone())),
            HeldKey::Membership(_) => None,
        }
    }

    /// What a device is given that joins in the epoch `current`: that epoch's key, and of the others what it takes to
    /// follow who was in the space. Older keys it finds in the membership entries, if the space's rules say so.
    pub fn for_joining(&self, current: EpochId) -> Self {
        let held = self.held.iter().map(|(id, held)| match held {
            HeldKey::Epoch(key) if *id != current => (*id, HeldKey::Membership(key.membership())),
            other => (*id, other.clone()),
        });
        Self { discovery: self.discovery.clone(), held: held.collect() }
    }

    /// What lets a further device of the same user find the space and follow who is in it, and no more: the keys
    /// of its epochs are given to it in the space itself.
    pub fn for_own_devices(&self) -> Self {
        let held = self.held.iter().map(|(id, held)| match held {
            HeldKey::Epoch(key) => (*id, HeldKey::Membership(key.membership())),
            HeldKey::Membership(_) => (*id, held.clone()),
        });
        Self { discovery: self.discovery.clone(), held: held.collect() }
    }

    /// Whether this ring holds something of every epoch of which the other one does.
    pub fn covers(&self, other: &Self) -> bool {
        other.held.iter().all(|(id, _)| self.held(*id).is_some())
    }

    /// Whether what was noted down of a ring, `self`, is to be noted anew now that it's `ring`. Where nobody waits for it,
    /// that is when an eighth of it is new: so somebody who begins epochs without end makes everybody write little more
    /// than the ring itself, and not the whole of it each time.
    pub fn is_to_be_noted(&self, ring: &Self, nobody_waits: bool) -> bool {
        /// One in so many: the sum of all that is written stays within so many times the longest ring.
        const NEW_SHARE: usize = 8;
        let new = ring.held.iter().filter(|(id, _)| self.held(*id).is_none()).count();
        new > 0 && (!nobody_waits || new * NEW_SHARE >= ring.held.len())
    }

    /// If there is hardly room for more keys: forgets those of epochs that nobody is known to have begun. Else whoever makes up
    /// keys and seals them to others could keep them from ever learning a real one again.
    pub fn make_room(&mut self, has_begun: impl Fn(EpochId) -> bool) {
        if self.held.len() + ROOM > MAX_EPOCHS {
            self.held.retain(|(epoch, _)| has_begun(*epoch));
        }
    }

    /// Takes in an epoch's key; whether it's new. Past [`MAX_EPOCHS`] nothing is.
    pub fn learn(&mut self, key: EpochKey) -> bool {
        let id = key.id();
        match self.held.iter().position(|(held, _)| *held == id) {
            Some(at) if matches!(self.held[at].1, HeldKey::Epoch(_)) => false,
            Some(at) => {
                self.held[at].1 = HeldKey::Epoch(key);
                true
            }
            None if self.held.len() >= MAX_EPOCHS => false,
            None => {
                self.held.push((id, HeldKey::Epoch(key)));
                true
            }
        }
    }

    /// Takes in what another ring of the same space holds; whether any of it is new.
    pub fn merge(&mut self, other: &Self) -> bool {
        if other.discovery != self.discovery {
            return false;
        }
        let mut news = false;
        for (id, held) in &other.held {
            news |= match held {
                HeldKey::Epoch(key) => self.learn(key.clone()),
                HeldKey::Membership(_) if self.held(*id).is_some() || self.held.len() >= MAX_EPOCHS => false,
                HeldKey::Membership(_) => {
                    self.held.push((*id, held.clone()));
                    true
                }
            };
        }
        news
    }

    /// Takes in the keys that the acts of a membership entry seal to this device, or with keys it holds. Returns the
    /// epochs that are new. What is sealed with a key that comes later is found when the entries are looked at again.
    pub fn learn_from(
        &mut self,
        space: SpaceId,
        device: DeviceId,
        secret: &KemSecret,
        acts: &[MembershipOp],
    ) -> Vec<EpochId> {
        let mut learned = Vec::new();
        let for_us = acts.iter().flat_map(MembershipOp::sealed_keys).filter(|sealed| sealed.device == device);
        for sealed in for_us.take(MAX_OPENED) {
            if self.key(sealed.epoch).is_none()
                && let Ok(key) = secret.open(space, sealed)
                && self.learn(key)
            {
                learned.push(sealed.epoch);
            }
        }
        for act in acts {
            let MembershipOp::Rotate(rotate) = act else { continue };
            let Some(by) = self.key(rotate.epoch).cloned() else { continue };
            for old in &rotate.previous {
                if self.key(old.epoch).is_none()
                    && let Some(key) = by.unwrap_key(old.epoch, &old.bytes)
                    && self.learn(key)
                {
                    learned.push(old.epoch);
                }
            }
        }
        learned
    }

    /// Takes in all keys that many entries seal to this device, with what each of those opens in turn. What a device is given is
    /// tried once, and what a key opens once for each key: whoever makes entries up without end makes this no slower than
    /// reading them.
    pub fn learn_all(
        &mut self,
        space: SpaceId,
        device: DeviceId,
        secret: &KemSecret,
        entries: &[Vec<MembershipOp>],
    ) {
        for acts in entries {
            self.learn_from(space, device, secret, acts);
        }
        let mut wraps: HashMap<EpochId, Vec<&WrappedKey>> = HashMap::new();
        for act in entries.iter().flatten() {
            if let MembershipOp::Rotate(rotate) = act {
                wraps.entry(rotate.epoch).or_default().extend(&rotate.previous);
            }
        }
        let mut open: Vec<EpochId> = self.held.iter().map(|(epoch, _)| *epoch).collect();
        while let Some(by) = open.pop() {
            let Some(key) = self.key(by).cloned() else { continue };
            for old in wraps.remove(&by).into_iter().flatten() {
                if self.key(old.epoch).is_none()
                    && let Some(older) = key.unwrap_key(old.epoch, &old.bytes)
                    && self.learn(older)
                {
                    open.push(old.epoch);
                }
            }
        }
    }

    /// Takes in the key of one epoch, if these acts seal it to this device, or with a key that is held or that they seal to
    /// this device in turn; whether it's new.
    pub fn learn_one(
        &mut self,
        space: SpaceId,
        device: DeviceId,
        secret: &KemSecret,
        epoch: EpochId,
        acts: &[MembershipOp],
    ) -> bool {
        let sealed = acts.iter().flat_map(MembershipOp::sealed_keys);
        let for_us = sealed.filter(|sealed| sealed.device == device && sealed.epoch == epoch);
        if let Some(key) = for_us.take(MAX_OPENED).find_map(|sealed| secret.open(space, sealed).ok()) {
            return self.learn(key);
        }
        let wrapped = acts.iter().filter_map(|act| match act {
            MembershipOp::Rotate(rotate) => {
                let mut old =
                    rotate.previous.iter().filter(|old| old.epoch == epoch).take(MAX_OPENED).peekable();
                old.peek()?;
                let by = self.key(rotate.epoch).cloned().or_else(|| {
                    let is_ours =
                        |sealed: &&SealedKey| sealed.device == device && sealed.epoch == rotate.epoch;
                    let mut for_us = rotate.keys.iter().filter(is_ours).take(MAX_OPENED);
                    for_us.find_map(|sealed| secret.open(space, sealed).ok())
                })?;
                old.find_map(|old| by.unwrap_key(epoch, &old.bytes))
            }
            _ => None,
        });
        match wrapped.into_iter().next() {
            Some(key) => self.learn(key),
            None => false,
        }
    }

    /// Whether these keys, as they came from elsewhere, are as many as there may be and not none, and each is that of
    /// the epoch under whose name it came: what is written with another could be read by whoever sent it, and by no member.
    pub fn is_sound(&self) -> bool {
        let is_named_right = |(id, held): &(EpochId, HeldKey)| match held {
            HeldKey::Epoch(key) => key.id() == *id,
            // An epoch's id commits to its key alone. Nothing is written with this half of it.
            HeldKey::Membership(_) => true,
        };
        !self.held.is_empty() && self.held.len() <= MAX_EPOCHS && self.held.iter().all(is_named_right)
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
    use crate::ops::Rotate;

    fn ring() -> KeyRing {
        KeyRing::generate().0
    }

    #[test]
    fn a_tag_is_known_to_members_only_and_cannot_be_reflected_or_replayed() {
        let mine = ring();
        let session = TagSession {
            shower: DeviceId([1; 32]),
            viewer: DeviceId([2; 32]),
            shower_nonce: [3; 32],
            viewer_nonce: [4; 32],
        };
        let tag = mine.tag(&session);
        assert_eq!(tag, mine.clone().tag(&session));
        assert_ne!(tag, ring().tag(&session));
        assert_ne!(tag, mine.tag(&session.reversed()));
        assert_ne!(tag, mine.tag(&TagSession { viewer_nonce: [5; 32], ..session }));
        assert_ne!(tag, mine.tag(&TagSession { shower_nonce: [5; 32], ..session }));
    }

    fn rotate(new: &EpochKey, old: &EpochKey, keys: Vec<SealedKey>) -> MembershipOp {
        let previous = vec![WrappedKey { epoch: old.id(), bytes: new.wrap(old) }];
        MembershipOp::Rotate(Rotate { epoch: new.id(), keys, previous })
    }

    #[test]
    fn a_rotation_tells_its_devices_the_new_key_and_newcomers_the_old_ones() {
        let (space, device) = (SpaceId([1; 32]), DeviceId([2; 32]));
        let secret = KemSecret::generate();
        let (mut ours, first) = KeyRing::generate();
        let (second, third) = (EpochKey::generate(), EpochKey::generate());
        let seal = |key: &EpochKey| crate::kem::seal(space, key, device, secret.public()).unwrap();
        let acts =
            [rotate(&second, &first, vec![seal(&second)]), rotate(&third, &second, vec![seal(&third)])];
        assert_eq!(ours.learn_from(space, device, &secret, &acts), [second.id(), third.id()]);
        assert_eq!(ours.learn_from(space, device, &secret, &acts), []);

        let mut theirs = ours.for_joining(third.id());
        assert!(theirs.is_sound() && theirs.key(first.id()).is_none());
        assert!(theirs.opener(first.id(), Kind::RECORDS).is_none());
        assert!(theirs.opener(first.id(), Kind::MEMBERSHIP).is_some());
        // The entries name nothing for this device, but the newest key opens the one before, and that the first.
        let other = (DeviceId([3; 32]), KemSecret::generate());
        assert_eq!(theirs.learn_from(space, other.0, &other.1, &acts), [second.id()]);
        assert_eq!(theirs.learn_from(space, other.0, &other.1, &acts), [first.id()]);
        assert_eq!(theirs.key(first.id()), Some(&first));
    }

    #[test]
    fn a_chain_of_keys_is_opened_in_whatever_order_its_entries_come() {
        let (space, device, secret) = (SpaceId([1; 32]), DeviceId([2; 32]), KemSecret::generate());
        let mut ours = ring();
        let keys: Vec<EpochKey> = (0..20).map(|_| EpochKey::generate()).collect();
        let newest = keys.last().unwrap();
        let mut entries: Vec<Vec<MembershipOp>> =
            keys.windows(2).map(|pair| vec![rotate(&pair[1], &pair[0], Vec::new())]).collect();
        let seal = crate::kem::seal(space, newest, device, secret.public()).unwrap();
        entries.insert(7, vec![MembershipOp::ShareKeys(vec![seal])]);
        ours.learn_all(space, device, &secret, &entries);
        assert!(keys.iter().all(|key| ours.key(key.id()) == Some(key)));
    }

    #[test]
    fn a_rotation_opens_the_key_that_it_is_sealed_with_itself() {
        let (space, device, secret) = (SpaceId([1; 32]), DeviceId([2; 32]), KemSecret::generate());
        let mut ours = ring();
        let (old, new) = (EpochKey::generate(), EpochKey::generate());
        let seal = |key: &EpochKey| crate::kem::seal(space, key, device, secret.public()).unwrap();
        let for_another = [rotate(&new, &old, vec![])];
        assert!(!ours.learn_one(space, device, &secret, old.id(), &for_another));
        let for_us = [rotate(&new, &old, vec![seal(&new)])];
        assert!(ours.learn_one(space, device, &secret, old.id(), &for_us));
        assert_eq!(ours.key(old.id()), Some(&old));
        assert!(ours.key(new.id()).is_none(), "who began that epoch can't be told before the entry is open");
    }

    #[test]
    fn a_key_that_comes_under_the_name_of_another_epoch_makes_a_ring_unsound() {
        let (mut ring, first) = KeyRing::generate();
        let other = EpochKey::generate();
        ring.learn(other.clone());
        assert!(ring.is_sound() && ring.for_joining(other.id()).is_sound());
        ring.held[0].0 = other.id();
        assert!(!ring.is_sound(), "whoever writes under {:?} would write for nobody", first.id());
    }

    #[test]
    fn a_hostile_rotation_teaches_nothing_wrong() {
        let (space, device, secret) = (SpaceId([1; 32]), DeviceId([2; 32]), KemSecret::generate());
        let (mut ours, first) = KeyRing::generate();
        let (new, stranger) = (EpochKey::generate(), EpochKey::generate());
        let mut wrong = crate::kem::seal(space, &new, device, secret.public()).unwrap();
        wrong.epoch = stranger.id();
        let MembershipOp::Rotate(mut act) = rotate(&new, &stranger, vec![wrong]) else { unreachable!() };
        act.previous[0].epoch = first.id();
        let acts = [MembershipOp::Rotate(act)];
        assert_eq!(ours.learn_from(space, device, &secret, &acts), []);
        assert!(ours.learn(new));
        assert_eq!(ours.learn_from(space, device, &secret, &acts), []);
        assert_eq!(ours.key(first.id()), Some(&first));
    }
}
