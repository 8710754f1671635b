//! The graph as a picture.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::flow::quote::markup;
use crate::flow::{Flow, StageId};

use super::layered::{place, Point};
use super::text::edges;
use super::Graph;

/// How one stage is drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// A class for a style sheet around the drawing.
    pub class: String,
    /// What is shown when the pointer rests on it.
    pub title: String,
}

/// A drawing in layers, each stage below all that it waits for.
pub fn svg(flow: &Flow, graph: &Graph, shown: &[StageId]) -> String {
    svg_with(flow, graph, shown, &BTreeMap::new())
}

const HEIGHT: f64 = 34.0;

/// The same with a look for some stages.
pub fn svg_with(
    flow: &Flow,
    graph: &Graph,
    shown: &[StageId],
    looks: &BTreeMap<StageId, Look>,
) -> String {
    let number: BTreeMap<StageId, usize> = shown
        .iter()
        .enumerate()
        .map(|(number, id)| (*id, number))
        .collect();
    let mut drawn: Vec<(usize, usize)> = edges(flow)
        .into_iter()
        .filter_map(|(from, to, _)| Some((*number.get(&from)?, *number.get(&to)?)))
        .collect();
    drawn.sort_unstable();
    drawn.dedup();
    let widths: Vec<f64> = shown
        .iter()
        .map(|id| width(&flow.stage(*id).name))
        .collect();
    let order: Vec<usize> = graph
        .order()
        .iter()
        .filter_map(|id| number.get(id).copied())
        .collect();
    let layout = place(&widths, &drawn, &order, HEIGHT);
    let (all_wide, all_high) = (layout.width, layout.height);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"graph\" width=\"{all_wide}\" height=\"{all_high}\" viewBox=\"0 0 {all_wide} {all_high}\" font-family=\"sans-serif\" font-size=\"13\">\n"
    );
    for points in &layout.edges {
        let _ = writeln!(
            out,
            "<path d=\"{}\" fill=\"none\" stroke=\"#888\"/>",
            curve(points)
        );
    }
    for (id, middle) in shown.iter().zip(&layout.nodes) {
        stage(&mut out, &flow.stage(*id).name, *middle, looks.get(id));
    }
    out.push_str("</svg>\n");
    out
}

/// Room for a name.
fn width(name: &str) -> f64 {
    (name.chars().count() as f64 * 8.0 + 24.0).max(84.0)
}

/// Straight down past a layer, in a curve from one layer to the next.
fn curve(points: &[Point]) -> String {
    let mut path = String::new();
    for (place, pair) in points.windows(2).enumerate() {
        let (from, to) = (pair[0], pair[1]);
        if place == 0 {
            let _ = write!(path, "M{},{}", from.x, from.y);
        }
        if from.x == to.x {
            let _ = write!(path, " V{}", to.y);
        } else {
            let middle = (from.y + to.y) / 2.0;
            let _ = write!(
                path,
                " C{},{middle} {},{middle} {},{}",
                from.x, to.x, to.x, to.y
            );
        }
    }
    path
}

fn stage(out: &mut String, name: &str, middle: Point, look: Option<&Look>) {
    let wide = width(name);
    let name = markup(name);
    match look {
        Some(look) => {
            let (class, title) = (markup(&look.class), markup(&look.title));
            let _ = writeln!(
                out,
                "<g class=\"{class}\"><title>{name}: {class} {title}</title>"
            );
        }
        None => out.push_str("<g>\n"),
    }
    let _ = writeln!(
        out,
        "<rect x=\"{}\" y=\"{}\" width=\"{wide}\" height=\"{HEIGHT}\" rx=\"6\" fill=\"#eef4ff\" stroke=\"#4a6fa5\"/>",
        middle.x - wide / 2.0,
        middle.y - HEIGHT / 2.0
    );
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{name}</text></g>",
        middle.x,
        middle.y + 5.0
    );
}
