//! Bytes on the wire per small record, between two machines of a LAN: in one entry each, and in bulk.
//!
//! Two levels are told. *UDP payload* is what both nodes send each other in datagrams, in both directions,
//! QUIC's own and acknowledgements included, less what they send when nothing happens (keep-alives). *On the
//! stream* is what the sync protocol says: the stored entries are packed again as a session packs them. The
//! kernel hands large sends over in one piece (UDP GSO), so packets can't be counted; with 28 bytes of IPv4
//! and UDP headers each, the figure for single records is told as IP bytes too, where each is a packet of its own.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use covey_lab::Lan;
use covey_log::{Entry, delta};
use covey_store::{Store, Unlock};
use covey_sync::framing;
use covey_types::Signature;

use crate::{
    Setting,
    nodes::longest_log,
    process::Traffic,
    remote::{Remote, myself},
    report::Figure,
};

/// What a small record may cost.
const GOAL: f64 = 200.0;

/// Between single records: long enough that nothing of two of them shares a packet.
const PAUSE: Duration = Duration::from_millis(60);

/// For late acknowledgements, once all is in sync.
const AFTERMATH: Duration = Duration::from_millis(500);

/// How long the traffic of a connection at rest is counted.
const IDLE: Duration = Duration::from_secs(12);

/// A's log begins with the space's founding and B's admission.
const MEMBERSHIP_ENTRIES: usize = 2;

/// Runs both.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Figure>> {
    let (single, bulk) = (setting.count(300, 20), setting.count(50_000, 2000));
    let Some(lan) = Lan::new(2)? else { return Ok(Vec::new()) };
    let program = myself()?;
    let node = |host: usize, name: &str| {
        let address = format!("10.77.0.{}", host + 1);
        Remote::start(lan.command(host, &program), &setting.work.join(name), name, &address)
    };
    let mut both = Both { ada: node(0, "ada")?, bob: node(1, "bob")? };
    both.ada.create()?;
    let link = both.ada.invite()?;
    both.bob.join(link)?;
    both.settle(0)?;
    let idle = both.count(|_| std::thread::sleep(if setting.quick { PAUSE } else { IDLE }))?;
    let ones = both.count_records(single, idle, |ada| ada.put(single, PAUSE).map(drop), single as u64)?;
    let all = (single + bulk) as u64;
    let many = both.count_records(bulk, idle, |ada| ada.import(bulk).map(drop), all)?;
    both.ada.stop()?;
    both.bob.stop()?;
    let stream = Stream::of(&setting.work.join("ada"), single, bulk)?;
    Ok(vec![
        Figure::new("one record live, UDP payload, both ways", ones.udp, "B")
            .below(GOAL)
            .beside("on the stream", stream.single),
        Figure::new("one record live, IP bytes, both ways", ones.ip, "B")
            .beside("on the stream", stream.single),
        Figure::new("one record live, UDP payload, A to B", ones.udp_there, "B")
            .beside("on the stream", stream.single),
        Figure::new("one record live, on the stream, A to B", stream.single, "B").below(GOAL),
        Figure::new("one record in bulk, UDP payload, both ways", many.udp, "B")
            .below(GOAL)
            .beside("on the stream", stream.bulk),
        Figure::new("one record in bulk, on the stream, A to B", stream.bulk, "B").below(GOAL),
        Figure::new("a connection at rest, UDP payload, both ways", idle.udp, "B/s"),
    ])
}

struct Both {
    ada: Remote,
    bob: Remote,
}

/// Bytes per record, or per second.
#[derive(Debug, Clone, Copy)]
struct Cost {
    udp: f64,
    udp_there: f64,
    ip: f64,
}

impl Cost {
    fn of(there: Traffic, back: Traffic) -> Self {
        Self {
            udp: there.payload() + back.payload(),
            udp_there: there.payload(),
            ip: there.ip_bytes + back.ip_bytes,
        }
    }

    fn each(&self, other: &Self, what: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            udp: what(self.udp, other.udp),
            udp_there: what(self.udp_there, other.udp_there),
            ip: what(self.ip, other.ip),
        }
    }
}

impl Both {
    fn settle(&mut self, records: u64) -> Result<()> {
        self.ada.settle(records)?;
        self.bob.settle(records)?;
        std::thread::sleep(AFTERMATH);
        Ok(())
    }

    fn traffic(&mut self) -> Result<(Traffic, Traffic)> {
        Ok((self.ada.traffic()?, self.bob.traffic()?))
    }

    /// The bytes per second while something happens.
    fn count(&mut self, happens: impl FnOnce(&mut Self)) -> Result<Cost> {
        let started = std::time::Instant::now();
        let before = self.traffic()?;
        happens(self);
        let after = self.traffic()?;
        let seconds = started.elapsed().as_secs_f64();
        let total = Cost::of(after.0.since(before.0), after.1.since(before.1));
        Ok(total.each(&total, |bytes, _| bytes / seconds))
    }

    /// The bytes per record of what A writes, less what flows at rest.
    fn count_records(
        &mut self,
        records: usize,
        idle: Cost,
        write: impl FnOnce(&mut Remote) -> Result<()>,
        then: u64,
    ) -> Result<Cost> {
        let started = std::time::Instant::now();
        let before = self.traffic()?;
        write(&mut self.ada)?;
        self.settle(then)?;
        let after = self.traffic()?;
        let seconds = started.elapsed().as_secs_f64();
        let total = Cost::of(after.0.since(before.0), after.1.since(before.1));
        #[expect(clippy::cast_precision_loss, reason = "at most a million")]
        let records = records as f64;
        Ok(total.each(&idle, |bytes, idle| (bytes - idle * seconds) / records))
    }
}

/// Bytes per record as the sync protocol says them.
struct Stream {
    single: f64,
    bulk: f64,
}

impl Stream {
    /// Packs the entries in a home again: first the single ones, then those of the bulk.
    fn of(home: &Path, single: usize, bulk: usize) -> Result<Self> {
        let store = Store::open(home, Unlock::KeyFile)?;
        let packed = store.read_blocking(|reader| {
            let (space, log) = longest_log(reader)?;
            let mut context = delta::Context::new(space.id, log.id);
            let mut packed = Vec::new();
            for row in reader.entries(log.key, 1, usize::MAX, usize::MAX)? {
                let mut out = Vec::new();
                let entry = Entry::decode(&row.header, Signature(row.signature), &row.body);
                context.encode(&entry.expect("the store keeps whole entries"), &mut out);
                packed.push(out);
            }
            Ok(packed)
        })?;
        store.close()?;
        // Each in a frame of its own: length, kind, space, log.
        let size = |packed: &Vec<u8>| framing::frame(packed).len() + 3;
        let entries = packed.get(MEMBERSHIP_ENTRIES..).context("the log is too short")?;
        let (ones, rest) = entries.split_at_checked(single).context("the log is too short")?;
        #[expect(clippy::cast_precision_loss, reason = "at most some MiB")]
        let per = |entries: &[Vec<u8>], records: usize| {
            entries.iter().map(size).sum::<usize>() as f64 / records as f64
        };
        Ok(Self { single: per(ones, single), bulk: per(rest, bulk) })
    }
}
