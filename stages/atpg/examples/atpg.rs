//! Runs the stage on its own: `atpg REQUEST.json`.
fn main() -> std::process::ExitCode {
    nanoflow_sdk::main(nanoflow_stage_atpg::stage())
}
