//! Inviting and joining over the network: `covey-pair` driven over a raw stream.
//!
//! A joiner with a code asks every device that it can find whether the code is theirs; with a link it goes
//! to the one that the link names. The inviter writes the joiner into its log, durably, before it sends the
//! welcome; the joiner keeps the welcome, durably, before it says that it has it.
//!
//! Both sides bound what a stranger can guess: [`Invitations`] counts an inviter's wrong guesses, and
//! [`search`] what a joiner lets others check.

mod account;
mod admission;
mod joining;
mod linking;
mod search;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use covey_net::NetStream;
use covey_pair::{CodeError, Invitations, InviteError, Link, LinkError, PairError, Purpose, Refusal, Terms};
use covey_space::Role;
use covey_types::{
    DeviceId, SpaceId,
    limits::{MAX_INVITE_MS, MAX_PAIR_MESSAGE_BYTES},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Notify, Semaphore},
};

pub use self::{account::PairingAct, linking::Linked};
pub(crate) use self::{
    account::{begin, keep, note},
    admission::accept,
    joining::join,
    linking::{invite_device, link},
};
use crate::{Invitation, Node, NodeError, Space};

/// The stream's protocol.
const PROTOCOL: &str = "/covey/pair/1";

/// How long one pairing may take on the inviter's side, and one attempt on the joiner's.
const PAIRING_TIMEOUT: Duration = Duration::from_secs(20);

/// Pairings that an inviter holds at a time: each is a guess at most.
const MAX_PAIRINGS: usize = 8;

/// Invitations and the pairings that are under way.
#[derive(Debug)]
pub(crate) struct Pairing {
    invitations: Mutex<Invitations>,
    /// Something happened to an invitation.
    changed: Notify,
    /// Held by whoever keeps what happened to them.
    noting: tokio::sync::Mutex<()>,
    slots: Semaphore,
    /// The devices that are pairing now: one at a time each, so that a single stranger can't take all the slots.
    busy: Mutex<BTreeSet<DeviceId>>,
    /// The devices that this one is asking to be let in, and by how many joins at once.
    asked: Mutex<BTreeMap<DeviceId, u32>>,
}

/// A device's turn to pair; ends when dropped.
struct Turn<'a> {
    pairing: &'a Pairing,
    device: DeviceId,
    _slot: tokio::sync::SemaphorePermit<'a>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pairing.busy().remove(&self.device);
    }
}

/// While it lives, this device is asking another to be let in.
struct Asking<'a> {
    pairing: &'a Pairing,
    device: DeviceId,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut asked = self.pairing.asked();
        if let Some(joins) = asked.get_mut(&self.device) {
            *joins -= 1;
            if *joins == 0 {
                asked.remove(&self.device);
            }
        }
    }
}

impl Default for Pairing {
    fn default() -> Self {
        Self {
            invitations: Mutex::default(),
            changed: Notify::new(),
            noting: tokio::sync::Mutex::default(),
            slots: Semaphore::new(MAX_PAIRINGS),
            busy: Mutex::default(),
            asked: Mutex::default(),
        }
    }
}

/// Why a space could not be joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Not a code.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// Not a link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A link of the other kind.
    #[error("{}", other_kind(*found))]
    OtherKind {
        /// What the link is for.
        found: Purpose,
    },
    /// The link's time is over.
    #[error("the invitation link has expired; ask for a new one")]
    LinkExpired,
    /// The inviter said no.
    #[error(transparent)]
    Refused(Refusal),
    /// Nobody knows the code.
    #[error(
        "nobody answered to this code within {} s; {asked} device{} asked. Is the inviting node running, and on the \
         same network? A link from `covey invite` works across networks.",
        waited.as_secs(), if *asked == 1 { " was" } else { "s were" }
    )]
    NobodyAnswered {
        /// How long was waited.
        waited: Duration,
        /// How many devices were found and asked.
        asked: usize,
    },
    /// The inviter of a link could not be reached.
    #[error("the inviting device could not be reached at the addresses in the link: {0}")]
    Unreachable(String),
    /// Joined, but the inviter went away before everything was there.
    #[error(
        "joined {space:?}, but the first sync did not finish within {} s: {reason}. It goes on by itself.",
        waited.as_secs()
    )]
    NotSynced {
        /// The space's name.
        space: String,
        /// What it waits for.
        reason: String,
        /// How long was waited.
        waited: Duration,
    },
    /// As many devices as may claimed the code as theirs, and none proved that it knows the code.
    #[error(
        "{devices} devices answered to this code and none of them knows it: either it is mistyped, or somebody on \
         this network is guessing. Ask for a new code, or for the link from `covey invite`."
    )]
    Guessed {
        /// How many.
        devices: u32,
    },
    /// The conversation broke off.
    #[error("pairing with {peer} broke off: {reason}")]
    Broken {
        /// With whom.
        peer: DeviceId,
        /// Why.
        reason: String,
    },
    /// This node has no network.
    #[error("this node runs without a network (solo); start it with --network lan to join")]
    Solo,
}

