//! The stage as a program of its own: `liberty REQUEST.json`.

fn main() -> std::process::ExitCode {
    nanoflow_sdk::main(nanoflow_stage_liberty::stage())
}
