//! The snapshot's file: sections that are read only as far as they are needed.
//!
//! ```text
//! "nfclean3"
//! 6 × length u64                watch, lines, digests, owners, stages, frame
//! BLAKE3 of each 64 KiB of each section
//! BLAKE3 of all before it       the snapshot's name for what is noted later about it
//! watch    head: u32 length, JSON; then groups of files: folder, count, files (flags, name, identity), names end in NUL
//! lines    what the journal and `--json` get for stages that are cached, one JSON line each
//! digests  32 bytes for each file
//! owners   where each file's begin, u32, and where the last one's end; numbers of the stages that each file belongs to, u32
//! stages   where each one begins, u64, and where the last one ends; of each: JSON, who reads its outputs, its files, its line
//! frame    the flow without its stages; files that belong to every stage
//! ```
//! All numbers are little-endian.

use std::borrow::Cow;
use std::collections::HashMap;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::store::Digest;

use super::files::{put_u32, Cursor, Watched};
use super::Head;

const MAGIC: &[u8; 8] = b"nfclean3";
const SECTIONS: usize = 6;
const HEAD: usize = 8 + SECTIONS * 8;
/// What is read and checked in one go.
const CHUNK: usize = 64 << 10;

#[derive(Debug, Clone, Copy)]
pub enum Section {
    Watch,
    Lines,
    Digests,
    Owners,
    Stages,
    Frame,
}

/// All that a snapshot holds.
pub struct Whole<'a> {
    pub head: Cow<'a, Head>,
    pub files: Vec<Watched>,
    /// Of each stage.
    pub lines: Vec<Cow<'a, [u8]>>,
    pub flow: Written<'a>,
}

/// The flow of a snapshot, as it is written down.
pub struct Written<'a> {
    pub frame: Cow<'a, [u8]>,
    /// Each stage as JSON, and which ones read its outputs.
    pub stages: Vec<(Cow<'a, [u8]>, Vec<u32>)>,
}

type Sections = [Vec<u8>; SECTIONS];

impl Whole<'_> {
    fn encode(mut self) -> Sections {
        let (mut watch, mut digests, mut owners) = (Vec::new(), Vec::new(), Vec::new());
        put_head(&self.head, &mut watch);
        super::files::encode_files(&mut self.files, &mut watch);
        let mut files_of = vec![Vec::new(); self.flow.stages.len()];
        let mut every = Vec::new();
        let mut begin = 0;
        for (number, file) in (0u32..).zip(&self.files) {
            digests.extend_from_slice(&file.digest.0);
            put_u32(&mut owners, begin);
            begin += file.owners.len();
            for owner in &file.owners {
                match files_of.get_mut(*owner as usize) {
                    Some(files) => files.push(number),
                    None => every.push(number),
                }
            }
        }
        put_u32(&mut owners, begin);
        for owner in self.files.iter().flat_map(|file| &file.owners) {
            owners.extend_from_slice(&owner.to_le_bytes());
        }
        let mut lines = Vec::new();
        let (mut begins, mut records) = (Vec::new(), Vec::new());
        let table = (self.flow.stages.len() + 1) * 8;
        for (((stage, downstream), files), line) in
            self.flow.stages.iter().zip(&files_of).zip(&self.lines)
        {
            put_u64(&mut begins, table + records.len());
            put_block(&mut records, stage);
            put_words(&mut records, downstream);
            put_words(&mut records, files);
            put_u64(&mut records, lines.len());
            put_u64(&mut records, line.len());
            lines.extend_from_slice(line);
        }
        put_u64(&mut begins, table + records.len());
        begins.append(&mut records);
        let mut frame = Vec::new();
        put_block(&mut frame, &self.flow.frame);
        put_words(&mut frame, &every);
        [watch, lines, digests, owners, begins, frame]
    }

    /// Writes a whole snapshot or none. Losing it costs only time, so nothing is synced.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(self, path: &Path) -> std::io::Result<()> {
        write(path, &self.encode())
    }
}

/// The head, as the watch section begins with it.
pub fn put_head(head: &Head, out: &mut Vec<u8>) {
    // Text, numbers and maps with text as keys: this cannot fail; an empty head is read as damage.
    put_block(out, &serde_json::to_vec(head).unwrap_or_default());
}

