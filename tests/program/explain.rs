//! What people read: why in full, what differs between two runs, a run as it goes on, traces and JUnit files.

use std::process::Stdio;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use serde_json::Value;

use crate::common::Flow;

/// `src` → `prep` → `left`, `right` → `join`.
fn diamond() -> Flow {
    let flow = Flow::new(
        r#"
version: 1
params: { seed: 1 }
stages:
  prep: { run: "cat {{ inputs.src }} > {{ outputs.o }}", inputs: { src: src/a.txt }, outputs: { o: o.txt } }
  left: { run: "cat {{ inputs.o }} > {{ outputs.l }}", inputs: { o: prep.o }, outputs: { l: l.txt } }
  right: { run: "cat {{ inputs.o }} > {{ outputs.r }}; echo {{ params.n }} {{ flow.seed }} >> {{ outputs.r }}", inputs: { o: prep.o }, params: { n: 3 }, outputs: { r: r.txt } }
  join:
    run: "cat {{ inputs.l }} {{ inputs.r }} > {{ outputs.z }}; printf '{\"bytes\": {\"value\": %d, \"unit\": \"B\"}}' $(wc -c < {{ outputs.z }}) > metrics.json"
    inputs: { l: left.l, r: right.r }
    outputs: { z: z.txt }
"#,
    );
    flow.write("src/a.txt", "a\n");
    flow.expect(0, &["run"]);
    flow
}

/// Digests and times are cut to what is the same everywhere.
fn plain(text: &str) -> String {
    let digest = regex::Regex::new("b3:[0-9a-f]{12,64}").expect("pattern");
    digest.replace_all(text, "b3:…").into_owned()
}

#[test]
fn why_says_it_plainly_first_and_then_in_full() {
    let flow = diamond();
    assert_snapshot!("why-text-fresh", flow.expect(0, &["why", "join"]).stdout);
    flow.write("src/a.txt", "b\n");
    flow.edit("n: 3", "n: 4.5");
    assert_snapshot!(
        "why-text-stale",
        plain(&flow.expect(0, &["why", "join"]).stdout)
    );
    assert_snapshot!(
        "why-text-own",
        plain(&flow.expect(0, &["why", "right"]).stdout)
    );
}

#[test]
fn a_root_that_is_reached_twice_is_one_reason() {
    let flow = diamond();
    flow.write("src/a.txt", "b\n");
    // Everything before the end is up to date: its roots are found through results, not through stages that will run.
    flow.expect(0, &["run", "left", "right"]);
    let why = flow.json(&["why", "join", "--json"]);
    let reasons = why["reasons"].as_array().expect("reasons");
    assert_eq!(reasons.len(), 1, "{why:#}");
    assert_eq!(reasons[0]["path"], "src/a.txt");
    assert_eq!(reasons[0]["via"], serde_json::json!(["prep.o", "left.l"]));
}

#[test]
fn a_deep_flow_is_explained_without_a_deep_stack() {
    let mut text = String::from(
        "version: 1\nstages:\n  s0: { run: ['true'], inputs: { i: src }, outputs: { o: o } }\n",
    );
    let deep = 3000;
    for stage in 1..deep {
        text.push_str(&format!(
            "  s{stage}: {{ run: ['true'], inputs: {{ i: s{}.o }}, outputs: {{ o: o }} }}\n",
            stage - 1
        ));
    }
    let flow = Flow::new(&text);
    flow.write("src", "x");
    let why = flow.json(&["why", &format!("s{}", deep - 1), "--json"]);
    assert_eq!(why["state"], "never-ran");
}

#[test]
fn a_difference_of_runs_names_what_moved_the_metrics() {
    let flow = diamond();
    flow.write("src/a.txt", "longer\n");
    flow.edit("n: 3", "n: 45");
    flow.expect(0, &["run"]);
    let runs = flow.json(&["runs", "--json"]);
    let first = runs["runs"][1]["run"].as_str().expect("run");
    let said = flow.expect(0, &["diff", first, "last"]);
    assert_snapshot!("diff-text", plain(&said.stdout));
    let diff = flow.json(&["diff", first, "last", "--json"]);
    let join = &diff["stages"][3];
    assert_eq!(join["stage"], "join");
    assert_eq!(join["metrics"]["bytes"]["old"], 8);
    assert_eq!(join["metrics"]["bytes"]["new"], 19);
    let roots: Vec<(&str, &Value)> = join["reasons"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|reason| (reason["kind"].as_str().unwrap_or(""), &reason["via"]))
        .collect();
    assert_eq!(
        roots,
        [
            ("input-changed", &serde_json::json!(["prep.o", "left.l"])),
            ("param-changed", &serde_json::json!(["right.r"])),
        ],
        "{join:#}"
    );
    let same = flow.expect(0, &["diff", "last", "last"]);
    assert!(
        same.stdout.contains("have the same results"),
        "{}",
        same.stdout
    );
}

