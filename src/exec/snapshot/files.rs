//! The files that a snapshot watches, as its watch section holds them: by folder, so that each folder is opened once.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::store::{Digest, Identity, Kind};

/// A file belongs to stages, or to all of them.
pub const EVERY_STAGE: u32 = u32::MAX;

/// What of the file system's word on a file is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags {
    /// A link stands for the file that it leads to.
    pub follow: bool,
    pub executable: bool,
    /// The same identity means the same content.
    pub trusted: bool,
    /// The listing of a folder in the object store.
    pub listing: bool,
}

impl Flags {
    pub fn byte(self) -> u8 {
        [self.follow, self.executable, self.trusted, self.listing]
            .into_iter()
            .enumerate()
            .fold(0, |byte, (bit, on)| byte | u8::from(on) << bit)
    }

    pub fn of(byte: u8) -> Flags {
        Flags {
            follow: byte & 1 != 0,
            executable: byte & 2 != 0,
            trusted: byte & 4 != 0,
            listing: byte & 8 != 0,
        }
    }

    /// What the file's digest is taken of.
    pub fn kind(self) -> Kind {
        match self {
            Flags { listing: true, .. } => Kind::Directory,
            Flags {
                executable: true, ..
            } => Kind::Executable,
            _ => Kind::File,
        }
    }
}

/// One file that results depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Relative to the flow file's folder if it is below it.
    pub path: PathBuf,
    pub flags: Flags,
    /// Zero if it was never looked at.
    pub identity: Identity,
    pub digest: Digest,
    pub owners: Vec<u32>,
}

impl Watched {
    /// Belongs to these stages too.
    pub fn own(&mut self, stages: &[u32]) {
        self.owners.extend(stages);
        self.owners.sort_unstable();
        self.owners.dedup();
    }

    /// The same file, which no stage needs.
    pub fn of_none(mut self) -> Watched {
        self.owners.clear();
        self
    }
}

/// Puts the files in the order of the snapshot, by folder, and writes them down.
pub fn encode_files(files: &mut Vec<Watched>, out: &mut Vec<u8>) {
    let mut count: HashMap<&[u8], usize> = HashMap::new();
    for file in files.iter() {
        *count.entry(parent(bytes(file))).or_default() += 1;
    }
    // A folder of few files is not worth opening: its files stand under the folder above it.
    let length = |file: &Watched| {
        let own = parent(bytes(file));
        match count.get(own) {
            Some(count) if *count >= FEW => own.len(),
            _ => parent(own).len(),
        }
    };
    let lengths: Vec<usize> = files.iter().map(length).collect();
    let mut keyed: Vec<(usize, Watched)> = lengths.into_iter().zip(files.drain(..)).collect();
    // Bytes are compared, not parts of paths: that is many times as fast, and any order will do.
    keyed.sort_by(|(length, file), (other_length, other)| {
        let (path, other_path) = (bytes(file), bytes(other));
        let folders = path[..*length].cmp(&other_path[..*other_length]);
        let files = || path.cmp(other_path);
        let links = || file.flags.follow.cmp(&other.flags.follow);
        folders.then_with(files).then_with(links)
    });
    let groups: Vec<&[(usize, Watched)]> = keyed
        .chunk_by(|(length, file), (other_length, other)| {
            bytes(file)[..*length] == bytes(other)[..*other_length]
        })
        .collect();
    put_u32(out, groups.len());
    for group in groups {
        let folder = group
            .first()
            .map_or(&[][..], |(length, file)| &bytes(file)[..*length]);
        put_name(out, folder);
        put_u32(out, group.len());
        for (length, file) in group {
            out.push(file.flags.byte());
            // Relative to the folder; without one it is the whole path, which may be absolute.
            let mut name = &bytes(file)[*length..];
            while let (false, Some(rest)) = (*length == 0, name.strip_prefix(b"/")) {
                name = rest;
            }
            put_name(out, name);
            put_identity(out, &file.identity);
        }
    }
    files.extend(keyed.into_iter().map(|(_, file)| file));
}

fn bytes(file: &Watched) -> &[u8] {
    file.path.as_os_str().as_bytes()
}

/// What stands before the last slash.
fn parent(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|byte| *byte == b'/');
    &path[..slash.unwrap_or(0)]
}

/// Fewer files than this are not worth a folder of their own.
const FEW: usize = 4;

pub fn put_u32(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_name(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len() + 1);
    out.extend_from_slice(bytes);
    out.push(0);
}

pub fn put_identity(out: &mut Vec<u8>, identity: &Identity) {
    out.extend_from_slice(&identity.size.to_le_bytes());
    out.extend_from_slice(&identity.inode.to_le_bytes());
    out.extend_from_slice(&identity.mtime_ns.to_le_bytes());
    out.extend_from_slice(&identity.ctime_ns.to_le_bytes());
}

/// Reads the watch section from front to back.
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// One file as it stands in the section.
pub struct Entry<'a> {
    pub flags: Flags,
    pub name: &'a CStr,
    pub identity: Identity,
    /// Where its flags and identity stand.
    pub flags_at: usize,
    pub identity_at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, at: 0 }
    }

    /// From this byte on.
    pub fn at_place(bytes: &'a [u8], at: usize) -> Cursor<'a> {
        Cursor { bytes, at }
    }

    pub fn at(&self) -> usize {
        self.at
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    pub fn number(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn long(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    /// A number of 64 bits that counts bytes.
    pub fn size(&mut self) -> Option<usize> {
        usize::try_from(self.long()?).ok()
    }

    /// A length and that many bytes.
    pub fn block(&mut self) -> Option<&'a [u8]> {
        let length = self.number()? as usize;
        self.take(length)
    }

    pub fn name(&mut self) -> Option<&'a CStr> {
        CStr::from_bytes_with_nul(self.block()?).ok()
    }

    pub fn entry(&mut self) -> Option<Entry<'a>> {
        let flags_at = self.at;
        let flags = Flags::of(*self.take(1)?.first()?);
        let name = self.name()?;
        let identity_at = self.at;
        let identity = Identity {
            size: self.long()?,
            inode: self.long()?,
            mtime_ns: self.long()? as i64,
            ctime_ns: self.long()? as i64,
            executable: flags.executable,
        };
        Some(Entry {
            flags,
            name,
            identity,
            flags_at,
            identity_at,
        })
    }
}

/// Writes down a later look at a file.
pub fn patch(watch: &mut [u8], flags_at: usize, identity_at: usize, flags: Flags, seen: &Identity) {
    if let Some(byte) = watch.get_mut(flags_at) {
        *byte = flags.byte();
    }
    let mut bytes = Vec::with_capacity(32);
    put_identity(&mut bytes, seen);
    if let Some(place) = watch.get_mut(identity_at..identity_at + bytes.len()) {
        place.copy_from_slice(&bytes);
    }
}
