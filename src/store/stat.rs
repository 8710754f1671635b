//! The stat cache: digests of files that have not been touched since they were read.
//!
//! An entry is trusted only when size, times and inode are the same *and* the file's times were older than the look that
//! took the digest, by more than the clock's grain: a change within the same tick would leave no trace otherwise.

use std::collections::HashMap;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use super::digest::{hash_file, Digest, Kind};

const MAGIC: &[u8; 8] = b"nfstat01";
/// Kernel ticks are at most 10 ms; file systems that keep whole seconds are told by times without a fraction.
const GRAIN_NS: i64 = 20_000_000;
const COARSE_GRAIN_NS: i64 = 2_100_000_000;

/// What the file system says of a file without reading it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Identity {
    pub size: u64,
    pub inode: u64,
    pub mtime_ns: i64,
    pub ctime_ns: i64,
    pub executable: bool,
}

/// A file's content as it was found at one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    pub identity: Identity,
    /// When the content was read, in nanoseconds since 1970.
    pub look_ns: i64,
    pub digest: Digest,
}

impl Sighting {
    /// The racy-clean rule: whether a later change of the file must show in its identity.
    pub fn trusted(&self) -> bool {
        let newest = self.identity.mtime_ns.max(self.identity.ctime_ns);
        let grain = if newest % 1_000_000_000 == 0 {
            COARSE_GRAIN_NS
        } else {
            GRAIN_NS
        };
        newest.saturating_add(grain) < self.look_ns
    }
}

#[derive(Default)]
struct Table {
    entries: HashMap<PathBuf, Sighting>,
    changed: bool,
}

/// Digests by path, kept in `cache/stat`.
pub struct StatCache {
    file: PathBuf,
    table: Mutex<Table>,
}

/// The clock that looks are dated by.
pub fn now_ns() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
        })
}

fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

impl Identity {
    pub fn of(found: &std::fs::Metadata) -> Identity {
        Identity {
            size: found.len(),
            inode: found.ino(),
            mtime_ns: nanoseconds(found.mtime(), found.mtime_nsec()),
            ctime_ns: nanoseconds(found.ctime(), found.ctime_nsec()),
            executable: found.mode() & 0o100 != 0,
        }
    }

    /// The same, from a bare system call.
    #[allow(
        clippy::useless_conversion,
        clippy::unnecessary_cast,
        clippy::cast_lossless
    )]
    pub fn of_stat(found: &rustix::fs::Stat) -> Identity {
        Identity {
            size: found.st_size as u64,
            inode: found.st_ino as u64,
            mtime_ns: nanoseconds(found.st_mtime as i64, found.st_mtime_nsec as i64),
            ctime_ns: nanoseconds(found.st_ctime as i64, found.st_ctime_nsec as i64),
            executable: found.st_mode & 0o100 != 0,
        }
    }

    pub fn kind(&self) -> Kind {
        if self.executable {
            Kind::Executable
        } else {
            Kind::File
        }
    }
}

impl StatCache {
    /// Reads the cache; a missing or damaged one is empty.
    pub fn load(file: &Path) -> StatCache {
        let entries = std::fs::read(file)
            .ok()
            .and_then(|bytes| decode(&bytes))
            .unwrap_or_default();
        StatCache {
            file: file.to_path_buf(),
            table: Mutex::new(Table {
                entries,
                changed: false,
            }),
        }
    }

    /// A cache of these looks, in memory alone.
    pub fn of(sightings: impl IntoIterator<Item = (PathBuf, Sighting)>) -> StatCache {
        StatCache {
            file: PathBuf::new(),
            table: Mutex::new(Table {
                entries: sightings.into_iter().collect(),
                changed: false,
            }),
        }
    }

    /// Whether the content of the file that was found at this path is known without reading it.
    pub fn knows(&self, path: &Path, found: &std::fs::Metadata) -> bool {
        let entry = self.sighting(path);
        entry.is_some_and(|entry| entry.identity == Identity::of(found) && entry.trusted())
    }

