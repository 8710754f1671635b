//! The GPT in floating point: weights, inference, and what calibration looks at.

use std::borrow::Cow;

use crate::inference::Buffers;
use crate::network::{Dropout, Network, State};
use crate::parameters::ParameterTable;
use crate::{ModelConfig, ModelError};

/// A GPT in floating point: its shape and all parameters in one array.
#[derive(Debug, Clone)]
pub struct Gpt {
    pub config: ModelConfig,
    pub table: ParameterTable,
    pub parameters: Vec<f32>,
}

impl Gpt {
    /// A model with fresh weights.
    #[must_use]
    pub fn new(config: ModelConfig, seed: u64) -> Self {
        let table = ParameterTable::new(&config);
        let parameters = table.initialize(&config, seed);
        Self {
            config,
            table,
            parameters,
        }
    }

    /// Borrows the pieces as a network to run.
    #[must_use]
    pub fn network(&self) -> Network<'_> {
        Network {
            config: &self.config,
            table: &self.table,
            parameters: Cow::Borrowed(&self.parameters),
        }
    }

    /// Logits of every position of one sequence, T × V.
    ///
    /// # Errors
    /// When the sequence is empty, longer than the block, or has a token past the vocabulary.
    pub fn logits(&self, tokens: &[u16]) -> Result<Vec<f32>, ModelError> {
        self.config.check_tokens(tokens)?;
        let mut buffers = Buffers::new(&self.config, tokens.len(), tokens.len());
        Ok(self.network().logits(tokens, &mut buffers))
    }
}

/// A place of the network whose values a calibration looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// Residual stream before a norm: of layer 0, 1, …, and with layer = layers before the final norm.
    Input,
    /// Residual stream between attention and MLP.
    Middle,
    /// Result of the norm before attention; with layer = layers, of the final norm.
    Norm1,
    Norm2,
    /// N × 3E.
    Qkv,
    /// Input of the projection after attention.
    Attended,
    /// Result of GELU, N × 4E.
    Activated,
    Logits,
}

impl Gpt {
    /// Shows `visit` the values at every site for one sequence.
    ///
    /// # Errors
    /// When the sequence does not fit the model.
    pub fn observe(
        &self,
        tokens: &[u16],
        visit: &mut dyn FnMut(Site, usize, &[f32]),
    ) -> Result<(), ModelError> {
        self.config.check_tokens(tokens)?;
        let network = self.network();
        let mut state = State::new(&self.config, tokens.len(), tokens.len());
        network.forward(tokens, Dropout::default(), &mut state);
        network.head(&mut state);
        for (layer, block) in state.blocks.iter().enumerate() {
            visit(Site::Input, layer, &block.input);
            visit(Site::Norm1, layer, &block.norm1);
            visit(Site::Qkv, layer, &block.qkv);
            visit(Site::Attended, layer, &block.attended);
            visit(Site::Middle, layer, &block.middle);
            visit(Site::Norm2, layer, &block.norm2);
            visit(Site::Activated, layer, &block.activated);
        }
        let last = state.blocks.len();
        visit(Site::Input, last, &state.residual);
        visit(Site::Norm1, last, &state.norm);
        visit(Site::Logits, last, &state.logits);
        Ok(())
    }
}

impl ModelConfig {
    /// # Errors
    /// When the sequence is empty, longer than the block, or has a token past the vocabulary.
    pub fn check_tokens(&self, tokens: &[u16]) -> Result<(), ModelError> {
        if tokens.is_empty() || tokens.len() > self.block {
            let (length, block) = (tokens.len(), self.block);
            return Err(ModelError::Data(format!(
                "a sequence of {length} tokens does not fit a block of {block}"
            )));
        }
        if let Some(token) = tokens
            .iter()
            .find(|&&token| token as usize >= self.vocabulary)
        {
            let vocabulary = self.vocabulary;
            return Err(ModelError::Data(format!(
                "token {token} is past the model's vocabulary of {vocabulary}"
            )));
        }
        Ok(())
    }
}
