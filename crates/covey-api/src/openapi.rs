//! The OpenAPI 3.1 document that describes the API.
//!
//! It is made of the code: each handler says what it takes and answers, each type of [`dto`](crate::dto) its shape, and the router
//! and the document come out of the same list in `routes`. What holds for every route (credentials, the parts of the path,
//! what a request may be refused with) is said once, here. A copy stands in `docs/protocol/openapi.json`; `make openapi` makes it
//! and the types of the TypeScript client anew.

use serde_json::{Map, Value, json};

use crate::routes::{self, NDJSON};

/// A problem that a request may be answered with: its status, what it is called here, and when it comes.
struct Refusal {
    status: u16,
    name: &'static str,
    when: &'static str,
}

const fn refusal(status: u16, name: &'static str, when: &'static str) -> Refusal {
    Refusal { status, name, when }
}

const INVALID: Refusal = refusal(400, "Invalid", "The request is wrong in itself.");
const UNAUTHORIZED: Refusal = refusal(401, "Unauthorized", "There are no credentials, or wrong ones.");
const FORBIDDEN: Refusal = refusal(
    403,
    "Forbidden",
    "This user's role does not allow it, or the request comes from a foreign page or to a foreign host.",
);
const NOT_FOUND: Refusal = refusal(404, "NotFound", "There is no such thing.");
const CONFLICT: Refusal =
    refusal(409, "Conflict", "The name is ambiguous, or the state of things does not allow it now.");
const TOO_LARGE: Refusal = refusal(413, "TooLarge", "Something is larger than its limit.");
const NOT_JSON: Refusal = refusal(415, "NotJson", "The body is not said to be JSON.");
const TOO_MANY: Refusal =
    refusal(429, "TooMany", "Too many rejected credentials within a minute, or too many jobs at once.");
const FAILED: Refusal = refusal(500, "Failed", "The store failed, or there is a defect.");
const CLOSING: Refusal = refusal(503, "Closing", "The node is stopping.");
const DISK_FULL: Refusal = refusal(507, "DiskFull", "The disk is full.");

const REFUSALS: [&Refusal; 11] = [
    &INVALID,
    &UNAUTHORIZED,
    &FORBIDDEN,
    &NOT_FOUND,
    &CONFLICT,
    &TOO_LARGE,
    &NOT_JSON,
    &TOO_MANY,
    &FAILED,
    &CLOSING,
    &DISK_FULL,
];

const ABOUT: &str = "What a Covey node offers to programs and pages on the same machine. Every error is a problem document \
    (RFC 9457). A space, person, device or channel is named by its id, by the beginning of one, or by its name.";

const TAGS: [(&str, &str); 7] = [
    ("node", "The node itself, its network, and what happens on it."),
    ("spaces", "Spaces, and the ways into them."),
    ("members", "Who is in a space, with which role."),
    ("devices", "This user's devices, and those of others."),
    ("records", "Collections, their records, and what changes in them."),
    ("chat", "Channels, messages, and who is there."),
    ("jobs", "Long work that goes on by itself."),
];

/// The document, as it is served.
pub fn openapi() -> String {
    let (_, described) = routes::api().split_for_parts();
    let mut document = serde_json::to_value(described).expect("a description can be written as JSON");
    document["info"] = json!({
        "title": "Covey",
        "version": "1",
        "description": ABOUT,
        "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
    });
    document["servers"] = json!([{"url": "/", "description": "The node itself."}]);
    document["tags"] =
        TAGS.map(|(name, description)| json!({"name": name, "description": description})).into();
    document["security"] = json!([{"token": []}, {"browser": []}]);
    components(&mut document["components"]);
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, item) in paths {
            operations(path, item);
        }
    }
    tidy(&mut document);
    let mut text = serde_json::to_string_pretty(&document).expect("JSON can be written as text");
    text.push('\n');
    text
}

fn components(components: &mut Value) {
    components["securitySchemes"] = json!({
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "The token in the node's `api.json`.",
        },
        "browser": {
            "type": "apiKey",
            "in": "cookie",
            "name": "covey_PORT",
            "description": "What a browser gets for a one-time link; PORT is the API's. Whatever changes something also needs the \
                            header `Origin`.",
        },
    });
    components["responses"] = REFUSALS.iter().map(|one| (one.name.to_owned(), one.response())).collect();
    // To clients that come from an older node there is such an event; no node sends it.
    if let Some(kinds) = components["schemas"]["EventKind"]["oneOf"].as_array_mut() {
        kinds.retain(|kind| kind["properties"]["event"]["enum"] != json!(["unknown"]));
    }
}

impl Refusal {
    fn response(&self) -> Value {
        let mut response = json!({
            "description": self.when,
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        });
        let header = match self.status {
            401 => Some(("WWW-Authenticate", "By what to prove oneself.")),
            429 => {
                Some(("Retry-After", "After how many seconds it is worth trying again, if that is known."))
            }
            _ => None,
        };
        if let Some((name, description)) = header {
            response["headers"] = json!({name: {"description": description, "schema": {"type": "string"}}});
        }
        response
    }
}

fn operations(path: &str, item: &mut Value) {
    let Some(item) = item.as_object_mut() else { return };
    for (method, operation) in item {
        let Some(operation) = operation.as_object_mut() else { continue };
        if let Some(body) = operation.get_mut("requestBody")
            && body["content"].get(NDJSON).is_some()
        {
            // No lines at all are lines, too.
            body["required"] = false.into();
        }
        let params = path_parameters(path);
        let refusals = refusals(method, !params.is_empty(), operation);
        if let Some(responses) = operation.entry("responses").or_insert_with(|| json!({})).as_object_mut() {
            for refusal in refusals {
                // What a route says itself about a status is more to the point.
                responses
                    .entry(refusal.status.to_string())
                    .or_insert_with(|| json!({"$ref": format!("#/components/responses/{}", refusal.name)}));
            }
        }
        let own = operation.remove("parameters").and_then(|own| own.as_array().cloned()).unwrap_or_default();
        let all: Vec<Value> = params.into_iter().chain(own).collect();
        if !all.is_empty() {
            operation.insert("parameters".to_owned(), all.into());
        }
    }
}

