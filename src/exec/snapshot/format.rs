//! The snapshot's file: sections that are read only when they are needed, each with a digest of its own.
//!
//! ```text
//! "nfclean1"
//! 3 × (length u64, BLAKE3)      watch, lines, rest
//! BLAKE3 of all before it
//! watch   head: u32 length, JSON; then groups of files: folder, count, files (flags, name, identity), names end in NUL
//! lines   what the journal and `--json` get for stages that are cached, one JSON line each
//! rest    digests of the files, numbers of the stages that each belongs to; the flow's frame and stages, who reads whose outputs
//! ```
//! All numbers are little-endian.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::store::{Digest, Identity, Kind};

const MAGIC: &[u8; 8] = b"nfclean1";
const SECTIONS: usize = 3;
const HEAD: usize = 8 + SECTIONS * 40 + 32;

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
    fn byte(self) -> u8 {
        [self.follow, self.executable, self.trusted, self.listing]
            .into_iter()
            .enumerate()
            .fold(0, |byte, (bit, on)| byte | u8::from(on) << bit)
    }

    fn of(byte: u8) -> Flags {
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

fn put_u32(out: &mut Vec<u8>, value: usize) {
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

/// What of a snapshot is not needed to see that nothing changed.
pub struct Rest<'a> {
    digests: &'a [u8],
    /// Stages that each watched file belongs to.
    owners: Vec<&'a [u8]>,
    /// The flow without its stages, as JSON.
    pub frame: &'a [u8],
    /// Each stage as JSON.
    pub stages: Vec<&'a [u8]>,
    /// Stages that read each one's outputs.
    downstream: Vec<&'a [u8]>,
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes
        .chunks_exact(4)
        .filter_map(|word| Some(u32::from_le_bytes(word.try_into().ok()?)))
}

impl<'a> Rest<'a> {
    pub fn decode(bytes: &'a [u8]) -> Option<Rest<'a>> {
        let mut cursor = Cursor::new(bytes);
        let count = cursor.number()? as usize;
        let digests = cursor.take(count.checked_mul(32)?)?;
        let owners = (0..count).map(|_| cursor.block());
        let owners = owners.collect::<Option<Vec<_>>>()?;
        let frame = cursor.block()?;
        let count = cursor.number()? as usize;
        let (mut stages, mut downstream) = (Vec::new(), Vec::new());
        for _ in 0..count {
            stages.push(cursor.block()?);
            downstream.push(cursor.block()?);
        }
        Some(Rest {
            digests,
            owners,
            frame,
            stages,
            downstream,
        })
    }

    pub fn digest(&self, file: usize) -> Option<Digest> {
        let start = file.checked_mul(32)?;
        let bytes = self.digests.get(start..start.checked_add(32)?)?;
        Some(Digest(bytes.try_into().ok()?))
    }

    pub fn owners(&self, file: usize) -> impl Iterator<Item = u32> + 'a {
        words(self.owners.get(file).copied().unwrap_or_default())
    }

    pub fn downstream(&self, stage: u32) -> impl Iterator<Item = u32> + 'a {
        words(
            self.downstream
                .get(stage as usize)
                .copied()
                .unwrap_or_default(),
        )
    }
}

/// The flow of a snapshot, as it is written down.
pub struct Written<'a> {
    pub frame: Vec<u8>,
    /// Each stage as JSON, and which ones read its outputs.
    pub stages: Vec<(std::borrow::Cow<'a, [u8]>, Vec<u32>)>,
}

/// The rest of a snapshot of these files, in the order in which [`encode_files`] left them.
pub fn encode_rest(files: &[Watched], flow: &Written<'_>, out: &mut Vec<u8>) {
    put_u32(out, files.len());
    for file in files {
        out.extend_from_slice(&file.digest.0);
    }
    for file in files {
        put_words(out, &file.owners);
    }
    put_block(out, &flow.frame);
    put_u32(out, flow.stages.len());
    for (stage, downstream) in &flow.stages {
        put_block(out, stage);
        put_words(out, downstream);
    }
}

fn put_block(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_words(out: &mut Vec<u8>, words: &[u32]) {
    put_u32(out, words.len() * 4);
    for word in words {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

/// The file, opened; sections are read when asked for.
pub struct File {
    file: std::fs::File,
    sections: [(u64, [u8; 32]); SECTIONS],
}

#[derive(Debug, Clone, Copy)]
pub enum Section {
    Watch,
    Lines,
    Rest,
}

impl File {
    /// Opens a snapshot; `None` if there is none or it is damaged.
    pub fn open(path: &Path) -> Option<File> {
        use std::io::Read;
        let mut file = std::fs::File::open(path).ok()?;
        let mut head = [0u8; HEAD];
        file.read_exact(&mut head).ok()?;
        let (content, check) = head.split_at(HEAD - 32);
        if blake3::hash(content).as_bytes() != check || !content.starts_with(MAGIC) {
            return None;
        }
        let mut sections = [(0u64, [0u8; 32]); SECTIONS];
        for (section, bytes) in sections.iter_mut().zip(content.get(8..)?.chunks_exact(40)) {
            let (length, digest) = bytes.split_at(8);
            *section = (
                u64::from_le_bytes(length.try_into().ok()?),
                digest.try_into().ok()?,
            );
        }
        Some(File { file, sections })
    }

    pub fn read(&self, section: Section) -> Option<Vec<u8>> {
        use std::os::unix::fs::FileExt;
        let number = section as usize;
        let start: u64 = self
            .sections
            .iter()
            .take(number)
            .map(|(length, _)| length)
            .sum();
        let (length, digest) = self.sections.get(number)?;
        if start.checked_add(*length)? > self.file.metadata().ok()?.len() {
            return None;
        }
        let mut bytes = vec![0u8; usize::try_from(*length).ok()?];
        self.file
            .read_exact_at(&mut bytes, HEAD as u64 + start)
            .ok()?;
        (blake3::hash(&bytes).as_bytes() == digest).then_some(bytes)
    }
}

/// Writes a whole snapshot or none. Losing it costs only time, so nothing is synced.
pub fn write(path: &Path, watch: &[u8], lines: &[u8], rest: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let mut head = Vec::with_capacity(HEAD);
    head.extend_from_slice(MAGIC);
    for section in [watch, lines, rest] {
        head.extend_from_slice(&(section.len() as u64).to_le_bytes());
        head.extend_from_slice(blake3::hash(section).as_bytes());
    }
    let check = blake3::hash(&head);
    head.extend_from_slice(check.as_bytes());
    if let Some(folder) = path.parent() {
        crate::store::make_folder(folder)?;
    }
    let temporary = path.with_extension(std::process::id().to_string());
    let written = (|| {
        let mut file = std::fs::File::create(&temporary)?;
        for part in [&head, watch, lines, rest] {
            file.write_all(part)?;
        }
        crate::store::make_way(path)?;
        std::fs::rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}
