//! One record, from the call of `put` on A to the change that B's watcher is given.
//!
//! Beside it the floor: A's disk, the way there, B's disk. Both sides make the change durable before they show
//! it, so it can't be faster than two commits of a plain database and half a round trip of a bare stream. Floor and
//! figure take turns with every record, so that both see the same machine: a loop of one of them alone is treated
//! otherwise by a busy scheduler than one that often waits.

use std::time::Instant;

use anyhow::{Result, ensure};
use covey_node::Watch;

use crate::{
    Setting,
    nodes::{COLLECTION, Pair, document},
    raw::{Echo, Link},
    report::Figure,
    runtime,
    samples::Samples,
    sqlcipher::Plain,
};

/// Puts before the clock starts.
const WARM_UP: usize = 100;

/// All that is measured, in milliseconds.
#[derive(Default)]
struct Found {
    visible: Samples,
    stored: Samples,
    trips: Samples,
    commits: Samples,
    floor: Samples,
}

/// Runs it, and its floor.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Figure>> {
    let times = setting.count(1000, 50);
    let plain = Plain::new(&setting.work, "plain.db")?;
    let mut found = Found::default();
    runtime()?.block_on(async {
        let mut link = Link::new().await?;
        let mut echo = link.echo().await?;
        let pair = Pair::new(&setting.work).await?;
        let mut watch = pair.shared.watch(Some(COLLECTION.into()), None);
        for n in 0..WARM_UP + times {
            if n == WARM_UP {
                found = Found::default();
            }
            floor(&plain, &mut echo, n, &mut found).await?;
            live(&pair, &mut watch, n, &mut found).await?;
        }
        link.close().await;
        pair.close().await;
        anyhow::Ok(())
    })?;
    Ok(found.figures())
}

impl Found {
    fn figures(&self) -> Vec<Figure> {
        let named = "2 plain commits + 1/2 round trip";
        vec![
            Figure::new("one record, put on A to visible on B, p50", self.visible.median(), "ms")
                .beside(named, self.floor.median())
                .sampled(&self.visible),
            Figure::new("one record, put on A to visible on B, p95", self.visible.percentile(0.95), "ms")
                .beside(named, self.floor.percentile(0.95))
                .below(10.0),
            Figure::new("one record, put on A to durable on A, p50", self.stored.median(), "ms")
                .beside("1 plain commit", self.commits.median())
                .sampled(&self.stored),
            Figure::new("bare stream, round trip of 128 B, p50", self.trips.median(), "ms")
                .sampled(&self.trips),
            Figure::new("plain SQLCipher commit of one row, p50", self.commits.median(), "ms")
                .sampled(&self.commits),
        ]
    }
}

/// What can't be avoided for one record.
async fn floor(plain: &Plain, echo: &mut Echo, n: usize, found: &mut Found) -> Result<()> {
    let (here, there) = (plain.commit(2 * n)?, plain.commit(2 * n + 1)?);
    let trip = echo.ping().await?;
    found.floor.push_ms(here + there + trip / 2);
    found.commits.push_ms(here);
    found.commits.push_ms(there);
    found.trips.push_ms(trip);
    Ok(())
}

/// One put: until it was visible on B, and until A said that it was on disk.
async fn live(pair: &Pair, watch: &mut Watch, n: usize, found: &mut Found) -> Result<()> {
    let plants = pair.garden.collection(COLLECTION)?;
    let doc = document(n);
    let started = Instant::now();
    let put = async {
        let put = plants.put(None, &doc).await;
        (put, started.elapsed())
    };
    let seen = async {
        let change = watch.next().await;
        (change, started.elapsed())
    };
    let ((put, here), (change, there)) = tokio::join!(put, seen);
    ensure!(put?.id == change?.id, "another change than the one that was made");
    found.stored.push_ms(here);
    found.visible.push_ms(there);
    Ok(())
}
