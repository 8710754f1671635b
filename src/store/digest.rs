//! Content digests.

use std::cell::RefCell;
use std::fmt;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::parallel;

/// What a digest was taken of. The kinds have separate digests for the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Plain BLAKE3, as `b3sum` prints it.
    File,
    /// A file with the executable bit.
    Executable,
    /// The listing of a directory.
    Directory,
}

/// BLAKE3 digest of content, written `b3:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    /// Reads `b3:…` or bare hexadecimal digits.
    pub fn parse(text: &str) -> Option<Digest> {
        let hex = text.strip_prefix("b3:").unwrap_or(text);
        blake3::Hash::from_hex(hex)
            .ok()
            .map(|hash| Digest(*hash.as_bytes()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b3:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Digest::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("'{text}' is no digest")))
    }
}

/// What separates the digests of kinds; plain files have none.
pub(super) fn context(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::File => None,
        Kind::Executable => Some("nanoflow 1 executable file"),
        Kind::Directory => Some("nanoflow 1 directory listing"),
    }
}

/// A hasher for content of this kind.
pub fn hasher(kind: Kind) -> blake3::Hasher {
    context(kind).map_or_else(blake3::Hasher::new, blake3::Hasher::new_derive_key)
}

pub fn hash_bytes(kind: Kind, bytes: &[u8]) -> Digest {
    let mut hasher = hasher(kind);
    hasher.update(bytes);
    Digest(*hasher.finalize().as_bytes())
}

/// Digest of a file's content as it is now.
pub fn hash_file(kind: Kind, path: &Path) -> std::io::Result<Digest> {
    let mut file = std::fs::File::open(path)?;
    let found = file.metadata()?;
    if found.is_file() && found.len() >= parallel::LARGE {
        return parallel::hash(kind, &file, found.len());
    }
    copy_hashed(kind, &mut file, None)
}

thread_local! {
    /// Small files come in thousands: each thread has one buffer for all of them.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Reads all of `from`, writes it to `to` if given, and returns the digest.
pub fn copy_hashed(
    kind: Kind,
    from: &mut impl Read,
    mut to: Option<&mut std::fs::File>,
) -> std::io::Result<Digest> {
    use std::io::Write;
    let mut hasher = hasher(kind);
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(128 << 10, 0);
        loop {
            let count = match from.read(buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let bytes = &buffer[..count];
            hasher.update(bytes);
            if let Some(file) = to.as_deref_mut() {
                file.write_all(bytes)?;
            }
        }
        Ok(Digest(*hasher.finalize().as_bytes()))
    })
}
