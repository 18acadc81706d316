//! What became of this device's invitations: rows of its own, which nobody else has.

use covey_types::DeviceId;
use rusqlite::Row;

use super::{SpaceKey, chat::id32, malformed};
use crate::{
    error::StoreError,
    tx::{Bits, Reader, Tx},
};

/// Rows that are kept of each space; the oldest go first. A code has five at most, so these are more invitations than
/// people make in years, and a guesser can't add to them without somebody inviting anew.
pub const PAIRING_KEPT: usize = 10_000;

/// What happened to an invitation. The numbers stand in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PairingKind {
    /// It was made.
    Invited = 0,
    /// A device gave a wrong code for it.
    WrongCode = 1,
    /// A device gave the right code.
    Used = 2,
    /// A device gave one wrong code too many.
    Burnt = 3,
    /// Its time was over.
    Expired = 4,
    /// It was withdrawn.
    Withdrawn = 5,
}

impl PairingKind {
    const ALL: [Self; 6] =
        [Self::Invited, Self::WrongCode, Self::Used, Self::Burnt, Self::Expired, Self::Withdrawn];
}

/// Something that happened to an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairingRow {
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// Which: the public half of its code.
    pub nameplate: u32,
    /// What.
    pub kind: PairingKind,
    /// What its code was for, in the caller's numbers.
    pub purpose: u8,
    /// Which role it gave, in the caller's numbers.
    pub role: u8,
    /// Until when it was to last, milliseconds since 1970.
    pub expires_ms: u64,
    /// Who gave a code.
    pub device: Option<DeviceId>,
}

fn pairing(row: &Row<'_>) -> rusqlite::Result<(u64, PairingRow)> {
    let kind: usize = row.get(3)?;
    let device = row.get_ref(7)?.as_blob_or_null()?.map(|_| id32(row, 7)).transpose()?;
    let pairing = PairingRow {
        at_ms: row.get::<_, Bits>(1)?.0,
        nameplate: row.get(2)?,
        kind: *PairingKind::ALL.get(kind).ok_or_else(|| malformed(3, "not a kind of pairing"))?,
        purpose: row.get(4)?,
        role: row.get(5)?,
        expires_ms: row.get::<_, Bits>(6)?.0,
        device: device.map(DeviceId),
    };
    Ok((row.get::<_, Bits>(0)?.0, pairing))
}

impl Reader<'_> {
    /// What happened to this device's invitations to a space, oldest first, each with its number.
    pub fn pairing(&self, space: SpaceKey) -> Result<Vec<(u64, PairingRow)>, StoreError> {
        let sql = "SELECT key, at_ms, nameplate, kind, purpose, role, expires_ms, device
                   FROM pairing WHERE space = ?1 ORDER BY key";
        self.rows("read what became of invitations", sql, [space.0], pairing)
    }

    /// The invitations to a space of which no end is known.
    pub fn unended_pairing(&self, space: SpaceKey) -> Result<Vec<PairingRow>, StoreError> {
        // 0 is Invited, and all from 2 on end it.
        let sql = "SELECT key, at_ms, nameplate, kind, purpose, role, expires_ms, device FROM pairing o
                   WHERE space = ?1 AND kind = 0 AND NOT EXISTS(
                       SELECT 1 FROM pairing l
                       WHERE l.space = o.space AND l.key > o.key AND l.nameplate = o.nameplate AND l.kind >= 2)
                   ORDER BY key";
        let rows = self.rows("look for invitations without an end", sql, [space.0], pairing)?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }
}

impl Tx<'_> {
    /// Keeps what happened to an invitation, beside the [`PAIRING_KEPT`] newest of its space.
    pub fn add_pairing(&mut self, space: SpaceKey, row: &PairingRow) -> Result<(), StoreError> {
        let doing = "keep what became of an invitation";
        let sql = "INSERT INTO pairing(space, at_ms, nameplate, kind, purpose, role, expires_ms, device)
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let device = row.device.map(|device| device.0);
        let values = (
            space.0,
            Bits(row.at_ms),
            row.nameplate,
            row.kind as u8,
            row.purpose,
            row.role,
            Bits(row.expires_ms),
            device,
        );
        self.execute(doing, sql, values)?;
        let surplus = "DELETE FROM pairing WHERE space = ?1 AND key <=
                       (SELECT key FROM pairing WHERE space = ?1 ORDER BY key DESC LIMIT 1 OFFSET ?2)";
        self.execute(doing, surplus, (space.0, PAIRING_KEPT))?;
        Ok(())
    }
}
