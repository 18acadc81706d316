//! The first and the last bytes of a backup.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 16 | `covey-backup-v1\n`, which SQLCipher takes for the salt of its database |
//! | 16 | | the rest of the database |
//! | end - 128 | 16 | `covey-backup-end` |
//! | end - 112 | 16 | the salt for the passphrase |
//! | end - 96 | 12 | its costs: KiB of memory, passes, lanes; u32 each, little-endian as all numbers here |
//! | end - 84 | 4 | the version of the schema, u32 |
//! | end - 80 | 8 | how long the database is, u64 |
//! | end - 72 | 8 | zero |
//! | end - 64 | 32 | the check value for the key |
//! | end - 32 | 32 | BLAKE3 of everything before, keyed |
//!
//! SQLCipher authenticates each page; the last hash ties the pages together, and to the seal.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::ControlFlow,
};

use blake3::Hasher;

use super::{Progress, Stage, Watcher};
use crate::key::{Costs, DatabaseKey, check_value};

/// How a backup of this version begins.
pub(super) const MAGIC: &[u8; 16] = b"covey-backup-v1\n";

/// How backups of all versions begin.
const FAMILY: &[u8] = b"covey-backup-v";

/// How the seal begins.
const SEAL_MAGIC: &[u8; 16] = b"covey-backup-end";

/// Length of the seal, bytes.
pub(super) const SEAL_BYTES: usize = 128;

/// The part of it that the last hash covers.
const HASHED_BYTES: usize = SEAL_BYTES - 32;

/// What is read at once.
const CHUNK_BYTES: usize = 256 << 10;

/// What the key of the last hash is derived for.
const HASH_CONTEXT: &str = "covey 2026 backup: the hash of the whole file";

/// What stands at the end of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) salt: [u8; 16],
    pub(super) costs: Costs,
    pub(super) schema: u32,
    pub(super) database_bytes: u64,
    check: [u8; 32],
    hash: [u8; 32],
}

/// Why a file is no backup that can be restored.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoSeal {
    Foreign,
    CutOff,
    Newer(String),
}

impl Seal {
    pub(super) fn new(
        key: &DatabaseKey,
        salt: [u8; 16],
        costs: Costs,
        schema: u32,
        database_bytes: u64,
    ) -> Self {
        Self { salt, costs, schema, database_bytes, check: *check_value(key).as_bytes(), hash: [0; 32] }
    }

    /// Whether this is the key of the backup. Comparing hashes takes the same time wherever they differ.
    pub(super) fn fits(&self, key: &DatabaseKey) -> bool {
        blake3::Hash::from_bytes(self.check) == check_value(key)
    }

    fn hashed(&self) -> [u8; HASHED_BYTES] {
        let costs = [self.costs.memory_kib, self.costs.passes, self.costs.lanes, self.schema];
        let mut bytes = [0; HASHED_BYTES];
        bytes[..16].copy_from_slice(SEAL_MAGIC);
        bytes[16..32].copy_from_slice(&self.salt);
        for (slot, number) in bytes[32..48].chunks_exact_mut(4).zip(costs) {
            slot.copy_from_slice(&number.to_le_bytes());
        }
        bytes[48..56].copy_from_slice(&self.database_bytes.to_le_bytes());
        bytes[64..].copy_from_slice(&self.check);
        bytes
    }

    /// The bytes of the seal of this database, which is read through.
    pub(super) fn close(
        mut self,
        key: &DatabaseKey,
        database: &mut File,
        watch: Watcher<'_>,
    ) -> io::Result<ControlFlow<(), [u8; SEAL_BYTES]>> {
        let ControlFlow::Continue(hash) = self.hash_of(key, database, watch)? else {
            return Ok(ControlFlow::Break(()));
        };
        self.hash = *hash.as_bytes();
        let mut bytes = [0; SEAL_BYTES];
        bytes[..HASHED_BYTES].copy_from_slice(&self.hashed());
        bytes[HASHED_BYTES..].copy_from_slice(&self.hash);
        Ok(ControlFlow::Continue(bytes))
    }

    /// Whether the file is, byte for byte, what was sealed.
    pub(super) fn holds(
        &self,
        key: &DatabaseKey,
        file: &mut File,
        watch: Watcher<'_>,
    ) -> io::Result<ControlFlow<(), bool>> {
        let hash = self.hash_of(key, file, watch)?;
        Ok(hash.map_continue(|hash| hash == blake3::Hash::from_bytes(self.hash)))
    }

    fn hash_of(
        &self,
        key: &DatabaseKey,
        file: &mut File,
        watch: Watcher<'_>,
    ) -> io::Result<ControlFlow<(), blake3::Hash>> {
        let key = zeroize::Zeroizing::new(blake3::derive_key(HASH_CONTEXT, key.expose()));
        let mut hasher = Hasher::new_keyed(&key);
        file.seek(SeekFrom::Start(0))?;
        let mut database = file.take(self.database_bytes);
        let (mut buffer, mut done_bytes) = (vec![0; CHUNK_BYTES], 0);
        loop {
            match database.read(&mut buffer)? {
                0 if done_bytes < self.database_bytes => return Err(io::ErrorKind::UnexpectedEof.into()),
                0 => break,
                read => {
                    hasher.update(&buffer[..read]);
                    done_bytes += read as u64;
                }
            }
            let progress = Progress { stage: Stage::Checking, done_bytes, total_bytes: self.database_bytes };
            if watch(progress).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        hasher.update(&self.hashed());
        Ok(ControlFlow::Continue(hasher.finalize()))
    }

    /// The seal of a file.
    pub(super) fn read(file: &mut (impl Read + Seek)) -> io::Result<Result<Self, NoSeal>> {
        let mut head = Vec::with_capacity(MAGIC.len());
        file.seek(SeekFrom::Start(0))?;
        file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut head)?;
        if !head.starts_with(FAMILY) {
            return Ok(Err(NoSeal::Foreign));
        }
        if head != MAGIC {
            let version = String::from_utf8_lossy(&head[FAMILY.len()..]).trim().to_owned();
            return Ok(Err(if head.len() < MAGIC.len() { NoSeal::CutOff } else { NoSeal::Newer(version) }));
        }
        let len = file.seek(SeekFrom::End(0))?;
        let Some(database_bytes) = len.checked_sub(SEAL_BYTES as u64) else { return Ok(Err(NoSeal::CutOff)) };
        file.seek(SeekFrom::Start(database_bytes))?;
        let mut bytes = [0; SEAL_BYTES];
        file.read_exact(&mut bytes)?;
        let seal = Self::decode(&bytes).filter(|seal| seal.database_bytes == database_bytes);
        Ok(seal.ok_or(NoSeal::CutOff))
    }

    fn decode(bytes: &[u8; SEAL_BYTES]) -> Option<Self> {
        let number = |at: usize| bytes[at..].first_chunk().map(|chunk| u32::from_le_bytes(*chunk));
        let costs = Costs { memory_kib: number(32)?, passes: number(36)?, lanes: number(40)? };
        let seal = Self {
            salt: *bytes[16..].first_chunk()?,
            costs,
            schema: number(44)?,
            database_bytes: u64::from_le_bytes(*bytes[48..].first_chunk()?),
            check: *bytes[64..].first_chunk()?,
            hash: *bytes[96..].first_chunk()?,
        };
        bytes.starts_with(SEAL_MAGIC).then_some(seal)
    }
}
