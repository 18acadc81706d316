//! A node on a disk that is full: it starts again, and is found.

use std::{fs, io::Write, path::Path, process::Command, time::Instant};

use crate::support::{Home, PATIENCE, api_file};

const CHILD: &str = "COVEY_TEST_SMALL_DISK";
const NAME: &str = "disk::a_node_starts_again_on_a_full_disk_and_is_found_once_there_is_room";

/// Runs itself in a mount namespace of its own, so that the small disk goes away with the process.
#[test]
fn a_node_starts_again_on_a_full_disk_and_is_found_once_there_is_room() {
    if let Some(disk) = std::env::var_os(CHILD) {
        return restart(disk.as_ref());
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
            assert!(String::from_utf8_lossy(&done.stdout).contains("started on a full disk"));
        }
        Ok(done) if done.status.code() == Some(101) => panic!("{}", String::from_utf8_lossy(&done.stderr)),
        other => eprintln!("SKIPPED: no mount namespace to make a small disk in ({other:?})"),
    }
}

/// Writes until nothing more fits.
fn fill(file: &Path) {
    let mut file = fs::File::create(file).unwrap();
    while file.write_all(&[7; 4096]).is_ok() {}
}

fn restart(disk: &Path) {
    let (home, ballast) = (Home::inside(disk), disk.join("ballast"));
    let mut node = home.up();
    home.ok(&["space", "create", "garden"]);
    home.ok(&["record", "put", "garden", "plants", "--id", "bean", "{}"]);

    // Killed, it leaves its file behind: that one is written anew, in the room that it has.
    node.child.kill().unwrap();
    node.child.wait().unwrap();
    drop(node);
    fill(&ballast);
    let mut node = home.up();
    assert_eq!(api_file(&home.path())["pid"], node.child.id());
    home.ok(&["record", "get", "garden", "plants", "bean"]);

    // Without one it starts all the same, and is found when there is room.
    node.child.kill().unwrap();
    node.child.wait().unwrap();
    drop(node);
    let file = home.path().join("api.json");
    fs::remove_file(&file).unwrap();
    fill(&disk.join("more ballast"));
    let node = home.up();
    assert!(fs::metadata(&file).is_err());
    home.fails(3, &["status"]);
    fs::remove_file(&ballast).unwrap();
    let started = Instant::now();
    while !file.exists() {
        assert!(started.elapsed() < PATIENCE, "the file never comes");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    home.ok(&["record", "get", "garden", "plants", "bean"]);
    assert_eq!(node.stop().code(), Some(0));
    println!("started on a full disk");
}
