//! A code as a link or QR code: `covey://join/...`, with where to find the inviter.
//!
//! After the slash stands base58 of: version (1 byte), the fields in postcard, the first four bytes of the
//! BLAKE3 hash of all that. The hash is against typing and cutting errors, not against anybody.

use std::{fmt, str::FromStr};

use covey_types::{
    DeviceId,
    limits::MAX_DISPLAY_NAME_CHARS,
    wire::{self, DecodeError},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    Purpose,
    code::{Code, Secret},
};

const PREFIX: &str = "covey://join/";
/// The other kind: to become a further device of somebody's own.
const DEVICE_PREFIX: &str = "covey://device/";
const VERSION: u8 = 1;
const CHECK_BYTES: usize = 4;

/// Most addresses in a link: a device has a few interfaces, and a QR code should stay readable.
pub const MAX_LINK_ADDRESSES: usize = 8;

/// Longest address, in bytes of its multiaddr text: a relay address with two peer ids fits.
pub const MAX_LINK_ADDRESS_BYTES: usize = 256;

/// Longest link that is looked at, bytes: the largest body there can be, in base58.
pub const MAX_LINK_BYTES: usize = 4096;

/// An invitation to be sent or scanned. `Display` shows the secret, `Debug` doesn't.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What the code is for.
    pub purpose: Purpose,
    /// The code.
    pub code: Code,
    /// The device that answers to it.
    pub inviter: DeviceId,
    /// Where that device may be reached, as multiaddr text, best first.
    pub addresses: Vec<String>,
    /// When the invitation ends, milliseconds since 1970.
    pub expires_at_ms: u64,
    /// What the space is called, or for a device its user, to be shown before joining. Not authenticated.
    pub space_name: String,
}

/// What isn't a link that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// It doesn't begin like one.
    #[error("an invitation link begins with {PREFIX}, and one for a device with {DEVICE_PREFIX}")]
    NotALink,
    /// Longer than [`MAX_LINK_BYTES`].
    #[error("the invitation link of {len} bytes is longer than the limit of {MAX_LINK_BYTES}")]
    TooLong {
        /// Its length, bytes.
        len: usize,
    },
    /// Characters are missing, added or changed.
    #[error("the invitation link is damaged; copy it again, all of it")]
    Damaged,
    /// From a newer version of the program.
    #[error("the invitation link has version {found}; this program knows up to {VERSION}: update it")]
    Version {
        /// The version found.
        found: u8,
    },
    /// Intact, but it says what no link may say.
    #[error("the invitation link can't be used: {0}")]
    Malformed(String),
}

impl From<DecodeError> for LinkError {
    fn from(err: DecodeError) -> Self {
        Self::Malformed(err.to_string())
    }
}

#[derive(Serialize, Deserialize)]
struct Body {
    nameplate: u32,
    secret: Secret,
    inviter: DeviceId,
    addresses: Vec<String>,
    expires_at_ms: u64,
    space_name: String,
}

impl Link {
    /// Keeps only as many addresses and as much of the name as a link may have.
    pub fn bounded(mut self) -> Self {
        self.addresses.retain(|address| !address.is_empty() && address.len() <= MAX_LINK_ADDRESS_BYTES);
        self.addresses.truncate(MAX_LINK_ADDRESSES);
        self.space_name = self.space_name.chars().take(MAX_DISPLAY_NAME_CHARS).collect();
        self
    }

    fn from_body(purpose: Purpose, body: Body) -> Result<Self, LinkError> {
        let malformed = |reason: &str| LinkError::Malformed(reason.to_owned());
        let code =
            Code::from_parts(body.nameplate, body.secret).ok_or_else(|| malformed("its code is none"))?;
        if body.addresses.len() > MAX_LINK_ADDRESSES {
            return Err(malformed("too many addresses"));
        }
        if body.addresses.iter().any(|address| address.is_empty() || address.len() > MAX_LINK_ADDRESS_BYTES) {
            return Err(malformed("an address is empty or too long"));
        }
        if body.space_name.chars().count() > MAX_DISPLAY_NAME_CHARS
            || body.space_name.contains(char::is_control)
        {
            return Err(malformed("the name of the space is too long or has control characters"));
        }
        let Body { inviter, addresses, expires_at_ms, space_name, .. } = body;
        Ok(Self { purpose, code, inviter, addresses, expires_at_ms, space_name })
    }
}

const fn prefix(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Space => PREFIX,
        Purpose::Device => DEVICE_PREFIX,
    }
}

/// Of the bytes behind the prefix; for a device of that too, so that a link can't be turned into the other kind.
fn check(purpose: Purpose, bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    if purpose == Purpose::Device {
        hasher.update(DEVICE_PREFIX.as_bytes());
    }
    let hash = hasher.update(bytes).finalize();
    std::array::from_fn(|i| hash.as_bytes()[i])
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = Body {
            nameplate: self.code.nameplate.number(),
            secret: self.code.secret.clone(),
            inviter: self.inviter,
            addresses: self.addresses.clone(),
            expires_at_ms: self.expires_at_ms,
            space_name: self.space_name.clone(),
        };
        let mut bytes = Zeroizing::new(vec![VERSION]);
        bytes.extend_from_slice(&Zeroizing::new(wire::encode(&body)));
        let check = check(self.purpose, &bytes);
        bytes.extend_from_slice(&check);
        let text = Zeroizing::new(bs58::encode(&*bytes).into_string());
        write!(f, "{}{}", prefix(self.purpose), *text)
    }
}

