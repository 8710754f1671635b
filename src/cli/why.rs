//! `nanoflow why`

use std::collections::BTreeSet;

use serde_json::json;

use crate::exec::plan;
use crate::report::{details, headline, states};
use crate::store::State;

use super::output::{print, print_json};
use super::{CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A stage or alias
    pub stage: String,
}

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    let project = global.open()?;
    let id = super::one_stage(&project, &arguments.stage)?;
    let order = project.graph.closure(&[id]);
    project.check(&order)?;
    let state = State::load(project.store.root());
    let plan = plan(&project, &state, &order, &BTreeSet::new());
    let statuses = states(&project, &state, &plan, &order);
    let Some(status) = statuses.into_iter().find(|status| status.id == id) else {
        return Ok(0);
    };
    let name = &project.flow.stage(id).name;
    if global.json {
        print_json(&json!({ "stage": name, "state": status.state, "reasons": status.reasons }));
        return Ok(0);
    }
    let mut text = format!("{}\n", headline(name, status.state, &status.reasons));
    for reason in &status.reasons {
        text.push_str(&details(reason));
    }
    print(&text);
    Ok(0)
}
