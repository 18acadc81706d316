//! [`Collection`]: the records of one kind in a space.

use std::{
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    sync::Arc,
    task::Poll,
};

use covey_engine::{Engine, EngineError, load_record};
use covey_log::Entry;
use covey_records::{BodyWriter, Filter, Op, RecordId, json};
use covey_store::{Page, PageSize};
use covey_types::{Hlc, limits::MAX_RECORD_BYTES};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::{Node, NodeError, Space};

/// Records in one entry of a bulk write: enough that the signature's cost vanishes.
const BATCH_RECORDS: usize = 1000;

/// Plain bytes in one entry of a bulk write: well under the largest entry, and small to hold in memory.
const BATCH_BYTES: usize = 512 << 10;

/// Entries of a bulk write that are in the store's queue at once: the writing thread finds the next one there, and small
/// ones share a commit. More would only hold more memory.
const APPENDS_IN_FLIGHT: usize = 3;

/// A collection of a space. Cloning gives another handle to the same one.
#[derive(Clone, Debug)]
pub struct Collection {
    space: Space,
    name: Arc<str>,
}

/// A record that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Its id.
    pub id: String,
    /// When, by this device's hybrid clock.
    pub hlc: Hlc,
}

/// Many records that were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PutMany {
    /// How many records.
    pub records: u64,
    /// In how many entries.
    pub entries: u64,
}

impl Collection {
    pub(crate) fn new(space: Space, name: String) -> Self {
        Self { space, name: name.into() }
    }

    fn node(&self) -> &Node {
        &self.space.node
    }

    pub(crate) fn space(&self) -> &Space {
        &self.space
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes fields of a record: `doc` is a JSON object whose fields are merged into it. Without an id the record
    /// is new and gets one (a UUID of version 7). Answers when it's on disk.
    ///
    /// # Errors
    /// [`NodeError::Invalid`] or [`NodeError::TooLarge`] for a bad document or id, or if the record would become too large
    /// with it; [`NodeError::NotAllowed`] for guests.
    pub async fn put(&self, id: Option<&str>, doc: &str) -> Result<Put, NodeError> {
        let id = id.map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned);
        let mut body = BodyWriter::new();
        push_put(&mut body, &self.name, &id, doc)?;
        let plain = body.finish();
        let entry = self.append(move |_, _, _| Ok(plain)).await?;
        Ok(Put { id, hlc: entry.header.hlc })
    }

    /// Writes what `news` finds to be said of a record, if anything, when it sees the document that is there: in one change.
    pub(crate) async fn put_if(
        &self,
        id: String,
        news: impl FnOnce(&Engine, Option<String>) -> Result<Option<Zeroizing<String>>, NodeError>
        + Send
        + 'static,
    ) -> Result<(), NodeError> {
        let (node, space) = (self.node().clone(), self.space.id());
        node.require_going_on(space)?;
        let (secrets, now, name) = (node.secrets(), node.now_ms(), Arc::clone(&self.name));
        let writer = node.clone();
        let write = async move {
            let written = writer.write(move |tx, engine| {
                let collection = tx.collection(engine.space(space)?.key, &name)?;
                let there = collection.map(|collection| tx.record(collection, &id)).transpose()?.flatten();
                let Some(doc) = news(engine, there.and_then(|row| row.doc))? else { return Ok(None) };
                let mut body = BodyWriter::new();
                push_put(&mut body, &name, &id, &doc)?;
                let plain = body.finish();
                Ok(Some(engine.append_records(tx, &secrets, space, now, move |_, _, _| Ok(plain))?))
            });
            if let Some(entry) = written.await? {
                writer.published(space, &[entry]);
            }
            Ok(())
        };
        node.to_its_end(write).await
    }

    /// Writes many records, in as few entries as fit, in the order of the rows. Each entry is all or nothing. Those before
    /// a failure stay, and so may the few that were under way behind it.
    ///
    /// # Errors
    /// As [`Collection::put`]; a bad row is named by its place, and nothing is written then.
    pub async fn put_many(&self, rows: Vec<(Option<String>, String)>) -> Result<PutMany, NodeError> {
        let name = Arc::clone(&self.name);
        let bodies = tokio::task::spawn_blocking(move || encode_rows(&name, &rows))
            .await
            .map_err(|err| NodeError::Internal(err.to_string()))??;
        let mut under_way = VecDeque::with_capacity(APPENDS_IN_FLIGHT);
        let (mut done, mut failed) = (PutMany::default(), None);
        let mut bodies = bodies.into_iter();
        loop {
            while failed.is_none()
                && under_way.len() < APPENDS_IN_FLIGHT
                && let Some((records, plain)) = bodies.next()
            {
                self.node().0.news.turn(self.space.id()).await;
                let mut append = Box::pin(self.append_now(move |_, _, _| Ok(plain)));
                // Asked once, it stands in the store's queue: in the order of the rows, the last of which wins.
                let early = poll_fn(|cx| Poll::Ready(append.as_mut().poll(cx))).await;
                under_way.push_back((records, append, early));
            }
            let Some((records, append, early)) = under_way.pop_front() else { break };
            let written = match early {
                Poll::Ready(written) => written,
                Poll::Pending => append.await,
            };
            match written {
                Ok(_) => {
                    done.records += records;
                    done.entries += 1;
                }
                Err(err) => failed = failed.or(Some(err)),
            }
        }
        failed.map_or(Ok(done), Err)
    }

