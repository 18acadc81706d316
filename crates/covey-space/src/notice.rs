//! News for some devices of a space that nobody else can read; nor can anybody else see for whom it is.
//!
//! A notice travels in an entry of the space, so that whoever carries the space carries it, to devices that are never
//! online together with its author. What everybody sees is who sent one and when, how many *slots* it has, and the size
//! of its body, both rounded up to a power of two. Each slot holds, for one device, the secret that opens the body; what
//! is left over is sealed to nobody. A device finds its own by trying. HPKE in base mode hides to which key a slot was sealed.
//!
//! Everything is bound to the space and to the author, so that nobody can pass another one's notice off as their own.

use covey_types::{
    DeviceId, SecretBytes, SpaceId,
    wire::{self, DecodeError},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    KemPublic, KemSecret, KeyRing,
    kem::{SEALED_BYTES, seal_bytes},
    keyring::MAX_EPOCHS,
    ops::is_display_name,
};

/// Least slots of a notice: up to so many devices nobody can tell how many it's for.
pub const MIN_SLOTS: usize = 8;

/// Most slots of a notice. Each costs every device of the space an attempt, some 60 µs: a hostile entry costs no more than 4 ms.
pub const MAX_SLOTS: usize = 64;

/// Least bytes of news, once padded.
const MIN_NEWS_BYTES: usize = 1 << 10;

/// Most bytes of news, once padded: a key ring with every epoch that a space may have, rounded up.
const MAX_NEWS_BYTES: usize = 512 << 10;

const _: () = assert!(MAX_EPOCHS * 64 < MAX_NEWS_BYTES, "the largest key ring fits into a notice");

/// A slot: a secret of 32 bytes, sealed.
const SLOT_BYTES: usize = 32 + SEALED_BYTES;

/// The length of the news stands in front of them.
const LENGTH_BYTES: usize = 4;

/// A sealed notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    slots: Vec<Vec<u8>>,
    body: Vec<u8>,
}

/// What a notice says. Further kinds of news are added at the end; a device passes over what it doesn't know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum News {
    /// You were taken into a child of this space.
    Child(ChildNews),
}

/// What it takes to take part in a child space: the same as a welcome gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildNews {
    /// The child.
    pub space: SpaceId,
    /// Its name.
    pub name: String,
    /// Its keys.
    pub keys: KeyRing,
}

impl News {
    /// The news in these bytes, which stood in a notice.
    ///
    /// # Errors
    /// If they are malformed, longer than a notice may be, or what they say is not sound.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let news: Self = wire::decode("a notice's news", bytes, MAX_NEWS_BYTES)?;
        let Self::Child(child) = &news;
        if !is_display_name(&child.name) || !child.keys.is_sound() {
            return Err(DecodeError::malformed("a notice's news", "the child's name or keys are bad"));
        }
        Ok(news)
    }
}

fn slot_info(space: SpaceId, author: DeviceId, device: DeviceId) -> Vec<u8> {
    [b"covey/notice-slot/1\0".as_slice(), &space.0, &author.0, &device.0].concat()
}

fn body_info(space: SpaceId, author: DeviceId) -> Vec<u8> {
    [b"covey/notice/1\0".as_slice(), &space.0, &author.0].concat()
}

/// The length, the bytes, and zeros up to a power of two; `None` if that is more than a notice may hold.
fn padded(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let len = u32::try_from(bytes.len()).ok()?;
    let size = (LENGTH_BYTES + bytes.len()).next_power_of_two().max(MIN_NEWS_BYTES);
    if size > MAX_NEWS_BYTES {
        return None;
    }
    let mut padded = Zeroizing::new(Vec::with_capacity(size));
    padded.extend_from_slice(&len.to_le_bytes());
    padded.extend_from_slice(bytes);
    padded.resize(size, 0);
    Some(padded)
}

fn without_padding(padded: &[u8]) -> Option<&[u8]> {
    let (len, rest) = padded.split_first_chunk::<LENGTH_BYTES>()?;
    rest.get(..usize::try_from(u32::from_le_bytes(*len)).ok()?)
}

impl Notice {
    /// Seals news to devices, at most [`MAX_SLOTS`] of them, of which those with an unusable key are left out. `None` if
    /// the news is longer than a notice may be, or for too many.
    pub fn seal(space: SpaceId, author: DeviceId, to: &[(DeviceId, KemPublic)], news: &News) -> Option<Self> {
        if to.len() > MAX_SLOTS {
            return None;
        }
        let plain = padded(&Zeroizing::new(wire::encode(news)))?;
        let opener = KemSecret::generate();
        let body = seal_bytes(&body_info(space, author), opener.public(), &plain).ok()?;
        let slot = |device, public| {
            seal_bytes(&slot_info(space, author, device), public, opener.seed().expose()).ok()
        };
        let mut slots: Vec<Vec<u8>> =
            to.iter().filter_map(|(device, public)| slot(*device, *public)).collect();
        let count = to.len().next_power_of_two().max(MIN_SLOTS);
        while slots.len() < count {
            // Nobody has this secret, and what is sealed to it looks like all else.
            slots.push(slot(author, KemSecret::generate().public())?);
        }
        // They begin with random bytes: sorted, their order tells nothing.
        slots.sort_unstable();
        Some(Self { slots, body })
    }

