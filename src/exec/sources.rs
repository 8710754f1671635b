//! Files of the user's that stages read: paths and globs → files, and faults where there are none.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use rayon::prelude::*;

use crate::flow::{may_suggest, Fault, Flow, Source, SourceKind, StageId, MOST_FAULTS};
use crate::store::{show_path, StatCache};

/// Files of one source, relative to the flow file, ordered.
type Files = Arc<Vec<PathBuf>>;

/// Why a path or glob is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    Nothing,
    /// More is to be gone through than any flow needs.
    TooMuch,
}

/// Names that are looked at for one pattern: about a second of work, and far from a whole disk.
const MOST_LOOKS: usize = 250_000;

/// Expanded paths and globs, each looked up once.
pub struct Sources {
    dir: PathBuf,
    known: Mutex<HashMap<String, Result<Files, Lack>>>,
}

impl Sources {
    pub fn new(dir: &Path) -> Sources {
        Sources {
            dir: dir.to_path_buf(),
            known: Mutex::new(HashMap::new()),
        }
    }

    /// The files of a path or glob; `None` if there are none.
    pub fn files(&self, kind: &SourceKind) -> Option<Files> {
        self.find(kind).ok()
    }

    fn find(&self, kind: &SourceKind) -> Result<Files, Lack> {
        let text = match kind {
            SourceKind::Path(text) | SourceKind::Glob(text) => text,
            SourceKind::Output { .. } => return Err(Lack::Nothing),
        };
        let mut known = self
            .known
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(files) = known.get(text) {
            return files.clone();
        }
        let files = try_expand(&self.dir, kind).map(Arc::new);
        known.insert(text.clone(), files.clone());
        files
    }

    /// Reads on all processors what of these stages' sources must be read, before the plan asks for one after the other.
    pub fn read_ahead(&self, flow: &Flow, stages: &[StageId], stat: &StatCache) {
        let mut files = Vec::new();
        let sources = stages.iter().flat_map(|id| flow.stage(*id).inputs.values());
        for source in sources.flat_map(|input| &input.sources) {
            for path in self
                .files(&source.kind)
                .iter()
                .flat_map(|files| files.iter())
            {
                unread(stat, self.dir.join(path), &self.dir, &mut files);
            }
        }
        files.sort();
        files.dedup();
        if files.len() > 1 {
            files.par_iter().for_each(|path| {
                // What cannot be read is told when the plan asks for it.
                let _ = stat.digest(path);
            });
        }
    }

    /// Tells of sources that name nothing.
    pub fn check(&self, flow: &Flow, id: StageId, faults: &mut Vec<Fault>) {
        let stage = flow.stage(id);
        for (name, input) in &stage.inputs {
            for source in &input.sources {
                if matches!(source.kind, SourceKind::Output { .. }) {
                    continue;
                }
                let Err(lack) = self.find(&source.kind) else {
                    continue;
                };
                if faults.len() >= MOST_FAULTS {
                    return;
                }
                faults.push(missing(&self.dir, flow, &stage.name, name, source, lack));
            }
        }
    }
}

/// Adds the file, or the files below the folder, that the stat cache cannot tell the content of.
fn unread(stat: &StatCache, path: PathBuf, base: &Path, files: &mut Vec<PathBuf>) {
    let own = [base.join("cache"), base.join("artifacts")];
    let mut queue = vec![path];
    while let Some(path) = queue.pop() {
        let Ok(found) = path.metadata() else { continue };
        if found.is_file() && !stat.knows(&path, &found) {
            files.push(path);
        } else if found.is_dir() && !own.contains(&path) {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            let inside =
                |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| !kind.is_symlink());
            queue.extend(entries.filter(inside).map(|entry| entry.path()));
        }
    }
}

/// The files of a path or glob as they are now; `None` if there are none.
pub fn expand(dir: &Path, kind: &SourceKind) -> Option<Vec<PathBuf>> {
    try_expand(dir, kind).ok()
}

fn try_expand(dir: &Path, kind: &SourceKind) -> Result<Vec<PathBuf>, Lack> {
    let path = |text: &str| {
        let path = PathBuf::from(text);
        let there = dir.join(&path).metadata().is_ok();
        there.then(|| vec![path]).ok_or(Lack::Nothing)
    };
    match kind {
        SourceKind::Path(text) => path(text),
        SourceKind::Glob(text) => match glob(dir, text)? {
            // A file whose name looks like a pattern, such as `bus[3].v`, is that file.
            files if files.is_empty() => path(text),
            files => Ok(files),
        },
        SourceKind::Output { .. } => Err(Lack::Nothing),
    }
}

