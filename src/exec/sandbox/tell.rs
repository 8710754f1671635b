//! What a stage reached for, in words, with the line of `flow.yaml` that would let it.

use std::path::Path;
use std::sync::OnceLock;

use crate::flow::{Flow, Stage};

use super::{Access, Reached};

/// One thing that was reached for, as `reading /tmp/x`.
pub fn tell(reached: &Reached) -> String {
    let path = &reached.path;
    match reached.access {
        Access::Read => format!("reading {path}"),
        Access::List => format!("listing {path}"),
        Access::Execute => format!("running {path}"),
        Access::Write => format!("writing {path}"),
        Access::Change => format!("changing mode, owner or times of {path}"),
        Access::Network => format!("the network (a socket, {path})"),
        Access::Connect => format!("the socket {path}"),
        Access::Look => format!("to show {path}, which is there"),
    }
}

/// What to write into the flow file.
pub fn advise(reached: &Reached, dir: &Path, flow: &Flow, stage: &Stage) -> String {
    let path = Path::new(&reached.path);
    let to = format!("add to stage '{}' in the flow file", stage.name);
    match reached.access {
        Access::Network => format!("if it needs the network, {to}: network: true"),
        Access::Execute => format!("if it is a tool of the stage, {to}: {}", readable(path)),
        Access::Connect => format!("other programs' sockets are out of reach; if it must be, {to}: sandbox: off"),
        Access::Write | Access::Change if path.starts_with(dir) => {
            "a stage changes only what is in its work directory; write there and declare it, such as outputs: { result: result.txt }"
                .to_string()
        }
        Access::Write | Access::Change => {
            "a stage changes only what is in its work directory; for scratch files it has $TMPDIR, for settings $HOME".to_string()
        }
        Access::Read | Access::List | Access::Look => match path.strip_prefix(dir) {
            Ok(below) => match own(below, flow) {
                Own::Output(name, output) => format!("{to}: inputs: {{ {name}: {output} }}"),
                Own::Kept => "the flow file and nanoflow's cache are no input of a stage".to_string(),
                Own::File => format!("{to}: inputs: {{ {}: {} }}", name_of(path), quoted(below)),
            },
            Err(_) => format!(
                "{to}: inputs: {{ {}: {} }}; or, if it belongs to a tool and decides nothing: {}",
                name_of(path),
                quoted(path),
                readable(path)
            ),
        },
    }
}

/// What a path beside the flow file is.
enum Own {
    Output(String, String),
    Kept,
    File,
}

fn own(below: &Path, flow: &Flow) -> Own {
    let mut parts = below
        .components()
        .map(|part| part.as_os_str().to_string_lossy());
    let first = parts.next().unwrap_or_default();
    if first == "artifacts" {
        let owner = parts.next().unwrap_or_default().into_owned();
        let rest = parts.collect::<Vec<_>>().join("/");
        let stage = flow.stages.iter().find(|stage| stage.name == owner);
        let output = stage.and_then(|stage| {
            let mut outputs = stage.outputs.iter();
            outputs.find(|(_, output)| Path::new(&rest).starts_with(&output.path))
        });
        if let Some((name, _)) = output {
            return Own::Output(name.clone(), format!("{owner}.{name}"));
        }
        return Own::Kept;
    }
    match first == "cache" || below == Path::new("flow.yaml") {
        true => Own::Kept,
        false => Own::File,
    }
}

/// A name for an input.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name: String = stem
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' {
                c
            } else {
                '-'
            }
        })
        .collect();
    match name.trim_matches('-') {
        "" => "file".to_string(),
        name => name.to_string(),
    }
}

fn readable(path: &Path) -> String {
    format!("sandbox: {{ read: [{}] }}", quoted(path))
}

/// A path as YAML inside braces.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    match text.chars().all(plain) {
        true => text.into_owned(),
        false => serde_json::to_string(&text).unwrap_or_default(),
    }
}

/// The path of a refused access that a program told of, where the kernel tells of none.
pub fn told_in_log(log: &str) -> Option<String> {
    static TOLD: OnceLock<Option<regex::Regex>> = OnceLock::new();
    let told = TOLD.get_or_init(|| {
        let pattern = r#"(?m)Permission denied: ['"]([^'"\n]+)['"]|['"]?(/[^:'"\n]+|[^\s:'"]+)['"]?: Permission denied"#;
        regex::Regex::new(pattern).ok()
    });
    let found = told.as_ref()?.captures_iter(log).last()?;
    let path = found.get(1).or_else(|| found.get(2))?;
    Some(path.as_str().trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_found_in_what_programs_print() {
        for (log, path) in [
            ("cat: /a/b c: Permission denied\n", "/a/b c"),
            ("sh: 1: cannot create /x/y: Permission denied", "/x/y"),
            (
                "PermissionError: [Errno 13] Permission denied: '/t/q.txt'",
                "/t/q.txt",
            ),
            (
                "ls: cannot open directory '/tmp': Permission denied",
                "/tmp",
            ),
        ] {
            let found = told_in_log(log).expect("a path");
            assert!(found.ends_with(path), "{log}: {found}");
        }
        assert_eq!(told_in_log("all well"), None);
    }
}
