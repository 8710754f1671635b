//! Runs a stage in a test, without the orchestrator.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{Context, Metrics, Paths, Request, Resources, Stage, StageError, PROTOCOL};

/// What a stage left behind; the directory is removed when this is dropped.
pub struct Finished {
    pub metrics: Metrics,
    dir: tempfile::TempDir,
    outputs: BTreeMap<String, PathBuf>,
}

impl Finished {
    /// Path of an output.
    ///
    /// # Panics
    /// If the test did not ask for that output.
    #[must_use]
    pub fn output(&self, name: &str) -> &Path {
        &self.outputs[name]
    }
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// Runs `stage` with parameters, inputs (name, path) and outputs (name, relative path) in a fresh directory.
/// Stages must not rely on the current directory, only on the paths they are given.
///
/// # Errors
/// What the stage returned.
///
/// # Panics
/// If the temporary directory cannot be made.
pub fn run(
    stage: &dyn Stage,
    params: serde_json::Value,
    inputs: &[(&str, &Path)],
    outputs: &[(&str, &str)],
    threads: usize,
) -> Result<Finished, StageError> {
    let dir = tempfile::tempdir().expect("temporary directory");
    let scratch = dir.path().join("scratch");
    std::fs::create_dir(&scratch).expect("scratch directory");
    let outputs: BTreeMap<String, PathBuf> = outputs
        .iter()
        .map(|(name, path)| ((*name).to_string(), dir.path().join(path)))
        .collect();
    for path in outputs.values() {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("output folder");
        }
    }
    let mut grouped: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for (name, path) in inputs {
        grouped
            .entry((*name).to_string())
            .or_default()
            .push(path.to_path_buf());
    }
    let inputs = grouped
        .into_iter()
        .map(|(name, mut paths)| match paths.len() {
            1 => (name, Paths::One(paths.remove(0))),
            _ => (name, Paths::Many(paths)),
        })
        .collect();
    let request = Request {
        protocol: PROTOCOL,
        stage: stage.id().to_string(),
        params,
        inputs,
        outputs: outputs.clone(),
        resources: Resources {
            cpu: threads,
            memory_bytes: None,
        },
        scratch,
        checkpoint: None,
    };
    let mut context = Context::new(request, true);
    stage.run(&mut context)?;
    Ok(Finished {
        metrics: context.metrics().clone(),
        dir,
        outputs,
    })
}
