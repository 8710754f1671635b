//! The graph as text for other programs, and as a picture.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::flow::{Flow, SourceKind, StageId};

use super::Graph;

/// Each edge once for every output that is read: from, to, output.
fn edges(flow: &Flow) -> Vec<(StageId, StageId, &str)> {
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

/// How one stage is drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// A class for a style sheet around the drawing.
    pub class: String,
    /// What is shown when the pointer rests on it.
    pub title: String,
}

/// A drawing: columns by the longest way from a source, stages of one column below each other.
pub fn svg(flow: &Flow, graph: &Graph, shown: &[StageId]) -> String {
    svg_with(flow, graph, shown, &BTreeMap::new())
}

const WIDTH: usize = 150;
const HEIGHT: usize = 34;
const COLUMN: usize = 210;
const ROW: usize = 54;

/// The same with a look for some stages.
pub fn svg_with(
    flow: &Flow,
    graph: &Graph,
    shown: &[StageId],
    looks: &BTreeMap<StageId, Look>,
) -> String {
    let escape = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
    };
    let mut is_shown = vec![false; flow.stages.len()];
    for id in shown {
        is_shown[id.0] = true;
    }
    let (place, width, height) = places(flow, graph, &is_shown);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"graph\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n"
    );
    let mut drawn: Vec<(StageId, StageId)> = edges(flow)
        .into_iter()
        .map(|(from, to, _)| (from, to))
        .collect();
    drawn.dedup();
    for (from, to) in drawn {
        if is_shown[from.0] && is_shown[to.0] {
            let (x1, y1) = (place[from.0].0 + WIDTH, place[from.0].1 + HEIGHT / 2);
            let (x2, y2) = (place[to.0].0, place[to.0].1 + HEIGHT / 2);
            let middle = (x1 + x2) / 2;
            let _ = writeln!(out, "<path d=\"M{x1},{y1} C{middle},{y1} {middle},{y2} {x2},{y2}\" fill=\"none\" stroke=\"#888\"/>");
        }
    }
    for id in shown {
        let (x, y) = place[id.0];
        let name = escape(&flow.stage(*id).name);
        let look = looks.get(id);
        match look {
            Some(look) => {
                let (class, title) = (escape(&look.class), escape(&look.title));
                let _ = writeln!(
                    out,
                    "<g class=\"{class}\"><title>{name}: {class} {title}</title>"
                );
            }
            None => out.push_str("<g>\n"),
        }
        let _ = writeln!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\" fill=\"#eef4ff\" stroke=\"#4a6fa5\"/>");
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{name}</text></g>",
            x + WIDTH / 2,
            y + 22
        );
    }
    out.push_str("</svg>\n");
    out
}

/// Where each stage stands, and how wide and high the drawing is.
fn places(flow: &Flow, graph: &Graph, shown: &[bool]) -> (Vec<(usize, usize)>, usize, usize) {
    let mut column = vec![0usize; flow.stages.len()];
    let mut filled: Vec<usize> = Vec::new();
    let mut place = vec![(0usize, 0usize); flow.stages.len()];
    for id in graph.order().iter().filter(|id| shown[id.0]) {
        let at = graph
            .upstream(*id)
            .filter(|from| shown[from.0])
            .map(|from| column[from.0] + 1)
            .max()
            .unwrap_or(0);
        column[id.0] = at;
        filled.resize(filled.len().max(at + 1), 0);
        place[id.0] = (20 + at * COLUMN, 20 + filled[at] * ROW);
        filled[at] += 1;
    }
    let width = 40 + filled.len().max(1) * COLUMN - (COLUMN - WIDTH);
    let height = 40 + filled.iter().max().copied().unwrap_or(1) * ROW;
    (place, width, height)
}
