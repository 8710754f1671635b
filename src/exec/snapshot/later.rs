//! What changed since a snapshot was written: a small file beside it, so that a small change does not cost a large file.
//!
//! It holds what is to be read instead of the snapshot's own words on some files and stages. It names the snapshot that it is
//! about, and is nothing without it; the snapshot is true without it, of an earlier time. When it has grown, both become one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::store::{decode_path, encode_path, Digest, Identity};

use super::files::{Flags, Watched};
use super::{format, Head};

/// A file as it is known later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    flags: u8,
    identity: (u64, u64, i64, i64),
    pub digest: Digest,
    pub owners: Vec<u32>,
}

impl Kept {
    pub fn of(file: &Watched) -> Kept {
        let Identity {
            size,
            inode,
            mtime_ns,
            ctime_ns,
            ..
        } = file.identity;
        Kept {
            flags: file.flags.byte(),
            identity: (size, inode, mtime_ns, ctime_ns),
            digest: file.digest,
            owners: file.owners.clone(),
        }
    }

    pub fn flags(&self) -> Flags {
        Flags::of(self.flags)
    }

    pub fn identity(&self) -> Identity {
        let (size, inode, mtime_ns, ctime_ns) = self.identity;
        Identity {
            size,
            inode,
            mtime_ns,
            ctime_ns,
            executable: self.flags().executable,
        }
    }

    /// Notes a later look at the same content.
    pub fn saw(&mut self, flags: Flags, seen: &Identity) {
        self.flags = flags.byte();
        self.identity = (seen.size, seen.inode, seen.mtime_ns, seen.ctime_ns);
    }

    pub fn watched(&self, path: PathBuf) -> Watched {
        Watched {
            path,
            flags: self.flags(),
            identity: self.identity(),
            digest: self.digest,
            owners: self.owners.clone(),
        }
    }
}

/// Everything that is known later than the snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Later {
    /// The snapshot's name.
    of: Digest,
    /// Instead of the snapshot's head.
    pub head: Option<Head>,
    /// Files of the snapshot, by number; nothing stands for one that no stage needs any more.
    pub files: BTreeMap<u32, Option<Kept>>,
    /// Files that the snapshot has not.
    added: BTreeMap<String, Kept>,
    /// Lines of stages.
    pub lines: BTreeMap<u32, String>,
}

/// More than this for each stage, and it is time to write a whole snapshot again.
const SHARE: usize = 32;
/// Never sooner than after so many files.
const LEAST: usize = 512;

/// A link and the file that it leads to are two, and may have one name.
const FOLLOWED: &str = "@";

impl Later {
    pub fn none(of: &format::File) -> Later {
        Later {
            of: of.name,
            head: None,
            files: BTreeMap::new(),
            added: BTreeMap::new(),
            lines: BTreeMap::new(),
        }
    }

    /// The snapshot was written anew.
    pub fn rename(&mut self, of: &format::File) {
        self.of = of.name;
    }

    fn path(snapshot: &Path) -> PathBuf {
        snapshot.with_extension("later")
    }

    /// What is noted about this snapshot; nothing if it is about another one or damaged.
    pub fn read(snapshot: &Path, file: &format::File) -> Later {
        let read = || -> Option<Later> {
            let bytes = std::fs::read(Later::path(snapshot)).ok()?;
            let (check, content) = bytes.split_at_checked(32)?;
            if blake3::hash(content).as_bytes() != check {
                return None;
            }
            let later: Later = serde_json::from_slice(content).ok()?;
            (later.of == file.name).then_some(later)
        };
        read().unwrap_or_else(|| Later::none(file))
    }

    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, snapshot: &Path) -> std::io::Result<()> {
        let content = serde_json::to_vec(self)?;
        let check = blake3::hash(&content);
        format::replace(&Later::path(snapshot), &[check.as_bytes(), &content])
    }

    /// Removes what is noted about a snapshot.
    pub fn forget(snapshot: &Path) {
        let _ = std::fs::remove_file(Later::path(snapshot));
    }

    /// Removes a snapshot with what is noted about it.
    pub fn remove(snapshot: &Path) {
        let _ = std::fs::remove_file(snapshot);
        Later::forget(snapshot);
    }

    /// Whether this file of the snapshots' folder is a note to another one.
    pub fn is_one(path: &Path) -> bool {
        path.extension()
            .is_some_and(|extension| extension == "later")
    }

    pub fn is_long(&self, stages: usize) -> bool {
        self.files.len() + self.added.len() > LEAST + stages / SHARE
    }

    fn name(path: &Path, follow: bool) -> String {
        let follow = if follow { FOLLOWED } else { "" };
        format!("{follow}/{}", encode_path(path))
    }

    pub fn add(&mut self, file: &Watched) {
        let name = Later::name(&file.path, file.flags.follow);
        self.added.insert(name, Kept::of(file));
    }

    /// The files that the snapshot has not.
    pub fn added(&self) -> impl Iterator<Item = (PathBuf, &Kept)> {
        self.added.iter().map(|(name, kept)| {
            let path = name.split_once('/').map_or("", |(_, path)| path);
            (decode_path(path), kept)
        })
    }

    pub fn get_added(&self, path: &Path, follow: bool) -> Option<&Kept> {
        self.added.get(&Later::name(path, follow))
    }

    pub fn added_mut(&mut self, path: &Path, follow: bool) -> Option<&mut Kept> {
        self.added.get_mut(&Later::name(path, follow))
    }

    /// Takes these stages' files away.
    pub fn disown(&mut self, stages: &std::collections::HashSet<u32>) {
        for kept in self.files.values_mut() {
            if let Some(file) = kept {
                file.owners.retain(|owner| !stages.contains(owner));
                if file.owners.is_empty() {
                    *kept = None;
                }
            }
        }
        self.added.retain(|_, file| {
            file.owners.retain(|owner| !stages.contains(owner));
            !file.owners.is_empty()
        });
    }
}
