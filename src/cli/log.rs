//! `nanoflow log`

use serde_json::json;

use crate::exec::{log_path, Project};
use crate::flow::StageId;
use crate::store::{holder, State};

use super::output::{print_bytes, print_json};
use super::{CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A stage or alias
    pub stage: String,
}

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    let project = global.open()?;
    let id = super::one_stage(&project, &arguments.stage)?;
    let name = &project.flow.stage(id).name;
    let (run, bytes) = last_log(&project, id).ok_or_else(|| {
        CliError::Failed(format!(
            "stage '{name}' has not run yet, so there is no log"
        ))
    })?;
    if global.json {
        print_json(&json!({ "stage": name, "run": run, "log": String::from_utf8_lossy(&bytes) }));
    } else {
        print_bytes(&bytes);
    }
    Ok(0)
}

/// Output of the last try: of the run that goes on, else of a failed one, else of the last good one.
fn last_log(project: &Project, id: StageId) -> Option<(String, Vec<u8>)> {
    let name = &project.flow.stage(id).name;
    let read = |run: &str| {
        Some((
            run.to_string(),
            std::fs::read(log_path(project, run, name)).ok()?,
        ))
    };
    let going_on = holder(project.store.root())
        .and_then(|holder| holder.run)
        .and_then(|run| read(&run));
    if going_on.is_some() {
        return going_on;
    }
    let state = State::load(project.store.root());
    let history = state.history(name)?;
    if let Some(failure) = &history.failure {
        if let Some(found) = read(&failure.run) {
            return Some(found);
        }
    }
    let good = history.last()?;
    if let Some(found) = read(&good.run) {
        return Some(found);
    }
    // The run's folder is gone; the log is kept with the result.
    let action = project.store.action(&good.key)?;
    let bytes = match action.log {
        Some(digest) => std::fs::read(project.store.object_path(&digest)).ok()?,
        None => Vec::new(),
    };
    Some((good.run.clone(), bytes))
}