#[test]
fn a_run_is_seen_from_another_terminal() {
    let flow = Flow::new(
        r#"
version: 1
stages:
  a: { run: "echo first; echo '{\"progress\": {\"done\": 10, \"total\": 300, \"unit\": \"step\", \"note\": \"loss 2.31\"}}'; sleep 1.5; echo last; touch {{ outputs.o }}", outputs: { o: o } }
  b: { run: "sleep 0.3; echo second; touch {{ outputs.o }}", inputs: { o: a.o }, outputs: { o: o } }
"#,
    );
    let mut run = flow
        .command()
        .args(["run", "-q"])
        .spawn()
        .expect("nanoflow starts");
    let deadline = Instant::now() + Duration::from_secs(20);
    let status = loop {
        let status = flow.json(&["status", "--json"]);
        let a = &status["stages"][0];
        if a["state"] == "running" && !a["running"]["progress"].is_null() {
            break status;
        }
        assert!(Instant::now() < deadline, "{status:#}");
        std::thread::sleep(Duration::from_millis(20));
    };
    let progress = &status["stages"][0]["running"]["progress"];
    assert_eq!(progress["done"], 10.0);
    assert_eq!(progress["note"], "loss 2.31");
    let text = flow.expect(0, &["status"]).stdout;
    assert!(text.contains("s, 10/300 step, loss 2.31"), "{text}");
    // One log is followed while its stage runs, the other waited for.
    let follow = |stage: &str| {
        flow.command()
            .args(["log", "-f", stage])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nanoflow starts")
    };
    // (-f before the command is still the flow file.)
    assert_eq!(flow.run(&["-f", "none.yaml", "log", "a"]).code, 2);
    let (a, b) = (follow("a"), follow("b"));
    let a = a.wait_with_output().expect("log");
    assert_eq!(String::from_utf8_lossy(&a.stdout), "first\nlast\n");
    assert!(
        run.try_wait().expect("run").is_none(),
        "the run still goes on"
    );
    let b = b.wait_with_output().expect("log");
    assert_eq!(String::from_utf8_lossy(&b.stdout), "second\n");
    assert!(String::from_utf8_lossy(&b.stderr).contains("waiting for 'b' to start"));
    assert!(run.wait().expect("run").success());
    assert_eq!(flow.expect(0, &["log", "-f", "a"]).stdout, "first\nlast\n");
    assert_eq!(flow.states(), ["a=fresh", "b=fresh"]);
}

#[test]
fn a_trace_has_a_lane_for_each_worker_and_the_critical_path() {
    let flow = Flow::new(
        r#"
version: 1
stages:
  a: { run: "sleep 0.1; touch {{ outputs.o }}", outputs: { o: o } }
  b: { run: "sleep 0.3; touch {{ outputs.o }}", inputs: { o: a.o }, outputs: { o: o } }
  c: { run: "touch {{ outputs.o }}", inputs: { o: a.o }, outputs: { o: o } }
"#,
    );
    let said = flow.expect(0, &["run", "-j2", "--trace", "out.json"]);
    assert!(
        said.stderr.contains("critical path: a → b: "),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("lost to waiting"), "{}", said.stderr);
    let trace: Value = serde_json::from_str(&flow.read("out.json")).expect("JSON");
    let summary = &trace["otherData"];
    assert_eq!(summary["critical_path"], serde_json::json!(["a", "b"]));
    assert_eq!(summary["workers"], 2);
    assert_eq!(summary["executed"], 3);
    assert!(summary["critical_path_seconds"].as_f64() > Some(0.4));
    assert!(summary["lost_to_waiting_seconds"].as_f64() < Some(0.3));
    let events = trace["traceEvents"].as_array().expect("events");
    let lanes: Vec<&str> = events
        .iter()
        .filter(|event| event["name"] == "thread_name")
        .filter_map(|event| event["args"]["name"].as_str())
        .collect();
    assert_eq!(lanes, ["critical path", "worker 1", "worker 2"]);
    for event in events {
        assert!(event["ph"].is_string() && event["pid"].is_u64());
        if event["ph"] == "X" {
            assert!(event["ts"].is_number() && event["dur"].as_f64() >= Some(0.0));
        }
    }
    flow.expect(2, &["run", "--trace", "no/such/folder/out.json"]);
}

