//! Actions: what a key's stage made. The truth that everything else in the cache is derived from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::flow::Metrics;
use crate::key::{ActionKey, Preimage, FORMAT};

use super::digest::{hash_bytes, Digest, Kind};
use super::stat::{now_ns, Identity, Sighting};
use super::sync::Unsynced;
use super::{make_folder, make_way, Store, StoreError};

/// One output as it lies in the object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputRecord {
    pub digest: Digest,
    pub kind: Kind,
    pub bytes: u64,
}

/// What running a stage cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub seconds: f64,
    pub cpu_seconds: f64,
    /// Of the largest process.
    pub peak_memory_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    pub key: ActionKey,
    /// The stage that ran it, for people; another stage may share the key.
    pub stage: String,
    pub run: String,
    pub outputs: BTreeMap<String, OutputRecord>,
    pub metrics: Metrics,
    pub measured: Measured,
    pub log: Option<Digest>,
    pub preimage: Preimage,
}

const HEAD: &str = "{\n\"check\": \"";
const MIDDLE: &str = "\",\n\"action\": ";
const TAIL: &str = "\n}\n";

impl Store {
    pub fn action_path(&self, key: &ActionKey) -> PathBuf {
        let (head, tail) = key.0.split_at_checked(2).unwrap_or(("00", &key.0));
        self.root
            .join("actions")
            .join(head)
            .join(format!("{tail}.json"))
    }

    /// The action of a key, if there is one that is whole.
    pub fn action(&self, key: &ActionKey) -> Option<Arc<Action>> {
        let mut known = self
            .actions
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(found) = known.get(key) {
            return found.clone();
        }
        let found = self.read_action(key).map(Arc::new);
        known.insert(key.clone(), found.clone());
        found
    }

    /// The action of a pre-image: from the memo if that is open and has it, else from its file.
    pub fn action_of(&self, preimage: &Preimage, key: &ActionKey) -> Option<Arc<Action>> {
        let Some(memo) = self.memo.get() else {
            return self.action(key);
        };
        if let Some(found) = self.known_action(key) {
            return found;
        }
        if let Some(action) = memo.get(self, preimage, key).map(Arc::new) {
            self.adopt(&action);
            return Some(action);
        }
        let action = self.action(key)?;
        memo.insert_all(self, std::slice::from_ref(&action));
        Some(action)
    }

    fn known_action(&self, key: &ActionKey) -> Option<Option<Arc<Action>>> {
        let known = self.actions.lock();
        let known = known.unwrap_or_else(std::sync::PoisonError::into_inner);
        known.get(key).cloned()
    }

    fn read_action(&self, key: &ActionKey) -> Option<Action> {
        let path = self.action_path(key);
        let (identity, look_ns) = (Identity::of(&path.symlink_metadata().ok()?), now_ns());
        let text = std::fs::read_to_string(&path).ok()?;
        // A result of another format means something else, under whatever name it lies.
        let action = decode(&text)
            .filter(|action| action.key == *key && action.preimage.format == FORMAT)?;
        let digest = hash_bytes(Kind::File, text.as_bytes());
        self.stat.remember(&path, identity, look_ns, digest);
        Some(action)
    }

    /// The last look at a whole action's file; it is read if it never was.
    pub fn action_sighting(&self, key: &ActionKey) -> Option<Sighting> {
        let path = self.action_path(key);
        if let Some(sighting) = self.stat.sighting(&path) {
            return Some(sighting);
        }
        self.read_action(key)?;
        self.stat.sighting(&path)
    }

    /// Drops an action, so that its stage runs again.
    pub fn drop_action(&self, key: &ActionKey) {
        let path = self.action_path(key);
        let _ = std::fs::remove_file(&path);
        self.stat.forget(&path);
        self.actions
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(key.clone(), None);
    }

    /// Takes a result that this process made or found as known.
    pub fn adopt(&self, action: &Arc<Action>) {
        self.actions
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(action.key.clone(), Some(action.clone()));
    }

    /// Records a result and waits until it is on the disk. All its objects are in the store and synced before this.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn record(&self, action: Action) -> Result<Arc<Action>, StoreError> {
        let action = Arc::new(action);
        let mut unsynced = Unsynced::default();
        self.write_action(&action, &mut unsynced)?;
        self.sync(unsynced)?;
        self.adopt(&action);
        Ok(action)
    }

    pub(super) fn write_action(
        &self,
        action: &Action,
        unsynced: &mut Unsynced,
    ) -> Result<(), StoreError> {
        let path = self.action_path(&action.key);
        let body = serde_json::to_string_pretty(action)
            .map_err(|error| StoreError::Other(error.to_string()))?;
        let text = format!(
            "{HEAD}{}{MIDDLE}{body}{TAIL}",
            blake3::hash(body.as_bytes()).to_hex()
        );
        self.write_whole(&path, text.as_bytes(), 0o644)?;
        self.stat
            .wrote(&path, hash_bytes(Kind::File, text.as_bytes()));
        unsynced.add(&path, None);
        Ok(())
    }

    /// Writes a whole file or none, as far as other processes see it.
    pub(super) fn write_whole(
        &self,
        path: &std::path::Path,
        bytes: &[u8],
        mode: u32,
    ) -> Result<(), StoreError> {
        use std::io::Write;
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        let temporary = self.temporary();
        let folder = path.parent().unwrap_or(&self.root);
        let write = || -> std::io::Result<()> {
            make_folder(folder)?;
            make_way(path)?;
            let mut options = std::fs::OpenOptions::new();
            let mut file = options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(mode | 0o200)
                .open(&temporary)?;
            file.write_all(bytes)?;
            if mode & 0o200 == 0 {
                file.set_permissions(std::fs::Permissions::from_mode(mode))?;
            }
            std::fs::rename(&temporary, path)
        };
        write().map_err(|error| {
            let _ = std::fs::remove_file(&temporary);
            StoreError::io(path, error)
        })
    }

    /// Keys of all action files.
    pub fn action_keys(&self) -> Vec<ActionKey> {
        let mut keys = Vec::new();
        for folder in std::fs::read_dir(self.root.join("actions"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let head = folder.file_name().to_string_lossy().into_owned();
            for file in std::fs::read_dir(folder.path())
                .into_iter()
                .flatten()
                .flatten()
            {
                let name = file.file_name().to_string_lossy().into_owned();
                if let Some(tail) = name.strip_suffix(".json") {
                    keys.push(ActionKey(format!("{head}{tail}")));
                }
            }
        }
        keys.sort();
        keys
    }
}

/// An action file's content, if its own digest fits.
pub(super) fn decode(text: &str) -> Option<Action> {
    let rest = text.strip_prefix(HEAD)?;
    let (check, rest) = rest.split_at_checked(64)?;
    let body = rest.strip_prefix(MIDDLE)?.strip_suffix(TAIL)?;
    if blake3::hash(body.as_bytes()).to_hex().as_str() != check {
        return None;
    }
    serde_json::from_str(body).ok()
}
