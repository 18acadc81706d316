//! What chat's records come to: messages and reactions in a form that is fast to read, and drafts. Read marks are in
//! `chat_marks`.
//!
//! All but drafts follow from the records, and are kept in step by whoever writes those (the node). Messages are in the
//! order of their times and ids. Their keys are their times, as far as those are free, so that the index of words, which is
//! in the order of keys, gives the newest first without looking at all that it has found.

use covey_types::{DeviceId, Hlc, UserId};
use rusqlite::Row;

use super::{SpaceKey, malformed};
use crate::{
    error::StoreError,
    tx::{Bits, Reader, Tx},
};

/// A channel of a space in this store. Short, and good in this store only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChatKey(pub(super) i64);

/// A message as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatMessage {
    /// In which space.
    pub space: SpaceKey,
    /// In which channel.
    pub channel: ChatKey,
    /// When it was written.
    pub hlc: Hlc,
    /// Its id.
    pub id: String,
    /// Which device wrote it.
    pub device: DeviceId,
    /// Whose that is.
    pub user: UserId,
    /// Whether it was written otherwise first.
    pub edited: bool,
    /// Whether it was deleted.
    pub deleted: bool,
    /// The message that it answers.
    pub reply_to: Option<String>,
    /// The first message of its thread.
    pub root: Option<String>,
    /// Who is mentioned.
    pub mentions: Vec<UserId>,
    /// The text.
    pub text: String,
}

/// A reaction of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatReaction {
    /// To which message.
    pub message: String,
    /// Which device.
    pub device: DeviceId,
    /// Whose that is.
    pub user: UserId,
    /// Which.
    pub emoji: String,
    /// When.
    pub hlc: Hlc,
    /// Whether it's there, or taken back.
    pub present: bool,
}

/// Of which the author's role decides whether it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatRole {
    /// In which collection.
    pub collection: String,
    /// In which record.
    pub id: String,
    /// When it was written.
    pub hlc: Hlc,
    /// Which field.
    pub field: String,
    /// The field's value as JSON text.
    pub value: String,
    /// Whether its author was an admin then.
    pub admin: bool,
}

/// A record of a kind that somebody follows has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Where in the feed of changes.
    pub position: u64,
    /// In which space.
    pub space: SpaceKey,
    /// Its collection's name.
    pub collection: String,
    /// Its id.
    pub id: String,
}

/// Which messages a page holds, and from where on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatPage {
    /// Those before a place, newest first.
    Before((Hlc, String)),
    /// Those after a place, oldest first.
    After((Hlc, String)),
}

/// A message that was found, with marks in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatFound {
    /// The number under which it was found, which grows with its time: the next page is of lower ones.
    pub number: i64,
    /// The message.
    pub message: ChatMessage,
    /// Its text with the given marks around what was found.
    pub marked: String,
}

/// What others have said of one message that is read: of edits each device has one, of reactions a few.
const MAX_SAID: usize = 10_000;

const COLUMNS: &str = "m.space, m.channel, m.hlc, m.id, m.device, m.user, m.edited, m.deleted, m.reply_to, m.root, m.mentions, m.text";

pub(super) fn id32(row: &Row<'_>, column: usize) -> rusqlite::Result<[u8; 32]> {
    let bytes = row.get_ref(column)?.as_blob()?;
    bytes.try_into().map_err(|_| malformed(column, "not an id of 32 bytes"))
}

pub(super) fn hlc(row: &Row<'_>, column: usize) -> rusqlite::Result<Hlc> {
    Ok(Hlc::from_u64(row.get::<_, Bits>(column)?.0))
}

