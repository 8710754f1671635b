//! From a stage to its key: the one way in which `run`, `status`, `why` and dry runs compute it; and the plan of a whole flow.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;

use crate::flow::quote::Language;
use crate::flow::template::{Paths, Scope};
use crate::flow::{Body, Input, SourceKind, Stage, StageId, Template};
use crate::key::{ActionKey, InputContent, OutputPlace, Preimage, Runs, FORMAT};
use crate::store::{encode_path, show_path, Action, Digest, Kind, OutputRecord, State};

use super::programs::Problem;
use super::tools::Missing;
use super::Project;

/// A stage whose key is known.
#[derive(Debug, Clone)]
pub struct Resolved {
    pub key: ActionKey,
    pub preimage: Preimage,
    /// The command's template, to tell a changed command from a changed parameter.
    pub template: Option<String>,
    pub staged: Vec<Staged>,
    /// Keys of the stages whose outputs it reads, by `stage.output`.
    pub upstream: BTreeMap<String, ActionKey>,
}

/// A file or directory that the stage finds in its work directory.
#[derive(Debug, Clone)]
pub struct Staged {
    pub input: String,
    /// In the work directory; a name that is no UTF-8 is staged in escaped form.
    pub path: String,
    pub from: StagedFrom,
    pub digest: String,
    pub kind: Kind,
}

#[derive(Debug, Clone)]
pub enum StagedFrom {
    /// Relative to the flow file.
    Source(PathBuf),
    Output {
        stage: StageId,
        output: String,
        record: OutputRecord,
    },
}

/// Where a stage stands.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// The result for today's content is there.
    Fresh {
        resolved: Box<Resolved>,
        action: Arc<Action>,
    },
    /// It would run.
    Run {
        resolved: Box<Resolved>,
    },
    /// It cannot be told before something upstream ran.
    Unknown,
    Problem(Problem),
}

/// Verdicts by stage, for the stages asked about.
pub type Plan = BTreeMap<StageId, Verdict>;

/// Where each stage of `order` stands; `forced` ones run whatever is known.
pub fn plan(
    project: &Project,
    state: &State,
    order: &[StageId],
    forced: &BTreeSet<StageId>,
) -> Plan {
    project
        .sources
        .read_ahead(&project.flow, order, &project.store.stat);
    let mut plan = Plan::new();
    for id in order {
        let upstream = |from: StageId| match plan.get(&from) {
            Some(Verdict::Fresh { action, .. }) => Some(action.clone()),
            _ => None,
        };
        let verdict = match resolve(project, *id, &upstream, None) {
            Err(problem) => Verdict::Problem(problem),
            Ok(None) => Verdict::Unknown,
            Ok(Some(resolved)) => {
                let stage = project.flow.stage(*id);
                let again = forced.contains(id)
                    || state
                        .history(&stage.name)
                        .is_some_and(|history| history.invalidated);
                match lookup(project, state, *id, &resolved).filter(|_| !again) {
                    Some(action) => Verdict::Fresh {
                        resolved: Box::new(resolved),
                        action,
                    },
                    None => match missing_program(project, stage, &resolved) {
                        Some(missing) => Verdict::Problem(Problem::Missing(missing)),
                        None => Verdict::Run {
                            resolved: Box::new(resolved),
                        },
                    },
                }
            }
        };
        plan.insert(*id, verdict);
    }
    plan
}

/// A program that the stage would start and that is not there. Its key does not depend on that, so a result that is known is
/// good without it.
fn missing_program(project: &Project, stage: &Stage, resolved: &Resolved) -> Option<Missing> {
    let bare = |program: &&str| match program.contains('/') {
        // What is relative lies in the work directory, of which nothing is known yet.
        true => program.starts_with('/') && !Path::new(program).exists(),
        false => project.tools.find(program).is_none(),
    };
    let program = match (&resolved.preimage.runs, &stage.body) {
        (Runs::Argv(words), _) => words.first().map(String::as_str).filter(bare)?.to_string(),
        (_, Body::Wrapper(name)) => {
            let wrapper = project.programs.wrapper(&project.dir, name).ok()?;
            let mut first = wrapper.read.steps.iter().filter_map(|step| step.first());
            first
                .find(|word| word.literal && bare(&word.text.as_str()))?
                .text
                .clone()
        }
        _ => return None,
    };
    Some(Missing::program(&program))
}

