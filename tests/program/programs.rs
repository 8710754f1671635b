//! Plugins in other languages, wrappers, programs that are missing, tokens.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::common::{events, Flow};

fn executable(flow: &Flow, name: &str, text: &str) {
    flow.write(name, text);
    std::fs::set_permissions(flow.path(name), std::fs::Permissions::from_mode(0o755))
        .expect("chmod");
}

#[test]
fn a_plugin_in_python() {
    if which::which("python3").is_err() {
        eprintln!("skipped: there is no python3");
        return;
    }
    let flow = Flow::new(
        "version: 1\nplugins: { count: tools/count.py }\nstages:\n  a: { uses: count, inputs: { one: s/a, many: 's/*' }, params: { n: 3 }, outputs: { o: sub/o.txt }, resources: { cpu: 2 }, gates: [{ metric: n, min: 3, max: 3 }] }\n",
    );
    flow.write("s/a", "x\n");
    flow.write("s/b", "y\n");
    executable(
        &flow,
        "tools/count.py",
        r#"#!/usr/bin/env python3
import json, os, sys
request = json.load(open(sys.argv[1]))
assert request["protocol"] == 1 and request["stage"] == "a", request
assert os.path.isdir(request["scratch"]) and request["checkpoint"] is None
print(json.dumps({"progress": {"done": 1, "total": 2, "unit": "file", "note": "half"}}), flush=True)
print("a line of the log", flush=True)
with open(request["outputs"]["o"], "w") as out:
    out.write(open(request["inputs"]["one"]).read() + str(len(request["inputs"]["many"])))
if request["params"]["n"] == 0:
    json.dump({"failure": "design", "message": "n is nothing", "hint": "give more"}, open("result.json", "w"))
    sys.exit(1)
json.dump({"n": {"value": request["params"]["n"], "unit": "files"}}, open("metrics.json", "w"))
"#,
    );
    let said = flow.expect(0, &["run", "--json"]);
    let progress = events(&said.stdout)
        .into_iter()
        .find(|event| event["event"] == "stage-progress")
        .expect("progress");
    assert_eq!(
        (&progress["done"], &progress["note"]),
        (&1.0.into(), &"half".into())
    );
    assert_eq!(flow.read("artifacts/a/sub/o.txt"), "x\n2");
    assert_eq!(flow.expect(0, &["log", "a"]).stdout, "a line of the log\n");
    flow.edit("n: 3 }", "n: 0 }");
    let said = flow.expect(1, &["run", "--json"]);
    let end = events(&said.stdout)
        .into_iter()
        .find(|event| event["event"] == "stage-finished")
        .expect("end");
    assert_eq!(
        (&end["failure"], &end["message"], &end["hint"]),
        (
            &"design".into(),
            &"n is nothing".into(),
            &"give more".into()
        )
    );
}

#[test]
fn a_wrapper() {
    let flow = Flow::new(
        "version: 1\nstages:\n  a: { wrapper: tools/join, inputs: { a: x y }, params: { word: \"it's\" }, outputs: { o: o.txt }, gates: [{ metric: lines, min: 2 }, { metric: size, max: 100 }] }\n",
    );
    flow.write("x y", "1\n");
    flow.write(
        "tool-wrappers/tools/join/wrapper.yaml",
        r#"
version: 1
about: joins
tools: [{ program: sh, apt: dash }]
params: { word: x, times: 2 }
inputs: { a: required, b: optional }
outputs: { o: required }
files: [join.sh, data.json]
copy: [plain.txt]
steps:
  - [sh, join.sh]
  - [sh, -c, 'cat "$1" >> o.txt', sh, "{{ params.word }}.log"]
metrics: { lines: { file: log.txt, regex: '^lines: (\d+)$', unit: lines }, size: { file: data.json, pointer: /list/0 } }
"#,
    );
    flow.write(
        "tool-wrappers/tools/join/join.sh",
        "cat {{ inputs.a }} plain.txt data.json > {{ outputs.o }}\necho \"x: {{ params.word }}\" > {{ params.word }}.log # it's\necho 'lines: 1' > log.txt\necho lines: {{ params.times }} >> log.txt\n{% if inputs.b is defined %}exit 1{% endif %}\n",
    );
    flow.write(
        "tool-wrappers/tools/join/data.json",
        "{\"word\": {{ params.word }}, \"list\": [{{ params.times }}]}\n",
    );
    flow.write("tool-wrappers/tools/join/plain.txt", "{{ plain }}\n");
    flow.expect(0, &["run"]);
    assert_eq!(
        flow.read("artifacts/a/o.txt"),
        "1\n{{ plain }}\n{\"word\": \"it's\", \"list\": [2]}\nx: it's\n"
    );
    assert_eq!(flow.outcomes(&[]), ["a=cached"]);
    flow.write("tool-wrappers/tools/join/plain.txt", "other\n");
    assert_eq!(flow.outcomes(&[]), ["a=executed"]);
    flow.edit("word: \"it's\"", "wrod: 1, word: 2");
    flow.edit("inputs: { a: x y }", "inputs: { c: x y }");
    let said = flow.expect(2, &["run"]);
    for words in [
        "no parameter 'wrod'",
        "did you mean 'word'?",
        "no input 'c'",
        "needs input 'a'",
    ] {
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    }
}

