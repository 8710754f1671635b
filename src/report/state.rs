//! The state of each stage in one word, and the first reason for it.

use std::collections::{HashMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::events::{read_live, read_timed_journal, Event, Reached};
use crate::exec::{Plan, Problem, Project, Verdict};
use crate::flow::StageId;
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
    pub running: Option<Running>,
}

/// A stage that a living run works on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Running {
    pub run: String,
    /// Since it started.
    pub seconds: f64,
    /// What it told last.
    pub progress: Option<Reached>,
}

impl Running {
    /// `12 s, 10/300 step, loss 2.31`
    pub fn tell(&self) -> String {
        let progress = self
            .progress
            .as_ref()
            .map(|reached| format!(", {}", reached.tell()))
            .unwrap_or_default();
        format!("for {:.0} s{progress}", self.seconds)
    }
}

/// The states of all planned stages, in the plan's order of the flow file.
pub fn states(
    project: &Project,
    state: &State,
    plan: &Plan,
    order: &[StageId],
) -> Vec<StageStatus> {
    let mut running = running(project);
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
        let word = if running.contains_key(&stage.name) {
            StageState::Running
        } else if matches!(verdict, Some(Verdict::Fresh { .. })) {
            StageState::Fresh
        } else if matches!(verdict, Some(Verdict::Problem(Problem::Missing(_)))) {
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
            running: running.remove(&stage.name),
        });
    }
    statuses
}

/// Stages that a run will not start, because a gate of something that they wait for fails and does not say `on-fail: continue`.
pub fn held_back(project: &Project, plan: &Plan, order: &[StageId]) -> HashSet<StageId> {
    let mut held = HashSet::new();
    for id in order {
        let mut upstream = project.graph.upstream(*id);
        if upstream.any(|from| held.contains(&from) || gate_holds_back(project, plan, from)) {
            held.insert(*id);
        }
    }
    held
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

/// Stages that a living run has started and not finished.
pub fn running(project: &Project) -> HashMap<String, Running> {
    let mut running = HashMap::new();
    let Some(run) = holder(project.store.root()).and_then(|holder| holder.run) else {
        return running;
    };
    let folder = project.store.runs().join(&run);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64());
    let mut begun = now;
    for (at, event) in read_timed_journal(&folder) {
        match event {
            Event::RunStarted { time, .. } => begun = time,
            Event::StageStarted { stage, .. } => {
                let stage_runs = Running {
                    run: run.clone(),
                    seconds: (now - begun - at).max(0.0),
                    progress: None,
                };
                running.insert(stage, stage_runs);
            }
            Event::StageFinished { stage, .. } => {
                running.remove(&stage);
            }
            _ => {}
        }
    }
    for (stage, reached) in read_live(&folder) {
        if let Some(running) = running.get_mut(&stage) {
            running.progress = Some(reached);
        }
    }
    running
}
