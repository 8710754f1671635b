//! Faults of the flow file: place, words and suggestion, all in one go.

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

const PROFILED: &str = r#"
version: 1
params: { seed: 1 }
stages:
  a: { run: "echo {{ params.x }} {{ flow.seed }} > {{ outputs.o }}", aliases: [first], params: { x: 1 }, outputs: { o: o } }
  b: { run: "cat {{ inputs.i }} > {{ outputs.o }}", inputs: { i: a.o }, outputs: { o: { path: o } } }
profiles:
"#;

#[test]
fn profiles_are_checked_whether_selected_or_not() {
    let flow = format!(
        r#"{PROFILED}  p:
    nmae: x
    stages:
      aa: {{ params: {{ x: 2 }} }}
      first: {{ params: {{ x: 2 }} }}
      a: {{ rnu: x, outputs: {{ o: ../up }}, gates: [{{ metric: m }}], resources: {{ cpu: none }} }}
      b: {{ run: "echo {{{{ params.nope }}}}", inputs: {{ i: a.oo }} }}
      c: {{ run: x, uses: y }}
      d:
    groups: {{ g: [nope] }}
  q: {{ stages: [a] }}
"#
    );
    let said = told(&flow);
    for words in [
        "flow.yaml:9:5: error: unknown key 'nmae' in profile 'p'",
        "flow.yaml:11:7: error: profile 'p' changes the stage 'aa', which is not there",
        "did you mean 'a'?",
        "flow.yaml:12:7: error: 'first' is an alias of stage 'a'",
        "flow.yaml:13:12: error: unknown key 'rnu' in stage 'a'",
        "flow.yaml:13:34: error: output 'o' is outside the work directory: '../up'",
        "flow.yaml:13:51: error: a gate needs 'min' or 'max' or both",
        "flow.yaml:13:85: error: 'cpu' must be a whole number of at least 1, not text",
        "flow.yaml:14:26: error: stage 'b': the template names 'params.nope', which is undefined",
        "flow.yaml:14:56: error: stage 'a' has no output 'oo'",
        "flow.yaml:15:12: error: stage 'c' has 'uses' and 'run'",
        "flow.yaml:16:7: error: stage 'd' of profile 'p' is empty",
        "flow.yaml:17:19: error: group 'g' names 'nope', which is no stage",
        "flow.yaml:18:16: error: 'stages' must be a mapping, not a list",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    assert!(said.contains("13 faults in flow.yaml"), "{said}");
    // Selected it is told of once, too.
    let made = Flow::new(&flow);
    let said = made.expect(2, &["status", "--profile", "p"]).stderr;
    assert_eq!(said.matches("unknown key 'rnu'").count(), 1, "{said}");
}

#[test]
fn a_profile_may_lean_on_the_flow_and_on_other_profiles() {
    let digest = "0".repeat(64);
    let flow = Flow::new(&format!(
        r#"{PROFILED}  one:
    params: {{ more: 2 }}
    stages:
      a: {{ params: {{ x: 2, y: "{{{{ flow.more }}}}" }}, resources: {{ cpu: 2 }}, aliases: [erste] }}
      c: {{ run: "cat {{{{ inputs.i }}}} > {{{{ outputs.o }}}}; echo {{{{ flow.more }}}} {{{{ params.z }}}} >> {{{{ outputs.o }}}}", inputs: {{ i: a.extra }}, outputs: {{ o: o }} }}
    groups: {{ g: [c, erste] }}
  other:
    stages:
      a: {{ run: "echo {{{{ params.x }}}} > {{{{ outputs.o }}}}; echo {{{{ params.y }}}} > {{{{ outputs.extra }}}}", outputs: {{ extra: e }} }}
      b: {{ outputs: {{ o: {{ digest: 'b3:{digest}' }} }} }}
      c: {{ params: {{ z: 3 }} }}
  nothing:
"#
    ));
    flow.expect(0, &["run"]);
    let both = ["run", "--profile", "one", "--profile", "other", "g"];
    flow.expect(0, &both);
    assert_eq!(flow.read("artifacts/c/o"), "2\n2 3\n");
    // Alone it lacks what the other one adds; that is told where it is selected.
    let said = flow.expect(2, &["run", "--profile", "one"]);
    assert!(said.stderr.contains("no output 'extra'"), "{}", said.stderr);
}

#[test]
fn a_version_that_is_left_out_is_the_first() {
    let flow = Flow::new("stages: { a: { run: 'echo 1 > {{ outputs.o }}', outputs: { o: o } } }\n");
    assert_eq!(flow.outcomes(&[]), ["a=executed"]);
    flow.write(
        "flow.yaml",
        "version: 1\n".to_string() + &flow.read("flow.yaml"),
    );
    assert_eq!(flow.outcomes(&[]), ["a=cached"]);
}

#[test]
fn a_pattern_does_not_go_through_the_whole_disk() {
    for pattern in [
        "/**/*.x",
        "/**",
        "/*/**/a",
        "//**/x",
        "./../../../../../../../../**/x",
    ] {
        let flow = Flow::new(&format!(
            "version: 1\nstages:\n  a: {{ run: 'true', inputs: {{ i: '{pattern}' }} }}\n"
        ));
        let (said, used) = flow.measured(&["status"]);
        assert_eq!(said.code, 2, "{pattern}: {}", said.stderr);
        let words = format!("flow.yaml:3:34: error: input 'i' of stage 'a': '{pattern}' ");
        assert!(said.stderr.starts_with(&words), "{}", said.stderr);
        assert!(said.stderr.contains("hint: "), "{}", said.stderr);
        used.within_the_contract(&pattern);
    }
    // What is named is gone through, wherever it is.
    let other = tempfile::tempdir().expect("a folder");
    std::fs::create_dir_all(other.path().join("p/q")).expect("a folder");
    std::fs::write(other.path().join("p/q/f.x"), "x").expect("a file");
    let flow = Flow::new(&format!(
        "version: 1\nstages:\n  a: {{ run: 'cat {{{{ inputs.i }}}} > {{{{ outputs.o }}}}', inputs: {{ i: '{}/**/*.x' }}, outputs: {{ o: o }} }}\n",
        other.path().display()
    ));
    flow.expect(0, &["run"]);
    assert_eq!(flow.read("artifacts/a/o"), "x");
}

#[test]
fn every_file_is_told_about_in_time() {
    // Ten million words, if they were written out.
    let laughs = (1..7).fold(
        "version: 1\nparams:\n  a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_string(),
        |text, level| {
            let inner = vec![format!("*a{}", level - 1); 10].join(",");
            text + &format!("  a{level}: &a{level} [{inner}]\n")
        },
    ) + "stages: { a: { run: x, nope: 1 } }\n";
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
        let (said, used) = flow.measured(&["status"]);
        used.within_the_contract(&number);
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
