//! Errors of all modules → message and exit code, in one place.

use crate::exec::{LoadError, RunError};
use crate::flow::FlowFaults;
use crate::graph::UnknownTarget;
use crate::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Faults(#[from] FlowFaults),
    #[error(transparent)]
    Target(#[from] UnknownTarget),
    #[error("another nanoflow (process {0}) is using this cache\nhint: leave out --no-wait to wait for it")]
    Locked(i32),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("{0}")]
    Missing(String),
    #[error("{0}")]
    Failed(String),
}

impl CliError {
    pub fn exit_code(&self) -> u8 {
        match self {
            CliError::Usage(_) | CliError::Load(_) | CliError::Faults(_) | CliError::Target(_) => 2,
            CliError::Locked(_) | CliError::Store(_) | CliError::Run(_) => 5,
            CliError::Missing(_) => 4,
            CliError::Failed(_) => 1,
        }
    }

    pub fn print(&self) {
        match self {
            // They carry their place in front.
            CliError::Load(LoadError::Faults(_)) | CliError::Faults(_) => eprintln!("{self}"),
            _ => eprintln!("error: {self}"),
        }
        if let CliError::Store(error) | CliError::Run(RunError::Store(error)) = self {
            eprintln!("hint: {}", error.advice());
        }
    }
}
