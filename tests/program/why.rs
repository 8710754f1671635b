//! Every kind of reason, as JSON.

use insta::{assert_json_snapshot, Settings};
use serde_json::Value;

use crate::common::Flow;

const FLOW: &str = r#"
version: 1
params: { seed: 1 }
env: [MODE]
plugins: { mine: plugin.sh }
stages:
  prep: { run: "cat {{ inputs.src }} > {{ outputs.o }}", inputs: { src: src/a.txt }, outputs: { o: o.txt } }
  mid: { run: "cat {{ inputs.o }} > {{ outputs.obj }}; echo {{ params.n }} {{ flow.seed }} >> {{ outputs.obj }}", inputs: { o: prep.o }, params: { n: 3 }, outputs: { obj: obj.txt } }
  leaf: { run: "cat {{ inputs.obj }} {{ inputs.all }} > {{ outputs.z }}", inputs: { obj: mid.obj, all: "glob/*.txt" }, outputs: { z: z.txt } }
  plug: { uses: mine, inputs: { src: src/a.txt }, outputs: { o: o.txt } }
  wrap: { wrapper: tool, outputs: { o: o.txt } }
"#;

fn flow() -> Flow {
    let flow = Flow::new(FLOW);
    flow.write("src/a.txt", "a\n");
    flow.write("glob/1.txt", "1\n");
    flow.write("glob/2.txt", "2\n");
    flow.write("plugin.sh", "#!/bin/sh\ncp inputs/src/a.txt o.txt\n");
    flow.write("bin/tool", "#!/bin/sh\necho tool 1.2.3\n");
    flow.write("tool-wrappers/tool/wrapper.yaml", "version: 1\ntools: [{ program: tool, version: [tool, --version] }]\noutputs: { o: required }\nsteps: [[sh, -c, 'tool > o.txt']]\n");
    for program in ["plugin.sh", "bin/tool"] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(flow.path(program), std::fs::Permissions::from_mode(0o755))
            .expect("chmod");
    }
    let said = run(&flow, &["run"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    flow
}

fn run(flow: &Flow, arguments: &[&str]) -> crate::common::Said {
    let path = format!(
        "{}:{}",
        flow.path("bin").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    crate::common::said(
        flow.command()
            .args(arguments)
            .env("PATH", path)
            .env("MODE", "fast"),
    )
}

fn why(flow: &Flow, stage: &str) -> Value {
    let said = run(flow, &["why", stage, "--json"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let why: Value = serde_json::from_str(&said.stdout).expect("json");
    let status: Value =
        serde_json::from_str(&run(flow, &["status", stage, "--json"]).stdout).expect("json");
    assert_eq!(
        status["stages"][0]["state"], why["state"],
        "status and why agree"
    );
    assert_eq!(
        status["stages"][0]["reason"],
        why["reasons"].get(0).cloned().unwrap_or_default()
    );
    assert_eq!(
        why["state"] == "fresh",
        why["reasons"].as_array().is_some_and(Vec::is_empty)
    );
    why
}

/// Digests are shortened to what tells them apart.
fn shortened(value: Value) -> Value {
    match value {
        Value::String(text) if text.starts_with("b3:") => {
            Value::from(text.chars().take(9).collect::<String>())
        }
        Value::Array(items) => items.into_iter().map(shortened).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, shortened(value)))
            .collect(),
        other => other,
    }
}

fn snapshot(name: &str, value: Value) {
    let mut settings = Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("snapshots");
    settings.bind(|| assert_json_snapshot!(name, shortened(value)));
}

#[test]
fn never_ran() {
    let flow = Flow::new(FLOW);
    for file in ["src/a.txt", "glob/1.txt", "plugin.sh"] {
        flow.write(file, "a\n");
    }
    flow.write(
        "tool-wrappers/tool/wrapper.yaml",
        "version: 1\noutputs: { o: required }\nsteps: [[sh, -c, 'tool > o.txt']]\n",
    );
    snapshot("never-ran", why(&flow, "leaf"));
}

#[test]
fn fresh() {
    snapshot("fresh", why(&flow(), "leaf"));
}

#[test]
fn input_changed_here_and_upstream() {
    let flow = flow();
    flow.write("src/a.txt", "b\n");
    snapshot("input-changed", why(&flow, "prep"));
    snapshot("input-changed-upstream", why(&flow, "leaf"));
    // When what is upstream ran already, the root is the same.
    assert_eq!(run(&flow, &["run", "mid"]).code, 0);
    snapshot("input-changed-upstream", why(&flow, "leaf"));
}

#[test]
fn input_added_and_removed() {
    let flow = flow();
    flow.write("glob/3.txt", "3\n");
    std::fs::remove_file(flow.path("glob/1.txt")).expect("file");
    snapshot("input-added-removed", why(&flow, "leaf"));
}

#[test]
fn parameters() {
    let flow = flow();
    flow.edit("n: 3", "n: 4.5");
    flow.edit("seed: 1", "seed: two");
    snapshot("param-changed", why(&flow, "mid"));
    snapshot("param-changed-upstream", why(&flow, "leaf"));
}

#[test]
fn command() {
    let flow = flow();
    flow.edit("cat {{ inputs.src }}", "cat -u {{ inputs.src }}");
    snapshot("command-changed", why(&flow, "prep"));
}

#[test]
fn plugin_and_wrapper_files() {
    let flow = flow();
    flow.write("plugin.sh", "#!/bin/sh\ncp inputs/src/a.txt ./o.txt\n");
    snapshot("plugin-changed", why(&flow, "plug"));
    let path = "tool-wrappers/tool/wrapper.yaml";
    flow.write(path, flow.read(path) + "about: other\n");
    snapshot("wrapper-changed", why(&flow, "wrap"));
}

#[test]
fn tools() {
    let flow = flow();
    flow.write("bin/tool", "#!/bin/sh\necho tool 1.3.0\n");
    snapshot("tool-changed", why(&flow, "wrap"));
    flow.write(
        "bin/tool",
        "#!/bin/sh\n# the same version, another program\necho tool 1.2.3\n",
    );
    let why_now = why(&flow, "wrap");
    assert_eq!(why_now["reasons"][0]["kind"], "tool-changed");
    std::fs::remove_file(flow.path("bin/tool")).expect("file");
    snapshot("tool-missing", why(&flow, "wrap"));
    let said = run(&flow, &["run", "wrap"]);
    assert_eq!(said.code, 4, "{}", said.stderr);
}

#[test]
fn environment() {
    let flow = flow();
    let path = format!(
        "{}:{}",
        flow.path("bin").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let said = crate::common::said(
        flow.command()
            .args(["why", "prep", "--json"])
            .env("PATH", path),
    );
    snapshot(
        "env-changed",
        serde_json::from_str(&said.stdout).expect("json"),
    );
}

#[test]
fn outputs() {
    let flow = flow();
    flow.edit(
        "outputs: { o: o.txt } }\n  mid",
        "outputs: { o: p.txt } }\n  mid",
    );
    snapshot("outputs-changed", why(&flow, "prep"));
}

#[test]
fn invalidated() {
    let flow = flow();
    run(&flow, &["invalidate", "prep"]);
    snapshot("invalidated", why(&flow, "prep"));
    snapshot("upstream-will-run", why(&flow, "leaf"));
}

#[test]
fn failed_last_time() {
    let flow = flow();
    flow.edit("cat {{ inputs.src }} > {{ outputs.o }}", "exit 7");
    assert_eq!(run(&flow, &["run", "prep"]).code, 1);
    snapshot("failed-last-time", why(&flow, "prep"));
    snapshot("blocked", why(&flow, "leaf"));
    // Back to what is known: fresh again.
    flow.edit("exit 7", "cat {{ inputs.src }} > {{ outputs.o }}");
    assert_eq!(why(&flow, "prep")["state"], "fresh");
}
