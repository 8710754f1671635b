//! `nanoflow sweep`

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{json, Value};

use crate::events::Events;
use crate::exec::{plan, Project, RunOptions, Verdict};
use crate::flow::sweep::{front, parse, Objective, Point, Sweep};
use crate::flow::{nearest, FlowFaults};
use crate::gate::Metric;
use crate::store::State;

use super::output::{print, print_json, table};
use super::{CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Points, targets and objectives, in YAML
    #[arg(value_name = "FILE")]
    pub sweep: PathBuf,
    /// How many processors to use; all if not given
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
}

/// What came of one point.
struct Outcome {
    exit: u8,
    /// One for each objective.
    metrics: Vec<Option<Metric>>,
}

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    let sweep = read(&arguments.sweep)?;
    // Faults in the flow or the names of the first point are told before anything runs.
    check_objectives(&global.open()?, &sweep.objectives)?;
    let mut outcomes = Vec::new();
    let mut exit = 0;
    for (number, point) in sweep.points.iter().enumerate() {
        let settings: Vec<String> = point
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !global.quiet && !global.json {
            let (number, count) = (number + 1, sweep.points.len());
            eprintln!("point {number} of {count}: {}", settings.join(" "));
        }
        let outcome = run(global, arguments, &sweep, settings)?;
        if outcome.exit >= 128 {
            return Ok(outcome.exit);
        }
        exit = worse(exit, outcome.exit);
        outcomes.push(outcome);
    }
    let values: Vec<Vec<Option<f64>>> = outcomes
        .iter()
        .map(|outcome| {
            let value = |metric: &Option<Metric>| metric.as_ref()?.value.as_f64();
            outcome.metrics.iter().map(value).collect()
        })
        .collect();
    let best = front(&sweep.objectives, &values);
    if global.json {
        print_json(&json!({ "points": rows(&sweep, &outcomes, &best) }));
    } else {
        print(&shown(&sweep, &outcomes, &best));
    }
    Ok(exit)
}

/// The exit code of several runs: the first of 5, 4, 1, 3 that some run ended with.
fn worse(one: u8, other: u8) -> u8 {
    const ORDER: [u8; 5] = [2, 5, 4, 1, 3];
    ORDER
        .into_iter()
        .find(|code| *code == one || *code == other)
        .unwrap_or(one.max(other))
}

fn read(path: &std::path::Path) -> Result<Sweep, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::Usage(format!("{}: {error}", path.display())))?;
    let mut faults = Vec::new();
    let sweep = parse(&text, &mut faults);
    if faults.is_empty() {
        return Ok(sweep);
    }
    Err(FlowFaults {
        file: path.display().to_string(),
        text,
        faults,
    }
    .into())
}

fn check_objectives(project: &Project, objectives: &[Objective]) -> Result<(), CliError> {
    for objective in objectives {
        if project.flow.find(&objective.stage).is_none() {
            let names = project.flow.stages.iter().map(|stage| stage.name.as_str());
            let hint = nearest(&objective.stage, names)
                .map(|near| format!("\nhint: did you mean '{near}'?"))
                .unwrap_or_default();
            return Err(CliError::Usage(format!(
                "an objective names the stage '{}', which is not there{hint}",
                objective.stage
            )));
        }
    }
    Ok(())
}

fn run(
    global: &Global,
    arguments: &Args,
    sweep: &Sweep,
    settings: Vec<String>,
) -> Result<Outcome, CliError> {
    let mut own = global.clone();
    own.settings.extend(settings);
    own.json = false;
    own.quiet = true;
    let project = Arc::new(own.open()?);
    let targets = project.targets(&sweep.targets)?;
    let order = project.graph.closure(&targets);
    project.check(&order)?;
    let options = RunOptions {
        jobs: arguments
            .jobs
            .map_or_else(super::run::processors, usize::from),
        keep_going: true,
        ..RunOptions::default()
    };
    let exit = super::run::bring(&own, &project, &order, options, true, Events::default())?;
    crate::signals::end_at_once();
    let state = State::load(project.store.root());
    let plan = plan(&project, &state, &order, &BTreeSet::new());
    let metrics = sweep
        .objectives
        .iter()
        .map(|objective| {
            let id = project.flow.find(&objective.stage)?;
            match plan.get(&id)? {
                Verdict::Fresh { action, .. } => action.metrics.get(&objective.metric).cloned(),
                _ => None,
            }
        })
        .collect();
    Ok(Outcome { exit, metrics })
}

fn rows(sweep: &Sweep, outcomes: &[Outcome], best: &[bool]) -> Vec<Value> {
    let rows = sweep.points.iter().zip(outcomes).zip(best);
    rows.map(|((point, outcome), best)| {
        let settings: serde_json::Map<String, Value> = point
            .iter()
            .map(|(name, value)| {
                let value = serde_json::from_str(value).unwrap_or_default();
                (name.clone(), value)
            })
            .collect();
        let metrics: Vec<Value> = sweep
            .objectives
            .iter()
            .zip(&outcome.metrics)
            .map(|(objective, metric)| {
                json!({
                    "stage": objective.stage, "metric": objective.metric,
                    "value": metric.as_ref().map(|metric| metric.value.clone()),
                    "unit": metric.as_ref().and_then(|metric| metric.unit.clone()),
                })
            })
            .collect();
        json!({ "settings": settings, "exit": outcome.exit, "metrics": metrics, "pareto": best })
    })
    .collect()
}

/// One line a point; a star marks those that no other one beats.
fn shown(sweep: &Sweep, outcomes: &[Outcome], best: &[bool]) -> String {
    let mut head = vec![" ".to_string()];
    let names: BTreeSet<&str> = sweep
        .points
        .iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    head.extend(names.iter().map(|name| (*name).to_string()));
    head.extend(
        sweep
            .objectives
            .iter()
            .map(|objective| format!("{}.{}", objective.stage, objective.metric)),
    );
    head.push("exit".to_string());
    let mut lines = vec![head];
    for ((point, outcome), best) in sweep.points.iter().zip(outcomes).zip(best) {
        let setting = |name: &str, point: &Point| {
            let found = point.iter().find(|(given, _)| given == name);
            found.map_or_else(|| "-".to_string(), |(_, value)| value.clone())
        };
        let mut line = vec![if *best { "*" } else { " " }.to_string()];
        line.extend(names.iter().map(|name| setting(name, point)));
        line.extend(outcome.metrics.iter().map(|metric| match metric {
            None => "-".to_string(),
            Some(metric) => metric.value.to_string(),
        }));
        line.push(outcome.exit.to_string());
        lines.push(line);
    }
    table(&lines)
}
