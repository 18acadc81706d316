//! Acts of membership and of pairing, with their fields and in words.

use covey_node::{Act, Deed, Happening, HistoryPolicy, Hlc, PairingAct, Person};

use crate::dto::{ACT_KINDS, ActDto, PersonDto};

pub(crate) fn act(act: Act) -> ActDto {
    let text = words(&act);
    let mut dto = ActDto {
        at: super::rfc3339(act.hlc.wall_ms()),
        hlc: act.hlc.to_string(),
        who: person(act.who),
        what: kind(&act.deed).to_owned(),
        whom: act.whom.map(person),
        role: None,
        name: None,
        history: None,
        devices: None,
        epoch: None,
        invite: None,
        expires_at: None,
        proof: None,
        text,
        stands: act.stands,
        log: Some(act.log.to_string()),
        seq: Some(act.seq),
        part: act.part as u64,
        hash: Some(act.hash.to_string()),
    };
    add_fields(&mut dto, act.deed);
    dto
}

/// What happened to an invitation. There is no entry that proves it.
pub(crate) fn pairing_act(act: PairingAct) -> ActDto {
    let text = pairing_words(&act);
    let is_invited = act.what == Happening::Opened;
    ActDto {
        at: super::rfc3339(act.at_ms),
        hlc: Hlc::new(act.at_ms, 0).to_string(),
        who: person(act.who),
        what: ACT_KINDS[pairing_kind(act.what)].to_owned(),
        whom: None,
        role: act.role.filter(|_| is_invited).map(|role| role.to_string()),
        name: None,
        history: None,
        devices: None,
        epoch: None,
        invite: Some(act.invitation.to_string()),
        expires_at: is_invited.then(|| super::rfc3339(act.expires_at_ms)),
        proof: None,
        text,
        stands: true,
        log: None,
        seq: None,
        part: act.number,
        hash: None,
    }
}

fn pairing_kind(what: Happening) -> usize {
    match what {
        Happening::Opened => 16,
        Happening::GuessedWrong(_) => 17,
        Happening::UsedBy(_) => 18,
        Happening::BurntBy(_) => 19,
        Happening::Expired => 20,
        Happening::Withdrawn => 21,
    }
}

fn pairing_words(act: &PairingAct) -> String {
    let id = act.invitation;
    match (act.what, act.is_link) {
        (Happening::Opened, true) => {
            format!("made a code for a further device of their own (invitation {id})")
        }
        (Happening::Opened, false) => {
            let role = act.role.map_or_else(|| "somebody".to_owned(), |role| role.to_string());
            format!("made a code for one device, as {role} (invitation {id})")
        }
        (Happening::GuessedWrong(_), _) => format!("gave a wrong code for the invitation {id}"),
        (Happening::UsedBy(_), _) => format!("gave the code of the invitation {id}"),
        (Happening::BurntBy(_), _) => {
            format!("gave a wrong code once too often: the invitation {id} is burnt")
        }
        (Happening::Expired, _) => format!("let the invitation {id} expire: nobody used it"),
        (Happening::Withdrawn, _) => format!("withdrew the invitation {id}"),
    }
}

fn add_fields(dto: &mut ActDto, deed: Deed) {
    match deed {
        Deed::Found { name, history } => {
            dto.name = Some(name);
            dto.history = Some(super::history(history));
        }
        Deed::AddMember { role, devices } => {
            dto.role = Some(role.to_string());
            dto.devices = Some(devices);
        }
        Deed::SetRole { role } => dto.role = Some(role.to_string()),
        Deed::RotateKey { epoch } => dto.epoch = Some(epoch.to_string()),
        Deed::RenameUser { name } | Deed::RenameDevice { name } => dto.name = Some(name),
        Deed::SetSpace { name, history } => {
            dto.name = name;
            dto.history = history.map(super::history);
        }
        Deed::Fork { hashes } => dto.proof = Some(hashes.map(|hash| hash.to_string())),
        Deed::AddDevice
        | Deed::RemoveMember
        | Deed::RemoveDevice
        | Deed::ShareKey { .. }
        | Deed::Notice
        | Deed::NewLog
        | Deed::Ahead { .. }
        | Deed::Unknown { .. } => {}
    }
}

