//! A disk that is full: nothing that was acknowledged is lost, and nothing needs repair afterwards.

use std::{fs, path::Path, process::Command};

use covey_node::{Collection, Node, NodeError};

use crate::common::config;

const CHILD: &str = "COVEY_TEST_SMALL_DISK";
const NAME: &str = "disk::a_full_disk_loses_nothing_and_is_written_to_again_once_there_is_room";

/// Runs itself in a mount namespace of its own, so that the small disk goes away with the process.
#[test]
fn a_full_disk_loses_nothing_and_is_written_to_again_once_there_is_room() {
    if let Some(disk) = std::env::var_os(CHILD) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(fill(disk.as_ref()));
    }
    let dir = tempfile::tempdir().unwrap();
    let done = Command::new("unshare")
        .args(["--mount", "sh", "-c", r#"mount -t tmpfs -o size=40m none "$0" || exit 77; exec "$@""#])
        .arg(dir.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(CHILD, dir.path())
        .output();
    match done {
        Ok(done) if done.status.success() => {
            assert!(String::from_utf8_lossy(&done.stdout).contains("filled and freed"));
        }
        Ok(done) if done.status.code() == Some(101) => panic!("{}", String::from_utf8_lossy(&done.stderr)),
        other => eprintln!("SKIPPED: no mount namespace to make a small disk in ({other:?})"),
    }
}

/// Random text: what compresses would take long to fill a disk.
fn document(n: u32) -> String {
    let noise: String = (0..1500)
        .map(|_| format!("{:016x}", u64::from_le_bytes(covey_types::keys::random_bytes())))
        .collect();
    format!(r#"{{"n":{n},"noise":"{noise}"}}"#)
}

async fn put(plants: &Collection, n: u32) -> Result<(), NodeError> {
    plants.put(Some(&format!("p{n:06}")), &document(n)).await.map(drop)
}

/// Exactly the first `acknowledged` records are there, whole.
async fn holds_all(plants: &Collection, acknowledged: u32) {
    let rows = plants.query(None, None, 100_000).await.unwrap();
    assert_eq!(rows.len(), acknowledged as usize);
    for (n, (id, doc)) in rows.iter().enumerate() {
        assert_eq!(*id, format!("p{n:06}"));
        assert!(doc.contains(&format!(r#""n":{n},"#)) && doc.len() > 24_000, "{id}");
    }
}

async fn fill(disk: &Path) {
    let (ballast, home) = (disk.join("ballast"), disk.join("home"));
    // What is freed later has to hold what the write-ahead log (16 MiB, then it's carried over) still owes the
    // database, and some more.
    fs::write(&ballast, vec![0; 16 << 20]).unwrap();
    let ada = Node::open(config(&home, "ada")).await.unwrap();
    let garden = ada.create_space("garden").await.unwrap();
    let plants = garden.collection("plants").unwrap();
    let mut acknowledged = 0;
    let failure = loop {
        match put(&plants, acknowledged).await {
            Ok(()) => acknowledged += 1,
            Err(err) => break err,
        }
        assert!(acknowledged < 2000, "the disk never filled up");
    };
    assert!(matches!(failure, NodeError::DiskFull { .. }), "{failure:?}");
    assert!(failure.to_string().contains("free some room"), "{failure}");
    assert!(acknowledged > 10, "only {acknowledged} fitted");
    for _ in 0..3 {
        assert!(matches!(put(&plants, acknowledged).await, Err(NodeError::DiskFull { .. })));
    }
    holds_all(&plants, acknowledged).await;

    fs::remove_file(&ballast).unwrap();
    for _ in 0..50 {
        put(&plants, acknowledged).await.unwrap();
        acknowledged += 1;
    }
    holds_all(&plants, acknowledged).await;
    let entries = garden.status().await.unwrap().entries;
    assert_eq!(entries, u64::from(acknowledged) + 1, "no place in the log was left out or used twice");
    ada.shutdown().await;

    let ada = Node::open(config(&home, "ada")).await.unwrap();
    let garden = ada.space("garden").unwrap();
    assert_eq!(garden.status().await.unwrap().entries, entries);
    holds_all(&garden.collection("plants").unwrap(), acknowledged).await;
    put(&garden.collection("plants").unwrap(), acknowledged).await.unwrap();
    ada.shutdown().await;
    println!("filled and freed");
}
