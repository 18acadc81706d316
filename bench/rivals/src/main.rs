//! What other libraries take for the work that Covey's benchmarks do: records made at A, brought to an empty B, and a
//! few of them changed.
//!
//! `covey-rivals automerge|loro RECORDS CHANGED` does it in one process and in memory, with neither network nor
//! encryption nor disk, and prints one line of JSON. One process per library, so that the peak of memory is its own.

use std::{ops::Range, time::Instant};

use anyhow::{Context, Result, bail};
use automerge::{
    AutoCommit, ObjType, ROOT, ReadDoc,
    sync::{State, SyncDoc},
    transaction::Transactable,
};
use loro::{ExportMode, LoroDoc};
use serde_json::{Value, json};

/// The container of all records.
const RECORDS: &str = "records";

/// Records that are written as one change: as many as stand in an entry of Covey's bulk writes.
const TRANSACTION: usize = 1000;

/// A replicated document that holds records of four fields.
trait Rival: Sized {
    fn empty() -> Result<Self>;
    /// Makes records, or changes those that are there, as one transaction.
    fn write(&mut self, records: Range<usize>, round: u64) -> Result<()>;
    /// Brings what it has to the other; the bytes that were sent both ways.
    fn sync(&mut self, other: &mut Self) -> Result<usize>;
    /// As bytes for a file.
    fn save(&mut self) -> Result<Vec<u8>>;
    fn count(&mut self) -> usize;
}

struct Automerge {
    doc: AutoCommit,
    /// What is known of the other end.
    state: State,
}

impl Rival for Automerge {
    fn empty() -> Result<Self> {
        Ok(Self { doc: AutoCommit::new(), state: State::new() })
    }

    fn write(&mut self, records: Range<usize>, round: u64) -> Result<()> {
        let all = match self.doc.get(ROOT, RECORDS)? {
            Some((_, all)) => all,
            None => self.doc.put_object(ROOT, RECORDS, ObjType::Map)?,
        };
        for n in records {
            let id = format!("{n:08}");
            let record = match self.doc.get(&all, id.as_str())? {
                Some((_, record)) => record,
                None => self.doc.put_object(&all, id.as_str(), ObjType::Map)?,
            };
            let (name, bed, note, done) = fields(n, round);
            self.doc.put(&record, "name", name)?;
            self.doc.put(&record, "bed", bed)?;
            self.doc.put(&record, "note", note)?;
            self.doc.put(&record, "done", done)?;
        }
        self.doc.commit();
        Ok(())
    }

    fn sync(&mut self, other: &mut Self) -> Result<usize> {
        let mut bytes = 0;
        loop {
            let there = self.doc.sync().generate_sync_message(&mut self.state);
            let nothing_there = there.is_none();
            if let Some(message) = there {
                let sent = message.encode();
                bytes += sent.len();
                let message = automerge::sync::Message::decode(&sent)?;
                other.doc.sync().receive_sync_message(&mut other.state, message)?;
            }
            let back = other.doc.sync().generate_sync_message(&mut other.state);
            match back {
                Some(message) => {
                    let sent = message.encode();
                    bytes += sent.len();
                    let message = automerge::sync::Message::decode(&sent)?;
                    self.doc.sync().receive_sync_message(&mut self.state, message)?;
                }
                None if nothing_there => return Ok(bytes),
                None => {}
            }
        }
    }

    fn save(&mut self) -> Result<Vec<u8>> {
        Ok(self.doc.save())
    }

    fn count(&mut self) -> usize {
        let all = self.doc.get(ROOT, RECORDS).ok().flatten();
        all.map_or(0, |(_, all)| self.doc.length(all))
    }
}

struct Loro(LoroDoc);

impl Rival for Loro {
    fn empty() -> Result<Self> {
        Ok(Self(LoroDoc::new()))
    }

    fn write(&mut self, records: Range<usize>, round: u64) -> Result<()> {
        let all = self.0.get_map(RECORDS);
        for n in records {
            let record = all.ensure_mergeable_map(&format!("{n:08}"))?;
            let (name, bed, note, done) = fields(n, round);
            record.insert("name", name)?;
            record.insert("bed", bed)?;
            record.insert("note", note)?;
            record.insert("done", done)?;
        }
        self.0.commit();
        Ok(())
    }

    fn sync(&mut self, other: &mut Self) -> Result<usize> {
        let known = other.0.oplog_vv();
        let sent = self.0.export(ExportMode::updates(&known))?;
        other.0.import(&sent)?;
        Ok(known.encode().len() + sent.len())
    }

    fn save(&mut self) -> Result<Vec<u8>> {
        Ok(self.0.export(ExportMode::Snapshot)?)
    }

    fn count(&mut self) -> usize {
        self.0.get_map(RECORDS).len()
    }
}

/// The values of a record: they don't follow from those of the one before. The same as in Covey's benchmark.
fn fields(n: usize, round: u64) -> (String, i64, String, bool) {
    let noise = scramble(n as u64 ^ round << 40);
    (
        format!("plant {}", noise >> 40),
        (noise % 1000) as i64,
        format!("note {:08x}", noise as u32),
        noise & 1 == 1,
    )
}

/// The finaliser of SplitMix64: a permutation that looks random.
fn scramble(n: u64) -> u64 {
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

fn measure<R: Rival>(records: usize, changed: usize) -> Result<Value> {
    let (mut a, mut b) = (R::empty()?, R::empty()?);
    let started = Instant::now();
    for first in (0..records).step_by(TRANSACTION) {
        a.write(first..records.min(first + TRANSACTION), 0)?;
    }
    let make_s = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let sync_bytes = a.sync(&mut b)?;
    let sync_s = started.elapsed().as_secs_f64();
    if b.count() != records {
        bail!("{} of {records} records arrived", b.count());
    }
    let peak_mib = peak_mib()?;
    let file_bytes = b.save()?.len();
    a.write(0..changed, 1)?;
    let started = Instant::now();
    let delta_bytes = a.sync(&mut b)?;
    let delta_ms = started.elapsed().as_secs_f64() * 1000.0;
    Ok(json!({
        "make_s": make_s, "sync_s": sync_s, "sync_bytes": sync_bytes, "peak_mib": peak_mib, "file_bytes": file_bytes,
        "delta_bytes": delta_bytes, "delta_ms": delta_ms,
    }))
}

/// The most memory that this process has used.
fn peak_mib() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the kernel tells no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [which, records, changed] = arguments.as_slice() else {
        bail!("usage: covey-rivals automerge|loro RECORDS CHANGED");
    };
    let (records, changed) = (records.parse()?, changed.parse()?);
    let found = match which.as_str() {
        "automerge" => measure::<Automerge>(records, changed)?,
        "loro" => measure::<Loro>(records, changed)?,
        other => bail!("{other:?} is not measured; there are automerge and loro"),
    };
    println!("{found}");
    Ok(())
}
