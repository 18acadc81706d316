//! On which devices records are, as it travels.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A device by both its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceName {
    /// Its id.
    pub peer_id: String,
    /// Its name, if it's known.
    #[schema(required)]
    pub name: Option<String>,
}

/// On which other devices a record is: `GET .../records/{id}/sync`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RecordSync)]
pub struct RecordSyncDto {
    /// The record's id.
    pub id: String,
    /// Whether no other device is known to hold it.
    pub pending: bool,
    /// The devices that are known to hold it durably, as it stands here.
    pub synced_to: Vec<DeviceName>,
    /// The other devices of the space.
    pub missing: Vec<DeviceName>,
}

/// `POST .../collections/{collection}/sync`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordSyncRequest {
    /// The records that are asked about.
    pub ids: Vec<String>,
}

/// On which other devices records are: those that there are of the ones that were asked about, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordSyncList {
    /// The records.
    pub items: Vec<RecordSyncDto>,
}

/// What the other devices of a space hold: `GET spaces/{space}/deliveries`. Times are as in `hlc` of a write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Deliveries)]
pub struct DeliveriesDto {
    /// By device: the time of the newest that it wrote, as far as is known here.
    pub newest: BTreeMap<String, String>,
    /// The other devices.
    pub devices: Vec<DeliveryDto>,
}

/// What one other device of a space holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Delivery)]
pub struct DeliveryDto {
    /// Its id.
    pub peer_id: String,
    /// Its name, if it's known.
    #[schema(required)]
    pub name: Option<String>,
    /// By device, where it doesn't hold all that one wrote: up to which time it does.
    pub lacks: BTreeMap<String, String>,
}
