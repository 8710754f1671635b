//! Directories as content: a listing of names, kinds and digests.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::digest::{hash_bytes, Digest, Kind};
use super::stat::StatCache;

/// What a path holds.
#[derive(Debug, Clone)]
pub struct Content {
    pub digest: Digest,
    pub kind: Kind,
    pub bytes: u64,
    /// The listing, for a directory.
    pub tree: Option<Tree>,
}

/// A directory's listing, ordered by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tree {
    pub entries: Vec<TreeEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum TreeEntry {
    File {
        path: String,
        digest: Digest,
        bytes: u64,
    },
    Executable {
        path: String,
        digest: Digest,
        bytes: u64,
    },
    /// A link that stays inside the directory.
    Link { path: String, target: String },
    /// Listed only when empty.
    Directory { path: String },
}

impl TreeEntry {
    pub fn path(&self) -> &str {
        match self {
            TreeEntry::File { path, .. }
            | TreeEntry::Executable { path, .. }
            | TreeEntry::Link { path, .. }
            | TreeEntry::Directory { path } => path,
        }
    }

    /// The file's digest and kind, if it is a file.
    pub fn file(&self) -> Option<(Digest, Kind)> {
        match self {
            TreeEntry::File { digest, .. } => Some((*digest, Kind::File)),
            TreeEntry::Executable { digest, .. } => Some((*digest, Kind::Executable)),
            _ => None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error("{path}: {source}", path = path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} is a symbolic link to '{target}', which is outside the directory", path = path.display(), target = target.display())]
    OutsideLink { path: PathBuf, target: PathBuf },
    #[error("{path} is neither a file, a directory nor a link", path = path.display())]
    Special { path: PathBuf },
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> TreeError + '_ {
    move |source| TreeError::Io {
        path: path.to_path_buf(),
        source,
    }
}

impl Tree {
    /// The listing as it is stored and hashed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = b"nanoflow directory 1\n".to_vec();
        for entry in &self.entries {
            // Strings and numbers only: this cannot fail.
            out.extend(serde_json::to_vec(entry).unwrap_or_default());
            out.push(b'\n');
        }
        out
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Tree> {
        let text = std::str::from_utf8(bytes)
            .ok()?
            .strip_prefix("nanoflow directory 1\n")?;
        let entries = text
            .lines()
            .map(|line| serde_json::from_str(line).ok())
            .collect::<Option<Vec<_>>>()?;
        Some(Tree { entries })
    }

    /// Sum of the files' sizes.
    pub fn bytes(&self) -> u64 {
        let size = |entry: &TreeEntry| match entry {
            TreeEntry::File { bytes, .. } | TreeEntry::Executable { bytes, .. } => *bytes,
            _ => 0,
        };
        self.entries.iter().map(size).sum()
    }

    pub fn digest(&self) -> Digest {
        hash_bytes(Kind::Directory, &self.to_bytes())
    }
}

/// How links that leave a directory are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// An output: such a link is an error.
    Inside,
    /// A source of the user's: a link to a file elsewhere is that file.
    Follow,
}

/// Digest of a file or a whole directory. `skip` are folders that do not count.
///
/// # Errors
/// Something cannot be read, or is no content.
pub fn content(
    stat: &StatCache,
    path: &Path,
    links: Links,
    skip: &[PathBuf],
) -> Result<Content, TreeError> {
    let found = path.metadata().map_err(io(path))?;
    if found.is_file() {
        let (digest, kind, bytes) = stat.digest(path).map_err(io(path))?;
        return Ok(Content {
            digest,
            kind,
            bytes,
            tree: None,
        });
    }
    if !found.is_dir() {
        return Err(TreeError::Special {
            path: path.to_path_buf(),
        });
    }
    let mut entries = Vec::new();
    walk(stat, path, Path::new(""), links, skip, &mut entries)?;
    entries.sort_by(|a, b| a.path().cmp(b.path()));
    let tree = Tree { entries };
    Ok(Content {
        digest: tree.digest(),
        kind: Kind::Directory,
        bytes: tree.bytes(),
        tree: Some(tree),
    })
}

fn walk(
    stat: &StatCache,
    root: &Path,
    below: &Path,
    links: Links,
    skip: &[PathBuf],
    entries: &mut Vec<TreeEntry>,
) -> Result<(), TreeError> {
    let folder = root.join(below);
    for entry in std::fs::read_dir(&folder).map_err(io(&folder))? {
        let entry = entry.map_err(io(&folder))?;
        let relative = below.join(entry.file_name());
        let path = entry.path();
        if skip.contains(&path) {
            continue;
        }
        let name = encode_path(&relative);
        let kind = entry.file_type().map_err(io(&path))?;
        if kind.is_dir() {
            let before = entries.len();
            walk(stat, root, &relative, links, skip, entries)?;
            if entries.len() == before {
                entries.push(TreeEntry::Directory { path: name });
            }
            continue;
        }
        if kind.is_symlink() {
            let target = std::fs::read_link(&path).map_err(io(&path))?;
            if stays_inside(below, &target) && leads_inside(root, &path) {
                entries.push(TreeEntry::Link {
                    path: name,
                    target: encode_path(&target),
                });
                continue;
            }
            let to_file =
                links == Links::Follow && path.metadata().is_ok_and(|found| found.is_file());
            if !to_file {
                return Err(TreeError::OutsideLink { path, target });
            }
        } else if !kind.is_file() {
            return Err(TreeError::Special { path });
        }
        let (digest, kind, bytes) = stat.digest(&path).map_err(io(&path))?;
        entries.push(match kind {
            Kind::Executable => TreeEntry::Executable {
                path: name,
                digest,
                bytes,
            },
            _ => TreeEntry::File {
                path: name,
                digest,
                bytes,
            },
        });
    }
    Ok(())
}

/// Whether a link in the folder `below` (relative to the directory) leads to something in the directory.
fn stays_inside(below: &Path, target: &Path) -> bool {
    let mut depth = below.components().count();
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return false,
            },
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

/// Whether a link that leads to something leads to something in the directory, whatever links there are on the way.
fn leads_inside(root: &Path, link: &Path) -> bool {
    match (link.canonicalize(), root.canonicalize()) {
        (Ok(end), Ok(root)) => end.starts_with(root),
        // It leads nowhere.
        _ => true,
    }
}

/// A path as text without loss: bytes that are no UTF-8 as `\xNN`, a backslash as `\\`.
pub fn encode_path(path: &Path) -> String {
    let mut out = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// A path as people and commands see it: itself, or escaped if it is no UTF-8.
pub fn show_path(path: &Path) -> String {
    path.to_str()
        .map_or_else(|| encode_path(path), str::to_string)
}

/// The path that [`encode_path`] wrote.
pub fn decode_path(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        if *byte != b'\\' {
            bytes.push(*byte);
            rest = after;
        } else if let Some(after) = after.strip_prefix(b"\\") {
            bytes.push(b'\\');
            rest = after;
        } else {
            let hex = after
                .get(1..3)
                .and_then(|hex| std::str::from_utf8(hex).ok());
            bytes.extend(hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()));
            rest = after.get(3..).unwrap_or_default();
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}
