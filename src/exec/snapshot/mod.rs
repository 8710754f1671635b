//! What a run saw that found or made everything fresh, so that the next one can tell at a glance that nothing changed.
//!
//! A snapshot holds no result and decides nothing by itself: it lists every file, variable, tool and pattern that the plan of
//! the flow was made from, each with the content it had. As long as all of them are what they were, the plan is what it was: every
//! stage fresh. Files are compared by identity under the rule of the stat cache, and read again where identity does not
//! tell. Anything else than "all the same" goes the long way, over the flow file. Snapshots lie in `cache/clean/` and may be lost.

mod files;
mod format;
mod later;
mod look;
mod part;
mod record;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::store::{Identity, Sighting};

use super::project::Overrides;

pub use look::{look, stage_names, Clean, Looked};
pub(super) use part::folder_of;
pub use part::{Changed, Part, Previous};
pub(super) use record::{record, record_part, Settled};

/// Set to anything but `0`, it makes every command go the long way.
pub const OFF: &str = "NANOFLOW_NO_SNAPSHOT";

/// Snapshots kept of one flow folder: one for each set of targets and settings in use.
const KEPT: usize = 16;

/// What was asked for: another question has another snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The flow file's name, without its folder.
    pub file: String,
    pub profiles: Vec<String>,
    pub settings: Vec<String>,
    /// Targets as they were typed.
    pub words: Vec<String>,
}

impl Question {
    /// `None` if no snapshot is to be used or made.
    pub fn new(file: &Path, overrides: &Overrides, words: &[String]) -> Option<Question> {
        if std::env::var_os(OFF).is_some_and(|value| value != "0") {
            return None;
        }
        Some(Question {
            file: file.file_name()?.to_str()?.to_string(),
            profiles: overrides.profiles.clone(),
            settings: overrides.settings.clone(),
            words: words.to_vec(),
        })
    }

    /// Whether there is a snapshot to look at.
    pub fn asked_before(&self, root: &Path) -> bool {
        self.path(root).is_file()
    }

    fn path(&self, root: &Path) -> PathBuf {
        let text = serde_json::to_string(self).unwrap_or_default();
        let digest = blake3::hash(text.as_bytes()).to_hex();
        root.join("clean")
            .join(digest.get(..16).unwrap_or_default())
    }
}

/// The program that made a snapshot: another one may plan otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Program {
    size: u64,
    inode: u64,
    mtime_ns: i64,
    ctime_ns: i64,
}

impl Program {
    fn own() -> Option<Program> {
        let Identity {
            size,
            inode,
            mtime_ns,
            ctime_ns,
            ..
        } = Identity::of(&std::fs::metadata("/proc/self/exe").ok()?);
        Some(Program {
            size,
            inode,
            mtime_ns,
            ctime_ns,
        })
    }
}

/// All but the files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Head {
    program: Program,
    question: Question,
    stages: usize,
    /// Variables of the keys.
    env: BTreeMap<String, Option<String>>,
    /// Where each tool was found on `PATH`.
    tools: BTreeMap<String, String>,
    /// Files that each pattern matched.
    globs: BTreeMap<String, Vec<String>>,
    folders: Vec<Folder>,
}

/// A folder that is an input or an output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Folder {
    path: String,
    /// An input of the user's; else a result.
    source: bool,
    digest: crate::store::Digest,
    /// Looks at the files in it.
    seen: Vec<(String, Seen)>,
    owners: Vec<u32>,
}

/// A look at a file, as it is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Seen {
    identity: (u64, u64, i64, i64, bool),
    look_ns: i64,
    digest: crate::store::Digest,
}

impl Seen {
    fn of(sighting: &Sighting) -> Seen {
        let Identity {
            size,
            inode,
            mtime_ns,
            ctime_ns,
            executable,
        } = sighting.identity;
        Seen {
            identity: (size, inode, mtime_ns, ctime_ns, executable),
            look_ns: sighting.look_ns,
            digest: sighting.digest,
        }
    }

    fn sighting(&self) -> Sighting {
        let (size, inode, mtime_ns, ctime_ns, executable) = self.identity;
        Sighting {
            identity: Identity {
                size,
                inode,
                mtime_ns,
                ctime_ns,
                executable,
            },
            look_ns: self.look_ns,
            digest: self.digest,
        }
    }
}
