//! Leaving channels, also as the last who could administer them.
//!
//! Nobody is kept in a private channel. Its last owner leaves it to somebody: to the one with the highest role, and of
//! several to whoever has been in it the longest. Who is alone in it says that they leave, and it's no channel of theirs any
//! more; what was written stays in the child space, which can be read.

use std::{cmp::Reverse, collections::BTreeMap};

use covey_chat::{Kind, ids};
use covey_space::Role;
use covey_types::{Hlc, UserId};

use super::{Chat, Say, rooms::Home};
use crate::{Deed, Member, NodeError, Space};

impl Chat {
    /// Leaves a channel. A private one is left as the space that it is, for good: somebody has to take you in again. Its
    /// last owner leaves it to the most senior of the others.
    ///
    /// # Errors
    /// [`NodeError::NotFound`]; the store's.
    pub async fn leave(&self, wanted: &str) -> Result<(), NodeError> {
        let room = self.room(wanted).await?;
        if room.kind == Kind::Public {
            return self.set_joined(room.home()?, false).await;
        }
        for home in &room.homes {
            self.leave_child(home).await?;
        }
        Ok(())
    }

    async fn leave_child(&self, home: &Home) -> Result<(), NodeError> {
        let space = Space::new(self.node().clone(), home.space);
        let (me, mut others) = (self.me(), space.members());
        let Some(own) = others.iter().position(|member| member.user == me).map(|at| others.remove(at)) else {
            return Ok(());
        };
        if others.is_empty() {
            return self.set_joined(home, false).await;
        }
        let is_last_owner = own.role == Role::Owner && others.iter().all(|member| member.role != Role::Owner);
        let heir = if is_last_owner { senior(&space, &others).await? } else { None };
        space.leave_to(heir).await
    }

    pub(super) async fn set_joined(&self, home: &Home, joined: bool) -> Result<(), NodeError> {
        let say = Say::new(ids::JOINS, home.inner.as_str()).with("joined", &joined);
        self.say(home.space, vec![say]).await.map(drop)
    }
}

/// Who is to have a channel next.
async fn senior(space: &Space, others: &[Member]) -> Result<Option<UserId>, NodeError> {
    let mut since: BTreeMap<UserId, Hlc> = BTreeMap::new();
    for act in space.audit().await?.into_iter().filter(|act| act.stands) {
        let taken_in = act.whom.and_then(|whom| whom.user);
        if let (Deed::AddMember { .. }, Some(user)) = (act.deed, taken_in) {
            let first = since.entry(user).or_insert(act.hlc);
            *first = act.hlc.min(*first);
        }
    }
    let rank = |member: &&Member| (Reverse(member.role), since.get(&member.user).copied(), member.user);
    Ok(others.iter().min_by_key(rank).map(|member| member.user))
}