fn kind(deed: &Deed) -> &'static str {
    let place = match deed {
        Deed::Found { .. } => 0,
        Deed::AddMember { .. } => 1,
        Deed::AddDevice => 2,
        Deed::SetRole { .. } => 3,
        Deed::RemoveMember => 4,
        Deed::RemoveDevice => 5,
        Deed::RotateKey { .. } => 6,
        Deed::ShareKey { .. } => 7,
        Deed::RenameUser { .. } => 8,
        Deed::RenameDevice { .. } => 9,
        Deed::SetSpace { .. } => 10,
        Deed::Unknown { .. } => 11,
        Deed::Notice => 12,
        Deed::Fork { .. } => 13,
        Deed::NewLog => 14,
        Deed::Ahead { .. } => 15,
    };
    ACT_KINDS[place]
}

fn person(person: Person) -> PersonDto {
    PersonDto {
        user_id: person.user.map(|user| user.to_string()),
        user: person.user_name,
        peer_id: person.device.map(|device| device.to_string()),
        device: person.device_name,
    }
}

/// What was done, to be put behind the name of who did it.
fn words(act: &Act) -> String {
    let whom = act.whom.as_ref();
    let user = || named(whom.and_then(|whom| whom.user_name.as_deref()), "somebody");
    let device = || whose_device(&act.who, whom);
    let is_self = whom.is_some_and(|whom| whom.user.is_some() && whom.user == act.who.user);
    match &act.deed {
        Deed::Found { name, .. } => format!("founded the space {name}"),
        Deed::AddMember { role, devices } if is_self => {
            format!("took in a further device of their own, {}, as {role}", devices.join(", "))
        }
        Deed::AddMember { role, devices } => {
            format!("took {} in as {role}, with {}", user(), devices.join(", "))
        }
        Deed::AddDevice => format!("took in {}", device()),
        Deed::SetRole { role } if is_self => format!("made themself {role}"),
        Deed::SetRole { role } => format!("made {} {role}", user()),
        Deed::RemoveMember if is_self => "left".to_owned(),
        Deed::RemoveMember => format!("removed {}", user()),
        Deed::RemoveDevice => format!("removed {}", device()),
        Deed::RotateKey { .. } => "changed the key".to_owned(),
        Deed::ShareKey { devices: 1 } => "passed the key on to 1 device".to_owned(),
        Deed::ShareKey { devices } => format!("passed the key on to {devices} devices"),
        Deed::RenameUser { name } => format!("took the name {name}"),
        // It has that name now, or a later one: only whose it is tells more.
        Deed::RenameDevice { name } if is_self => format!("renamed their own device to {name}"),
        Deed::RenameDevice { name } => format!("renamed {}'s device to {name}", user()),
        Deed::Fork { hashes: [one, other] } => {
            format!("wrote two histories; the log doesn't count from there on (proof: {one} and {other})")
        }
        Deed::SetSpace { name, history } => set_space(name.as_deref(), *history),
        Deed::Notice => "sent somebody a sealed notice".to_owned(),
        Deed::NewLog => "went on in a new log: its home had been restored, set back or copied".to_owned(),
        Deed::Ahead { entries: 1 } => "dated an entry in the future: it waits for its time".to_owned(),
        Deed::Ahead { entries } => format!("dated {entries} entries in the future: they wait for their time"),
        Deed::Unknown { kind } => format!("did what this version of Covey does not know (act {kind})"),
    }
}

fn named<'a>(name: Option<&'a str>, nameless: &'a str) -> &'a str {
    name.unwrap_or(nameless)
}

/// A device by its name, or its id if that is all there is, and by whose it is.
fn whose_device(who: &Person, whom: Option<&Person>) -> String {
    let Some(whom) = whom else { return "a device".to_owned() };
    let id = whom.device.map(|device| device.to_string()).unwrap_or_default();
    let device = named(whom.device_name.as_deref(), &id);
    match &whom.user_name {
        _ if whom.user.is_some() && whom.user == who.user => format!("their own device {device}"),
        Some(user) => format!("{user}'s device {device}"),
        None => format!("the device {device}"),
    }
}

fn set_space(name: Option<&str>, history: Option<HistoryPolicy>) -> String {
    let name = name.map(|name| format!("named the space {name}"));
    let history = history.map(|history| match history {
        HistoryPolicy::Full => "let newcomers read all of history",
        HistoryPolicy::FromJoining => "let newcomers read from their joining on",
    });
    let done: Vec<String> = name.into_iter().chain(history.map(str::to_owned)).collect();
    if done.is_empty() { "changed nothing of the space".to_owned() } else { done.join(" and ") }
}
