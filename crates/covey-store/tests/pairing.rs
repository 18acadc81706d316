//! What became of invitations, as it is kept.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{space, store, write};
use covey_store::{PAIRING_KEPT, PairingKind, PairingRow};
use covey_types::DeviceId;

fn row(nameplate: u32, at_ms: u64, kind: PairingKind) -> PairingRow {
    let device = (kind == PairingKind::WrongCode).then_some(DeviceId([3; 32]));
    PairingRow { at_ms, nameplate, kind, purpose: 1, role: 2, expires_ms: u64::MAX, device }
}

#[test]
fn what_became_of_invitations_is_read_in_order_and_goes_with_its_space() {
    let (_dir, store) = store();
    let rows = [
        row(7, 1, PairingKind::Invited),
        row(7, 2, PairingKind::WrongCode),
        row(8, 2, PairingKind::Invited),
        row(7, 3, PairingKind::Burnt),
    ];
    let (garden, shed) = write(&store, move |tx| {
        let (garden, shed) = (tx.insert_space(space(1), b"garden")?, tx.insert_space(space(2), b"shed")?);
        rows.iter().try_for_each(|row| tx.add_pairing(garden, row))?;
        // One of the same number elsewhere, and an earlier one of it here, are others.
        tx.add_pairing(shed, &row(8, 4, PairingKind::Expired))?;
        Ok((garden, shed))
    });
    let read: Vec<_> = store.read_blocking(|r| r.pairing(garden)).unwrap();
    assert_eq!(read.iter().map(|(_, row)| *row).collect::<Vec<_>>(), rows);
    assert!(read.is_sorted_by_key(|(key, _)| *key));
    assert_eq!(store.read_blocking(|r| r.unended_pairing(garden)).unwrap(), [rows[2]]);
    write(&store, move |tx| tx.add_pairing(garden, &row(8, 5, PairingKind::Withdrawn)));
    assert_eq!(store.read_blocking(|r| r.unended_pairing(garden)).unwrap(), []);
    write(&store, move |tx| tx.add_pairing(garden, &row(8, 6, PairingKind::Invited)));
    assert_eq!(store.read_blocking(|r| r.unended_pairing(garden)).unwrap().len(), 1);
    write(&store, move |tx| tx.remove_space(garden));
    let left = store.read_blocking(|r| Ok((r.pairing(garden)?.len(), r.pairing(shed)?.len()))).unwrap();
    assert_eq!(left, (0, 1));
}

#[test]
fn the_oldest_go_when_there_are_too_many() {
    let (_dir, store) = store();
    let garden = write(&store, move |tx| tx.insert_space(space(1), b"garden"));
    let shed = write(&store, move |tx| tx.insert_space(space(2), b"shed"));
    write(&store, move |tx| {
        tx.add_pairing(shed, &row(1, 0, PairingKind::Invited))?;
        (0..PAIRING_KEPT as u64 + 3)
            .try_for_each(|at| tx.add_pairing(garden, &row(1, at, PairingKind::Invited)))
    });
    let (kept, others) = store.read_blocking(|r| Ok((r.pairing(garden)?, r.pairing(shed)?))).unwrap();
    assert_eq!((kept.len(), kept[0].1.at_ms, others.len()), (PAIRING_KEPT, 3, 1));
}
