//! Token files as nanoGPT writes them (little-endian u16, no header) and batches drawn from them.

use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{ModelConfig, ModelError};

/// Sequences one after the other: inputs and, shifted by one, the tokens to predict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub inputs: Vec<u16>,
    pub targets: Vec<u16>,
}

/// Reads a token file and checks it against the model.
///
/// # Errors
/// When it cannot be read, has an odd length, a token past the vocabulary, or fewer than `block + 1` tokens.
pub fn read_tokens(path: &Path, config: &ModelConfig) -> Result<Vec<u16>, ModelError> {
    let bytes = std::fs::read(path).map_err(|error| ModelError::io(path, error))?;
    if bytes.len() % 2 != 0 {
        return Err(ModelError::file(
            path,
            "an odd number of bytes: not a file of 16-bit tokens",
        ));
    }
    let tokens: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    if let Some(position) = tokens
        .iter()
        .position(|&token| token as usize >= config.vocabulary)
    {
        let (token, vocabulary) = (tokens[position], config.vocabulary);
        return Err(ModelError::file(
            path,
            format!("token {token} at position {position} is past the model's vocabulary of {vocabulary}; give the corpus the same vocabulary as the model configuration"),
        ));
    }
    if tokens.len() <= config.block {
        let (count, block) = (tokens.len(), config.block);
        return Err(ModelError::Data(format!(
            "{}: {count} tokens are too few for a block of {block}",
            path.display()
        )));
    }
    Ok(tokens)
}

/// Writes a token file.
///
/// # Errors
/// When it cannot be written.
pub fn write_tokens(path: &Path, tokens: &[u16]) -> Result<(), ModelError> {
    let bytes: Vec<u8> = tokens
        .iter()
        .flat_map(|token| token.to_le_bytes())
        .collect();
    std::fs::write(path, bytes).map_err(|error| ModelError::io(path, error))
}

impl Batch {
    /// `sequences` windows at random places, as in nanoGPT. Depends on `seed` and `step` alone, so that a resumed run
    /// sees what an uninterrupted one would.
    #[must_use]
    pub fn random(tokens: &[u16], block: usize, sequences: usize, seed: u64, step: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(step);
        let mut batch = Self {
            inputs: Vec::new(),
            targets: Vec::new(),
        };
        for _ in 0..sequences {
            let start = rng.random_range(0..(tokens.len() - block) as u64) as usize;
            batch.push(&tokens[start..=start + block]);
        }
        batch
    }

    /// `sequences` windows at even distances, the same every time.
    #[must_use]
    pub fn even(tokens: &[u16], block: usize, sequences: usize) -> Self {
        let places = tokens.len() - block;
        let mut batch = Self {
            inputs: Vec::new(),
            targets: Vec::new(),
        };
        for index in 0..sequences {
            let start = index * places / sequences;
            batch.push(&tokens[start..=start + block]);
        }
        batch
    }

    fn push(&mut self, window: &[u16]) {
        self.inputs.extend_from_slice(&window[..window.len() - 1]);
        self.targets.extend_from_slice(&window[1..]);
    }
}
