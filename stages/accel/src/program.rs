//! `program.bin`: a header, the memory image (instructions, parameters, weights, tables, embeddings), and a list that
//! says which instruction computes what.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::isa::ISA_VERSION;
use crate::AccelError;

/// A program with its memory image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    pub info: ProgramInfo,
    /// Bytes of memory from word address 0 on.
    pub image: Vec<u8>,
}

/// What a program needs and what its instructions mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramInfo {
    /// Bytes of a word.
    pub lanes: usize,
    /// Word address of the first instruction.
    pub entry: u32,
    /// Words of memory in all, with cache and scratch behind the image.
    pub memory_words: u32,
    pub vocab: usize,
    /// Longest context.
    pub block: usize,
    /// Operations in order of their addresses.
    pub operations: Vec<Operation>,
}

/// A run of instructions whose results are the values of one operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// As in the integer model's trace, such as `layer 0 / norm1`; empty when the results are only temporary.
    pub name: String,
    /// Word address of the first instruction.
    pub start: u32,
    /// Results come in groups of `padded`, of which the first `real` count.
    pub real: usize,
    pub padded: usize,
}

const MAGIC: &[u8; 4] = b"NFPB";
const HEADER: usize = 16;

impl Program {
    /// Little-endian: "NFPB", version of the instruction set, length of the list, length of the image; then list (JSON) and image.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut list = serde_json::to_vec(&self.info).unwrap_or_default();
        // The image starts at a multiple of its word.
        while (list.len() + HEADER) % 16 != 0 {
            list.push(b' ');
        }
        let mut out = MAGIC.to_vec();
        for word in [ISA_VERSION, list.len() as u32, self.image.len() as u32] {
            out.extend(word.to_le_bytes());
        }
        out.extend(list);
        out.extend(&self.image);
        out
    }

    /// Writes `program.bin`.
    ///
    /// # Errors
    /// [`AccelError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), AccelError> {
        std::fs::write(path, self.to_bytes()).map_err(|error| AccelError::io(path, error))
    }

    /// Reads `program.bin`.
    ///
    /// # Errors
    /// [`AccelError::Io`] or [`AccelError::File`].
    pub fn read(path: &Path) -> Result<Self, AccelError> {
        let bytes = std::fs::read(path).map_err(|error| AccelError::io(path, error))?;
        Self::parse(&bytes).map_err(|message| AccelError::file(path, message))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let word = |at: usize| -> Result<u32, String> {
            let part = bytes.get(at..at + 4).ok_or("the file is cut off")?;
            Ok(u32::from_le_bytes([part[0], part[1], part[2], part[3]]))
        };
        if !bytes.starts_with(MAGIC) {
            return Err("this is no accelerator program".into());
        }
        let version = word(4)?;
        if version != ISA_VERSION {
            return Err(format!(
                "instruction set {version}, expected {ISA_VERSION}; run stage 'hls' again"
            ));
        }
        let (list, image) = (word(8)? as usize, word(12)? as usize);
        let text = bytes
            .get(HEADER..HEADER + list)
            .ok_or("the file is cut off")?;
        let info: ProgramInfo =
            serde_json::from_slice(text).map_err(|error| format!("operation list: {error}"))?;
        let image = bytes
            .get(HEADER + list..HEADER + list + image)
            .ok_or("the file is cut off")?
            .to_vec();
        if !(info.lanes == 8 || info.lanes == 16)
            || image.len() > info.memory_words as usize * info.lanes
        {
            return Err("lanes or memory size make no sense".into());
        }
        Ok(Self { info, image })
    }

    /// Bytes of all memory, with `fill` where the image says nothing.
    #[must_use]
    pub fn memory(&self, mut fill: impl FnMut() -> u8) -> Vec<u8> {
        let size = self.info.memory_words as usize * self.info.lanes;
        let mut memory = self.image.clone();
        memory.resize_with(size, &mut fill);
        memory
    }
}
