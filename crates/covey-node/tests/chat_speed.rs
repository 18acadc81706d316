//! How long it takes to open a channel, to page through it and to search it when it is large. Not a part of the usual
//! tests: `COVEY_CHAT_MESSAGES=1000000 cargo nextest run --workspace --release --run-ignored only --test chat_speed`.
#![allow(clippy::unwrap_used, reason = "a test stops where it stands")]

mod common;

use std::time::{Duration, Instant};

use common::config;
use covey_node::{
    NetworkMode, Node,
    chat::{NewMessage, Wanted},
};

/// How many different words there are: what a team comes to use.
const WORDS: u64 = 30_000;

/// A word: low numbers are frequent.
fn word(n: u64) -> String {
    const PARTS: [&str; 16] =
        ["ba", "den", "fro", "gra", "hum", "ke", "li", "mo", "no", "pa", "ro", "se", "ta", "us", "wi", "yo"];
    let mut word = String::new();
    let mut rest = n + 16;
    while rest > 0 {
        word.push_str(PARTS[(rest % 16) as usize]);
        rest /= 16;
    }
    word
}

/// A number that looks like chance, the same each time.
fn dice(seed: u64) -> u64 {
    let mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 16
}

/// What message `n` says: eight words, frequent ones more often.
fn text(n: u64) -> String {
    let one = |i: u64| {
        let bound = WORDS >> (dice(n * 8 + i) % 12);
        word(dice(n * 8 + i + 1_000_000_007) % bound.max(1))
    };
    (0..8).map(one).collect::<Vec<_>>().join(" ")
}

async fn timed<T>(what: &str, work: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    let done = work.await;
    let took = start.elapsed();
    println!("{what}: {:.1} ms", took.as_secs_f64() * 1000.0);
    (done, took)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long, and measures"]
async fn a_large_channel_opens_and_is_searched_at_once() {
    let count: usize = std::env::var("COVEY_CHAT_MESSAGES").map_or(100_000, |n| n.parse().unwrap());
    let home = tempfile::tempdir().unwrap();
    let mut config = config(&home.path().join("ada"), "ada");
    config.network = NetworkMode::Solo;
    let node = Node::open(config).await.unwrap();
    let space = node.create_space("garden").await.unwrap();
    let chat = space.chat();
    let channel = chat.create_channel("beds", false, "").await.unwrap().id;
    let tag = channel.split('.').next().unwrap().to_owned();
    let row = |n: usize| {
        let rare = if n.is_multiple_of(10_000) { " heirloom" } else { "" };
        let text = format!("{}{rare}", text(n as u64));
        (Some(format!("{tag}.{n:016}")), format!(r#"{{"in":"{channel}","text":"{text}"}}"#))
    };
    let messages = space.collection("own.chat.messages").unwrap();
    let start = Instant::now();
    for first in (0..count).step_by(10_000) {
        let rows = (first..count.min(first + 10_000)).map(row).collect();
        messages.put_many(rows).await.unwrap();
    }
    let rate = count as u128 * 1000 / start.elapsed().as_millis().max(1);
    println!("{count} messages written: {rate} per second");
    timed("warm", chat.page("beds", None, Wanted::Newest, 50)).await.0.unwrap();
    let (page, opening) = timed("open the channel", chat.page("beds", None, Wanted::Newest, 50)).await;
    let before = page.unwrap().before.unwrap();
    let (_, paging) = timed("one page further", chat.page("beds", None, Wanted::Before(before), 50)).await;
    let (_, listing) = timed("list the channels", chat.channels()).await;
    let mut searching = Duration::ZERO;
    let (frequent, other, rare) = (word(0), word(1), word(WORDS / 2));
    let both = format!("{frequent} {other}");
    let begun = format!("{other} {}", &rare[..3]);
    for words in ["heirloom", "he", &frequent, &both, &rare, &rare[..4], &begun] {
        let (found, took) = timed(&format!("search {words:?}"), chat.search(words, None, None, 50)).await;
        assert!(!found.unwrap().items.is_empty());
        searching = searching.max(took);
    }
    let mut sends = Vec::new();
    for n in 0..50 {
        let new = NewMessage { text: format!("live {n}"), ..NewMessage::default() };
        let start = Instant::now();
        chat.send("beds", new).await.unwrap();
        sends.push(start.elapsed());
    }
    sends.sort();
    println!("send: p50 {:?}, p95 {:?}", sends[25], sends[47]);
    assert!(
        opening < Duration::from_millis(100) && paging < Duration::from_millis(100),
        "{opening:?} {paging:?}"
    );
    assert!(listing < Duration::from_millis(100), "{listing:?}");
    assert!(searching < Duration::from_millis(50), "{searching:?}");
    node.shutdown().await;
}
