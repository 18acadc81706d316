//! Real inputs for every target: made with the code that a node runs, from constant secrets.

mod spaces;
mod texts;
#[cfg(feature = "edges")]
mod wide;

use covey_chat::presence::{Presence, Said, Signal};
use covey_log::{Entry, delta::Context};
use covey_records::{
    BodyWriter, Devices, Observed, ObservedElement, Op, PartWriter, Record, RecordId, Stamp, Tally, Word,
};
use covey_types::{DeviceId, EntryHash, Hlc};

use crate::{
    people::{ACTORS, LOGS, SPACE},
    script::{Script, push_sized},
    targets::{forks::evidence, pairing::whole_pairing, session::recorded_streams, steady},
};

/// Inputs by name.
pub(crate) type Seeds = Vec<(String, Vec<u8>)>;

/// The inputs of the target of this name; none for an unknown one.
pub fn of(target: &str) -> Seeds {
    steady();
    match target {
        "entry_header" => headers(),
        "packed_entries" => packed(),
        "opened_body" => vec![
            named("plain", covey_log::seal::framed(b"the beans are in")),
            named("zstd", covey_log::seal::framed(&operations().repeat(4))),
        ],
        "membership_acts" => spaces::acts(),
        "membership_body" => spaces::bodies(),
        "sealed_key" => spaces::sealed_keys(),
        "welcome" => spaces::welcomes(),
        "join_request" => spaces::join_requests(),
        "notice" => spaces::notices(),
        "fork_evidence" => {
            vec![named("alone", fork(&[0, 0, 0, 0])), named("with-voids", fork(&[2, 1, 255, 255]))]
        }
        "evidence_merge" => scripts(12),
        "record_operations" => vec![named("all", operations())],
        "record_merge" => [0u8, 1, 6]
            .iter()
            .map(|n| named(&format!("turns-{n}"), [[*n; 8].as_slice(), &operations()].concat()))
            .collect(),
        "checkpoint_part" => parts(),
        "record_state" => record_states(),
        "chat_signal" => chat_signals(),
        "chat_record" => [
            ("message", r#"{"in":"main","text":"@ann hi","mentions":["x"],"reply":"x","deleted":false}"#),
            (
                "channel",
                r#"{"kind":"public","name":"beds","topic":"t","users":[],"archived":true,"admins":[]}"#,
            ),
            ("reactions", r#"{"+1":true,"two words":true,"x":3}"#),
            ("position", "00000000000000ff-some.id"),
            ("marked", "a \u{1}bean\u{2} @ann"),
        ]
        .map(|(name, text)| named(name, text.as_bytes().to_vec()))
        .into(),
        "filter" | "json_value" | "invitation_link" | "ids_and_codes" | "import_lines" | "csv_rows"
        | "api_requests" => texts::of(target),
        "sync_frames" => recorded_streams(),
        "sync_session" => [scripts(500), sessions()].concat(),
        "membership_graph" => scripts(160),
        "pairing" => vec![named("whole", whole_pairing())],
        #[cfg(feature = "edges")]
        "checkpoint_agreement" => vec![named("of-two", crate::targets::compaction::agreed())],
        #[cfg(feature = "edges")]
        "backup_seal" => wide::backups(),
        #[cfg(feature = "edges")]
        "mdns_answer" => wide::answers(),
        _ => Vec::new(),
    }
}

/// Sessions that go undisturbed: backlogs both ways, two histories of a log, and of different lengths; each with acts that go
/// ahead of their places, and without.
fn sessions() -> Seeds {
    let roles = [("backlogs", [1, 15]), ("forked", [0x0c, 0xac]), ("long-and-short", [0x4d, 0xa7])];
    let of = |(name, [a, b]): (&str, [u8; 2])| {
        [("", 0), ("-acts", 1)].map(|(with, acts)| named(&format!("{name}{with}"), [a, b, acts]))
    };
    roles.into_iter().flat_map(of).collect()
}

pub(crate) fn named(name: &str, bytes: impl Into<Vec<u8>>) -> (String, Vec<u8>) {
    (name.to_owned(), bytes.into())
}

fn headers() -> Seeds {
    let seed = |entry: &Entry| {
        let mut bytes = Vec::new();
        push_sized(&mut bytes, &entry.header_bytes);
        bytes.extend_from_slice(&entry.body);
        bytes
    };
    let mut seeds = vec![named("founding", seed(&spaces::founding()))];
    seeds.extend([0, 1, 17].map(|n| named(&format!("records-{n}"), seed(&LOGS[0][n]))));
    seeds
}

fn fork(script: &[u8]) -> Vec<u8> {
    evidence(&mut Script::new(script)).encode()
}

fn packed() -> Seeds {
    let pack = |entries: &[Entry]| {
        let (mut context, mut out) = (Context::new(SPACE, ACTORS[0].log()), Vec::new());
        entries.iter().for_each(|entry| context.encode(entry, &mut out));
        out
    };
    vec![
        named("from-the-start", pack(&LOGS[0][..12])),
        named("from-the-middle", pack(&LOGS[0][15..19])),
        named("with-a-gap", pack(&[LOGS[0][2].clone(), LOGS[0][9].clone()])),
    ]
}

/// A body with an operation of every kind.
fn operations() -> Vec<u8> {
    let (log, id) = (ACTORS[1].log(), RecordId::parse("bean").expect("a plain id"));
    let stamp = Stamp { hlc: Hlc::new(1001, 0), device: ACTORS[1].id() };
    let tally = Tally { count: 2, sum: -7 };
    let uuid = RecordId::parse("018f2b6e-8a6b-7c3d-9e4f-0a1b2c3d4e5f").expect("a UUID");
    let observed = Observed {
        counters: vec![("rows", vec![(log, tally)])],
        elements: vec![ObservedElement { set: "tags", element: "\"tall\"", added: vec![stamp] }],
    };
    let collection = "plants";
    let fields = vec![("height", "1.5"), ("name", "\"Fire bean\""), ("sown", "null")];
    let ops = [
        Op::Put { collection, id, fields },
        Op::Put { collection, id: uuid, fields: vec![("list", "[1,{\"a\":true}]")] },
        Op::Put { collection: "empty", id, fields: Vec::new() },
        Op::CounterAdd { collection, id, name: "rows", tally },
        Op::SetAdd { collection, id, name: "tags", element: "\"tall\"" },
        Op::SetAdd { collection, id, name: "tags", element: "3" },
        Op::SetRemove { collection, id, name: "tags", element: "3", observed: vec![stamp] },
        Op::Delete { collection, id, observed },
        Op::Delete { collection, id: uuid, observed: Observed::default() },
        Op::Put { collection, id, fields: vec![("name", "\"again\"")] },
    ];
    let mut writer = BodyWriter::new();
    ops.iter().for_each(|op| writer.push(op).expect("these are within the limits"));
    writer.finish()
}

/// Parts of a checkpoint: with words, without any, and the one that ends it.
fn parts() -> Seeds {
    let body = operations();
    let deps = [vec![EntryHash([1; 32])], vec![EntryHash([2; 32]), EntryHash([3; 32])]];
    let mut writer = PartWriter::new(400);
    for (n, seq) in [3u64, 4, 4, 399].into_iter().enumerate() {
        let body = if n == 1 { &[][..] } else { &body };
        writer.push(&Word { seq, hlc: Hlc::new(1000 + seq, 0), deps: &deps[n % 2], body });
    }
    vec![
        named("words", writer.finish()),
        named("none", PartWriter::new(7).finish()),
        named("closing", PartWriter::closing(7)),
    ]
}

/// Numbers for the devices of the targets' people.
struct Numbers;

impl Devices for Numbers {
    fn number(&mut self, device: DeviceId) -> u32 {
        ACTORS.iter().position(|actor| actor.id() == device).expect("one of ours") as u32
    }

    fn device(&self, number: u32) -> Option<DeviceId> {
        ACTORS.get(number as usize).map(crate::people::Actor::id)
    }
}

fn record_states() -> Seeds {
    let mut record = Record::new();
    let mut seeds = Vec::new();
    let body = operations();
    for (n, op) in covey_records::BodyReader::new(&body).map_while(Result::ok).enumerate() {
        let stamp = Stamp { hlc: Hlc::new(1000 + n as u64, 0), device: ACTORS[n % 3].id() };
        if record.apply(&op, stamp, ACTORS[n % 3].log()) {
            let (doc, state) = record.to_parts(&mut Numbers);
            let mut bytes = Vec::new();
            push_sized(&mut bytes, doc.unwrap_or_default().as_bytes());
            bytes.extend_from_slice(&state);
            seeds.push(named(&format!("after-{n}"), bytes));
        }
    }
    seeds
}

/// Scripts as any other: what they mean is the target's business, and which ones lead far a fuzzer finds out.
fn scripts(len: usize) -> Seeds {
    let script = |seed: u64| {
        let mut rng = fastrand::Rng::with_seed(seed);
        let bytes: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(len).collect();
        named(&format!("script-{seed}"), bytes)
    };
    // Without meddling: of each step only the bits that choose among honest ones.
    let honest = |seed: u64| {
        let mut rng = fastrand::Rng::with_seed(seed);
        let start = [rng.u8(..16), rng.u8(..16)];
        let steps = std::iter::repeat_with(|| rng.u8(..18)).take(len);
        named(&format!("honest-{seed}"), start.into_iter().chain(steps).collect::<Vec<u8>>())
    };
    (1..=4).map(script).chain((1..=3).map(honest)).collect()
}

/// Signals of presence.
fn chat_signals() -> Seeds {
    let say = |name: &str, signal| named(name, Said { at_ms: 1_800_000_000_000, signal }.encode());
    vec![
        say("online", Signal::Here(Presence::Online)),
        say("offline", Signal::Here(Presence::Offline)),
        say("typing", Signal::Typing("main".into())),
    ]
}
