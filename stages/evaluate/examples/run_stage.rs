//! Runs one stage of the model half without the orchestrator: `run_stage STAGE REQUEST.json`.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let stages = [
        nanoflow_stage_corpus::stage(),
        nanoflow_stage_train::stage(),
        nanoflow_stage_smoothquant::stage(),
        nanoflow_stage_prune::stage(),
        nanoflow_stage_evaluate::stage(),
        nanoflow_stage_evaluate::table_stage(),
    ];
    match arguments.as_slice() {
        [id, request] => match stages.iter().find(|stage| stage.id() == id) {
            Some(stage) => nanoflow_sdk::run_request(*stage, Path::new(request)),
            None => {
                eprintln!("no stage '{id}'");
                ExitCode::from(2)
            }
        },
        _ => {
            eprintln!("usage: run_stage STAGE REQUEST.json");
            ExitCode::from(2)
        }
    }
}