fn put_u64(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(&(value as u64).to_le_bytes());
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

fn words(bytes: &[u8]) -> Vec<u32> {
    let words = bytes.chunks_exact(4);
    words
        .filter_map(|word| Some(u32::from_le_bytes(word.try_into().ok()?)))
        .collect()
}

/// What a snapshot says of one stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub json: Vec<u8>,
    /// Stages that read its outputs.
    pub downstream: Vec<u32>,
    /// Files that belong to it.
    pub files: Vec<u32>,
    /// Where its line stands among the lines.
    pub line: std::ops::Range<usize>,
}

/// The file, opened; parts of it are read when asked for.
#[derive(Debug)]
pub struct File {
    file: std::fs::File,
    lengths: [usize; SECTIONS],
    /// Digests of the chunks of all sections.
    checks: Vec<u8>,
    /// Digest of all these: the snapshot's name.
    pub name: Digest,
    /// Chunks that were read and are whole.
    known: Mutex<Chunks>,
}

/// By section and number.
type Chunks = HashMap<(usize, usize), Arc<[u8]>>;

fn chunks(length: usize) -> usize {
    length.div_ceil(CHUNK)
}

impl File {
    /// Opens a snapshot; `None` if there is none or it is damaged.
    pub fn open(path: &Path) -> Option<File> {
        let file = std::fs::File::open(path).ok()?;
        let mut head = vec![0u8; HEAD];
        file.read_exact_at(&mut head, 0).ok()?;
        if !head.starts_with(MAGIC) {
            return None;
        }
        let mut lengths = [0; SECTIONS];
        for (length, bytes) in lengths.iter_mut().zip(head.get(8..)?.chunks_exact(8)) {
            *length = usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()?;
        }
        let total = lengths
            .iter()
            .try_fold(0usize, |sum, length| sum.checked_add(*length))?;
        let whole = usize::try_from(file.metadata().ok()?.len()).ok()?;
        let count: usize = lengths.iter().map(|length| chunks(*length)).sum();
        if whole != total.checked_add(HEAD + 32)?.checked_add(count * 32)? {
            return None;
        }
        let mut checks = vec![0u8; count * 32 + 32];
        file.read_exact_at(&mut checks, HEAD as u64).ok()?;
        let check = checks.split_off(count * 32);
        head.extend_from_slice(&checks);
        let name = blake3::hash(&head);
        (name.as_bytes() == check.as_slice()).then(|| File {
            file,
            lengths,
            checks,
            name: Digest(*name.as_bytes()),
            known: Mutex::default(),
        })
    }

    pub fn length(&self, section: Section) -> usize {
        self.lengths.get(section as usize).copied().unwrap_or(0)
    }

    /// Place of the section in the file, and number of its first chunk.
    fn place(&self, section: Section) -> (usize, usize) {
        let before = self.lengths.iter().take(section as usize);
        let (mut place, mut first) = (HEAD + self.checks.len() + 32, 0);
        for length in before {
            place += length;
            first += chunks(*length);
        }
        (place, first)
    }

    fn is_whole(&self, number: usize, bytes: &[u8]) -> bool {
        let check = self.checks.get(number * 32..number * 32 + 32);
        check == Some(blake3::hash(bytes).as_bytes())
    }

    /// A whole section; `None` if it is damaged.
    pub fn read(&self, section: Section) -> Option<Vec<u8>> {
        self.read_in(section, Vec::new())
    }

    /// The same in memory that was used before, which costs less than to get some.
    pub fn read_in(&self, section: Section, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        use std::io::{Read, Seek, SeekFrom};
        let (place, first) = self.place(section);
        let length = self.length(section);
        bytes.clear();
        bytes.reserve_exact(length);
        // Not `read_exact_at`, before which all of the memory would have to be filled with zeros.
        let mut file = &self.file;
        file.seek(SeekFrom::Start(place as u64)).ok()?;
        file.take(length as u64).read_to_end(&mut bytes).ok()?;
        if bytes.len() != length {
            return None;
        }
        let mut numbered = (first..).zip(bytes.chunks(CHUNK));
        let whole = numbered.all(|(number, chunk)| self.is_whole(number, chunk));
        whole.then_some(bytes)
    }

