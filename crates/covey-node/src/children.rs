//! Child spaces: a private channel, a direct message, a shared vault. Each is a space of its own, of which only people who
//! are in its parent can be a part; nobody else of the parent sees its name, its content or who is in it.

use covey_engine::Deeds;
use covey_space::Role;
use covey_types::UserId;

use crate::{NodeError, Space, node::check_space_name, space::Act};

impl Space {
    /// Makes a child of this space, owned by this device's user, and takes people of this space in. They need not be
    /// near, nor agree: they can leave.
    ///
    /// Where the founder alone is owner and is put out of this space one day, nobody is left to put them out of the child,
    /// to change its key or to take others in: give the role of owner to more than one.
    ///
    /// # Errors
    /// [`NodeError::Invalid`] for a name that can't be one, or a child of a child; [`NodeError::NotFound`] for somebody who
    /// isn't in this space; [`NodeError::NotAllowed`] for guests.
    pub async fn create_child(&self, name: &str, people: &[(UserId, Role)]) -> Result<Space, NodeError> {
        self.node.require_not_revoked()?;
        self.require_shared("given children")?;
        check_space_name(name)?;
        let (node, parent) = (self.node.clone(), self.id());
        let (secrets, name, people, now) = (node.secrets(), name.to_owned(), people.to_vec(), node.now_ms());
        let found = async move {
            let founded = node.write(move |tx, engine| {
                Ok(engine.found_child(tx, &secrets, parent, (&name, &people), now)?)
            });
            let (id, deeds) = founded.await?;
            tracing::info!(space = %id, %parent, "made a child space");
            node.space_added(id);
            node.acted_all(&deeds);
            Ok(Space::new(node, id))
        };
        self.node.to_its_end(found).await
    }

    /// Takes somebody of the parent into this child, with all their devices. One who is in it already keeps the higher of
    /// both roles, and comes back with devices that had been put out.
    ///
    /// # Errors
    /// [`NodeError::Invalid`] for a space that is no child; [`NodeError::NotFound`] for somebody who isn't in the parent;
    /// [`NodeError::Membership`] if the rules don't allow it.
    pub async fn add_member(&self, user: UserId, role: Role) -> Result<(), NodeError> {
        self.act_all(move |engine, Act { rows, secrets, space, now_ms }| {
            engine.take_in(rows, secrets, space, &[(user, role)], now_ms)
        })
        .await
    }

    /// Leaves a child space. Where an heir is named they become its owner first, both at once.
    ///
    /// # Errors
    /// [`NodeError::Membership`] if the rules don't allow it.
    pub(crate) async fn leave_to(&self, heir: Option<UserId>) -> Result<(), NodeError> {
        self.act_all(move |engine, Act { rows, secrets, space, now_ms }| {
            let mut deeds = Deeds::new();
            if let Some(heir) = heir {
                deeds.push((space, engine.set_role(rows, secrets, space, heir, Role::Owner, now_ms)?));
            }
            let me = secrets.user.id();
            deeds.push((space, engine.remove_member(rows, secrets, space, me, now_ms)?));
            Ok(deeds)
        })
        .await
    }

    /// The children of this space that this device is, or was, in.
    pub fn children(&self) -> Vec<Space> {
        let is_child = |space: &Space| space.parent().is_some_and(|parent| parent.id() == self.id());
        self.node.spaces().into_iter().filter(is_child).collect()
    }

    /// The space whose child this one is.
    pub fn parent(&self) -> Option<Space> {
        let parent = self.node.engine().space(self.id()).ok()?.parent()?;
        Some(Space::new(self.node.clone(), parent))
    }
}
