//! `nanoflow doctor`

use std::collections::BTreeMap;

use serde_json::json;

use crate::exec::{Get, Project};
use crate::flow::{Body, StageId};
use crate::plugins;

use super::output::{print, print_json, table};
use super::{CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stages, groups or aliases; all stages if none is given
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
}

/// One program that stages need.
#[derive(Debug, Clone)]
pub struct Checked {
    pub program: String,
    pub version: Option<String>,
    pub path: Option<String>,
    /// What is wrong with it.
    pub problem: Option<String>,
    pub apt: Option<String>,
    /// What to do where no package brings it.
    pub hint: Option<String>,
    pub stages: Vec<String>,
}

/// Looks at every program that these stages need.
pub fn check(project: &Project, stages: &[StageId]) -> Vec<Checked> {
    let mut found: BTreeMap<String, Checked> = BTreeMap::new();
    for id in stages {
        let stage = project.flow.stage(*id);
        let mut need = |program: &str, version: &[String], min: Option<&str>, get: Get<'_>| {
            let entry = found.entry(program.to_string()).or_insert_with(|| {
                let identity =
                    project
                        .tools
                        .identify(&project.store.stat, program, version, min, get);
                let (version, problem) = match identity {
                    Ok(identity) => (
                        Some(identity.version).filter(|version| !version.is_empty()),
                        None,
                    ),
                    Err(missing) => (None, Some(missing.message)),
                };
                Checked {
                    program: program.to_string(),
                    version,
                    path: project
                        .tools
                        .find(program)
                        .map(|path| path.display().to_string()),
                    problem,
                    apt: get.apt.map(str::to_string),
                    hint: get.hint.map(str::to_string),
                    stages: Vec::new(),
                }
            });
            entry.stages.push(stage.name.clone());
        };
        match &stage.body {
            Body::Uses(name) => {
                for tool in plugins::find(name)
                    .map(|stage| stage.tools())
                    .unwrap_or_default()
                {
                    let mut version = vec![tool.program.to_string()];
                    version.extend(tool.version_args.iter().map(|word| (*word).to_string()));
                    need(
                        tool.program,
                        &version,
                        None,
                        Get {
                            apt: Some(tool.apt),
                            hint: None,
                        },
                    );
                }
            }
            Body::Wrapper(name) => {
                if let Ok(wrapper) = project.programs.wrapper(&project.dir, name) {
                    for tool in &wrapper.tools {
                        need(
                            &tool.program,
                            &tool.version,
                            tool.min.as_deref(),
                            Get {
                                apt: tool.apt.as_deref(),
                                hint: tool.hint.as_deref(),
                            },
                        );
                    }
                }
            }
            Body::Argv(words) => {
                if let Some(word) = words
                    .first()
                    .filter(|word| word.literal && !word.text.contains('/'))
                {
                    need(&word.text, &[], None, Get::default());
                }
            }
            Body::Shell(_) => {}
        }
    }
    found.into_values().collect()
}

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    let project = global.open()?;
    let targets = project.targets(&arguments.targets)?;
    let order = project.graph.closure(&targets);
    project.check(&order)?;
    let checked = check(&project, &order);
    project.tools.save();
    let absent = super::setup::missing_data(&project, &order);
    let data: Vec<(String, bool)> = order
        .iter()
        .filter(|id| project.flow.stage(**id).network)
        .map(|id| (project.flow.stage(*id).name.clone(), !absent.contains(id)))
        .collect();
    let missing = checked.iter().any(|tool| tool.problem.is_some());
    if global.json {
        let tools: Vec<_> = checked
            .iter()
            .map(|tool| {
                json!({
                    "program": tool.program, "version": tool.version, "path": tool.path, "ok": tool.problem.is_none(),
                    "problem": tool.problem, "apt": tool.apt, "stages": tool.stages,
                })
            })
            .collect();
        let data: Vec<_> = data
            .iter()
            .map(|(stage, there)| json!({ "stage": stage, "there": there }))
            .collect();
        print_json(&json!({ "tools": tools, "data": data }));
        return Ok(if missing { 4 } else { 0 });
    }
    let mut rows: Vec<Vec<String>> = checked
        .iter()
        .map(|tool| {
            let state = match &tool.problem {
                None => "ok".to_string(),
                Some(problem) => match &tool.hint {
                    Some(hint) => format!("MISSING: {problem} ({hint})"),
                    None => format!("MISSING: {problem}"),
                },
            };
            vec![
                tool.program.clone(),
                tool.version.clone().unwrap_or_else(|| "-".to_string()),
                state,
                format!("for {}", tool.stages.join(", ")),
            ]
        })
        .collect();
    rows.extend(data.into_iter().map(|(stage, there)| {
        let state = if there {
            "ok"
        } else {
            "not fetched yet; 'nanoflow setup' or a run fetches it"
        };
        vec![
            stage,
            "-".to_string(),
            state.to_string(),
            "data".to_string(),
        ]
    }));
    print(&table(&rows));
    if missing {
        print("'nanoflow setup' installs what is missing\n");
    } else if rows.is_empty() {
        print("the flow needs no tools\n");
    }
    Ok(if missing { 4 } else { 0 })
}