    async fn append(
        &self,
        body: impl FnOnce(
            &mut covey_store::Tx<'_>,
            &mut covey_engine::Engine,
            covey_types::LogId,
        ) -> Result<Vec<u8>, EngineError>
        + Send
        + 'static,
    ) -> Result<Arc<Entry>, NodeError> {
        self.node().0.news.turn(self.space.id()).await;
        self.append_now(body).await
    }

    /// As [`Collection::append`], for whoever waited for their turn: polled once, it stands in the store's queue.
    async fn append_now(
        &self,
        body: impl FnOnce(
            &mut covey_store::Tx<'_>,
            &mut covey_engine::Engine,
            covey_types::LogId,
        ) -> Result<Vec<u8>, EngineError>
        + Send
        + 'static,
    ) -> Result<Arc<Entry>, NodeError> {
        let node = self.node();
        node.require_going_on(self.space.id())?;
        let (secrets, space, now) = (node.secrets(), self.space.id(), node.now_ms());
        let writer = node.clone();
        let write = async move {
            let entry = writer
                .write(move |tx, engine| Ok(engine.append_records(tx, &secrets, space, now, body)?))
                .await?;
            writer.0.news.wrote(space, entry.body.len());
            writer.published(space, std::slice::from_ref(&entry));
            Ok(entry)
        };
        node.to_its_end(write).await
    }

    /// The document of a record as JSON text; `None` if there is none.
    ///
    /// # Errors
    /// The store's.
    pub async fn get(&self, id: &str) -> Result<Option<String>, NodeError> {
        let space = self.node().engine().space(self.space.id())?.key;
        let (name, id) = (Arc::clone(&self.name), id.to_owned());
        let read = move |reader: &covey_store::Reader<'_>| match reader.collection(space, &name)? {
            None => Ok(None),
            Some(collection) => Ok(reader.record(collection, &id)?.and_then(|row| row.doc)),
        };
        Ok(self.node().0.store.read(read).await?)
    }

    /// Deletes a record as it stands here; whether there was one.
    ///
    /// # Errors
    /// [`NodeError::NotAllowed`] for guests; the store's.
    pub async fn delete(&self, id: &str) -> Result<bool, NodeError> {
        if self.get(id).await?.is_none() {
            return Ok(false);
        }
        let space = self.node().engine().space(self.space.id())?.key;
        let (name, id) = (Arc::clone(&self.name), id.to_owned());
        self.append(move |tx, engine, _| {
            let collection = tx.ensure_collection(space, &name)?;
            let record = load_record(tx, collection, &id, &engine.devices)?;
            let mut body = BodyWriter::new();
            let op = Op::Delete { collection: &name, id: RecordId::parse(&id)?, observed: record.observed() };
            body.push(&op)?;
            Ok(body.finish())
        })
        .await?;
        Ok(true)
    }

    /// The records that a filter wants, ordered by id, after the id `after`: pairs of id and document.
    ///
    /// # Errors
    /// The store's.
    pub async fn query(
        &self,
        filter: Option<Filter>,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, NodeError> {
        let size = PageSize { rows: limit, bytes: usize::MAX };
        Ok(self.page(filter, after, size).await?.rows)
    }

    /// The same, bounded also by bytes of documents: how a collection of any size is read with little memory.
    ///
    /// # Errors
    /// The store's.
    pub async fn page(
        &self,
        filter: Option<Filter>,
        after: Option<String>,
        size: PageSize,
    ) -> Result<Page, NodeError> {
        let space = self.node().engine().space(self.space.id())?.key;
        let name = Arc::clone(&self.name);
        let read = move |reader: &covey_store::Reader<'_>| match reader.collection(space, &name)? {
            None => Ok(Page { rows: Vec::new(), more: false }),
            Some(collection) => reader.page(collection, filter.as_ref(), after.as_deref(), size),
        };
        Ok(self.node().0.store.read(read).await?)
    }

    /// Follows the changes of this collection: those after `since`, or from now on.
    pub fn watch(&self, since: Option<u64>) -> crate::Watch {
        self.space.watch(Some(self.name.to_string()), since)
    }

    /// Adds to a counter of a record. Additions by all devices sum up.
    ///
    /// # Errors
    /// [`NodeError::Invalid`] if this device's sum would leave 64 bits; else as [`Collection::put`].
    pub async fn add(&self, id: &str, counter: &str, delta: i64) -> Result<(), NodeError> {
        let space = self.node().engine().space(self.space.id())?.key;
        let (name, id, counter) = (Arc::clone(&self.name), id.to_owned(), counter.to_owned());
        self.append(move |tx, engine, log| {
            let collection = tx.ensure_collection(space, &name)?;
            let record = load_record(tx, collection, &id, &engine.devices)?;
            let tally = record.tally(&counter, log).plus(delta);
            let tally =
                tally.ok_or_else(|| EngineError::Invalid(format!("the counter {counter:?} is full")))?;
            let mut body = BodyWriter::new();
            let id = RecordId::parse(&id)?;
            body.push(&Op::CounterAdd { collection: &name, id, name: &counter, tally })?;
            Ok(body.finish())
        })
        .await?;
        Ok(())
    }

    /// Adds an element (JSON text) to a set of a record.
    ///
    /// # Errors
    /// As [`Collection::put`].
    pub async fn insert(&self, id: &str, set: &str, element: &str) -> Result<(), NodeError> {
        let mut body = BodyWriter::new();
        let element = compact(element)?;
        let id = RecordId::parse(id)?;
        body.push(&Op::SetAdd { collection: &self.name, id, name: set, element: &element })?;
        let plain = body.finish();
        self.append(move |_, _, _| Ok(plain)).await?;
        Ok(())
    }

    /// Takes an element out of a set, as far as its additions are known here: one that is added elsewhere at the same
    /// time stays.
    ///
    /// # Errors
    /// As [`Collection::put`].
    pub async fn take(&self, id: &str, set: &str, element: &str) -> Result<(), NodeError> {
        let space = self.node().engine().space(self.space.id())?.key;
        let element = compact(element)?;
        let (name, id, set) = (Arc::clone(&self.name), id.to_owned(), set.to_owned());
        self.append(move |tx, engine, _| {
            let collection = tx.ensure_collection(space, &name)?;
            let record = load_record(tx, collection, &id, &engine.devices)?;
            let observed = record.additions(&set, &element);
            let mut body = BodyWriter::new();
            let id = RecordId::parse(&id)?;
            body.push(&Op::SetRemove { collection: &name, id, name: &set, element: &element, observed })?;
            Ok(body.finish())
        })
        .await?;
        Ok(())
    }
}

