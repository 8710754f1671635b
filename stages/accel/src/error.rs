use std::path::{Path, PathBuf};

use nanoflow_sdk::{Failure, StageError};

/// What can go wrong between a quantised model and a simulated accelerator.
#[derive(Debug, thiserror::Error)]
pub enum AccelError {
    /// The model's shapes or scales contradict each other or exceed what the integer formats hold.
    #[error("model: {0}")]
    Model(String),
    /// The model does not fit the hardware parameters it is assembled for.
    #[error("program: {0}")]
    Program(String),
    /// A file does not hold what its format asks for.
    #[error("{}: {message}", path.display())]
    File { path: PathBuf, message: String },
    /// The operating system refused a file.
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    /// An external program is missing or failed.
    #[error("{0}")]
    Tool(String),
}

impl AccelError {
    pub(crate) fn file(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Self::File {
            path: path.as_ref().to_path_buf(),
            message: message.into(),
        }
    }
    pub(crate) fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.as_ref().to_path_buf(),
            source,
        }
    }
}

impl From<AccelError> for StageError {
    fn from(error: AccelError) -> Self {
        let kind = match error {
            AccelError::Tool(_) => Failure::Tool,
            AccelError::Program(_) | AccelError::Model(_) => Failure::Design,
            AccelError::File { .. } | AccelError::Io { .. } => Failure::Input,
        };
        StageError::new(kind, error.to_string())
    }
}
