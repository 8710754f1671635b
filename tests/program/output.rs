//! What the commands print, for people and as JSON, as snapshots: whatever changes here, somebody sees.

use insta::assert_snapshot;

use crate::common::Flow;

/// A flow with one of each: fresh, a failed gate, failed, blocked, a missing tool.
fn flow() -> Flow {
    let flow = Flow::new(
        r#"
version: 1
name: small
stages:
  prep: { run: "cat {{ inputs.src }} > {{ outputs.o }}; echo said", inputs: { src: a.txt }, aliases: [first], outputs: { o: o.txt } }
  mid: { run: "cat {{ inputs.o }} > {{ outputs.m }}; echo '{\"slack\": {\"value\": -0.5, \"unit\": \"ns\"}}' > metrics.json", inputs: { o: prep.o }, outputs: { m: m.txt }, gates: [{ metric: slack, min: 0 }] }
  late: { run: "cat {{ inputs.m }} > {{ outputs.l }}", inputs: { m: mid.m }, outputs: { l: l.txt } }
  bad: { run: "echo no >&2; exit 7", inputs: { o: prep.o }, outputs: { b: b.txt } }
  after: { run: "cat {{ inputs.b }} > {{ outputs.x }}", inputs: { b: bad.b }, outputs: { x: x.txt } }
  tool: { run: [no-such-tool, "{{ outputs.t }}"], outputs: { t: t.txt } }
groups: { ends: [late, after] }
"#,
    );
    flow.write("a.txt", "a\n");
    flow
}

/// Times, run names, amounts of memory and digests become one word each.
fn plain(text: &str) -> String {
    let mut text = text.to_string();
    for (pattern, word) in [
        (r"\d{8}-\d{6}-\d{3}", "RUN"),
        (r"b3:[0-9a-f]{12,64}", "DIGEST"),
        (r"\b[0-9a-f]{64}\b", "KEY"),
        (r#""(seconds|cpu_seconds|time)":[0-9.e-]+"#, r#""$1":TIME"#),
        (
            r#""peak_memory_bytes":\d+"#,
            r#""peak_memory_bytes":MEMORY"#,
        ),
        (r"\d+\.\d+ s\b", "TIME"),
        (r"\d+\.\d+ MiB", "MEMORY"),
    ] {
        let pattern = regex::Regex::new(pattern).expect("pattern");
        text = pattern.replace_all(&text, word).into_owned();
    }
    text
}

fn said(flow: &Flow, arguments: &[&str]) -> String {
    let said = flow.run(arguments);
    plain(&format!(
        "$ nanoflow {}\n{}{}exit {}\n",
        arguments.join(" "),
        said.stdout,
        said.stderr
            .lines()
            .map(|line| format!("! {line}\n"))
            .collect::<String>(),
        said.code
    ))
}

#[test]
fn for_people() {
    let flow = flow();
    let mut text = said(&flow, &["run", "-n"]);
    for arguments in [
        &["run", "-k", "-j1"][..],
        &["run", "-k", "-j1", "-v"],
        &["status"],
        &["status", "ends"],
        &["why", "late"],
        &["why", "bad"],
        &["why", "first"],
        &["show", "mid"],
        &["show", "bad"],
        &["log", "prep"],
        &["log", "bad"],
        &["log", "late"],
        &["runs"],
        &["diff", "last", "last"],
        &["doctor", "prep"],
        &["invalidate", "--downstream", "prep"],
        &["status", "mid"],
        &["graph", "late"],
        &["graph", "late", "--format", "mermaid"],
        &["verify"],
        &["gc", "-n"],
        &["run", "perp"],
        &["why", "ends"],
        &["diff", "1999", "last"],
    ] {
        text.push_str(&said(&flow, arguments));
    }
    assert_snapshot!("output-people", text);
}

#[test]
fn as_json() {
    let flow = flow();
    let mut text = String::new();
    for arguments in [
        &["run", "-n", "--json"][..],
        &["run", "-k", "-j1", "--json"],
        &["status", "--json"],
        &["why", "after", "--json"],
        &["show", "mid", "--json"],
        &["log", "bad", "--json"],
        &["runs", "--json"],
        &["diff", "last", "last", "--json"],
        &["graph", "late", "--json"],
        &["invalidate", "prep", "--json"],
        &["verify", "--json"],
        &["gc", "-n", "--json"],
    ] {
        text.push_str(&said(&flow, arguments));
    }
    assert_snapshot!("output-json", text);
}

#[test]
fn the_graph_as_a_drawing() {
    let flow = flow();
    assert_snapshot!(
        "output-svg",
        said(&flow, &["graph", "late", "--format", "svg"])
    );
}