#[test]
fn missing_programs_give_4_and_a_shell_line_gives_1() {
    let flow = Flow::new(
        r#"
version: 1
stages:
  argv: { run: [no-such-program-here, x] }
  shell: { run: no-such-program-here }
  wrap: { wrapper: w, outputs: { o: o } }
"#,
    );
    flow.write(
        "tool-wrappers/w/wrapper.yaml",
        "version: 1\ntools: [{ program: no-such-tool, version: [no-such-tool, -V], apt: some-package }]\noutputs: { o: required }\nsteps: [[no-such-tool]]\n",
    );
    flow.expect(4, &["run", "argv"]);
    flow.expect(1, &["run", "shell"]);
    let said = flow.expect(4, &["run", "wrap"]);
    assert!(
        said.stderr.contains("no-such-tool") && said.stderr.contains("some-package"),
        "{}",
        said.stderr
    );
    flow.expect(4, &["run", "-k"]);
    assert_eq!(
        flow.states(),
        ["argv=tool-missing", "shell=failed", "wrap=tool-missing"]
    );
    let said = flow.expect(4, &["doctor"]);
    assert!(said.stdout.contains("no-such-tool"), "{}", said.stdout);
    let said = flow.expect(0, &["setup", "--dry-run"]);
    assert!(said.stderr.contains("some-package"), "{}", said.stderr);
}

#[test]
fn tokens_decide_what_runs_side_by_side() {
    let stage = |extra: &str| {
        format!("{{ run: 'date +%s%N > {{{{ outputs.o }}}}; sleep 0.3; date +%s%N >> {{{{ outputs.o }}}}', outputs: {{ o: o }}{extra} }}")
    };
    let overlap = |flow: &Flow| {
        let span = |name: &str| {
            let text = flow.read(&format!("artifacts/{name}/o"));
            let times: Vec<u64> = text
                .lines()
                .map(|line| line.parse().expect("time"))
                .collect();
            (times[0], times[1])
        };
        let (a, b) = (span("a"), span("b"));
        a.0 < b.1 && b.0 < a.1
    };
    let case = |top: &str, extra: &str, jobs: &str| {
        let flow = Flow::new(&format!(
            "version: 1\n{top}\nstages:\n  a: {}\n  b: {}\n",
            stage(extra),
            stage(&format!("{extra}, params: {{ x: 1 }}"))
        ));
        flow.expect(0, &["run", "-j", jobs]);
        overlap(&flow)
    };
    assert!(case("", "", "2"));
    assert!(!case("", "", "1"));
    assert!(!case("", ", resources: { cpu: 2 }", "2"));
    assert!(!case(
        "limits: { licenses: { x: 1 } }",
        ", resources: { licenses: { x: 1 } }",
        "4"
    ));
    assert!(!case(
        "limits: { memory: 1GiB }",
        ", resources: { memory: 600MiB }",
        "4"
    ));
    assert!(case(
        "limits: { memory: 2GiB }",
        ", resources: { memory: 600MiB }",
        "4"
    ));
}

#[test]
fn a_checkpoint_is_found_by_the_next_try() {
    let flow = Flow::new("version: 1\nplugins: { p: p.sh }\nstages:\n  a: { uses: p, checkpoint: true, outputs: { o: o } }\n");
    executable(
        &flow,
        "p.sh",
        "#!/bin/sh\nd=$(sed -n 's/.*\"checkpoint\": \"\\(.*\\)\".*/\\1/p' request.json)\nif [ -f \"$d/half\" ]; then cp \"$d/half\" o; else echo half > \"$d/half\"; sleep 60; fi\n",
    );
    let mut child = flow
        .command()
        .args(["run"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("run");
    let started = Instant::now();
    let half = || {
        let folders = std::fs::read_dir(flow.path("cache/checkpoints"))
            .into_iter()
            .flatten()
            .flatten();
        folders
            .into_iter()
            .any(|folder| folder.path().join("half").exists())
    };
    while !half() {
        assert!(started.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("kill");
    child.wait().expect("wait");
    flow.expect(0, &["run"]);
    assert_eq!(flow.read("artifacts/a/o"), "half\n");
    // A good result makes it needless.
    let left = std::fs::read_dir(flow.path("cache/checkpoints")).map(Iterator::count);
    assert_eq!(left.unwrap_or(0), 0);
}
