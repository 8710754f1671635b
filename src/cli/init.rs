//! `nanoflow init`

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::plugins;

use super::output::{print, print_json};
use super::{CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to begin with
    #[arg(value_name = "TEMPLATE", default_value = "empty")]
    pub template: Template,
    /// Write over files that are there
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Template {
    /// Two small stages to change into your own
    Empty,
    /// Your own Verilog to a checked chip layout
    RtlToGds,
    /// The flow that ships: from a text to a GPT to a chip layout
    Gpt,
}

const EMPTY: &str = "\
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

impl Template {
    fn files(self) -> Vec<(&'static str, &'static [u8])> {
        match self {
            Template::Empty => vec![("flow.yaml", EMPTY.as_bytes())],
            Template::RtlToGds => plugins::template("rtl-to-gds"),
            Template::Gpt => plugins::template("gpt"),
        }
    }

    /// What to do next.
    fn hint(self) -> &'static str {
        match self {
            Template::Empty => "'nanoflow run' brings it up to date",
            Template::RtlToGds => {
                "put your design into rtl/ and name its top module in flow.yaml; 'nanoflow run --setup' runs it"
            }
            Template::Gpt => "'nanoflow run --setup' runs it",
        }
    }
}

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    let files = arguments.template.files();
    if files.is_empty() {
        return Err(CliError::Usage(
            "this nanoflow was built without the stages that the template uses\nhint: 'nanoflow init empty' begins with two small commands".to_string(),
        ));
    }
    let folder = global.file.parent().unwrap_or(Path::new(""));
    let places: Vec<(PathBuf, &[u8])> = files
        .into_iter()
        .map(|(path, bytes)| match path {
            "flow.yaml" => (global.file.clone(), bytes),
            path => (folder.join(path), bytes),
        })
        .collect();
    if let Some((path, _)) = places.iter().find(|(path, _)| path.exists()) {
        if !arguments.force {
            return Err(CliError::Usage(format!(
                "{} is there already; nothing was written\nhint: --force writes over it",
                path.display()
            )));
        }
    }
    for (path, bytes) in &places {
        let written = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(path, bytes));
        written.map_err(|error| CliError::Usage(format!("{}: {error}", path.display())))?;
    }
    if global.json {
        let paths: Vec<&PathBuf> = places.iter().map(|(path, _)| path).collect();
        print_json(&json!({ "written": paths }));
    } else if !global.quiet {
        let others = match places.len() - 1 {
            0 => String::new(),
            count => format!(" and {count} files that it uses"),
        };
        print(&format!(
            "wrote {}{others}; {}\n",
            global.file.display(),
            arguments.template.hint()
        ));
    }
    Ok(0)
}
