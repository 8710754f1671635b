use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Failure;

/// Version of the protocol that this crate speaks.
pub const PROTOCOL: u32 = 1;

/// What a stage is asked to do; `request.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub protocol: u32,
    /// Name of the stage in `flow.yaml`, for messages only.
    pub stage: String,
    #[serde(default)]
    pub params: serde_json::Value,
    #[serde(default)]
    pub inputs: BTreeMap<String, Paths>,
    #[serde(default)]
    pub outputs: BTreeMap<String, PathBuf>,
    #[serde(default)]
    pub resources: Resources,
    /// A directory for temporary files, removed afterwards.
    pub scratch: PathBuf,
    /// A directory that survives an interrupted try with the same key, when the flow says `checkpoint: true`.
    #[serde(default)]
    pub checkpoint: Option<PathBuf>,
}

/// One path where the flow names one, a list where it names a glob or a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Paths {
    One(PathBuf),
    Many(Vec<PathBuf>),
}

impl Paths {
    #[must_use]
    pub fn as_slice(&self) -> &[PathBuf] {
        match self {
            Paths::One(path) => std::slice::from_ref(path),
            Paths::Many(paths) => paths,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// Threads that the stage may use.
    #[serde(default = "one")]
    pub cpu: usize,
    #[serde(default)]
    pub memory_bytes: Option<u64>,
}

fn one() -> usize {
    1
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            cpu: 1,
            memory_bytes: None,
        }
    }
}

/// One measured number; `metrics.json` maps names to these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    pub value: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

pub type Metrics = BTreeMap<String, Metric>;

/// One progress line: `{"progress": {"done": 10, "total": 300, "unit": "step", "note": "loss 2.31"}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub done: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// `result.json`: how a failed stage failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub failure: Failure,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
