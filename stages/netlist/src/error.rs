use std::path::{Path, PathBuf};

/// Where in a text something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.file.display(), self.line)
    }
}

/// What can be wrong with a netlist or a library.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{place}: {message}")]
    Syntax { place: Place, message: String },
    /// The text is well formed but cannot be meant.
    #[error("{0}")]
    Netlist(String),
    #[error("function \"{text}\": {message}")]
    Function { text: String, message: String },
}

impl Error {
    pub(crate) fn syntax(file: &Path, line: usize, message: impl Into<String>) -> Self {
        Self::Syntax {
            place: Place {
                file: file.to_path_buf(),
                line,
            },
            message: message.into(),
        }
    }
}

pub(crate) fn read(path: &Path) -> Result<String, Error> {
    // Tools write names in whatever encoding; a netlist's own words are ASCII.
    let bytes = std::fs::read(path).map_err(|source| Error::Io {
        path: path.to_path_buf(),
        source,
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