/// What a request of this kind may be refused with.
fn refusals(method: &str, names_things: bool, operation: &Map<String, Value>) -> Vec<&'static Refusal> {
    let mut refusals = vec![&INVALID, &UNAUTHORIZED, &FORBIDDEN, &TOO_MANY, &FAILED, &CLOSING];
    if names_things {
        refusals.extend([&NOT_FOUND, &CONFLICT, &TOO_LARGE]);
    }
    if method != "get" {
        refusals.extend([&CONFLICT, &DISK_FULL]);
    }
    let body = operation.get("requestBody").map(|body| &body["content"]);
    if body.is_some() {
        refusals.push(&TOO_LARGE);
    }
    if body.is_some_and(|content| content.get("application/json").is_some()) {
        refusals.push(&NOT_JSON);
    }
    refusals
}

/// The parts of the path that name things, each by the part before it.
fn path_parameters(path: &str) -> Vec<Value> {
    let parts: Vec<&str> = path.split('/').collect();
    let named = parts.windows(2).filter_map(|pair| {
        let name = pair[1].strip_prefix('{')?.strip_suffix('}')?;
        Some(json!({
            "name": name,
            "in": "path",
            "required": true,
            "description": meaning(pair[0]),
            "schema": {"type": "string", "minLength": 1},
        }))
    });
    named.collect()
}

fn meaning(things: &str) -> &'static str {
    match things {
        "spaces" => {
            "The space: its id, the beginning of it, or its name; `parent/child` for a child of another space."
        }
        "collections" => "The collection's name.",
        "records" => "The record's id.",
        "channels" => "The channel: its id, the beginning of it, or its name.",
        "messages" => "The message's id.",
        "reactions" => "The emoji.",
        "members" => "The person: their id, a part of it, or their name.",
        "devices" => "The device: its id, a part of it, or its name.",
        "invites" | "link" => "The invitation's id: the first half of its code, which is no secret.",
        "jobs" => "The job's id.",
        "browsers" => "The id by which the node lists the browser.",
        other => panic!("the OpenAPI document doesn't know what stands behind /{other}/ in a path"),
    }
}

/// Takes the marks of links out of descriptions, since they lead to places in the code, and gives unsigned numbers their format:
/// some go beyond what `int64` holds.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("format") == Some(&json!("int64")) && map.get("minimum") == Some(&json!(0)) {
                map.insert("format".to_owned(), json!("uint64"));
            }
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "description" || key == "summary" => {
                        *text = text
                            .replace("[`", "`")
                            .replace("`]", "`")
                            .replace("Dto::", ".")
                            .replace("Dto`", "`");
                    }
                    value => tidy(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn document() -> Value {
        serde_json::from_str(&openapi()).unwrap()
    }

    /// Each operation with its path and method.
    fn all(document: &Value) -> Vec<(&str, &str, &Value)> {
        let paths = document["paths"].as_object().unwrap();
        let item =
            |(path, item)| Map::iter(Value::as_object(item).unwrap()).map(move |(m, op)| (path, m, op));
        let all = paths.iter().flat_map(item);
        all.map(|(path, method, operation): (&String, &String, _)| {
            (path.as_str(), method.as_str(), operation)
        })
        .collect()
    }

    #[test]
    fn the_copy_in_the_repository_is_what_is_served() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol/openapi.json");
        let copy = fs::read_to_string(path).unwrap();
        assert!(copy == openapi(), "docs/protocol/openapi.json is stale: run `make openapi`");
    }

    #[test]
    fn every_operation_says_what_it_is_and_has_a_name_of_its_own() {
        let document = document();
        let mut names = BTreeSet::new();
        for (path, method, operation) in all(&document) {
            let at = format!("{method} {path}");
            assert!(names.insert(operation["operationId"].as_str().unwrap()), "{at}: the name is taken");
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{at}: no summary");
            let tag = operation["tags"][0].as_str().unwrap();
            assert!(TAGS.iter().any(|(known, _)| *known == tag), "{at}: the tag {tag} has no description");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["description"].is_string(), "{at}: {parameter} has no description");
            }
        }
        assert!(names.len() > 60, "{}", names.len());
    }

    #[test]
    fn every_operation_says_how_it_succeeds_and_how_it_is_refused() {
        let document = document();
        for (path, method, operation) in all(&document) {
            let responses = operation["responses"].as_object().unwrap();
            let good: Vec<_> = responses.keys().filter(|status| status.starts_with(['1', '2'])).collect();
            assert!(!good.is_empty(), "{method} {path}");
            for status in good {
                let has_body = responses[status]["content"].is_object();
                assert_eq!(has_body, status != "204", "{method} {path}: {status}");
            }
            for status in ["400", "401", "403", "429", "500", "503"] {
                assert!(responses.contains_key(status), "{method} {path}: {status}");
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn check(document: &Value, value: &Value) {
            match value {
                Value::Object(map) => {
                    if let Some(Value::String(to)) = map.get("$ref") {
                        let pointer = to.strip_prefix('#').unwrap();
                        assert!(document.pointer(pointer).is_some(), "{to}");
                    }
                    map.values().for_each(|value| check(document, value));
                }
                Value::Array(items) => items.iter().for_each(|value| check(document, value)),
                _ => {}
            }
        }
        let document = document();
        check(&document, &document);
    }
}
