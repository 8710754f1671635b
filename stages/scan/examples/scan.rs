//! Runs the stage on its own: `scan REQUEST.json`.
fn main() -> std::process::ExitCode {
    nanoflow_sdk::main(nanoflow_stage_scan::stage())
}
