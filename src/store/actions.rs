//! Actions: what a key's stage made. The truth that everything else in the cache is derived from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::flow::Metrics;
use crate::key::{ActionKey, Preimage};

use super::digest::{Digest, Kind};
use super::{make_folder, make_way, sync_folder, Store, StoreError};

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

    /// Takes an action as read.
    pub fn know(&self, action: Action) {
        let mut known = self
            .actions
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        known
            .entry(action.key.clone())
            .or_insert_with(|| Some(Arc::new(action)));
    }

    fn read_action(&self, key: &ActionKey) -> Option<Action> {
        let text = std::fs::read_to_string(self.action_path(key)).ok()?;
        decode(&text).filter(|action| action.key == *key)
    }

    /// Drops an action, so that its stage runs again.
    pub fn drop_action(&self, key: &ActionKey) {
        let _ = std::fs::remove_file(self.action_path(key));
        self.actions
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(key.clone(), None);
    }

    /// Records a result. All its objects are in the store and synced before this.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn record(&self, action: Action) -> Result<Arc<Action>, StoreError> {
        let path = self.action_path(&action.key);
        let body = serde_json::to_string_pretty(&action)
            .map_err(|error| StoreError::Other(error.to_string()))?;
        let text = format!(
            "{HEAD}{}{MIDDLE}{body}{TAIL}",
            blake3::hash(body.as_bytes()).to_hex()
        );
        self.write_synced(&path, text.as_bytes())?;
        let action = Arc::new(action);
        let mut known = self
            .actions
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        known.insert(action.key.clone(), Some(action.clone()));
        Ok(action)
    }

    /// Writes a whole file or none.
    pub(super) fn write_synced(
        &self,
        path: &std::path::Path,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        use std::io::Write;
        let temporary = self.temporary();
        let folder = path.parent().unwrap_or(&self.root);
        let write = || -> std::io::Result<()> {
            make_folder(folder)?;
            make_way(path)?;
            let mut file = std::fs::File::create(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&temporary, path)?;
            sync_folder(folder)
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
