//! Read marks of channels, those that only this device knows, what came late, and how much is unread.

use std::collections::BTreeMap;

use covey_types::{DeviceId, Hlc, UserId, wire};
use rusqlite::Row;

use super::{
    chat::{ChatKey, hlc, id32},
    malformed,
};
use crate::{
    error::StoreError,
    tx::{Bits, Reader, Tx},
};

/// How far somebody has read a channel on one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatMark {
    /// Which device.
    pub device: DeviceId,
    /// Whose that is.
    pub user: UserId,
    /// When it was said.
    pub written: Hlc,
    /// Up to which message.
    pub at: (Hlc, String),
    /// Up to which time it had the messages of each device, by the first half of that one's id in hexadecimal digits.
    pub seen: BTreeMap<String, Hlc>,
}

/// How many messages of a channel are unread, and how many of them mention somebody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChatUnread {
    /// How many, up to the limit that was given.
    pub count: u64,
    /// How many of these mention the reader.
    pub mentions: u64,
    /// The first.
    pub first: Option<(Hlc, String)>,
}

/// Messages that are looked at to count those that somebody hasn't read: whoever has written as many themself without
/// reading is a program.
const MAX_LOOKED_AT: usize = 10_000;

/// What a read mark's device had seen.
fn seen(row: &Row<'_>, column: usize) -> rusqlite::Result<BTreeMap<String, Hlc>> {
    /// Longest that is read back, bytes: each of some thousand devices takes 43 at most.
    const MAX_BYTES: usize = 1 << 20;
    let bytes = row.get_ref(column)?.as_blob()?;
    if bytes.is_empty() {
        return Ok(BTreeMap::new());
    }
    let seen: Result<Vec<(String, u64)>, _> = wire::decode("what was seen", bytes, MAX_BYTES);
    let seen = seen.map_err(|_| malformed(column, "not a list of devices and times"))?;
    Ok(seen.into_iter().map(|(tag, upto)| (tag, Hlc::from_u64(upto))).collect())
}

impl Reader<'_> {
    /// How far everybody has read a channel, on each of their devices.
    pub fn chat_marks(&self, channel: ChatKey) -> Result<Vec<ChatMark>, StoreError> {
        let sql = "SELECT device, user, written, hlc, id, seen FROM chat_marks WHERE channel = ?1";
        self.rows("read the read marks of a channel", sql, [channel.0], |row| {
            Ok(ChatMark {
                device: DeviceId(id32(row, 0)?),
                user: UserId(id32(row, 1)?),
                written: hlc(row, 2)?,
                at: (hlc(row, 3)?, row.get(4)?),
                seen: seen(row, 5)?,
            })
        })
    }

    /// Up to where a channel was read, as only this device knows it.
    pub fn chat_read_here(&self, channel: ChatKey) -> Result<Option<(Hlc, String)>, StoreError> {
        let sql = "SELECT hlc, id FROM chat_read_here WHERE channel = ?1";
        self.row("read how far a channel was read", sql, [channel.0], |row| Ok((hlc(row, 0)?, row.get(1)?)))
    }

    /// Of messages between two places, the first of them left out, and of those that came late before the last one: up to
    /// which time those of each device are here, by the first half of its id.
    pub fn chat_seen(
        &self,
        channel: ChatKey,
        (after, upto): (&(Hlc, String), &(Hlc, String)),
    ) -> Result<BTreeMap<String, Hlc>, StoreError> {
        let sql = "SELECT substr(id, 1, 32), max(hlc) FROM (
                       SELECT id, hlc FROM chat_messages INDEXED BY chat_messages_in_order
                       WHERE channel = ?1 AND (hlc, id) > (?2, ?3) AND (hlc, id) <= (?4, ?5)
                       UNION ALL
                       SELECT m.id, m.hlc FROM chat_late l JOIN chat_messages m ON m.key = l.message
                       WHERE l.channel = ?1 AND (m.hlc, m.id) <= (?4, ?5))
                   GROUP BY 1";
        let params = (channel.0, Bits(after.0.to_u64()), &after.1, Bits(upto.0.to_u64()), &upto.1);
        let rows = self.rows("look at what is read", sql, params, |row| Ok((row.get(0)?, hlc(row, 1)?)))?;
        Ok(rows.into_iter().collect())
    }

    /// The messages of a channel that came late and aren't read, by their numbers.
    pub fn chat_late(&self, channel: ChatKey) -> Result<Vec<(i64, Hlc, String)>, StoreError> {
        let sql = "SELECT m.key, m.hlc, m.id FROM chat_late l JOIN chat_messages m ON m.key = l.message
                   WHERE l.channel = ?1";
        self.rows("list the late messages", sql, [channel.0], |row| {
            Ok((row.get(0)?, hlc(row, 1)?, row.get(2)?))
        })
    }

    /// What others than `reader` wrote between two places, the first of them left out, by number; the newest, at most
    /// [`MAX_LOOKED_AT`].
    pub fn chat_between(
        &self,
        channel: ChatKey,
        reader: UserId,
        (after, upto): (&(Hlc, String), &(Hlc, String)),
    ) -> Result<Vec<(i64, Hlc, String)>, StoreError> {
        let sql = "SELECT key, hlc, id FROM chat_messages INDEXED BY chat_messages_in_order
                   WHERE channel = ?1 AND (hlc, id) > (?2, ?3) AND (hlc, id) <= (?4, ?5) AND user <> ?6
                   ORDER BY hlc DESC, id DESC LIMIT ?7";
        let (from, to) = (Bits(after.0.to_u64()), Bits(upto.0.to_u64()));
        let params = (channel.0, from, &after.1, to, &upto.1, reader.as_bytes(), MAX_LOOKED_AT);
        self.rows("look through the messages", sql, params, |row| {
            Ok((row.get(0)?, hlc(row, 1)?, row.get(2)?))
        })
    }

    /// What of a channel `reader` has not read who has read up to a place: what others wrote behind it, and what came late.
    /// Counts up to `limit`, and looks at no more than [`MAX_LOOKED_AT`] messages behind the place.
    pub fn chat_unread(
        &self,
        channel: ChatKey,
        reader: UserId,
        after: &(Hlc, String),
        limit: usize,
    ) -> Result<ChatUnread, StoreError> {
        let sql = "SELECT hlc, id, mentions FROM (
                       SELECT hlc, id, mentions, user, deleted FROM chat_messages INDEXED BY chat_messages_in_order
                       WHERE channel = ?1 AND (hlc, id) > (?2, ?3) ORDER BY hlc, id LIMIT ?6)
                   WHERE user <> ?4 AND NOT deleted
                   UNION
                   SELECT m.hlc, m.id, m.mentions FROM chat_late l JOIN chat_messages m ON m.key = l.message
                   WHERE l.channel = ?1 AND m.user <> ?4 AND NOT m.deleted
                   ORDER BY 1, 2 LIMIT ?5";
        let at = Bits(after.0.to_u64());
        let params = (channel.0, at, &after.1, reader.as_bytes(), limit, MAX_LOOKED_AT);
        let mut unread = ChatUnread::default();
        let rows = self.rows("count the unread messages", sql, params, |row| {
            let mentions = row.get_ref(2)?.as_blob()?.chunks_exact(32).any(|user| user == reader.as_bytes());
            Ok((hlc(row, 0)?, row.get::<_, String>(1)?, mentions))
        })?;
        for (hlc, id, mentions) in rows {
            unread.count += 1;
            unread.mentions += u64::from(mentions);
            unread.first.get_or_insert((hlc, id));
        }
        Ok(unread)
    }
}

