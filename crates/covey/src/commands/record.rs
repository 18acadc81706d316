//! `covey record put`, `get`, `delete` and `list`.

use std::{io::Read, pin::pin};

use covey_api::{
    dto::{NewRecord, PutDto, RecordDto},
    limits::MAX_BODY_BYTES,
};
use covey_types::limits::MAX_RECORD_BYTES;
use futures::StreamExt;
use serde_json::{json, value::RawValue};

use crate::{
    args::Place,
    client::{Client, path, with_query},
    diag::Failure,
    output::{Out, json_visible, visible},
};

/// The path of a collection, or of something in it.
pub(super) fn place_path(place: &Place, rest: &[&str]) -> String {
    let mut parts = vec!["spaces", &place.space, "collections", &place.collection];
    parts.extend(rest);
    path(&parts)
}

/// All of stdin as text, within the limit of one document.
pub(super) fn stdin_text(what: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let most = MAX_BODY_BYTES as u64;
    std::io::stdin()
        .lock()
        .take(most + 1)
        .read_to_string(&mut text)
        .map_err(|error| Failure::failed(format!("{what} could not be read from stdin")).because(error))?;
    if text.len() as u64 > most {
        return Err(Failure::failed(format!("{what} on stdin is longer than the limit of {most} bytes")));
    }
    Ok(text)
}

/// Checks here what the node would check too: its line and column would count in the request's body.
fn parse_document(text: &str) -> Result<Box<RawValue>, Failure> {
    let text = text.trim();
    if text.len() > MAX_RECORD_BYTES {
        return Err(Failure::usage(format!(
            "the document of {} bytes is longer than the limit of {MAX_RECORD_BYTES} bytes",
            text.len()
        )));
    }
    let fail = |error: serde_json::Error| {
        Failure::usage("the document is not a JSON object")
            .because(error)
            .hint("write it like this, in single quotes for the shell: '{\"name\":\"bean\",\"bed\":1}'")
    };
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).map_err(fail)?;
    RawValue::from_string(text.to_owned()).map_err(fail)
}

pub(super) async fn put(
    client: &Client,
    place: &Place,
    id: Option<&str>,
    document: &str,
    out: &Out,
) -> Result<(), Failure> {
    let doc = match document {
        "-" => parse_document(&stdin_text("the document")?)?,
        text => parse_document(text)?,
    };
    let record = NewRecord { id: id.map(str::to_owned), doc };
    let put: PutDto = client.post(&place_path(place, &["records"]), &record).await?;
    if out.is_json() { out.document(&put) } else { out.line(&visible(&put.id)) }
}

pub(super) async fn get(client: &Client, place: &Place, id: &str, out: &Out) -> Result<(), Failure> {
    let record: RecordDto = client.get(&place_path(place, &["records", id])).await?;
    if out.is_json() {
        return out.document(&record.doc);
    }
    let value: serde_json::Value = serde_json::from_str(record.doc.get())
        .map_err(|error| Failure::failed("the node's document is not JSON").because(error))?;
    out.line(&json_visible(&format!("{value:#}")))
}

pub(super) async fn delete(client: &Client, place: &Place, id: &str, out: &Out) -> Result<(), Failure> {
    client.delete(&place_path(place, &["records", id])).await?;
    if out.is_json() {
        return out.document(&json!({ "id": id, "deleted": true }));
    }
    out.line(&format!("Deleted {}.", visible(id)))
}

pub(super) async fn list(
    client: &Client,
    place: &Place,
    filter: Option<&str>,
    limit: Option<u64>,
    out: &Out,
) -> Result<(), Failure> {
    let parameters = [("where", filter.map(str::to_owned)), ("limit", limit.map(|limit| limit.to_string()))];
    let query = with_query(place_path(place, &["records"]), &parameters);
    let chunks = pin!(client.download(&query).await?);
    let mut records = pin!(super::transfer::values::<RecordDto>(chunks));
    let mut is_empty = true;
    while let Some(record) = records.next().await {
        let record = record?;
        is_empty = false;
        if out.is_json() {
            out.document(&record)?;
        } else {
            out.line(&format!("{}  {}", visible(&record.id), json_visible(record.doc.get())))?;
        }
    }
    if is_empty {
        let what =
            if filter.is_some() { "No record here fulfils the condition" } else { "There are no records" };
        out.hint(&format!("{what}: {}/{}.", visible(&place.space), visible(&place.collection)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_an_object() {
        assert_eq!(parse_document(" {\"a\": 1} ").unwrap().get(), "{\"a\": 1}");
        for text in ["", "[1]", "1", "{\"a\":}", "{} {}"] {
            assert!(parse_document(text).is_err(), "{text}");
        }
    }
}
