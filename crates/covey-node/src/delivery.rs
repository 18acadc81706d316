//! On which devices records are: what the others of a space are known to hold durably.
//!
//! Peers say how far their logs reach when a session begins, and acknowledge what they have stored while it lasts. From
//! that, and from what is read of the logs here, follows for each device of the space up to which time it holds what
//! each device wrote ([`Deliveries`]): a few numbers, which answer for any number of records. Nothing is kept per record.
//!
//! What is told is never more than is known. A peer that comes back with less is believed at once; one that is away may
//! have more than is told. Whoever wrote something holds it, unless they have said otherwise since.

mod held;
mod news;

use std::collections::BTreeMap;

use covey_engine::Reaches;
use covey_records::{Reach, Written};
use covey_store::{LogRow, Reader, SpaceKey, StoreError};
use covey_types::{DeviceId, Hlc};

pub(crate) use self::{
    held::{Holdings, Places},
    news::run,
};
use crate::{Collection, NodeError, Space};

/// Records of which the state is asked for at once: a long page of a chat.
const MAX_AT_ONCE: usize = 10_000;

/// What the other devices of a space hold, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deliveries {
    /// The devices.
    pub devices: Vec<Delivery>,
    /// Up to which time it was looked at what each device wrote.
    pub newest: BTreeMap<DeviceId, Hlc>,
}

/// What one other device of a space holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Which device.
    pub device: DeviceId,
    /// Its name, if it's known.
    pub name: Option<String>,
    /// The devices that wrote more than it holds, and up to which time it holds what they wrote.
    pub lacks: BTreeMap<DeviceId, Hlc>,
}

impl Deliveries {
    /// The devices that hold what `author` wrote at this time: what [`Put::hlc`](crate::Put::hlc) told, for instance.
    pub fn of(&self, author: DeviceId, hlc: Hlc) -> impl Iterator<Item = DeviceId> + '_ {
        // What was written since is nowhere yet, as far as is known here.
        let looked_at = self.newest.get(&author).is_some_and(|newest| hlc <= *newest);
        let holds = move |delivery: &&Delivery| {
            looked_at && delivery.lacks.get(&author).is_none_or(|up_to| hlc <= *up_to)
        };
        self.devices.iter().filter(holds).map(|delivery| delivery.device)
    }
}

/// On which other devices of its space a record is, as it stands here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordSync {
    /// The devices that are known to hold it durably.
    pub on: Vec<DeviceId>,
    /// The other devices of the space.
    pub not_on: Vec<DeviceId>,
}

impl RecordSync {
    /// Whether no other device is known to hold it.
    pub fn is_pending(&self) -> bool {
        self.on.is_empty()
    }
}

/// What is known of the peers before the store is looked at, so that it never tells of more than is there.
#[derive(Debug)]
struct Known {
    key: SpaceKey,
    own: DeviceId,
    /// The other devices of the space, with their names and what they hold.
    others: Vec<(DeviceId, Option<String>, Places)>,
}

impl Known {
    fn of(space: &Space) -> Result<Self, NodeError> {
        let node = &space.node;
        let (own, mut places) = (node.device(), node.0.held.of(space.id()));
        let engine = node.engine();
        let state = engine.space(space.id())?;
        // Whoever is out has nothing to do with who holds what.
        let others = state.membership.devices().filter(|_| !state.is_out(own)).map(|(device, _)| device);
        let others = others.filter(|device| *device != own).map(|device| {
            let name = state.membership.device_name(device).map(str::to_owned);
            (device, name, places.remove(&device).unwrap_or_default())
        });
        Ok(Self { key: state.key, own, others: others.collect() })
    }

    fn reaches(&self, reader: &Reader<'_>) -> Result<(Reaches, Vec<Reach>), StoreError> {
        let mut logs = Reaches::load(reader, self.key)?;
        let reach = |(device, _, places): &(DeviceId, Option<String>, Places)| {
            logs.reach(reader, |row| places.of(*device, row.id, row.head.seq))
        };
        let reaches = self.others.iter().map(reach).collect::<Result<_, _>>()?;
        Ok((logs, reaches))
    }
}

