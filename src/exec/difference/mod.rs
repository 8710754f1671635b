//! Where two outputs differ first, in terms of their format, which is told from their bytes: the tensor and its index, the cell
//! and the layer, the place in a JSON document, the line of a text; else the byte.

mod json;
mod layout;
mod tensors;
mod text;
mod zip;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::store::{decode_path, Content, Kind, OutputRecord, Store, Tree, TreeEntry};

/// The first place in which an output at `path` differs from a recorded one.
pub fn of_outputs(store: &Store, record: &OutputRecord, path: &Path, content: &Content) -> String {
    if record.kind != content.kind {
        return format!("in kind: {:?}, then {:?}", record.kind, content.kind);
    }
    let (Kind::Directory, Some(new)) = (record.kind, &content.tree) else {
        return of_files(&store.object_path(&record.digest), path);
    };
    let old: Tree = store.tree(&record.digest).unwrap_or_default();
    let names = |tree: &Tree| -> BTreeMap<String, TreeEntry> {
        let entries = tree.entries.iter();
        entries
            .map(|entry| (entry.path().to_string(), entry.clone()))
            .collect()
    };
    let (old, new) = (names(&old), names(new));
    for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        match (old.get(name), new.get(name)) {
            (Some(before), Some(after)) if before == after => {}
            (Some(before), Some(after)) => {
                let file: PathBuf = path.join(decode_path(name));
                return match (before.file(), after.file()) {
                    (Some((old, _)), Some(_)) => {
                        format!("in {name} {}", of_files(&store.object_path(&old), &file))
                    }
                    _ => format!("in the kind of {name}"),
                };
            }
            (Some(_), None) => return format!("in {name}, which was not written the second time"),
            _ => return format!("in {name}, which was written only the second time"),
        }
    }
    "in its listing".to_string()
}

fn of_files(old: &Path, new: &Path) -> String {
    match (std::fs::read(old), std::fs::read(new)) {
        (Ok(old), Ok(new)) => first(&old, &new),
        (Err(error), _) | (_, Err(error)) => format!("in a place that cannot be read: {error}"),
    }
}

/// The first difference of two files of one format; `None` if they are not of it.
type Format = fn(&[u8], &[u8]) -> Option<String>;

/// The first place in which two files differ.
pub fn first(old: &[u8], new: &[u8]) -> String {
    if old == new {
        return "in its executable bit".to_string();
    }
    let formats: [Format; 6] = [
        tensors::safetensors,
        tensors::npy,
        zip::archive,
        layout::stream,
        json::document,
        text::lines,
    ];
    let found = formats.iter().find_map(|format| format(old, new));
    found.unwrap_or_else(|| bytes(old, new))
}

/// `at byte 17`, counted from 1 as `cmp` does.
fn bytes(old: &[u8], new: &[u8]) -> String {
    let place = old.iter().zip(new).position(|(a, b)| a != b);
    let sizes = match old.len() == new.len() {
        true => String::new(),
        false => format!(" (sizes {} and {})", old.len(), new.len()),
    };
    match place {
        Some(place) => format!("at byte {}{sizes}", place + 1),
        None => format!(
            "at byte {}, where one of them ends{sizes}",
            old.len().min(new.len()) + 1
        ),
    }
}

/// A value as it stands in a message.
fn short(text: &str) -> String {
    const MOST: usize = 80;
    let text = text.trim_end();
    if text.chars().count() <= MOST {
        return text.to_string();
    }
    text.chars().take(MOST).chain("…".chars()).collect()
}