    /// The last look at a file, whatever happened to it since.
    pub fn sighting(&self, path: &Path) -> Option<Sighting> {
        self.table().entries.get(path).copied()
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Digest of a regular file (links are followed), read only if it may have changed since the last look.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn digest(&self, path: &Path) -> std::io::Result<(Digest, Kind, u64)> {
        let identity = Identity::of(&path.metadata()?);
        let kind = identity.kind();
        if let Some(entry) = self.table().entries.get(path) {
            if entry.identity == identity && entry.trusted() {
                return Ok((entry.digest, kind, identity.size));
            }
        }
        let look_ns = now_ns();
        let digest = hash_file(kind, path)?;
        self.remember(path, identity, look_ns, digest);
        Ok((digest, kind, identity.size))
    }

    /// Whether `path` still is the file whose content has this digest; damaged ones are found when anything about them changed.
    pub fn unchanged(&self, path: &Path, kind: Kind, digest: &Digest) -> std::io::Result<bool> {
        let identity = Identity::of(&path.symlink_metadata()?);
        if let Some(entry) = self.table().entries.get(path) {
            if entry.identity == identity && entry.trusted() {
                return Ok(entry.digest == *digest);
            }
        }
        let look_ns = now_ns();
        let actual = hash_file(kind, path)?;
        self.remember(path, identity, look_ns, actual);
        Ok(actual == *digest)
    }

    /// Notes what was just written, without a look at it: it is read before it is trusted.
    pub fn wrote(&self, path: &Path, digest: Digest) {
        self.remember(path, Identity::default(), 0, digest);
    }

    pub(super) fn remember(&self, path: &Path, identity: Identity, look_ns: i64, digest: Digest) {
        let mut table = self.table();
        table.changed = true;
        table.entries.insert(
            path.to_path_buf(),
            Sighting {
                identity,
                look_ns,
                digest,
            },
        );
    }

    /// Forgets files that went away.
    pub fn forget(&self, path: &Path) {
        let mut table = self.table();
        if table.entries.remove(path).is_some() {
            table.changed = true;
        }
    }

    /// Writes the cache if anything changed. Losing it costs only time, so nothing is synced and no failure is told.
    pub fn save(&self) {
        let mut table = self.table();
        if !table.changed || self.file.as_os_str().is_empty() {
            return;
        }
        table.changed = false;
        let bytes = encode(&table.entries);
        let temporary = self.file.with_extension(format!("{}", std::process::id()));
        if std::fs::write(&temporary, bytes)
            .and_then(|()| std::fs::rename(&temporary, &self.file))
            .is_err()
        {
            let _ = std::fs::remove_file(&temporary);
        }
    }
}

fn encode(entries: &HashMap<PathBuf, Sighting>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len() * 160 + 64);
    bytes.extend_from_slice(MAGIC);
    for (path, entry) in entries {
        let path = path.as_os_str().as_bytes();
        bytes.extend_from_slice(&u32::try_from(path.len()).unwrap_or(0).to_le_bytes());
        bytes.extend_from_slice(path);
        bytes.extend_from_slice(&entry.identity.size.to_le_bytes());
        bytes.extend_from_slice(&entry.identity.inode.to_le_bytes());
        bytes.extend_from_slice(&entry.identity.mtime_ns.to_le_bytes());
        bytes.extend_from_slice(&entry.identity.ctime_ns.to_le_bytes());
        bytes.push(u8::from(entry.identity.executable));
        bytes.extend_from_slice(&entry.look_ns.to_le_bytes());
        bytes.extend_from_slice(&entry.digest.0);
    }
    let check = blake3::hash(&bytes);
    bytes.extend_from_slice(check.as_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<HashMap<PathBuf, Sighting>> {
    let (content, check) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
    if blake3::hash(content).as_bytes() != check {
        return None;
    }
    let mut rest = content.strip_prefix(MAGIC)?;
    let mut entries = HashMap::with_capacity(content.len() / 150);
    while !rest.is_empty() {
        let length = u32::from_le_bytes(take(&mut rest)?) as usize;
        let (path, after) = rest.split_at_checked(length)?;
        rest = after;
        let identity = Identity {
            size: u64::from_le_bytes(take(&mut rest)?),
            inode: u64::from_le_bytes(take(&mut rest)?),
            mtime_ns: i64::from_le_bytes(take(&mut rest)?),
            ctime_ns: i64::from_le_bytes(take(&mut rest)?),
            executable: take::<1>(&mut rest)? == [1],
        };
        let look_ns = i64::from_le_bytes(take(&mut rest)?);
        let digest = Digest(take(&mut rest)?);
        let path = PathBuf::from(std::ffi::OsString::from_vec(path.to_vec()));
        entries.insert(
            path,
            Sighting {
                identity,
                look_ns,
                digest,
            },
        );
    }
    Some(entries)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}
