//! BLAKE3 of a large file on all processors. BLAKE3 is a tree, so pieces are hashed side by side and joined; the digest is the
//! same as from front to back. What is in memory is hashed there, all else is read; either way a file that is cut short
//! meanwhile is an error.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;

use blake3::hazmat::{
    hash_derive_key_context, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
    ChainingValue, ContextKey, HasherExt, Mode,
};

use super::digest::{context, Digest, Kind};
use super::mapped;

/// Files of this size are worth more than one thread.
pub const LARGE: u64 = 4 << 20;
/// What one thread maps and hashes at a time. More of it would leave one thread without work at the end, and less of it means
/// more system calls that stop all threads for a moment.
const MAPPED: u64 = 4 << 20;
/// What one thread reads and hashes at a time; it fits into a second-level cache.
const PIECE: u64 = 512 << 10;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Tree<'a> {
    file: &'a File,
    key: Option<ContextKey>,
    /// Whether it may be mapped.
    suits: bool,
}

/// Digest of the first `length` bytes, of which there are more than a piece.
///
/// # Errors
/// The file cannot be read or has become shorter.
pub fn hash(kind: Kind, file: &File, length: u64) -> std::io::Result<Digest> {
    let tree = Tree {
        file,
        key: context(kind).map(hash_derive_key_context),
        suits: mapped::suits(&file.metadata()?),
    };
    tree.whole(length)
}

impl Tree<'_> {
    fn mode(&self) -> Mode<'_> {
        match &self.key {
            Some(key) => Mode::DeriveKeyMaterial(key),
            None => Mode::Hash,
        }
    }

    fn whole(&self, length: u64) -> std::io::Result<Digest> {
        let middle = left_subtree_len(length);
        let (left, right) = rayon::join(
            || self.part(0, middle),
            || self.part(middle, length - middle),
        );
        let root = merge_subtrees_root(&left?, &right?, self.mode());
        Ok(Digest(*root.as_bytes()))
    }

    /// Chaining value of a part, of pieces that are mapped if they can be.
    fn part(&self, start: u64, length: u64) -> std::io::Result<ChainingValue> {
        if length > MAPPED && self.suits {
            return self.halves(start, length, Tree::part);
        }
        let found = match usize::try_from(length) {
            Ok(length) if self.suits => {
                mapped::look(self.file, start, length, |bytes| self.hashed(start, bytes))
            }
            _ => None,
        };
        found.map_or_else(|| self.copied(start, length), Ok)
    }

    /// The same of pieces that are read.
    fn copied(&self, start: u64, length: u64) -> std::io::Result<ChainingValue> {
        if length > PIECE {
            return self.halves(start, length, Tree::copied);
        }
        BUFFER.with_borrow_mut(|buffer| {
            buffer.resize(PIECE as usize, 0);
            let piece = &mut buffer[..length as usize];
            self.file.read_exact_at(piece, start)?;
            Ok(self.hashed(start, piece))
        })
    }

    fn halves(
        &self,
        start: u64,
        length: u64,
        way: fn(&Self, u64, u64) -> std::io::Result<ChainingValue>,
    ) -> std::io::Result<ChainingValue> {
        let middle = left_subtree_len(length);
        let (left, right) = rayon::join(
            || way(self, start, middle),
            || way(self, start + middle, length - middle),
        );
        Ok(merge_subtrees_non_root(&left?, &right?, self.mode()))
    }

    fn hashed(&self, start: u64, bytes: &[u8]) -> ChainingValue {
        let mut hasher = match &self.key {
            Some(key) => blake3::Hasher::new_from_context_key(key),
            None => blake3::Hasher::new(),
        };
        hasher.set_input_offset(start);
        hasher.update(bytes).finalize_non_root()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::digest::hash_bytes;
    use crate::store::mapped::tests::file;
    use std::time::{Duration, Instant};

    fn content(length: u64) -> Vec<u8> {
        let numbers = 0..(length as u32).div_ceil(4);
        let mut bytes: Vec<u8> = numbers
            .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        bytes.truncate(length as usize);
        bytes
    }

    #[test]
    fn side_by_side_is_front_to_back() {
        let bytes = content(3 * MAPPED);
        let lengths = [
            PIECE + 1,
            2 * PIECE,
            2 * PIECE + 1023,
            2_700_001,
            MAPPED - 1,
            MAPPED,
            MAPPED + 1,
            2 * MAPPED - 1,
            2 * MAPPED,
            2 * MAPPED + 1,
            2 * MAPPED + PIECE + 4097,
        ];
        for length in lengths {
            let content = &bytes[..length as usize];
            let (_named, file) = file(content);
            for kind in [Kind::File, Kind::Executable] {
                let digest = hash(kind, &file, length).expect("hashed");
                assert_eq!(digest, hash_bytes(kind, content), "{kind:?} {length}");
                let tree = Tree {
                    file: &file,
                    key: context(kind).map(hash_derive_key_context),
                    suits: false,
                };
                let read = tree.whole(length).expect("hashed");
                assert_eq!(read, digest, "{kind:?} {length}");
            }
            assert!(
                hash(Kind::File, &file, length + 1).is_err(),
                "cut short at {length}"
            );
        }
    }

    #[test]
    fn holes_are_zeros() {
        let length = 2 * MAPPED + 1;
        let (named, file) = file(&[1]);
        named.as_file().set_len(length).expect("a hole");
        let mut bytes = vec![0; length as usize];
        bytes[0] = 1;
        let digest = hash(Kind::File, &file, length).expect("hashed");
        assert_eq!(digest, hash_bytes(Kind::File, &bytes));
    }

    /// Whenever the file is cut, it is either hashed before or an error.
    #[test]
    fn no_file_is_cut_without_notice() {
        let length = 4 * MAPPED;
        let bytes = content(length);
        let whole = hash_bytes(Kind::File, &bytes);
        let (named, file) = file(&bytes);
        let started = Instant::now();
        hash(Kind::File, &file, length).expect("hashed");
        let takes = started.elapsed();
        let mut cuts = 0;
        for round in 0..24u32 {
            std::fs::write(named.path(), &bytes).expect("written");
            let found = std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(takes * round / 24 + Duration::from_micros(20));
                    let left = length / 24 * u64::from(round * 7 % 24) + 1;
                    named.as_file().set_len(left).expect("cut");
                });
                hash(Kind::File, &file, length)
            });
            match found {
                Ok(digest) => assert_eq!(digest, whole, "round {round}"),
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
                    cuts += 1;
                }
            }
        }
        assert!(cuts > 0, "none was cut while it was hashed");
    }
}
