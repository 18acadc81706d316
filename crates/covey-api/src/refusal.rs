//! Why the rules of membership don't allow something, for people.
//!
//! The rules themselves are checked when the act is written. They answer yes or no; which of them it was is worked
//! out here, from how the space stands right after.

use covey_node::{EngineError, Member, MembershipError, NodeError, Role, Space, UserId};

use crate::problem::Problem;

/// What was asked for, and of whom.
pub(crate) struct Wish<'a> {
    /// The act, to begin a sentence with: "removing people".
    pub(crate) act: &'static str,
    /// To whom, if it concerns somebody.
    pub(crate) whom: Option<&'a Member>,
    /// The role that they are to have; `None` if they are to have none, or the one they have.
    pub(crate) role: Option<Role>,
    /// Whether it takes an owner from the space, should they be one.
    pub(crate) takes_owner: bool,
}

/// What this user is in the space.
struct Standing {
    space: String,
    user: UserId,
    role: Role,
    members: Vec<Member>,
}

/// The answer to a wish that the node did not fulfil.
pub(crate) fn refused(error: NodeError, space: &Space, user: UserId, wish: &Wish<'_>) -> Problem {
    let by_rule = matches!(
        &error,
        NodeError::Membership(EngineError::Membership { reason: MembershipError::NotAllowed { .. }, .. })
    );
    let why = space.role().filter(|_| by_rule).and_then(|role| {
        let standing = Standing { space: space.name(), user, role, members: space.members() };
        standing.last_owner(wish).or_else(|| standing.too_low(wish))
    });
    why.unwrap_or_else(|| error.into())
}

impl Standing {
    fn last_owner(&self, wish: &Wish<'_>) -> Option<Problem> {
        let whom = wish.whom.filter(|whom| wish.takes_owner && whom.role == Role::Owner)?;
        let is_only = self.members.iter().filter(|member| member.role == Role::Owner).count() == 1;
        let may = whom.user == self.user || self.role == Role::Owner;
        if !is_only || !may {
            return None;
        }
        let who = if whom.user == self.user { "you are".to_owned() } else { format!("{:?} is", whom.name) };
        let first = if self.members.len() == 1 {
            "let somebody in and make them owner first"
        } else {
            "make somebody else owner first"
        };
        Some(Problem::last_owner(format!("{who} the last owner of {:?}; {first}", self.space)))
    }

    fn too_low(&self, wish: &Wish<'_>) -> Option<Problem> {
        let (space, mine) = (&self.space, self.role);
        let is_self = wish.whom.is_some_and(|whom| whom.user == self.user);
        let why = if is_self && wish.role > Some(mine) {
            format!("you are {mine} in {space:?}, and nobody makes themself more than they are")
        } else if mine < Role::Admin {
            format!("{} in {space:?} needs the role admin; yours is {mine}", wish.act)
        } else if let Some(whom) = wish.whom.filter(|whom| whom.role > mine) {
            format!("{:?} is {} in {space:?}; yours is the role {mine}", whom.name, whom.role)
        } else if let Some(role) = wish.role.filter(|role| *role > mine) {
            format!("nobody in {space:?} gives a role above their own; yours is {mine}, and this is {role}")
        } else {
            return None;
        };
        Some(Problem::not_allowed(why))
    }
}