#[test]
fn a_junit_file_fits_the_usual_schema() {
    let flow = Flow::new(
        r#"
version: 1
name: "a <flow> & more"
stages:
  good: { run: "touch {{ outputs.o }}", outputs: { o: o } }
  bad: { run: "printf 'it is \\033[31m<broken>\\n'; exit 3", outputs: { o: o } }
  after: { run: "touch {{ outputs.o }}", inputs: { i: bad.o }, outputs: { o: o } }
  gated: { run: "echo '{\"slack\": -1, \"area\": 9}' > metrics.json; touch {{ outputs.o }}", outputs: { o: o }, gates: [{ metric: slack, min: 0 }, { metric: area, max: 3 }, { metric: area, min: 1 }] }
"#,
    );
    flow.expect(1, &["run", "-k", "--junit", "out.xml"]);
    let text = flow.read("out.xml");
    let document =
        roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let suites = document.root_element();
    assert_eq!(suites.tag_name().name(), "testsuites");
    let suite = suites
        .children()
        .find(roxmltree::Node::is_element)
        .expect("suite");
    assert_eq!(suite.tag_name().name(), "testsuite");
    assert_eq!(suite.attribute("name"), Some("a <flow> & more"));
    for (name, count) in [
        ("tests", "4"),
        ("failures", "2"),
        ("errors", "0"),
        ("skipped", "1"),
    ] {
        assert_eq!(suite.attribute(name), Some(count), "{name}");
        assert_eq!(suites.attribute(name), Some(count), "{name}");
    }
    assert!(
        suite
            .attribute("timestamp")
            .is_some_and(|time| time.len() == 19),
        "ISO 8601 without zone"
    );
    let mut seen = Vec::new();
    for case in suite.children().filter(roxmltree::Node::is_element) {
        assert_eq!(case.tag_name().name(), "testcase");
        assert!(case.attribute("classname").is_some());
        assert!(case
            .attribute("time")
            .is_some_and(|time| time.parse::<f64>().is_ok()));
        let parts: Vec<String> = case
            .children()
            .filter(roxmltree::Node::is_element)
            .map(|part| part.tag_name().name().to_string())
            .collect();
        seen.push(format!(
            "{} {}",
            case.attribute("name").unwrap_or(""),
            parts.join(",")
        ));
    }
    seen.sort();
    assert_eq!(
        seen,
        [
            "after skipped",
            "bad failure,system-out",
            "gated failure",
            "good "
        ]
    );
    let failure = |stage: &str| {
        document
            .descendants()
            .find(|node| {
                node.has_tag_name("failure")
                    && node.parent().and_then(|case| case.attribute("name")) == Some(stage)
            })
            .expect("failure")
    };
    assert_eq!(failure("gated").attribute("type"), Some("gate-failed"));
    let gates = failure("gated").text().unwrap_or("");
    assert!(
        gates.contains("'slack' is -1") && gates.contains("'area' is 9; it must be ≤ 3"),
        "{gates}"
    );
    assert!(text.contains("it is \u{fffd}[31m&lt;broken&gt;"), "{text}");
}

#[test]
fn what_took_long_goes_first_next_time() {
    let flow = Flow::new(
        r#"
version: 1
params: { x: 1 }
stages:
  quick: { run: "touch {{ outputs.o }}; echo {{ flow.x }} > {{ outputs.o }}", outputs: { o: o } }
  slow: { run: "sleep 0.4; echo {{ flow.x }} > {{ outputs.o }}", outputs: { o: o } }
"#,
    );
    let order = || -> Vec<String> {
        flow.outcomes(&["-j1"])
            .iter()
            .map(|outcome| outcome.split('=').next().unwrap_or("").to_string())
            .collect()
    };
    assert_eq!(order(), ["quick", "slow"]);
    flow.edit("x: 1", "x: 2");
    assert_eq!(order(), ["slow", "quick"]);
}

#[test]
fn a_stage_that_would_not_fit_says_so_before_it_starts() {
    let flow = Flow::new(
        r#"
version: 1
limits: { memory: 1GiB, licenses: { catapult: 1 } }
stages:
  big: { run: "touch {{ outputs.o }}", outputs: { o: o }, resources: { memory: 2GiB, licenses: { catapult: 3 } } }
"#,
    );
    let said = flow.expect(0, &["run", "--json"]);
    let events: Vec<Value> = crate::common::events(&said.stdout);
    let kinds: Vec<&str> = events
        .iter()
        .filter_map(|event| event["event"].as_str())
        .collect();
    assert_eq!(kinds[1..3], ["stage-warning", "stage-started"]);
    assert_eq!(
        events[1]["message"],
        "it asks for 2.0 GiB of memory and there are 1.0 GiB, it asks for 3 of the licence 'catapult' and there are 1; it runs alone"
    );
    let said = flow.expect(0, &["run", "--force"]);
    assert!(
        said.stderr.starts_with("big: warning: it asks for"),
        "{}",
        said.stderr
    );
}
