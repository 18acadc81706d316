//! Records of a collection: read, written, deleted, listed.

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use covey_node::{Collection, Filter};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::IntoParams;

use super::{
    ApiState,
    export::{self, Pages},
};
use crate::{
    convert,
    dto::{NewRecord, PutDto, RecordDto, RecordPage, words},
    extract::{InJson, InPath, InQuery},
    limits::{DEFAULT_PAGE, MAX_PAGE},
    problem::Problem,
};

/// The type of a stream of JSON lines.
pub(crate) const NDJSON: &str = "application/x-ndjson";

pub(super) fn collection(state: &ApiState, space: &str, name: &str) -> Result<Collection, Problem> {
    Ok(state.node.space(space)?.collection(name)?)
}

async fn write(collection: &Collection, id: Option<&str>, doc: &RawValue) -> Result<PutDto, Problem> {
    let put = collection.put(id, doc.get()).await?;
    Ok(PutDto { id: put.id, hlc: put.hlc.to_string() })
}

/// Writes fields into a record, new or not.
#[utoipa::path(
    post,
    path = "/spaces/{space}/collections/{collection}/records",
    tag = "records",
    operation_id = "putRecord",
    request_body = NewRecord,
    responses(
        (status = 200, description = "The record with this id has these fields now.", body = PutDto),
        (status = 201, description = "A record was made, with an id of its own.", body = PutDto)
    )
)]
pub(super) async fn put(
    State(state): State<ApiState>,
    InPath((space, name)): InPath<(String, String)>,
    InJson(new): InJson<NewRecord>,
) -> Result<(StatusCode, Json<PutDto>), Problem> {
    let collection = collection(&state, &space, &name)?;
    let put = write(&collection, new.id.as_deref(), &new.doc).await?;
    let status = if new.id.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(put)))
}

/// Merges fields into a record, which need not be there yet; `null` takes a field away.
#[utoipa::path(
    patch,
    path = "/spaces/{space}/collections/{collection}/records/{id}",
    tag = "records",
    operation_id = "patchRecord",
    request_body(content((words::Document = "application/json"), (words::Document = "application/merge-patch+json"))),
    responses((status = 200, description = "They are written.", body = PutDto))
)]
pub(super) async fn patch(
    State(state): State<ApiState>,
    InPath((space, name, id)): InPath<(String, String, String)>,
    InJson(doc): InJson<Box<RawValue>>,
) -> Result<Json<PutDto>, Problem> {
    let collection = collection(&state, &space, &name)?;
    Ok(Json(write(&collection, Some(&id), &doc).await?))
}

/// One record.
#[utoipa::path(
    get,
    path = "/spaces/{space}/collections/{collection}/records/{id}",
    tag = "records",
    operation_id = "getRecord",
    responses((status = 200, description = "The record.", body = RecordDto))
)]
pub(super) async fn one(
    State(state): State<ApiState>,
    InPath((space, name, id)): InPath<(String, String, String)>,
) -> Result<Json<RecordDto>, Problem> {
    let found = collection(&state, &space, &name)?.get(&id).await?;
    let doc = found.ok_or_else(|| no_record(&name, &id))?;
    Ok(Json(RecordDto { id, doc: convert::raw(doc)? }))
}

/// Deletes a record.
#[utoipa::path(
    delete,
    path = "/spaces/{space}/collections/{collection}/records/{id}",
    tag = "records",
    operation_id = "deleteRecord",
    responses((status = 204, description = "It is deleted."))
)]
pub(super) async fn delete(
    State(state): State<ApiState>,
    InPath((space, name, id)): InPath<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    if collection(&state, &space, &name)?.delete(&id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(no_record(&name, &id))
    }
}

pub(super) fn no_record(collection: &str, id: &str) -> Problem {
    Problem::not_found(format!("there is no record {id:?} in {collection:?}"))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    #[serde(rename = "where")]
    /// A filter over the fields of the documents, in words like SQL's or as JSON.
    #[param(min_length = 1)]
    filter: Option<String>,
    /// Records behind this id.
    after: Option<String>,
    /// Most records that are wanted; 100 to a page unless it is said, and never more than 1000.
    limit: Option<usize>,
}

/// Records of a collection, in the order of their ids.
///
/// Asked for `application/x-ndjson`, it answers with all of them as lines instead of a page.
#[utoipa::path(
    get,
    path = "/spaces/{space}/collections/{collection}/records",
    tag = "records",
    operation_id = "listRecords",
    params(ListQuery),
    responses((status = 200, description = "A page of records, or a line for each.", content((RecordPage = "application/json"), (RecordDto = "application/x-ndjson"))))
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    InPath((space, name)): InPath<(String, String)>,
    InQuery(query): InQuery<ListQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let collection = collection(&state, &space, &name)?;
    let filter = query.filter.as_deref().map(parse_filter).transpose()?;
    let mut pages = Pages::new(collection, filter, query.after);
    if wants_lines(&headers) {
        return Ok(export::stream(pages, query.limit));
    }
    let limit = query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    Ok(Json(page(&mut pages, limit).await?).into_response())
}

async fn page(pages: &mut Pages, limit: usize) -> Result<RecordPage, Problem> {
    let rows = pages.next_page(limit).await?;
    let record = |(id, doc)| Ok(RecordDto { id, doc: convert::raw(doc)? });
    let items = rows.into_iter().map(record).collect::<Result<Vec<_>, Problem>>()?;
    let next = if pages.at_end() { None } else { items.last().map(|record| record.id.clone()) };
    Ok(RecordPage { items, next })
}

fn parse_filter(text: &str) -> Result<Filter, Problem> {
    Filter::parse(text).map_err(|error| Problem::invalid(format!("the filter can't be read: {error}")))
}

fn wants_lines(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(NDJSON)))
}

/// One line of an export: `{"id":...,"doc":...}`.
pub(super) fn push_line(out: &mut Vec<u8>, id: &str, doc: &str) {
    out.extend_from_slice(b"{\"id\":");
    serde_json::to_writer(&mut *out, id).expect("a text can be written to memory as JSON");
    out.extend_from_slice(b",\"doc\":");
    out.extend_from_slice(doc.as_bytes());
    out.extend_from_slice(b"}\n");
}

/// A page as lines.
pub(super) fn lines(rows: &[(String, String)]) -> Bytes {
    let bytes = rows.iter().map(|(id, doc)| id.len() + doc.len() + 24).sum();
    let mut out = Vec::with_capacity(bytes);
    for (id, doc) in rows {
        push_line(&mut out, id, doc);
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_an_export_is_json_whatever_the_id_holds() {
        let line = lines(&[("a\"\\b".into(), r#"{"x":1}"#.into())]);
        let record: RecordDto = serde_json::from_slice(&line).unwrap();
        assert_eq!((record.id.as_str(), record.doc.get()), ("a\"\\b", r#"{"x":1}"#));
    }
}
