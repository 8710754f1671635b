//! `nanoflow stage PLUGIN REQUEST.json`: this program as a stage.

use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of a shipped plugin
    pub plugin: String,
    /// The request
    pub request: PathBuf,
}

pub fn main(arguments: &Args) -> ExitCode {
    match crate::plugins::find(&arguments.plugin) {
        Some(stage) => nanoflow_sdk::run_request(stage, &arguments.request),
        None => {
            eprintln!("error: there is no plugin '{}'", arguments.plugin);
            ExitCode::from(2)
        }
    }
}
