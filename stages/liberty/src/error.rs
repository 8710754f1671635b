use std::path::{Path, PathBuf};

use nanoflow_sdk::StageError;

/// What can go wrong between a PDK directory and a Liberty file.
#[derive(Debug, thiserror::Error)]
pub enum LibertyError {
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{0}")]
    Layout(#[from] nanoflow_layout::LayoutError),
    #[error("{0}")]
    Gds(#[from] nanoflow_layout::gds::GdsError),
    #[error("parameter '{name}': {reason}")]
    Parameter { name: &'static str, reason: String },
    /// The PDK's own files do not agree, or hold something that is not understood.
    #[error("cell '{cell}': {reason}")]
    Cell { cell: String, reason: String },
    #[error("transistor models: {0}")]
    Model(String),
    #[error("{file}: {reason}")]
    File { file: String, reason: String },
    #[error("'ngspice' is not on PATH")]
    NoSimulator,
    #[error("ngspice on {what}: {reason}")]
    Simulator { what: String, reason: String },
}

impl LibertyError {
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.as_ref().to_path_buf(),
            source,
        }
    }
    pub fn cell(cell: &str, reason: impl Into<String>) -> Self {
        Self::Cell {
            cell: cell.to_string(),
            reason: reason.into(),
        }
    }
    pub fn simulator(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Simulator {
            what: what.into(),
            reason: reason.into(),
        }
    }
}

impl From<LibertyError> for StageError {
    fn from(error: LibertyError) -> Self {
        let message = error.to_string();
        match error {
            LibertyError::Io { path, source } => StageError::io(path, &source),
            LibertyError::Parameter { .. } => {
                StageError::input(message).hint("correct 'params' of the stage in flow.yaml")
            }
            LibertyError::NoSimulator => {
                StageError::tool(message).hint("run 'nanoflow setup' or 'apt-get install ngspice'")
            }
            LibertyError::Simulator { .. } => StageError::tool(message)
                .hint("ngspice 39 or newer is known to work; its log is above"),
            LibertyError::Layout(_)
            | LibertyError::Gds(_)
            | LibertyError::Cell { .. }
            | LibertyError::Model(_) => StageError::input(message)
                .hint("input 'pdk' must be the output of stage 'pdk'; run that stage again"),
            LibertyError::File { .. } => StageError::input(message),
        }
    }
}