impl FromStr for Link {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let text = text.trim();
        if text.len() > MAX_LINK_BYTES {
            return Err(LinkError::TooLong { len: text.len() });
        }
        let begins = |purpose: &Purpose| {
            let prefix = prefix(*purpose);
            text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let purpose = [Purpose::Space, Purpose::Device].into_iter().find(begins);
        let purpose = purpose.ok_or(LinkError::NotALink)?;
        let bytes = bs58::decode(&text[prefix(purpose).len()..])
            .into_vec()
            .map(Zeroizing::new)
            .map_err(|_| LinkError::Damaged)?;
        let (bytes, sum) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or(LinkError::Damaged)?;
        if check(purpose, bytes) != *sum {
            return Err(LinkError::Damaged);
        }
        match bytes.split_first() {
            Some((&VERSION, body)) => {
                Self::from_body(purpose, wire::decode("an invitation link", body, MAX_LINK_BYTES)?)
            }
            Some((&found, _)) => Err(LinkError::Version { found }),
            None => Err(LinkError::Damaged),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn link() -> Link {
        Link {
            purpose: Purpose::Space,
            code: "COVEY-10AB-0V1Z".parse().unwrap(),
            inviter: DeviceId([7; 32]),
            addresses: vec!["/ip4/192.168.1.20/udp/4001/quic-v1".into(), "/ip6/fe80::1/tcp/4001".into()],
            expires_at_ms: 1_700_000_000_000,
            space_name: "Küchengarten".into(),
        }
    }

    #[test]
    fn a_link_reads_back_what_it_prints() {
        let text = link().to_string();
        assert_eq!(text.parse(), Ok(link()));
        assert_eq!(format!("  {}\n", text.replacen("covey", "COVEY", 1)).parse(), Ok(link()));
        let largest = Link {
            addresses: vec!["/".repeat(MAX_LINK_ADDRESS_BYTES); MAX_LINK_ADDRESSES],
            space_name: "😀".repeat(MAX_DISPLAY_NAME_CHARS),
            ..link()
        };
        assert_eq!(largest.to_string().parse(), Ok(largest));
    }

    #[test]
    fn a_damaged_link_is_noticed() {
        let text = link().to_string();
        assert_eq!(text[..text.len() - 1].parse::<Link>(), Err(LinkError::Damaged));
        for at in PREFIX.len()..text.len() {
            let other = if text.as_bytes()[at] == b'z' { "y" } else { "z" };
            let changed = [&text[..at], other, &text[at + 1..]].concat();
            assert_eq!(changed.parse::<Link>(), Err(LinkError::Damaged));
        }
    }

    #[test]
    fn a_link_for_a_device_is_another_one_and_does_not_pass_for_one_to_a_space() {
        let device = Link { purpose: Purpose::Device, ..link() }.to_string();
        assert!(device.starts_with(DEVICE_PREFIX));
        assert_eq!(device.parse(), Ok(Link { purpose: Purpose::Device, ..link() }));
        assert_eq!(device.replacen(DEVICE_PREFIX, PREFIX, 1).parse::<Link>(), Err(LinkError::Damaged));
        let space = link().to_string();
        assert_eq!(space.replacen(PREFIX, DEVICE_PREFIX, 1).parse::<Link>(), Err(LinkError::Damaged));
    }

    #[test]
    fn what_is_no_link_says_why() {
        assert_eq!("COVEY-10AB-0V1Z".parse::<Link>(), Err(LinkError::NotALink));
        assert_eq!("covey://join/".parse::<Link>(), Err(LinkError::Damaged));
        assert_eq!(PREFIX.repeat(400).parse::<Link>(), Err(LinkError::TooLong { len: 5200 }));
        let newer = [&[9, 1, 2][..], &check(Purpose::Space, &[9, 1, 2])].concat();
        let newer = format!("{PREFIX}{}", bs58::encode(newer).into_string());
        assert_eq!(newer.parse::<Link>(), Err(LinkError::Version { found: 9 }));
        let many = Link { addresses: vec!["/a".into(); MAX_LINK_ADDRESSES + 1], ..link() };
        assert!(matches!(many.to_string().parse::<Link>(), Err(LinkError::Malformed(_))));
        assert_eq!(many.clone().bounded().to_string().parse(), Ok(many.bounded()));
    }

    #[test]
    fn the_secret_is_not_in_the_debug_output() {
        assert!(!format!("{:?}", link()).contains("0V1Z"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_link_or_not(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let body = [&[VERSION][..], &bytes].concat();
            let whole = [body.as_slice(), &check(Purpose::Space, &body)].concat();
            let _refused_or_not = format!("{PREFIX}{}", bs58::encode(whole).into_string()).parse::<Link>();
            let _refused = format!("{PREFIX}{}", String::from_utf8_lossy(&bytes)).parse::<Link>();
        }
    }
}
