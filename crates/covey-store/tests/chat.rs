//! The order in which messages are found: that of their times, whatever order they came in.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use common::{copy_home, open, raw, space, store, write};
use covey_store::{ChatMessage, Reader, SpaceKey, StoreError, Tx};
use covey_types::{DeviceId, Hlc, UserId};

/// A millisecond as times count it.
const MS: u64 = 1 << 16;

/// The numbers and ids of what is found, read in pages of so many.
fn found(r: &Reader<'_>, space: SpaceKey, limit: usize) -> Result<Vec<(i64, String)>, StoreError> {
    let (mut all, mut below) = (Vec::new(), None);
    loop {
        let page = r.chat_search((&[space], &[]), "plum", ('<', '>'), below, limit)?;
        let Some(last) = page.last() else { return Ok(all) };
        below = Some(last.number);
        all.extend(page.into_iter().map(|found| (found.number, found.message.id)));
    }
}

fn ids(found: &[(i64, String)]) -> Vec<&str> {
    found.iter().map(|(_, id)| id.as_str()).collect()
}

fn put(tx: &mut Tx<'_>, space: SpaceKey, hlc: u64, id: &str, text: &str) -> Result<Option<i64>, StoreError> {
    let channel = tx.ensure_chat_channel(space, "beds")?;
    tx.put_chat_message(&ChatMessage {
        space,
        channel,
        hlc: Hlc::from_u64(hlc),
        id: id.into(),
        device: DeviceId([1; 32]),
        user: UserId([2; 32]),
        edited: false,
        deleted: false,
        reply_to: None,
        root: None,
        mentions: Vec::new(),
        text: text.into(),
    })
}

#[test]
fn the_newest_is_found_first_and_messages_of_one_moment_once_each() {
    let (_dir, store) = store();
    let garden = write(&store, |tx| {
        let garden = tx.insert_space(space(1), b"garden")?;
        // More of one time than its millisecond has room for behind it.
        let (full, ms) = (1_i64 << 61, MS.cast_signed());
        let first = [(900, "i"), (100, "a"), (500, "e"), (500, "f"), (500, "g"), (300, "c")];
        for (ms, id) in first {
            assert!(put(tx, garden, ms * MS, id, "a plum")?.is_some());
        }
        put(tx, garden, 500 * MS + 1, "h", "a plum")?;
        assert_eq!(put(tx, garden, full.cast_unsigned(), "y", "a plum")?, Some(full));
        assert_eq!(put(tx, garden, (full + ms - 1).cast_unsigned(), "z", "a plum")?, Some(full + ms - 1));
        assert_eq!(put(tx, garden, full.cast_unsigned(), "last", "a plum")?, Some(full + ms));
        assert_eq!(put(tx, garden, u64::MAX, "beyond", "a plum")?, Some(i64::MAX >> 1));
        Ok(garden)
    });
    let look = |limit| store.read_blocking(move |r| found(r, garden, limit)).unwrap();
    let all = look(100);
    // Those of one moment are together, in some order.
    assert_eq!(ids(&all)[..5], ["beyond", "last", "z", "y", "i"]);
    assert_eq!(ids(&all)[9..], ["c", "a"]);
    let mut moment = ids(&all)[5..9].to_vec();
    moment.sort_unstable();
    assert_eq!(moment, ["e", "f", "g", "h"]);
    for limit in 1..4 {
        assert_eq!(look(limit), all, "in pages of {limit}");
    }

    // What is edited keeps its place; what is dropped is found no more, and its place is free again.
    write(&store, move |tx| {
        assert_eq!(put(tx, garden, 300 * MS, "c", "another plum")?, None);
        assert!(tx.drop_chat_message(garden, "e")?);
        Ok(())
    });
    let rest: Vec<_> = all.iter().filter(|(_, id)| id != "e").cloned().collect();
    assert_eq!(look(100), rest);
    let again = write(&store, move |tx| put(tx, garden, 500 * MS, "e", "a plum"));
    assert_eq!(again, all.iter().find(|(_, id)| id == "e").map(|(number, _)| *number));
    assert_eq!(look(100), all);
    assert_eq!(store.integrity_check_blocking().unwrap(), Vec::<String>::new());
}

#[test]
fn what_an_earlier_version_kept_is_found_in_its_order_too() {
    let fixture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v5");
    let dir = tempfile::tempdir().unwrap();
    copy_home(&fixture, dir.path());
    fs::set_permissions(dir.path().join("key"), fs::Permissions::from_mode(0o600)).unwrap();
    let conn = raw(dir.path());
    let (key, version): (i64, i64) = conn
        .query_row("SELECT key, (SELECT user_version FROM pragma_user_version) FROM spaces", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(version, 5, "the numbers of messages say there in which order they came");
    conn.execute("INSERT INTO chat_channels(key, space, id) VALUES(7, ?1, 'beds')", [key]).unwrap();
    // The times of the first ones are numbers that others have.
    for (hlc, id, text) in [
        (2, "b", "plum"),
        (1, "a", "plum"),
        (900, "e", "plum"),
        (300, "c", "plum"),
        (300, "d", "plum"),
        (950, "f", ""),
    ] {
        let sql = "INSERT INTO chat_messages(space, channel, hlc, id, device, user, edited, deleted, mentions, text)
                   VALUES(?1, 7, ?2, ?3, zeroblob(32), zeroblob(32), 0, 0, x'', ?4)";
        conn.execute(sql, (key, hlc, id, text)).unwrap();
    }
    conn.execute("INSERT INTO chat_late(message, channel) VALUES(4, 7), (99, 7)", []).unwrap();
    conn.close().unwrap();

    let store = open(dir.path());
    let (all, late) = store
        .read_blocking(|r| {
            let garden = r.spaces()?.remove(0).key;
            let channel = r.chat_channel(garden, "beds")?.unwrap();
            Ok((found(r, garden, 2)?, r.chat_late(channel)?))
        })
        .unwrap();
    let wanted = [(900, "e"), (301, "d"), (300, "c"), (2, "b"), (1, "a")];
    assert_eq!(all, wanted.map(|(number, id)| (number, id.to_owned())));
    let late: Vec<_> = late.into_iter().map(|(number, _, id)| (number, id)).collect();
    assert_eq!(late, [(300, "c".to_owned())], "and what came late is still the same message");
    let (garden, new) = write(&store, |tx| {
        let garden = tx.spaces()?.remove(0).key;
        put(tx, garden, 400, "new", "plum")?;
        tx.drop_chat_message(garden, "d")?;
        Ok((garden, put(tx, garden, 950, "f", "plum")?))
    });
    assert_eq!(new, None, "it is the one whose text was empty");
    let all = store.read_blocking(move |r| found(r, garden, 100)).unwrap();
    assert_eq!(ids(&all), ["f", "e", "new", "c", "b", "a"]);
    assert_eq!(store.integrity_check_blocking().unwrap(), Vec::<String>::new());
}
