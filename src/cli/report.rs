//! `nanoflow report`

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::json;

use crate::exec::plan;
use crate::report::{render, Page};
use crate::store::State;

use super::output::{print, print_json};
use super::{CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stages, groups or aliases; all stages if none is given
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Where to write the page; '-' is standard output
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    pub output: PathBuf,
}

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    let project = global.open()?;
    let targets = project.targets(&arguments.targets)?;
    let order = project.graph.closure(&targets);
    project.check(&order)?;
    let state = State::load(project.store.root());
    let plan = plan(&project, &state, &order, &BTreeSet::new());
    let runs = super::runs::names(&project.store);
    let page = render(&Page::of(&project, &state, &plan, &order, &runs));
    if arguments.output.as_os_str() == "-" && !global.json {
        print(&page);
        return Ok(0);
    }
    std::fs::write(&arguments.output, &page)
        .map_err(|error| CliError::Usage(format!("{}: {error}", arguments.output.display())))?;
    if global.json {
        print_json(&json!({ "report": arguments.output, "bytes": page.len() }));
    } else if !global.quiet {
        print(&format!("wrote {}\n", arguments.output.display()));
    }
    Ok(0)
}
