//! One HTML page about a flow: states, gates, metrics and their history, times, the graph. Self-contained: no script, nothing from
//! elsewhere; the same cache gives the same bytes.

mod chart;
mod html;

use std::collections::BTreeMap;

use crate::events::{read_journal, Event};
use crate::exec::{Plan, Project, Verdict};
use crate::flow::StageId;
use crate::gate::{judge, Metric};
use crate::graph::{self, Look};
use crate::key::ActionKey;
use crate::store::State;

use super::words::measured;
use super::{states, tell, StageState};

pub use html::render;

/// How many runs back the history of a metric goes.
const MOST_RUNS: usize = 50;

/// What the page shows.
#[derive(Debug, Default)]
pub struct Page {
    pub title: String,
    pub stages: Vec<StageRow>,
    pub gates: Vec<GateRow>,
    pub metrics: Vec<MetricRow>,
    /// Newest first.
    pub runs: Vec<RunRow>,
    /// The graph, drawn.
    pub graph: String,
}

#[derive(Debug)]
pub struct StageRow {
    pub name: String,
    pub state: StageState,
    pub reason: String,
    pub seconds: Option<f64>,
    pub peak_memory_bytes: Option<u64>,
    pub bytes: u64,
}

#[derive(Debug)]
pub struct GateRow {
    pub stage: String,
    pub metric: String,
    pub value: String,
    pub limits: String,
    pub holds: bool,
}

#[derive(Debug)]
pub struct MetricRow {
    pub stage: String,
    pub name: String,
    pub metric: Metric,
    /// One value for each run that had one, oldest first.
    pub history: Vec<f64>,
}

#[derive(Debug, Default, Clone)]
pub struct RunRow {
    pub run: String,
    pub command: String,
    pub exit: Option<u8>,
    pub executed: usize,
    pub cached: usize,
    pub failed: usize,
    pub gates_failed: usize,
    pub seconds: f64,
}

impl Page {
    /// Looks at the flow and its cache. `runs` are the names of all runs, oldest first.
    pub fn of(
        project: &Project,
        state: &State,
        plan: &Plan,
        order: &[StageId],
        runs: &[String],
    ) -> Page {
        let statuses = states(project, state, plan, order);
        let mut page = Page {
            title: project
                .flow
                .name
                .clone()
                .unwrap_or_else(|| project.file.clone()),
            ..Page::default()
        };
        let recent = &runs[runs.len().saturating_sub(MOST_RUNS)..];
        let mut history: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
        for run in recent {
            page.runs.insert(0, read_run(project, run, &mut history));
        }
        let mut looks: BTreeMap<StageId, Look> = BTreeMap::new();
        for status in &statuses {
            let stage = project.flow.stage(status.id);
            let action = match plan.get(&status.id) {
                Some(Verdict::Fresh { action, .. }) => Some(action.clone()),
                _ => state
                    .history(&stage.name)
                    .and_then(|history| history.last())
                    .and_then(|good| project.store.action(&good.key)),
            };
            let reason = match &status.running {
                Some(running) => running.tell(),
                None => status.reasons.first().map(tell).unwrap_or_default(),
            };
            looks.insert(
                status.id,
                Look {
                    class: status.state.word().to_string(),
                    title: reason.clone(),
                },
            );
            page.stages.push(StageRow {
                name: stage.name.clone(),
                state: status.state,
                reason,
                seconds: action.as_ref().map(|action| action.measured.seconds),
                peak_memory_bytes: action
                    .as_ref()
                    .map(|action| action.measured.peak_memory_bytes),
                bytes: action.as_ref().map_or(0, |action| {
                    action.outputs.values().map(|record| record.bytes).sum()
                }),
            });
            let Some(action) = action else { continue };
            page.add_gates(stage, &action.metrics);
            for (name, metric) in &action.metrics {
                page.metrics.push(MetricRow {
                    stage: stage.name.clone(),
                    name: name.clone(),
                    metric: metric.clone(),
                    history: history
                        .remove(&(stage.name.clone(), name.clone()))
                        .unwrap_or_default(),
                });
            }
        }
        page.graph = graph::svg_with(&project.flow, &project.graph, order, &looks);
        page
    }

    fn add_gates(&mut self, stage: &crate::flow::Stage, metrics: &crate::gate::Metrics) {
        for gate in &stage.gates {
            let failed = judge(std::slice::from_ref(gate), metrics);
            let metric = metrics.get(&gate.metric);
            let mut limits = Vec::new();
            limits.extend(gate.min.map(|min| format!("≥ {min}")));
            limits.extend(gate.max.map(|max| format!("≤ {max}")));
            self.gates.push(GateRow {
                stage: stage.name.clone(),
                metric: gate.metric.clone(),
                value: metric.map_or_else(|| "missing".to_string(), show),
                limits: limits.join(" and "),
                holds: failed.is_empty(),
            });
        }
    }
}

/// A metric's value and unit.
fn show(metric: &Metric) -> String {
    let value = measured(&metric.value);
    match metric.unit.as_deref().filter(|unit| !unit.is_empty()) {
        Some(unit) => format!("{value} {unit}"),
        None => value,
    }
}

/// What a run came to; its metrics are added to the history.
fn read_run(
    project: &Project,
    run: &str,
    history: &mut BTreeMap<(String, String), Vec<f64>>,
) -> RunRow {
    let mut row = RunRow {
        run: run.to_string(),
        ..RunRow::default()
    };
    for event in read_journal(&project.store.runs().join(run)) {
        match event {
            Event::RunStarted { command, .. } => row.command = command.join(" "),
            Event::StageFinished {
                stage,
                key: Some(key),
                ..
            } => {
                let Some(action) = project.store.action(&ActionKey(key)) else {
                    continue;
                };
                for (name, metric) in &action.metrics {
                    if let Some(value) = metric.value.as_f64() {
                        history
                            .entry((stage.clone(), name.clone()))
                            .or_default()
                            .push(value);
                    }
                }
            }
            Event::RunFinished {
                executed,
                cached,
                failed,
                gates_failed,
                seconds,
                exit,
                ..
            } => {
                row.executed = executed;
                row.cached = cached;
                row.failed = failed;
                row.gates_failed = gates_failed;
                row.seconds = seconds;
                row.exit = Some(exit);
            }
            _ => {}
        }
    }
    row
}
