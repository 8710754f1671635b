//! Single sentences of what is promised, each tried as somebody would who does not believe it.

use crate::common::{events, Flow};

#[test]
fn a_flow_parameter_in_a_wrapper_counts() {
    let flow = Flow::new(
        "version: 1\nparams: { seed: 1, other: 1, step: 1 }\nstages:\n  a: { wrapper: w, outputs: { o: o } }\n",
    );
    flow.write(
        "tool-wrappers/w/wrapper.yaml",
        "version: 1\noutputs: { o: required }\nfiles: [w.sh]\nsteps: [[sh, w.sh], [sh, -c, 'echo $1 >> o', sh, '{{ flow.step }}']]\n",
    );
    flow.write(
        "tool-wrappers/w/w.sh",
        "echo {{ flow.seed }} > {{ outputs.o }}\n",
    );
    flow.expect(0, &["run"]);
    flow.edit("seed: 1", "seed: 2");
    let why = flow.json(&["why", "a", "--json"]);
    assert_eq!(
        (&why["reasons"][0]["kind"], &why["reasons"][0]["subject"]),
        (&"param-changed".into(), &"flow.seed".into())
    );
    assert_eq!(flow.outcomes(&[]), ["a=executed"]);
    assert_eq!(flow.read("artifacts/a/o"), "2\n1\n");
    flow.edit("step: 1", "step: 3");
    assert_eq!(flow.outcomes(&[]), ["a=executed"]);
    assert_eq!(flow.read("artifacts/a/o"), "2\n3\n");
    flow.edit("other: 1", "other: 2");
    assert_eq!(flow.outcomes(&[]), ["a=cached"]);
}

#[test]
fn undefined_names_are_faults_wherever_they_stand() {
    let flow = Flow::new(
        r#"
version: 1
params: { top: { in: 1 } }
stages:
  a: { run: "echo {{ params.x.y }} {{ flow.top.on }}", params: { x: { z: 1 } } }
  b: { run: "echo {{ params.x | nope }}", params: { x: 1 } }
  c: { wrapper: w, outputs: { o: o } }
  d: { run: "echo {{ params.x.y is defined }} {{ flow.top.in }} {{ params.x['z'] }}", params: { x: { z: 1 } } }
"#,
    );
    flow.write(
        "tool-wrappers/w/wrapper.yaml",
        "version: 1\ninputs: { may: optional }\noutputs: { o: required }\nfiles: [w.tcl]\nsteps: [[sh, -c, '{{ params.gone }}']]\n",
    );
    flow.write(
        "tool-wrappers/w/w.tcl",
        "{% if inputs.may is defined %}x{% endif %} {{ flow.tpo }}\n",
    );
    let said = flow.expect(2, &["run"]);
    for words in [
        "flow.yaml:5:22: error: stage 'a': the template names 'params.x.y', which is undefined",
        "the template names 'flow.top.on', which is undefined",
        "flow.yaml:6:",
        "unknown filter: filter nope is unknown",
        "stage 'c': tool-wrappers/w/wrapper.yaml: the template names 'params.gone', which is undefined",
        "stage 'c': tool-wrappers/w/w.tcl: the template names 'flow.tpo', which is undefined",
        "did you mean 'flow.top'?",
        "5 faults in flow.yaml",
    ] {
        assert!(said.stderr.contains(words), "{words}\n{}", said.stderr);
    }
}

#[test]
fn a_missing_program_is_foretold() {
    let flow = Flow::new(
        r#"
version: 1
stages:
  a: { run: [/no/such/program, x], outputs: { o: o } }
  b: { run: ["{{ params.tool }}"], params: { tool: no-such-tool } }
  c: { wrapper: w, outputs: { o: o } }
  d: { run: [cp, "{{ inputs.i }}", "{{ outputs.o }}"], inputs: { i: a.o }, outputs: { o: o } }
  e: { run: ["{{ inputs.s }}"], inputs: { s: s.sh } }
"#,
    );
    flow.write(
        "tool-wrappers/w/wrapper.yaml",
        "version: 1\noutputs: { o: required }\nsteps: [[sh, -c, ''], [no-such-step]]\n",
    );
    flow.write("s.sh", "#!/bin/sh\n");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(flow.path("s.sh"), std::fs::Permissions::from_mode(0o755))
        .expect("chmod");
    assert_eq!(
        flow.states(),
        [
            "a=tool-missing",
            "b=tool-missing",
            "c=tool-missing",
            "d=blocked",
            "e=never-ran"
        ]
    );
    let said = flow.expect(4, &["run", "-n", "--json"]);
    let planned: Vec<String> = events(&said.stdout)
        .iter()
        .map(|event| event["action"].to_string())
        .collect();
    assert_eq!(
        planned,
        [
            "\"tool-missing\"",
            "\"tool-missing\"",
            "\"tool-missing\"",
            "\"maybe\"",
            "\"run\""
        ]
    );
    for stage in ["a", "b", "c"] {
        flow.expect(4, &["run", stage]);
        let why = flow.json(&["why", stage, "--json"]);
        let kinds = why["reasons"].to_string();
        assert!(kinds.contains("tool-changed"), "{kinds}");
    }
    flow.expect(0, &["run", "e"]);
    // What is known already needs no program.
    flow.write(
        "tool-wrappers/w/wrapper.yaml",
        "version: 1\noutputs: { o: required }\nsteps: [[sh, -c, 'echo > o'], [sh, -c, '']]\n",
    );
    flow.expect(0, &["run", "c"]);
}

