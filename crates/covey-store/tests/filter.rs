//! A list with a filter holds exactly the records that the filter matches.
#![allow(
    clippy::unwrap_used,
    clippy::redundant_closure_for_method_calls,
    reason = "tests fail by panicking; methods of Reader<_> are not general enough to stand for closures"
)]

mod common;

use common::{space, store, write};
use covey_records::{Compare, Filter};
use covey_store::{CollectionKey, PageSize, Store};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

fn with_docs(docs: &[String]) -> (tempfile::TempDir, Store, CollectionKey) {
    let (dir, store) = store();
    let docs = docs.to_vec();
    let key = write(&store, move |tx| {
        let space = tx.insert_space(space(1), b"")?;
        let key = tx.ensure_collection(space, "plants")?;
        for (n, doc) in docs.iter().enumerate() {
            tx.put_record(key, &format!("{n:04}"), Some(doc), b"")?;
        }
        Ok(key)
    });
    (dir, store, key)
}

/// The numbers of the documents that the store lists and of those that match.
fn both(store: &Store, key: CollectionKey, docs: &[String], filter: &Filter) -> (Vec<usize>, Vec<usize>) {
    let listed = store.read_blocking(|r| r.list(key, Some(filter), None, usize::MAX)).unwrap();
    let listed = listed.iter().map(|(id, _)| id.parse().unwrap()).collect();
    let matches = |doc: &String| filter.matches(&serde_json::from_str(doc).unwrap());
    (listed, (0..docs.len()).filter(|n| matches(&docs[*n])).collect())
}

#[test]
fn the_written_examples_agree() {
    let docs: Vec<String> = [
        r#"{"name":"bean","bed":{"row":3},"height":1.5,"done":false,"tags":["green",7,null,true,[1]],"note":null}"#,
        r#"{"name":"Bean","bed":{"row":3.0},"height":"1.5","done":true,"tags":"green","note":""}"#,
        r#"{"n\u0061me":"b\u0065an","bed":[3],"height":2e0,"done":0,"tags":[],"big":9007199254740993}"#,
        r#"{"name":"a\u0000b","big":9007199254740992.0,"say \"hi\"":1,"back\\slash":2,"a.b":3,"":4}"#,
        r#"{"name":"a","big":18446744073709551615,"tags":{"green":1},"umlaut":"grün","$x":[0]}"#,
        "{}",
    ]
    .map(Into::into)
    .into();
    let (_dir, store, key) = with_docs(&docs);
    let path = |name: &str| vec![name.to_owned()];
    let compare = |name: &str, op, value| Filter::Compare { path: path(name), op, value };
    let mut filters: Vec<Filter> = [
        "name = 'bean'",
        "name != 'bean'",
        "not name = 'bean' and name > 'A'",
        "bed.row = 3",
        "bed.row >= 2.5 or height < 2",
        "height = 1.5",
        "height = '1.5'",
        "done = false",
        "done = 0",
        "done != true",
        "note = null",
        "note != null",
        "note < 'a'",
        "tags contains 'green'",
        "tags contains 'gre'",
        "tags contains ''",
        "tags contains 7.0",
        "tags contains null",
        "tags contains true",
        "not tags contains false",
        "big = 9007199254740993",
        "big = 9007199254740992",
        "big > 1e19",
        "name contains 'a'",
        "umlaut contains 'ü'",
        "'a.b' = 3",
        "'$x' contains 0",
        "a.b = 3",
    ]
    .map(|text| Filter::parse(text).unwrap())
    .into();
    filters.push(compare("say \"hi\"", Compare::Eq, json!(1)));
    filters.push(compare("back\\slash", Compare::Ne, json!(2)));
    filters.push(compare("", Compare::Ge, json!(4)));
    filters.push(compare("name", Compare::Eq, json!("a\0b")));
    filters.push(compare("name", Compare::Contains, json!("\0b")));
    filters.push(compare("bed", Compare::Eq, json!([3])));
    filters.push(compare("bed", Compare::Ne, json!([3])));
    filters.push(compare("tags", Compare::Contains, json!([1])));
    filters.push(Filter::Compare { path: vec![], op: Compare::Ne, value: json!(1) });
    filters.push(Filter::And(vec![]));
    filters.push(Filter::Or(vec![]));
    filters.push(Filter::And((0..600).map(|_| compare("name", Compare::Ne, json!("bean"))).collect()));
    for filter in filters {
        let (listed, matched) = both(&store, key, &docs, &filter);
        assert_eq!(listed, matched, "{filter:?}");
    }
}