/// The whole result of a key, if the cache has it.
pub(super) fn lookup(
    project: &Project,
    state: &State,
    id: StageId,
    resolved: &Resolved,
) -> Option<Arc<Action>> {
    let store = &project.store;
    if let Some(action) = store.action_of(&resolved.preimage, &resolved.key) {
        let complete = resolved
            .preimage
            .outputs
            .keys()
            .all(|name| action.outputs.contains_key(name));
        if complete && action.outputs.values().all(|record| store.holds(record)) {
            return Some(action);
        }
        return None;
    }
    expected_content(project, state, id, resolved)
}

/// A stage all of whose outputs carry their expected digest needs no run when that content is there, whatever else changed: what
/// was fetched once is never fetched again.
fn expected_content(
    project: &Project,
    state: &State,
    id: StageId,
    resolved: &Resolved,
) -> Option<Arc<Action>> {
    let stage = project.flow.stage(id);
    if stage.outputs.is_empty() || stage.outputs.values().any(|output| output.digest.is_none()) {
        return None;
    }
    let mut outputs: BTreeMap<String, OutputRecord> = BTreeMap::new();
    for (name, output) in &stage.outputs {
        let digest = Digest::parse(output.digest.as_deref()?)?;
        outputs.insert(name.clone(), project.store.find(&digest, output.directory)?);
    }
    let history = state.history(&stage.name);
    let known = history.and_then(|history| {
        history
            .good
            .iter()
            .rev()
            .filter_map(|good| project.store.action(&good.key))
            .find(|action| action.outputs == outputs)
    });
    Some(Arc::new(Action {
        key: resolved.key.clone(),
        stage: stage.name.clone(),
        run: known
            .as_ref()
            .map(|action| action.run.clone())
            .unwrap_or_default(),
        outputs,
        metrics: known
            .as_ref()
            .map(|action| action.metrics.clone())
            .unwrap_or_default(),
        measured: known
            .as_ref()
            .map(|action| action.measured)
            .unwrap_or_default(),
        log: known.as_ref().and_then(|action| action.log),
        preimage: resolved.preimage.clone(),
    }))
}

/// Computes the key of a stage. `None` if an output that it reads is not known yet; with `assumed`, such an input is taken to
/// be what it was in that pre-image.
///
/// # Errors
/// A program is missing or a source cannot be read.
pub fn resolve(
    project: &Project,
    id: StageId,
    upstream: &dyn Fn(StageId) -> Option<Arc<Action>>,
    assumed: Option<&Preimage>,
) -> Result<Option<Resolved>, Problem> {
    let stage = project.flow.stage(id);
    let mut inputs: BTreeMap<String, InputContent> = BTreeMap::new();
    let mut staged = Vec::new();
    let mut keys = BTreeMap::new();
    for (name, input) in &stage.inputs {
        match gather(project, name, input, upstream, &mut keys)? {
            Some(parts) => {
                let files = parts
                    .iter()
                    .map(|part| (part.path.clone(), part.digest.clone()))
                    .collect();
                inputs.insert(
                    name.clone(),
                    InputContent {
                        many: input.many,
                        files,
                    },
                );
                staged.extend(parts);
            }
            None => match assumed {
                Some(preimage) => {
                    inputs.extend(
                        preimage
                            .inputs
                            .get(name)
                            .map(|content| (name.clone(), content.clone())),
                    );
                }
                None => return Ok(None),
            },
        }
    }
    let params = project.params(id);
    let outputs = stage
        .outputs
        .iter()
        .map(|(name, output)| {
            let slash = if output.directory { "/" } else { "" };
            (
                name.clone(),
                OutputPlace {
                    path: format!("{}{slash}", output.path),
                    digest: output.digest.clone(),
                },
            )
        })
        .collect();
    let runs = match project.identity(id)? {
        Some(runs) => runs,
        None => command(project, stage, &params, &inputs, None).map_err(Problem::Input)?,
    };
    let environment = project.flow.env.iter().map(|name| {
        (
            name.clone(),
            std::env::var_os(name).map(|v| encode_path(Path::new(&v))),
        )
    });
    let preimage = Preimage {
        format: FORMAT,
        runs,
        params,
        flow: flow_params(project, stage),
        env: environment.collect(),
        inputs,
        outputs,
        platform: stage
            .platform
            .then(|| format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)),
    };
    let template = match &stage.body {
        Body::Shell(template) => Some(template.text.clone()),
        Body::Argv(words) => Some(
            Json::from(
                words
                    .iter()
                    .map(|word| word.text.clone())
                    .collect::<Vec<_>>(),
            )
            .to_string(),
        ),
        _ => None,
    };
    Ok(Some(Resolved {
        key: preimage.key(),
        preimage,
        template,
        staged,
        upstream: keys,
    }))
}

