//! `nanoflow invalidate`

use serde_json::json;

use crate::store::{State, StateLine};

use super::output::{print, print_json};
use super::{CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stages, groups or aliases
    #[arg(value_name = "STAGE", required = true)]
    pub stages: Vec<String>,
    /// Also everything that depends on them
    #[arg(long)]
    pub downstream: bool,
}

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    let project = global.open()?;
    let targets = project.targets(&arguments.stages)?;
    let chosen = if arguments.downstream {
        project.graph.dependents(&targets)
    } else {
        targets
    };
    let names: Vec<String> = chosen
        .iter()
        .map(|id| project.flow.stage(*id).name.clone())
        .collect();
    let mut state = State::load(project.store.root());
    state.append(
        names
            .iter()
            .map(|stage| StateLine::Invalidated {
                stage: stage.clone(),
            })
            .collect(),
    )?;
    if global.json {
        print_json(&json!({ "invalidated": names }));
    } else if !global.quiet {
        print(&format!("invalidated: {}\n", names.join(", ")));
    }
    Ok(0)
}
