//! Is everything as the snapshot says? One pass over the files, in the order of their folders.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, OsStr};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};

use crate::flow::SourceKind;
use crate::key::ActionKey;
use crate::store::{
    decode_path, encode_path, folder_content, hash_file, now_ns, Identity, Links, Sighting,
    StatCache,
};

use super::super::{sources, tools};
use super::format::{self, Cursor, Flags, Section, EVERY_STAGE};
use super::part::Changed;
use super::{Head, Program, Question, Seen};

/// What a look found.
pub enum Looked {
    /// Nothing changed.
    Clean(Clean),
    /// Only these stages can be touched by what changed.
    Changed(Box<Changed>),
    /// There is no snapshot, or it does not tell.
    Unknown,
}

/// A flow in which nothing changed.
pub struct Clean {
    pub stages: usize,
    file: format::File,
}

impl Clean {
    /// What journal and `--json` say of the stages, a JSON line each; `None` if that part is damaged.
    pub fn lines(&self) -> Option<Vec<u8>> {
        self.file.read(Section::Lines)
    }

    /// Names of the stages, in their order; `None` if that part is damaged.
    pub fn names(&self) -> Option<Vec<String>> {
        let lines = self.lines()?;
        let lines = lines.split(|byte| *byte == b'\n');
        lines
            .filter(|line| !line.is_empty())
            .map(|line| Some(serde_json::from_slice::<Line>(line).ok()?.stage))
            .collect()
    }
}

/// What a stage's line is read for.
#[derive(serde::Deserialize)]
pub(super) struct Line {
    pub stage: String,
    pub key: ActionKey,
}

/// Looks at everything that the answer to this question depends on. `base` is the flow file's folder, `root` the cache. With
/// `refresh`, files that had to be read again are noted, which only the holder of the lock may do.
pub fn look(base: &Path, root: &Path, question: &Question, refresh: bool) -> Looked {
    try_look(base, root, question, refresh).unwrap_or(Looked::Unknown)
}

fn try_look(base: &Path, root: &Path, question: &Question, refresh: bool) -> Option<Looked> {
    let path = question.path(root);
    let file = format::File::open(&path)?;
    let mut watch = file.read(Section::Watch)?;
    let mut cursor = Cursor::new(&watch);
    let mut head: Head = serde_json::from_slice(cursor.block()?).ok()?;
    let head_end = cursor.at();
    if !surroundings(base, &head, question) {
        return None;
    }
    let suspects = stat_all(base, &mut cursor)?;
    let mut fresh = Vec::new();
    let mut changed = BTreeSet::new();
    let mut rest_bytes = Vec::new();
    if !suspects.is_empty() {
        rest_bytes = file.read(Section::Rest)?;
        let rest = format::Rest::decode(&rest_bytes)?;
        for suspect in suspects {
            match read_again(base, &suspect, rest.digest(suspect.number)?) {
                Some(seen) => fresh.extend(seen.trusted().then_some((suspect, seen))),
                None => changed.extend(rest.owners(suspect.number)),
            }
        }
    }
    let folders_fresh = folders(base, root, &mut head, &mut changed);
    // What was read again need not be read next time.
    for (suspect, seen) in &fresh {
        let flags = Flags {
            executable: seen.identity.executable,
            trusted: true,
            ..suspect.flags
        };
        format::patch(
            &mut watch,
            suspect.flags_at,
            suspect.identity_at,
            flags,
            &seen.identity,
        );
    }
    if !changed.is_empty() {
        if changed.contains(&EVERY_STAGE) {
            return None;
        }
        if rest_bytes.is_empty() {
            rest_bytes = file.read(Section::Rest)?;
        }
        let files = watch.split_off(head_end);
        let lines = file.read(Section::Lines)?;
        return Some(Looked::Changed(Box::new(Changed {
            base: base.to_path_buf(),
            head,
            files,
            lines,
            rest: rest_bytes,
            stages: changed,
        })));
    }
    let stages = head.stages;
    if refresh && (!fresh.is_empty() || folders_fresh) {
        rewrite(&path, &file, &head, watch.get(head_end..)?);
    }
    Some(Looked::Clean(Clean { stages, file }))
}

fn rewrite(path: &Path, file: &format::File, head: &Head, files: &[u8]) {
    let (Some(lines), Some(rest)) = (file.read(Section::Lines), file.read(Section::Rest)) else {
        return;
    };
    let mut watch = Vec::with_capacity(files.len() + 1024);
    super::record::put_head(head, &mut watch);
    watch.extend_from_slice(files);
    if let Err(error) = format::write(path, &watch, &lines, &rest) {
        tracing::debug!("snapshot: {error}");
    }
}

