//! What this version of the formats made is read for ever: homes, backups, sessions, pairings, entries.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{fs, path::Path};

use covey_fuzz::fixtures::{
    BACKUP, GROWN_BACKUP, GROWN_TOLD, TOLD, folder, open_home, replay_pairing, replay_sync, tell, tell_all,
    unpack_entries,
};

async fn tells_what_was_told(from: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let node = open_home(from, &dir.path().join("home")).await.unwrap();
    let (told, then) = (tell(&node).await.unwrap(), fs::read_to_string(folder().join(TOLD)).unwrap());
    let checks = node.doctor().await;
    node.shutdown().await;
    for (line, (now, then)) in told.lines().zip(then.lines()).enumerate() {
        assert_eq!(now, then, "line {} of {TOLD}", line + 1);
    }
    assert_eq!(told, then);
    // It's not for nothing: what makes a home hard to read is in it.
    let has = |what: &str| assert!(then.contains(what), "{what}");
    ["act ", "RemoveMember", "RotateKey", "\"harvested\":5", "[\"tall\"]", "Grüße 🌱", "row-39"]
        .into_iter()
        .for_each(has);
    let store = checks.iter().find(|check| check.name == "store").unwrap();
    assert!(store.ok, "{}", store.detail);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_of_this_version_opens_and_tells_what_it_told() {
    tells_what_was_told(&folder().join("home")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_this_version_is_restored_and_tells_what_was_told() {
    tells_what_was_told(&folder().join(BACKUP)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compacted_log_channels_and_a_fork_of_this_version_are_read_and_tell_what_was_told() {
    let dir = tempfile::tempdir().unwrap();
    let node = open_home(&folder().join(GROWN_BACKUP), &dir.path().join("home")).await.unwrap();
    let (told, then) =
        (tell_all(&node).await.unwrap(), fs::read_to_string(folder().join(GROWN_TOLD)).unwrap());
    node.shutdown().await;
    for (line, (now, then)) in told.lines().zip(then.lines()).enumerate() {
        assert_eq!(now, then, "line {} of {GROWN_TOLD}", line + 1);
    }
    assert_eq!(told, then);
    let has = |what: &str| assert!(then.contains(what), "{what}");
    ["fork of ", "Private", "Direct", "🎉", "edited true", "deleted true", "only for you", "\"round\":119"]
        .into_iter()
        .for_each(has);
}

#[test]
fn a_recorded_sync_session_goes_as_it_went() {
    let [(one_said_it, ones), (other_said_it, others)] = replay_sync(&folder()).unwrap();
    assert!(one_said_it, "the first end says something else now");
    assert!(other_said_it, "the second end says something else now");
    assert_eq!(ones, others);
    assert_eq!(ones.iter().map(|head| head.seq).collect::<Vec<_>>(), [8, 18, 18]);
}

#[test]
fn the_messages_of_a_recorded_pairing_are_understood() {
    replay_pairing(&folder()).unwrap();
}

#[test]
fn recorded_entries_are_what_their_authors_sign_and_this_version_packs() {
    assert_eq!(unpack_entries(&folder()).unwrap(), (96, true));
}