impl Tx<'_> {
    /// Notes that a message, by its number, came behind the place up to which this device had read.
    pub fn add_chat_late(&mut self, channel: ChatKey, number: i64) -> Result<(), StoreError> {
        let sql = "INSERT OR IGNORE INTO chat_late(message, channel) VALUES(?2, ?1)";
        self.execute("note a late message", sql, (channel.0, number)).map(drop)
    }

    /// Notes that a late message, by its number, is read.
    pub fn drop_chat_late(&mut self, number: i64) -> Result<(), StoreError> {
        let sql = "DELETE FROM chat_late WHERE message = ?1";
        self.execute("note that a late message is read", sql, [number]).map(drop)
    }

    /// Notes up to where a channel was read, for this device alone.
    pub fn set_chat_read_here(&mut self, channel: ChatKey, at: &(Hlc, String)) -> Result<(), StoreError> {
        let sql = "INSERT OR REPLACE INTO chat_read_here(channel, hlc, id) VALUES(?1, ?2, ?3)";
        let params = (channel.0, Bits(at.0.to_u64()), &at.1);
        self.execute("note how far a channel was read", sql, params).map(drop)
    }

    /// Stores how far somebody has read on one device.
    pub fn put_chat_mark(&mut self, channel: ChatKey, mark: &ChatMark) -> Result<(), StoreError> {
        let sql = "INSERT OR REPLACE INTO chat_marks(channel, device, user, written, hlc, id, seen)
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let (device, user) = (mark.device.as_bytes(), mark.user.as_bytes());
        let at = Bits(mark.at.0.to_u64());
        let seen: Vec<(&String, u64)> = mark.seen.iter().map(|(tag, upto)| (tag, upto.to_u64())).collect();
        let seen = if seen.is_empty() { Vec::new() } else { wire::encode(&seen) };
        let params = (channel.0, device, user, Bits(mark.written.to_u64()), at, &mark.at.1, seen);
        self.execute("store a read mark", sql, params).map(drop)
    }

    /// Takes the read mark of a device away, by the first half of its id.
    pub fn drop_chat_mark(&mut self, channel: ChatKey, tag: &[u8]) -> Result<(), StoreError> {
        let sql = "DELETE FROM chat_marks WHERE channel = ?1 AND substr(device, 1, 16) = ?2";
        self.execute("drop a read mark", sql, (channel.0, tag)).map(drop)
    }
}
