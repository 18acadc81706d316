//! Taking a further device of this user in, and becoming one.
//!
//! The linking device asks the new one for its consent, certifies it, and writes it into the personal space, durably,
//! before it hands the user's secret over. The new device keeps all of that in one transaction, in the place of the user
//! and the personal space that it was made with. Into the other spaces it's taken by whoever can: see `own`.

use std::time::Duration;

use covey_engine::{HoldReason, Ingested, set_personal_space};
use covey_pair::{Code, Link, Purpose, Terms};
use covey_space::{Device, DeviceCert, LinkConsent, LinkQuestion, LinkRequest, LinkWelcome, Role};
use covey_types::{DeviceId, SpaceId, UserId, UserSecret};
use tokio::time::{Instant, timeout_at};

use super::{
    JoinError,
    joining::{first_sync, join_by_link, needs_network},
    open_invitation, search,
};
use crate::{Invitation, Node, NodeError};

/// A device that was just linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// The user that this device had before, and has no more.
    pub replaced: UserId,
    /// The device that took this one in.
    pub by: DeviceId,
    /// What that is called.
    pub by_name: String,
    /// The spaces of the user, and whether each is here in full. The others come by themselves.
    pub spaces: Vec<(SpaceId, String, bool)>,
}

/// Opens a way in for a further device of this user.
pub(crate) async fn invite_device(node: &Node, expires: Duration) -> Result<Invitation, NodeError> {
    node.require_not_revoked()?;
    let missing = || NodeError::Internal("there is no personal space".into());
    let personal = node.0.own.personal().ok_or_else(missing)?;
    node.engine().space(personal)?.require_role(node.device(), Role::Owner)?;
    let name = node.secrets().profile.user_name.clone();
    open_invitation(node, Purpose::Device, (personal, name), Role::Owner, expires).await
}

/// What a device that wants to be linked is asked.
pub(super) fn question(node: &Node) -> LinkQuestion {
    LinkQuestion { user: node.secrets().user.id() }
}

/// Writes a device that has agreed into the personal space, and makes its welcome.
pub(super) async fn admit(
    node: &Node,
    joiner: DeviceId,
    terms: Terms,
    request: LinkRequest,
    consent: &[u8],
) -> Result<LinkWelcome, NodeError> {
    let consent = LinkConsent::decode(consent).map_err(|err| NodeError::Invalid(err.to_string()))?;
    let secrets = node.secrets();
    let LinkRequest { device_name: name, kem } = request;
    let cert = DeviceCert::countersign(&secrets.user, joiner, kem, consent.signature);
    let cert = cert.ok_or_else(|| NodeError::Invalid("the device has not agreed to its user".into()))?;
    let id = terms.space;
    let device = Device { cert, name };
    let (node_of_task, secrets_of_task, now) = (node.clone(), node.secrets(), node.now_ms());
    // Decided in the change itself, so that the user's secret goes to nobody who isn't durably in; and to its end, whatever
    // becomes of the pairing.
    let added = async move {
        let node = node_of_task;
        let written = node.write(move |tx, engine| {
            let membership = &engine.space(id)?.membership;
            if membership.has_device(joiner) && membership.kem_of(joiner) == Some(kem) {
                return Ok(None);
            }
            Ok(Some(engine.add_device(tx, &secrets_of_task, id, &device, now)?))
        });
        if let Some((entry, outcome)) = written.await? {
            node.acted(id, entry, &outcome);
            tracing::info!(%joiner, "linked a device");
        }
        Ok(())
    };
    node.to_its_end(added).await?;
    let addresses = node.0.net.listen_addrs().await.iter().map(ToString::to_string).collect();
    let engine = node.engine();
    let state = engine.space(id)?;
    let epoch = state.membership.current_epoch();
    let epoch = epoch.ok_or_else(|| NodeError::NotReady { space: state.name().to_owned() })?;
    Ok(LinkWelcome {
        user: secrets.user.seed(),
        user_name: secrets.profile.user_name.clone(),
        personal: id,
        keys: state.info.keys.for_joining(epoch),
        linker: secrets.certified(),
        addresses,
    })
}

/// Makes this device one of another user's, and waits until what they have is here, or the time is over.
pub(crate) async fn link(node: &Node, text: &str, timeout: Duration) -> Result<Linked, NodeError> {
    let started = Instant::now();
    let deadline = started + timeout;
    let replaced = node.secrets().user.id();
    let text = text.trim();
    let (personal, by) = if text.starts_with("covey:") {
        let link: Link = text.parse().map_err(JoinError::Link)?;
        require_fresh(node).await?;
        needs_network(node)?;
        join_by_link(node, Purpose::Device, link, deadline).await?
    } else {
        let code: Code = text.parse().map_err(JoinError::Code)?;
        require_fresh(node).await?;
        needs_network(node)?;
        search::join_by_code(node, Purpose::Device, &code, started, deadline).await?
    };
    node.space_added(personal);
    first_sync(node, personal, by, started, deadline).await?;
    let spaces = all_here(node, deadline).await?;
    let by_name = node.engine().space(personal)?.membership.device_name(by).unwrap_or_default().to_owned();
    Ok(Linked { replaced, by, by_name, spaces })
}