/// Files that match the pattern, ordered. `*` and `?` stay within one name, `**` goes through folders, a name that begins
/// with a dot is matched only by a pattern that does.
fn glob(dir: &Path, pattern: &str) -> Result<Vec<PathBuf>, Lack> {
    let matcher = globset::GlobBuilder::new(pattern.trim_start_matches("./"))
        .literal_separator(true)
        .backslash_escape(true)
        .build();
    let Ok(matcher) = matcher else {
        return Ok(Vec::new());
    };
    let matcher = matcher.compile_matcher();
    let special = |part: &str| part.contains(['*', '?', '[', '{']);
    let pattern = pattern.trim_start_matches("./");
    let prefix: PathBuf = pattern
        .split('/')
        .take_while(|part| !special(part))
        .collect::<Vec<_>>()
        .join("/")
        .into();
    let prefix = if pattern.starts_with('/') {
        Path::new("/").join(prefix)
    } else {
        prefix
    };
    let depth = if pattern.contains("**") {
        usize::MAX
    } else {
        pattern.split('/').count().saturating_sub(
            prefix
                .components()
                .filter(|c| *c != Component::RootDir)
                .count(),
        )
    };
    let hidden = pattern
        .split('/')
        .any(|part| part.starts_with('.') && part != "." && part != "..");
    if pattern.contains("**") && is_root(dir, &prefix) {
        return Err(Lack::TooMuch);
    }
    let mut looks = 0;
    let mut files = Vec::new();
    let mut folders = vec![(prefix, 0usize)];
    while let Some((folder, level)) = folders.pop() {
        let own = level == 0 && folder.as_os_str().is_empty();
        for entry in std::fs::read_dir(dir.join(&folder))
            .into_iter()
            .flatten()
            .flatten()
        {
            looks += 1;
            if looks > MOST_LOOKS {
                return Err(Lack::TooMuch);
            }
            let name = entry.file_name();
            if own && (name == "cache" || name == "artifacts") {
                continue;
            }
            if !hidden && name.to_string_lossy().starts_with('.') {
                continue;
            }
            let path = folder.join(&name);
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let is_folder = kind.is_dir() || (kind.is_symlink() && dir.join(&path).is_dir());
            if matcher.is_match(&path) && (!is_folder || !pattern.contains("**")) {
                files.push(path.clone());
            }
            if kind.is_dir() && level + 1 < depth {
                folders.push((path, level + 1));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Whether this is the top of the file system, however it is written.
fn is_root(dir: &Path, prefix: &Path) -> bool {
    let real = dir.join(prefix).canonicalize();
    real.is_ok_and(|real| real.parent().is_none())
}

fn missing(
    dir: &Path,
    flow: &Flow,
    stage: &str,
    input: &str,
    source: &Source,
    lack: Lack,
) -> Fault {
    let (text, what) = match &source.kind {
        SourceKind::Glob(text) if lack == Lack::TooMuch => (text, "goes through too many files"),
        SourceKind::Glob(text) => (text, "matches no file"),
        SourceKind::Path(text) | SourceKind::Output { output: text, .. } => {
            (text, "is neither a file nor an output of a stage")
        }
    };
    let fault = Fault::new(
        source.span,
        format!("input '{input}' of stage '{stage}': '{text}' {what}"),
    );
    if lack == Lack::TooMuch {
        return fault
            .hint("name the folder in which the files are, or take a whole folder as the input");
    }
    if !may_suggest() {
        return fault;
    }
    let mut candidates: Vec<String> = Vec::new();
    if !text.contains('/') {
        for stage in flow.stages.iter().take(500) {
            candidates.extend(
                stage
                    .outputs
                    .keys()
                    .map(|output| format!("{}.{output}", stage.name)),
            );
        }
    }
    let path = Path::new(text);
    let parent = path.parent().unwrap_or(Path::new(""));
    for entry in std::fs::read_dir(dir.join(parent))
        .into_iter()
        .flatten()
        .flatten()
        .take(1000)
    {
        candidates.push(show_path(&parent.join(entry.file_name())));
    }
    candidates.sort();
    fault.suggest(text, candidates.iter().map(String::as_str))
}
