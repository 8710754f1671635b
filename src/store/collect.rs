//! Garbage collection: what the newest runs and pinned runs do not reach goes.

use std::collections::{BTreeSet, HashSet};

use serde::Serialize;

use crate::key::ActionKey;

use super::digest::{Digest, Kind};
use super::tree::TreeEntry;
use super::{remove_all, Memo, Store, StoreError};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    pub runs: u64,
    pub actions: u64,
    pub objects: u64,
    pub bytes: u64,
}

/// Removes the runs in `runs`, every action that is not in `keep`, and every object that no kept action needs. With `dry`
/// it only counts. The caller holds the lock.
///
/// # Errors
/// Something cannot be removed.
pub fn collect_garbage(
    store: &Store,
    runs: &[String],
    keep: &BTreeSet<ActionKey>,
    dry: bool,
) -> Result<Collected, StoreError> {
    let mut collected = Collected::default();
    let mut needed: HashSet<Digest> = HashSet::new();
    let mut dropped = Vec::new();
    for key in store.action_keys() {
        if keep.contains(&key) {
            if let Some(action) = store.action(&key) {
                needed.extend(action.log);
                for record in action.outputs.values() {
                    needed.insert(record.digest);
                    if record.kind == Kind::Directory {
                        if let Ok(tree) = store.tree(&record.digest) {
                            needed.extend(
                                tree.entries
                                    .iter()
                                    .filter_map(TreeEntry::file)
                                    .map(|(digest, _)| digest),
                            );
                        }
                    }
                }
                continue;
            }
        }
        collected.actions += 1;
        if !dry {
            store.drop_action(&key);
            dropped.push(key);
        }
    }
    if !dropped.is_empty() && Memo::exists(store) {
        let memo = store.memo()?;
        memo.remove_all(&dropped);
        memo.flush();
    }
    for folder in std::fs::read_dir(store.root().join("objects"))
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
            let name = format!("{head}{}", file.file_name().to_string_lossy());
            let digest = Digest::parse(&name);
            if digest.is_some_and(|digest| needed.contains(&digest)) {
                continue;
            }
            collected.objects += 1;
            collected.bytes += file.metadata().map_or(0, |found| found.len());
            if !dry {
                let path = file.path();
                remove_all(&path).map_err(|error| StoreError::io(&path, error))?;
                store.stat.forget(&path);
            }
        }
    }
    for run in runs {
        collected.runs += 1;
        if !dry {
            let path = store.runs().join(run);
            remove_all(&path).map_err(|error| StoreError::io(&path, error))?;
        }
    }
    Ok(collected)
}
