//! `nanoflow status`

use std::collections::BTreeSet;

use serde_json::json;

use crate::exec::plan;
use crate::exec::snapshot::{self, Looked};
use crate::key::Reason;
use crate::report::{states, tell, Running, StageState};
use crate::store::{holder, State};

use super::output::{print, print_json, table};
use super::{CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stages, groups or aliases; all stages if none is given
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
}

/// What is told of one stage.
struct Row {
    stage: String,
    state: StageState,
    reason: Option<Reason>,
    running: Option<Running>,
}

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    let rows = match all_fresh(global, arguments) {
        Some(rows) => rows,
        None => look_closely(global, arguments)?,
    };
    if global.json {
        let stages: Vec<_> = rows
            .iter()
            .map(|row| {
                let mut stage =
                    json!({ "stage": row.stage, "state": row.state, "reason": row.reason });
                if let Some(running) = &row.running {
                    stage["running"] = json!(running);
                }
                stage
            })
            .collect();
        print_json(&json!({ "stages": stages }));
        return Ok(0);
    }
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            let reason = match &row.running {
                Some(running) => running.tell(),
                None => row.reason.as_ref().map(tell).unwrap_or_default(),
            };
            vec![row.stage, row.state.word().to_string(), reason]
        })
        .collect();
    print(&table(&rows));
    Ok(0)
}

/// All stages, if a look at the last run's snapshot shows that each is fresh and none is running.
fn all_fresh(global: &Global, arguments: &Args) -> Option<Vec<Row>> {
    // With targets only these are told, and the snapshot does not say which they are.
    if !arguments.targets.is_empty() {
        return None;
    }
    let question = global.question(&[])?;
    let (base, root) = global.folders();
    if !question.asked_before(&root) || holder(&root).is_some() {
        return None;
    }
    let Looked::Clean(clean) = snapshot::look(&base, &root, &question, false) else {
        return None;
    };
    let rows = clean.names()?.into_iter().map(|stage| Row {
        stage,
        state: StageState::Fresh,
        reason: None,
        running: None,
    });
    Some(rows.collect())
}

fn look_closely(global: &Global, arguments: &Args) -> Result<Vec<Row>, CliError> {
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
    let rows = statuses.into_iter().map(|status| Row {
        stage: project.flow.stage(status.id).name.clone(),
        state: status.state,
        reason: status.reasons.into_iter().next(),
        running: status.running,
    });
    Ok(rows.collect())
}