#[test]
fn a_dry_run_tells_what_a_gate_holds_back() {
    let flow = Flow::new(
        r#"
version: 1
stages:
  a: { run: "echo > {{ outputs.o }}", outputs: { o: o }, gates: [{ metric: m, max: 1 }] }
  b: { run: "cp {{ inputs.i }} {{ outputs.o }}", inputs: { i: a.o }, outputs: { o: o } }
  c: { run: "cp {{ inputs.i }} {{ outputs.o }}", inputs: { i: b.o }, outputs: { o: o } }
  d: { run: "echo > {{ outputs.o }}", outputs: { o: o } }
"#,
    );
    let actions = |flow: &Flow| -> Vec<String> {
        events(&flow.run(&["run", "-n", "--json"]).stdout)
            .iter()
            .map(|event| event["action"].as_str().unwrap_or_default().to_string())
            .collect()
    };
    // `d` has the key of `a`.
    assert_eq!(actions(&flow), ["run", "maybe", "maybe", "cached"]);
    flow.expect(3, &["run"]);
    assert_eq!(actions(&flow), ["cached", "skipped", "skipped", "cached"]);
    assert_eq!(
        flow.outcomes(&[]),
        ["a=cached", "d=cached", "b=skipped", "c=skipped"]
    );
}

#[test]
fn a_setting_that_is_no_yaml_is_told_as_such() {
    let flow =
        Flow::new("version: 1\nstages:\n  a: { run: 'echo {{ params.x }}', params: { x: 1 } }\n");
    let said = flow.expect(2, &["run", "--set", "a.x=[1,2"]);
    assert!(
        said.stderr
            .starts_with("flow.yaml:1:1: error: --set a.x=[1,2: the value: not YAML"),
        "{}",
        said.stderr
    );
    flow.expect(0, &["run", "--set", "a.x=\"a: b: c\""]);
    assert_eq!(flow.expect(0, &["log", "a"]).stdout, "a: b: c\n");
}

#[test]
fn values_between_backquotes_run_nothing() {
    let flow = Flow::new("version: 1\nstages:\n  a: { run: 'echo `echo {{ params.x }}` \"`echo {{ params.x }}`\" {{ params.y }} > {{ outputs.o }}', params: { x: plain, y: 'a`b' }, outputs: { o: o } }\n");
    flow.expect(0, &["run"]);
    assert_eq!(flow.read("artifacts/a/o"), "plain plain a`b\n");
    for hostile in ["'`touch pwned`'", "'a b'", "'$(touch pwned)'", "\"a'b\""] {
        let said = flow.run(&["run", "--set", &format!("a.x={hostile}")]);
        assert_eq!(said.code, 1, "{hostile}: {}", said.stderr);
        assert!(
            said.stderr.contains("write $(…) instead"),
            "{}",
            said.stderr
        );
    }
    // A command in a here-document is read as a command.
    let flow = Flow::new("version: 1\nstages:\n  a:\n    run: |\n      cat > {{ outputs.o }} <<END\n      $(printf '%s' {{ params.x }}) {{ params.x }}\n      END\n    params: { x: \"a b'; echo c $HOME\" }\n    outputs: { o: o }\n");
    flow.expect(0, &["run"]);
    assert_eq!(
        flow.read("artifacts/a/o"),
        "a b'; echo c $HOME a b'; echo c $HOME\n"
    );
}