    fn chunk(&self, section: Section, number: usize) -> Option<Arc<[u8]>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (section as usize, number);
        if let Some(chunk) = known.get(&key) {
            return Some(chunk.clone());
        }
        let (place, first) = self.place(section);
        let begin = number.checked_mul(CHUNK)?;
        let length = CHUNK.min(self.length(section).checked_sub(begin)?);
        let mut bytes = vec![0u8; length];
        let at = (place + begin) as u64;
        self.file.read_exact_at(&mut bytes, at).ok()?;
        if !self.is_whole(first + number, &bytes) {
            return None;
        }
        let chunk: Arc<[u8]> = bytes.into();
        known.insert(key, chunk.clone());
        Some(chunk)
    }

    /// Part of a section.
    fn part(&self, section: Section, begin: usize, length: usize) -> Option<Vec<u8>> {
        let end = begin.checked_add(length)?;
        if end > self.length(section) {
            return None;
        }
        let mut bytes = Vec::with_capacity(length);
        let mut at = begin;
        while at < end {
            let chunk = self.chunk(section, at / CHUNK)?;
            let from = at % CHUNK;
            let to = chunk.len().min(from + (end - at));
            let piece = chunk.get(from..to).filter(|piece| !piece.is_empty())?;
            bytes.extend_from_slice(piece);
            at += piece.len();
        }
        Some(bytes)
    }

    pub fn file_count(&self) -> usize {
        self.length(Section::Digests) / 32
    }

    /// Digest of a file's content.
    pub fn digest(&self, file: u32) -> Option<Digest> {
        let begin = (file as usize).checked_mul(32)?;
        let bytes = self.part(Section::Digests, begin, 32)?;
        Some(Digest(bytes.try_into().ok()?))
    }

    /// Stages that a file belongs to.
    pub fn owners(&self, file: u32) -> Option<Vec<u32>> {
        let table = self.part(Section::Owners, (file as usize).checked_mul(4)?, 8)?;
        let [begin, end] = words(&table).try_into().ok()?;
        let first = (self.file_count() + 1) * 4;
        let begin = first.checked_add((begin as usize).checked_mul(4)?)?;
        let end = first.checked_add((end as usize).checked_mul(4)?)?;
        let bytes = self.part(Section::Owners, begin, end.checked_sub(begin)?)?;
        Some(words(&bytes))
    }

    pub fn stage(&self, number: u32) -> Option<Record> {
        let table = self.part(Section::Stages, (number as usize).checked_mul(8)?, 16)?;
        let mut cursor = Cursor::new(&table);
        let (begin, end) = (cursor.size()?, cursor.size()?);
        let bytes = self.part(Section::Stages, begin, end.checked_sub(begin)?)?;
        let mut cursor = Cursor::new(&bytes);
        let json = cursor.block()?.to_vec();
        let (downstream, files) = (words(cursor.block()?), words(cursor.block()?));
        let (begin, length) = (cursor.size()?, cursor.size()?);
        Some(Record {
            json,
            downstream,
            files,
            line: begin..begin.checked_add(length)?,
        })
    }

    pub fn line(&self, record: &Record) -> Option<Vec<u8>> {
        self.part(Section::Lines, record.line.start, record.line.len())
    }

    /// The flow without its stages, as JSON, and the files that belong to every stage.
    pub fn frame(&self) -> Option<(Vec<u8>, Vec<u32>)> {
        let bytes = self.read(Section::Frame)?;
        let mut cursor = Cursor::new(&bytes);
        Some((cursor.block()?.to_vec(), words(cursor.block()?)))
    }

    /// Writes the same snapshot with another watch section.
    ///
    /// # Errors
    /// It cannot be written, or a part of it is damaged.
    pub fn rewrite(&self, path: &Path, watch: Vec<u8>) -> std::io::Result<()> {
        let read = |section| {
            let damaged = || std::io::Error::from(std::io::ErrorKind::InvalidData);
            self.read(section).ok_or_else(damaged)
        };
        let sections = [
            watch,
            read(Section::Lines)?,
            read(Section::Digests)?,
            read(Section::Owners)?,
            read(Section::Stages)?,
            read(Section::Frame)?,
        ];
        write(path, &sections)
    }
}

fn write(path: &Path, sections: &Sections) -> std::io::Result<()> {
    let mut head = Vec::with_capacity(HEAD);
    head.extend_from_slice(MAGIC);
    for section in sections {
        put_u64(&mut head, section.len());
    }
    for chunk in sections.iter().flat_map(|section| section.chunks(CHUNK)) {
        head.extend_from_slice(blake3::hash(chunk).as_bytes());
    }
    let name = blake3::hash(&head);
    head.extend_from_slice(name.as_bytes());
    let parts: Vec<&[u8]> = std::iter::once(&head)
        .chain(sections)
        .map(Vec::as_slice)
        .collect();
    replace(path, &parts)
}