/// Flow parameters that the stage's own templates name, a wrapper's included.
fn flow_params(project: &Project, stage: &Stage) -> BTreeMap<String, Json> {
    let all = &project.flow.params;
    let pick = |names: BTreeSet<&str>| -> BTreeMap<String, Json> {
        names
            .into_iter()
            .filter_map(|name| Some((name.to_string(), all.get(name)?.clone())))
            .collect()
    };
    let words: &[Template] = match &stage.body {
        Body::Shell(template) => std::slice::from_ref(template),
        Body::Argv(words) => words,
        Body::Wrapper(name) => {
            let wrapper = project.programs.wrapper(&project.dir, name);
            return match wrapper.as_ref().map(|wrapper| wrapper.flow_params()) {
                Ok(Some(names)) => pick(names),
                _ => all.clone(),
            };
        }
        Body::Uses(_) => &[],
    };
    let mut used = BTreeSet::new();
    for word in words {
        match word.flow_params() {
            Some(names) => used.extend(names),
            None => return all.clone(),
        }
    }
    pick(used)
}

/// The command with values put in. Without `cpu` the number of threads stands for itself, as it is not part of a key.
pub(super) fn command(
    project: &Project,
    stage: &Stage,
    params: &BTreeMap<String, Json>,
    inputs: &BTreeMap<String, InputContent>,
    cpu: Option<usize>,
) -> Result<Runs, String> {
    let scope = scope(project, stage, params, inputs, cpu);
    match &stage.body {
        Body::Shell(template) => Ok(Runs::Shell(template.render(&scope, Language::Shell)?)),
        Body::Argv(words) => Ok(Runs::Argv(render_words(words, &scope)?)),
        _ => Err("no command".to_string()),
    }
}

/// What a stage's templates see.
pub(super) fn scope<'a>(
    project: &'a Project,
    stage: &Stage,
    params: &'a BTreeMap<String, Json>,
    inputs: &BTreeMap<String, InputContent>,
    cpu: Option<usize>,
) -> Scope<'a> {
    Scope {
        params: Some(params),
        flow: Some(&project.flow.params),
        inputs: inputs
            .iter()
            .map(|(name, content)| {
                let paths = content.files.keys().cloned().collect();
                (
                    name.clone(),
                    Paths {
                        many: content.many,
                        paths,
                    },
                )
            })
            .collect(),
        outputs: stage
            .outputs
            .iter()
            .map(|(name, output)| (name.clone(), output.path.clone()))
            .collect(),
        cpu,
    }
}

/// Words of an argument list; one that is nothing but an input of several files becomes several words.
pub(super) fn render_words(words: &[Template], scope: &Scope<'_>) -> Result<Vec<String>, String> {
    let mut rendered = Vec::with_capacity(words.len());
    for word in words {
        let files = word
            .sole_name()
            .and_then(|name| name.strip_prefix("inputs."))
            .and_then(|name| scope.inputs.get(name));
        match files {
            Some(files) => rendered.extend(files.paths.iter().cloned()),
            None => rendered.push(word.render(scope, Language::Raw)?),
        }
    }
    Ok(rendered)
}

