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

/// Words that messages are made of: some in each, some rare.
const WORDS: [&str; 8] = ["bean", "bed", "water", "frost", "seed", "compost", "row", "glass"];

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
        let (a, b) = (WORDS[n % 8], WORDS[n / 8 % 8]);
        let rare = if n.is_multiple_of(10_000) { " heirloom" } else { "" };
        let text = format!("the {a} and the {b} number{n}{rare}");
        (Some(format!("{tag}.{n:016}")), format!(r#"{{"in":"{channel}","text":"{text}"}}"#))
    };
    let messages = space.collection("own.chat.messages").unwrap();
    let start = Instant::now();
    for first in (0..count).step_by(10_000) {
        let rows = (first..count.min(first + 10_000)).map(row).collect();
        messages.put_many(rows).await.unwrap();
    }
    println!("{count} messages written: {:.0} per second", count as f64 / start.elapsed().as_secs_f64());
    timed("warm", chat.page("beds", None, Wanted::Newest, 50)).await.0.unwrap();
    let (page, opening) = timed("open the channel", chat.page("beds", None, Wanted::Newest, 50)).await;
    let before = page.unwrap().before.unwrap();
    let (_, paging) = timed("one page further", chat.page("beds", None, Wanted::Before(before), 50)).await;
    let (_, listing) = timed("list the channels", chat.channels()).await;
    let mut searching = Duration::ZERO;
    for words in ["heirloom", "bean", "bean frost", "number77", "numb", "glass wat"] {
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
