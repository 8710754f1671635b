//! The graph as text for other programs.

use std::fmt::Write as _;

use crate::flow::{Flow, SourceKind, StageId};

/// Each edge once for every output that is read: from, to, output.
pub(super) fn edges(flow: &Flow) -> Vec<(StageId, StageId, &str)> {
    let mut edges: Vec<(StageId, StageId, &str)> = flow
        .ids()
        .flat_map(|id| {
            flow.stage(id)
                .inputs
                .values()
                .flat_map(|input| &input.sources)
                .filter_map(move |source| match &source.kind {
                    SourceKind::Output { stage, output } => Some((*stage, id, output.as_str())),
                    _ => None,
                })
        })
        .collect();
    edges.sort();
    edges.dedup();
    edges
}

/// Graphviz.
pub fn dot(flow: &Flow, shown: &[StageId]) -> String {
    let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut out = String::from("digraph flow {\n  rankdir=LR;\n  node [shape=box];\n");
    for id in shown {
        let _ = writeln!(out, "  {};", quote(&flow.stage(*id).name));
    }
    for (from, to, output) in edges(flow) {
        if shown.contains(&from) && shown.contains(&to) {
            let (from, to) = (&flow.stage(from).name, &flow.stage(to).name);
            let _ = writeln!(
                out,
                "  {} -> {} [label={}];",
                quote(from),
                quote(to),
                quote(output)
            );
        }
    }
    out.push_str("}\n");
    out
}

/// Mermaid, as GitHub draws it.
pub fn mermaid(flow: &Flow, shown: &[StageId]) -> String {
    let quote = |text: &str| text.replace('"', "#quot;");
    let mut out = String::from("flowchart LR\n");
    for id in shown {
        let _ = writeln!(out, "  s{}[\"{}\"]", id.0, quote(&flow.stage(*id).name));
    }
    for (from, to, output) in edges(flow) {
        if shown.contains(&from) && shown.contains(&to) {
            let _ = writeln!(out, "  s{} -->|\"{}\"| s{}", from.0, quote(output), to.0);
        }
    }
    out
}

/// Nodes and edges for programs.
pub fn json(flow: &Flow, shown: &[StageId]) -> serde_json::Value {
    let stages: Vec<serde_json::Value> = shown
        .iter()
        .map(|id| {
            let stage = flow.stage(*id);
            serde_json::json!({
                "stage": stage.name,
                "aliases": stage.aliases,
                "outputs": stage.outputs.keys().collect::<Vec<_>>(),
            })
        })
        .collect();
    let edges: Vec<serde_json::Value> = edges(flow)
        .into_iter()
        .filter(|(from, to, _)| shown.contains(from) && shown.contains(to))
        .map(|(from, to, output)| {
            serde_json::json!({ "from": flow.stage(from).name, "to": flow.stage(to).name, "output": output })
        })
        .collect();
    serde_json::json!({ "stages": stages, "edges": edges })
}
