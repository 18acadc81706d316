//! How fast records go in, beside a plain insert of the same rows into the same kind of file.
//!
//! `cargo run --release -p covey-store --example insert_rate [ROWS]`

use std::time::Instant;

use covey_store::{Store, StoreError, Unlock};
use covey_types::SpaceId;
use rusqlite::{Connection, params};

/// Records in one closure, where the plain insert has one transaction.
const ROWS_PER_CHANGE: [u32; 2] = [10_000, 1000];

const DOC: &str = r#"{"name":"runner bean","bed":7,"height":1.5,"done":false}"#;
const STATE: [u8; 12] = [7; 12];

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let rows: u32 = std::env::args().nth(1).map_or(Ok(1_000_000), |rows| rows.parse())?;
    for per_change in ROWS_PER_CHANGE {
        println!("{rows} rows, {per_change} in a commit");
        for (name, id) in [("ids in order", ordered as fn(u64) -> String), ("ids at random", random)] {
            let plain = plain(rows, per_change, id)?;
            let (store, mib) = store(rows, per_change, id)?;
            println!(
                "  {name:14} plain {:>7.0} rows/s   put_record {:>7.0} rows/s   {:.2} times the time   {mib} MiB",
                f64::from(rows) / plain,
                f64::from(rows) / store,
                store / plain
            );
        }
    }
    Ok(())
}

/// As UUIDs of version 7 are.
fn ordered(n: u64) -> String {
    uuid(n << 12, scramble(n))
}

fn random(n: u64) -> String {
    uuid(scramble(n), scramble(!n))
}

fn uuid(high: u64, low: u64) -> String {
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

/// The finaliser of SplitMix64: a permutation that looks random.
fn scramble(n: u64) -> u64 {
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

/// A table of the same columns with the same way to find a record, filled with one prepared statement.
/// Gives seconds.
fn plain(rows: u32, per_change: u32, id: fn(u64) -> String) -> Result<f64, Failure> {
    let dir = tempfile::tempdir()?;
    let conn = Connection::open(dir.path().join("plain.db"))?;
    conn.execute_batch(&format!(
        "PRAGMA key = \"x'{}'\"; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY;
         CREATE TABLE records(collection INTEGER NOT NULL, id TEXT NOT NULL, doc TEXT, state BLOB NOT NULL);
         CREATE UNIQUE INDEX records_by_id ON records(collection, id);",
        "ab".repeat(32)
    ))?;
    let started = Instant::now();
    let mut insert = conn.prepare("INSERT INTO records(collection, id, doc, state) VALUES(1, ?1, ?2, ?3)")?;
    for n in 0..rows {
        if n % per_change == 0 {
            conn.execute_batch(if n == 0 { "BEGIN" } else { "COMMIT; BEGIN" })?;
        }
        insert.execute(params![id(n.into()), DOC, &STATE[..]])?;
    }
    conn.execute_batch("COMMIT")?;
    Ok(started.elapsed().as_secs_f64())
}

/// Seconds, and the size on disk in MiB.
fn store(rows: u32, per_change: u32, id: fn(u64) -> String) -> Result<(f64, u64), Failure> {
    let dir = tempfile::tempdir()?;
    let store = Store::open(dir.path(), Unlock::KeyFile)?;
    let collection = store.write_blocking(|tx| {
        let space = tx.insert_space(SpaceId([1; 32]), b"")?;
        tx.ensure_collection(space, "plants")
    })?;
    let started = Instant::now();
    for first in (0..rows).step_by(per_change as usize) {
        let end = rows.min(first + per_change);
        store.write_blocking(move |tx| -> Result<(), StoreError> {
            for n in first..end {
                tx.put_record(collection, &id(n.into()), Some(DOC), &STATE)?;
            }
            Ok(())
        })?;
    }
    Ok((started.elapsed().as_secs_f64(), store.size_bytes() >> 20))
}
