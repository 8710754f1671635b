//! `golden.json`: prompts with the integer model's logits after every token, and the values of every operation, so
//! that a difference can be named by token, layer and value.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{AccelError, IntModel, TraceEntry};

/// Version of the file.
pub const GOLDEN_FORMAT: u32 = 1;

/// The golden vectors of one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Golden {
    pub format: u32,
    pub vocab: usize,
    pub prompts: Vec<GoldenPrompt>,
}

/// Tokens from an empty context on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoldenPrompt {
    pub steps: Vec<GoldenStep>,
}

/// One token and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoldenStep {
    pub token: u16,
    /// Index of the largest logit.
    pub best: u16,
    /// int16 logits, one for each token of the vocabulary.
    pub logits: Vec<i16>,
    /// Values of each operation in order.
    pub trace: Vec<TraceEntry>,
}

impl Golden {
    /// Runs the integer model over prompts, each from an empty context.
    ///
    /// # Errors
    /// [`AccelError::Model`] when a token is out of range or a prompt longer than the context.
    pub fn record(model: &IntModel, prompts: &[Vec<u16>]) -> Result<Self, AccelError> {
        let prompts = prompts.iter().map(|tokens| {
            let mut state = model.start();
            let steps = tokens.iter().map(|&token| {
                let mut trace = Vec::new();
                let step = model.traced_step(&mut state, token, &mut |name, values| {
                    trace.push(TraceEntry {
                        name: name.to_string(),
                        values: values.to_vec(),
                    });
                })?;
                Ok(GoldenStep {
                    token,
                    best: step.best as u16,
                    logits: step.logits,
                    trace,
                })
            });
            Ok(GoldenPrompt {
                steps: steps.collect::<Result<_, AccelError>>()?,
            })
        });
        let prompts = prompts.collect::<Result<_, AccelError>>()?;
        Ok(Self {
            format: GOLDEN_FORMAT,
            vocab: model.dims.vocab,
            prompts,
        })
    }

    /// Tokens of all prompts.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.prompts.iter().map(|prompt| prompt.steps.len()).sum()
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`AccelError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), AccelError> {
        let text = serde_json::to_string(self)
            .map_err(|error| AccelError::file(path, error.to_string()))?;
        std::fs::write(path, text + "\n").map_err(|error| AccelError::io(path, error))
    }

    /// Reads the file and checks its shapes.
    ///
    /// # Errors
    /// [`AccelError::Io`] or [`AccelError::File`].
    pub fn read(path: &Path) -> Result<Self, AccelError> {
        let text = std::fs::read_to_string(path).map_err(|error| AccelError::io(path, error))?;
        let golden: Self = serde_json::from_str(&text)
            .map_err(|error| AccelError::file(path, error.to_string()))?;
        if golden.format != GOLDEN_FORMAT {
            return Err(AccelError::file(
                path,
                format!("format {}, expected {GOLDEN_FORMAT}", golden.format),
            ));
        }
        let steps = || golden.prompts.iter().flat_map(|prompt| &prompt.steps);
        if steps().next().is_none() {
            return Err(AccelError::file(path, "it holds no token to compare"));
        }
        match steps().position(|step| step.logits.len() != golden.vocab) {
            Some(index) => Err(AccelError::file(
                path,
                format!("token {index} has not {} logits", golden.vocab),
            )),
            None => Ok(golden),
        }
    }
}
