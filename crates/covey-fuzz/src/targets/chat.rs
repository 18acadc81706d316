//! What members write into the collections of chat, and what they gossip.

use std::collections::BTreeMap;

use covey_chat::{
    Change, Edit, Message, NewChannel, Position,
    mark::{Mark, has_read},
    mentions, message,
    message::Right,
    presence::Said,
    text::{clean, highlights, query},
};
use covey_records::{Op, Record, RecordId, Stamp, own};
use covey_types::{DeviceId, Hlc, Incarnation, LogId, UserId};
use serde_json::value::RawValue;

const WRITER: DeviceId = DeviceId([1; 32]);

/// A signal of presence: what can be read can be written, and is the same then.
pub fn chat_signal(bytes: &[u8]) {
    if let Some(said) = Said::decode(bytes) {
        assert_eq!(Said::decode(&said.encode()), Some(said));
    }
}

/// A document as a member may write it into any of the collections, and its bytes as a text.
pub fn chat_record(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let cleaned = clean(text);
    assert_eq!(clean(&cleaned), cleaned);
    let (_, places) = highlights(text);
    let units = text.encode_utf16().count();
    assert!(places.iter().all(|(from, to)| from <= to && *to <= units));
    let _ = (query(text), mentions::mentioned(text, &[(UserId([1; 32]), "ann".into())]));
    if let Ok(at) = text.parse::<Position>() {
        assert_eq!(at.to_string(), text);
    }
    let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) else { return };
    let id = own::id(WRITER, "message-1");
    let op = Op::Put {
        collection: "own.chat.messages",
        id: RecordId::parse(&id).expect("a tag and a part are an id"),
        fields: fields.iter().map(|(name, value)| (name.as_str(), value.get())).collect(),
    };
    let mut record = Record::new();
    let stamp = Stamp { hlc: Hlc::from_u64(7), device: WRITER };
    record.apply(&op, stamp, LogId { device: WRITER, incarnation: Incarnation(1) });
    let edit = Edit::parse(&record);
    if let Some(message) = Message::parse(&id, &record) {
        let edits: Vec<Edit> = edit.into_iter().collect();
        let shown = message.shown(&edits, |_| Right::None);
        assert_eq!(shown, message.shown(&[], |_| Right::None), "who may not say it has said nothing");
    }
    let _ = (NewChannel::parse(&id, &record), Change::parse(&record).stamps());
    let reactions = message::reactions(&record, fields.keys().map(String::as_str));
    assert!(reactions.len() <= covey_chat::limits::MAX_REACTIONS);
    if let Some(mark) = Mark::parse(&record, fields.keys().map(String::as_str)) {
        assert!(mark.seen.len() <= covey_chat::limits::MAX_SEEN);
        let (upto, behind) = ((mark.upto.hlc, mark.upto.id.as_str()), (mark.upto.hlc, "~"));
        let is_behind = behind > upto;
        assert!(!(is_behind && has_read(upto, &mark.seen, behind)), "what is behind a mark isn't read");
    }
}
