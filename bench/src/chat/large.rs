//! A channel of a hundred thousand messages, opened and paged through; and a million messages searched.
//!
//! The words come about as often as words do: some in most messages, most in few. What is measured is what the node does for
//! a page that shows a channel; the figures beside it are those of the same channel while it was small.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use covey_node::{
    Chat, Collection, NetworkMode, Node,
    chat::{NewMessage, Wanted},
};

use crate::{Setting, nodes::config, report::Figure, runtime, samples::Samples};

/// How many different words there are: what a team comes to use.
const WORDS: u64 = 30_000;

/// Messages that are written together.
const BATCH: usize = 10_000;

/// Messages on a page.
const PAGE: usize = 50;

/// How often each thing is done.
const TIMES: usize = 20;

/// Messages of a small channel.
const FEW: usize = 100;

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

/// What message `n` says: eight words, frequent ones more often; and a rare one in each ten thousandth.
fn text(n: usize) -> String {
    let number = n as u64;
    let one = |i: u64| {
        let bound = WORDS >> (dice(number * 8 + i) % 12);
        word(dice(number * 8 + i + 1_000_000_007) % bound.max(1))
    };
    let mut words: Vec<String> = (0..8).map(one).collect();
    if n.is_multiple_of(BATCH) {
        words.push("heirloom".into());
    }
    words.join(" ")
}

/// A word that few messages have: the longest of one of them.
fn rare() -> String {
    let words = text(1);
    words.split(' ').max_by_key(|word| word.len()).unwrap_or_default().to_owned()
}

/// A channel that is filled with messages as its sender's device would have written them.
struct Filled {
    chat: Chat,
    messages: Collection,
    channel: String,
    count: usize,
}

impl Filled {
    async fn new(node: &Node) -> Result<Self> {
        let space = node.create_space("garden").await?;
        let chat = space.chat();
        let channel = chat.create_channel("beds", false, "").await?.id;
        Ok(Self { chat, messages: space.collection("own.chat.messages")?, channel, count: 0 })
    }

    async fn fill(&mut self, count: usize) -> Result<()> {
        let tag = self.channel.split('.').next().context("a channel's id begins with its maker's tag")?;
        let channel = &self.channel;
        let row = |n: usize| {
            let doc = format!(r#"{{"in":"{channel}","text":"{}"}}"#, text(n));
            (Some(format!("{tag}.{n:016}")), doc)
        };
        while self.count < count {
            let upto = count.min(self.count + BATCH);
            self.messages.put_many((self.count..upto).map(row).collect()).await?;
            self.count = upto;
        }
        Ok(())
    }

    /// Opens the channel again and again, each time at its end and then one page further.
    async fn open(&self) -> Result<(Samples, Samples)> {
        let (mut opened, mut paged) = (Samples::default(), Samples::default());
        for n in 0..=TIMES {
            let started = Instant::now();
            self.chat.channel("beds").await?;
            let page = self.chat.page("beds", None, Wanted::Newest, PAGE).await?;
            let opening = started.elapsed();
            ensure!(page.items.len() == PAGE, "a page of {} messages", page.items.len());
            let before = page.before.context("there is no page before")?;
            let started = Instant::now();
            self.chat.page("beds", None, Wanted::Before(before), PAGE).await?;
            // The first time nothing is in memory yet.
            if n > 0 {
                opened.push_ms(opening);
                paged.push_ms(started.elapsed());
            }
        }
        Ok((opened, paged))
    }

    /// Searches for words of all kinds; the slowest of them, with its samples.
    async fn search(&self) -> Result<(String, Samples)> {
        let (frequent, other, rare) = (word(0), word(1), rare());
        let both = format!("{frequent} {other}");
        let begun = format!("{other} {}", &rare[..3]);
        let mut slowest = (String::new(), Samples::default());
        for words in ["heirloom", "he", &frequent, &both, &rare, &rare[..4], &begun] {
            let mut took = Samples::default();
            for _ in 0..TIMES {
                let started = Instant::now();
                let found = self.chat.search(words, None, None, PAGE).await?;
                took.push_ms(started.elapsed());
                ensure!(!found.items.is_empty(), "nothing was found for {words:?}");
            }
            if slowest.1.all().is_empty() || took.percentile(0.95) > slowest.1.percentile(0.95) {
                slowest = (words.to_owned(), took);
            }
        }
        Ok(slowest)
    }

    async fn send(&self, times: usize) -> Result<Samples> {
        let mut took = Samples::default();
        for n in 0..times {
            let new = NewMessage { text: format!("live {n}"), ..NewMessage::default() };
            let started = Instant::now();
            self.chat.send("beds", new).await?;
            took.push_ms(started.elapsed());
        }
        Ok(took)
    }
}

/// Runs it.
pub(super) fn run(setting: &Setting) -> Result<Vec<Figure>> {
    let (many, all) = (setting.count(100_000, 2000), setting.count(1_000_000, 20_000));
    let mut config = config(&setting.work.join("large"), "ada", "127.0.0.1");
    config.network = NetworkMode::Solo;
    runtime()?.block_on(async {
        let node = Node::open(config).await?;
        let mut filled = Filled::new(&node).await?;
        filled.fill(FEW).await?;
        let (small, _) = filled.open().await?;
        filled.fill(many).await?;
        let (opened, paged) = filled.open().await?;
        let started = Instant::now();
        filled.fill(all).await?;
        let filling = started.elapsed();
        let (words, searched) = filled.search().await?;
        let (largest, _) = filled.open().await?;
        let sent = filled.send(setting.count(200, 20)).await?;
        node.shutdown().await;
        let beside = format!("the same of {FEW} messages");
        Ok(vec![
            Figure::new(format!("open a channel of {many} messages, p95"), opened.percentile(0.95), "ms")
                .beside(&beside, small.percentile(0.95))
                .below(100.0)
                .sampled(&opened),
            Figure::new("  one page further, p95", paged.percentile(0.95), "ms").below(100.0).sampled(&paged),
            Figure::new(format!("open a channel of {all} messages, p95"), largest.percentile(0.95), "ms")
                .beside(beside, small.percentile(0.95)),
            Figure::new(
                format!("search {all} messages, the slowest words ({words:?}), p95"),
                searched.percentile(0.95),
                "ms",
            )
            .below(50.0)
            .sampled(&searched),
            Figure::new(format!("send one beside {all} others, p95"), sent.percentile(0.95), "ms")
                .sampled(&sent),
            Figure::new(
                "messages taken in, with all that is kept of them",
                rate(all - many, filling),
                "per s",
            ),
        ])
    })
}

#[expect(clippy::cast_precision_loss, reason = "some millions")]
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
