//! BLAKE3 of a large file on all processors. BLAKE3 is a tree, so pieces are read and hashed side by side and joined; the digest
//! is the same as from front to back. Nothing is mapped into memory: a file that is cut short meanwhile is an error, not a signal.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;

use blake3::hazmat::{
    hash_derive_key_context, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
    ChainingValue, ContextKey, HasherExt, Mode,
};

use super::digest::{context, Digest, Kind};

/// Files of this size are worth more than one thread.
pub const LARGE: u64 = 4 << 20;
/// What one thread reads and hashes at a time; it fits into a second-level cache.
const PIECE: u64 = 512 << 10;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Tree<'a> {
    file: &'a File,
    key: Option<ContextKey>,
}

/// Digest of the first `length` bytes, of which there are more than a piece.
///
/// # Errors
/// The file cannot be read or has become shorter.
pub fn hash(kind: Kind, file: &File, length: u64) -> std::io::Result<Digest> {
    let tree = Tree {
        file,
        key: context(kind).map(hash_derive_key_context),
    };
    let middle = left_subtree_len(length);
    let (left, right) = rayon::join(
        || tree.part(0, middle),
        || tree.part(middle, length - middle),
    );
    let root = merge_subtrees_root(&left?, &right?, tree.mode());
    Ok(Digest(*root.as_bytes()))
}

impl Tree<'_> {
    fn mode(&self) -> Mode<'_> {
        match &self.key {
            Some(key) => Mode::DeriveKeyMaterial(key),
            None => Mode::Hash,
        }
    }

    fn part(&self, start: u64, length: u64) -> std::io::Result<ChainingValue> {
        if length > PIECE {
            let middle = left_subtree_len(length);
            let (left, right) = rayon::join(
                || self.part(start, middle),
                || self.part(start + middle, length - middle),
            );
            return Ok(merge_subtrees_non_root(&left?, &right?, self.mode()));
        }
        BUFFER.with_borrow_mut(|buffer| {
            buffer.resize(PIECE as usize, 0);
            let piece = &mut buffer[..length as usize];
            self.file.read_exact_at(piece, start)?;
            let mut hasher = match &self.key {
                Some(key) => blake3::Hasher::new_from_context_key(key),
                None => blake3::Hasher::new(),
            };
            hasher.set_input_offset(start);
            Ok(hasher.update(piece).finalize_non_root())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::digest::hash_bytes;
    use std::io::Write;

    #[test]
    fn side_by_side_is_front_to_back() {
        let mut bytes = Vec::new();
        for number in 0..700_000u32 {
            bytes.extend_from_slice(&number.wrapping_mul(2_654_435_761).to_le_bytes());
        }
        for length in [PIECE + 1, 2 * PIECE, 2 * PIECE + 1023, 2_700_001] {
            let mut file = tempfile::tempfile().expect("a file");
            let content = &bytes[..length as usize];
            file.write_all(content).expect("written");
            for kind in [Kind::File, Kind::Executable] {
                let digest = hash(kind, &file, length).expect("hashed");
                assert_eq!(digest, hash_bytes(kind, content), "{kind:?} {length}");
            }
            assert!(
                hash(Kind::File, &file, length + 1).is_err(),
                "cut short at {length}"
            );
        }
    }
}
