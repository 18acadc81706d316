//! The key of the database: from a file, or from a passphrase with Argon2id (RFC 9106).
//!
//! `key.json` beside the database says which, with the salt and the costs for a passphrase, and holds a
//! check value: a hash under the key itself. It tells a wrong key from a damaged database before the
//! database is opened. It gives an attacker nothing that the first page of the database doesn't give.

use std::{
    fmt, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use argon2::{Algorithm, Argon2, Params, Version};
use covey_types::{SecretBytes, keys::random_bytes};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    error::OpenError,
    home::{Home, write_private},
};

/// Memory that trying one passphrase takes. With [`PASSES`] about 150 ms: noticeable to nobody who
/// knows the passphrase, costly to who tries them all. RFC 9106's second recommended option.
const MEMORY_KIB: u32 = 64 << 10;

/// How often that memory is gone over.
const PASSES: u32 = 3;

/// How many lanes it is cut into: one, so that it takes the same time on one core.
const LANES: u32 = 1;

/// Costs above these aren't ours, and would let a changed file keep the machine busy.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_PASSES: u32 = 64;
const MAX_LANES: u32 = 16;

/// The version of `key.json`.
const INFO_VERSION: u32 = 1;

/// What is hashed under the key for the check value.
const CHECK_TEXT: &[u8] = b"covey store key check v1";

/// The database key.
pub(crate) type DatabaseKey = SecretBytes<32>;

/// What unlocks a store.
#[derive(Clone, PartialEq, Eq)]
pub enum Unlock {
    /// The file `key` in the home, which must be for its owner's eyes only. A new store makes it.
    KeyFile,
    /// A passphrase.
    Passphrase(Zeroizing<String>),
}

impl fmt::Debug for Unlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyFile => "KeyFile",
            Self::Passphrase(_) => "Passphrase(..)",
        })
    }
}

/// Whether there is a store in this folder.
pub fn exists(home: &Path) -> bool {
    Home::at(home).database().exists()
}

/// Whether the store in this folder is locked with a passphrase. Without a store: no.
pub fn needs_passphrase(home: &Path) -> bool {
    let home = Home::at(home);
    exists(home.folder())
        && read_info(&home).is_ok_and(|info| matches!(info.method, Method::Passphrase { .. }))
}

#[derive(Debug, Serialize, Deserialize)]
struct Info {
    version: u32,
    #[serde(flatten)]
    method: Method,
    /// Hexadecimal.
    check: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "unlock", rename_all = "kebab-case")]
enum Method {
    KeyFile,
    Passphrase {
        /// Hexadecimal, 16 bytes.
        salt: String,
        memory_kib: u32,
        passes: u32,
        lanes: u32,
    },
}

/// The key of the store that is in this home. Changes nothing.
pub(crate) fn unlock(home: &Home, unlock: &Unlock) -> Result<DatabaseKey, OpenError> {
    let info = read_info(home)?;
    let folder = || home.folder().to_owned();
    let (key, wrong) = match (&info.method, unlock) {
        (Method::KeyFile, Unlock::KeyFile) => {
            let key = read_key_file(&home.key())?.ok_or(OpenError::KeyMissing { path: home.key() })?;
            (key, OpenError::WrongKey { path: home.key() })
        }
        (Method::Passphrase { salt, memory_kib, passes, lanes }, Unlock::Passphrase(passphrase)) => {
            let damaged =
                |reason: &str| OpenError::KeyDamaged { path: home.key_info(), reason: reason.into() };
            let salt = from_hex::<16>(salt).ok_or_else(|| damaged("the salt is not 16 bytes"))?;
            let costs = Costs { memory_kib: *memory_kib, passes: *passes, lanes: *lanes };
            let key = costs.derive(passphrase, &salt).ok_or_else(|| damaged("its costs are out of range"))?;
            (key, OpenError::WrongPassphrase { home: folder() })
        }
        (Method::KeyFile, Unlock::Passphrase(_)) => return Err(OpenError::KeyFileNeeded { home: folder() }),
        (Method::Passphrase { .. }, Unlock::KeyFile) => {
            return Err(OpenError::PassphraseNeeded { home: folder() });
        }
    };
    // Comparing BLAKE3 hashes takes the same time wherever they differ.
    let expected = from_hex::<32>(&info.check).map(blake3::Hash::from_bytes);
    if expected == Some(check_value(&key)) { Ok(key) } else { Err(wrong) }
}

/// The key of a store that is being made, and what is needed to unlock it later written down.
pub(crate) fn create(home: &Home, unlock: &Unlock) -> Result<DatabaseKey, OpenError> {
    let (key, method) = match unlock {
        Unlock::KeyFile => (existing_or_new_key_file(&home.key())?, Method::KeyFile),
        Unlock::Passphrase(passphrase) if passphrase.is_empty() => return Err(OpenError::EmptyPassphrase),
        Unlock::Passphrase(passphrase) => {
            let salt = random_bytes::<16>();
            let key = Costs::OURS.derive(passphrase, &salt).expect("our own costs are in range");
            let Costs { memory_kib, passes, lanes } = Costs::OURS;
            (key, Method::Passphrase { salt: to_hex(&salt), memory_kib, passes, lanes })
        }
    };
    let info = Info { version: INFO_VERSION, method, check: check_value(&key).to_hex().to_string() };
    let mut text = serde_json::to_string_pretty(&info).expect("strings and numbers are JSON");
    text.push('\n');
    write_private(&home.key_info(), text.as_bytes())?;
    Ok(key)
}

