//! `nanoflow completions`

use clap::CommandFactory;

use super::output::print_bytes;
use super::{Cli, CliError};

#[derive(Debug, clap::Args)]
pub struct Args {
    pub shell: clap_complete::Shell,
}

pub fn main(arguments: &Args) -> Result<u8, CliError> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "nanoflow", &mut text);
    print_bytes(&text);
    Ok(0)
}
