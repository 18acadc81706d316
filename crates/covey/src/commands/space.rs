//! `covey space`: make, list and show spaces.

use std::borrow::Cow;

use covey_api::dto::{CollectionDto, ForkDto, MemberDto, NewLogsDto, NewMember, NewSpace, PeerDto, SpaceDto};

use crate::{
    args::Args,
    client::{Client, path},
    diag::Failure,
    output::{Out, Tone, visible},
    settings,
    words::{count, grouped},
};

pub(super) async fn create(
    client: &Client,
    (name, parent, members): (&str, Option<&str>, &[String]),
    args: &Args,
    out: &Out,
) -> Result<(), Failure> {
    let member = |user: &String| NewMember { user: user.clone(), role: None };
    let members = members.iter().map(member).collect();
    let new = NewSpace { name: name.to_owned(), parent: parent.map(str::to_owned), members };
    let space: SpaceDto = client.post("spaces", &new).await?;
    if out.is_json() {
        return out.document(&space);
    }
    let of = space.parent.as_ref().map(|parent| format!(", a child of {}", visible(&parent.name)));
    out.line(&format!("The space {} is made{}.", visible(&space.name), of.unwrap_or_default()))?;
    out.line(&format!("  {} {}", out.paint(Tone::Soft, "Id"), space.id))?;
    if let Some(parent) = &space.parent {
        let add = format!("member add {} USER", space.id);
        out.hint(&format!(
            "Take in somebody who is in {}: {}",
            visible(&parent.name),
            settings::command_for(args, &add)
        ));
        return Ok(());
    }
    let is_alone = !warn_of_namesakes(client, &space.name, &space.id, out).await;
    let invite =
        format!("invite {}", if is_alone { typed(&space.name, &space.id) } else { space.id.as_str().into() });
    out.hint(&format!("Let someone in: {}", settings::command_for(args, &invite)));
    Ok(())
}

/// How a space is named on a command line: by its name, unless that can't be typed as it's shown.
pub(crate) fn typed<'a>(name: &'a str, id: &'a str) -> Cow<'a, str> {
    let shown = visible(name) == name && !name.starts_with('-');
    settings::quoted(if shown { name } else { id })
}

/// Says that this space's name is taken by another too, if so; whether it is.
pub(super) async fn warn_of_namesakes(client: &Client, name: &str, id: &str, out: &Out) -> bool {
    // What was asked for is done: a warning that can't be checked is no failure.
    let Ok(spaces) = client.get::<Vec<SpaceDto>>("spaces").await else { return false };
    let mut others =
        spaces.iter().filter(|space| space.name == name && space.id != id).map(|space| &*space.id);
    let Some(other) = others.next() else { return false };
    let warning = out.paint_err(Tone::Look, "warning:");
    let more = others.count() as u64;
    let also = if more == 0 { String::new() } else { format!(" and {}", count(more, "more", "more")) };
    out.hint(&format!(
        "{warning} another space is called {} too: {other}{also}.\n  The name alone no longer tells which one is \
         meant. Name each by its id, or the first characters of it, as in {}.",
        visible(name),
        super::status::short(id)
    ));
    true
}

pub(super) async fn list(client: &Client, all: bool, out: &Out) -> Result<(), Failure> {
    let spaces: Vec<SpaceDto> = client.get(if all { "spaces?all=true" } else { "spaces" }).await?;
    if out.is_json() {
        return out.document(&spaces);
    }
    let peers: Vec<PeerDto> = client.get("peers").await?;
    super::status::space_table(&spaces, &peers, out)
}

pub(super) async fn show(client: &Client, name: &str, out: &Out) -> Result<(), Failure> {
    let space: SpaceDto = client.get(&path(&["spaces", name])).await?;
    if out.is_json() {
        return out.document(&space);
    }
    let peers: Vec<PeerDto> = client.get("peers").await?;
    let members: Vec<MemberDto> = client.get(&path(&["spaces", &space.id, "members"])).await?;
    let collections: Vec<CollectionDto> = client.get(&path(&["spaces", &space.id, "collections"])).await?;
    out.line(&out.paint(Tone::Strong, &visible(&space.name)))?;
    let label = |text: &str| out.paint(Tone::Soft, &format!("{text:<12}"));
    out.line(&format!("  {} {}", label("Id"), space.id))?;
    if let Some(parent) = &space.parent {
        out.line(&format!("  {} {}", label("Child of"), visible(&parent.name)))?;
    }
    let roleless = if super::status::is_out(&space) { "no longer in it" } else { "not known yet" };
    out.line(&format!("  {} {}", label("You are"), space.role.as_deref().unwrap_or(roleless)))?;
    if let Some(removed) = &space.removed {
        out.line(&format!("  {} {}, {}", label("Because"), super::status::how_out(&space), removed.at))?;
    }
    let (records, entries) =
        (count(space.records, "record", "records"), count(space.entries, "entry", "entries"));
    out.line(&format!("  {} {records} in {entries}", label("Holds")))?;
    out.line(&out.paint(Tone::Strong, "\nPeople"))?;
    out.table(&["NAME", "ROLE", "DEVICES"], &members.iter().map(member_row).collect::<Vec<_>>())?;
    out.line(&out.paint(Tone::Strong, "\nCollections"))?;
    let rows: Vec<_> = collections.iter().map(|one| vec![one.name.clone(), grouped(one.records)]).collect();
    if rows.is_empty() {
        out.line("  None yet. A collection comes into being with its first record.")?;
    } else {
        out.table(&["NAME", "RECORDS"], &rows)?;
    }
    out.line(&out.paint(Tone::Strong, "\nSync"))?;
    show_sync(&space, &peers, out)
}

fn show_sync(space: &SpaceDto, peers: &[PeerDto], out: &Out) -> Result<(), Failure> {
    if super::status::is_out(space) {
        return out.line("  It has ended; what came until then can be read.");
    }
    if space.sync.is_empty() {
        return out.line("  No other device has this space yet.");
    }
    space
        .sync
        .iter()
        .try_for_each(|sync| out.line(&format!("  {}", super::status::sync_sentence(sync, peers))))?;
    space.forks.iter().try_for_each(|fork| out.line(&format!("  {}", fork_sentence(fork))))?;
    space.new_logs.iter().try_for_each(|found| out.line(&format!("  {}", new_logs_sentence(found))))
}

pub(super) fn new_logs_sentence(found: &NewLogsDto) -> String {
    let name = visible(found.name.as_deref().unwrap_or("A device"));
    let (short, times) = (super::status::short(&found.peer_id), found.times);
    let times = if times == 1 { "once".to_owned() } else { format!("{times} times") };
    format!("{name} ({short}) went on in a new log {times}: it was restored or set back; see `covey doctor`")
}

pub(super) fn fork_sentence(fork: &ForkDto) -> String {
    let name = visible(fork.name.as_deref().unwrap_or("A device"));
    let (short, seq) = (super::status::short(&fork.peer_id), fork.seq);
    format!(
        "{name} ({short}) wrote two histories; its log doesn't count from entry {seq} on: see `covey doctor`"
    )
}

fn member_row(member: &MemberDto) -> Vec<String> {
    let devices: Vec<_> = member.devices.iter().map(|device| device.name.as_str()).collect();
    vec![member.name.clone(), member.role.clone(), devices.join(", ")]
}
