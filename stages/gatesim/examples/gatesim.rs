//! Runs the stage on its own: `gatesim REQUEST.json`.
fn main() -> std::process::ExitCode {
    nanoflow_sdk::main(nanoflow_stage_gatesim::stage())
}