/// What trying one passphrase costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Costs {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
}

impl Costs {
    /// Those of everything that is made now.
    pub(crate) const OURS: Self = Self { memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES };

    /// The key of a passphrase; `None` if the costs are out of range.
    pub(crate) fn derive(&self, passphrase: &str, salt: &[u8]) -> Option<DatabaseKey> {
        if self.memory_kib > MAX_MEMORY_KIB || self.passes > MAX_PASSES || self.lanes > MAX_LANES {
            return None;
        }
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).ok()?;
        let mut key = Zeroizing::new([0u8; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), salt, &mut *key)
            .ok()?;
        Some(SecretBytes::new(*key))
    }
}

fn existing_or_new_key_file(path: &Path) -> Result<DatabaseKey, OpenError> {
    if let Some(key) = read_key_file(path)? {
        return Ok(key);
    }
    let key = DatabaseKey::random();
    write_private(path, key.expose())?;
    Ok(key)
}

/// The key in this file; `None` if there is no file.
fn read_key_file(path: &Path) -> Result<Option<DatabaseKey>, OpenError> {
    let failed = |source| OpenError::File { action: "read", path: path.to_owned(), source };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(failed(err)),
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(OpenError::KeyExposed { path: path.to_owned(), mode });
    }
    if metadata.len() != 32 {
        return Err(OpenError::KeyDamaged {
            path: path.to_owned(),
            reason: format!("{} bytes instead of 32", metadata.len()),
        });
    }
    let bytes = Zeroizing::new(fs::read(path).map_err(failed)?);
    let key = DatabaseKey::from_slice(&bytes);
    let changed = || OpenError::KeyDamaged { path: path.to_owned(), reason: "it changed while read".into() };
    key.ok_or_else(changed).map(Some)
}

fn read_info(home: &Home) -> Result<Info, OpenError> {
    let path = home.key_info();
    let damaged = |path: PathBuf, reason: String| OpenError::KeyDamaged { path, reason };
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Err(OpenError::KeyMissing { path }),
        Err(source) => return Err(OpenError::File { action: "read", path, source }),
    };
    match serde_json::from_slice::<Info>(&text) {
        Ok(info) if info.version == INFO_VERSION => Ok(info),
        Ok(info) => Err(damaged(path, format!("version {} is not known to this program", info.version))),
        Err(err) => Err(damaged(path, err.to_string())),
    }
}

pub(crate) fn check_value(key: &DatabaseKey) -> blake3::Hash {
    blake3::keyed_hash(key.expose(), CHECK_TEXT)
}

fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(bytes)
}

/// The pragma that gives SQLCipher this key as it is, with no derivation. The salt, which becomes the first bytes of
/// the file, is the file's own, or for a new one random, unless it's given.
pub(crate) fn key_pragma(key: &DatabaseKey, salt: Option<&[u8; 16]>) -> Zeroizing<String> {
    // Room for all of it at once: growing would leave copies behind that aren't wiped.
    let mut text = Zeroizing::new(String::with_capacity(128));
    text.push_str("PRAGMA key = \"");
    text.push_str(&key_text(key, salt));
    text.push('"');
    text
}

/// The key as SQLCipher takes it without derivation, for `ATTACH` too: as a value, never in a statement's text.
pub(crate) fn key_text(key: &DatabaseKey, salt: Option<&[u8; 16]>) -> Zeroizing<String> {
    use std::fmt::Write;
    let mut text = Zeroizing::new(String::with_capacity(128));
    text.push_str("x'");
    for byte in key.expose().iter().chain(salt.into_iter().flatten()) {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_reads_back() {
        assert_eq!(from_hex::<3>(&to_hex(&[0, 171, 255])), Some([0, 171, 255]));
        assert_eq!(from_hex::<3>("00ab"), None);
        assert_eq!(from_hex::<1>("é"), None);
        assert_eq!(from_hex::<1>("zz"), None);
    }

    #[test]
    fn a_passphrase_is_never_printed() {
        let unlock = Unlock::Passphrase(Zeroizing::new("hunter2".into()));
        assert_eq!(format!("{unlock:?}"), "Passphrase(..)");
    }

    #[test]
    fn absurd_costs_are_refused() {
        let costs = Costs { memory_kib: u32::MAX, passes: 1, lanes: 1 };
        assert!(costs.derive("x", &[0; 16]).is_none());
    }

    #[test]
    fn the_key_pragma_holds_the_whole_key() {
        let key = DatabaseKey::new([0xa5; 32]);
        let text = key_pragma(&key, None);
        assert_eq!(*text, format!("PRAGMA key = \"x'{}'\"", "a5".repeat(32)));
        let salted = key_pragma(&key, Some(&[0x0f; 16]));
        assert_eq!(*salted, format!("PRAGMA key = \"x'{}{}'\"", "a5".repeat(32), "0f".repeat(16)));
        assert_eq!(salted.capacity(), 128, "it did not grow");
    }
}
