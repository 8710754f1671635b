//! The memo: a sled index over the actions. It is opened only by a run that has something to execute, holds nothing that
//! the actions do not, and is made again from them when it is lost or damaged.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::flow::Metrics;
use crate::key::ActionKey;

use super::{remove_all, Action, OutputRecord, Store, StoreError};

/// What a run needs of an action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemoEntry {
    pub outputs: BTreeMap<String, OutputRecord>,
    pub metrics: Metrics,
}

impl From<&Action> for MemoEntry {
    fn from(action: &Action) -> Self {
        MemoEntry { outputs: action.outputs.clone(), metrics: action.metrics.clone() }
    }
}

pub struct Memo {
    tree: sled::Db,
}

impl Memo {
    /// Opens the index, and fills it from the actions if it was lost. The caller holds the lock.
    ///
    /// # Errors
    /// The cache folder cannot be written.
    pub fn open(store: &Store) -> Result<Memo, StoreError> {
        let path: PathBuf = store.root().join("memo");
        let open = || sled::Config::new().path(&path).cache_capacity(16 << 20).flush_every_ms(None).open();
        let (tree, lost) = match open() {
            Ok(tree) => {
                let lost = !tree.was_recovered();
                (tree, lost)
            }
            Err(_) => {
                remove_all(&path).map_err(|error| StoreError::io(&path, error))?;
                (open().map_err(|error| StoreError::Other(format!("{}: {error}", path.display())))?, true)
            }
        };
        let memo = Memo { tree };
        if lost {
            for key in store.action_keys() {
                if let Some(action) = store.action(&key) {
                    memo.insert(&action);
                }
            }
        }
        Ok(memo)
    }

    /// Adds an action. A failure only costs time later, as the action file is asked then.
    pub fn insert(&self, action: &Action) {
        if let Ok(bytes) = serde_json::to_vec(&MemoEntry::from(action)) {
            if let Err(error) = self.tree.insert(action.key.0.as_bytes(), bytes) {
                tracing::warn!("memo: {error}");
            }
        }
    }

    /// The entry of a key whose action file is there.
    pub fn get(&self, store: &Store, key: &ActionKey) -> Option<MemoEntry> {
        let bytes = self.tree.get(key.0.as_bytes()).ok()??;
        let entry = serde_json::from_slice(&bytes).ok()?;
        store.action_path(key).exists().then_some(entry)
    }

    pub fn remove(&self, key: &ActionKey) {
        let _ = self.tree.remove(key.0.as_bytes());
    }

    pub fn flush(&self) {
        let _ = self.tree.flush();
    }
}
