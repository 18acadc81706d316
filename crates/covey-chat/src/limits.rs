//! The bounds of chat, each with its reason.

use std::time::Duration;

/// Longest text of a message, bytes of UTF-8: some ten pages. What is longer is a file.
pub const MAX_TEXT_BYTES: usize = 16 << 10;

/// Longest name of a channel, characters: as names of spaces, since a private channel is one.
pub const MAX_NAME_CHARS: usize = covey_types::limits::MAX_DISPLAY_NAME_CHARS;

/// Longest topic of a channel, characters: one line.
pub const MAX_TOPIC_CHARS: usize = 256;

/// Most people that a message mentions: whoever means more means everybody.
pub const MAX_MENTIONS: usize = 64;

/// Longest reaction, bytes: a family of emoji joined to one, with skin tones, has 41.
pub const MAX_EMOJI_BYTES: usize = 64;

/// Most reactions of one device to one message that are looked at.
pub const MAX_REACTIONS: usize = 32;

/// People in a direct message, the one who begins it among them. More are a private channel.
pub const MAX_DIRECT: usize = 16;

/// Most people that a channel's record may name as its admins.
pub const MAX_ADMINS: usize = 64;

/// Longest part of an id that a client chooses.
pub const MAX_CLIENT_ID: usize = 64;

/// Shortest: so that two clients don't choose the same by accident.
pub const MIN_CLIENT_ID: usize = 8;

/// Who has done nothing for so long is away.
pub const AWAY_AFTER: Duration = Duration::from_mins(5);

/// How often a node says that its user is there.
pub const BEAT_EVERY: Duration = Duration::from_secs(20);

/// A device of which nothing was heard for so long is gone: two beats may get lost.
pub const OFFLINE_AFTER: Duration = Duration::from_secs(65);

/// How long somebody is shown as typing after it was said.
pub const TYPING_FOR: Duration = Duration::from_secs(6);

/// Devices of which a read mark says what was there of theirs: those of a very large space that all write in one channel.
pub const MAX_SEEN: usize = 4096;
