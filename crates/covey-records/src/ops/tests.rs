//! Operations there and back, their cost in bytes, and hostile bodies.

use covey_types::{DeviceId, Hlc, Incarnation, limits::MAX_ENTRY_BODY_BYTES};
use proptest::prelude::*;

use super::*;

const UUID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn id(text: &str) -> RecordId<'_> {
    RecordId::parse(text).unwrap()
}

fn put<'a>(id: &'a str, fields: &[(&'a str, &'a str)]) -> Op<'a> {
    Op::Put { collection: "plants", id: self::id(id), fields: fields.to_vec() }
}

fn body(ops: &[Op<'_>]) -> Vec<u8> {
    let mut writer = BodyWriter::new();
    for op in ops {
        writer.push(op).unwrap();
    }
    let len = writer.len();
    let body = writer.finish();
    assert_eq!(body.len(), len);
    body
}

fn read(body: &[u8]) -> Vec<Op<'_>> {
    BodyReader::new(body).collect::<Result<_, _>>().unwrap()
}

fn stamp(n: u8) -> Stamp {
    Stamp { hlc: Hlc::new(1_700_000_000_000 + u64::from(n), 3), device: DeviceId([n; 32]) }
}

fn log(n: u8) -> LogId {
    LogId { device: DeviceId([n; 32]), incarnation: Incarnation(u64::MAX - u64::from(n)) }
}

fn one_of_each() -> Vec<Op<'static>> {
    let (collection, other) = ("plants", "beds");
    let observed = Observed {
        counters: vec![(
            "seen",
            vec![(log(1), Tally { count: 3, sum: -7 }), (log(2), Tally { count: 1, sum: i64::MIN })],
        )],
        elements: vec![ObservedElement {
            set: "tags",
            element: "\"green\"",
            added: vec![stamp(1), stamp(2)],
        }],
    };
    vec![
        put(UUID, &[("bed", "3"), ("name", "\"bean\"")]),
        put("pea/1", &[]),
        Op::Delete { collection, id: id(UUID), observed: Observed::default() },
        Op::Delete { collection: other, id: id("x"), observed },
        Op::CounterAdd { collection, id: id(UUID), name: "seen", tally: Tally { count: 4, sum: 12 } },
        Op::SetAdd { collection: other, id: id(UUID), name: "tags", element: "[1,2]" },
        Op::SetRemove { collection, id: id("y"), name: "tags", element: "{}", observed: vec![stamp(1)] },
        Op::SetRemove { collection, id: id("y"), name: "tags", element: "null", observed: vec![] },
    ]
}

#[test]
fn every_operation_reads_back() {
    let ops = one_of_each();
    assert_eq!(read(&body(&ops)), ops);
}

#[test]
fn a_single_small_put_costs_ten_bytes_at_most() {
    let (name, value) = ("name", "\"bean\"");
    let len = body(&[put(UUID, &[("bed", "3"), (name, value)])]).len();
    let bare = "plants".len() + 16 + "bed".len() + 1 + name.len() + value.len();
    assert!(len - bare <= 10, "{} bytes of overhead", len - bare);
}

#[test]
fn a_name_is_written_once_per_body() {
    let op = put(UUID, &[("a_rather_long_field_name", "1")]);
    let one = body(std::slice::from_ref(&op)).len();
    let ten = body(&vec![op; 10]).len();
    assert_eq!(ten, one + 9 * (1 + 1 + 1 + 17 + 1 + 2));
}

#[test]
fn only_a_canonical_uuid_is_packed_and_all_ids_print_as_given() {
    for (text, packed) in [
        (UUID, true),
        (&UUID.to_uppercase(), false),
        ("550e8400e29b41d4a716446655440000", false),
        ("é", false),
    ] {
        assert_eq!(matches!(id(text).0, Id::Uuid(_)), packed, "{text}");
        assert_eq!(id(text).to_string(), text);
    }
    let as_text = [&[1, 40, 2, b'c', 36][..], UUID.as_bytes()].concat();
    assert!(BodyReader::new(&as_text).next().unwrap().is_err(), "the length of the payload lies");
    let as_text = [&[1, 39, 2, b'c', 36][..], UUID.as_bytes()].concat();
    assert_eq!(read(&as_text), [Op::Put { collection: "c", id: id(UUID), fields: vec![] }]);
}

#[test]
fn a_kind_from_the_future_is_skipped_and_reported() {
    let mut bytes = body(&[put("a", &[("n", "1")])]);
    bytes.extend([200, 1, 3, 0xff, 0xff, 0xff]);
    // Refers to the names of the first: "plants", "n".
    bytes.extend([1, 6, 1, 1, b'b', 3, 1, b'2']);
    let ops = read(&bytes);
    assert_eq!(ops, [put("a", &[("n", "1")]), Op::Unknown { kind: 200 }, put("b", &[("n", "2")])]);
    assert!(matches!(BodyWriter::new().push(&ops[1]), Err(OpError::Unknown { kind: 200 })));
}

