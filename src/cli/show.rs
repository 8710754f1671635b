//! `nanoflow show`

use serde_json::json;

use crate::flow::show_bytes;
use crate::store::State;

use super::output::{print, print_json, table};
use super::{CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A stage or alias
    pub stage: String,
}

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    let project = global.open()?;
    let id = super::one_stage(&project, &arguments.stage)?;
    let name = &project.flow.stage(id).name;
    let state = State::load(project.store.root());
    let action = state
        .history(name)
        .and_then(|history| {
            history
                .good
                .iter()
                .rev()
                .find_map(|good| project.store.action(&good.key))
        })
        .ok_or_else(|| CliError::Failed(format!("stage '{name}' has no result yet")))?;
    if global.json {
        let outputs: serde_json::Map<String, serde_json::Value> = action
            .outputs
            .iter()
            .map(|(name, record)| {
                (
                    name.clone(),
                    json!({ "digest": record.digest, "bytes": record.bytes, "kind": record.kind }),
                )
            })
            .collect();
        print_json(&json!({
            "stage": name,
            "key": action.key,
            "outputs": outputs,
            "metrics": action.metrics,
            "seconds": action.measured.seconds,
            "cpu_seconds": action.measured.cpu_seconds,
            "peak_memory_bytes": action.measured.peak_memory_bytes,
            "run": action.run,
        }));
        return Ok(0);
    }
    let mut text = format!(
        "{name}\n  key     {}\n  time    {:.2} s, {:.2} s of processor\n  memory  {}\n",
        action.key,
        action.measured.seconds,
        action.measured.cpu_seconds,
        show_bytes(action.measured.peak_memory_bytes)
    );
    let outputs: Vec<Vec<String>> = action
        .outputs
        .iter()
        .map(|(output, record)| {
            vec![
                format!("  {output}"),
                show_bytes(record.bytes),
                record.digest.to_string(),
            ]
        })
        .collect();
    let metrics: Vec<Vec<String>> = action
        .metrics
        .iter()
        .map(|(metric, value)| {
            vec![
                format!("  {metric}"),
                value.value.to_string(),
                value.unit.clone().unwrap_or_default(),
            ]
        })
        .collect();
    if !outputs.is_empty() {
        text.push_str(&format!("outputs\n{}", table(&outputs)));
    }
    if !metrics.is_empty() {
        text.push_str(&format!("metrics\n{}", table(&metrics)));
    }
    print(&text);
    Ok(0)
}