/// Puts a file in another's place, whole or not at all.
///
/// # Errors
/// The folder cannot be written.
pub fn replace(path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    use std::io::Write;
    if let Some(folder) = path.parent() {
        crate::store::make_folder(folder)?;
    }
    let temporary = path.with_extension(std::process::id().to_string());
    let written = (|| {
        let mut file = std::fs::File::create(&temporary)?;
        for part in parts {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::snapshot::files::{Flags, EVERY_STAGE};
    use crate::exec::snapshot::{Program, Question};

    fn head() -> Head {
        Head {
            program: Program {
                size: 1,
                inode: 2,
                mtime_ns: 3,
                ctime_ns: 4,
            },
            question: Question {
                file: "flow.yaml".into(),
                profiles: Vec::new(),
                settings: Vec::new(),
                words: Vec::new(),
            },
            stages: 2,
            env: Default::default(),
            tools: Default::default(),
            globs: Default::default(),
            folders: Vec::new(),
        }
    }

    fn file(path: &str, digest: u8, owners: &[u32]) -> Watched {
        Watched {
            path: path.into(),
            flags: Flags::of(4),
            identity: Default::default(),
            digest: Digest([digest; 32]),
            owners: owners.to_vec(),
        }
    }

    /// Two stages, one of them longer than a chunk.
    fn write_one(path: &Path) -> Vec<u8> {
        let long = vec![b'x'; CHUNK * 2 + 7];
        let whole = Whole {
            head: Cow::Owned(head()),
            files: vec![
                file("b", 2, &[1, 0]),
                file("a", 1, &[EVERY_STAGE]),
                file("c", 3, &[1]),
            ],
            lines: vec![b"one\n"[..].into(), b"other\n"[..].into()],
            flow: Written {
                frame: b"frame"[..].into(),
                stages: vec![
                    (long.clone().into(), vec![1]),
                    (b"short"[..].into(), Vec::new()),
                ],
            },
        };
        whole.write(path).expect("a snapshot");
        long
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("snapshot");
        let long = write_one(&path);
        let file = File::open(&path).expect("a snapshot");
        assert_eq!(file.file_count(), 3);
        // By path: a, b, c.
        let digests = [0, 1, 2].map(|number| file.digest(number));
        assert_eq!(digests, [1, 2, 3].map(|byte| Some(Digest([byte; 32]))));
        assert_eq!(file.owners(0), Some(vec![EVERY_STAGE]));
        assert_eq!(file.owners(1), Some(vec![1, 0]));
        assert_eq!(file.owners(3), None);
        let [one, two] = [0, 1].map(|number| file.stage(number).expect("a stage"));
        assert_eq!(
            (one.json, one.downstream, one.files),
            (long, vec![1], vec![1])
        );
        assert_eq!(
            (two.json.as_slice(), &two.files),
            (&b"short"[..], &vec![1, 2])
        );
        assert_eq!(file.line(&two).as_deref(), Some(&b"other\n"[..]));
        assert_eq!(file.stage(2), None);
        assert_eq!(file.frame(), Some((b"frame".to_vec(), vec![0])));
    }

    /// Wherever a byte is spoilt, what is read is right or nothing.
    #[test]
    fn a_spoilt_byte_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("snapshot");
        write_one(&path);
        let good = std::fs::read(&path).expect("bytes");
        let read = |path: &Path| -> Option<[Option<Vec<u8>>; 6]> {
            let file = File::open(path)?;
            let sections = [
                Section::Watch,
                Section::Lines,
                Section::Digests,
                Section::Owners,
                Section::Stages,
                Section::Frame,
            ];
            Some(sections.map(|section| file.read(section)))
        };
        let all = read(&path).expect("whole");
        for at in (0..good.len()).step_by(61) {
            let mut bad = good.clone();
            bad[at] ^= 0x20;
            std::fs::write(&path, &bad).expect("spoilt");
            if let Some(sections) = read(&path) {
                let missing = sections.iter().filter(|section| section.is_none()).count();
                assert_eq!(missing, 1, "byte {at}");
                let same = sections.iter().zip(&all);
                let same = same.filter(|(read, good)| read.is_some() && read == good);
                assert_eq!(same.count(), 5, "byte {at}");
            }
        }
        std::fs::write(&path, &good[..good.len() - 1]).expect("cut");
        assert!(File::open(&path).is_none());
    }
}
