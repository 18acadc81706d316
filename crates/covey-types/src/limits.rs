//! Every bound that two nodes must agree on, and the reason for each.
//!
//! Bounds that concern one node alone (queue lengths, worker counts) stand beside what they bound.

/// Longest encrypted body of one entry. A transaction that would be larger is split by its writer.
/// 4 MiB keeps ten of them within the 40 MB that an idle node may use.
pub const MAX_ENTRY_BODY_BYTES: usize = 4 << 20;

/// Longest encrypted body of a membership entry: the longest notice of a child space fits, and new keys for some 5,000
/// devices. What a forked log says of membership is passed on as a whole, and must not take more than a frame.
pub const MAX_MEMBERSHIP_BODY_BYTES: usize = 768 << 10;

/// Longest body after decompression: bounds what a few hostile bytes can make others allocate.
pub const MAX_PLAIN_BODY_BYTES: usize = 4 << 20;

/// Most operations in one entry: writers put a thousand records into one, and the decoded list stays small.
pub const MAX_OPS_PER_ENTRY: usize = 16_384;

/// Longest JSON document of one record: well under a body, so that one always fits an entry.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

/// Longest record id, in bytes of UTF-8: ids stand in every index.
pub const MAX_RECORD_ID_BYTES: usize = 256;

/// Longest collection or field name, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 128;

/// Longest name of a space, user or device, in characters.
pub const MAX_DISPLAY_NAME_CHARS: usize = 64;

/// Last place in a log: a thousand entries a second for some nine thousand years. Far from where numbers end, here and in
/// whatever stores them.
pub const MAX_SEQ: u64 = 1 << 48;

/// Most membership entries that one entry may name as its causal dependencies: the number of
/// administrators that act at the same moment, with room.
pub const MAX_DEPS: usize = 32;

/// An entry further ahead of the local clock is held until its time comes.
pub const MAX_CLOCK_DRIFT_MS: u64 = 5 * 60 * 1000;

/// Longest frame on a sync stream: one largest entry and its header, with room.
pub const MAX_SYNC_FRAME_BYTES: usize = MAX_ENTRY_BODY_BYTES + (64 << 10);

/// Longest message while pairing: a welcome for a space with the most epochs (`covey_space::keyring::MAX_EPOCHS`) fits.
pub const MAX_PAIR_MESSAGE_BYTES: usize = 256 << 10;

/// Most spaces that two nodes compare in one session; beyond it the rest wait for a later version.
pub const MAX_SPACES_PER_SESSION: usize = 1024;

/// Most logs in one space: members times devices times restores, with room.
pub const MAX_LOGS_PER_SPACE: usize = 16_384;

/// Logs of one device in one space that are taken in: one per restored backup, with room. Without it a single member
/// could fill [`MAX_LOGS_PER_SPACE`], and then no two nodes could tell each other their heads any more.
pub const MAX_LOGS_PER_DEVICE: usize = 64;

/// How long a pairing code stays valid unless the inviter says otherwise.
pub const DEFAULT_INVITE_MS: u64 = 15 * 60 * 1000;

/// Longest life an inviter may give a code: a short secret should not live for long.
pub const MAX_INVITE_MS: u64 = 24 * 60 * 60 * 1000;

/// Wrong guesses that burn a code: with 20 secret bits an attacker's chance stays under 3 in a million.
pub const MAX_WRONG_GUESSES: u32 = 3;
