//! A thousand small records from one node to another: live, and after an absence.
//!
//! The clock stops when the other's watcher has been given all of them. Beside it: the same rows put into two plain
//! databases one after the other, which is what both disks have to do. All are measured in turns.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{
    Setting,
    nodes::{self, COLLECTION, Pair, document, see},
    report::Figure,
    runtime,
    samples::Samples,
    sqlcipher::Plain,
};

const RECORDS: usize = 1000;

/// Runs both ways, and the one where each record is an entry of its own.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Figure>> {
    let rounds = setting.count(9, 2);
    let plain = Plain::new(&setting.work, "plain.db")?;
    let (mut limit, mut bulk, mut single) = (Samples::default(), Samples::default(), Samples::default());
    let (mut connected, mut opened) = (Samples::default(), Samples::default());
    runtime()?.block_on(async {
        let mut pair = Pair::new(&setting.work).await?;
        live(&pair, 0).await?; // warms up
        for round in 0..rounds {
            limit.push_ms(plain.insert(round * RECORDS, RECORDS)? * 2);
            bulk.push_ms(live(&pair, round).await?);
            single.push_ms(one_by_one(&pair, round).await?);
            let (total, from_connection) = absence(&mut pair, setting, round).await?;
            opened.push(total);
            connected.push(from_connection);
        }
        pair.close().await;
        let plainly = "two plain SQLCipher inserts";
        Ok(vec![
            Figure::new("1000 small records, A to B live, put at once", bulk.median(), "ms")
                .beside(plainly, limit.median())
                .below(20.0)
                .sampled(&bulk),
            Figure::new("1000 small records, A to B live, 1000 puts at a time", single.median(), "ms")
                .beside(plainly, limit.median())
                .sampled(&single),
            Figure::new("1000 small records, B was off, from the connection", connected.median(), "ms")
                .beside(plainly, limit.median())
                .below(20.0)
                .sampled(&connected),
            Figure::new("1000 small records, B was off, from its start", opened.median(), "ms")
                .sampled(&opened),
        ])
    })
}

/// From the start of one `put_many` to the last change seen.
async fn live(pair: &Pair, round: usize) -> Result<Duration> {
    let plants = pair.garden.collection(COLLECTION)?;
    let mut watch = pair.shared.watch(Some(COLLECTION.into()), None);
    let rows = nodes::rows(round * RECORDS, RECORDS);
    let started = Instant::now();
    let (put, seen) = tokio::join!(plants.put_many(rows), see(&mut watch, RECORDS));
    put?;
    seen?;
    Ok(started.elapsed())
}

/// The same with a thousand puts under way at a time, each an entry of its own.
async fn one_by_one(pair: &Pair, round: usize) -> Result<Duration> {
    let plants = pair.garden.collection(COLLECTION)?;
    let mut watch = pair.shared.watch(Some(COLLECTION.into()), None);
    let started = Instant::now();
    let mut puts = tokio::task::JoinSet::new();
    for n in 0..RECORDS {
        let plants = plants.clone();
        puts.spawn(async move { plants.put(None, &document(round * RECORDS + n)).await });
    }
    see(&mut watch, RECORDS).await?;
    let took = started.elapsed();
    while let Some(put) = puts.join_next().await {
        put??;
    }
    Ok(took)
}

/// B goes, A writes, B comes back: milliseconds from B's start, and from the connection, to the last change seen.
async fn absence(pair: &mut Pair, setting: &Setting, round: usize) -> Result<(f64, f64)> {
    let before = nodes::records(&pair.shared).await?;
    pair.bob.shutdown().await;
    pair.garden.collection(COLLECTION)?.put_many(nodes::rows(round * RECORDS, RECORDS)).await?;
    let started = Instant::now();
    pair.bob = nodes::open(&setting.work, "bob").await?;
    let mut events = pair.bob.events();
    pair.shared = pair.bob.space("garden")?;
    let since = pair.shared.position();
    let arrived = nodes::records(&pair.shared).await? - before;
    let mut watch = pair.shared.watch(Some(COLLECTION.into()), Some(since));
    let missing = RECORDS - usize::try_from(arrived)?;
    let (connected, seen) = tokio::join!(nodes::connection(&pair.bob, &mut events), see(&mut watch, missing));
    let (connected, end) = (connected?, Instant::now());
    seen?;
    let ms = |from: Instant| end.duration_since(from).as_secs_f64() * 1000.0;
    Ok((ms(started), ms(connected)))
}
