//! What differs between two runs: how stages ended, which metrics moved, and the files, parameters and tools that moved them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value as Json;

use crate::events::{read_journal, Event, Outcome};
use crate::exec::Project;
use crate::flow::{SourceKind, StageId};
use crate::key::{difference, ActionKey, Reason, ReasonKind};
use crate::store::{Action, State, Store};

use super::words::measured;

/// A stage in a run.
#[derive(Debug, Clone)]
pub struct StageResult {
    pub outcome: Outcome,
    /// What it made, if that is still known.
    pub action: Option<Arc<Action>>,
    pub key: Option<ActionKey>,
}

/// Each stage of a run.
pub type Results = BTreeMap<String, StageResult>;

/// How the stages of a run ended and what they made, as far as it is still known.
pub fn results(store: &Store, run: &str) -> Results {
    let mut results = Results::new();
    for event in read_journal(&store.runs().join(run)) {
        if let Event::StageFinished {
            stage,
            outcome,
            key,
            ..
        } = event
        {
            let key = key.map(ActionKey);
            let action = key.as_ref().and_then(|key| store.action(key));
            results.insert(
                stage,
                StageResult {
                    outcome,
                    action,
                    key,
                },
            );
        }
    }
    results
}

/// A metric with another value than before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moved {
    pub old: Json,
    pub new: Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

impl Moved {
    /// `2.31 → 2.4 ns (+3.9 %)`
    pub fn tell(&self) -> String {
        let unit = self
            .unit
            .as_ref()
            .filter(|unit| !unit.is_empty())
            .map(|unit| format!(" {unit}"))
            .unwrap_or_default();
        let share = match (self.old.as_f64(), self.new.as_f64()) {
            (Some(old), Some(new)) if old != 0.0 => {
                format!(" ({:+.1} %)", (new - old) / old.abs() * 100.0)
            }
            _ => String::new(),
        };
        format!(
            "{} → {}{unit}{share}",
            measured(&self.old),
            measured(&self.new)
        )
    }
}

/// A stage that ended otherwise or made something else.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageDifference {
    pub stage: String,
    /// How it ended; `absent` if the run did not have it.
    pub old: String,
    pub new: String,
    /// Followed upstream to what moved it.
    pub reasons: Vec<Reason>,
    pub outputs: Vec<String>,
    pub metrics: BTreeMap<String, Moved>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunDifference {
    pub stages: Vec<StageDifference>,
}

impl RunDifference {
    /// Compares two runs of a flow. Today's flow only serves to order the stages and to choose among outputs with the same
    /// content, so runs from before an edit can be compared too.
    pub fn of(
        project: &Project,
        state: &State,
        before: &Results,
        after: &Results,
    ) -> RunDifference {
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let position: HashMap<&str, usize> = project
            .graph
            .order()
            .iter()
            .enumerate()
            .map(|(place, id)| (project.flow.stage(*id).name.as_str(), place))
            .collect();
        let mut names: Vec<&String> = names.into_iter().collect();
        names.sort_by_key(|name| (position.get(name.as_str()).copied().unwrap_or(0), *name));
        let moved = moved_outputs(before, after);
        let mut roots: HashMap<&str, Vec<Reason>> = HashMap::new();
        let mut stages = Vec::new();
        for name in names {
            let (a, b) = (before.get(name), after.get(name));
            let (old, new) = (word(a), word(b));
            let same_key = a.map(|side| &side.key) == b.map(|side| &side.key);
            let good = |word: &str| matches!(word, "executed" | "cached" | "remote");
            if same_key && (old == new || (good(&old) && good(&new))) {
                continue;
            }
            let mut entry = StageDifference {
                stage: name.clone(),
                old,
                new,
                reasons: Vec::new(),
                outputs: Vec::new(),
                metrics: BTreeMap::new(),
            };
            let actions = a
                .and_then(|side| side.action.as_ref())
                .zip(b.and_then(|side| side.action.as_ref()));
            if let Some((old, new)) = actions {
                let direct = commands(state, name, old, new);
                entry.reasons = follow(project, name, direct, &moved, &roots);
                roots.insert(name, entry.reasons.clone());
                entry.outputs = changed_outputs(old, new);
                entry.metrics = moved_metrics(old, new);
            }
            stages.push(entry);
        }
        RunDifference { stages }
    }
}

fn word(side: Option<&StageResult>) -> String {
    let outcome = side.and_then(|side| serde_json::to_value(side.outcome).ok());
    outcome
        .and_then(|word| word.as_str().map(str::to_string))
        .unwrap_or_else(|| "absent".to_string())
}

/// The difference of two results, where a command only counts as changed if its text in the flow file did: a value that was put
/// into it tells of itself.
fn commands(state: &State, stage: &str, old: &Action, new: &Action) -> Vec<Reason> {
    let mut reasons = difference(&old.preimage, &new.preimage);
    let template = |key: &ActionKey| {
        let good = &state.history(stage)?.good;
        good.iter().find(|good| good.key == *key)?.template.clone()
    };
    let others = reasons
        .iter()
        .any(|reason| reason.kind != ReasonKind::CommandChanged);
    match (template(&old.key), template(&new.key)) {
        (Some(old), Some(new)) => reasons.retain_mut(|reason| {
            if reason.kind == ReasonKind::CommandChanged {
                reason.old = Json::from(old.as_str());
                reason.new = Json::from(new.as_str());
                return old != new;
            }
            true
        }),
        // Results of so long ago that the text is not known any more.
        _ => reasons.retain(|reason| reason.kind != ReasonKind::CommandChanged || !others),
    }
    reasons
}