#[test]
fn the_writer_puts_fields_in_order_and_values_in_compact_form() {
    let mut writer = BodyWriter::new();
    writer.push(&put("a", &[("z", "[ 1 ]"), ("b", " 2")])).unwrap();
    assert_eq!(read(&writer.finish()), [put("a", &[("b", "2"), ("z", "[1]")])]);
}

#[test]
fn what_is_outside_the_limits_is_refused_and_leaves_no_trace() {
    let long = "x".repeat(MAX_NAME_BYTES + 1);
    let long_id = "x".repeat(MAX_RECORD_ID_BYTES + 1);
    let large = format!("\"{}\"", "x".repeat(MAX_RECORD_BYTES));
    let mut writer = BodyWriter::new();
    writer.push(&put("a", &[("n", "1")])).unwrap();
    let before = writer.len();
    for fields in [
        vec![("new", "1"), ("newer", "nope")],
        vec![("", "1")],
        vec![(long.as_str(), "1")],
        vec![("new", "1"), ("new", "2")],
        vec![("new", large.as_str())],
        vec![("new", "1e999")],
    ] {
        assert!(writer.push(&put("a", &fields)).is_err(), "{:?}", fields[0].0);
        assert_eq!(writer.len(), before);
    }
    for collection in ["", "a\nb", &long] {
        assert!(writer.push(&Op::Put { collection, id: id("a"), fields: vec![] }).is_err());
    }
    for text in ["", "a\u{7f}", &long_id] {
        assert!(RecordId::parse(text).is_err());
    }
    writer.push(&put("b", &[("new", "2")])).unwrap();
    assert_eq!(read(&writer.finish()), [put("a", &[("n", "1")]), put("b", &[("new", "2")])]);
}

#[test]
fn a_malformed_body_says_why_and_ends() {
    for (bytes, reason) in [
        (&[1u8, 5, 2][..], "promises 5 parts"),
        (&[1, 2, 3, 1], "refers to name 1 of 0"),
        (&[1, 4, 2, b'c', 1, 0xff], "utf-8"),
        (&[1, 8, 2, b'c', 1, b'i', 2, b'n', 1, b'x'], "not a JSON value"),
        (&[1, 12, 2, b'c', 1, b'i', 2, b'n', 1, b'1', 2, b'm', 1, b'1'], "ascending"),
        (&[1, 9, 2, b'c', 1, b'i', 2, b'n', 2, b' ', b'1'], "white space"),
        (&[1, 4, 2, b'\n', 1, b'i'], "control character"),
        (&[3, 9, 2, b'c', 1, b'i', 2, b'n', 1, 1, 7], "left over"),
        (&[1, 2, 0, 0], "empty"),
    ] {
        let mut reader = BodyReader::new(bytes);
        let err = reader.next().unwrap().unwrap_err().to_string();
        assert!(err.contains(reason), "{bytes:?}: {err}");
        assert!(reader.next().is_none());
    }
    let large = vec![0; covey_types::limits::MAX_PLAIN_BODY_BYTES + 1];
    assert!(BodyReader::new(&large).next().unwrap().is_err());
}

#[test]
fn a_delete_that_no_entry_can_hold_is_refused() {
    let added = vec![stamp(1); MAX_ENTRY_BODY_BYTES / 40 + 1];
    let elements = vec![ObservedElement { set: "s", element: "1", added }];
    let op = Op::Delete { collection: "c", id: id("i"), observed: Observed { counters: vec![], elements } };
    assert!(matches!(BodyWriter::new().push(&op), Err(OpError::TooLong { what: "a delete", .. })));
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic_and_what_is_read_can_be_written(
        noise in prop::collection::vec(any::<u8>(), 0..200),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = body(&one_of_each());
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        for bytes in [&noise, &bytes] {
            let known = BodyReader::new(bytes).map_while(Result::ok).filter(|op| !matches!(op, Op::Unknown { .. }));
            let ops: Vec<_> = known.collect();
            let again = body(&ops);
            prop_assert_eq!(read(&again), ops);
        }
    }

    #[test]
    fn any_id_and_fields_read_back(
        text in "[^\\p{Cc}]{1,40}",
        fields in prop::collection::btree_map(".{1,20}", ".{0,40}", 0..6),
    ) {
        let values: Vec<(&str, String)> = fields.iter().map(|(n, v)| (n.as_str(), serde_json::to_string(v).unwrap())).collect();
        let refs: Vec<_> = values.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let op = put(&text, &refs);
        let bytes = body(std::slice::from_ref(&op));
        prop_assert_eq!(read(&bytes), [op]);
    }
}
