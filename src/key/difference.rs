//! The typed difference of two pre-images, and the reasons it gives for running a stage.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{InputContent, OutputPlace, Preimage, Runs, ToolIdentity, Via};

/// Kinds of reasons; their words are part of the command line's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonKind {
    NeverRan,
    InputChanged,
    InputAdded,
    InputRemoved,
    ParamChanged,
    CommandChanged,
    PluginChanged,
    ToolChanged,
    EnvChanged,
    OutputsChanged,
    Invalidated,
    FailedLastTime,
    UpstreamWillRun,
}

impl ReasonKind {
    pub fn word(self) -> &'static str {
        match self {
            ReasonKind::NeverRan => "never-ran",
            ReasonKind::InputChanged => "input-changed",
            ReasonKind::InputAdded => "input-added",
            ReasonKind::InputRemoved => "input-removed",
            ReasonKind::ParamChanged => "param-changed",
            ReasonKind::CommandChanged => "command-changed",
            ReasonKind::PluginChanged => "plugin-changed",
            ReasonKind::ToolChanged => "tool-changed",
            ReasonKind::EnvChanged => "env-changed",
            ReasonKind::OutputsChanged => "outputs-changed",
            ReasonKind::Invalidated => "invalidated",
            ReasonKind::FailedLastTime => "failed-last-time",
            ReasonKind::UpstreamWillRun => "upstream-will-run",
        }
    }
}

/// One reason why a stage would run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reason {
    pub kind: ReasonKind,
    /// The input, parameter, tool, variable, output or stage it is about.
    pub subject: String,
    /// The file, relative to the flow file.
    pub path: Option<String>,
    pub old: Json,
    pub new: Json,
    /// Outputs from the root to the nearest one upstream.
    pub via: Via,
}

impl Reason {
    pub fn new(kind: ReasonKind, subject: impl Into<String>, old: Json, new: Json) -> Reason {
        Reason {
            kind,
            subject: subject.into(),
            path: None,
            old,
            new,
            via: Via::default(),
        }
    }
}

/// Everything in which two pre-images differ. `path` holds the path as the stage sees it; the caller knows the source.
pub fn difference(old: &Preimage, new: &Preimage) -> Vec<Reason> {
    // Both are taken apart whole, so that a new field must be decided here.
    let Preimage {
        format: _,
        runs: old_runs,
        params,
        flow,
        env,
        inputs,
        outputs,
        platform,
    } = old;
    let mut reasons = Vec::new();
    inputs_difference(inputs, &new.inputs, &mut reasons);
    params_difference(params, &new.params, "", &mut reasons);
    params_difference(flow, &new.flow, "flow.", &mut reasons);
    runs_difference(old_runs, &new.runs, &mut reasons);
    for name in names(env, &new.env) {
        let (before, after) = (env.get(name), new.env.get(name));
        if before.cloned().flatten() != after.cloned().flatten()
            || before.is_some() != after.is_some()
        {
            let json = |value: Option<&Option<String>>| {
                value.cloned().flatten().map_or(Json::Null, Json::from)
            };
            reasons.push(Reason::new(
                ReasonKind::EnvChanged,
                name,
                json(before),
                json(after),
            ));
        }
    }
    outputs_difference(outputs, &new.outputs, &mut reasons);
    if *platform != new.platform {
        let json = |value: &Option<String>| value.clone().map_or(Json::Null, Json::from);
        reasons.push(Reason::new(
            ReasonKind::EnvChanged,
            "platform",
            json(platform),
            json(&new.platform),
        ));
    }
    reasons
}

fn names<'a, T>(
    old: &'a BTreeMap<String, T>,
    new: &'a BTreeMap<String, T>,
) -> BTreeSet<&'a String> {
    old.keys().chain(new.keys()).collect()
}

fn inputs_difference(
    old: &BTreeMap<String, InputContent>,
    new: &BTreeMap<String, InputContent>,
    reasons: &mut Vec<Reason>,
) {
    let nothing = InputContent {
        many: false,
        files: BTreeMap::new(),
    };
    for name in names(old, new) {
        let (before, after) = (
            old.get(name).unwrap_or(&nothing),
            new.get(name).unwrap_or(&nothing),
        );
        if before == after {
            continue;
        }
        let single = |content: &InputContent| content.files.len() == 1 && !content.many;
        if single(before) && single(after) {
            let (Some((_, old)), Some((path, new))) =
                (before.files.iter().next(), after.files.iter().next())
            else {
                continue;
            };
            let mut reason = Reason::new(
                ReasonKind::InputChanged,
                name,
                Json::from(old.as_str()),
                Json::from(new.as_str()),
            );
            reason.path = Some(path.clone());
            reasons.push(reason);
            continue;
        }
        let count = reasons.len();
        for path in names(&before.files, &after.files) {
            let (old, new) = (before.files.get(path), after.files.get(path));
            let kind = match (old, new) {
                (Some(old), Some(new)) if old == new => continue,
                (Some(_), Some(_)) => ReasonKind::InputChanged,
                (None, _) => ReasonKind::InputAdded,
                (_, None) => ReasonKind::InputRemoved,
            };
            let json = |digest: Option<&String>| {
                digest.map_or(Json::Null, |digest| Json::from(digest.as_str()))
            };
            let mut reason = Reason::new(kind, name, json(old), json(new));
            reason.path = Some(path.clone());
            reasons.push(reason);
        }
        if reasons.len() == count {
            // The same file as a list of one instead of alone, or the other way.
            reasons.push(Reason::new(
                ReasonKind::InputChanged,
                name,
                Json::from(if before.many { "list" } else { "one file" }),
                Json::from(if after.many { "list" } else { "one file" }),
            ));
        }
    }
}

