//! Operations on records, and the state that they come to.

use std::collections::BTreeMap;

use covey_records::{BodyReader, BodyWriter, Devices, Op, Part, PartWriter, Record, Stamp, Word};
use covey_types::{DeviceId, Hlc};

use crate::{
    people::{ACTORS, DEVICES},
    script::Script,
};

/// Numbers for devices: those of the targets' people are known.
#[derive(Clone)]
struct Numbers(Vec<DeviceId>);

impl Numbers {
    fn new() -> Self {
        Self(ACTORS.iter().map(crate::people::Actor::id).collect())
    }
}

impl Devices for Numbers {
    fn number(&mut self, device: DeviceId) -> u32 {
        let known = self.0.iter().position(|known| *known == device);
        known.unwrap_or_else(|| {
            self.0.push(device);
            self.0.len() - 1
        }) as u32
    }

    fn device(&self, number: u32) -> Option<DeviceId> {
        self.0.get(number as usize).copied()
    }
}

fn stamp(n: usize) -> Stamp {
    Stamp { hlc: Hlc::new(1000 + n as u64 % 7, 0), device: ACTORS[n % DEVICES].id() }
}

type Records<'a> = BTreeMap<(&'a str, String), Record>;

fn apply<'a>(records: &mut Records<'a>, op: &Op<'a>, author: usize) {
    let (collection, id) = match op {
        Op::Put { collection, id, .. }
        | Op::Delete { collection, id, .. }
        | Op::CounterAdd { collection, id, .. }
        | Op::SetAdd { collection, id, .. }
        | Op::SetRemove { collection, id, .. } => (*collection, id.to_string()),
        Op::AsOf { .. } | Op::Unknown { .. } => return,
    };
    let record = records.entry((collection, id)).or_default();
    record.apply(op, stamp(author), ACTORS[author % DEVICES].log());
}

/// The state of a record reads back, and its document is an object.
fn check_record(record: &Record) {
    let mut numbers = Numbers::new();
    let (doc, state) = record.to_parts(&mut numbers);
    let again = Record::from_parts(doc.as_deref(), &state, &numbers);
    assert_eq!(again.map(|record| record.doc()), Ok(doc.clone()));
    if let Some(doc) = doc {
        let value: serde_json::Value = serde_json::from_str(&doc).expect("a document is JSON");
        assert!(value.is_object());
    }
}

/// The body of an entry: operations. What is read can be written again, unless it says more than an author may.
pub fn record_operations(bytes: &[u8]) {
    let ops: Vec<Op<'_>> = BodyReader::new(bytes).map_while(Result::ok).collect();
    let mut writer = BodyWriter::new();
    let written: Vec<&Op<'_>> = ops.iter().filter(|op| writer.push(op).is_ok()).collect();
    let body = writer.finish();
    let again: Vec<_> = BodyReader::new(&body).collect();
    assert_eq!(again.len(), written.len());
    for (again, written) in again.into_iter().zip(written) {
        // Values are made compact on the way; the rest is the same.
        let again = again.expect("what this build wrote, it reads");
        assert_eq!(std::mem::discriminant(&again), std::mem::discriminant(written));
    }
    let mut records = Records::new();
    ops.iter().for_each(|op| apply(&mut records, op, 0));
    records.values().for_each(check_record);
}

/// Operations of several authors, the first byte saying who wrote what. Whichever replica heard of which ones first,
/// and however often: all come to the same.
pub fn record_merge(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let turns = script.bytes(8);
    let ops: Vec<Op<'_>> = BodyReader::new(script.rest()).map_while(Result::ok).collect();
    let author = |i: usize| usize::from(turns.get(i % 8).copied().unwrap_or(0)) + i;
    let mut all = [Records::new(), Records::new(), Records::new()];
    for (i, op) in ops.iter().enumerate() {
        apply(&mut all[0], op, author(i));
        apply(&mut all[1 + author(i) / DEVICES % 2], op, author(i));
    }
    let [straight, one, two] = all;
    let mut backwards = Records::new();
    for (i, op) in ops.iter().enumerate().rev().chain(ops.iter().enumerate().take(3)) {
        apply(&mut backwards, op, author(i));
    }
    for (key, record) in &straight {
        let other = |records: &Records<'_>| records.get(key).cloned().unwrap_or_default();
        let (mut ab, mut ba) = (other(&one), other(&two));
        ab.merge(&other(&two));
        ba.merge(&other(&one));
        let parts = |record: &Record| record.to_parts(&mut Numbers::new());
        assert_eq!(parts(&ab), parts(record));
        assert_eq!(parts(&ba), parts(record));
        assert_eq!(parts(&other(&backwards)), parts(record));
        assert!(!ab.merge(&ba), "what is known already changes nothing");
        check_record(record);
    }
}

/// A part of a checkpoint. What is read of it can be written again and reads the same, and its words are operations like
/// those of any entry.
pub fn checkpoint_part(bytes: &[u8]) {
    let Ok(part) = Part::decode(bytes) else { return };
    let mut writer = PartWriter::new(part.begin);
    let mut records = Records::new();
    let mut before = 0;
    for word in part.words() {
        assert!(
            word.seq >= before.max(1) && word.seq < part.begin,
            "places are in order, before the checkpoint"
        );
        before = word.seq;
        writer.push(&word);
        BodyReader::new(word.body).map_while(Result::ok).for_each(|op| apply(&mut records, &op, 0));
    }
    let written = writer.finish();
    let again = Part::decode(&written).expect("what this build wrote, it reads");
    let told = |part: &Part<'_>| {
        let own = |word: Word<'_>| (word.seq, word.hlc, word.deps.to_vec(), word.body.to_vec());
        part.words().map(own).collect::<Vec<_>>()
    };
    assert_eq!((again.begin, told(&again)), (part.begin, told(&part)));
    records.values().for_each(check_record);
}

/// A record as it is stored, in two parts: the document, behind its length, and the rest.
pub fn record_state(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let (doc, state) = (script.sized(), script.rest());
    let Ok(doc) = std::str::from_utf8(doc) else { return };
    let doc = (!doc.is_empty()).then_some(doc);
    if let Ok(record) = Record::from_parts(doc, state, &Numbers::new()) {
        check_record(&record);
    }
}
