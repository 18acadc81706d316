//! Who is in a space, with which role; leaving it; its key, and who may read its history.

use axum::{Json, extract::State, http::StatusCode};
use covey_node::{Identity, Member, Role, Space};

use super::ApiState;
use crate::{
    convert,
    dto::{MemberDto, NewHistory, NewMember, NewRole, RemovedDto, RotatedDto, SpaceHistoryDto},
    extract::{InJson, InPath},
    find::{Named, pick},
    problem::Problem,
    refusal::{Wish, refused},
};

/// A member by id, part of it, or name.
pub(super) fn find(space: &Space, wanted: &str) -> Result<Member, Problem> {
    let named = |member: Member| Named {
        id: member.user.to_string(),
        names: vec![member.name.clone()],
        what: member,
    };
    pick("member", wanted, space.members().into_iter().map(named).collect()).map_err(|problem| {
        if problem.status() == StatusCode::NOT_FOUND {
            return Problem::not_found(format!("there is no member {wanted:?} in {:?}", space.name()));
        }
        problem
    })
}

/// The members of a space, with their devices: all of them, in one piece.
///
/// How many there are is up to whoever takes people in. Each has written, or may write, logs of their own in the space, of which it
/// takes no more than 16384.
#[utoipa::path(
    get,
    path = "/spaces/{space}/members",
    tag = "members",
    operation_id = "listMembers",
    responses((status = 200, description = "The members.", body = Vec<MemberDto>))
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    InPath(name): InPath<String>,
) -> Result<Json<Vec<MemberDto>>, Problem> {
    let me = state.node.identity();
    let members = state.node.space(&name)?.members();
    Ok(Json(members.into_iter().map(|member| convert::member(member, &me)).collect()))
}

/// The role that somebody is to have, if it's said.
pub(super) fn role(new: &NewMember, otherwise: Role) -> Result<Role, Problem> {
    let parsed = new.role.as_deref().map_or(Ok(otherwise), str::parse);
    parsed.map_err(|error: covey_node::ParseRoleError| Problem::invalid(error.to_string()))
}

/// Takes somebody of the parent into a child space.
#[utoipa::path(
    post,
    path = "/spaces/{space}/members",
    tag = "members",
    operation_id = "addMember",
    request_body = NewMember,
    responses((status = 201, description = "They are in it.", body = MemberDto))
)]
pub(super) async fn add(
    State(state): State<ApiState>,
    InPath(space): InPath<String>,
    InJson(new): InJson<NewMember>,
) -> Result<(StatusCode, Json<MemberDto>), Problem> {
    let (role, space, me) = (role(&new, Role::Member)?, state.node.space(&space)?, state.node.identity());
    let no_child = || {
        Problem::conflict(format!("{:?} is not the child of a space: invite people by a code", space.name()))
    };
    let member = find(&space.parent().ok_or_else(no_child)?, &new.user)?;
    space.add_member(member.user, role).await.map_err(|error| {
        let wish = Wish { act: "adding people", whom: None, role: Some(role), takes_owner: false };
        refused(error, &space, me.user, &wish)
    })?;
    let added = find(&space, &member.user.to_string())?;
    Ok((StatusCode::CREATED, Json(convert::member(added, &me))))
}

/// One member of a space.
#[utoipa::path(
    get,
    path = "/spaces/{space}/members/{user}",
    tag = "members",
    operation_id = "getMember",
    responses((status = 200, description = "The member.", body = MemberDto))
)]
pub(super) async fn one(
    State(state): State<ApiState>,
    InPath((space, user)): InPath<(String, String)>,
) -> Result<Json<MemberDto>, Problem> {
    let member = find(&state.node.space(&space)?, &user)?;
    Ok(Json(convert::member(member, &state.node.identity())))
}

/// Gives a member a role.
#[utoipa::path(
    patch,
    path = "/spaces/{space}/members/{user}",
    tag = "members",
    operation_id = "setRole",
    request_body = NewRole,
    responses((status = 200, description = "The member, with that role.", body = MemberDto))
)]
pub(super) async fn set_role(
    State(state): State<ApiState>,
    InPath((space, user)): InPath<(String, String)>,
    InJson(new): InJson<NewRole>,
) -> Result<Json<MemberDto>, Problem> {
    let role: Role =
        new.role.parse().map_err(|error: covey_node::ParseRoleError| Problem::invalid(error.to_string()))?;
    let (space, me) = (state.node.space(&space)?, state.node.identity());
    let mut member = find(&space, &user)?;
    // Who has the role already needs no act: asking twice is no error.
    if member.role != role {
        space.set_role(member.user, role).await.map_err(|error| {
            let wish = Wish { act: "giving roles", whom: Some(&member), role: Some(role), takes_owner: true };
            refused(error, &space, me.user, &wish)
        })?;
        member.role = role;
    }
    Ok(Json(convert::member(member, &me)))
}