fn message(row: &Row<'_>) -> rusqlite::Result<ChatMessage> {
    Ok(ChatMessage {
        space: SpaceKey(row.get(0)?),
        channel: ChatKey(row.get(1)?),
        hlc: hlc(row, 2)?,
        id: row.get(3)?,
        device: DeviceId(id32(row, 4)?),
        user: UserId(id32(row, 5)?),
        edited: row.get(6)?,
        deleted: row.get(7)?,
        reply_to: row.get(8)?,
        root: row.get(9)?,
        mentions: row.get_ref(10)?.as_blob()?.chunks_exact(32).filter_map(UserId::from_slice).collect(),
        text: row.get(11)?,
    })
}

impl Reader<'_> {
    /// The key of a channel, if anything is known of it.
    pub fn chat_channel(&self, space: SpaceKey, id: &str) -> Result<Option<ChatKey>, StoreError> {
        let sql = "SELECT key FROM chat_channels WHERE space = ?1 AND id = ?2";
        self.row("find a channel", sql, (space.0, id), |row| row.get(0).map(ChatKey))
    }

    /// The id of a channel.
    pub fn chat_channel_id(&self, channel: ChatKey) -> Result<Option<String>, StoreError> {
        let sql = "SELECT id FROM chat_channels WHERE key = ?1";
        self.row("find a channel", sql, [channel.0], |row| row.get(0))
    }

    /// A message.
    pub fn chat_message(&self, space: SpaceKey, id: &str) -> Result<Option<ChatMessage>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM chat_messages m WHERE space = ?1 AND id = ?2");
        self.row("read a message", &sql, (space.0, id), message)
    }

    /// Messages of a channel on one side of a place, at most so many.
    pub fn chat_page(
        &self,
        channel: ChatKey,
        page: &ChatPage,
        limit: usize,
    ) -> Result<Vec<ChatMessage>, StoreError> {
        let (sign, order, at) = match page {
            ChatPage::Before(at) => ("<", "DESC", at),
            ChatPage::After(at) => (">", "ASC", at),
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM chat_messages m INDEXED BY chat_messages_in_order
             WHERE channel = ?1 AND (hlc, id) {sign} (?2, ?3) ORDER BY hlc {order}, id {order} LIMIT ?4"
        );
        self.rows("read messages", &sql, (channel.0, Bits(at.0.to_u64()), &at.1, limit), message)
    }

    /// The answers in a thread on one side of a place, at most so many.
    pub fn chat_thread(
        &self,
        space: SpaceKey,
        root: &str,
        page: &ChatPage,
        limit: usize,
    ) -> Result<Vec<ChatMessage>, StoreError> {
        let (sign, order, at) = match page {
            ChatPage::Before(at) => ("<", "DESC", at),
            ChatPage::After(at) => (">", "ASC", at),
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM chat_messages m INDEXED BY chat_messages_by_thread
             WHERE space = ?1 AND root = ?2 AND (hlc, id) {sign} (?3, ?4)
             ORDER BY hlc {order}, id {order} LIMIT ?5"
        );
        self.rows("read a thread", &sql, (space.0, root, Bits(at.0.to_u64()), &at.1, limit), message)
    }

    /// How many answers a message has that aren't deleted, and when the newest was written.
    pub fn chat_replies(&self, space: SpaceKey, root: &str) -> Result<Option<(u64, Hlc)>, StoreError> {
        let sql = "SELECT count(*), max(hlc) FROM chat_messages INDEXED BY chat_messages_by_thread
                   WHERE space = ?1 AND root = ?2 AND NOT deleted HAVING count(*) > 0";
        self.row("count the answers to a message", sql, (space.0, root), |row| {
            Ok((row.get(0)?, hlc(row, 1)?))
        })
    }

    /// The reactions to a message, also those that were taken back.
    pub fn chat_reactions(&self, space: SpaceKey, message: &str) -> Result<Vec<ChatReaction>, StoreError> {
        let sql = "SELECT message, device, user, emoji, hlc, present FROM chat_reactions
                   WHERE space = ?1 AND message = ?2 ORDER BY hlc, device, emoji LIMIT ?3";
        self.rows("read the reactions to a message", sql, (space.0, message, MAX_SAID), |row| {
            Ok(ChatReaction {
                message: row.get(0)?,
                device: DeviceId(id32(row, 1)?),
                user: UserId(id32(row, 2)?),
                emoji: row.get(3)?,
                hlc: hlc(row, 4)?,
                present: row.get(5)?,
            })
        })
    }

    /// The records that say something of a message.
    pub fn chat_edits(&self, space: SpaceKey, message: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT id FROM chat_edits WHERE space = ?1 AND message = ?2 LIMIT ?3";
        self.rows("find what was said of a message", sql, (space.0, message, MAX_SAID), |row| row.get(0))
    }

    /// Messages in which `query` (of FTS5) fits, the newest by their times first: within channels or whole spaces. Those of one
    /// moment (a millisecond) are in any order.
    pub fn chat_search(
        &self,
        (spaces, channels): (&[SpaceKey], &[ChatKey]),
        query: &str,
        (mark, mark_end): (char, char),
        below: Option<i64>,
        limit: usize,
    ) -> Result<Vec<ChatFound>, StoreError> {
        let places: Vec<String> = spaces
            .iter()
            .map(|space| format!("s{}", space.0))
            .chain(channels.iter().map(|channel| format!("c{}", channel.0)))
            .collect();
        let matched = format!("place : ({}) AND text : ({query})", places.join(" OR "));
        let sql = format!(
            "SELECT {COLUMNS}, f.number, f.marked FROM (
                 SELECT rowid AS number, highlight(chat_search, 1, ?2, ?3) AS marked FROM chat_search
                 WHERE chat_search MATCH ?1 AND rowid < ?4 ORDER BY rowid DESC LIMIT ?5) f
             JOIN chat_messages m ON m.key = f.number ORDER BY f.number DESC"
        );
        let (mark, mark_end) = (mark.to_string(), mark_end.to_string());
        let params = (matched, mark, mark_end, below.unwrap_or(i64::MAX), limit);
        self.rows("search the messages", &sql, params, |row| {
            Ok(ChatFound { message: message(row)?, number: row.get(12)?, marked: row.get(13)? })
        })
    }

    /// What was typed in a channel and not sent.
    pub fn chat_draft(&self, space: SpaceKey, channel: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT text FROM chat_drafts WHERE space = ?1 AND channel = ?2";
        self.row("read a draft", sql, (space.0, channel), |row| row.get(0))
    }

    /// Of what in a space the author's role decides.
    pub fn chat_roles(&self, space: SpaceKey) -> Result<Vec<ChatRole>, StoreError> {
        let sql = "SELECT collection, id, hlc, field, value, admin FROM chat_roles WHERE space = ?1";
        self.rows("read what authors were", sql, [space.0], |row| {
            Ok(ChatRole {
                collection: row.get(0)?,
                id: row.get(1)?,
                hlc: hlc(row, 2)?,
                field: row.get(3)?,
                value: row.get(4)?,
                admin: row.get(5)?,
            })
        })
    }

    /// Whether the author of a field was an admin when they wrote it, if that was looked up.
    pub fn chat_was_admin(
        &self,
        space: SpaceKey,
        (collection, id): (&str, &str),
        field: &str,
        at: Hlc,
    ) -> Result<Option<bool>, StoreError> {
        let sql = "SELECT admin FROM chat_roles
                   WHERE space = ?1 AND collection = ?2 AND id = ?3 AND hlc = ?4 AND field = ?5";
        let params = (space.0, collection, id, Bits(at.to_u64()), field);
        self.row("read what an author was", sql, params, |row| row.get(0))
    }

    /// The ids of the records of a collection, deleted ones too; at most so many.
    pub fn record_ids(
        &self,
        space: SpaceKey,
        collection: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let sql =
            "SELECT r.id FROM collections c JOIN records r INDEXED BY records_by_id ON r.collection = c.key
                   WHERE c.space = ?1 AND c.name = ?2 ORDER BY r.id LIMIT ?3";
        self.rows("list the records of a collection", sql, (space.0, collection, limit), |row| row.get(0))
    }

    /// Records of all spaces that changed after `since`, oldest change first and at most `limit`: of the collections whose
    /// names begin with `prefix`.
    pub fn moved_since(&self, prefix: &str, since: u64, limit: usize) -> Result<Vec<Moved>, StoreError> {
        let doing = "find which records have changed";
        let sql = "SELECT key, space, name FROM collections WHERE substr(name, 1, length(?1)) = ?1";
        let collections = self.rows(doing, sql, [prefix], |row| {
            Ok((row.get::<_, i64>(0)?, SpaceKey(row.get(1)?), row.get::<_, String>(2)?))
        })?;
        let since = i64::try_from(since).unwrap_or(i64::MAX);
        let mut moved = Vec::new();
        for (key, space, collection) in collections {
            let sql = "SELECT position, id FROM records INDEXED BY records_by_change
                       WHERE collection = ?1 AND position > ?2 ORDER BY position LIMIT ?3";
            moved.extend(self.rows(doing, sql, (key, since, limit), |row| {
                Ok(Moved { position: row.get(0)?, space, collection: collection.clone(), id: row.get(1)? })
            })?);
        }
        moved.sort_unstable_by_key(|one| one.position);
        moved.truncate(limit);
        Ok(moved)
    }
}

