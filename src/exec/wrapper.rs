//! `wrapper.yaml`: how an external tool becomes a stage.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value as Json;

/// A wrapper as its file says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wrapper {
    pub version: u32,
    #[serde(default)]
    pub about: String,
    #[serde(default)]
    pub tools: Vec<ToolNeed>,
    /// Defaults of the parameters; others than these are faults.
    #[serde(default)]
    pub params: BTreeMap<String, Json>,
    #[serde(default)]
    pub inputs: BTreeMap<String, Need>,
    #[serde(default)]
    pub outputs: BTreeMap<String, Need>,
    /// Templates written into the work directory under the same name.
    #[serde(default)]
    pub files: Vec<String>,
    /// Files copied as they are.
    #[serde(default)]
    pub copy: Vec<String>,
    /// Programs run one after the other in the work directory.
    pub steps: Vec<Vec<String>>,
    #[serde(default)]
    pub metrics: BTreeMap<String, MetricSource>,
    /// Folder of the file.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// A program that a wrapper runs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolNeed {
    pub program: String,
    /// Command line that prints the version.
    #[serde(default)]
    pub version: Vec<String>,
    #[serde(default)]
    pub min: Option<String>,
    /// Debian package that brings it.
    #[serde(default)]
    pub apt: Option<String>,
    /// Where to get it, if no package brings it.
    #[serde(default)]
    pub hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    Required,
    Optional,
}

/// Where a metric is found after the steps ran.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricSource {
    pub file: String,
    /// JSON pointer into the file.
    #[serde(default)]
    pub pointer: Option<String>,
    /// The last match's first group.
    #[serde(default)]
    pub regex: Option<String>,
    #[serde(default)]
    pub unit: Option<String>,
}

impl Wrapper {
    /// Reads `tool-wrappers/<name>/wrapper.yaml` below the flow's folder.
    ///
    /// # Errors
    /// What is wrong, with file and line.
    pub fn load(dir: &Path, name: &str) -> Result<Wrapper, String> {
        let folder = dir.join("tool-wrappers").join(name);
        let shown = format!("tool-wrappers/{name}/wrapper.yaml");
        let text = std::fs::read_to_string(folder.join("wrapper.yaml"))
            .map_err(|error| format!("{shown}: {error}"))?;
        let mut wrapper: Wrapper =
            serde_yaml::from_str(&text).map_err(|error| format!("{shown}: {error}"))?;
        if wrapper.version != 1 {
            return Err(format!(
                "{shown}: unknown version {}; this nanoflow reads version 1",
                wrapper.version
            ));
        }
        for file in wrapper.files.iter().chain(&wrapper.copy) {
            let path = Path::new(file);
            let plain = path
                .components()
                .all(|part| matches!(part, std::path::Component::Normal(_)));
            if !plain || !folder.join(path).is_file() {
                return Err(format!("{shown}: '{file}' is no file beside it"));
            }
        }
        if wrapper.steps.is_empty() || wrapper.steps.iter().any(Vec::is_empty) {
            return Err(format!("{shown}: 'steps' holds no program"));
        }
        for (metric, source) in &wrapper.metrics {
            if source.pointer.is_some() == source.regex.is_some() {
                return Err(format!(
                    "{shown}: metric '{metric}' needs either 'pointer' or 'regex'"
                ));
            }
            if let Some(regex) = &source.regex {
                regex::Regex::new(regex)
                    .map_err(|error| format!("{shown}: metric '{metric}': {error}"))?;
            }
        }
        wrapper.folder = folder;
        Ok(wrapper)
    }

    /// Files whose content is part of the key, by name.
    pub fn all_files(&self) -> impl Iterator<Item = &str> {
        std::iter::once("wrapper.yaml")
            .chain(self.files.iter().chain(&self.copy).map(String::as_str))
    }

    /// Metrics read from what the steps left in `work`. One that is not found is left out, so that its gate fails.
    pub fn read_metrics(&self, work: &Path) -> crate::gate::Metrics {
        let mut metrics = crate::gate::Metrics::new();
        for (name, source) in &self.metrics {
            let Ok(bytes) = std::fs::read(work.join(&source.file)) else {
                continue;
            };
            let text = String::from_utf8_lossy(&bytes);
            if let Some(value) = source.value(&text) {
                metrics.insert(
                    name.clone(),
                    crate::gate::Metric {
                        value,
                        unit: source.unit.clone(),
                    },
                );
            }
        }
        metrics
    }
}

impl MetricSource {
    fn value(&self, text: &str) -> Option<Json> {
        if let Some(pointer) = &self.pointer {
            let json: Json = serde_json::from_str(text).ok()?;
            return json.pointer(pointer).cloned();
        }
        let regex = regex::RegexBuilder::new(self.regex.as_ref()?)
            .multi_line(true)
            .build()
            .ok()?;
        let found = regex.captures_iter(text).last()?;
        let word = found.get(1).or_else(|| found.get(0))?.as_str();
        Some(
            word.parse::<i64>()
                .map(Json::from)
                .unwrap_or_else(|_| match word.parse::<f64>() {
                    Ok(value) if value.is_finite() => Json::from(value),
                    _ => Json::from(word),
                }),
        )
    }
}
