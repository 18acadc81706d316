//! Browsers that are signed in at this node's API: kept, so that they still are when the node has started again.
//!
//! Of each the hash of its cookie is kept and when it ends, never the cookie. A backup holds them as it holds everything;
//! a home that is made of one begins with none.

use covey_store::{StoreError, Tx};
use covey_types::wire;
use serde::{Deserialize, Serialize};

use crate::{Node, NodeError};

/// Where they are kept.
const META: &str = "browsers";

/// The shape of what is kept.
const VERSION: u8 = 1;

/// Most that are kept: more than one person uses.
pub const MAX_BROWSERS: usize = 32;

/// Longest list that is read back, bytes: one browser takes 32 and two times of at most 10.
const MAX_KEPT_BYTES: usize = 16 + MAX_BROWSERS * 52;

/// A browser that is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Browser {
    /// The hash of what its cookie says.
    pub hash: [u8; 32],
    /// Since when, milliseconds since 1970.
    pub since_ms: u64,
    /// Until when.
    pub until_ms: u64,
}

fn decode(bytes: &[u8]) -> Result<Vec<Browser>, StoreError> {
    let corrupt = |reason: String| StoreError::Corrupt { doing: "read which browsers are signed in", reason };
    let kept: Result<(u8, Vec<Browser>), _> = wire::decode("the browsers", bytes, MAX_KEPT_BYTES);
    let (version, browsers) = kept.map_err(|err| corrupt(err.to_string()))?;
    // A later version's are not ours to understand: they sign in again.
    Ok(if version == VERSION { browsers } else { Vec::new() })
}

/// Forgets them all: a home that was made of a backup may be somebody else's machine.
pub(crate) fn forget(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    tx.set_meta(META, &wire::encode(&(VERSION, Vec::<Browser>::new())))
}

impl Node {
    /// The browsers that were signed in when that was last kept, also those whose time is over.
    ///
    /// # Errors
    /// The store's.
    pub async fn browsers(&self) -> Result<Vec<Browser>, NodeError> {
        let bytes = self.0.store.read(|reader| reader.meta(META)).await?;
        Ok(bytes.map_or_else(|| Ok(Vec::new()), |bytes| decode(&bytes))?)
    }

    /// Keeps which browsers are signed in, in the place of what was kept before.
    ///
    /// # Errors
    /// [`NodeError::TooLarge`] for more than [`MAX_BROWSERS`]; the store's.
    pub async fn keep_browsers(&self, browsers: Vec<Browser>) -> Result<(), NodeError> {
        if browsers.len() > MAX_BROWSERS {
            let (what, len) = ("a list of browsers", browsers.len());
            return Err(NodeError::TooLarge { what, len, max: MAX_BROWSERS });
        }
        self.write(move |tx, _| Ok(tx.set_meta(META, &wire::encode(&(VERSION, browsers)))?)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What version 1 wrote: it must be read for good.
    const KEPT: &[u8] = &[
        1, 1, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
        0xe8, 0x07, 0xd0, 0x0f,
    ];

    #[test]
    fn what_was_kept_once_is_read_for_good() {
        let browser = Browser { hash: [7; 32], since_ms: 1000, until_ms: 2000 };
        assert_eq!(decode(KEPT).unwrap(), [browser]);
        assert_eq!(wire::encode(&(VERSION, vec![browser])), KEPT);
        let full = vec![Browser { hash: [9; 32], since_ms: u64::MAX, until_ms: u64::MAX }; MAX_BROWSERS];
        assert_eq!(decode(&wire::encode(&(VERSION, full.clone()))).unwrap(), full);
    }

    #[test]
    fn what_a_later_version_kept_is_none_and_rubbish_is_an_error() {
        assert_eq!(decode(&wire::encode(&(2u8, Vec::<Browser>::new()))).unwrap(), []);
        assert!(decode(&KEPT[..20]).is_err());
    }
}
