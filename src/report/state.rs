//! The state of each stage in one word, and the first reason for it.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::events::{read_journal, Event};
use crate::exec::{Plan, Problem, Project, Verdict};
use crate::flow::{Body, StageId};
use crate::gate::judge;
use crate::key::Reason;
use crate::store::{holder, State};

use super::why::Explainer;

/// The words are part of the command line's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageState {
    Fresh,
    Stale,
    NeverRan,
    Running,
    Failed,
    Blocked,
    ToolMissing,
}

impl StageState {
    pub fn word(self) -> &'static str {
        match self {
            StageState::Fresh => "fresh",
            StageState::Stale => "stale",
            StageState::NeverRan => "never-ran",
            StageState::Running => "running",
            StageState::Failed => "failed",
            StageState::Blocked => "blocked",
            StageState::ToolMissing => "tool-missing",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct StageStatus {
    pub id: StageId,
    pub state: StageState,
    pub reasons: Vec<Reason>,
}

/// The states of all planned stages, in the plan's order of the flow file.
pub fn states(
    project: &Project,
    state: &State,
    plan: &Plan,
    order: &[StageId],
) -> Vec<StageStatus> {
    let running = running_stages(project);
    let mut explainer = Explainer::new(project, state, plan);
    let mut found: HashMap<StageId, StageState> = HashMap::new();
    let mut statuses = Vec::new();
    for id in order {
        let stage = project.flow.stage(*id);
        let reasons = explainer.reasons(*id);
        let verdict = plan.get(id);
        let history = state.history(&stage.name);
        let blocked = project.graph.upstream(*id).any(|from| {
            matches!(
                found.get(&from),
                Some(StageState::Failed | StageState::Blocked | StageState::ToolMissing)
            ) || gate_holds_back(project, plan, from)
        });
        let word = if running.contains(&stage.name) {
            StageState::Running
        } else if matches!(verdict, Some(Verdict::Fresh { .. })) {
            StageState::Fresh
        } else if matches!(verdict, Some(Verdict::Problem(Problem::Missing(_))))
            || program_missing(project, *id)
        {
            StageState::ToolMissing
        } else if history.is_some_and(|history| history.failure.is_some()) {
            StageState::Failed
        } else if blocked {
            StageState::Blocked
        } else if history.is_none_or(|history| history.good.is_empty()) {
            StageState::NeverRan
        } else {
            StageState::Stale
        };
        found.insert(*id, word);
        statuses.push(StageStatus {
            id: *id,
            state: word,
            reasons,
        });
    }
    statuses
}

/// Whether a gate of the stage fails and does not say `on-fail: continue`.
fn gate_holds_back(project: &Project, plan: &Plan, id: StageId) -> bool {
    match plan.get(&id) {
        Some(Verdict::Fresh { action, .. }) => {
            judge(&project.flow.stage(id).gates, &action.metrics)
                .iter()
                .any(|gate| !gate.continues)
        }
        _ => false,
    }
}

/// Whether an argument list names a program that is not there. Its key does not depend on that.
fn program_missing(project: &Project, id: StageId) -> bool {
    match &project.flow.stage(id).body {
        Body::Argv(words) => words.first().is_some_and(|word| {
            word.literal && !word.text.contains('/') && project.tools.find(&word.text).is_none()
        }),
        _ => false,
    }
}

/// Stages that a living run has started and not finished.
fn running_stages(project: &Project) -> HashSet<String> {
    let Some(run) = holder(project.store.root()).and_then(|holder| holder.run) else {
        return HashSet::new();
    };
    let mut running = HashSet::new();
    for event in read_journal(&project.store.runs().join(run)) {
        match event {
            Event::StageStarted { stage, .. } => {
                running.insert(stage);
            }
            Event::StageFinished { stage, .. } => {
                running.remove(&stage);
            }
            _ => {}
        }
    }
    running
}
