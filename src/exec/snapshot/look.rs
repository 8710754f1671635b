//! Is everything as the snapshot says? One pass over the files, in the order of their folders.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, OsStr};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};

use crate::flow::SourceKind;
use crate::key::ActionKey;
use crate::store::{
    decode_path, encode_path, folder_content, hash_file, now_ns, plain_text, Digest, Identity,
    Links, Sighting, StatCache,
};

use super::super::{sources, tools};
use super::files::{patch, Cursor, Flags, Watched, EVERY_STAGE};
use super::format::{self, Section};
use super::later::{Kept, Later};
use super::part::Changed;
use super::{Head, Program, Question, Seen};

/// What a look found.
pub enum Looked {
    /// Nothing changed.
    Clean(Box<Clean>),
    /// Only these stages can be touched by what changed.
    Changed(Box<Changed>),
    /// There is no snapshot, or it does not tell.
    Unknown,
}

/// A flow in which nothing changed.
pub struct Clean {
    pub stages: usize,
    file: format::File,
    later: Later,
    /// Memory that is not needed any more.
    used: Vec<u8>,
}

impl Clean {
    /// What journal and `--json` say of the stages, a JSON line each; `None` if that part is damaged.
    pub fn lines(self) -> Option<Vec<u8>> {
        lines_but(&self.file, &self.later, &BTreeSet::new(), self.used)
    }
}

/// Names of the stages that these lines tell of, in their order; `None` for a line that is damaged.
pub fn stage_names(lines: &[u8]) -> impl Iterator<Item = Option<Cow<'_, str>>> {
    let mut rest = lines;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let (line, after) = rest.split_at_checked(end)?;
        rest = after.get(1..).unwrap_or_default();
        (!line.is_empty()).then(|| match plain_name(line) {
            Some(name) => Some(Cow::Borrowed(name)),
            None => Some(Cow::Owned(serde_json::from_slice::<Line>(line).ok()?.stage)),
        })
    })
}

/// The lines of all stages but some. `used` is memory to read them into.
pub(super) fn lines_but(
    file: &format::File,
    later: &Later,
    out: &BTreeSet<u32>,
    used: Vec<u8>,
) -> Option<Vec<u8>> {
    let lines = file.read_in(Section::Lines, used)?;
    if later.lines.is_empty() && out.is_empty() {
        return Some(lines);
    }
    let mut whole = Vec::with_capacity(lines.len());
    let mut at = 0;
    let others: BTreeSet<u32> = later.lines.keys().chain(out).copied().collect();
    for number in others {
        let line = file.stage(number)?.line;
        whole.extend_from_slice(lines.get(at..line.start)?);
        at = line.end;
        if !out.contains(&number) {
            whole.extend_from_slice(later.lines.get(&number)?.as_bytes());
        }
    }
    whole.extend_from_slice(lines.get(at..)?);
    Some(whole)
}

/// What a stage's line is read for.
#[derive(serde::Deserialize)]
pub(super) struct Line {
    pub stage: String,
    pub key: ActionKey,
}

/// The name in a line that begins as they all do, if nothing in it is escaped.
fn plain_name(line: &[u8]) -> Option<&str> {
    let rest = line.strip_prefix(br#"{"event":"stage-finished","stage":""#)?;
    std::str::from_utf8(plain_text(rest)?).ok()
}

/// Looks at everything that the answer to this question depends on. `base` is the flow file's folder, `root` the cache. With
/// `refresh`, files that had to be read again are noted, which only the holder of the lock may do.
pub fn look(base: &Path, root: &Path, question: &Question, refresh: bool) -> Looked {
    try_look(base, root, question, refresh).unwrap_or(Looked::Unknown)
}

fn try_look(base: &Path, root: &Path, question: &Question, refresh: bool) -> Option<Looked> {
    let path = question.path(root);
    let file = format::File::open(&path)?;
    let mut later = Later::read(&path, &file);
    let mut watch = file.read(Section::Watch)?;
    let mut cursor = Cursor::new(&watch);
    let head_bytes = cursor.block()?;
    let mut head: Head = match &later.head {
        Some(head) => head.clone(),
        None => serde_json::from_slice(head_bytes).ok()?,
    };
    let head_end = cursor.at();
    if !surroundings(base, &head, question) {
        return None;
    }
    let suspects = stat_all(base, &mut cursor, &later)?;
    let mut fresh = Vec::new();
    let mut changed = BTreeSet::new();
    for suspect in suspects {
        let (digest, owners) = suspect.known(&file, &later)?;
        match read_again(base, &suspect, digest) {
            Some(seen) => fresh.extend(seen.trusted().then_some((suspect, seen, owners))),
            None => changed.extend(owners),
        }
    }
    let folders_fresh = folders(base, root, &mut head, &mut changed);
    if changed.contains(&EVERY_STAGE) {
        return None;
    }
    if folders_fresh {
        later.head = Some(head.clone());
    }
    // What was read again need not be read next time.
    let any = !fresh.is_empty() || folders_fresh;
    let many = changed.is_empty() && fresh.len() > MANY;
    for (suspect, seen, owners) in fresh {
        suspect.note(&seen, owners, &mut later, many.then_some(&mut watch));
    }
    if !changed.is_empty() {
        let stages = changed;
        return Some(Looked::Changed(Box::new(Changed::new(
            base, file, later, head, watch, head_end, stages,
        )?)));
    }
    if refresh && any {
        let kept = match many {
            true => file
                .rewrite(&path, std::mem::take(&mut watch))
                .and_then(|()| {
                    let file = format::File::open(&path);
                    let damaged = || std::io::Error::from(std::io::ErrorKind::InvalidData);
                    later.rename(&file.ok_or_else(damaged)?);
                    later.write(&path)
                }),
            false => later.write(&path),
        };
        if let Err(error) = kept {
            tracing::debug!("snapshot: {error}");
        }
    }
    let stages = head.stages;
    Some(Looked::Clean(Box::new(Clean {
        stages,
        file,
        later,
        used: watch,
    })))
}

/// With more files than this the snapshot itself is written anew.
const MANY: usize = 64;

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
    place: Place,
    path: PathBuf,
    flags: Flags,
}

