//! On which devices records are.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use covey_node::{DeviceId, RecordSync, Space};

use super::ApiState;
use crate::{
    dto::{DeliveriesDto, DeliveryDto, DeviceName, RecordSyncDto, RecordSyncList, RecordSyncRequest},
    extract::{InJson, InPath},
    problem::Problem,
};

/// On which other devices a record is.
#[utoipa::path(
    get,
    path = "/spaces/{space}/collections/{collection}/records/{id}/sync",
    tag = "records",
    operation_id = "getRecordSync",
    responses((status = 200, description = "Where it is.", body = RecordSyncDto))
)]
pub(super) async fn one(
    State(state): State<ApiState>,
    InPath((space, name, id)): InPath<(String, String, String)>,
) -> Result<Json<RecordSyncDto>, Problem> {
    let space = state.node.space(&space)?;
    let found = space.collection(&name)?.sync_state(&id).await?;
    let sync = found.ok_or_else(|| super::records::no_record(&name, &id))?;
    Ok(Json(told(id, sync, &names(&space))))
}

/// On which other devices records are.
#[utoipa::path(
    post,
    path = "/spaces/{space}/collections/{collection}/sync",
    tag = "records",
    operation_id = "getRecordsSync",
    request_body = RecordSyncRequest,
    responses((status = 200, description = "Where they are.", body = RecordSyncList))
)]
pub(super) async fn many(
    State(state): State<ApiState>,
    InPath((space, name)): InPath<(String, String)>,
    InJson(request): InJson<RecordSyncRequest>,
) -> Result<Json<RecordSyncList>, Problem> {
    let space = state.node.space(&space)?;
    let found = space.collection(&name)?.sync_states(request.ids.clone()).await?;
    let names = names(&space);
    let item = |(id, sync): (String, Option<RecordSync>)| Some(told(id, sync?, &names));
    Ok(Json(RecordSyncList { items: request.ids.into_iter().zip(found).filter_map(item).collect() }))
}

/// What the other devices of a space hold.
#[utoipa::path(
    get,
    path = "/spaces/{space}/deliveries",
    tag = "records",
    operation_id = "getDeliveries",
    responses((status = 200, description = "What they hold.", body = DeliveriesDto))
)]
pub(super) async fn all(
    State(state): State<ApiState>,
    InPath(space): InPath<String>,
) -> Result<Json<DeliveriesDto>, Problem> {
    let deliveries = state.node.space(&space)?.deliveries().await?;
    let times = |times: BTreeMap<DeviceId, covey_node::Hlc>| {
        times.into_iter().map(|(device, hlc)| (device.to_string(), hlc.to_string())).collect()
    };
    let device = |delivery: covey_node::Delivery| DeliveryDto {
        peer_id: delivery.device.to_string(),
        name: delivery.name,
        lacks: times(delivery.lacks),
    };
    Ok(Json(DeliveriesDto {
        newest: times(deliveries.newest),
        devices: deliveries.devices.into_iter().map(device).collect(),
    }))
}

fn names(space: &Space) -> BTreeMap<DeviceId, String> {
    space.members().into_iter().flat_map(|member| member.devices).collect()
}

fn told(id: String, sync: RecordSync, names: &BTreeMap<DeviceId, String>) -> RecordSyncDto {
    let named = |devices: Vec<DeviceId>| {
        let named =
            |device: DeviceId| DeviceName { peer_id: device.to_string(), name: names.get(&device).cloned() };
        devices.into_iter().map(named).collect()
    };
    let pending = sync.is_pending();
    RecordSyncDto { id, pending, synced_to: named(sync.on), missing: named(sync.not_on) }
}
