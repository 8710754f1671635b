//! What was written and must still reach the disk. Many results are synced together: one wait for the disk serves them all.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard, PoisonError};

use super::{Action, Digest, Store, StoreError};

/// Up to this many files and folders are synced one by one; from there on one sync of the whole file system is faster.
const FEW: usize = 8;

/// Files that are written under their names and not on the disk yet.
#[derive(Debug, Default)]
pub struct Unsynced {
    files: BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
    objects: Vec<Digest>,
}

impl Unsynced {
    pub(super) fn add(&mut self, file: &Path, object: Option<Digest>) {
        // The folder may be new, too: its name stands in the one above it.
        let folders = file.ancestors().skip(1).take(2).map(Path::to_path_buf);
        self.folders.extend(folders);
        self.files.insert(file.to_path_buf());
        self.objects.extend(object);
    }

    fn join(&mut self, other: Unsynced) {
        self.files.extend(other.files);
        self.folders.extend(other.folders);
        self.objects.extend(other.objects);
    }
}

/// A result whose objects are in the store: what is left is to record it.
#[derive(Debug)]
pub struct Fresh {
    pub action: Arc<Action>,
    pub unsynced: Unsynced,
}

impl Store {
    pub(super) fn unsynced_objects(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all of it is on the disk.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn sync(&self, unsynced: Unsynced) -> Result<(), StoreError> {
        let Unsynced {
            files,
            folders,
            objects,
        } = unsynced;
        if files.len() + folders.len() > FEW {
            let root = File::open(&self.root).map_err(|error| StoreError::io(&self.root, error))?;
            rustix::fs::syncfs(&root).map_err(|error| StoreError::io(&self.root, error.into()))?;
        } else {
            for path in files.iter().chain(&folders) {
                let synced = File::open(path).and_then(|file| file.sync_all());
                synced.map_err(|error| StoreError::io(path, error))?;
            }
        }
        let mut waiting = self.unsynced_objects();
        for object in objects {
            waiting.remove(&object);
        }
        Ok(())
    }

    /// Records results: first their objects are synced, then their actions are written. These last once what is returned
    /// is synced.
    ///
    /// # Errors
    /// The cache cannot be written; none of these results may be relied on.
    pub fn commit(&self, results: Vec<Fresh>, before: Unsynced) -> Result<Unsynced, StoreError> {
        let mut objects = before;
        let mut actions = Vec::with_capacity(results.len());
        for Fresh { action, unsynced } in results {
            objects.join(unsynced);
            actions.push(action);
        }
        self.sync(objects)?;
        let mut written = Unsynced::default();
        for action in actions {
            self.write_action(&action, &mut written)?;
        }
        Ok(written)
    }
}
