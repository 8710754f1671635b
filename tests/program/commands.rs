//! Commands around a flow: templates, watching, sweeps, the report, manual pages.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::{program, said, Flow};

#[test]
fn every_template_is_a_flow_that_can_be_run() {
    for (template, needs_stages) in [("empty", false), ("rtl-to-gds", true), ("gpt", true)] {
        let folder = tempfile::tempdir().expect("a folder");
        let run = |arguments: &[&str]| said(program(folder.path()).args(arguments));
        let made = run(&["init", template]);
        if needs_stages && nanoflow::plugins::all().is_empty() {
            assert_eq!(made.code, 2);
            assert!(
                made.stderr.contains("built without the stages"),
                "{}",
                made.stderr
            );
            continue;
        }
        assert_eq!(made.code, 0, "{template}: {}", made.stderr);
        let status = run(&["status", "--json"]);
        assert_eq!(status.code, 0, "{template}: {}", status.stderr);
        assert!(
            status.stdout.contains("\"never-ran\"") || status.stdout.contains("tool-missing"),
            "{}",
            status.stdout
        );
        // Where a tool is missing a dry run says so.
        let dry = run(&["run", "-n"]);
        assert!([0, 4].contains(&dry.code), "{template}: {}", dry.stderr);
        let again = run(&["init", template]);
        assert_eq!(again.code, 2);
        assert!(again.stderr.contains("--force"), "{}", again.stderr);
        assert_eq!(run(&["init", "--force", template]).code, 0);
        if template == "empty" {
            assert_eq!(run(&["run"]).code, 0);
            let text = std::fs::read_to_string(folder.path().join("artifacts/hello/greeting.txt"));
            assert_eq!(text.expect("greeting"), "hello, world\n");
        }
    }
}

#[test]
fn the_gpt_template_is_the_flow_that_ships() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for (path, bytes) in nanoflow::plugins::template("gpt") {
        assert_eq!(std::fs::read(root.join(path)).expect(path), bytes, "{path}");
    }
}

