//! What reaches the store, the network and the API from outside.

use std::io::Cursor;

use covey_api::dto;
use serde::{Serialize, de::DeserializeOwned};

use crate::script::Script;

/// The first and the last bytes of a backup file.
pub fn backup_seal(bytes: &[u8]) {
    if let Some(database_bytes) = covey_store::fuzz::backup_seal(&mut Cursor::new(bytes)) {
        assert!(database_bytes < bytes.len() as u64);
    }
}

/// A message of multicast DNS that answers a look around.
pub fn mdns_answer(bytes: &[u8]) {
    for (_, addresses) in covey_net::fuzz::mdns_answer(bytes) {
        assert!(addresses <= covey_net::config::MAX_ADDRESSES);
    }
}

/// The lines of a bulk import, in pieces as long as the first byte says, with the id taken from a field or not.
/// However the upload is cut, the same comes out.
pub fn import_lines(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let (how, piece) = (script.byte(), usize::from(script.byte()) + 1);
    let id_field = (how & 1 == 1).then_some("name");
    let rows = covey_api::fuzz::import_lines(script.rest().chunks(piece), id_field);
    assert_eq!(rows, covey_api::fuzz::import_lines([script.rest()].into_iter(), id_field));
    for (id, doc) in rows {
        assert!(id.is_none_or(|id| !id.is_empty() && !id.contains(char::is_control)));
        let value: serde_json::Value = serde_json::from_str(&doc).expect("a row that is taken is JSON");
        assert!(value.is_object());
    }
}

fn reads_back<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(bytes) {
        let text = serde_json::to_string(&value).expect("what was read can be written");
        assert!(serde_json::from_str::<T>(&text).is_ok());
    }
}

/// The body of a request to the API, taken for each of those that there are.
pub fn api_requests(bytes: &[u8]) {
    reads_back::<dto::NewSpace>(bytes);
    reads_back::<dto::NewInvite>(bytes);
    reads_back::<dto::JoinRequest>(bytes);
    reads_back::<dto::NewRecord>(bytes);
    reads_back::<dto::NewRole>(bytes);
    reads_back::<dto::NewHistory>(bytes);
    reads_back::<dto::NewDeviceName>(bytes);
    reads_back::<dto::BackupRequest>(bytes);
}
