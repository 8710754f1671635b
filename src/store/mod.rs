//! Results by content: objects, actions, the memo, the stat cache, what each stage did last.
//!
//! ```text
//! cache/objects/ab/cdef…      content, read-only, named by its digest
//! cache/actions/ab/cdef….json pre-image, outputs, metrics: the truth
//! cache/memo/                 sled, an index over the actions; may be lost
//! cache/state                 last tries of each stage; may be lost
//! cache/stat                  stat cache; may be lost
//! cache/runs/<id>/            journal and logs
//! cache/lock                  held by the one writer
//! cache/tmp/, cache/work/     unfinished things, emptied by the next writer
//! ```
//!
//! Order of writes: objects, synced, then the action, then state; once the action is synced, the memo. Results of stages that
//! end about the same time are synced together. Killed anywhere between two of these, the cache is whole; at worst something
//! is made again.

mod actions;
mod collect;
mod digest;
mod lock;
mod mapped;
mod memo;
mod objects;
mod parallel;
mod stat;
mod state;
mod sync;
mod tree;
mod verify;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

pub use actions::{Action, Measured, OutputRecord};
pub use collect::{collect_garbage, Collected};
pub(crate) use digest::copy_hashed;
pub use digest::{hash_bytes, hash_file, Digest, Kind};
pub use lock::{holder, Lock, LockError};
pub use memo::Memo;
pub use objects::{Access, ObjectFault, RestoreError};
pub use stat::{now_ns, Identity, Sighting, StatCache};
pub(crate) use state::plain_text;
pub use state::{Failure, Good, History, State, StateLine};
pub use sync::{Fresh, Unsynced};
pub use tree::{decode_path, encode_path, show_path, Content, Links, Tree, TreeEntry, TreeError};
pub use verify::{verify, Damage, Verified};

use crate::key::ActionKey;

/// The cache cannot be used: exit code 5.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the cache cannot be used: {path}: {source}", path = path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the cache cannot be used: {0}")]
    Other(String),
}

impl StoreError {
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> StoreError {
        StoreError::Io {
            path: path.as_ref().to_path_buf(),
            source,
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        use std::io::ErrorKind;
        let kind = match self {
            StoreError::Io { source, .. } => source.kind(),
            StoreError::Other(_) => ErrorKind::Other,
        };
        match kind {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                "make room ('nanoflow gc' removes old results) and run again; nothing that was kept is lost"
            }
            ErrorKind::PermissionDenied => {
                "it belongs to another user or is write-protected; change its owner or mode, or use a checkout of your own"
            }
            ErrorKind::ReadOnlyFilesystem => {
                "the disk is read-only; mount it for writing, or use a checkout elsewhere"
            }
            _ => "see to the disk and run again; what is lost is made again",
        }
    }
}

/// The cache folder of one flow, and its artifacts.
pub struct Store {
    root: PathBuf,
    artifacts: PathBuf,
    /// Whose base all relative paths of the stat cache are.
    base: PathBuf,
    actions: Mutex<HashMap<ActionKey, Option<std::sync::Arc<Action>>>>,
    /// The index over the actions, once it is open.
    memo: OnceLock<Memo>,
    /// Objects that this process wrote and that are not on the disk yet.
    unsynced: Mutex<HashSet<Digest>>,
    pub stat: StatCache,
}

impl Store {
    /// The store beside a flow file. Nothing is written and nothing needs to exist.
    pub fn at(base: &Path) -> Store {
        let stat = StatCache::load(&base.join("cache").join("stat"));
        Store::with(base, stat)
    }

    /// The same with another stat cache.
    pub fn with(base: &Path, stat: StatCache) -> Store {
        let root = base.join("cache");
        Store {
            stat,
            artifacts: base.join("artifacts"),
            base: base.to_path_buf(),
            root,
            actions: Mutex::new(HashMap::new()),
            memo: OnceLock::new(),
            unsynced: Mutex::new(HashSet::new()),
        }
    }