/// Entries of this device that no other device of the space is known to hold.
pub(crate) fn pending(space: &Space, logs: &[LogRow]) -> Result<u64, NodeError> {
    let known = Known::of(space)?;
    let pending = |row: &LogRow| {
        let places = known.others.iter().map(|(device, _, places)| places.of(*device, row.id, row.head.seq));
        row.head.seq - places.max().unwrap_or(0)
    };
    Ok(logs.iter().filter(|row| row.id.device == known.own).map(pending).sum())
}

impl Space {
    /// What the other devices of the space are known to hold durably. Cheap enough to be asked for after each
    /// [`Event::Delivered`](crate::Event::Delivered), and enough to mark any number of records.
    ///
    /// # Errors
    /// The store's.
    pub async fn deliveries(&self) -> Result<Deliveries, NodeError> {
        let known = Known::of(self)?;
        let look = move |reader: &Reader<'_>| {
            let (logs, reaches) = known.reaches(reader)?;
            let mut newest = BTreeMap::new();
            for row in logs.logs() {
                let slot = newest.entry(row.id.device).or_insert(row.hlc);
                *slot = row.hlc.max(*slot);
            }
            let device = |((device, name, _), reach): ((DeviceId, _, _), Reach)| Delivery {
                device,
                name,
                lacks: newest.keys().filter_map(|author| Some((*author, reach.up_to(*author)?))).collect(),
            };
            let devices = known.others.into_iter().zip(reaches).map(device).collect();
            Ok(Deliveries { devices, newest })
        };
        Ok(self.node.0.store.read(look).await?)
    }
}

impl Collection {
    /// On which other devices a record is, as it stands here; deleted ones too. `None` if there never was one.
    ///
    /// # Errors
    /// The store's.
    pub async fn sync_state(&self, id: &str) -> Result<Option<RecordSync>, NodeError> {
        Ok(self.sync_states(vec![id.to_owned()]).await?.pop().flatten())
    }

    /// The same for many records, in the order of their ids here.
    ///
    /// # Errors
    /// [`NodeError::Invalid`] for more than ten thousand; the store's.
    pub async fn sync_states(&self, ids: Vec<String>) -> Result<Vec<Option<RecordSync>>, NodeError> {
        if ids.len() > MAX_AT_ONCE {
            return Err(NodeError::Invalid(format!(
                "more than {MAX_AT_ONCE} records are asked about at once"
            )));
        }
        let count = ids.len();
        let (space, name) = (self.space(), self.name().to_owned());
        let known = Known::of(space)?;
        let read = move |reader: &Reader<'_>| {
            let Some(collection) = reader.collection(known.key, &name)? else { return Ok((known, None)) };
            let states = ids
                .iter()
                .map(|id| Ok(reader.record_state(collection, id)?.map(|row| row.state)))
                .collect::<Result<Vec<_>, StoreError>>()?;
            let (_, reaches) = known.reaches(reader)?;
            Ok((known, Some((states, reaches))))
        };
        let (known, found) = space.node.0.store.read(read).await?;
        let Some((states, reaches)) = found else { return Ok(vec![None; count]) };
        let engine = space.node.engine();
        let state = |state: Option<Vec<u8>>| {
            state.map(|state| Ok(sync_of(&known, &reaches, &written(&state, &engine.devices)?))).transpose()
        };
        states.into_iter().map(state).collect()
    }
}

fn written(state: &[u8], devices: &impl covey_records::Devices) -> Result<Written, NodeError> {
    let corrupt = |reason: String| StoreError::Corrupt { doing: "read the state of a record", reason };
    Written::from_state(state, devices).map_err(|err| corrupt(err.to_string()).into())
}

fn sync_of(known: &Known, reaches: &[Reach], written: &Written) -> RecordSync {
    let mut sync = RecordSync::default();
    for ((device, ..), reach) in known.others.iter().zip(reaches) {
        if written.is_within(reach) { sync.on.push(*device) } else { sync.not_on.push(*device) }
    }
    sync
}
