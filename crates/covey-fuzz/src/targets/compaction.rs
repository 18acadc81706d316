//! What devices say of the checkpoints of others, and the entry that holds all their words.

use covey_engine::compact::{Claim, Seen, read_seen};
use covey_log::{Draft, Entry, Kind};
use covey_types::{DeviceId, Head, Hlc, wire};

use super::steady;
use crate::people::{ACTORS, LOGS, SPACE, epoch};

/// What a device writes behind an entry.
fn written(device: usize, head: Head, kind: Kind, body: Vec<u8>) -> Entry {
    let actor = &ACTORS[device];
    let draft = Draft {
        space: SPACE,
        log: actor.log(),
        head,
        hlc: Hlc::new(9000, 0),
        kind,
        epoch: epoch(0).id(),
        deps: Vec::new(),
    };
    Entry::sign(&actor.device, draft, body)
}

/// The body of an agreement of the first two devices on a checkpoint of the third.
pub(crate) fn agreed() -> Vec<u8> {
    let begin = written(2, LOGS[2][4].head(), Kind::CHECKPOINT, vec![1; 20]);
    let last = written(2, begin.head(), Kind::CHECKPOINT, vec![2; 20]).head();
    let seen = wire::encode(&[Seen { log: ACTORS[2].log(), begin: begin.head(), last }].as_slice());
    let words = [0, 1].map(|device| written(device, LOGS[device][6].head(), Kind::SEEN, seen.clone()));
    Claim::body(&begin, last, &words)
}

/// The body of an agreement, as it comes from its author. Only what somebody signed is their word.
pub fn checkpoint_agreement(bytes: &[u8]) {
    steady();
    if let Ok(seen) = read_seen(bytes) {
        assert_eq!(read_seen(&wire::encode(&seen)).as_ref(), Ok(&seen));
    }
    let entry = written(2, LOGS[2][14].head(), Kind::AGREED, bytes.to_vec());
    let Ok(Claim { agreement, said_by, .. }) = Claim::read(&entry) else { return };
    let places = [agreement.begin.seq, agreement.last.seq, agreement.at.seq];
    assert!(places.is_sorted_by(|a, b| a < b), "the words come behind what they are about");
    let known = |device: &DeviceId| ACTORS.iter().any(|actor| actor.id() == *device);
    assert!(said_by.iter().all(known), "a word of somebody whose key nobody has");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_two_devices_are_read_back_as_theirs() {
        let entry = written(2, LOGS[2][14].head(), Kind::AGREED, agreed());
        let claim = Claim::read(&entry).unwrap();
        assert_eq!(claim.said_by, [ACTORS[0].id(), ACTORS[1].id()].into());
    }
}
