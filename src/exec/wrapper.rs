//! `wrapper.yaml`: how an external tool becomes a stage.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value as Json;

use crate::flow::{Span, Template};
use crate::store::{hash_bytes, Kind};

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
    /// What stood in `wrapper.yaml` and in the files when they were read. All of a run works with these, so that a key and what is
    /// run never belong to different states of a file.
    #[serde(skip)]
    pub read: Read,
}

/// Content of a wrapper's files, read once.
#[derive(Debug, Clone, Default)]
pub struct Read {
    /// Digest of `wrapper.yaml`, each template and each copied file, by name.
    pub digests: BTreeMap<String, String>,
    /// The templates of `files`, by name.
    pub templates: BTreeMap<String, Template>,
    /// The words of `steps`.
    pub steps: Vec<Vec<Template>>,
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
        let mut read = Read::default();
        read.digests.insert(
            "wrapper.yaml".to_string(),
            hash_read(&folder.join("wrapper.yaml"), text.as_bytes()),
        );
        for file in wrapper.files.iter().chain(&wrapper.copy) {
            let path = Path::new(file);
            let plain = path
                .components()
                .all(|part| matches!(part, std::path::Component::Normal(_)));
            if !plain || !folder.join(path).is_file() {
                return Err(format!("{shown}: '{file}' is no file beside it"));
            }
            let wrong = |message: String| format!("tool-wrappers/{name}/{file}: {message}");
            let path = folder.join(path);
            let bytes = std::fs::read(&path).map_err(|error| wrong(error.to_string()))?;
            read.digests.insert(file.clone(), hash_read(&path, &bytes));
            if wrapper.files.contains(file) {
                let text = String::from_utf8(bytes)
                    .map_err(|_| wrong("bytes that are no UTF-8".to_string()))?;
                let template =
                    Template::new(&text, Span::START).map_err(|fault| wrong(fault.message))?;
                read.templates.insert(file.clone(), template);
            }
        }
        for step in &wrapper.steps {
            let words: Result<Vec<Template>, _> = step
                .iter()
                .map(|word| Template::new(word, Span::START))
                .collect();
            read.steps
                .push(words.map_err(|fault| format!("{shown}: steps: {}", fault.message))?);
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
        wrapper.read = read;
        Ok(wrapper)
    }

    /// All templates, with the name of the file in which each stands.
    pub fn templates(&self) -> impl Iterator<Item = (&str, &Template)> {
        let steps = self.read.steps.iter().flatten();
        self.read
            .templates
            .iter()
            .map(|(file, template)| (file.as_str(), template))
            .chain(steps.map(|word| ("wrapper.yaml", word)))
    }

    /// Names of the flow's parameters that the templates use; `None` when it cannot be told, so that all of them count.
    pub fn flow_params(&self) -> Option<BTreeSet<&str>> {
        let mut used = BTreeSet::new();
        for (_, template) in self.templates() {
            used.extend(template.flow_params()?);
        }
        Some(used)
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

/// Digest of a file that was read, its executable bit included.
fn hash_read(path: &Path, bytes: &[u8]) -> String {
    let executable = path
        .metadata()
        .is_ok_and(|found| found.permissions().mode() & 0o100 != 0);
    let kind = if executable {
        Kind::Executable
    } else {
        Kind::File
    };
    hash_bytes(kind, bytes).to_string()
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