/// The outputs that went from one digest to another.
type MovedOutputs<'a> = HashMap<(String, String), Vec<(&'a str, &'a str)>>;

fn moved_outputs<'a>(before: &'a Results, after: &Results) -> MovedOutputs<'a> {
    let mut moved = MovedOutputs::new();
    for (stage, old) in before {
        let Some((old, new)) = old
            .action
            .as_ref()
            .zip(after.get(stage).and_then(|new| new.action.as_ref()))
        else {
            continue;
        };
        for (output, record) in &old.outputs {
            if let Some(new) = new.outputs.get(output) {
                if new.digest != record.digest {
                    moved
                        .entry((record.digest.to_string(), new.digest.to_string()))
                        .or_default()
                        .push((stage, output));
                }
            }
        }
    }
    moved
}

/// Puts the reasons of the stage that made an input in the place of that input's own.
fn follow(
    project: &Project,
    stage: &str,
    direct: Vec<Reason>,
    moved: &MovedOutputs<'_>,
    roots: &HashMap<&str, Vec<Reason>>,
) -> Vec<Reason> {
    let mut found: Vec<Reason> = Vec::new();
    let mut add = |reason: Reason| {
        let same = |known: &Reason| {
            (known.kind, &known.subject, &known.path)
                == (reason.kind, &reason.subject, &reason.path)
                && known.via.first() == reason.via.first()
        };
        if !found.iter().any(same) {
            found.push(reason);
        }
    };
    for mut reason in direct {
        let text = |value: &Json| value.as_str().unwrap_or_default().to_string();
        let makers = match reason.kind {
            ReasonKind::InputChanged => moved.get(&(text(&reason.old), text(&reason.new))),
            _ => None,
        };
        let maker = makers.and_then(|makers| {
            let read = |(from, output): &&(&str, &str)| reads(project, stage, from, output);
            let known = |(from, _): &&(&str, &str)| roots.contains_key(from);
            // A stage or an input that today's flow does not have read whatever went from and to the same content.
            let gone = !has_input(project, stage, &reason.subject);
            let other = || makers.iter().find(known).filter(|_| gone);
            makers.iter().find(read).or_else(other)
        });
        match maker {
            Some((from, output)) => {
                let via = format!("{from}.{output}");
                match roots.get(from).filter(|roots| !roots.is_empty()) {
                    Some(roots) => {
                        for mut root in roots.iter().cloned() {
                            root.via.push(via.clone());
                            add(root);
                        }
                    }
                    None => {
                        reason.path = None;
                        reason.via = via.into();
                        add(reason);
                    }
                }
            }
            None => {
                reason.path = reason
                    .path
                    .map(|path| source_path(project, stage, &reason.subject, path));
                add(reason);
            }
        }
    }
    found
}

fn has_input(project: &Project, stage: &str, input: &str) -> bool {
    let id = project.flow.find(stage);
    id.is_some_and(|id| project.flow.stage(id).inputs.contains_key(input))
}

/// Whether today's stage reads this output.
fn reads(project: &Project, stage: &str, from: &str, output: &str) -> bool {
    let (Some(id), Some(from)) = (project.flow.find(stage), project.flow.find(from)) else {
        return false;
    };
    project.flow.stage(id).inputs.values().any(|input| {
        input.sources.iter().any(|source| {
            matches!(&source.kind, SourceKind::Output { stage, output: read } if *stage == from && read == output)
        })
    })
}

/// The path below the flow's folder of a file that was staged under `path`.
fn source_path(project: &Project, stage: &str, input: &str, path: String) -> String {
    let id: Option<StageId> = project.flow.find(stage);
    let sources = id
        .and_then(|id| project.flow.stage(id).inputs.get(input))
        .map(|input| (input.many, input.sources.as_slice()));
    match sources {
        Some((false, [source])) => match &source.kind {
            SourceKind::Path(path) => path.clone(),
            _ => path,
        },
        _ => path
            .strip_prefix(&format!("inputs/{input}/"))
            .map(str::to_string)
            .unwrap_or(path),
    }
}

fn changed_outputs(old: &Action, new: &Action) -> Vec<String> {
    old.outputs
        .keys()
        .chain(new.outputs.keys())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter(|name| {
            old.outputs.get(*name).map(|record| record.digest)
                != new.outputs.get(*name).map(|record| record.digest)
        })
        .cloned()
        .collect()
}

fn moved_metrics(old: &Action, new: &Action) -> BTreeMap<String, Moved> {
    let mut moved = BTreeMap::new();
    for name in old
        .metrics
        .keys()
        .chain(new.metrics.keys())
        .collect::<BTreeSet<_>>()
    {
        let (before, after) = (old.metrics.get(name), new.metrics.get(name));
        let value = |metric: Option<&crate::gate::Metric>| {
            metric.map_or(Json::Null, |metric| metric.value.clone())
        };
        if value(before) != value(after) {
            moved.insert(
                name.clone(),
                Moved {
                    old: value(before),
                    new: value(after),
                    unit: after.or(before).and_then(|metric| metric.unit.clone()),
                },
            );
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_metric_tells_its_share() {
        let moved = |old: Json, new: Json, unit: &str| Moved {
            old,
            new,
            unit: Some(unit.to_string()),
        };
        assert_eq!(moved(json!(2), json!(3), "ns").tell(), "2 → 3 ns (+50.0 %)");
        assert_eq!(
            moved(json!(-2.0), json!(-3.0), "").tell(),
            "-2 → -3 (-50.0 %)"
        );
        assert_eq!(moved(json!(0), json!(3), "").tell(), "0 → 3");
        assert_eq!(moved(Json::Null, json!("inf"), "").tell(), "nothing → inf");
    }
}
