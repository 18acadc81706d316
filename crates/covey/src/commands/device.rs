//! `covey device`: the devices of this user and of those whom they share a space with.

use covey_api::dto::{DeviceDoneDto, DoneInSpaceDto, KnownDeviceDto, NewDeviceName};

use crate::{
    args::{Args, Device, Yes},
    client::{Client, path},
    commands::{consent, linking, status::short},
    diag::Failure,
    output::{Out, visible},
    words::{ago, count, listed},
};

pub(super) async fn run(client: &Client, command: &Device, args: &Args, out: &Out) -> Result<(), Failure> {
    match command {
        Device::Link { expires, withdraw } => linking::link(client, *expires, withdraw.as_deref(), out).await,
        Device::Join { code, timeout } => linking::join(client, code, *timeout, args, out).await,
        Device::List => list(client, out).await,
        Device::Rename { device, name } => rename(client, device, name, out).await,
        Device::Revoke { device, yes } => revoke(client, device, *yes, out).await,
    }
}

async fn list(client: &Client, out: &Out) -> Result<(), Failure> {
    let devices: Vec<KnownDeviceDto> = client.get("devices").await?;
    if out.is_json() {
        return out.document(&devices);
    }
    let head = ["NAME", "PERSON", "", "STATE", "SPACES", "FINGERPRINT", "SAFETY WORDS", "ID"];
    out.table(&head, &devices.iter().map(row).collect::<Vec<_>>())
}

fn row(device: &KnownDeviceDto) -> Vec<String> {
    let state = match &device.last_seen {
        Some(last_seen) => format!("{}, seen {}", device.state, ago(last_seen)),
        None => device.state.clone(),
    };
    let spaces = space_names(device);
    vec![
        device.name.clone(),
        device.user.clone(),
        if device.yours { "you" } else { "" }.to_owned(),
        state,
        if spaces.is_empty() { "-".to_owned() } else { spaces.join(", ") },
        device.fingerprint.clone(),
        device.words.join(" "),
        short(&device.peer_id),
    ]
}

fn space_names(device: &KnownDeviceDto) -> Vec<&str> {
    device.spaces.iter().map(|space| space.name.as_str()).collect()
}

async fn rename(client: &Client, device: &str, name: &str, out: &Out) -> Result<(), Failure> {
    let wanted = NewDeviceName { name: name.to_owned() };
    let done: DeviceDoneDto = client.patch(&path(&["devices", device]), &wanted).await?;
    if out.is_json() {
        return out.document(&done);
    }
    let places = where_done(&done);
    let places = if places.is_empty() { String::new() } else { format!(" in {places}") };
    out.line(&format!("The device is called {}{places} now.", visible(&done.name)))?;
    say_where_not(&done, out)
}

async fn revoke(client: &Client, device: &str, yes: Yes, out: &Out) -> Result<(), Failure> {
    let device: KnownDeviceDto = client.get(&path(&["devices", device])).await?;
    consent::ask(yes, &question(&device), out).await?;
    let done: DeviceDoneDto = client.remove(&path(&["devices", &device.peer_id])).await?;
    if out.is_json() {
        out.document(&done)?;
    } else {
        let places = where_done(&done);
        let text = match (device.yours, places.is_empty()) {
            (true, true) => format!("{} is revoked.", visible(&done.name)),
            (true, false) => format!("{} is revoked, and out of {places}.", visible(&done.name)),
            (false, _) => format!("{} is out of {places}.", visible(&done.name)),
        };
        out.line(&text)?;
        say_where_not(&done, out)?;
        out.hint("What it has got stays on it; nothing that is written from now on can be read by it.");
    }
    let left = done.spaces.iter().filter(|space| !space.done).count() as u64;
    if left == 0 {
        return Ok(());
    }
    if device.yours {
        out.hint("Where that could not be done now, your devices do it by themselves as soon as they can.");
        return Ok(());
    }
    // What was done was done; a script has to know that it wasn't all.
    let still = format!("{} is still in {}", visible(&done.name), count(left, "space", "spaces"));
    Err(Failure::not_allowed(still))
}

fn question(device: &KnownDeviceDto) -> String {
    let (name, user) = (visible(&device.name), visible(&device.user));
    let which = match (device.this, device.yours) {
        (true, _) => format!("{name}, the device you are sitting at,"),
        (false, true) => format!("your device {name}"),
        (false, false) => format!("{user}'s device {name}"),
    };
    if device.yours {
        return format!("Put {which} ({}) out of all your spaces?", device.fingerprint);
    }
    let spaces = listed(&space_names(device));
    format!("Put {which} ({}) out of {}?", device.fingerprint, visible(&spaces))
}

fn where_done(done: &DeviceDoneDto) -> String {
    let names: Vec<_> =
        done.spaces.iter().filter(|space| space.done).map(|space| visible(&space.name)).collect();
    listed(&names)
}

fn say_where_not(done: &DeviceDoneDto, out: &Out) -> Result<(), Failure> {
    let not_done = |space: &&DoneInSpaceDto| !space.done;
    done.spaces.iter().filter(not_done).try_for_each(|space| {
        let reason = space.reason.as_deref().unwrap_or("it is not allowed");
        out.line(&format!("  Not in {}: {}.", visible(&space.name), visible(reason)))
    })
}