    /// The news, if it is for this device.
    pub fn open(
        &self,
        space: SpaceId,
        author: DeviceId,
        device: DeviceId,
        secret: &KemSecret,
    ) -> Option<News> {
        if !self.is_sound() {
            return None;
        }
        let info = slot_info(space, author, device);
        let seed = self.slots.iter().find_map(|slot| secret.open_bytes(&info, slot).ok())?;
        let opener = KemSecret::from_seed(SecretBytes::from_slice(&seed)?);
        let plain = opener.open_bytes(&body_info(space, author), &self.body).ok()?;
        News::decode(without_padding(&plain)?).ok()
    }

    /// Whether it has the form that every notice has, so that its form tells nothing of what is in it.
    pub(crate) fn is_sound(&self) -> bool {
        let count = self.slots.len();
        let size = self.body.len().saturating_sub(SEALED_BYTES);
        (MIN_SLOTS..=MAX_SLOTS).contains(&count)
            && count.is_power_of_two()
            && self.slots.iter().all(|slot| slot.len() == SLOT_BYTES)
            && (MIN_NEWS_BYTES..=MAX_NEWS_BYTES).contains(&size)
            && size.is_power_of_two()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPACE: SpaceId = SpaceId([1; 32]);
    const AUTHOR: DeviceId = DeviceId([2; 32]);

    fn news(name: &str) -> News {
        let (keys, _) = KeyRing::generate();
        News::Child(ChildNews { space: SpaceId([9; 32]), name: name.into(), keys })
    }

    fn devices(count: usize) -> Vec<(DeviceId, KemSecret)> {
        let id = |i: usize| DeviceId([u8::try_from(100 + i).unwrap(); 32]);
        (0..count).map(|i| (id(i), KemSecret::generate())).collect()
    }

    fn seal(to: &[(DeviceId, KemSecret)], news: &News) -> Notice {
        let to: Vec<_> = to.iter().map(|(device, secret)| (*device, secret.public())).collect();
        Notice::seal(SPACE, AUTHOR, &to, news).unwrap()
    }

    #[test]
    fn a_notice_is_read_by_those_whom_it_is_for_and_by_nobody_else() {
        let (people, news) = (devices(4), news("secret"));
        let notice = seal(&people[..3], &news);
        for (device, secret) in &people[..3] {
            assert_eq!(notice.open(SPACE, AUTHOR, *device, secret).as_ref(), Some(&news));
            // Not in another space, nor as somebody else's word.
            assert_eq!(notice.open(SpaceId([7; 32]), AUTHOR, *device, secret), None);
            assert_eq!(notice.open(SPACE, DeviceId([7; 32]), *device, secret), None);
        }
        assert_eq!(notice.open(SPACE, AUTHOR, people[3].0, &people[3].1), None);
        assert_eq!(notice.open(SPACE, AUTHOR, people[0].0, &people[3].1), None);
    }

    #[test]
    fn the_form_of_a_notice_tells_neither_how_many_it_is_for_nor_the_name_in_it() {
        let people = devices(8);
        let form = |notice: &Notice| {
            let slots: Vec<usize> = notice.slots.iter().map(Vec::len).collect();
            (slots, notice.body.len())
        };
        let (one, many) =
            (seal(&people[..1], &news("x")), seal(&people, &news(&"long name ".repeat(6)[..59])));
        assert_eq!(form(&one), form(&many));
        let bytes = wire::encode(&many);
        assert!(people.iter().all(|(device, secret)| {
            let public = secret.public();
            bytes.windows(32).all(|window| window != device.0 && window != public.0)
        }));
    }

    #[test]
    fn a_device_with_a_useless_key_shuts_out_itself_and_nobody_else() {
        let people = devices(2);
        let to = [(people[0].0, people[0].1.public()), (people[1].0, KemPublic([0; 32]))];
        let notice = Notice::seal(SPACE, AUTHOR, &to, &news("secret")).unwrap();
        assert!(notice.open(SPACE, AUTHOR, people[0].0, &people[0].1).is_some());
    }

    #[test]
    fn a_notice_is_for_as_many_devices_as_it_may_be_and_no_more() {
        let to = vec![(AUTHOR, KemSecret::generate().public()); MAX_SLOTS + 1];
        assert!(Notice::seal(SPACE, AUTHOR, &to[1..], &news("x")).unwrap().is_sound());
        assert!(Notice::seal(SPACE, AUTHOR, &to, &news("x")).is_none());
    }

    proptest! {
        /// Members can write what they like.
        #[test]
        fn a_hostile_notice_harms_nobody(slots in prop::collection::vec(0usize..100, 0..70), size in 0usize..3000, flip in any::<prop::sample::Index>()) {
            let (people, news) = (devices(1), news("secret"));
            let wild = Notice { slots: slots.into_iter().map(|len| vec![0; len]).collect(), body: vec![0; size] };
            prop_assert_eq!(wild.open(SPACE, AUTHOR, people[0].0, &people[0].1), None);
            let mut bytes = wire::encode(&seal(&people, &news));
            let at = flip.index(bytes.len());
            bytes[at] ^= 1;
            if let Ok(changed) = wire::decode::<Notice>("a notice", &bytes, bytes.len()) {
                let opened = changed.open(SPACE, AUTHOR, people[0].0, &people[0].1);
                prop_assert!(opened.is_none_or(|opened| opened == news));
            }
        }
    }
}