/// Opens an invitation.
pub(crate) async fn invite(space: &Space, role: Role, expires: Duration) -> Result<Invitation, NodeError> {
    let node = &space.node;
    let device = node.device();
    space.require_shared("invited to")?;
    let name = {
        let engine = node.engine();
        let state = engine.space(space.id())?;
        if let Some(parent) = state.parent() {
            let parent = engine.space(parent).map_or("another space", |parent| parent.name());
            let name = state.name();
            let why =
                format!("{name:?} is a child of {parent:?}: whoever is in that one is added without a code");
            return Err(NodeError::Invalid(why));
        }
        state.require_role(device, role.max(Role::Admin))?;
        state.name().to_owned()
    };
    open_invitation(node, Purpose::Space, (space.id(), name), role, expires).await
}

/// Opens an invitation to a space, or to be a device of this user and so in their personal space. `name` is what the link
/// shows.
async fn open_invitation(
    node: &Node,
    purpose: Purpose,
    (space, name): (SpaceId, String),
    role: Role,
    expires: Duration,
) -> Result<Invitation, NodeError> {
    let now = node.now_ms();
    let terms = Terms {
        space,
        role: role.to_u8(),
        expires_at_ms: now.saturating_add(u64::try_from(expires.as_millis()).unwrap_or(u64::MAX)),
    };
    let code = node.0.pairing.invitations().open_for(purpose, terms, now).map_err(|err| match err {
        InviteError::TooLong { .. } => NodeError::Invalid(format!(
            "an invitation can last at most {} h",
            Duration::from_millis(MAX_INVITE_MS).as_secs() / 3600
        )),
        other => NodeError::Invalid(other.to_string()),
    })?;
    // Kept before anybody can use it: what this device has handed out is on disk.
    if let Err(err) = account::note(node).await {
        node.0.pairing.invitations().withdraw(code.nameplate(), now);
        return Err(err);
    }
    // The keeper waits for whichever ends first.
    node.0.pairing.changed.notify_one();
    let link = Link {
        purpose,
        code: code.clone(),
        inviter: node.device(),
        addresses: node.0.net.listen_addrs().await.iter().map(ToString::to_string).collect(),
        expires_at_ms: terms.expires_at_ms,
        space_name: name,
    }
    .bounded();
    tracing::info!(%space, %role, ?purpose, "opened an invitation");
    Ok(Invitation {
        id: code.nameplate(),
        code: code.to_string(),
        link: link.to_string(),
        expires_at_ms: terms.expires_at_ms,
        role,
    })
}

fn other_kind(found: Purpose) -> &'static str {
    match found {
        Purpose::Space => "this link invites to a space: use it with `covey join`",
        Purpose::Device => {
            "this link makes a device one of its sender's own: use it with `covey device join`, on a device of yours"
        }
    }
}

impl Pairing {
    fn busy(&self) -> std::sync::MutexGuard<'_, BTreeSet<DeviceId>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, device: DeviceId) -> Option<Turn<'_>> {
        let slot = self.slots.try_acquire().ok()?;
        self.busy().insert(device).then(|| Turn { pairing: self, device, _slot: slot })
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, BTreeMap<DeviceId, u32>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asking(&self, device: DeviceId) -> Asking<'_> {
        *self.asked().entry(device).or_insert(0) += 1;
        Asking { pairing: self, device }
    }

    /// Whether a pairing with this device is under way, on either side.
    pub(crate) fn is_pairing(&self, device: DeviceId) -> bool {
        self.busy().contains(&device) || self.asked().contains_key(&device)
    }

    fn invitations(&self) -> std::sync::MutexGuard<'_, Invitations> {
        self.invitations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a conversation ended early.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// It broke off, or a person mistyped.
    #[error("{0}")]
    Broken(String),
    /// The other side sent what no honest one sends.
    #[error("{0}")]
    Misbehaved(String),
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Broken(reason)
    }
}

impl From<PairError> for Failure {
    fn from(err: PairError) -> Self {
        match err {
            PairError::Decode(_) | PairError::Unexpected { .. } | PairError::KeyExchange(_) => {
                Self::Misbehaved(err.to_string())
            }
            other => Self::Broken(other.to_string()),
        }
    }
}

async fn send(stream: &mut NetStream, message: &[u8]) -> Result<(), String> {
    let frame = [&(message.len() as u32).to_le_bytes(), message].concat();
    stream.write_all(&frame).await.map_err(|err| err.to_string())?;
    stream.flush().await.map_err(|err| err.to_string())
}

async fn receive(stream: &mut NetStream) -> Result<Vec<u8>, Failure> {
    let mut len = [0; 4];
    stream.read_exact(&mut len).await.map_err(|err| err.to_string())?;
    let len = u32::from_le_bytes(len) as usize;
    if len > MAX_PAIR_MESSAGE_BYTES {
        let limit = MAX_PAIR_MESSAGE_BYTES;
        return Err(Failure::Misbehaved(format!(
            "a message of {len} bytes is longer than the limit of {limit}"
        )));
    }
    let mut message = vec![0; len];
    stream.read_exact(&mut message).await.map_err(|err| err.to_string())?;
    Ok(message)
}
