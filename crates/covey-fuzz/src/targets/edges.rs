//! What reaches the store, the network and the API from outside.

use std::io::{Cursor, Read};

use covey_api::{csv_rows::CsvRows, dto};
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

/// A source that gives no more than so many bytes at once.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = buffer.len().min(self.1);
        self.0.read(&mut buffer[..most])
    }
}

/// The lines that become of a CSV file, how many they are, and whether it was one to its end.
fn lines_of_csv(source: impl Read) -> (Vec<u8>, usize, bool) {
    let (mut lines, mut count) = (Vec::new(), 0);
    let Ok(mut rows) = CsvRows::new(source) else { return (lines, count, false) };
    loop {
        match rows.push_next(&mut lines) {
            Ok(true) => count += 1,
            Ok(false) => return (lines, count, true),
            Err(_) => return (lines, count, false),
        }
    }
}

/// A CSV file to be imported, in pieces as long as the first byte says: each row that is taken becomes one line with one JSON
/// object, whatever stands in its cells, and the same comes out however it is read.
pub fn csv_rows(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let piece = usize::from(script.byte()) + 1;
    let read = lines_of_csv(Pieces(script.rest(), piece));
    assert_eq!(read, lines_of_csv(script.rest()));
    let (lines, count, _) = read;
    let text = std::str::from_utf8(&lines).expect("lines of JSON are UTF-8");
    assert!(text.is_empty() || text.ends_with('\n'));
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect("a row becomes JSON");
        assert!(value.as_object().is_some_and(|fields| fields.values().all(|cell| !cell.is_null())));
    }
    assert_eq!(text.lines().count(), count, "each row becomes a line");
}

fn reads_back<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(bytes) {
        let text = serde_json::to_string(&value).expect("what was read can be written");
        assert!(serde_json::from_str::<T>(&text).is_ok());
    }
}

/// The body of a request to the API, taken for each of those that there are.
pub fn api_requests(bytes: &[u8]) {
    reads_back::<dto::BackupRequest>(bytes);
    reads_back::<dto::ChannelPatch>(bytes);
    reads_back::<dto::ChannelRole>(bytes);
    reads_back::<dto::JoinRequest>(bytes);
    reads_back::<dto::NewChannel>(bytes);
    reads_back::<dto::NewDeviceName>(bytes);
    reads_back::<dto::NewDirect>(bytes);
    reads_back::<dto::NewHistory>(bytes);
    reads_back::<dto::NewInvite>(bytes);
    reads_back::<dto::NewLink>(bytes);
    reads_back::<dto::NewMember>(bytes);
    reads_back::<dto::NewMessage>(bytes);
    reads_back::<dto::NewParticipant>(bytes);
    reads_back::<dto::NewPresence>(bytes);
    reads_back::<dto::NewProfile>(bytes);
    reads_back::<dto::NewRecord>(bytes);
    reads_back::<dto::NewRole>(bytes);
    reads_back::<dto::NewSpace>(bytes);
    reads_back::<dto::ReadUpTo>(bytes);
    reads_back::<dto::RecordSyncRequest>(bytes);
    reads_back::<dto::SqlRequest>(bytes);
    reads_back::<dto::TextDto>(bytes);
}
