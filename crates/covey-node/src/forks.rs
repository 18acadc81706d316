//! Devices that wrote two histories, as people are told of them.

use covey_engine::{OwnFork, SpaceState, load_evidence, own_forks, unwritten};
use covey_log::{Evidence, Frozen};
use covey_types::DeviceId;

use crate::{Check, Fork, Node, NodeError, Space};

/// The forked logs of a space.
pub(crate) fn of(space: &SpaceState) -> Vec<Fork> {
    let fork = |Frozen { line, end }: Frozen| Fork {
        device: line.log.device,
        name: space.membership.device_name(line.log.device).map(str::to_owned),
        log: line.log,
        seq: end.saturating_add(1),
    };
    space.frozen().map(fork).collect()
}

impl Space {
    /// The proofs of what devices wrote two histories: for each the two headers that contradict each other, as they were
    /// signed.
    ///
    /// # Errors
    /// The store's.
    pub async fn fork_proofs(&self) -> Result<Vec<Evidence>, NodeError> {
        let (key, id) = (self.node.engine().space(self.id())?.key, self.id());
        Ok(self.node.0.store.read(move |reader| load_evidence(reader, key, id)).await?)
    }
}

/// What is to be said of others' forked logs.
pub(crate) fn others(name: &str, space: &SpaceState, own: DeviceId) -> Vec<Check> {
    let check = |fork: Fork| {
        let device = fork.name.unwrap_or_else(|| "a device".to_owned());
        let detail = format!(
            "{name}: {device} ({}) wrote two histories: it was cloned, or set back by copying files, or it lies; what it wrote \
             from entry {} of that log on doesn't count",
            fork.device, fork.seq
        );
        let is_in = space.membership.has_device(fork.device);
        let remedy = if is_in {
            format!(
                "ask its owner: an honest copy writes its changes again by itself, and only one copy may go on; otherwise remove \
                 it with `covey device revoke {}`; `covey audit {}` has the proof",
                fork.device, space.id
            )
        } else {
            format!("nothing: it's no longer in the space; `covey audit {}` has the proof", space.id)
        };
        Check { name: "fork", ok: !is_in, detail, remedy: (is_in).then_some(remedy) }
    };
    of(space).into_iter().filter(|fork| fork.device != own).map(check).collect()
}

/// What is to be said of this device's own forked logs.
pub(crate) async fn own(node: &Node) -> Result<Vec<Check>, NodeError> {
    let forks = node.0.store.read(|reader| own_forks(reader)).await?;
    let mut checks = Vec::new();
    for OwnFork { space, seq, .. } in forks {
        let left = node.0.store.read(move |reader| unwritten(reader, space)).await?;
        let (name, is_proved) = node.engine().space(space).map_or_else(
            |_| (space.to_string(), false),
            |state| {
                (
                    state.name().to_owned(),
                    state.frozen().any(|frozen| frozen.line.log.device == node.device()),
                )
            },
        );
        let again = match (is_proved, left) {
            (true, 0) => "what this copy had written there since was written again; acts on members were not"
                .to_owned(),
            (true, left) => {
                format!(
                    "{left} of the entries that this copy had written there wait until it may write again"
                )
            }
            (false, _) => "no proof of it has come yet, so that nothing was taken back".to_owned(),
        };
        let detail = format!(
            "{name}: this device's own log has two histories from entry {seq} on: its home was copied, or the machine set back, and \
             both copies wrote; {again}"
        );
        let remedy = "use one copy only: two that run can't reach each other, and give others two accounts of what was done; \
                      look whether members you let in, put out or promoted are as you want them; \
                      never copy a home, use `covey backup` and `covey restore`";
        checks.push(Check { name: "own-log", ok: false, detail, remedy: Some(remedy.to_owned()) });
    }
    Ok(checks)
}
