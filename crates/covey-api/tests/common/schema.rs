//! Holds values against the schemas of the OpenAPI document: as much of JSON Schema as stands in it, and a panic at what doesn't.

use serde_json::Value;

/// Why the value isn't what the schema says; `None` if it is.
pub(crate) fn mismatch(document: &Value, schema: &Value, value: &Value) -> Option<String> {
    let schema = schema.as_object().unwrap();
    let fits = |schema: &Value| mismatch(document, schema, value).is_none();
    for (keyword, rule) in schema {
        let is_right = match keyword.as_str() {
            "$ref" => {
                let target = document.pointer(rule.as_str().unwrap().strip_prefix('#').unwrap()).unwrap();
                if let Some(why) = mismatch(document, target, value) {
                    return Some(why);
                }
                true
            }
            "type" => match rule {
                Value::Array(kinds) => kinds.iter().any(|kind| is_of(value, kind)),
                kind => is_of(value, kind),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "oneOf" => rule.as_array().unwrap().iter().filter(|one| fits(one)).count() == 1,
            "allOf" => {
                let mut all = rule.as_array().unwrap().iter();
                if let Some(why) = all.find_map(|one| mismatch(document, one, value)) {
                    return Some(why);
                }
                true
            }
            "required" => match value.as_object() {
                Some(map) => {
                    rule.as_array().unwrap().iter().all(|key| map.contains_key(key.as_str().unwrap()))
                }
                None => true,
            },
            "properties" => {
                for (key, rule) in rule.as_object().unwrap() {
                    if let Some(why) = value.get(key).and_then(|value| mismatch(document, rule, value)) {
                        return Some(format!("{key}: {why}"));
                    }
                }
                true
            }
            "items" | "additionalProperties" | "prefixItems" => {
                if let Some(why) = inside(document, schema, keyword, value) {
                    return Some(why);
                }
                true
            }
            "minimum" => value.as_f64().is_none_or(|value| value >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|value| value <= rule.as_f64().unwrap()),
            "minLength" | "description" | "format" | "propertyNames" | "default" => true,
            other => panic!("this test doesn't know the keyword {other:?}: {rule}"),
        };
        if !is_right {
            return Some(format!("{value} doesn't fit {keyword:?}: {rule}"));
        }
    }
    None
}

fn inside(
    document: &Value,
    schema: &serde_json::Map<String, Value>,
    keyword: &str,
    value: &Value,
) -> Option<String> {
    let rule = &schema[keyword];
    match (keyword, value, rule) {
        ("prefixItems", Value::Array(items), Value::Array(rules)) => {
            items.iter().zip(rules).find_map(|(item, rule)| mismatch(document, rule, item))
        }
        // After the first ones, that is.
        ("items", Value::Array(items), _) if schema.contains_key("prefixItems") => {
            let more = items.len() > schema["prefixItems"].as_array().unwrap().len();
            (more && *rule == Value::Bool(false)).then(|| format!("{value} has too many items"))
        }
        ("items", Value::Array(items), _) => items.iter().find_map(|item| mismatch(document, rule, item)),
        ("additionalProperties", Value::Object(map), Value::Object(_)) => {
            map.values().find_map(|value| mismatch(document, rule, value))
        }
        ("additionalProperties", Value::Object(map), Value::Bool(false)) => {
            let known = schema.get("properties").and_then(Value::as_object);
            let unknown = map.keys().find(|key| known.is_none_or(|known| !known.contains_key(*key)))?;
            Some(format!("the key {unknown:?} isn't in the schema"))
        }
        _ => None,
    }
}

fn is_of(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("there is no type {other}"),
    }
}
