//! Deletions that this device's user made as an admin, and that had to be written again after the device's log forked.
//!
//! What is written again keeps the time at which it was said, and its entry is another one: so nothing shows any more that
//! its author was an admin then, and it doesn't count. Whoever still is one says it once more, as of now. A deletion is
//! final, so nothing that others said meanwhile is undone by that. Names and topics of channels aren't said again: they
//! would win over what was said after them.

use covey_chat::ids;
use covey_engine::{Engine, load_record};
use covey_records::own;
use covey_space::Role;
use covey_store::{ChatRole, Tx};
use covey_types::SpaceId;

use super::Say;
use crate::{Node, NodeError, Space};

/// Deletions that are said in one entry.
const AT_ONCE: usize = 256;

/// Says again what this device's user deleted as an admin and what doesn't count as it stands, if they are one.
///
/// # Errors
/// The store's.
pub(crate) async fn delete_again(node: &Node, space: SpaceId) -> Result<(), NodeError> {
    let (me, own) = (node.secrets().user.id(), node.device());
    let is_admin = node.engine().space(space)?.membership.role_of_user(me) >= Some(Role::Admin);
    if !is_admin {
        return Ok(());
    }
    let key = node.engine().space(space)?.key;
    let doubtful = move |rows: &covey_store::Reader<'_>| rows.chat_roles(key);
    let tag = own::id(own, "");
    let is_ours = |role: &ChatRole| !role.admin && role.collection == ids::EDITS && role.id.starts_with(&tag);
    let mut doubtful = node.0.store.read(doubtful).await?;
    doubtful.retain(is_ours);
    if doubtful.is_empty() {
        return Ok(());
    }
    let ids = node.write(move |tx, engine| lost(tx, engine, space, doubtful)).await?;
    let chat = Space::new(node.clone(), space).chat();
    for ids in ids.chunks(AT_ONCE) {
        let says = ids.iter().map(|id| Say::new(ids::EDITS, id.as_str()).with("deleted", &true)).collect();
        chat.note(space, says).await?;
    }
    Ok(())
}

/// Of these deletions those of others' messages whose entry isn't that of the time at which they were made: the messages.
fn lost(
    tx: &mut Tx<'_>,
    engine: &mut Engine,
    space: SpaceId,
    doubtful: Vec<ChatRole>,
) -> Result<Vec<String>, NodeError> {
    let key = engine.space(space)?.key;
    let mut lost = Vec::new();
    for role in doubtful {
        let Some((_, message)) = own::split(&role.id) else { continue };
        let Some(collection) = tx.collection(key, &role.collection)? else { continue };
        let record = load_record(tx, collection, &role.id, &engine.devices)?;
        let Some((stamp, value)) = record.field(&role.field).filter(|(_, value)| *value == "true") else {
            continue;
        };
        let is_deleted = tx.chat_message(key, message)?.is_none_or(|message| message.deleted);
        let place = (role.collection.as_str(), role.id.as_str());
        if !is_deleted && engine.role_when(tx, space, place, (&role.field, value), stamp)?.is_none() {
            lost.push(message.to_owned());
        }
    }
    Ok(lost)
}