fn compact(text: &str) -> Result<String, NodeError> {
    Ok(json::compact(text).map_err(|err| NodeError::Invalid(format!("the element is {err}")))?.into_owned())
}

fn encode_rows(
    collection: &str,
    rows: &[(Option<String>, String)],
) -> Result<Vec<(u64, Vec<u8>)>, NodeError> {
    let mut bodies = Vec::new();
    let (mut body, mut records) = (BodyWriter::new(), 0);
    for (i, (id, doc)) in rows.iter().enumerate() {
        let at = |err: NodeError| match err {
            NodeError::Invalid(reason) => NodeError::Invalid(format!("record {}: {reason}", i + 1)),
            other => other,
        };
        match id {
            Some(id) => push_put(&mut body, collection, id, doc).map_err(at)?,
            None => push_put(&mut body, collection, &uuid::Uuid::now_v7().to_string(), doc).map_err(at)?,
        }
        records += 1;
        if records as usize == BATCH_RECORDS || body.len() >= BATCH_BYTES {
            bodies.push((records, std::mem::take(&mut body).finish()));
            records = 0;
        }
    }
    if records > 0 {
        bodies.push((records, body.finish()));
    }
    Ok(bodies)
}

/// Puts the fields of a document (a JSON object) into a body.
fn push_put(body: &mut BodyWriter, collection: &str, id: &str, doc: &str) -> Result<(), NodeError> {
    if doc.len() > MAX_RECORD_BYTES {
        return Err(NodeError::TooLarge { what: "a document", len: doc.len(), max: MAX_RECORD_BYTES });
    }
    // A name with an escape in it can't be borrowed: the rare case is read again, the usual one is fast.
    if let Ok(fields) = serde_json::from_str::<BTreeMap<&str, &RawValue>>(doc) {
        return push_fields(body, collection, id, fields.into_iter());
    }
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(doc)
        .map_err(|err| NodeError::Invalid(format!("the document is not a JSON object: {err}")))?;
    push_fields(body, collection, id, fields.iter().map(|(name, raw)| (name.as_str(), *raw)))
}

fn push_fields<'a>(
    body: &mut BodyWriter,
    collection: &str,
    id: &str,
    fields: impl Iterator<Item = (&'a str, &'a RawValue)>,
) -> Result<(), NodeError> {
    let compact = fields
        .map(|(name, raw)| Ok((name, json::compact(raw.get()).map_err(bad_value(name))?)))
        .collect::<Result<Vec<_>, NodeError>>()?;
    let fields = compact.iter().map(|(name, text)| (*name, text.as_ref())).collect();
    Ok(body.push(&Op::Put { collection, id: RecordId::parse(id)?, fields })?)
}

fn bad_value(name: &str) -> impl FnOnce(json::ValueError) -> NodeError + '_ {
    move |err| NodeError::Invalid(format!("the field {name:?} is {err}"))
}