    /// The memo, opened if it is not yet. The caller holds the lock.
    ///
    /// # Errors
    /// The cache folder cannot be written.
    pub fn memo(&self) -> Result<&Memo, StoreError> {
        match self.memo.get() {
            Some(memo) => Ok(memo),
            None => {
                let memo = Memo::open(self)?;
                Ok(self.memo.get_or_init(|| memo))
            }
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }
    pub fn base(&self) -> &Path {
        &self.base
    }
    /// Where a stage's results are shown to people.
    pub fn artifacts(&self, stage: &str) -> PathBuf {
        self.artifacts.join(stage)
    }
    pub fn work(&self, stage: &str) -> PathBuf {
        self.root.join("work").join(stage)
    }
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }
    /// A name in `cache/tmp` that nothing else uses.
    pub fn temporary(&self) -> PathBuf {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        self.root
            .join("tmp")
            .join(format!("{}-{next}", std::process::id()))
    }
}

/// Makes the folders that a writer needs in the cache at `root` and empties those of unfinished things. The caller holds
/// the lock.
///
/// # Errors
/// The cache folder cannot be written.
pub fn prepare(root: &Path) -> Result<(), StoreError> {
    for folder in ["objects", "actions", "runs", "tmp", "work"] {
        let path = root.join(folder);
        make_folder(&path).map_err(|error| StoreError::io(&path, error))?;
    }
    for file in ["state", "stat", "tools.json"] {
        let path = root.join(file);
        make_way(&path).map_err(|error| StoreError::io(&path, error))?;
    }
    for folder in ["tmp", "work"] {
        let path = root.join(folder);
        let entries = std::fs::read_dir(&path).map_err(|error| StoreError::io(&path, error))?;
        for entry in entries.flatten() {
            remove_all(&entry.path()).map_err(|error| StoreError::io(entry.path(), error))?;
        }
    }
    Ok(())
}

/// Content of an output, with a stat cache of the caller's.
///
/// # Errors
/// It cannot be read or is no content.
pub fn content_at(stat: &StatCache, path: &Path) -> Result<Content, TreeError> {
    tree::content(stat, path, Links::Inside, &[])
}

/// Content of a folder (or file), with a stat cache of the caller's; `skip` are folders that do not count.
///
/// # Errors
/// It cannot be read or is no content.
pub fn folder_content(
    stat: &StatCache,
    path: &Path,
    links: Links,
    skip: &[PathBuf],
) -> Result<Content, TreeError> {
    tree::content(stat, path, links, skip)
}

/// Removes a file or a whole folder, even one whose folders were made read-only; a missing one is fine.
pub fn remove_all(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let ignore_missing = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    };
    let is_folder = match path.symlink_metadata() {
        Ok(found) => found.is_dir(),
        Err(error) => return ignore_missing(error),
    };
    if !is_folder {
        return std::fs::remove_file(path).or_else(ignore_missing);
    }
    if std::fs::remove_dir_all(path).is_ok() {
        return Ok(());
    }
    // Some folder below forbids it: open all of them and try again.
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let _ = std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700));
        if let Ok(entries) = std::fs::read_dir(&folder) {
            folders.extend(
                entries
                    .flatten()
                    .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                    .map(|e| e.path()),
            );
        }
    }
    std::fs::remove_dir_all(path).or_else(ignore_missing)
}

/// Removes what lies at a path, but not the paths in `keep` and what is in them. What cannot be removed stays.
pub fn remove_but(path: &Path, keep: &std::collections::BTreeSet<PathBuf>) {
    if keep.contains(path) {
        return;
    }
    if !keep.iter().any(|kept| kept.starts_with(path)) {
        let _ = remove_all(path);
        return;
    }
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        remove_but(&entry.path(), keep);
    }
}

/// Makes a folder of the cache; whatever lies in its place is damage and goes.
pub(crate) fn make_folder(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if path.symlink_metadata().is_ok() {
        std::fs::remove_file(path)?;
    }
    std::fs::create_dir_all(path)
}

/// Removes a folder that lies where a file of the cache must be.
pub(crate) fn make_way(path: &Path) -> std::io::Result<()> {
    if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        return remove_all(path);
    }
    Ok(())
}