/// Refuses a device that holds something of its own: it would be lost, or be somebody else's.
async fn require_fresh(node: &Node) -> Result<(), NodeError> {
    let keeper = node.clone();
    let Some(personal) = node.0.own.personal() else { return Ok(()) };
    let read = move |reader: &covey_store::Reader<'_>| Ok(keeper.engine().is_fresh(reader, personal));
    if node.0.store.read(read).await?? { Ok(()) } else { Err(used(node)) }
}

fn used(node: &Node) -> NodeError {
    NodeError::NotFresh { spaces: node.spaces().len() as u64, devices: node.own_devices().len() as u64 }
}

/// Keeps what a new device was given: from now on it's that user's.
pub(super) async fn take_over(
    node: &Node,
    inviter: DeviceId,
    welcome: &[u8],
    terms: Terms,
    agreed: Option<UserId>,
) -> Result<SpaceId, NodeError> {
    let welcome = LinkWelcome::decode(welcome).map_err(|err| NodeError::Invalid(err.to_string()))?;
    let user = UserSecret::from_seed(&welcome.user);
    if welcome.personal != terms.space
        || welcome.linker.cert.device != inviter
        || welcome.linker.cert.user != user.id()
        || agreed != Some(user.id())
    {
        return Err(NodeError::Invalid("the welcome contradicts what was agreed".into()));
    }
    node.0.peers.remember(node, inviter, &welcome.addresses);
    let LinkWelcome { user_name, personal, keys, .. } = welcome;
    let secrets = node.secrets().of_user(user, user_name);
    let (saved, now) = (secrets.clone(), node.now_ms());
    let old = node.0.own.personal();
    let node_of_task = node.clone();
    // To its end: what is in memory must be the user that is on disk.
    let taken = async move {
        let (node, keeper) = (node_of_task.clone(), node_of_task);
        let entered: Ingested = node
            .write(move |tx, engine| {
                if let Some(old) = old {
                    if !engine.is_fresh(tx, old)? {
                        return Err(keeper_used(&keeper, engine));
                    }
                    let key = engine.space(old)?.key;
                    tx.remove_space(key)?;
                    engine.forget_space(old);
                }
                saved.save(tx)?;
                set_personal_space(tx, personal)?;
                engine.enter_space(tx, personal, covey_engine::personal::PERSONAL_NAME, keys, inviter)?;
                Ok(engine.release(tx, &saved, personal, HoldReason::Key, now)?)
            })
            .await?;
        node.set_secrets(secrets);
        node.0.own.set_personal(personal);
        tracing::info!("this device is another user's now");
        crate::sync::conclude(&node, personal, &entered);
        Ok(personal)
    };
    node.to_its_end(taken).await
}

/// As [`used`], where the engine is in hand already.
fn keeper_used(node: &Node, engine: &covey_engine::Engine) -> NodeError {
    let personal = node.0.own.personal();
    let spaces = engine.spaces.keys().filter(|id| Some(**id) != personal).count() as u64;
    NodeError::NotFresh { spaces, devices: 1 }
}

/// Waits until all spaces of the user are here in full, or the time is over; how each stands then.
async fn all_here(node: &Node, deadline: Instant) -> Result<Vec<(SpaceId, String, bool)>, NodeError> {
    let mut events = node.events();
    loop {
        let wanted = crate::own::told_spaces(node).await?;
        let is_here = |id: SpaceId| {
            let is_in = node.engine().space(id).is_ok_and(|space| space.membership.has_device(node.device()));
            let views = node.0.sessions.sharing(id);
            let has_all = |peer: DeviceId| {
                node.0.sessions.view(peer, id).is_some_and(|view| view.heads_known && view.missing_here == 0)
            };
            is_in && views.into_iter().any(has_all)
        };
        let spaces: Vec<_> = wanted.into_iter().map(|(id, name)| (id, name, is_here(id))).collect();
        if spaces.iter().all(|(_, _, here)| *here) || Instant::now() >= deadline {
            return Ok(spaces);
        }
        // A view also moves without an event: look at it now and then.
        let look_again = (Instant::now() + Duration::from_millis(20)).min(deadline);
        let _ = timeout_at(look_again, events.recv()).await;
    }
}
