//! A Covey node: the cores, the store and the network brought together. This is the Rust API.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use covey_node::{Node, NodeConfig, Profile};
//!
//! let mut config = NodeConfig::new("/tmp/ada");
//! config.profile = Some(Profile { user_name: "Ada".into(), device_name: "laptop".into() });
//! let node = Node::open(config).await?;
//! let garden = node.create_space("garden").await?;
//! let plants = garden.collection("plants")?;
//! let bean = plants.put(None, r#"{"name":"bean","bed":3}"#).await?;
//! assert!(plants.get(&bean.id).await?.is_some());
//! node.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`node`] | [`Node`]: opening, spaces, joining, events, shutting down |
//! | [`space`] | [`Space`]: members, invitations, collections, changes |
//! | [`collection`] | [`Collection`]: put, get, delete, query |
//! | [`delivery`] | on which devices records are |
//! | `sql` | queries over the records of a space |
//! | [`devices`] | a user's own devices: linking, renaming, revoking |
//! | `own` | what keeps a user's devices in all their spaces |
//! | [`profile`] | what this node's user is called |
//! | [`audit`] | [`Act`]: who did what to the membership, and when |
//! | [`status`] | what a node tells about itself |
//! | [`config`], [`error`] | what it's told; what can go wrong |
//! | [`chat`] | channels and messages |
//! | [`children`] | child spaces: made and joined through their parent |
//! | `sync`, `peers` | one session per connected peer; whom to connect to |
//! | [`pairing`] | inviting and joining over the network |
//! | [`backup`] | a whole home in one file, and back |
//! | [`browsers`] | which browsers are signed in at the API |
//! | `doctor` | checks with a remedy each |
//! | `compaction` | when logs are compacted |

pub mod audit;
pub mod backup;
pub mod browsers;
pub mod chat;
pub mod children;
mod chores;
mod clocks;
pub mod collection;
mod compaction;
pub mod config;
pub mod delivery;
pub mod devices;
mod doctor;
pub mod error;
mod forks;
mod new_logs;
pub mod node;
mod own;
mod owners;
pub mod pairing;
mod peers;
pub mod profile;
pub mod space;
mod sql;
pub mod status;
mod sync;

pub use audit::{Act, Deed, Person};
pub use backup::{BackupOrder, Restored, backup_home, restore};
pub use browsers::{Browser, MAX_BROWSERS};
pub use chat::Chat;
pub use collection::{Collection, Put, PutMany};
pub use config::{DEFAULT_MIN_FREE_BYTES, NodeConfig, WallClock};
pub use covey_engine::{EngineError, Profile, compact::Limits as CompactionLimits};
pub use covey_net::{MdnsConfig, NetLimits, NetworkMode};
pub use covey_pair::{Happening, InvitationState, Nameplate};
pub use covey_records::{Filter, FilterError};
pub use covey_space::{MembershipError, ParseRoleError, Role, ops::HistoryPolicy};
pub use covey_store::backup::{BackupError as FileError, Contents, Progress, RestoreError, Stage};
pub use covey_store::sql::{SqlAnswer, SqlError, SqlValue};
pub use covey_store::{Page, PageSize, Unlock, exists, needs_passphrase};
pub use covey_types::{DeviceId, EntryHash, Hlc, LogId, SpaceId, UserId};
pub use delivery::{Deliveries, Delivery, RecordSync};
pub use error::NodeError;
pub use node::{Joined, Node, OpenError, init};
pub use pairing::{JoinError, Linked, PairingAct};
pub use space::{Change, Invitation, Space, Watch};
pub use status::{
    Check, ClockStatus, Event, Fork, Identity, Member, NewLogs, PeerState, PeerStatus, Removal, SpaceStatus,
    Status, SyncState, SyncStatus, Transport,
};
