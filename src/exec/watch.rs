//! What to look at to see that something changed that stages read: size, time and identity of every file, without reading any.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::flow::{Body, SourceKind, StageId};

use super::sources::expand;
use super::Project;

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: u64,
    mode: u32,
}

/// Files and their marks; a file that is not there has none.
pub type Marks = BTreeMap<PathBuf, Option<Mark>>;

/// The mark of one file.
pub fn mark(path: &Path) -> Option<Mark> {
    let found = path.metadata().ok()?;
    Some(Mark {
        // A folder's own size and time change with what is put into it.
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
        inode: found.ino(),
        mode: found.mode(),
    })
}

/// Marks of all files that these stages read, patterns looked up anew.
pub fn marks(project: &Project, stages: &[StageId]) -> Marks {
    let mut marks = Marks::new();
    let mut sources: Vec<&SourceKind> = Vec::new();
    for id in stages {
        let stage = project.flow.stage(*id);
        let kinds = stage.inputs.values().flat_map(|input| &input.sources);
        sources.extend(kinds.map(|source| &source.kind));
        match &stage.body {
            Body::Uses(name) => {
                if let Some(plugin) = project.flow.plugins.get(name) {
                    add(&mut marks, project.dir.join(&plugin.path));
                }
            }
            Body::Wrapper(name) => add_all(
                &mut marks,
                project.dir.join("tool-wrappers").join(name),
                &[],
            ),
            Body::Shell(_) | Body::Argv(_) => {}
        }
    }
    let own = [project.dir.join("cache"), project.dir.join("artifacts")];
    for kind in sources {
        for file in expand(&project.dir, kind).unwrap_or_default() {
            add_all(&mut marks, project.dir.join(file), &own);
        }
    }
    marks
}

fn add(marks: &mut Marks, path: PathBuf) {
    let found = mark(&path);
    marks.insert(path, found);
}

/// The path and, if it is a folder, all that is in it.
fn add_all(marks: &mut Marks, path: PathBuf, except: &[PathBuf]) {
    let mut stack = vec![path];
    while let Some(path) = stack.pop() {
        if marks.contains_key(&path) || except.contains(&path) {
            continue;
        }
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            stack.extend(entries.map(|entry| entry.path()));
            // What is in it tells more than the folder, whose time also changes with the cache beside it.
            if except.iter().any(|own| own.starts_with(&path)) {
                continue;
            }
        }
        add(marks, path);
    }
}
