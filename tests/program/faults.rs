//! Faults of the flow file: place, words and suggestion, all in one go.

use std::time::{Duration, Instant};

use crate::common::Flow;

fn told(flow: &str) -> String {
    let made = Flow::new(flow);
    made.write("there.txt", "x");
    let said = made.expect(2, &["run", "--json"]);
    assert_eq!(said.stdout, "", "nothing but JSON on standard output");
    assert_eq!(made.expect(2, &["status"]).stderr, said.stderr);
    assert!(!made.path("cache/runs").exists(), "nothing ran");
    said.stderr
}

fn snapshot(name: &str, flow: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("snapshots");
    settings.bind(|| insta::assert_snapshot!(format!("fault-{name}"), told(flow)));
}

#[test]
fn all_in_one_go() {
    snapshot(
        "all",
        r#"version: 1
nmae: x
stages:
  a: { run: "echo {{ params.x }} {{ inputz.q }}", outputs: { o: ../x, p: a/b, q: a/b/c, r: ./a/b }, inputs: { z: b.oo, w: thre.txt } }
  b: { run: "x", uses: y, outputs: { o: o.txt }, aliases: [a, bb], inputs: {k: c.o} }
  c: { run: "cat {{ inputs.k }} > {{ outputs.o }}", outputs: { o: o.txt }, inputs: {k: e.o}, aliases: [bb] }
  e: { run: "cat {{ inputs.k }} > {{ outputs.o }}", outputs: { o: o.txt }, inputs: {k: c.o}, gates: [{ metric: m }, { max: 3 }] }
  e: { run: x }
  f: { inputs: { g: "none/*.txt" }, resources: { cpu: none, memory: 2Gib }, network: perhaps }
  g: { run: [ { a: b } ], outputs: { o: { path: o, digest: md5:12 } } }
  h: { uses: nope }
  i: { wrapper: nope, params: { x: "{{ flow.nope }}" } }
groups: { c: [a], e2: [zz] }
"#,
    );
}

#[test]
fn one_by_one() {
    snapshot("empty", "");
    snapshot("only-comment", "# nothing\n");
    snapshot("version", "version: 2\nstages: { a: { run: x } }\n");
    snapshot("no-stages", "version: 1\n");
    snapshot("no-yaml", "version: 1\nstages: [\n");
    snapshot("list", "- a\n- b\n");
    snapshot(
        "self-cycle",
        "version: 1\nstages:\n  a: { run: x, inputs: { i: a.o }, outputs: { o: o } }\n",
    );
    snapshot(
        "template",
        "version: 1\nstages:\n  a: { run: 'echo {{ params.x' }\n",
    );
    snapshot(
        "unquoted-template",
        "version: 1\nstages:\n  a:\n    run:\n      - echo\n      - {{ params.x }}\n",
    );
    snapshot(
        "plugin-path",
        "version: 1\nplugins: { p: gone.py }\nstages:\n  a: { uses: p }\n",
    );
}

#[test]
fn anchors_and_merge_keys_work() {
    let flow = Flow::new(
        r#"
version: 1
stages:
  a: &base { run: "echo {{ params.x }} > {{ outputs.o }}", params: &p { x: 1, y: 2 }, outputs: { o: o } }
  b: { <<: *base, params: { <<: *p, x: 5 } }
"#,
    );
    flow.expect(0, &["run"]);
    assert_eq!(flow.read("artifacts/b/o"), "5\n");
}

#[test]
fn every_file_is_told_about_in_time() {
    let laughs = (1..12).fold(
        "version: 1\na0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_string(),
        |text, level| {
            let inner = vec![format!("*a{}", level - 1); 9].join(",");
            text + &format!("a{level}: &a{level} [{inner}]\n")
        },
    );
    let files = [
        laughs,
        "[".repeat(1_000_000),
        "- ".repeat(300_000),
        "version: 1\nstages: &a { a: *a }\n".to_string(),
        (0..50_000).fold("version: 1\nstages:\n".to_string(), |text, n| {
            text + &format!("  s{n}: {{ rnu: x }}\n")
        }),
        (0..5_000).fold("version: 1\nstages:\n".to_string(), |text, n| {
            text + &format!("  s{n}: {{ run: x, inputs: {{ i: x{n}.o }} }}\n")
        }),
        format!(
            "version: 1\nstages: {{ a: {{ run: \"{}\" }} }}\n",
            "{{ (".repeat(50_000)
        ),
        "x".repeat(20 << 20),
    ];
    for (number, file) in files.iter().enumerate() {
        let flow = Flow::new(file);
        let started = Instant::now();
        let said = flow.run(&["status"]);
        // Ten times the contract's two seconds: tests share their processors.
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "file {number} took {:?}",
            started.elapsed()
        );
        assert_eq!(
            said.code,
            2,
            "file {number}: {}",
            said.stderr.chars().take(500).collect::<String>()
        );
        assert!(said.stderr.starts_with("flow.yaml:"), "file {number}");
        assert!(
            said.stderr.len() < 500_000,
            "file {number}: {} bytes",
            said.stderr.len()
        );
    }
}

#[test]
fn wrong_words_on_the_command_line() {
    let flow = Flow::new("version: 1\nstages:\n  prepare: { run: true }\n");
    for arguments in [
        &["run", "prepar"][..],
        &["why", "nope"],
        &["log", "x"],
        &["run", "-j0"],
        &["nope"],
        &["run", "--nope"],
        &["graph", "--format", "x"],
        &["-f", "gone.yaml", "run"],
        &["-C", "gone", "run"],
    ] {
        let said = flow.expect(2, arguments);
        assert_eq!(said.stdout, "");
    }
    let said = flow.expect(2, &["run", "prepar"]);
    assert!(
        said.stderr.contains("did you mean 'prepare'?"),
        "{}",
        said.stderr
    );
    let help = flow.expect(0, &["--help"]).stdout;
    for words in ["a gate failed", "130/143", "the cache cannot be used"] {
        assert!(help.contains(words), "{help}");
    }
}
