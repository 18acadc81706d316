//! The records of the personal space: one for each space that the user is, or was, in.
//!
//! A record holds secrets of the space, though not those that open its data, and so isn't handed out as other records
//! are: see [`is_kept_back`].

use std::collections::BTreeMap;

use covey_engine::Engine;
use covey_space::{KeyRing, ops::is_display_name};
use covey_store::{PageSize, Reader};
use covey_types::{
    EntryHash, SpaceId,
    limits::{MAX_DEPS, MAX_SPACES_PER_SESSION},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{Collection, Node, NodeError, Space};

/// Collections of the personal space that begin so are Covey's own.
pub(crate) const RESERVED: &str = "covey.";

/// Where the records are.
const SPACES: &str = "covey.spaces";

/// Records that are read at once.
const PAGE_RECORDS: usize = 256;

/// Bytes of records that are read at once: a ring of many epochs is long.
const PAGE_BYTES: usize = 1 << 20;

/// Records that are read: far more than a device can be in spaces, for they are kept of spaces that were left too.
const MAX_READ: usize = 16 * MAX_SPACES_PER_SESSION;

/// Whether the user is in a space, and what the one who says so knew of its membership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    pub(super) is_in: bool,
    /// The newest membership entries then. Who knows these too can judge for themself.
    pub(super) at: Vec<EntryHash>,
}

/// What another device of the user needs to know of a space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OwnSpace {
    pub(super) name: String,
    /// One value, so that what two devices write at the same moment is never mixed.
    pub(super) standing: Standing,
    pub(super) keys: KeyRing,
}

pub(super) type OwnSpaces = BTreeMap<SpaceId, OwnSpace>;

/// Whether a collection of the personal space isn't for people and programs to read or write.
pub(crate) fn is_kept_back(collection: &str) -> bool {
    collection.starts_with(RESERVED)
}

/// All records that can be read: one that can't was written by a later version, or by mistake.
pub(super) async fn read(node: &Node, personal: SpaceId) -> Result<OwnSpaces, NodeError> {
    let key = node.engine().space(personal)?.key;
    let (mut spaces, mut after, mut count) = (OwnSpaces::new(), None::<String>, 0);
    loop {
        let from = after.take();
        let read = move |reader: &Reader<'_>| match reader.collection(key, SPACES)? {
            None => Ok(None),
            Some(collection) => {
                let size = PageSize { rows: PAGE_RECORDS, bytes: PAGE_BYTES };
                Ok(Some(reader.page(collection, None, from.as_deref(), size)?))
            }
        };
        let Some(page) = node.0.store.read(read).await? else { return Ok(spaces) };
        count += page.rows.len();
        after = page.rows.last().map(|(id, _)| id.clone());
        for (id, doc) in page.rows {
            let parsed = parse(&Zeroizing::new(doc));
            if parsed.is_none() {
                tracing::warn!(space = id, "a record of the personal space can't be read");
            }
            spaces.extend(id.parse().ok().zip(parsed));
        }
        if !page.more || after.is_none() || count >= MAX_READ {
            return Ok(spaces);
        }
    }
}

fn parse(doc: &str) -> Option<OwnSpace> {
    let record: OwnSpace = serde_json::from_str(doc).ok()?;
    let is_sound =
        is_display_name(&record.name) && record.keys.is_sound() && record.standing.at.len() <= MAX_DEPS;
    is_sound.then_some(record)
}

/// Writes a record, if there is `news` beside the one that is there then: decided in the change itself.
///
/// Of more records than are read it may also only seem that there is none: writing it makes news, which has it looked for
/// again, without end.
pub(super) async fn write(
    node: &Node,
    personal: SpaceId,
    id: SpaceId,
    news: impl FnOnce(&Engine, Option<&OwnSpace>) -> Option<OwnSpace> + Send + 'static,
) -> Result<(), NodeError> {
    let spaces = Collection::new(Space::new(node.clone(), personal), SPACES.to_owned());
    let written = spaces.put_if(id.to_string(), move |engine, there| {
        let there = there.map(Zeroizing::new).and_then(|doc| parse(&doc));
        let Some(mut record) = news(engine, there.as_ref()) else { return Ok(None) };
        record.standing.at.truncate(MAX_DEPS);
        let doc = serde_json::to_string(&record).map_err(|err| NodeError::Internal(err.to_string()))?;
        Ok(Some(Zeroizing::new(doc)))
    });
    written.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_one_that_is_not_sound_is_none() {
        let good = OwnSpace {
            name: "garden".into(),
            standing: Standing { is_in: true, at: vec![EntryHash([7; 32])] },
            keys: KeyRing::generate().0.for_own_devices(),
        };
        let text = |record: &OwnSpace| serde_json::to_string(record).unwrap();
        assert_eq!(parse(&text(&good)), Some(good.clone()));
        let too_much = Standing { is_in: true, at: vec![EntryHash([7; 32]); MAX_DEPS + 1] };
        for bad in [
            OwnSpace { name: "a\nb".into(), ..good.clone() },
            OwnSpace { standing: too_much, ..good.clone() },
        ] {
            assert_eq!(parse(&text(&bad)), None);
        }
        for bad in ["{}", "[]", "7", r#"{"name":"garden","standing":{"is_in":true,"at":[]},"keys":{}}"#] {
            assert_eq!(parse(bad), None);
        }
    }
}
