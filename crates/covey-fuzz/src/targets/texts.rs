//! What people and programs type or paste: filters, values, links, codes, ids.

use covey_pair::{Code, Link};
use covey_records::{Filter, json};
use covey_types::{DeviceId, EntryHash, EpochId, SpaceId, UserId};

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// A filter of records, and a document behind a line break that it is asked about.
pub fn filter(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let (filter, doc) = text.split_once('\n').unwrap_or((text, r#"{"a":1,"b":"x","c":null,"d":[1,"x"]}"#));
    let Ok(filter) = Filter::parse(filter) else { return };
    if let Ok(doc) = serde_json::from_str(doc) {
        assert_eq!(filter.matches(&doc), filter.matches(&doc));
    }
}

/// The value of a field: JSON. Made compact it is a value still, and stays as it is.
pub fn json_value(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let Ok(compact) = json::compact(text) else { return };
    assert_eq!(json::check(&compact), Ok(()));
    assert_eq!(json::compact(&compact).as_deref(), Ok(&*compact));
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    assert_eq!(parse(&compact), parse(text));
}

/// An invitation link. One that is read prints as one that reads the same.
pub fn invitation_link(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(link) = text.parse::<Link>() {
        assert_eq!(link.to_string().parse().as_ref(), Ok(&link));
        assert!(!link.space_name.contains(char::is_control));
    }
}

/// Ids of all kinds and pairing codes, as texts. Each prints as it reads.
pub fn ids_and_codes(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    macro_rules! prints_as_it_reads {
        ($($kind:ty),*) => {
            $(if let Ok(id) = text.parse::<$kind>() {
                assert_eq!(id.to_string().parse::<$kind>().as_ref(), Ok(&id));
            })*
        };
    }
    prints_as_it_reads!(DeviceId, UserId, SpaceId, EntryHash, EpochId, Code);
}
