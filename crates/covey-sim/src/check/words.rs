//! What machines know of a space's membership, in words: for whoever has to find out why a story failed.

use std::collections::BTreeMap;

use covey_engine::{load_acts, load_void_acts};
use covey_log::Entry;
use covey_space::MembershipOp;
use covey_types::{DeviceId, EntryHash, EpochId, LogId, SpaceId};

use crate::{machine::Machine, world::World};

/// The acts that a machine holds and who is in by them, a line each.
pub(super) fn acts_in_words(world: &World, of: usize, space: SpaceId) -> Vec<String> {
    let machine = &world.machines[of];
    let (key, keys) = {
        let engine = machine.engine();
        let Ok(state) = engine.space(space) else { return vec![format!("m{of} doesn't have it")] };
        (state.key, state.info.keys.clone())
    };
    let mut all = machine
        .disk
        .read(move |rows| {
            let counts = load_acts(rows, key, &keys)?.into_iter().map(|(entry, acts)| (entry, acts, false));
            let voids = load_void_acts(rows, key, space, &keys)?;
            let all: Vec<_> =
                counts.chain(voids.into_iter().map(|(entry, acts)| (entry, acts, true))).collect();
            Ok::<_, covey_store::StoreError>(all)
        })
        .unwrap_or_default();
    all.sort_by_key(|(entry, ..)| entry.header.hlc);
    let names = Names::of(world, &all);
    let engine = machine.engine();
    let Ok(state) = engine.space(space) else { return Vec::new() };
    let fallen = state.membership.fallen();
    let mut lines = vec![format!("m{of} knows:")];
    for (entry, acts, void) in &all {
        let deps: Vec<String> = entry.header.deps.iter().map(|dep| names.entry(dep)).collect();
        let acts: Vec<String> = acts.iter().map(|act| names.act(act)).collect();
        // What stands past a fork counts where another device has built upon it.
        let fate = match (*void, fallen.contains(&entry.hash)) {
            (true, true) => " (void)",
            (true, false) => " (past a fork, and counts)",
            (false, true) => " (fallen)",
            (false, false) => "",
        };
        lines.push(format!(
            "  {}{fate} after {} under {}: {}",
            names.entry(&entry.hash),
            deps.join(" "),
            names.epoch(entry.header.epoch),
            acts.join("; ")
        ));
    }
    let who: Vec<String> = state
        .membership
        .devices()
        .map(|(device, _)| format!("{} {:?}", names.device(device), state.membership.role_of(device)))
        .collect();
    let held: Vec<String> = names
        .epochs
        .iter()
        .filter(|(epoch, _)| state.info.keys.key(**epoch).is_some())
        .map(|(_, name)| name.clone())
        .collect();
    let current = state.membership.current_epoch().map(|epoch| names.epoch(epoch));
    lines.push(format!("  in: {}; current {current:?}; has keys of {}", who.join(", "), held.join(" ")));
    lines
}

/// Short names of devices, entries and epochs.
struct Names {
    devices: BTreeMap<DeviceId, String>,
    entries: BTreeMap<EntryHash, String>,
    epochs: BTreeMap<EpochId, String>,
}

impl Names {
    fn of(world: &World, all: &[(Entry, Vec<MembershipOp>, bool)]) -> Self {
        let device = |machine: &Machine| (machine.device(), machine.name.clone());
        let mut names = Self {
            devices: world.machines.iter().map(device).collect(),
            entries: BTreeMap::new(),
            epochs: BTreeMap::new(),
        };
        for (entry, acts, _) in all {
            let name = format!("{}#{}", names.log(entry.header.log), entry.header.seq);
            if entry.header.kind == covey_log::Kind::FOUNDING {
                names.epochs.insert(entry.header.epoch, "E0".into());
            }
            for epoch in acts.iter().filter_map(MembershipOp::begins) {
                names.epochs.insert(epoch, format!("E({name})"));
            }
            names.entries.insert(entry.hash, name);
        }
        names
    }

    fn device(&self, device: DeviceId) -> String {
        self.devices.get(&device).cloned().unwrap_or_else(|| device.to_string())
    }

    /// A device's name, and how the name of this log of it begins.
    fn log(&self, log: LogId) -> String {
        let whole = log.to_string();
        let incarnation = whole.rsplit('/').next().and_then(|name| name.get(..2)).unwrap_or_default();
        format!("{}/{incarnation}", self.device(log.device))
    }

    fn entry(&self, hash: &EntryHash) -> String {
        self.entries.get(hash).cloned().unwrap_or_else(|| format!("?{hash}"))
    }

    fn epoch(&self, epoch: EpochId) -> String {
        self.epochs.get(&epoch).cloned().unwrap_or_else(|| epoch.to_string())
    }

    fn act(&self, act: &MembershipOp) -> String {
        let keys: Vec<String> = act
            .sealed_keys()
            .iter()
            .map(|key| format!("{}:{}", self.device(key.device), self.epoch(key.epoch)))
            .collect();
        let what = match act {
            MembershipOp::Found(_) => "founds".into(),
            MembershipOp::AddMember(add) => {
                let devices: Vec<String> =
                    add.devices.iter().map(|device| self.device(device.cert.device)).collect();
                format!("adds {} as {:?}", devices.join(", "), add.role)
            }
            MembershipOp::AddDevice(add) => format!("adds device {}", self.device(add.device.cert.device)),
            MembershipOp::SetRole(set) => format!("makes user of {} {:?}", set.user, set.role),
            MembershipOp::RemoveMember(remove) => {
                format!("puts out {} {:?}", remove.user, self.cuts(&remove.cuts))
            }
            MembershipOp::RemoveDevice(remove) => {
                format!("puts out {} {:?}", self.device(remove.device), self.cuts(&remove.cuts))
            }
            MembershipOp::Rotate(rotate) => {
                let old: Vec<String> = rotate.previous.iter().map(|old| self.epoch(old.epoch)).collect();
                format!("begins {} wrapping {}", self.epoch(rotate.epoch), old.join(" "))
            }
            MembershipOp::ShareKeys(_) => "shares".into(),
            MembershipOp::RenameUser(_) | MembershipOp::RenameDevice(..) => "renames".into(),
            MembershipOp::SetSpace(_) => "sets".into(),
            MembershipOp::Notice(_) => "tells".into(),
            MembershipOp::Unknown { kind } => format!("unknown {kind}"),
        };
        if keys.is_empty() { what } else { format!("{what} keys [{}]", keys.join(" ")) }
    }

    fn cuts(&self, cuts: &[covey_space::ops::Cut]) -> Vec<String> {
        cuts.iter().map(|cut| format!("{}@{}", self.log(cut.log), cut.head.seq)).collect()
    }
}