/// The parts of one input, ordered by their path in the work directory.
fn gather(
    project: &Project,
    name: &str,
    input: &Input,
    upstream: &dyn Fn(StageId) -> Option<Arc<Action>>,
    keys: &mut BTreeMap<String, ActionKey>,
) -> Result<Option<Vec<Staged>>, Problem> {
    // What stands for the part in a list, and the part.
    let mut parts: Vec<(PathBuf, Staged)> = Vec::new();
    for source in &input.sources {
        if let SourceKind::Output { stage, output } = &source.kind {
            let Some(action) = upstream(*stage) else {
                return Ok(None);
            };
            let owner = project.flow.stage(*stage);
            let Some(record) = action.outputs.get(output).copied() else {
                return Ok(None);
            };
            keys.insert(format!("{}.{output}", owner.name), action.key.clone());
            let declared = owner
                .outputs
                .get(output)
                .map(|place| place.path.clone())
                .unwrap_or_default();
            let staged = Staged {
                input: name.to_string(),
                path: String::new(),
                digest: record.digest.to_string(),
                kind: record.kind,
                from: StagedFrom::Output {
                    stage: *stage,
                    output: output.clone(),
                    record,
                },
            };
            parts.push((PathBuf::from(declared), staged));
            continue;
        }
        let files = project.sources.files(&source.kind).ok_or_else(|| {
            Problem::Input(format!(
                "input '{name}': a file that was there when the run began is gone"
            ))
        })?;
        for file in files.iter() {
            let content = project
                .store
                .source_content(&project.dir.join(file))
                .map_err(|error| Problem::Input(format!("input '{name}': {error}")))?;
            let staged = Staged {
                input: name.to_string(),
                path: String::new(),
                digest: content.digest.to_string(),
                kind: content.kind,
                from: StagedFrom::Source(file.clone()),
            };
            parts.push((file.clone(), staged));
        }
    }
    Ok(Some(place(name, input.many, parts)))
}

/// Gives every part its path in the work directory: the file's own name for a single input or one that lies elsewhere, names below
/// the flow's folder for many, numbered folders where several would have the same.
fn place(name: &str, many: bool, parts: Vec<(PathBuf, Staged)>) -> Vec<Staged> {
    let mut named: Vec<(String, Staged)> = parts
        .into_iter()
        .map(|(path, staged)| {
            // Where a checkout lies is no part of a key: of an absolute path only the name counts.
            let inner: PathBuf = if many && path.is_relative() {
                path.components()
                    .filter_map(|part| match part {
                        std::path::Component::Normal(part) => Some(PathBuf::from(part)),
                        std::path::Component::ParentDir => Some(PathBuf::from("up")),
                        _ => None,
                    })
                    .collect()
            } else {
                path.file_name()
                    .map(PathBuf::from)
                    .unwrap_or_else(|| PathBuf::from("folder"))
            };
            (show_path(&inner), staged)
        })
        .collect();
    // Numbers must not depend on the order of a list, nor on names and places of stages: parts of one name differ by content.
    named.sort_by(|(inner, staged), (other_inner, other)| {
        (inner, &staged.digest, staged.kind).cmp(&(other_inner, &other.digest, other.kind))
    });
    let crowded = crowded(
        &named
            .iter()
            .map(|(inner, _)| inner.clone())
            .collect::<Vec<_>>(),
    );
    let mut number = 0;
    let mut placed: Vec<Staged> = named
        .into_iter()
        .map(|(inner, staged)| {
            let path = if crowded.contains(&inner) {
                number += 1;
                format!("inputs/{name}/{number:03}/{inner}")
            } else {
                format!("inputs/{name}/{inner}")
            };
            Staged { path, ..staged }
        })
        .collect();
    placed.sort_by(|a, b| a.path.cmp(&b.path));
    placed
}

/// Paths that stand there twice, or lie inside one another.
fn crowded(paths: &[String]) -> BTreeSet<String> {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for path in paths {
        *count.entry(path).or_default() += 1;
    }
    let mut crowded = BTreeSet::new();
    for path in paths {
        if count.get(path.as_str()).is_some_and(|count| *count > 1) {
            crowded.insert(path.clone());
        }
        for (slash, _) in path.match_indices('/') {
            if count.contains_key(&path[..slash]) {
                crowded.insert(path[..slash].to_string());
                crowded.insert(path.clone());
            }
        }
    }
    crowded
}