/// Where it stands.
enum Place {
    /// In the watch section.
    Snapshot {
        number: u32,
        flags_at: usize,
        identity_at: usize,
    },
    /// Among what was noted later about a file of the snapshot.
    Instead(u32),
    Added,
}

impl Suspect {
    /// The content that it had, and the stages that it belongs to.
    fn known(&self, file: &format::File, later: &Later) -> Option<(Digest, Vec<u32>)> {
        let kept = match &self.place {
            Place::Snapshot { number, .. } => {
                return Some((file.digest(*number)?, file.owners(*number)?))
            }
            Place::Instead(number) => later.files.get(number)?.as_ref()?,
            Place::Added => later.get_added(&self.path, self.flags.follow)?,
        };
        Some((kept.digest, kept.owners.clone()))
    }

    /// Notes a later look at the same content: in the watch section if there is one, else beside the snapshot.
    fn note(
        &self,
        seen: &Sighting,
        owners: Vec<u32>,
        later: &mut Later,
        watch: Option<&mut Vec<u8>>,
    ) {
        let flags = Flags {
            executable: seen.identity.executable,
            trusted: true,
            ..self.flags
        };
        let kept = match (&self.place, watch) {
            (
                Place::Snapshot {
                    flags_at,
                    identity_at,
                    ..
                },
                Some(watch),
            ) => return patch(watch, *flags_at, *identity_at, flags, &seen.identity),
            (Place::Snapshot { number, .. }, None) => {
                let watched = Watched {
                    path: self.path.clone(),
                    flags,
                    identity: seen.identity,
                    digest: seen.digest,
                    owners,
                };
                later.files.insert(*number, Some(Kept::of(&watched)));
                return;
            }
            (Place::Instead(number), _) => later.files.get_mut(number).and_then(Option::as_mut),
            (Place::Added, _) => later.added_mut(&self.path, self.flags.follow),
        };
        if let Some(kept) = kept {
            kept.saw(flags, &seen.identity);
        }
    }
}

/// Asks the file system about every file. `None` if the section ends too early.
fn stat_all(base: &Path, cursor: &mut Cursor<'_>, later: &Later) -> Option<Vec<Suspect>> {
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = rustix::fs::open(base, directory, Mode::empty()).ok()?;
    let mut suspects = Vec::new();
    let mut instead = later.files.iter().peekable();
    let mut number = 0;
    for _ in 0..cursor.number()? {
        let folder = cursor.name()?;
        let count = cursor.number()?;
        let name = if folder.is_empty() { c"." } else { folder };
        // A folder that is gone has none of its files any more.
        let at = rustix::fs::openat(&open, name, directory, Mode::empty()).ok();
        for _ in 0..count {
            let entry = cursor.entry()?;
            let mut place = Place::Snapshot {
                number,
                flags_at: entry.flags_at,
                identity_at: entry.identity_at,
            };
            let (mut flags, mut identity) = (entry.flags, entry.identity);
            let mut needed = true;
            if let Some((_, kept)) = instead.next_if(|(other, _)| **other == number) {
                place = Place::Instead(number);
                match kept {
                    Some(kept) => (flags, identity) = (kept.flags(), kept.identity()),
                    None => needed = false,
                }
            }
            number += 1;
            if !needed {
                continue;
            }
            let now = at
                .as_ref()
                .and_then(|at| identity_of(at, entry.name, flags.follow));
            if !flags.trusted || now != Some(identity) {
                suspects.push(Suspect {
                    place,
                    path: path_of(folder).join(path_of(entry.name)),
                    flags,
                });
            }
        }
    }
    for (path, kept) in later.added() {
        let now = identity_of(&open, path.as_path(), kept.flags().follow);
        if !kept.flags().trusted || now != Some(kept.identity()) {
            suspects.push(Suspect {
                place: Place::Added,
                path,
                flags: kept.flags(),
            });
        }
    }
    Some(suspects)
}

fn path_of(name: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(name.to_bytes()))
}

fn identity_of(folder: impl AsFd, name: impl rustix::path::Arg, follow: bool) -> Option<Identity> {
    let flags = if follow {
        AtFlags::empty()
    } else {
        AtFlags::SYMLINK_NOFOLLOW
    };
    let found = rustix::fs::statat(folder, name, flags).ok()?;
    Some(Identity::of_stat(&found))
}

/// Reads a file again; `None` if its content is another.
fn read_again(base: &Path, suspect: &Suspect, digest: Digest) -> Option<Sighting> {
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
