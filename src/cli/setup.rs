//! `nanoflow setup`

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal};
use std::sync::Arc;

use crate::events::Events;
use crate::exec::{plan, Project, RunOptions, Verdict};
use crate::flow::StageId;
use crate::store::State;

use super::doctor::check;
use super::{CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stages, groups or aliases; all stages if none is given
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Only say what would be done
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    let project = Arc::new(global.open()?);
    let targets = project.targets(&arguments.targets)?;
    let order = project.graph.closure(&targets);
    project.check(&order)?;
    let data = missing_data(&project, &order);
    let names: Vec<&str> = data
        .iter()
        .map(|id| project.flow.stage(*id).name.as_str())
        .collect();
    if !names.is_empty() {
        eprintln!(
            "to be fetched by the stages that use the network: {}",
            names.join(", ")
        );
    }
    if arguments.dry_run {
        let (packages, other) = missing(&project, &order);
        tell(&packages, &other);
        return Ok(0);
    }
    let installed = install(global, &project, &order, arguments.yes);
    // What needs no root is done even where the system's packages cannot be installed.
    if !data.is_empty() && (arguments.yes || agreed()) {
        let fresh = Arc::new(global.open()?);
        let order = fresh.graph.closure(&data);
        let options = RunOptions {
            jobs: super::run::processors(),
            keep_going: true,
            ..RunOptions::default()
        };
        let code = super::run::bring(global, &fresh, &order, options, true, Events::default())?;
        if code != 0 {
            return installed.map(|()| code);
        }
    }
    installed.map(|()| 0)
}

/// Stages that fetch something and have not yet.
pub fn missing_data(project: &Project, order: &[StageId]) -> Vec<StageId> {
    let state = State::load(project.store.root());
    let plan = plan(project, &state, order, &BTreeSet::new());
    order
        .iter()
        .copied()
        .filter(|id| {
            project.flow.stage(*id).network && !matches!(plan.get(id), Some(Verdict::Fresh { .. }))
        })
        .collect()
}

/// Packages to install, and programs that no package is known for.
fn missing(project: &Project, order: &[StageId]) -> (BTreeSet<String>, Vec<String>) {
    let mut packages = BTreeSet::new();
    let mut other = Vec::new();
    for tool in check(project, order)
        .into_iter()
        .filter(|tool| tool.problem.is_some())
    {
        match tool.apt {
            Some(package) => {
                packages.insert(package);
            }
            None => {
                let hint = tool
                    .hint
                    .map(|hint| format!("; {hint}"))
                    .unwrap_or_default();
                other.push(format!(
                    "{} (for {}{hint})",
                    tool.program,
                    tool.stages.join(", ")
                ));
            }
        }
    }
    (packages, other)
}

fn tell(packages: &BTreeSet<String>, other: &[String]) {
    if packages.is_empty() {
        eprintln!("no package of the system is missing");
    } else {
        let names: Vec<&str> = packages.iter().map(String::as_str).collect();
        eprintln!("to be installed with apt-get: {}", names.join(" "));
    }
    for program in other {
        eprintln!("no package is known for: {program}");
    }
}

/// Says what is missing, asks unless told not to, and installs it.
pub fn install(
    global: &Global,
    project: &Project,
    order: &[StageId],
    yes: bool,
) -> Result<(), CliError> {
    let (packages, other) = missing(project, order);
    if !global.quiet || !packages.is_empty() {
        tell(&packages, &other);
    }
    if !packages.is_empty() {
        if !yes && !agreed() {
            return Err(CliError::Missing(
                "nothing was installed\nhint: --yes installs without asking".to_string(),
            ));
        }
        apt(&packages)?;
    }
    if other.is_empty() {
        Ok(())
    } else {
        Err(CliError::Missing(format!(
            "please install: {}",
            other.join(", ")
        )))
    }
}

fn agreed() -> bool {
    if !std::io::stdin().is_terminal() {
        return false;
    }
    eprint!("go on? [y/N] ");
    let mut line = String::new();
    let _ = std::io::stdin().lock().read_line(&mut line);
    matches!(line.trim(), "y" | "Y" | "yes")
}

fn apt(packages: &BTreeSet<String>) -> Result<(), CliError> {
    let names: Vec<&str> = packages.iter().map(String::as_str).collect();
    let root = nix::unistd::geteuid().is_root();
    let sudo = !root && which::which("sudo").is_ok();
    if (!root && !sudo) || which::which("apt-get").is_err() {
        let what = if which::which("apt-get").is_err() {
            "there is no apt-get here"
        } else {
            "this needs root"
        };
        return Err(CliError::Missing(format!(
            "{what}; ask for: apt-get install {}",
            names.join(" ")
        )));
    }
    for step in [
        vec!["update"],
        [
            vec!["install", "--yes", "--no-install-recommends"],
            names.clone(),
        ]
        .concat(),
    ] {
        let mut words: Vec<&str> = if sudo {
            vec!["sudo", "apt-get"]
        } else {
            vec!["apt-get"]
        };
        words.extend(step);
        eprintln!("$ {}", words.join(" "));
        let Some((program, rest)) = words.split_first() else {
            continue;
        };
        let status = duct::cmd(*program, rest)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdout_to_stderr()
            .unchecked()
            .run()
            .map_err(|error| CliError::Missing(format!("{program}: {error}")))?;
        // A list that cannot be refreshed may still hold what is needed.
        if !status.status.success()
            && rest.first() != Some(&"update")
            && rest.get(1) != Some(&"update")
        {
            return Err(CliError::Missing(format!("'{}' failed", words.join(" "))));
        }
    }
    Ok(())
}
