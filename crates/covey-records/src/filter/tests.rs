//! Filters as people write them, and what they match.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn bean() -> Value {
    json!({"name": "bean", "bed": {"row": 3}, "height": 1.5, "done": false, "tags": ["green", 7], "note": null,
           "it's": "quoted", "big": 9_007_199_254_740_993_i64})
}

fn holds(text: &str) -> bool {
    Filter::parse(text).unwrap().matches(&bean())
}

#[test]
fn an_expression_means_what_it_says() {
    for text in [
        "name = 'bean' and bed.row >= 3 or not done = true",
        "name = \"bean\" AND (bed.row < 3 OR height > 1)",
        "bed.row = 3.0",
        "height >= 1.5 and height <= 1.5",
        "name contains 'ea'",
        "tags contains 'green' and tags contains 7",
        "note = null",
        "not missing = null",
        "missing != 1 and missing <> null",
        "name != 3",
        "'it''s' == 'quoted'",
        "\"bed\".row > -1e3",
        "not (name = 'bean' and done = true)",
        "not not done = false",
        "big = 9007199254740993 and big > 9007199254740992.0 and big < 1e17",
    ] {
        assert!(holds(text), "{text}");
    }
}

#[test]
fn missing_fields_and_other_types_fulfil_nothing_but_inequality() {
    for text in [
        "missing = 1",
        "missing < 1",
        "missing contains 'a'",
        "name > 1",
        "height < 'z'",
        "done < true",
        "note <= null",
        "name.x = 1",
        "tags.0 = 'green'",
        "bed = 'row'",
        "tags contains 'gre'",
        "name = 'Bean'",
    ] {
        if let Ok(filter) = Filter::parse(text) {
            assert!(!filter.matches(&bean()), "{text}");
        } else {
            assert_eq!(text, "tags.0 = 'green'");
        }
    }
}

#[test]
fn an_object_means_the_same_as_the_expression() {
    for (object, expression) in [
        (r#"{"name":"bean"}"#, "name = 'bean'"),
        (r#"{"bed":{"gt":3}}"#, "bed > 3"),
        (r#"{"bed":{"row":{"ge":3,"lt":9}}}"#, "bed.row >= 3 and bed.row < 9"),
        (r#"{"a":null,"b":true}"#, "a = null and b = true"),
        (r#" {"$or":[{"a":{"ne":1}},{"b":{"contains":"x"}}]}"#, "a != 1 or b contains 'x'"),
        (r#"{"$not":{"a":1}}"#, "not a = 1"),
        (r#"{"bed":{"$or":[{"row":1},{"row":2}]}}"#, "bed.row = 1 or bed.row = 2"),
    ] {
        assert_eq!(Filter::parse(object).unwrap(), Filter::parse(expression).unwrap(), "{object}");
    }
    assert!(Filter::parse("{}").unwrap().matches(&bean()));
}

#[test]
fn an_error_says_where_and_what() {
    for (text, message) in [
        ("", "in the filter at column 1: expected the name of a field, found the end"),
        (
            "name == ",
            "in the filter at column 9: expected a string in quotes, a number, true, false or null, found the end",
        ),
        ("grün ? 3", "in the filter at column 6: expected one of = != < <= > >= contains, found \"? 3\""),
        (
            "a = 'x",
            "in the filter at column 5: expected a string that is closed by the quote it began with, found \"'x\"",
        ),
        ("(a = 1", "in the filter at column 7: expected and, or, or a closing parenthesis, found the end"),
        ("a = 1 b = 2", "in the filter at column 7: expected and, or, or the end, found \"b = 2\""),
        (
            "a = 01",
            "in the filter at column 5: expected a string in quotes, a number, true, false or null, found \"01\"",
        ),
        (
            r#"{"a":{"gt":1,"x":2}}"#,
            "in the filter at a: operators (eq ne lt le gt ge contains) and field names are mixed",
        ),
        (
            r#"{"a":{"b":[1]}}"#,
            "in the filter at a.b: only strings, numbers, booleans and null can be compared with",
        ),
        (r#"{"":1}"#, "in the filter at \"\": the name of a field is empty"),
    ] {
        assert_eq!(Filter::parse(text).unwrap_err().to_string(), message, "{text}");
    }
    assert!(matches!(Filter::parse("{\"a\":"), Err(FilterError::Json { line: 1, column: 5, .. })));
}

#[test]
fn length_depth_and_number_of_terms_are_bounded() {
    assert!(matches!(Filter::parse(&" ".repeat(MAX_FILTER_BYTES + 1)), Err(FilterError::TooLong { .. })));
    assert_eq!(Filter::parse(&"(".repeat(10_000)), Err(FilterError::TooDeep));
    assert_eq!(Filter::parse(&"not ".repeat(4_000)), Err(FilterError::TooDeep));
    let nested = format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40));
    assert_eq!(Filter::parse(&nested), Err(FilterError::TooDeep));
    let wide = vec!["a=1"; MAX_FILTER_TERMS + 1].join(" or ");
    assert_eq!(Filter::parse(&wide), Err(FilterError::TooManyTerms));
    let many_groups = vec!["(a=1)"; MAX_FILTER_TERMS].join(" or ");
    assert!(Filter::parse(&many_groups).is_ok());
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC{0,60}|[a-z'\"(){}=<>!. 0-9]{0,40}") {
        if let Ok(filter) = Filter::parse(&text) {
            filter.matches(&bean());
        }
    }

    #[test]
    fn whole_and_fractional_numbers_have_one_order(whole in any::<i64>(), real in any::<f64>().prop_filter("finite", |r| r.is_finite())) {
        let expected = if real.abs() > 1e19 {
            0.0f64.partial_cmp(&real).unwrap()
        } else {
            // 2^-1074 needs no exactness here: the sign of the fraction decides.
            let floor = real.floor() as i128;
            i128::from(whole).cmp(&floor).then(if real > real.floor() { Ordering::Less } else { Ordering::Equal })
        };
        prop_assert_eq!(order_mixed(whole, real), expected);
        prop_assert_eq!(Number::Real(real).order(Number::Whole(whole)), expected.reverse());
    }
}
