//! What a stage runs: wrappers, plugins and commands as the key sees them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value as Json;

use crate::flow::template::{Paths, Scope};
use crate::flow::{Body, Fault, Flow, StageId};
use crate::key::{Runs, ToolIdentity};
use crate::plugins;

use super::tools::{Get, Missing};
use super::wrapper::{Need, Wrapper};
use super::Project;

/// Why a stage cannot be brought up to date.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Problem {
    /// Exit code 4.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// Something about its sources; exit code 1.
    #[error("{0}")]
    Input(String),
}

/// Wrappers read so far.
#[derive(Default)]
pub struct Programs {
    wrappers: Mutex<HashMap<String, Result<Arc<Wrapper>, String>>>,
}

impl Programs {
    /// The wrapper of this name.
    ///
    /// # Errors
    /// It is not there or is faulty.
    pub fn wrapper(&self, dir: &Path, name: &str) -> Result<Arc<Wrapper>, String> {
        let mut wrappers = self
            .wrappers
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        wrappers
            .entry(name.to_string())
            .or_insert_with(|| Wrapper::load(dir, name).map(Arc::new))
            .clone()
    }
}

/// Tells what in a stage does not fit the plugin or wrapper that it names.
pub fn check(dir: &Path, flow: &Flow, id: StageId, programs: &Programs, faults: &mut Vec<Fault>) {
    let stage = flow.stage(id);
    match &stage.body {
        Body::Uses(name) => check_plugin(dir, flow, name, stage, faults),
        Body::Wrapper(name) => match programs.wrapper(dir, name) {
            Err(message) => {
                let known = wrapper_names(&dir.join("tool-wrappers"));
                let fault = Fault::new(
                    stage.body_span,
                    format!("stage '{}': {message}", stage.name),
                );
                let missing = !dir
                    .join("tool-wrappers")
                    .join(name)
                    .join("wrapper.yaml")
                    .exists();
                faults.push(if missing {
                    fault.suggest(name, known.iter().map(String::as_str))
                } else {
                    fault
                });
            }
            Ok(wrapper) => {
                check_wrapper(&wrapper, name, stage, faults);
                check_templates(flow, &wrapper, name, stage, faults);
            }
        },
        _ => {}
    }
}

fn check_plugin(
    dir: &Path,
    flow: &Flow,
    name: &str,
    stage: &crate::flow::Stage,
    faults: &mut Vec<Fault>,
) {
    if let Some(plugin) = flow.plugins.get(name) {
        if !dir.join(&plugin.path).is_file() {
            faults.push(
                Fault::new(
                    plugin.span,
                    format!("plugin '{name}': '{}' is no file", plugin.path),
                )
                .hint("'plugins:' maps a name to an executable, relative to the flow file"),
            );
        }
    } else if plugins::find(name).is_none() {
        let known = plugins::all()
            .iter()
            .map(|stage| stage.id())
            .chain(flow.plugins.keys().map(String::as_str));
        let fault = Fault::new(
            stage.body_span,
            format!("stage '{}': there is no plugin '{name}'", stage.name),
        );
        faults.push(fault.suggest(name, known));
    }
}

fn wrapper_names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![(folder.to_path_buf(), String::new())];
    while let Some((folder, name)) = folders.pop() {
        if folder.join("wrapper.yaml").is_file() {
            names.push(name.clone());
        }
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let own = entry.file_name().to_string_lossy().into_owned();
                folders.push((
                    entry.path(),
                    if name.is_empty() {
                        own
                    } else {
                        format!("{name}/{own}")
                    },
                ));
            }
        }
    }
    names.sort();
    names
}

fn check_wrapper(
    wrapper: &Wrapper,
    name: &str,
    stage: &crate::flow::Stage,
    faults: &mut Vec<Fault>,
) {
    let mut tell =
        |what: &str, given: Vec<&String>, known: Vec<&String>, required: Vec<&String>| {
            for word in &given {
                if !known.contains(word) {
                    faults.push(
                        Fault::new(
                            stage.body_span,
                            format!(
                                "stage '{}': the wrapper '{name}' has no {what} '{word}'",
                                stage.name
                            ),
                        )
                        .suggest(word, known.iter().map(|word| word.as_str())),
                    );
                }
            }
            for word in required {
                if !given.contains(&word) {
                    faults.push(Fault::new(
                        stage.body_span,
                        format!(
                            "stage '{}': the wrapper '{name}' needs {what} '{word}'",
                            stage.name
                        ),
                    ));
                }
            }
        };
    let required = |needs: &BTreeMap<String, Need>| -> Vec<String> {
        needs
            .iter()
            .filter(|(_, need)| **need == Need::Required)
            .map(|(word, _)| word.clone())
            .collect()
    };
    tell(
        "parameter",
        stage.params.keys().collect(),
        wrapper.params.keys().collect(),
        Vec::new(),
    );
    let needed = required(&wrapper.inputs);
    tell(
        "input",
        stage.inputs.keys().collect(),
        wrapper.inputs.keys().collect(),
        needed.iter().collect(),
    );
    let needed = required(&wrapper.outputs);
    tell(
        "output",
        stage.outputs.keys().collect(),
        wrapper.outputs.keys().collect(),
        needed.iter().collect(),
    );
}

