//! `nanoflow graph`

use super::output::print;
use super::{CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stages, groups or aliases; all stages if none is given
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// How to draw it; JSON with --json
    #[arg(long, value_name = "FORMAT", default_value = "dot")]
    pub format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Dot,
    Mermaid,
    Svg,
    Json,
}

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    let project = global.open()?;
    let targets = project.targets(&arguments.targets)?;
    let shown = project.graph.closure(&targets);
    let format = if global.json {
        Format::Json
    } else {
        arguments.format
    };
    let text = match format {
        Format::Dot => crate::graph::dot(&project.flow, &shown),
        Format::Mermaid => crate::graph::mermaid(&project.flow, &shown),
        Format::Svg => crate::graph::svg(&project.flow, &project.graph, &shown),
        Format::Json => format!("{}\n", crate::graph::json(&project.flow, &shown)),
    };
    print(&text);
    Ok(0)
}
