//! The memo: a sled index over the actions, so that a run over many stages need not read as many files. It is opened only by the
//! holder of the lock, holds nothing that the actions do not, and is made again from them when it is lost or damaged. What it
//! lacks is read from the action's file, and added when it is open anyway.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::flow::Metrics;
use crate::key::{ActionKey, Preimage};

use super::{remove_all, Action, Digest, Kind, Measured, OutputRecord, Store, StoreError};

/// An action without its pre-image, which whoever asks for its key has already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct MemoEntry {
    stage: String,
    run: String,
    outputs: BTreeMap<String, OutputRecord>,
    metrics: Metrics,
    measured: Measured,
    log: Option<Digest>,
    /// Digest of the action's file: one that is another since is read instead.
    file: Digest,
}

fn folder(store: &Store) -> PathBuf {
    store.root().join("memo")
}

pub struct Memo {
    tree: sled::Db,
}

impl Memo {
    /// Whether there is one to open.
    pub fn exists(store: &Store) -> bool {
        folder(store).is_dir()
    }

    /// Opens the index, and fills it from the actions if it was lost. The caller holds the lock.
    ///
    /// # Errors
    /// The cache folder cannot be written.
    pub fn open(store: &Store) -> Result<Memo, StoreError> {
        let path = folder(store);
        let open = || {
            sled::Config::new()
                .path(&path)
                .cache_capacity(16 << 20)
                .flush_every_ms(None)
                .open()
        };
        let (tree, lost) = match open() {
            Ok(tree) => {
                let lost = !tree.was_recovered();
                (tree, lost)
            }
            Err(_) => {
                remove_all(&path).map_err(|error| StoreError::io(&path, error))?;
                (
                    open().map_err(|error| {
                        StoreError::Other(format!("{}: {error}", path.display()))
                    })?,
                    true,
                )
            }
        };
        let memo = Memo { tree };
        if lost {
            for key in store.action_keys() {
                if let Some(action) = store.action(&key) {
                    if let Some(bytes) = entry(store, &action) {
                        let _ = memo.tree.insert(key.0.as_bytes(), bytes);
                    }
                }
            }
        }
        Ok(memo)
    }

    /// Adds actions, all or none. A failure only costs time later, as the action files are asked then.
    pub fn insert_all(&self, store: &Store, actions: &[Arc<Action>]) {
        let mut batch = sled::Batch::default();
        for action in actions {
            if let Some(bytes) = entry(store, action) {
                batch.insert(action.key.0.as_bytes(), bytes);
            }
        }
        if let Err(error) = self.tree.apply_batch(batch) {
            tracing::warn!("memo: {error}");
        }
    }

    /// The action of a pre-image whose file is there and is what it was, without parsing that file.
    pub fn get(&self, store: &Store, preimage: &Preimage, key: &ActionKey) -> Option<Action> {
        let bytes = self.tree.get(key.0.as_bytes()).ok()??;
        let MemoEntry {
            stage,
            run,
            outputs,
            metrics,
            measured,
            log,
            file,
        } = serde_json::from_slice(&bytes).ok()?;
        let action = Action {
            key: key.clone(),
            stage,
            run,
            outputs,
            metrics,
            measured,
            log,
            preimage: preimage.clone(),
        };
        let same = store
            .stat
            .unchanged(&store.action_path(key), Kind::File, &file);
        same.is_ok_and(|same| same).then_some(action)
    }

    /// Forgets actions that are gone.
    pub fn remove_all(&self, keys: &[ActionKey]) {
        for key in keys {
            let _ = self.tree.remove(key.0.as_bytes());
        }
    }

    pub fn flush(&self) {
        let _ = self.tree.flush();
    }
}

fn entry(store: &Store, action: &Action) -> Option<Vec<u8>> {
    let file = store.action_sighting(&action.key)?.digest;
    let Action {
        key: _,
        stage,
        run,
        outputs,
        metrics,
        measured,
        log,
        preimage: _,
    } = action.clone();
    let entry = MemoEntry {
        stage,
        run,
        outputs,
        metrics,
        measured,
        log,
        file,
    };
    serde_json::to_vec(&entry).ok()
}
