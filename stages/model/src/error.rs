use std::path::PathBuf;

use nanoflow_sdk::{Failure, StageError};

/// What can go wrong with a model, its configuration or its files.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A configuration value that no model can have.
    #[error("{file}: {field}: {problem}")]
    Config {
        file: String,
        field: &'static str,
        problem: String,
    },
    /// A file that is not what it should be.
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    /// A file that could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A tensor that is missing or has another shape than the configuration asks for.
    #[error("tensor '{name}': {problem}")]
    Tensor { name: String, problem: String },
    /// Data that does not fit the model: too few tokens, a token past the vocabulary.
    #[error("{0}")]
    Data(String),
    /// The numbers went out of range while training or measuring.
    #[error("{0}")]
    Diverged(String),
    /// A device that is not there.
    #[error("{0}")]
    Unavailable(String),
    /// candle refused an operation.
    #[error("candle: {0}")]
    Candle(#[from] candle_core::Error),
}

impl ModelError {
    pub(crate) fn file(path: impl Into<PathBuf>, problem: impl ToString) -> Self {
        Self::File {
            path: path.into(),
            problem: problem.to_string(),
        }
    }

    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }

    pub(crate) fn tensor(name: impl Into<String>, problem: impl ToString) -> Self {
        Self::Tensor {
            name: name.into(),
            problem: problem.to_string(),
        }
    }

    /// What to do next, in one sentence.
    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Config { .. } => Some("correct that line of the model configuration (see configs/tiny.yaml)"),
            Self::File { .. } | Self::Tensor { .. } => {
                Some("check that the input names the right file, written by the stage that should make it")
            }
            Self::Data(_) => Some("use more text, or a smaller block or vocabulary in the model configuration"),
            Self::Diverged(_) => Some("lower learning_rate or raise warmup_steps in the model configuration"),
            Self::Unavailable(_) => Some("build with 'cargo build --release --features cuda' on a machine with an NVIDIA GPU, or use 'device: cpu'"),
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::InvalidData => {
                Some("that file is no text; check that the input names the right file")
            }
            Self::Io { .. } | Self::Candle(_) => None,
        }
    }
}

impl From<ModelError> for StageError {
    fn from(error: ModelError) -> Self {
        let hint = error.hint();
        let stage_error = match &error {
            ModelError::Io { path, source } => StageError::io(path, source),
            ModelError::Diverged(_) => StageError::new(Failure::Design, error.to_string()),
            ModelError::Unavailable(problem) => StageError::new(Failure::Resource, problem.clone()),
            ModelError::Candle(_) => StageError::internal(error.to_string()),
            _ => StageError::input(error.to_string()),
        };
        match hint {
            Some(hint) => stage_error.hint(hint),
            None => stage_error,
        }
    }
}
