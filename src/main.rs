use std::process::ExitCode;

fn main() -> ExitCode {
    nanoflow::cli::main()
}