fn params_difference(
    old: &BTreeMap<String, Json>,
    new: &BTreeMap<String, Json>,
    prefix: &str,
    reasons: &mut Vec<Reason>,
) {
    for name in names(old, new) {
        let (before, after) = (old.get(name), new.get(name));
        if before != after {
            reasons.push(Reason::new(
                ReasonKind::ParamChanged,
                format!("{prefix}{name}"),
                before.cloned().unwrap_or(Json::Null),
                after.cloned().unwrap_or(Json::Null),
            ));
        }
    }
}

fn runs_difference(old: &Runs, new: &Runs, reasons: &mut Vec<Reason>) {
    if old == new {
        return;
    }
    match (old, new) {
        (
            Runs::Plugin { id, digest, tools },
            Runs::Plugin {
                id: new_id,
                digest: new_digest,
                tools: new_tools,
            },
        ) if id == new_id => {
            if digest != new_digest {
                reasons.push(Reason::new(
                    ReasonKind::PluginChanged,
                    id,
                    Json::from(digest.as_str()),
                    Json::from(new_digest.as_str()),
                ));
            }
            tools_difference(tools, new_tools, reasons);
        }
        (
            Runs::Wrapper { name, files, tools },
            Runs::Wrapper {
                name: new_name,
                files: new_files,
                tools: new_tools,
            },
        ) if name == new_name => {
            for file in names(files, new_files) {
                let (before, after) = (files.get(file), new_files.get(file));
                if before != after {
                    let json = |digest: Option<&String>| {
                        digest.map_or(Json::Null, |digest| Json::from(digest.as_str()))
                    };
                    let mut reason =
                        Reason::new(ReasonKind::PluginChanged, name, json(before), json(after));
                    reason.path = Some(format!("tool-wrappers/{name}/{file}"));
                    reasons.push(reason);
                }
            }
            tools_difference(tools, new_tools, reasons);
        }
        _ => reasons.push(Reason::new(
            ReasonKind::CommandChanged,
            "run",
            shown(old),
            shown(new),
        )),
    }
}

fn shown(runs: &Runs) -> Json {
    match runs {
        Runs::Shell(command) => Json::from(command.as_str()),
        Runs::Argv(words) => Json::from(words.clone()),
        Runs::Plugin { id, .. } => Json::from(format!("uses: {id}")),
        Runs::Wrapper { name, .. } => Json::from(format!("wrapper: {name}")),
    }
}

fn tools_difference(
    old: &BTreeMap<String, ToolIdentity>,
    new: &BTreeMap<String, ToolIdentity>,
    reasons: &mut Vec<Reason>,
) {
    for name in names(old, new) {
        let (before, after) = (old.get(name), new.get(name));
        if before == after {
            continue;
        }
        let same_version = before.map(|tool| &tool.version) == after.map(|tool| &tool.version);
        let json = |tool: Option<&ToolIdentity>| match tool {
            None => Json::Null,
            Some(tool) if same_version => Json::from(tool.digest.as_str()),
            Some(tool) => Json::from(tool.version.as_str()),
        };
        reasons.push(Reason::new(
            ReasonKind::ToolChanged,
            name,
            json(before),
            json(after),
        ));
    }
}

fn outputs_difference(
    old: &BTreeMap<String, OutputPlace>,
    new: &BTreeMap<String, OutputPlace>,
    reasons: &mut Vec<Reason>,
) {
    for name in names(old, new) {
        let (before, after) = (old.get(name), new.get(name));
        if before == after {
            continue;
        }
        let same_path = before.map(|place| &place.path) == after.map(|place| &place.path);
        let json = |place: Option<&OutputPlace>| match place {
            None => Json::Null,
            Some(place) if same_path => place.digest.clone().map_or(Json::Null, Json::from),
            Some(place) => Json::from(place.path.as_str()),
        };
        reasons.push(Reason::new(
            ReasonKind::OutputsChanged,
            name,
            json(before),
            json(after),
        ));
    }
}
