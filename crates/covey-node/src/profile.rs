//! What this node's user is called, on all their devices and in all their spaces.
//!
//! The name stands in the personal space, where any device of the user changes it, and in each space that they are in. The
//! device on which it was changed tells the spaces at once. A space that it couldn't tell is told by whichever device of
//! theirs can, and sees that the space still knows them by a name that they have given up: one that stands in the personal
//! space before the newest. So a device that hasn't heard of the newest name never takes it back.

use std::collections::BTreeSet;

use covey_engine::load_all_acts;
use covey_space::MembershipOp;
use covey_store::Reader;
use covey_types::{EntryHash, SpaceId, UserId};

use crate::{
    Node, NodeError, Space,
    own::{TURN, take_names_over, turn},
    space::Act,
};

impl Node {
    /// Gives this node's user another name. It's durable in the personal space when this answers; spaces that can't be told
    /// now, for want of a key, are told later.
    ///
    /// # Errors
    /// [`NodeError::Invalid`] for a name that can't be one; [`NodeError::Revoked`]; the store's.
    pub async fn rename_user(&self, name: &str) -> Result<(), NodeError> {
        self.require_not_revoked()?;
        let none = || NodeError::NotFound { kind: "space", name: "personal".into() };
        let personal = self.personal().ok_or_else(none)?;
        personal.rename_user(name).await?;
        take_names_over(self, personal.id()).await?;
        for space in outdated(self, personal.id(), name).await? {
            tell(&space, name).await;
        }
        Ok(())
    }
}

impl Space {
    async fn rename_user(&self, name: &str) -> Result<(), NodeError> {
        let name = name.to_owned();
        self.act_all(move |engine, Act { rows, secrets, space, now_ms }| {
            let renamed = engine.rename_user(rows, secrets, space, &name, now_ms)?;
            Ok(renamed.map(|acted| (space, acted)).into_iter().collect())
        })
        .await
    }
}

async fn tell(space: &Space, name: &str) {
    if let Err(err) = space.rename_user(name).await {
        tracing::warn!(space = %space.id(), %err, "telling a space the new name of its member");
    }
}

/// Tells spaces that know the user by a former name. Another device may be at it: each looks again when it's its turn.
///
/// # Errors
/// The store's.
pub(crate) async fn tell_spaces(node: &Node, personal: SpaceId) -> Result<(), NodeError> {
    let name = node.secrets().profile.user_name.clone();
    let before = outdated(node, personal, &name).await?;
    let Some(turn) = before.iter().map(|space| turn(node, personal, space.id())).max() else { return Ok(()) };
    // Whoever was asked to change the name tells the spaces first of all.
    tokio::time::sleep(TURN * (turn + 1)).await;
    for space in outdated(node, personal, &name).await? {
        tell(&space, &name).await;
    }
    Ok(())
}

/// The spaces that the user is in under a name that they have given up for this one.
async fn outdated(node: &Node, personal: SpaceId, name: &str) -> Result<Vec<Space>, NodeError> {
    let user = node.secrets().user.id();
    let mut spaces: Vec<(Space, String)> = Vec::new();
    for space in node.spaces().into_iter().filter(|space| space.role().is_some()) {
        let engine = node.engine();
        let called = engine.space(space.id())?.membership.user_name(user).map(str::to_owned);
        drop(engine);
        spaces.extend(called.filter(|called| called != name).map(|called| (space, called)));
    }
    if spaces.is_empty() {
        return Ok(Vec::new());
    }
    let former = names(node, personal, user).await?;
    Ok(spaces.into_iter().filter(|(_, called)| former.contains(called)).map(|(space, _)| space).collect())
}

/// All names that the user ever had in the personal space, where they name themself alone.
async fn names(node: &Node, personal: SpaceId, user: UserId) -> Result<BTreeSet<String>, NodeError> {
    let (key, keys) = {
        let engine = node.engine();
        let state = engine.space(personal)?;
        (state.key, state.info.keys.clone())
    };
    let read = move |reader: &Reader<'_>| load_all_acts(reader, key, personal, &keys);
    let mut acts = node.0.store.read(read).await?;
    // What doesn't count may say anything.
    let fallen: BTreeSet<EntryHash> =
        node.engine().space(personal)?.membership.fallen().into_iter().collect();
    acts.retain(|(entry, _)| !fallen.contains(&entry.hash));
    let name = |op: MembershipOp| match op {
        MembershipOp::Found(found) => Some(found.user_name),
        MembershipOp::AddMember(add) if add.user == user => Some(add.user_name),
        MembershipOp::RenameUser(name) => Some(name),
        _ => None,
    };
    Ok(acts.into_iter().flat_map(|(_, ops)| ops).filter_map(name).collect())
}
