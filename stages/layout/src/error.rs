use std::path::{Path, PathBuf};

/// What can be wrong with a layout file or with what is asked of it.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The file's text is not what its format asks for.
    #[error("{file}:{line}: {message}")]
    Syntax {
        file: String,
        line: usize,
        message: String,
    },
    /// Two files do not fit together: a cell, pin, layer, net is named that does not exist.
    #[error("{0}")]
    Missing(String),
}

impl LayoutError {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }
}