#[test]
fn a_watched_flow_follows_its_files() {
    let flow = Flow::new("version: 1\nstages:\n  a: { run: 'cat {{ inputs.s }} > {{ outputs.o }}', inputs: { s: 'src/*' }, outputs: { o: o } }\n");
    flow.write("src/1", "one\n");
    let mut watch = flow
        .command()
        .args(["watch", "-q"])
        .spawn()
        .expect("nanoflow starts");
    let wait = |expected: &str| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::fs::read_to_string(flow.path("artifacts/a/o")).unwrap_or_default() != expected {
            assert!(Instant::now() < deadline, "no '{expected}'");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait("one\n");
    flow.write("src/2", "two\n");
    wait("one\ntwo\n");
    // A fault is told and the way back is seen.
    let good = flow.read("flow.yaml");
    flow.write("flow.yaml", "version: 1\nstages: 3\n");
    std::thread::sleep(Duration::from_millis(500));
    flow.write("flow.yaml", good.replace("cat ", "cat -n "));
    wait("     1\tone\n     2\ttwo\n");
    let pid = nix::unistd::Pid::from_raw(watch.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("signal");
    assert_eq!(watch.wait().expect("end").code(), Some(130));
}

#[test]
fn a_sweep_runs_shared_stages_once_and_tells_the_best() {
    let flow = Flow::new(
        r#"
version: 1
stages:
  prep: { run: "echo x >> DIR/count; echo 7 > {{ outputs.o }}", outputs: { o: o } }
  rate:
    run: "echo '{\"cost\": {{ params.a }}, \"gain\": {{ params.b }}}' > metrics.json; touch {{ outputs.o }}"
    inputs: { i: prep.o }
    params: { a: 0, b: 0 }
    outputs: { o: o }
"#,
    );
    // Counted by the log of the runs: a stage that ran again would be executed twice.
    flow.edit("echo x >> DIR/count; ", "");
    flow.write(
        "sweep.yaml",
        "targets: rate\ngrid: { rate.a: [1, 2], rate.b: [5, 6] }\nobjectives: [{ stage: rate, metric: cost, goal: min }, { stage: rate, metric: gain, goal: max }]\n",
    );
    let swept = flow.json(&["sweep", "sweep.yaml", "--json"]);
    let points: Vec<(f64, f64, bool)> = swept["points"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|point| {
            let value = |place: usize| point["metrics"][place]["value"].as_f64();
            Some((value(0)?, value(1)?, point["pareto"].as_bool()?))
        })
        .collect();
    assert_eq!(
        points,
        [
            (1.0, 5.0, false),
            (1.0, 6.0, true),
            (2.0, 5.0, false),
            (2.0, 6.0, false)
        ]
    );
    assert_eq!(
        swept["points"][1]["settings"],
        json!({ "rate.a": 1, "rate.b": 6 })
    );
    let runs = flow.json(&["runs", "--json"]);
    let executed: Vec<u64> = runs["runs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|run| run["executed"].as_u64())
        .collect();
    assert_eq!(
        executed,
        [1, 1, 1, 2],
        "newest first; 'prep' ran in the first one only"
    );
    let text = flow.expect(0, &["sweep", "sweep.yaml", "-q"]).stdout;
    assert!(
        text.contains("\n*  1       6       1          6          0\n"),
        "{text}"
    );
    flow.write("sweep.yaml", "gird: 3\n");
    let said = flow.expect(2, &["sweep", "sweep.yaml"]);
    assert!(
        said.stderr.starts_with("sweep.yaml:1:1: "),
        "{}",
        said.stderr
    );
}

#[test]
fn the_report_is_one_page_of_its_own() {
    let flow = Flow::new(
        r#"
version: 1
name: "<flow> & more"
stages:
  a: { run: "echo {{ params.n }} > {{ outputs.o }}; echo '{\"slack\": {\"value\": {{ params.n }}, \"unit\": \"ns\"}}' > metrics.json", params: { n: 3 }, outputs: { o: o }, gates: [{ metric: slack, min: 1 }, { metric: gone, max: 1, on-fail: continue }] }
  b: { run: "cat {{ inputs.o }} > {{ outputs.o }}", inputs: { o: a.o }, outputs: { o: o } }
"#,
    );
    for n in [3, 5, 4] {
        flow.expect(3, &["run", "--set", &format!("a.n={n}")]);
    }
    flow.expect(0, &["report"]);
    let page = flow.read("report.html");
    for words in [
        "<title>&lt;flow&gt; &amp; more</title>",
        "<span class=\"failed\">1 of 2 gates fail</span>",
        "<td>slack</td><td class=\"n\">3 ns</td>",
        "3 values from 3 to 5",
        "<g class=\"fresh\"><title>a: fresh </title>",
        "<td>gone</td><td class=\"n\">missing</td><td>≤ 1</td><td class=\"failed\">fails</td>",
    ] {
        assert!(page.contains(words), "'{words}' is not in\n{page}");
    }
    // Self-contained: nothing is loaded from anywhere and nothing is run.
    for word in ["<script", "src=", "href=", "url(", "@import"] {
        assert!(!page.contains(word), "{word}");
    }
    // Every element that is opened is closed.
    let body: String = page.replace("<meta charset=\"utf-8\">", "").replace(
        "<meta name=\"viewport\" content=\"width=device-width\">",
        "",
    );
    let tree = roxmltree::Document::parse_with_options(
        &body,
        roxmltree::ParsingOptions {
            allow_dtd: true,
            ..Default::default()
        },
    );
    assert!(tree.is_ok(), "{tree:?}");
    flow.expect(0, &["report", "-o", "-"]);
    assert_eq!(
        flow.expect(0, &["report", "-o", "-"]).stdout,
        page,
        "the same bytes"
    );
}

#[test]
fn manual_pages_are_written() {
    let flow = Flow::new("version: 1\nstages: { a: { run: x } }\n");
    flow.expect(0, &["man", "man1"]);
    let page = flow.read("man1/nanoflow-run.1");
    assert!(
        page.contains(".TH nanoflow-run 1") && page.contains("Bring targets up to date"),
        "{page}"
    );
    assert!(flow.read("man1/nanoflow.1").contains("Exit codes"));
    assert!(!flow.path("man1/nanoflow-stage.1").exists());
}
