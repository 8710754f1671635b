//! `nanoflow status`

use std::collections::BTreeSet;

use serde_json::json;

use crate::exec::plan;
use crate::report::{states, tell};
use crate::store::State;

use super::output::{print, print_json, table};
use super::{CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stages, groups or aliases; all stages if none is given
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
}

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    let project = global.open()?;
    let targets = project.targets(&arguments.targets)?;
    let order = project.graph.closure(&targets);
    project.check(&order)?;
    let state = State::load(project.store.root());
    let plan = plan(&project, &state, &order, &BTreeSet::new());
    let mut statuses = states(&project, &state, &plan, &order);
    if !arguments.targets.is_empty() {
        statuses.retain(|status| targets.contains(&status.id));
    }
    if global.json {
        let stages: Vec<_> = statuses
            .iter()
            .map(|status| {
                let mut stage = json!({
                    "stage": project.flow.stage(status.id).name,
                    "state": status.state,
                    "reason": status.reasons.first(),
                });
                if let Some(running) = &status.running {
                    stage["running"] = json!(running);
                }
                stage
            })
            .collect();
        print_json(&json!({ "stages": stages }));
        return Ok(0);
    }
    let rows: Vec<Vec<String>> = statuses
        .iter()
        .map(|status| {
            let reason = match &status.running {
                Some(running) => running.tell(),
                None => status.reasons.first().map(tell).unwrap_or_default(),
            };
            vec![
                project.flow.stage(status.id).name.clone(),
                status.state.word().to_string(),
                reason,
            ]
        })
        .collect();
    print(&table(&rows));
    Ok(0)
}
