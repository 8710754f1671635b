//! `nanoflow init`

use super::output::print;
use super::{CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write over a flow file that is there
    #[arg(long)]
    pub force: bool,
}

const TEMPLATE: &str = "\
version: 1
name: my-flow
stages:
  hello:
    run: echo hello, {{ params.name }} > {{ outputs.greeting }}
    params: { name: world }
    outputs: { greeting: greeting.txt }
  count:
    run: wc -c < {{ inputs.text }} > {{ outputs.count }}
    inputs: { text: hello.greeting }
    outputs: { count: count.txt }
";

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    let path = &global.file;
    if path.exists() && !arguments.force {
        return Err(CliError::Usage(format!(
            "{} is there already\nhint: --force writes over it",
            path.display()
        )));
    }
    std::fs::write(path, TEMPLATE)
        .map_err(|error| CliError::Usage(format!("{}: {error}", path.display())))?;
    if !global.quiet && !global.json {
        print(&format!(
            "wrote {}; 'nanoflow run' brings it up to date\n",
            path.display()
        ));
    }
    Ok(0)
}
