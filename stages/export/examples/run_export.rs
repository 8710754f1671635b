//! Runs the stage without the orchestrator: `run_export REQUEST.json`.

fn main() -> std::process::ExitCode {
    nanoflow_sdk::main(nanoflow_stage_export::stage())
}
