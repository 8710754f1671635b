//! `nanoflow status`

use std::collections::BTreeSet;

use serde_json::json;

use crate::exec::plan;
use crate::exec::snapshot::{self, Looked};
use crate::key::Reason;
use crate::report::{states, tell, Running, StageState};
use crate::store::{holder, State};

use super::output::{print, print_json, push_cell, table};
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
    if let Some(text) = all_fresh(global, arguments) {
        print(&text);
        return Ok(0);
    }
    let rows = look_closely(global, arguments)?;
    if global.json {
        let stages: Vec<_> = rows
            .iter()
            .map(|row| {
                let mut stage = stage_json(&row.stage, row.state, row.reason.as_ref());
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

/// What is told of all stages, if a look at the last run's snapshot shows that each is fresh and none is running.
fn all_fresh(global: &Global, arguments: &Args) -> Option<String> {
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
    let lines = clean.lines()?;
    match global.json {
        true => fresh_json(&lines),
        false => fresh_table(&lines),
    }
}

fn stage_json(stage: &str, state: StageState, reason: Option<&Reason>) -> serde_json::Value {
    json!({ "stage": stage, "state": state, "reason": reason })
}

fn fresh_json(lines: &[u8]) -> Option<String> {
    let stages: Option<Vec<_>> = snapshot::stage_names(lines)
        .map(|name| Some(stage_json(&name?, StageState::Fresh, None)))
        .collect();
    Some(format!("{}\n", json!({ "stages": stages? })))
}

/// As [`table`] writes it. There may be a hundred thousand stages, so nothing is kept of each but its line.
fn fresh_table(lines: &[u8]) -> Option<String> {
    let (mut count, mut width) = (0, 0);
    for name in snapshot::stage_names(lines) {
        width = width.max(name?.chars().count());
        count += 1;
    }
    let word = StageState::Fresh.word();
    let mut out = String::with_capacity(count * (width + word.len() + 3));
    for name in snapshot::stage_names(lines) {
        push_cell(&mut out, &name?, width);
        out.push_str(word);
        out.push('\n');
    }
    Some(out)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_stages_are_told_as_any_are() {
        let names = ["a", "größer", "with_a_long_name", "b\\c", "d\"e"];
        let mut lines = String::new();
        for stage in names {
            let name = json!(stage);
            lines += &format!("{{\"event\":\"stage-finished\",\"stage\":{name},\"key\":\"00\"}}\n");
        }
        let rows = names.map(|name| vec![name.to_string(), "fresh".to_string(), String::new()]);
        assert_eq!(fresh_table(lines.as_bytes()), Some(table(&rows)));
        assert_eq!(fresh_table(b""), Some(table(&[])));
        lines += "{\"event\":\"stage-finished\",\"sta";
        assert_eq!(fresh_table(lines.as_bytes()), None);
        assert_eq!(fresh_json(lines.as_bytes()), None);
    }
}
