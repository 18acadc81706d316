//! The node itself, its network and its peers, as they travel.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{OwnDeviceDto, SpaceDto, words};

/// Who a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Identity)]
pub struct IdentityDto {
    /// The person's name.
    pub user: String,
    /// This device's name.
    pub device: String,
    /// This device's id.
    pub peer_id: String,
    /// Twenty characters for two people to compare.
    pub fingerprint: String,
    /// The first bits of it as four words, to be compared by voice.
    #[serde(default)]
    #[schema(required)]
    pub words: Vec<String>,
    /// The person's id.
    pub user_id: String,
}

/// The node's own line in [`StatusDto`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Node)]
pub struct NodeDto {
    /// Who it is.
    #[serde(flatten)]
    pub identity: IdentityDto,
    /// The version of the running build.
    pub version: String,
    /// Seconds since it started.
    pub uptime_s: u64,
}

/// How far the network reaches and where the node listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Network)]
pub struct NetworkDto {
    /// `solo`, `lan` or `wan`.
    #[schema(value_type = words::NetworkMode)]
    pub mode: String,
    /// Multiaddrs.
    pub listen: Vec<String>,
}

/// Another device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Peer)]
pub struct PeerDto {
    /// Its id.
    pub peer_id: String,
    /// Its name, where a common space tells it.
    #[schema(required)]
    pub name: Option<String>,
    /// The name of its owner, likewise.
    #[schema(required)]
    pub user: Option<String>,
    /// `connected`, `reachable` or `offline`.
    #[schema(value_type = words::PeerState)]
    pub state: String,
    /// `direct` or `relayed` when connected.
    #[schema(value_type = Option<words::PeerPath>, required)]
    pub path: Option<String>,
    /// `quic` or `tcp` when connected.
    #[schema(value_type = Option<words::Transport>, required)]
    pub transport: Option<String>,
    /// The last measured round trip, in milliseconds.
    #[schema(required)]
    pub rtt_ms: Option<f64>,
    /// The multiaddr in use, or the best one known.
    #[schema(required)]
    pub address: Option<String>,
}

/// A device whose clock is too far from this node's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Clock)]
pub struct ClockDto {
    /// Its id.
    pub peer_id: String,
    /// Its name.
    #[schema(required)]
    pub name: Option<String>,
    /// How far it is ahead, or behind where negative, in milliseconds.
    pub ahead_ms: i64,
    /// Its entries that are held until their time comes.
    pub held: u64,
}

/// A node at one moment: `GET status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Status)]
pub struct StatusDto {
    /// The node itself.
    pub node: NodeDto,
    /// Its network.
    pub network: NetworkDto,
    /// The devices it knows.
    pub peers: Vec<PeerDto>,
    /// Its spaces.
    pub spaces: Vec<SpaceDto>,
    /// This user's devices, this one first.
    #[serde(default)]
    #[schema(required)]
    pub devices: Vec<OwnDeviceDto>,
    /// Whether this device was revoked by another one of its user's.
    #[serde(default)]
    #[schema(required)]
    pub revoked: bool,
    /// Members' devices whose clocks are more than five minutes from this node's.
    #[serde(default)]
    #[schema(required)]
    pub clocks: Vec<ClockDto>,
}

/// One thing the doctor looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Check)]
pub struct CheckDto {
    /// A short name, stable for scripts.
    pub name: String,
    /// Whether all is well.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What to do about it, when not ok.
    #[schema(required)]
    pub remedy: Option<String>,
}

/// `GET doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Doctor)]
pub struct DoctorDto {
    /// Whether every check is.
    pub ok: bool,
    /// The checks.
    pub checks: Vec<CheckDto>,
}

impl From<Vec<CheckDto>> for DoctorDto {
    fn from(checks: Vec<CheckDto>) -> Self {
        Self { ok: checks.iter().all(|check| check.ok), checks }
    }
}

/// `POST web-link`: a link that signs one browser in, once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = WebLink)]
pub struct WebLinkDto {
    /// The link. Secret until it is used, so this type doesn't print.
    pub link: String,
}
