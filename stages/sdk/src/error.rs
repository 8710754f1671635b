use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Whose fault a failure is; written to `result.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// The design does not meet what was asked: logits differ, nets stay unrouted.
    Design,
    /// An external program failed or printed what cannot be read.
    Tool,
    /// An input or a parameter is wrong.
    Input,
    /// Memory, disk or time did not suffice.
    Resource,
    /// The stage itself is at fault.
    Internal,
}

/// Why a stage failed: the kind, what is wrong and where, and what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StageError {
    pub kind: Failure,
    pub message: String,
    /// What to do next, in one sentence.
    pub hint: Option<String>,
}

impl StageError {
    pub fn new(kind: Failure, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
        }
    }
    pub fn design(message: impl Into<String>) -> Self {
        Self::new(Failure::Design, message)
    }
    pub fn tool(message: impl Into<String>) -> Self {
        Self::new(Failure::Tool, message)
    }
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Failure::Input, message)
    }
    pub fn resource(message: impl Into<String>) -> Self {
        Self::new(Failure::Resource, message)
    }
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Failure::Internal, message)
    }
    /// A file could not be read or written.
    pub fn io(path: impl AsRef<Path>, source: &std::io::Error) -> Self {
        let path: PathBuf = path.as_ref().to_path_buf();
        let kind = match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::OutOfMemory => Failure::Resource,
            _ => Failure::Input,
        };
        Self::new(kind, format!("{}: {source}", path.display()))
    }
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