impl Tx<'_> {
    /// The key of a channel, which is made if it isn't there yet.
    pub fn ensure_chat_channel(&mut self, space: SpaceKey, id: &str) -> Result<ChatKey, StoreError> {
        if let Some(key) = self.chat_channel(space, id)? {
            return Ok(key);
        }
        let sql = "INSERT INTO chat_channels(space, id) VALUES(?1, ?2)";
        self.insert("add a channel", sql, (space.0, id)).map(ChatKey)
    }

    /// Stores what a message looks like now; its number if there was none of this id.
    pub fn put_chat_message(&mut self, new: &ChatMessage) -> Result<Option<i64>, StoreError> {
        let doing = "store a message";
        let mentions: Vec<u8> = new.mentions.iter().flat_map(|user| user.0).collect();
        let sql = "UPDATE chat_messages SET channel = ?2, hlc = ?3, device = ?5, user = ?6, edited = ?7, deleted = ?8,
                       reply_to = ?9, root = ?10, mentions = ?11, text = ?12 WHERE space = ?1 AND id = ?4";
        let params = rusqlite::params![
            new.space.0,
            new.channel.0,
            Bits(new.hlc.to_u64()),
            new.id,
            new.device.as_bytes(),
            new.user.as_bytes(),
            new.edited,
            new.deleted,
            new.reply_to,
            new.root,
            mentions,
            new.text,
        ];
        if self.execute(doing, sql, params)? > 0 {
            return Ok(None);
        }
        let number = self.free_number(new.hlc)?;
        let sql = "INSERT INTO chat_messages(space, channel, hlc, id, device, user, edited, deleted, reply_to, root, mentions, text, key)
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
        let params = [params, rusqlite::params![number]].concat();
        self.execute(doing, sql, params.as_slice())?;
        Ok(Some(number))
    }

    /// The number of a new message of this time: the time itself, or behind those of the same moment.
    fn free_number(&self, hlc: Hlc) -> Result<i64, StoreError> {
        /// A millisecond.
        const MOMENT: i64 = 1 << 16;
        let doing = "find the place of a message";
        // What claims to be from so far in the future is held, and never comes here.
        let mut number = i64::try_from(hlc.to_u64()).unwrap_or(i64::MAX).min(i64::MAX >> 1);
        loop {
            let sql = "SELECT key FROM chat_messages WHERE key = ?1";
            if self.row(doing, sql, [number], |_| Ok(()))?.is_none() {
                return Ok(number);
            }
            let behind = number + MOMENT;
            let sql = "SELECT max(key) FROM chat_messages WHERE key >= ?1 AND key < ?2";
            let last: i64 = self.row(doing, sql, (number, behind), |row| row.get(0))?.unwrap_or(number);
            number = last + 1;
            if number < behind {
                return Ok(number);
            }
        }
    }

    /// Takes a message away that doesn't count any more; whether there was one.
    pub fn drop_chat_message(&mut self, space: SpaceKey, id: &str) -> Result<bool, StoreError> {
        let doing = "drop a message";
        let sql = "DELETE FROM chat_late WHERE message = (SELECT key FROM chat_messages WHERE space = ?1 AND id = ?2)";
        self.execute(doing, sql, (space.0, id))?;
        let sql = "DELETE FROM chat_messages WHERE space = ?1 AND id = ?2";
        Ok(self.execute(doing, sql, (space.0, id))? > 0)
    }

    /// Notes that a record says something of a message, or nothing any more.
    pub fn set_chat_edit(
        &mut self,
        space: SpaceKey,
        message: &str,
        id: &str,
        says: bool,
    ) -> Result<(), StoreError> {
        let sql = if says {
            "INSERT OR IGNORE INTO chat_edits(space, message, id) VALUES(?1, ?2, ?3)"
        } else {
            "DELETE FROM chat_edits WHERE space = ?1 AND message = ?2 AND id = ?3"
        };
        self.execute("note what says something of a message", sql, (space.0, message, id)).map(drop)
    }

    /// Puts these reactions of one device to a message in the place of those that were there. `tag` is the first half of the
    /// device's id.
    pub fn set_chat_reactions(
        &mut self,
        space: SpaceKey,
        message: &str,
        tag: &[u8],
        reactions: &[ChatReaction],
    ) -> Result<(), StoreError> {
        let doing = "store reactions";
        // Whose record it is can be told by the first half of the device's id alone, should the record be gone.
        let sql =
            "DELETE FROM chat_reactions WHERE space = ?1 AND message = ?2 AND substr(device, 1, 16) = ?3";
        self.execute(doing, sql, (space.0, message, tag))?;
        for one in reactions {
            let sql =
                "INSERT OR REPLACE INTO chat_reactions(space, message, device, emoji, user, hlc, present)
                       VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let (device, user) = (one.device.as_bytes(), one.user.as_bytes());
            let params = (space.0, message, device, &one.emoji, user, Bits(one.hlc.to_u64()), one.present);
            self.execute(doing, sql, params)?;
        }
        Ok(())
    }

    /// Notes what the author of a field was when they wrote it.
    pub fn put_chat_role(&mut self, space: SpaceKey, role: &ChatRole) -> Result<(), StoreError> {
        let sql = "INSERT OR REPLACE INTO chat_roles(space, collection, id, hlc, field, value, admin)
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let at = Bits(role.hlc.to_u64());
        let params = (space.0, &role.collection, &role.id, at, &role.field, &role.value, role.admin);
        self.execute("note what an author was", sql, params).map(drop)
    }

    /// Forgets what authors of a record were.
    pub fn drop_chat_roles(&mut self, space: SpaceKey, collection: &str, id: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM chat_roles WHERE space = ?1 AND collection = ?2 AND id = ?3";
        self.execute("forget what an author was", sql, (space.0, collection, id)).map(drop)
    }

    /// Keeps what was typed and not sent; an empty text is none.
    pub fn set_chat_draft(&mut self, space: SpaceKey, channel: &str, text: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM chat_drafts WHERE space = ?1 AND channel = ?2";
        self.execute("keep a draft", sql, (space.0, channel))?;
        if text.is_empty() {
            return Ok(());
        }
        let sql = "INSERT INTO chat_drafts(space, channel, text) VALUES(?1, ?2, ?3)";
        self.execute("keep a draft", sql, (space.0, channel, text)).map(drop)
    }
}