/// Faults are told in two seconds and 500 MB whatever the file.
#[test]
fn no_template_and_no_cycle_is_too_much() {
    let stage = |text: &str| {
        format!("version: 1\nstages:\n  a: {{ run: \"{text}\", params: {{ x: 1 }} }}\n")
    };
    let param = |text: &str| {
        format!("version: 1\nstages:\n  a: {{ run: x, params: {{ x: \"{text}\" }}, nope: 1 }}\n")
    };
    let endless =
        "{% for a in range(100000) %}{% for b in range(100000) %}{{ a }}{% endfor %}{% endfor %}";
    let mut files = vec![
        stage(&format!("{{{{ params.x{} }}}}", ".a".repeat(500_000))),
        stage(&format!("{{{{ {}1 }}}}", "-".repeat(100_000))),
        stage(&format!("{{{{ 1{} }}}}", "|abs".repeat(100_000))),
        stage(&format!("{{{{ x{} }}}}", "()".repeat(100_000))),
        stage(&format!("{{{{ {}1 }}}}", "1 if 1 else ".repeat(50_000))),
        stage(&"{% if 1 %}".repeat(20_000)),
        stage(&format!(
            "{{% if 1 %}}{}{{% endif %}}",
            "{% elif 1 %}".repeat(50_000)
        )),
        stage(endless),
        param(endless),
        param("{{ [1] * 2000000000 }}"),
        param("{{ 'x' * 2000000000 }}"),
        param("{{ 'x' | indent(2000000000) }}"),
        param("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
    ];
    files.push(
        (0..60_000).fold("version: 1\nstages:\n".to_string(), |text, n| {
            text + &format!(
                "  s{n}: {{ run: x, inputs: {{ i: s{}.o }}, outputs: {{ o: o }} }}\n",
                (n + 1) % 60_000
            )
        }),
    );
    // Thousands of parameters, thousands of templates that use one of them.
    let many: String = (0..2000).map(|n| format!("  p{n}: {n}\n")).collect();
    files.push((0..2000).fold(
        format!("version: 1\nparams:\n{many}stages:\n  z: {{}}\n"),
        |text, n| {
            text + &format!("  s{n}: {{ run: x, params: {{ a: '{{{{ flow.p{n} }}}} y' }} }}\n")
        },
    ));
    for (number, file) in files.iter().enumerate() {
        let flow = Flow::in_memory(file);
        let (said, used) = flow.measured(&["status"]);
        let head: String = said.stderr.chars().take(300).collect();
        assert_eq!(said.code, 2, "file {number}: {head}");
        assert!(
            said.stderr.starts_with("flow.yaml:"),
            "file {number}: {head}"
        );
        used.within_the_contract(&number);
    }
    let flow = Flow::new("version: 1\nstages: { a: { run: 'true' } }\n");
    let (said, used) = flow.measured(&["-f", "/dev/zero", "status"]);
    assert_eq!(said.code, 2, "{}", said.stderr);
    used.within_the_contract(&"/dev/zero");
    assert!(said.stderr.contains("at most"), "{}", said.stderr);
}

#[test]
fn of_several_exit_codes_the_first_that_applies() {
    let flow = Flow::new(
        r#"
version: 1
stages:
  good: { run: "echo > {{ outputs.o }}", outputs: { o: o } }
  gate: { run: "echo > {{ outputs.o }}; echo > p", outputs: { o: o, p: p }, gates: [{ metric: m, max: 1 }] }
  fails: { run: "exit 9" }
  missing: { run: [no-such-program-here] }
"#,
    );
    for (code, targets) in [
        (0, &["good"][..]),
        (3, &["good", "gate"]),
        (1, &["fails", "good"]),
        (1, &["gate", "fails"]),
        (4, &["missing", "gate"]),
        (4, &["fails", "missing"]),
        (4, &["gate", "fails", "missing", "good"]),
    ] {
        flow.expect(code, &[&["run", "-k", "-j1"], targets].concat());
    }
    flow.expect(2, &["run", "-k", "fails", "missing", "nope"]);
}

#[test]
fn without_k_nothing_starts_after_a_failure() {
    let flow = Flow::new("version: 1\nstages:\n  a: { run: 'exit 1' }\n  b: { run: 'echo > {{ outputs.o }}', outputs: { o: o } }\n  c: { run: 'cat {{ inputs.o }} > {{ outputs.o }}', inputs: { o: b.o }, outputs: { o: o } }\n");
    // Of equal ones the first in the file starts first; `b` has more behind it.
    flow.edit("exit 1", "sleep 0.1; exit 1");
    flow.edit("b.o", "a2.o");
    flow.edit(
        "  b:",
        "  a2: { run: 'echo 2 > {{ outputs.o }}', inputs: { a: [a.o] }, outputs: { o: o } }\n  b:",
    );
    flow.edit(
        "'sleep 0.1; exit 1'",
        "'sleep 0.1; exit 1', outputs: { o: o }",
    );
    assert_eq!(
        flow.outcomes(&["-j1"]),
        ["a=failed", "a2=skipped", "b=skipped", "c=skipped"]
    );
    assert_eq!(
        flow.outcomes(&["-j1", "-k"]),
        ["a=failed", "b=executed", "a2=skipped", "c=skipped"]
    );
}
