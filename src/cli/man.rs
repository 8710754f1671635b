//! `nanoflow man`

use std::path::PathBuf;

use clap::CommandFactory;

use super::output::print;
use super::{Cli, CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to write the pages, such as ~/.local/share/man/man1
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    let fault =
        |error: std::io::Error| CliError::Usage(format!("{}: {error}", arguments.folder.display()));
    std::fs::create_dir_all(&arguments.folder).map_err(fault)?;
    clap_mangen::generate_to(Cli::command(), &arguments.folder).map_err(fault)?;
    if !global.quiet && !global.json {
        print(&format!(
            "wrote the manual pages to {}; 'man -M {} nanoflow' shows the first if they lie in its folder man1\n",
            arguments.folder.display(),
            arguments.folder.parent().unwrap_or(&arguments.folder).display()
        ));
    }
    Ok(0)
}
