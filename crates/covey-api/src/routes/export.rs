//! Whole collections, streamed page by page as JSON lines.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use covey_node::{Collection, Filter, PageSize};

use super::{
    ApiState,
    records::{self, NDJSON},
};
use crate::{
    dto::RecordDto,
    extract::InPath,
    limits::{MAX_PAGE, MAX_PAGE_BYTES},
    problem::Problem,
};

/// Reads a collection page by page, in the order of ids. A page holds at most [`MAX_PAGE`] records and
/// [`MAX_PAGE_BYTES`] of documents, or a single record that is larger.
pub(super) struct Pages {
    collection: Collection,
    filter: Option<Filter>,
    after: Option<String>,
    at_end: bool,
}

impl Pages {
    pub(super) fn new(collection: Collection, filter: Option<Filter>, after: Option<String>) -> Self {
        Self { collection, filter, after, at_end: false }
    }

    /// Whether the last page was the last.
    pub(super) fn at_end(&self) -> bool {
        self.at_end
    }

    /// The next rows, at most `most` of them; none at the end.
    pub(super) async fn next_page(&mut self, most: usize) -> Result<Vec<(String, String)>, Problem> {
        if self.at_end || most == 0 {
            return Ok(Vec::new());
        }
        let size = PageSize { rows: most.min(MAX_PAGE), bytes: MAX_PAGE_BYTES };
        let page = self.collection.page(self.filter.clone(), self.after.clone(), size).await?;
        self.at_end = !page.more;
        if let Some((id, _)) = page.rows.last() {
            self.after = Some(id.clone());
        }
        Ok(page.rows)
    }
}

/// All records of a collection as lines of JSON, in the order of their ids.
///
/// The stream breaks off where something fails, so that half an export is never taken for a whole one.
#[utoipa::path(
    get,
    path = "/spaces/{space}/collections/{collection}/export",
    tag = "records",
    operation_id = "exportRecords",
    responses((status = 200, description = "A line for each record: this is the schema of a line.", body = RecordDto, content_type = "application/x-ndjson"))
)]
pub(super) async fn export(
    State(state): State<ApiState>,
    InPath((space, name)): InPath<(String, String)>,
) -> Result<Response, Problem> {
    let collection = records::collection(&state, &space, &name)?;
    Ok(stream(Pages::new(collection, None, None), None))
}

/// An answer of JSON lines, at most `limit` of them. An error on the way breaks the stream off, so that
/// half an export is never taken for a whole one.
pub(super) fn stream(pages: Pages, limit: Option<usize>) -> Response {
    let start = (pages, limit.unwrap_or(usize::MAX));
    let chunks = futures::stream::try_unfold(start, |(mut pages, left)| async move {
        let rows = pages.next_page(left).await.map_err(|problem| {
            tracing::warn!(reason = problem.detail(), "an export broke off");
            std::io::Error::other(problem.detail().to_owned())
        })?;
        if rows.is_empty() {
            return Ok::<_, std::io::Error>(None);
        }
        let chunk: Bytes = records::lines(&rows);
        Ok(Some((chunk, (pages, left - rows.len()))))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    response
}
