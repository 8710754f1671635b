//! The page as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::flow::quote::markup;
use crate::flow::show_bytes;

use super::chart::{bar, line};
use super::{show, Page};
use Head::{Numbers, Words};

const STYLE: &str = "\
:root { color-scheme: light dark; --line: #8884; --good: #2a7d3f; --bad: #c0392b; --wait: #b7791f; --plain: #4a6fa5; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.n + td { padding-left: .5rem; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; }
.fresh { color: var(--good); } .failed, .tool-missing { color: var(--bad); font-weight: 600; }
.stale, .never-ran, .blocked { color: var(--wait); } .running { color: var(--plain); font-weight: 600; }
.graph { display: block; margin: 0 auto; max-width: 100%; height: auto; }
.graph text { fill: currentColor; } .graph path { stroke: #888; fill: none; }
.graph rect { fill: #8881; stroke: var(--plain); } .graph .fresh rect { stroke: var(--good); }
.graph .failed rect, .graph .tool-missing rect { stroke: var(--bad); stroke-width: 2; }
.graph .stale rect, .graph .never-ran rect, .graph .blocked rect { stroke: var(--wait); stroke-dasharray: 4; }
.bar { display: inline-block; height: .6rem; background: var(--plain); border-radius: 2px; }
.line polyline { fill: none; stroke: var(--plain); stroke-width: 1.5; } .line circle { fill: var(--plain); }
";

/// The whole page.
pub fn render(page: &Page) -> String {
    let title = markup(&page.title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    summary(&mut out, page);
    let _ = write!(
        out,
        "<h2>Graph</h2>\n<div class=\"scroll\">\n{}</div>\n",
        page.graph
    );
    stages(&mut out, page);
    gates(&mut out, page);
    metrics(&mut out, page);
    runs(&mut out, page);
    out.push_str("</body>\n</html>\n");
    out
}

fn summary(out: &mut String, page: &Page) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for stage in &page.stages {
        *counts.entry(stage.state.word()).or_default() += 1;
    }
    let states: Vec<String> = counts
        .iter()
        .map(|(state, count)| format!("<span class=\"{state}\">{count} {state}</span>"))
        .collect();
    let failed = page.gates.iter().filter(|gate| !gate.holds).count();
    let gates = match (page.gates.len(), failed) {
        (0, _) => String::new(),
        (all, 0) => format!(" · <span class=\"fresh\">all {all} gates hold</span>"),
        (all, failed) => format!(" · <span class=\"failed\">{failed} of {all} gates fail</span>"),
    };
    let last = page.runs.first().map_or_else(String::new, |run| {
        let exit = run
            .exit
            .map_or("did not end".to_string(), |exit| format!("exit {exit}"));
        format!(" · last run {}: {exit}", markup(&run.run))
    });
    let _ = writeln!(
        out,
        "<p>{} stages: {}{gates}{last}</p>",
        page.stages.len(),
        states.join(", ")
    );
}

/// A heading over words, or over numbers.
enum Head {
    Words(&'static str),
    Numbers(&'static str),
}

fn table(out: &mut String, title: &str, head: &[Head], rows: &[String]) {
    if rows.is_empty() {
        return;
    }
    let head: String = head
        .iter()
        .map(|cell| match cell {
            Head::Words(cell) => format!("<th>{cell}</th>"),
            Head::Numbers(cell) => format!("<th class=\"n\">{cell}</th>"),
        })
        .collect();
    let _ = writeln!(
        out,
        "<h2>{title}</h2>\n<table>\n<tr>{head}</tr>\n{}</table>",
        rows.concat()
    );
}

fn stages(out: &mut String, page: &Page) {
    let longest = page
        .stages
        .iter()
        .filter_map(|stage| stage.seconds)
        .fold(0.0, f64::max);
    let rows: Vec<String> = page
        .stages
        .iter()
        .map(|stage| {
            let (time, drawn) = match stage.seconds {
                Some(seconds) => (format!("{seconds:.2} s"), bar(seconds, longest)),
                None => (String::new(), String::new()),
            };
            let memory = stage.peak_memory_bytes.map(show_bytes).unwrap_or_default();
            format!(
                "<tr><td>{}</td><td class=\"{}\">{}</td><td>{}</td><td class=\"n\">{time}</td><td>{drawn}</td>\
                 <td class=\"n\">{memory}</td><td class=\"n\">{}</td></tr>\n",
                markup(&stage.name),
                stage.state.word(),
                stage.state.word(),
                markup(&stage.reason),
                show_bytes(stage.bytes),
            )
        })
        .collect();
    table(
        out,
        "Stages",
        &[
            Words("stage"),
            Words("state"),
            Words("why"),
            Numbers("time"),
            Words(""),
            Numbers("memory"),
            Numbers("outputs"),
        ],
        &rows,
    );
}

fn gates(out: &mut String, page: &Page) {
    let rows: Vec<String> = page
        .gates
        .iter()
        .map(|gate| {
            let (class, word) = if gate.holds {
                ("fresh", "holds")
            } else {
                ("failed", "fails")
            };
            format!(
                "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td>{}</td><td class=\"{class}\">{word}</td></tr>\n",
                markup(&gate.stage),
                markup(&gate.metric),
                markup(&gate.value),
                markup(&gate.limits),
            )
        })
        .collect();
    table(
        out,
        "Gates",
        &[
            Words("stage"),
            Words("metric"),
            Numbers("value"),
            Words("must be"),
            Words(""),
        ],
        &rows,
    );
}

fn metrics(out: &mut String, page: &Page) {
    let rows: Vec<String> = page
        .metrics
        .iter()
        .map(|row| {
            format!(
                "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td>{}</td></tr>\n",
                markup(&row.stage),
                markup(&row.name),
                markup(&show(&row.metric)),
                line(&row.history),
            )
        })
        .collect();
    table(
        out,
        "Metrics",
        &[
            Words("stage"),
            Words("metric"),
            Numbers("value"),
            Words("over the runs"),
        ],
        &rows,
    );
}

fn runs(out: &mut String, page: &Page) {
    let rows: Vec<String> = page
        .runs
        .iter()
        .map(|run| {
            let exit = match run.exit {
                None => "did not end".to_string(),
                Some(exit) => format!("exit {exit}"),
            };
            let class = if run.exit == Some(0) { "fresh" } else { "failed" };
            format!(
                "<tr><td>{}</td><td class=\"{class}\">{exit}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
                 <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{:.2} s</td><td>{}</td></tr>\n",
                markup(&run.run),
                run.executed,
                run.cached,
                run.failed,
                run.gates_failed,
                run.seconds,
                markup(&run.command),
            )
        })
        .collect();
    table(
        out,
        "Runs",
        &[
            Words("run"),
            Words(""),
            Numbers("executed"),
            Numbers("cached"),
            Numbers("failed"),
            Numbers("gates failed"),
            Numbers("time"),
            Words("command"),
        ],
        &rows,
    );
}
