//! `nanoflow diff`

use std::fmt::Write as _;

use serde_json::json;

use crate::report::{cause, results, tell, RunDifference};
use crate::store::State;

use super::output::{print, print_json, table};
use super::{CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run, its first characters, or 'last'
    #[arg(value_name = "RUN")]
    pub old: String,
    /// A run, its first characters, or 'last'
    #[arg(value_name = "RUN")]
    pub new: String,
}

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    let project = global.open()?;
    let store = &project.store;
    let (old, new) = (
        super::runs::find(store, &arguments.old)?,
        super::runs::find(store, &arguments.new)?,
    );
    let state = State::load(store.root());
    let (before, after) = (results(store, &old), results(store, &new));
    let difference = RunDifference::of(&project, &state, &before, &after);
    if global.json {
        print_json(&json!({ "old": old, "new": new, "stages": difference.stages }));
    } else if difference.stages.is_empty() {
        print(&format!("{old} and {new} have the same results\n"));
    } else {
        print(&format!("{}{}", metrics(&difference), stages(&difference)));
    }
    Ok(0)
}

/// First what people look for: the metrics that moved, and what moved them.
fn metrics(difference: &RunDifference) -> String {
    let mut rows = Vec::new();
    for stage in &difference.stages {
        for (metric, moved) in &stage.metrics {
            let causes: Vec<String> = stage
                .reasons
                .iter()
                .map(|reason| cause(&stage.stage, reason))
                .collect();
            let because = match causes.as_slice() {
                [] => String::new(),
                [only] => format!("because {only}"),
                [first, rest @ ..] => format!("because {first}, and {} more", rest.len()),
            };
            rows.push(vec![
                format!("  {}", stage.stage),
                metric.clone(),
                moved.tell(),
                because,
            ]);
        }
    }
    if rows.is_empty() {
        return "no metric moved\n".to_string();
    }
    format!("metrics that moved\n{}", table(&rows))
}

fn stages(difference: &RunDifference) -> String {
    let mut text = String::from("stages\n");
    for stage in &difference.stages {
        let _ = writeln!(text, "  {}: {} → {}", stage.stage, stage.old, stage.new);
        for reason in &stage.reasons {
            let _ = writeln!(text, "    {}: {}", reason.kind.word(), tell(reason));
        }
        if !stage.outputs.is_empty() {
            let _ = writeln!(text, "    outputs changed: {}", stage.outputs.join(", "));
        }
    }
    text
}
