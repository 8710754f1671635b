//! The object store: content by digest, read-only.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::digest::{copy_hashed, Digest, Kind};
use super::sync::Unsynced;
use super::tree::{decode_path, Content, Links, Tree, TreeEntry};
use super::{make_folder, make_way, remove_all, tree, OutputRecord, Store, StoreError, TreeError};

/// An object that is gone or is not what its name says.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the object {digest} is damaged or gone")]
pub struct ObjectFault {
    pub digest: Digest,
}

/// Why content could not be written out.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    Damaged(#[from] ObjectFault),
    #[error("{path}: {source}", path = path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> RestoreError + '_ {
    move |source| RestoreError::Io {
        path: path.to_path_buf(),
        source,
    }
}

/// Whether restored content may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    ReadOnly,
    ReadWrite,
}

impl Store {
    pub fn object_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let (head, tail) = hex.split_at(2);
        self.root.join("objects").join(head).join(tail)
    }

    /// Digest of what lies at a path, as an output.
    ///
    /// # Errors
    /// It cannot be read or is no content.
    pub fn output_content(&self, path: &Path) -> Result<Content, TreeError> {
        tree::content(&self.stat, path, Links::Inside, &[])
    }

    /// Digest of a source of the user's.
    ///
    /// # Errors
    /// It cannot be read or is no content.
    pub fn source_content(&self, path: &Path) -> Result<Content, TreeError> {
        let own = [self.root.clone(), self.artifacts.clone()];
        tree::content(&self.stat, path, Links::Follow, &own)
    }

    /// Moves content into the store: the files at `path` are given up. It is whole for other processes when this returns, and
    /// outlives a crash of the machine once what is added to `unsynced` is synced.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn take(
        &self,
        path: &Path,
        content: &Content,
        unsynced: &mut Unsynced,
    ) -> Result<OutputRecord, StoreError> {
        match &content.tree {
            None => self.take_file(path, content.digest, content.kind, unsynced)?,
            Some(tree) => {
                for entry in &tree.entries {
                    if let Some((digest, kind)) = entry.file() {
                        let file = path.join(decode_path(entry.path()));
                        self.take_file(&file, digest, kind, unsynced)?;
                    }
                }
                self.put(
                    content.digest,
                    Kind::Directory,
                    || tree.to_bytes(),
                    unsynced,
                )?;
            }
        }
        Ok(OutputRecord {
            digest: content.digest,
            kind: content.kind,
            bytes: content.bytes,
        })
    }

    /// Whether the object is there; if this process put it there and has not synced it yet, whoever needs it syncs it too.
    fn has(&self, object: &Path, digest: Digest, kind: Kind, unsynced: &mut Unsynced) -> bool {
        if !self.is_object(object, kind, &digest) {
            return false;
        }
        if self.unsynced_objects().contains(&digest) {
            unsynced.add(object, Some(digest));
        }
        true
    }

    fn take_file(
        &self,
        path: &Path,
        digest: Digest,
        kind: Kind,
        unsynced: &mut Unsynced,
    ) -> Result<(), StoreError> {
        let object = self.object_path(&digest);
        if self.has(&object, digest, kind, unsynced) {
            return Ok(());
        }
        let mode = if kind == Kind::Executable {
            0o555
        } else {
            0o444
        };
        let store = || -> std::io::Result<()> {
            make_folder(object.parent().unwrap_or(&self.root))?;
            let found = path.symlink_metadata()?;
            // A file that has another name somewhere could be changed under that name.
            let source = if found.is_file() && found.nlink() == 1 {
                path.to_path_buf()
            } else {
                let copy = self.temporary();
                let mut to = File::create(&copy)?;
                copy_hashed(kind, &mut File::open(path)?, Some(&mut to))?;
                copy
            };
            std::fs::set_permissions(&source, Permissions::from_mode(mode))?;
            make_way(&object)?;
            std::fs::rename(&source, &object)
        };
        store().map_err(|error| StoreError::io(&object, error))?;
        self.stat.forget(path);
        self.unsynced_objects().insert(digest);
        unsynced.add(&object, Some(digest));
        Ok(())
    }

    /// Keeps bytes, such as a log.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn put_bytes(&self, bytes: &[u8], unsynced: &mut Unsynced) -> Result<Digest, StoreError> {
        let digest = super::hash_bytes(Kind::File, bytes);
        self.put(digest, Kind::File, || bytes.to_vec(), unsynced)?;
        Ok(digest)
    }

    fn put(
        &self,
        digest: Digest,
        kind: Kind,
        bytes: impl FnOnce() -> Vec<u8>,
        unsynced: &mut Unsynced,
    ) -> Result<(), StoreError> {
        let object = self.object_path(&digest);
        if self.has(&object, digest, kind, unsynced) {
            return Ok(());
        }
        self.write_whole(&object, &bytes(), 0o444)?;
        self.unsynced_objects().insert(digest);
        unsynced.add(&object, Some(digest));
        Ok(())
    }

    fn is_object(&self, path: &Path, kind: Kind, digest: &Digest) -> bool {
        self.stat.unchanged(path, kind, digest).unwrap_or(false)
    }

    /// The record of content with this digest, if all of it is in the store.
    pub fn find(&self, digest: &Digest, directory: bool) -> Option<OutputRecord> {
        let kinds: &[Kind] = if directory {
            &[Kind::Directory]
        } else {
            &[Kind::File, Kind::Executable]
        };
        let length = self.object_path(digest).metadata().ok()?.len();
        kinds.iter().find_map(|kind| {
            let record = OutputRecord {
                digest: *digest,
                kind: *kind,
                bytes: length,
            };
            if !self.holds(&record) {
                return None;
            }
            let bytes = if directory {
                self.tree(digest).ok()?.bytes()
            } else {
                length
            };
            Some(OutputRecord { bytes, ..record })
        })
    }

    /// Whether all of an output is in the store and whole.
    pub fn holds(&self, record: &OutputRecord) -> bool {
        self.damaged_part(record).is_none()
    }

    /// The first part of an output that is gone or damaged.
    pub fn damaged_part(&self, record: &OutputRecord) -> Option<Digest> {
        if !self.is_object(
            &self.object_path(&record.digest),
            record.kind,
            &record.digest,
        ) {
            return Some(record.digest);
        }
        if record.kind != Kind::Directory {
            return None;
        }
        let Ok(tree) = self.tree(&record.digest) else {
            return Some(record.digest);
        };
        tree.entries
            .iter()
            .filter_map(TreeEntry::file)
            .find(|(digest, kind)| !self.is_object(&self.object_path(digest), *kind, digest))
            .map(|(digest, _)| digest)
    }

    /// Drops the object, so that it is made again.
    pub fn drop_object(&self, digest: &Digest) {
        let path = self.object_path(digest);
        let _ = std::fs::remove_file(&path);
        self.stat.forget(&path);
    }

    /// A directory's listing.
    ///
    /// # Errors
    /// The object is damaged.
    pub fn tree(&self, digest: &Digest) -> Result<Tree, ObjectFault> {
        let bytes =
            std::fs::read(self.object_path(digest)).map_err(|_| ObjectFault { digest: *digest })?;
        if super::hash_bytes(Kind::Directory, &bytes) != *digest {
            return Err(ObjectFault { digest: *digest });
        }
        Tree::from_bytes(&bytes).ok_or(ObjectFault { digest: *digest })
    }

    /// Writes an output out at `to`, where nothing is, and checks every byte on the way.
    ///
    /// # Errors
    /// The object is damaged, or `to` cannot be written.
    pub fn write_out(
        &self,
        digest: &Digest,
        kind: Kind,
        to: &Path,
        access: Access,
    ) -> Result<(), RestoreError> {
        if kind != Kind::Directory {
            return self.write_file(digest, kind, to, access);
        }
        let tree = self.tree(digest)?;
        std::fs::create_dir_all(to).map_err(io(to))?;
        let mut folders = vec![to.to_path_buf()];
        for entry in &tree.entries {
            let path = to.join(decode_path(entry.path()));
            let mut parent = path.parent();
            while let Some(folder) =
                parent.filter(|folder| folder.starts_with(to) && !folder.exists())
            {
                folders.push(folder.to_path_buf());
                parent = folder.parent();
            }
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(io(folder))?;
            }
            match entry {
                TreeEntry::Link { target, .. } => {
                    std::os::unix::fs::symlink(decode_path(target), &path).map_err(io(&path))?;
                }
                TreeEntry::Directory { .. } => {
                    std::fs::create_dir_all(&path).map_err(io(&path))?;
                    folders.push(path);
                }
                TreeEntry::File { digest, .. } => {
                    self.write_file(digest, Kind::File, &path, access)?
                }
                TreeEntry::Executable { digest, .. } => {
                    self.write_file(digest, Kind::Executable, &path, access)?
                }
            }
        }
        if access == Access::ReadOnly {
            for folder in folders {
                std::fs::set_permissions(&folder, Permissions::from_mode(0o555))
                    .map_err(io(&folder))?;
            }
        }
        Ok(())
    }

    fn write_file(
        &self,
        digest: &Digest,
        kind: Kind,
        to: &Path,
        access: Access,
    ) -> Result<(), RestoreError> {
        let mut from =
            File::open(self.object_path(digest)).map_err(|_| ObjectFault { digest: *digest })?;
        let mut file = File::create(to).map_err(io(to))?;
        let actual = copy_hashed(kind, &mut from, Some(&mut file)).map_err(io(to))?;
        if actual != *digest {
            let _ = std::fs::remove_file(to);
            return Err(ObjectFault { digest: *digest }.into());
        }
        let mode = match (access, kind) {
            (Access::ReadOnly, Kind::Executable) => 0o555,
            (Access::ReadOnly, _) => 0o444,
            (Access::ReadWrite, Kind::Executable) => 0o755,
            (Access::ReadWrite, _) => 0o644,
        };
        std::fs::set_permissions(to, Permissions::from_mode(mode)).map_err(io(to))
    }

    /// Brings an artifact to what the record says. True if anything was written.
    ///
    /// # Errors
    /// The object is damaged, or the artifact cannot be written.
    pub fn restore(&self, record: &OutputRecord, to: &Path) -> Result<bool, RestoreError> {
        let found = to.symlink_metadata().map(|found| found.file_type());
        let there = found.as_ref().is_ok_and(|found| !found.is_symlink())
            && match record.kind {
                Kind::Directory => self
                    .output_content(to)
                    .is_ok_and(|content| content.digest == record.digest),
                kind => self
                    .stat
                    .digest(to)
                    .is_ok_and(|(digest, found, _)| digest == record.digest && found == kind),
            };
        if there {
            return Ok(false);
        }
        let folder = to.parent().unwrap_or(Path::new("."));
        make_artifact_folder(&self.artifacts, folder).map_err(io(folder))?;
        let temporary = folder.join(format!(".nanoflow-{}", std::process::id()));
        remove_all(&temporary).map_err(io(&temporary))?;
        let written = self.write_out(&record.digest, record.kind, &temporary, Access::ReadWrite);
        if let Err(error) = written {
            let _ = remove_all(&temporary);
            return Err(error);
        }
        let in_the_way = found.is_ok_and(|found| found.is_dir() || record.kind == Kind::Directory);
        if in_the_way {
            remove_all(to).map_err(io(to))?;
        }
        std::fs::rename(&temporary, to).map_err(io(to))?;
        Ok(true)
    }
}

/// Makes the folder; a file that lies where one of its parents must be goes away, if it is below `root`.
fn make_artifact_folder(root: &Path, folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut parents: Vec<&Path> = folder
        .ancestors()
        .take_while(|parent| parent.starts_with(root))
        .collect();
    parents.reverse();
    for parent in parents {
        if parent.symlink_metadata().is_ok_and(|found| !found.is_dir()) && !parent.is_dir() {
            std::fs::remove_file(parent)?;
        }
    }
    std::fs::create_dir_all(folder)
}
