//! `covey member`, and what concerns the people of a space as a whole: leaving it, its key, its history.

use covey_api::dto::{
    DeviceDto, HistoryDto, MemberDto, NewHistory, NewMember, NewRole, RemovedDto, RotatedDto, SpaceDto,
    SpaceHistoryDto,
};
use serde_json::json;

use crate::{
    args::{HistoryRule, Member, Yes},
    client::{Client, path},
    commands::{consent, status::short},
    diag::Failure,
    output::{Out, Tone, visible},
    words::listed,
};

pub(super) async fn run(client: &Client, command: &Member, out: &Out) -> Result<(), Failure> {
    match command {
        Member::List { space } => list(client, space, out).await,
        Member::Add { space, user, role } => add(client, space, user, role.as_str(), out).await,
        Member::Role { space, user, role } => set_role(client, space, user, role.as_str(), out).await,
        Member::Remove { space, user, yes } => remove(client, space, user, *yes, out).await,
    }
}

async fn list(client: &Client, space: &str, out: &Out) -> Result<(), Failure> {
    let members: Vec<MemberDto> = client.get(&path(&["spaces", space, "members"])).await?;
    if out.is_json() {
        return out.document(&members);
    }
    if members.is_empty() {
        return out.line("  Nobody is known to be in it before the first sync.");
    }
    let row = |member: &MemberDto| {
        let you = if member.you { "you" } else { "" };
        vec![
            member.name.clone(),
            you.to_owned(),
            member.role.clone(),
            names(&member.devices).join(", "),
            short(&member.user_id),
        ]
    };
    out.table(&["NAME", "", "ROLE", "DEVICES", "ID"], &members.iter().map(row).collect::<Vec<_>>())?;
    out.line(&out.paint(Tone::Strong, "\nSafety words, to compare with each of them by voice"))?;
    let device = |member: &MemberDto, device: &DeviceDto| {
        vec![member.name.clone(), device.name.clone(), device.words.join(" "), device.fingerprint.clone()]
    };
    let rows = members.iter().flat_map(|member| member.devices.iter().map(|own| device(member, own)));
    out.table(&["NAME", "DEVICE", "SAFETY WORDS", "FINGERPRINT"], &rows.collect::<Vec<_>>())
}

async fn add(client: &Client, space: &str, user: &str, role: &str, out: &Out) -> Result<(), Failure> {
    let wanted = NewMember { user: user.to_owned(), role: Some(role.to_owned()) };
    let member: MemberDto = client.post(&path(&["spaces", space, "members"]), &wanted).await?;
    if out.is_json() {
        return out.document(&member);
    }
    let devices = listed(&names(&member.devices));
    let (who, place) = (visible(&member.name), visible(space));
    out.line(&format!("{who} is {} in {place} now, with {}.", member.role, visible(&devices)))?;
    out.hint("They hear of it when one of the parent's devices is near.");
    Ok(())
}

fn names(devices: &[DeviceDto]) -> Vec<&str> {
    devices.iter().map(|device| device.name.as_str()).collect()
}

async fn set_role(client: &Client, space: &str, user: &str, role: &str, out: &Out) -> Result<(), Failure> {
    let wanted = NewRole { role: role.to_owned() };
    let member: MemberDto = client.patch(&path(&["spaces", space, "members", user]), &wanted).await?;
    if out.is_json() {
        return out.document(&member);
    }
    let who = if member.you { "You are".into() } else { format!("{} is", visible(&member.name)) };
    out.line(&format!("{who} {} in {} now.", member.role, visible(space)))
}

async fn remove(client: &Client, space: &str, user: &str, yes: Yes, out: &Out) -> Result<(), Failure> {
    // Both by their ids from here on, so that what was asked about is what is done.
    let space: SpaceDto = client.get(&path(&["spaces", space])).await?;
    let member: MemberDto = client.get(&path(&["spaces", &space.id, "members", user])).await?;
    if member.you {
        return leave_space(client, &space, yes, out).await;
    }
    let (name, place) = (visible(&member.name), visible(&space.name));
    let devices = listed(&names(&member.devices));
    let question = format!("Remove {name} from {place}, with {}?", visible(&devices));
    consent::ask(yes, &question, out).await?;
    let removed: RemovedDto =
        client.remove(&path(&["spaces", &space.id, "members", &member.user_id])).await?;
    if out.is_json() {
        return out.document(&removed);
    }
    out.line(&format!("{name} is out of {place}, and its key is changed."))?;
    out.hint("What they have got stays with them; nothing that is written from now on can be read by them.");
    Ok(())
}

pub(super) async fn leave(client: &Client, space: &str, yes: Yes, out: &Out) -> Result<(), Failure> {
    let space: SpaceDto = client.get(&path(&["spaces", space])).await?;
    leave_space(client, &space, yes, out).await
}

async fn leave_space(client: &Client, space: &SpaceDto, yes: Yes, out: &Out) -> Result<(), Failure> {
    let name = visible(&space.name);
    let question = format!("Leave {name} with all your devices? You would have to be let in again.");
    consent::ask(yes, &question, out).await?;
    let left: RemovedDto = client.post(&path(&["spaces", &space.id, "leave"]), &json!({})).await?;
    if out.is_json() {
        return out.document(&left);
    }
    out.line(&format!("You have left {name}. What came until now is still here and can be read."))
}

pub(super) async fn rotate_key(client: &Client, space: &str, out: &Out) -> Result<(), Failure> {
    let rotated: RotatedDto = client.post(&path(&["spaces", space, "rotate-key"]), &json!({})).await?;
    if out.is_json() {
        return out.document(&rotated);
    }
    out.line(&format!("The key of {} is changed.", visible(&rotated.space.name)))?;
    out.hint("Devices that are away get the new one when they are back.");
    Ok(())
}

pub(super) async fn history(
    client: &Client,
    space: &str,
    rule: Option<HistoryRule>,
    out: &Out,
) -> Result<(), Failure> {
    let place = path(&["spaces", space, "history"]);
    let now: SpaceHistoryDto = match rule {
        None => client.get(&place).await?,
        Some(rule) => client.put(&place, &NewHistory { history: rule.to_dto() }).await?,
    };
    if out.is_json() {
        return out.document(&now);
    }
    let what = match now.history {
        HistoryDto::Full => "everything, from the start",
        HistoryDto::FromJoining => "what is written from then on",
    };
    out.line(&format!("Whoever joins {} reads {what}.", visible(&now.space.name)))
}