async fn put_out(space: &Space, member: Member, me: &Identity) -> Result<Json<RemovedDto>, Problem> {
    space.remove_member(member.user).await.map_err(|error| {
        let wish = Wish { act: "removing people", whom: Some(&member), role: None, takes_owner: true };
        refused(error, space, me.user, &wish)
    })?;
    let (user_id, name) = (member.user.to_string(), member.name);
    Ok(Json(RemovedDto { space: convert::space_name(space), user_id, name }))
}

/// Puts somebody out of a space.
#[utoipa::path(
    delete,
    path = "/spaces/{space}/members/{user}",
    tag = "members",
    operation_id = "removeMember",
    responses((status = 200, description = "They are out.", body = RemovedDto))
)]
pub(super) async fn remove(
    State(state): State<ApiState>,
    InPath((space, user)): InPath<(String, String)>,
) -> Result<Json<RemovedDto>, Problem> {
    let space = state.node.space(&space)?;
    let member = find(&space, &user)?;
    put_out(&space, member, &state.node.identity()).await
}

/// Leaves a space.
#[utoipa::path(
    post,
    path = "/spaces/{space}/leave",
    tag = "members",
    operation_id = "leaveSpace",
    responses((status = 200, description = "This user is out.", body = RemovedDto))
)]
pub(super) async fn leave(
    State(state): State<ApiState>,
    InPath(space): InPath<String>,
) -> Result<Json<RemovedDto>, Problem> {
    let (space, me) = (state.node.space(&space)?, state.node.identity());
    let member = space.members().into_iter().find(|member| member.user == me.user);
    let member = member.ok_or_else(|| Problem::conflict(format!("you are not in {:?}", space.name())))?;
    put_out(&space, member, &me).await
}

/// Changes the key of a space.
#[utoipa::path(
    post,
    path = "/spaces/{space}/rotate-key",
    tag = "members",
    operation_id = "rotateKey",
    responses((status = 200, description = "It has another key.", body = RotatedDto))
)]
pub(super) async fn rotate_key(
    State(state): State<ApiState>,
    InPath(space): InPath<String>,
) -> Result<Json<RotatedDto>, Problem> {
    let space = state.node.space(&space)?;
    let wish = Wish { act: "changing the key", whom: None, role: None, takes_owner: false };
    let done = space.rotate_key().await;
    done.map_err(|error| refused(error, &space, state.node.identity().user, &wish))?;
    Ok(Json(RotatedDto { space: convert::space_name(&space) }))
}

fn history_of(space: &Space) -> Result<Json<SpaceHistoryDto>, Problem> {
    let unknown = || Problem::conflict(format!("{:?} has not been synced yet", space.name()));
    let history = convert::history(space.history().ok_or_else(unknown)?);
    Ok(Json(SpaceHistoryDto { space: convert::space_name(space), history }))
}

/// Who may read what was written before they joined.
#[utoipa::path(
    get,
    path = "/spaces/{space}/history",
    tag = "members",
    operation_id = "getHistory",
    responses((status = 200, description = "The rule.", body = SpaceHistoryDto))
)]
pub(super) async fn history(
    State(state): State<ApiState>,
    InPath(space): InPath<String>,
) -> Result<Json<SpaceHistoryDto>, Problem> {
    history_of(&state.node.space(&space)?)
}

/// Sets who may read what was written before they joined.
#[utoipa::path(
    put,
    path = "/spaces/{space}/history",
    tag = "members",
    operation_id = "setHistory",
    request_body = NewHistory,
    responses((status = 200, description = "The rule, as it is now.", body = SpaceHistoryDto))
)]
pub(super) async fn set_history(
    State(state): State<ApiState>,
    InPath(space): InPath<String>,
    InJson(new): InJson<NewHistory>,
) -> Result<Json<SpaceHistoryDto>, Problem> {
    let space = state.node.space(&space)?;
    let history = convert::history_back(new.history);
    if space.history() != Some(history) {
        let wish = Wish { act: "changing the rule for history", whom: None, role: None, takes_owner: false };
        let done = space.set_history(history).await;
        done.map_err(|error| refused(error, &space, state.node.identity().user, &wish))?;
    }
    history_of(&space)
}
