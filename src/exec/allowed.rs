//! What each stage may reach, from the flow file and from what it runs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Once;

use crate::flow::{Body, SandboxMode, StageId};
use crate::plugins;

use super::sandbox::{self, private_folders, program_folders, Confine};
use super::Project;

/// What a stage that runs these commands may reach; `None` if its sandbox is off.
pub fn confine(
    project: &Project,
    id: StageId,
    work: &Path,
    checkpoint: Option<PathBuf>,
    commands: &[Vec<OsString>],
) -> Option<Confine> {
    let stage = project.flow.stage(id);
    let mode = project.flow.sandbox_mode(id);
    if mode == SandboxMode::Off {
        return None;
    }
    Some(Confine {
        enforce: mode == SandboxMode::Enforce,
        network: stage.network,
        read: readable(project, id, commands),
        write: std::iter::once(work.to_path_buf())
            .chain(checkpoint)
            .collect(),
        inputs: work.join("inputs"),
    })
}

/// Says once what this kernel lacks; `watched` if it lets the guard of a stage judge its calls.
pub fn tell_lacks(watched: bool) {
    static TOLD: Once = Once::new();
    if sandbox::landlock_version() > 0 {
        return;
    }
    TOLD.call_once(|| match watched {
        true => tracing::warn!("this kernel has no Landlock: a seccomp filter alone keeps stages from what is not theirs, which a program can get around on purpose (docs/sandbox.md)"),
        false => tracing::warn!("this kernel has no Landlock, and no seccomp filter that can ask: stages are not kept from files that are not theirs (docs/sandbox.md)"),
    });
}

fn readable(project: &Project, id: StageId, commands: &[Vec<OsString>]) -> Vec<PathBuf> {
    let mut read = Vec::new();
    let words = commands.iter().filter_map(|words| words.first());
    let mut tools: BTreeSet<String> = words
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    match &project.flow.stage(id).body {
        Body::Uses(name) => match project.flow.plugins.get(name) {
            Some(plugin) => read.push(project.dir.join(&plugin.path)),
            None => {
                read.push(PathBuf::from("/proc/self/exe"));
                let shipped = plugins::find(name)
                    .map(|stage| stage.tools())
                    .unwrap_or_default();
                tools.extend(shipped.iter().map(|tool| tool.program.to_string()));
            }
        },
        Body::Wrapper(name) => {
            if let Ok(wrapper) = project.programs.wrapper(&project.dir, name) {
                tools.extend(wrapper.tools.iter().map(|tool| tool.program.clone()));
            }
        }
        Body::Argv(_) | Body::Shell(_) => {}
    }
    let private = private_folders(&project.dir);
    for tool in tools {
        let found = match tool.contains('/') {
            true => Some(PathBuf::from(&tool)).filter(|path| path.is_absolute()),
            false => project.tools.find(&tool),
        };
        let own = found
            .iter()
            .flat_map(|path| program_folders(path, &private));
        // The system's own are open to all.
        read.extend(own.filter(|path| !path.starts_with("/usr") && !path.starts_with("/proc")));
    }
    for entry in project.flow.sandbox_read(id) {
        read.extend(expand(project, entry));
    }
    read
}

/// A path of the flow file: relative to it, absolute, or beginning with a variable that stages get.
fn expand(project: &Project, entry: &str) -> Option<PathBuf> {
    let Some(rest) = entry.strip_prefix('$') else {
        return Some(project.dir.join(entry));
    };
    let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    let path = project.dir.join(value);
    Some(if rest.is_empty() {
        path
    } else {
        path.join(rest)
    })
}