#[test]
fn a_filtered_list_goes_on_after_the_last_id_and_stops_at_the_limit() {
    let docs: Vec<String> = (0..50).map(|n| format!("{{\"n\":{}, \"q\\\"\":1}}", n % 5)).collect();
    let (_dir, store, key) = with_docs(&docs);
    let odd = Filter::Compare { path: vec!["q\"".into()], op: Compare::Eq, value: json!(1) };
    let plain = Filter::parse("n = 3").unwrap();
    for filter in [plain.clone(), Filter::And(vec![plain, odd])] {
        let mut found = vec![];
        let mut after: Option<String> = None;
        loop {
            let page = store.read_blocking(|r| r.list(key, Some(&filter), after.as_deref(), 3)).unwrap();
            let Some((last, _)) = page.last() else { break };
            assert!(page.len() <= 3);
            after = Some(last.clone());
            found.extend(page.into_iter().map(|(id, _)| id.parse::<usize>().unwrap()));
        }
        assert_eq!(found, (0..50).filter(|n| n % 5 == 3).collect::<Vec<_>>());
    }
}

#[test]
fn a_page_ends_before_it_is_larger_than_asked_and_knows_whether_more_comes() {
    // Documents of 12 bytes, but for one that alone is larger than a page.
    let doc = |n: usize| format!("{{\"n\":\"{}\"}}", "x".repeat(if n == 3 { 100 } else { 4 }));
    let docs: Vec<String> = (0..8).map(doc).collect();
    let (_dir, store, key) = with_docs(&docs);
    let pages = |rows, bytes| {
        let (mut pages, mut after) = (vec![], None::<String>);
        loop {
            let size = PageSize { rows, bytes };
            let page = store.read_blocking(|r| r.page(key, None, after.as_deref(), size)).unwrap();
            after = page.rows.last().map(|(id, _)| id.clone());
            pages.push(page.rows.len());
            if !page.more {
                return pages;
            }
        }
    };
    assert_eq!(pages(9, 24), [2, 1, 1, 2, 2]);
    assert_eq!(pages(9, 35), [2, 1, 1, 2, 2]);
    assert_eq!(pages(1, 1000), [1; 8]);
    assert_eq!(pages(4, 1000), [4, 4]);
    assert_eq!(pages(8, usize::MAX), [8]);
}

#[test]
fn values_of_a_filter_are_never_read_as_sql() {
    let docs = vec![r#"{"a":"x"}"#.to_owned()];
    let (_dir, store, key) = with_docs(&docs);
    for text in ["' OR 1=1 --", "x'); DELETE FROM records; --", "?1", "\"", "]"] {
        let filter = Filter::Compare { path: vec![text.into()], op: Compare::Eq, value: json!(text) };
        assert_eq!(both(&store, key, &docs, &filter), (vec![], vec![]), "{text}");
    }
    assert_eq!(store.read_blocking(|r| r.list(key, None, None, 9)).unwrap().len(), 1);
}

const NAMES: [&str; 6] = ["a", "b", "it's", "q\"", "", "ü"];

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-2i64..3).prop_map(|n| json!(n)),
        (-4i32..6).prop_map(|n| json!(f64::from(n) / 2.0)),
        prop::sample::select(vec![i64::MAX, i64::MIN, (1 << 53) + 1]).prop_map(|n| json!(n)),
        prop::sample::select(vec!["", "a", "ab", "b", "A", "é", "1", "null", "a\0"]).prop_map(|s| json!(s)),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::Array),
            vec((prop::sample::select(&NAMES[..]), inner), 0..3).prop_map(object),
        ]
    })
}

fn object(fields: Vec<(&str, Value)>) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn filter() -> impl Strategy<Value = Filter> {
    use Compare::{Contains, Eq, Ge, Gt, Le, Lt, Ne};
    let path = vec(prop::sample::select(&NAMES[..]).prop_map(str::to_owned), 1..3);
    let op = prop::sample::select(vec![Eq, Ne, Lt, Le, Gt, Ge, Contains]);
    let compare = (path, op, scalar()).prop_map(|(path, op, value)| Filter::Compare { path, op, value });
    compare.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Filter::And),
            vec(inner.clone(), 0..3).prop_map(Filter::Or),
            inner.prop_map(|part| Filter::Not(Box::new(part))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_filter_lists_what_it_matches(
        docs in vec(vec((prop::sample::select(&NAMES[..]), value()), 0..5).prop_map(object), 1..12),
        filters in vec(filter(), 1..24),
    ) {
        let docs: Vec<String> = docs.iter().map(Value::to_string).collect();
        let (_dir, store, key) = with_docs(&docs);
        for filter in filters {
            let (listed, matched) = both(&store, key, &docs, &filter);
            prop_assert_eq!(listed, matched, "{:?}", filter);
        }
    }
}