/// Names in a wrapper's templates must be parameters, inputs or outputs that the wrapper knows, or parameters of the flow.
fn check_templates(
    flow: &Flow,
    wrapper: &Wrapper,
    name: &str,
    stage: &crate::flow::Stage,
    faults: &mut Vec<Fault>,
) {
    let mut params = wrapper.params.clone();
    params.extend(
        stage
            .params
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    let scope = Scope {
        params: Some(&params),
        flow: Some(&flow.params),
        inputs: wrapper
            .inputs
            .keys()
            .map(|input| (input.clone(), Paths::default()))
            .collect(),
        outputs: wrapper
            .outputs
            .keys()
            .map(|output| (output.clone(), String::new()))
            .collect(),
        cpu: Some(1),
    };
    for (file, template) in wrapper.templates() {
        let mut found = Vec::new();
        scope.check_names(template, &mut found);
        let whole = format!("stage '{}': tool-wrappers/{name}/{file}", stage.name);
        faults.extend(
            found
                .into_iter()
                .map(|fault| fault.of(&whole).moved_to(stage.body_span)),
        );
    }
}

impl Project {
    /// The parameters that count: a wrapper's defaults with the stage's own over them.
    pub fn params(&self, id: StageId) -> BTreeMap<String, Json> {
        let stage = self.flow.stage(id);
        match &stage.body {
            Body::Wrapper(name) => {
                let mut params = self
                    .programs
                    .wrapper(&self.dir, name)
                    .map(|wrapper| wrapper.params.clone())
                    .unwrap_or_default();
                params.extend(
                    stage
                        .params
                        .iter()
                        .map(|(name, value)| (name.clone(), value.clone())),
                );
                params
            }
            _ => stage.params.clone(),
        }
    }

    /// What a plugin or wrapper is, for the key; `None` for commands.
    ///
    /// # Errors
    /// A program is missing.
    pub(super) fn identity(&self, id: StageId) -> Result<Option<Runs>, Problem> {
        match &self.flow.stage(id).body {
            Body::Uses(name) => self.plugin_identity(name).map(Some),
            Body::Wrapper(name) => self.wrapper_identity(name).map(Some),
            Body::Shell(_) | Body::Argv(_) => Ok(None),
        }
    }

    fn plugin_identity(&self, name: &str) -> Result<Runs, Problem> {
        if let Some(plugin) = self.flow.plugins.get(name) {
            let path = self.dir.join(&plugin.path);
            let (digest, _, _) = self.store.stat.digest(&path).map_err(|error| {
                Problem::Input(format!("plugin '{name}': {}: {error}", plugin.path))
            })?;
            return Ok(Runs::Plugin {
                id: name.to_string(),
                digest: digest.to_string(),
                tools: BTreeMap::new(),
            });
        }
        let Some(stage) = plugins::find(name) else {
            return Err(Problem::Input(format!("there is no plugin '{name}'")));
        };
        let mut tools = BTreeMap::new();
        for tool in stage.tools() {
            let mut command = vec![tool.program.to_string()];
            command.extend(tool.version_args.iter().map(|word| (*word).to_string()));
            let identity = self.tools.identify(
                &self.store.stat,
                tool.program,
                &command,
                None,
                Get {
                    apt: Some(tool.apt),
                    hint: None,
                },
            )?;
            tools.insert(tool.program.to_string(), identity);
        }
        Ok(Runs::Plugin {
            id: name.to_string(),
            digest: plugins::digest(name).to_string(),
            tools,
        })
    }

    fn wrapper_identity(&self, name: &str) -> Result<Runs, Problem> {
        let wrapper = self
            .programs
            .wrapper(&self.dir, name)
            .map_err(Problem::Input)?;
        // The stat cache hears of them too, so that a later look can pass over what did not change.
        for file in wrapper.read.digests.keys() {
            let _ = self.store.stat.digest(&wrapper.folder.join(file));
        }
        let mut tools: BTreeMap<String, ToolIdentity> = BTreeMap::new();
        for tool in &wrapper.tools {
            let identity = self.tools.identify(
                &self.store.stat,
                &tool.program,
                &tool.version,
                tool.min.as_deref(),
                Get {
                    apt: tool.apt.as_deref(),
                    hint: tool.hint.as_deref(),
                },
            )?;
            tools.insert(tool.program.clone(), identity);
        }
        Ok(Runs::Wrapper {
            name: name.to_string(),
            files: wrapper.read.digests.clone(),
            tools,
        })
    }
}
