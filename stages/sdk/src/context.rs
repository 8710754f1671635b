use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::{Metric, Metrics, Progress, Request, StageError};

/// What a running stage sees: its request, and ways to tell progress and metrics.
pub struct Context {
    request: Request,
    metrics: Metrics,
    quiet: bool,
    last_progress: Option<Instant>,
}

impl Context {
    pub(crate) fn new(request: Request, quiet: bool) -> Self {
        Self {
            request,
            metrics: Metrics::new(),
            quiet,
            last_progress: None,
        }
    }

    /// Name of the stage in the flow, for messages.
    #[must_use]
    pub fn stage(&self) -> &str {
        &self.request.stage
    }

    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The stage's parameters as a type of its own; use `#[serde(deny_unknown_fields, default)]` on it.
    ///
    /// # Errors
    /// An input failure that names the parameter.
    pub fn params<T: DeserializeOwned>(&self) -> Result<T, StageError> {
        let value = match &self.request.params {
            serde_json::Value::Null => serde_json::Value::Object(serde_json::Map::new()),
            value => value.clone(),
        };
        serde_json::from_value(value).map_err(|error| {
            StageError::input(format!("stage '{}': params: {error}", self.request.stage)).hint(
                format!(
                    "correct 'params' of stage '{}' in flow.yaml",
                    self.request.stage
                ),
            )
        })
    }

    /// The one path of an input.
    ///
    /// # Errors
    /// An input failure when the flow does not name the input or names several files.
    pub fn input(&self, name: &str) -> Result<&Path, StageError> {
        match self.inputs(name)? {
            [path] => Ok(path),
            paths => Err(StageError::input(format!(
                "stage '{}': input '{name}' must be one file, not {}",
                self.request.stage,
                paths.len()
            ))),
        }
    }

    /// The path of an input that the flow may leave out.
    #[must_use]
    pub fn optional_input(&self, name: &str) -> Option<&Path> {
        self.request
            .inputs
            .get(name)
            .and_then(|paths| paths.as_slice().first())
            .map(PathBuf::as_path)
    }

    /// All paths of an input (a glob or a list), in the flow's order.
    ///
    /// # Errors
    /// An input failure when the flow does not name the input.
    pub fn inputs(&self, name: &str) -> Result<&[PathBuf], StageError> {
        self.request
            .inputs
            .get(name)
            .map(crate::Paths::as_slice)
            .ok_or_else(|| {
                StageError::input(format!(
                    "stage '{}' needs an input '{name}'",
                    self.request.stage
                ))
                .hint(format!(
                    "add '{name}: …' to the inputs of stage '{}' in flow.yaml",
                    self.request.stage
                ))
            })
    }

    /// Where an output goes. Its parent folder exists; a directory output is yours to create.
    ///
    /// # Errors
    /// An input failure when the flow does not declare the output.
    pub fn output(&self, name: &str) -> Result<&Path, StageError> {
        self.optional_output(name).ok_or_else(|| {
            StageError::input(format!(
                "stage '{}' needs an output '{name}'",
                self.request.stage
            ))
            .hint(format!(
                "add '{name}: …' to the outputs of stage '{}' in flow.yaml",
                self.request.stage
            ))
        })
    }

    /// Where an output goes that the flow may leave out.
    #[must_use]
    pub fn optional_output(&self, name: &str) -> Option<&Path> {
        self.request.outputs.get(name).map(PathBuf::as_path)
    }

    /// Threads that the stage may use. The result must not depend on it.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.request.resources.cpu.max(1)
    }

    /// A directory for temporary files.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        &self.request.scratch
    }

    /// Where an interrupted try of the same key left its state, if the flow says `checkpoint: true`.
    #[must_use]
    pub fn checkpoint(&self) -> Option<&Path> {
        self.request.checkpoint.as_deref()
    }

    /// Records a measured number.
    pub fn metric(&mut self, name: &str, value: f64, unit: &str) {
        let unit = (!unit.is_empty()).then(|| unit.to_string());
        self.metrics
            .insert(name.to_string(), Metric { value, unit });
    }

    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Tells how far the work is; at most ten lines a second are printed, the last one (`done == total`) always.
    pub fn progress(&mut self, done: u64, total: u64, unit: &str, note: &str) {
        let now = Instant::now();
        let due = self
            .last_progress
            .is_none_or(|last| now - last >= Duration::from_millis(100));
        if self.quiet || !(due || done == total) {
            return;
        }
        self.last_progress = Some(now);
        let progress = Progress {
            done,
            total: Some(total),
            unit: (!unit.is_empty()).then(|| unit.to_string()),
            note: (!note.is_empty()).then(|| note.to_string()),
        };
        let line = serde_json::json!({ "progress": progress });
        // A reader that went away must not stop the work.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}
