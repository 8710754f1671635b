//! Reads the whole cache again and drops what is not what it says.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::digest::{copy_hashed, Digest, Kind};
use super::tree::TreeEntry;
use super::{actions, Store};

/// Something damaged that was dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// `object` or `action`.
    pub kind: &'static str,
    pub digest: String,
    /// Stages whose results need it, as far as known.
    pub stages: BTreeSet<String>,
    pub what: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    pub objects: u64,
    pub actions: u64,
    pub bytes: u64,
    pub damaged: Vec<Damage>,
}

/// Checks every object against its name and every action against its own digest and its objects. The caller holds the lock.
pub fn verify(store: &Store) -> Verified {
    let mut result = Verified::default();
    let mut bad_objects = check_objects(store, &mut result);
    let mut users: BTreeMap<Digest, BTreeSet<String>> = BTreeMap::new();
    let mut damaged_actions = Vec::new();
    for key in store.action_keys() {
        result.actions += 1;
        let text = std::fs::read(store.action_path(&key)).unwrap_or_default();
        let action = std::str::from_utf8(&text).ok().and_then(actions::decode);
        let Some(action) =
            action.filter(|action| action.key == key && action.preimage.key() == key)
        else {
            let damage = Damage {
                kind: "action",
                digest: key.to_string(),
                stages: BTreeSet::new(),
                what: "its content is not what was written",
            };
            damaged_actions.push((key, damage));
            continue;
        };
        for record in action.outputs.values() {
            let mut needed = vec![record.digest];
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
            for digest in needed {
                users
                    .entry(digest)
                    .or_default()
                    .insert(action.stage.clone());
                if !store.object_path(&digest).exists() {
                    bad_objects.entry(digest).or_insert("it is gone");
                    damaged_actions.push((
                        action.key.clone(),
                        Damage {
                            kind: "action",
                            digest: action.key.to_string(),
                            stages: BTreeSet::from([action.stage.clone()]),
                            what: "an object of it is gone or damaged",
                        },
                    ));
                }
            }
        }
    }
    for (digest, what) in bad_objects {
        let stages = users.remove(&digest).unwrap_or_default();
        result.damaged.push(Damage {
            kind: "object",
            digest: digest.to_string(),
            stages,
            what,
        });
    }
    for (key, damage) in damaged_actions {
        store.drop_action(&key);
        if !result.damaged.contains(&damage) {
            result.damaged.push(damage);
        }
    }
    result
}

/// Damaged objects, dropped already.
fn check_objects(store: &Store, result: &mut Verified) -> BTreeMap<Digest, &'static str> {
    let mut bad = BTreeMap::new();
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
            let path = file.path();
            let name = format!("{head}{}", file.file_name().to_string_lossy());
            result.objects += 1;
            result.bytes += file.metadata().map_or(0, |found| found.len());
            let Some(digest) = Digest::parse(&name) else {
                let _ = super::remove_all(&path);
                continue;
            };
            let whole = [Kind::File, Kind::Executable, Kind::Directory]
                .into_iter()
                .any(|kind| {
                    std::fs::File::open(&path)
                        .and_then(|mut file| copy_hashed(kind, &mut file, None))
                        .is_ok_and(|actual| actual == digest)
                });
            if !whole {
                let _ = super::remove_all(&path);
                store.stat.forget(&path);
                bad.insert(digest, "its content is not what its name says");
            }
        }
    }
    bad
}