/// Program, question, variables, tools and patterns.
fn surroundings(base: &Path, head: &Head, question: &Question) -> bool {
    Program::own().is_some_and(|own| own == head.program)
        && head.question == *question
        && head.env.iter().all(|(name, value)| {
            std::env::var_os(name).map(|now| encode_path(Path::new(&now))) == *value
        })
        && tools_found(&head.tools)
        && head.globs.iter().all(|(pattern, files)| {
            sources::expand(base, &SourceKind::Glob(pattern.clone())).is_some_and(|now| {
                now.iter()
                    .map(|path| encode_path(path))
                    .eq(files.iter().cloned())
            })
        })
}

fn tools_found(tools: &BTreeMap<String, String>) -> bool {
    if tools.is_empty() {
        return true;
    }
    let path = tools::search_path();
    tools.iter().all(|(program, place)| {
        tools::find_on(&path, program).is_some_and(|now| encode_path(&now) == *place)
    })
}

/// A file whose identity does not tell that it is the same.
struct Suspect {
    number: usize,
    path: PathBuf,
    flags: Flags,
    flags_at: usize,
    identity_at: usize,
}

/// Asks the file system about every file. `None` if the section ends too early.
fn stat_all(base: &Path, cursor: &mut Cursor<'_>) -> Option<Vec<Suspect>> {
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = rustix::fs::open(base, directory, Mode::empty()).ok()?;
    let mut suspects = Vec::new();
    let mut number = 0;
    for _ in 0..cursor.number()? {
        let folder = cursor.name()?;
        let count = cursor.number()?;
        let name = if folder.is_empty() { c"." } else { folder };
        // A folder that is gone has none of its files any more.
        let at = rustix::fs::openat(&open, name, directory, Mode::empty()).ok();
        for _ in 0..count {
            let entry = cursor.entry()?;
            let now = at
                .as_ref()
                .and_then(|at| identity(at, entry.name, entry.flags.follow));
            if !entry.flags.trusted || now != Some(entry.identity) {
                suspects.push(Suspect {
                    number,
                    path: path_of(folder).join(path_of(entry.name)),
                    flags: entry.flags,
                    flags_at: entry.flags_at,
                    identity_at: entry.identity_at,
                });
            }
            number += 1;
        }
    }
    Some(suspects)
}

fn path_of(name: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(name.to_bytes()))
}

fn identity(folder: impl AsFd, name: &CStr, follow: bool) -> Option<Identity> {
    let flags = if follow {
        AtFlags::empty()
    } else {
        AtFlags::SYMLINK_NOFOLLOW
    };
    let found = rustix::fs::statat(folder, name, flags).ok()?;
    Some(Identity::of_stat(&found))
}

/// Reads a file again; `None` if its content is another.
fn read_again(base: &Path, suspect: &Suspect, digest: crate::store::Digest) -> Option<Sighting> {
    let path = base.join(&suspect.path);
    let found = if suspect.flags.follow {
        path.metadata()
    } else {
        path.symlink_metadata()
    };
    let found = found.ok().filter(std::fs::Metadata::is_file)?;
    let identity = Identity::of(&found);
    let kind = Flags {
        executable: identity.executable,
        ..suspect.flags
    }
    .kind();
    let look_ns = now_ns();
    let now = hash_file(kind, &path).ok()?;
    (now == digest).then_some(Sighting {
        identity,
        look_ns,
        digest,
    })
}

/// Whether some look at a file in a folder is better than the one before; stages of folders that hold something else are
/// added to `changed`.
fn folders(base: &Path, root: &Path, head: &mut Head, changed: &mut BTreeSet<u32>) -> bool {
    let mut fresh = false;
    let own = [root.to_path_buf(), base.join("artifacts")];
    for folder in &mut head.folders {
        let path = base.join(decode_path(&folder.path));
        let known = folder
            .seen
            .iter()
            .map(|(name, seen)| (path.join(decode_path(name)), seen.sighting()));
        let stat = StatCache::of(known);
        let (links, skip): (_, &[PathBuf]) = match folder.source {
            true => (Links::Follow, &own),
            false => (Links::Inside, &[]),
        };
        // A result is never shown through a link.
        let hidden = !folder.source && path.is_symlink();
        let content = folder_content(&stat, &path, links, skip).ok();
        if hidden || content.is_none_or(|content| content.digest != folder.digest) {
            changed.extend(&folder.owners);
            continue;
        }
        for (name, seen) in &mut folder.seen {
            let better = stat
                .sighting(&path.join(decode_path(name)))
                .filter(Sighting::trusted)
                .map(|sighting| Seen::of(&sighting));
            if let Some(better) = better.filter(|better| better != seen) {
                *seen = better;
                fresh = true;
            }
        }
    }
    fresh
}
