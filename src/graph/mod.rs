//! The graph of a checked flow: which stage waits for which, targets, order, cycles. Pure.

mod layered;
mod svg;
mod text;

use std::collections::BTreeSet;

use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use petgraph::Direction;

use crate::flow::{nearest, Fault, Flow, SourceKind, Span, StageId};

pub use svg::{svg, svg_with, Look};
pub use text::{dot, json, mermaid};

/// The stages as nodes in the flow's order, an edge from each stage to each one that reads its outputs.
#[derive(Debug, Clone)]
pub struct Graph {
    graph: DiGraph<StageId, (), usize>,
    /// Every stage after all that it waits for; otherwise in the flow's order.
    order: Vec<StageId>,
}

impl Graph {
    /// Builds the graph.
    ///
    /// # Errors
    /// A fault for each cycle, with the cycle's path.
    pub fn build(flow: &Flow) -> Result<Graph, Vec<Fault>> {
        let mut graph = DiGraph::with_capacity(flow.stages.len(), flow.stages.len() * 2);
        for id in flow.ids() {
            graph.add_node(id);
        }
        for id in flow.ids() {
            let from: BTreeSet<StageId> = upstream_of(flow, id).map(|(stage, _)| stage).collect();
            for stage in from {
                graph.add_edge(NodeIndex::new(stage.0), NodeIndex::new(id.0), ());
            }
        }
        match order(&graph) {
            Some(order) => Ok(Graph { graph, order }),
            None => Err(cycles(flow, &graph)),
        }
    }

    pub fn order(&self) -> &[StageId] {
        &self.order
    }

    /// Stages whose outputs this one reads.
    pub fn upstream(&self, id: StageId) -> impl Iterator<Item = StageId> + '_ {
        self.neighbours(id, Direction::Incoming)
    }

    /// Stages that read this one's outputs.
    pub fn downstream(&self, id: StageId) -> impl Iterator<Item = StageId> + '_ {
        self.neighbours(id, Direction::Outgoing)
    }

    fn neighbours(&self, id: StageId, direction: Direction) -> impl Iterator<Item = StageId> + '_ {
        self.graph
            .edges_directed(NodeIndex::new(id.0), direction)
            .map(move |edge| {
                StageId(
                    if direction == Direction::Incoming {
                        edge.source()
                    } else {
                        edge.target()
                    }
                    .index(),
                )
            })
    }

    /// The stages and all that they wait for, in order.
    pub fn closure(&self, targets: &[StageId]) -> Vec<StageId> {
        self.reach(targets, Direction::Incoming)
    }

    /// The stages and all that waits for them, in order.
    pub fn dependents(&self, targets: &[StageId]) -> Vec<StageId> {
        self.reach(targets, Direction::Outgoing)
    }

    fn reach(&self, targets: &[StageId], direction: Direction) -> Vec<StageId> {
        let mut wanted = vec![false; self.graph.node_count()];
        let mut stack: Vec<StageId> = targets.to_vec();
        while let Some(id) = stack.pop() {
            if !std::mem::replace(&mut wanted[id.0], true) {
                stack.extend(self.neighbours(id, direction));
            }
        }
        self.order
            .iter()
            .copied()
            .filter(|id| wanted[id.0])
            .collect()
    }
}

/// The stages that `id` reads from, with where it says so.
fn upstream_of(flow: &Flow, id: StageId) -> impl Iterator<Item = (StageId, Span)> + '_ {
    flow.stage(id)
        .inputs
        .values()
        .flat_map(|input| &input.sources)
        .filter_map(|source| match &source.kind {
            SourceKind::Output { stage, .. } => Some((*stage, source.span)),
            _ => None,
        })
}

/// Kahn's order, taking the earliest stage of the file that is ready; `None` if there is a cycle.
fn order(graph: &DiGraph<StageId, (), usize>) -> Option<Vec<StageId>> {
    let mut waiting: Vec<usize> = graph
        .node_indices()
        .map(|node| graph.edges_directed(node, Direction::Incoming).count())
        .collect();
    let mut ready: BTreeSet<usize> = (0..waiting.len())
        .filter(|node| waiting[*node] == 0)
        .collect();
    let mut order = Vec::with_capacity(waiting.len());
    while let Some(node) = ready.pop_first() {
        order.push(StageId(node));
        for next in graph.neighbors(NodeIndex::new(node)) {
            waiting[next.index()] -= 1;
            if waiting[next.index()] == 0 {
                ready.insert(next.index());
            }
        }
    }
    (order.len() == waiting.len()).then_some(order)
}

/// One fault for each knot of stages that wait for each other, with one way around it.
fn cycles(flow: &Flow, graph: &DiGraph<StageId, (), usize>) -> Vec<Fault> {
    let mut faults = Vec::new();
    // Kosaraju's way needs no stack of calls as deep as the flow is long.
    for knot in petgraph::algo::kosaraju_scc(graph) {
        let members: BTreeSet<usize> = knot.iter().map(|node| node.index()).collect();
        let Some(first) = members.first().copied() else {
            continue;
        };
        let own = graph.contains_edge(NodeIndex::new(first), NodeIndex::new(first));
        if members.len() == 1 && !own {
            continue;
        }
        let path = around(graph, first, &members);
        let mut names: Vec<&str> = path
            .iter()
            .map(|node| flow.stages[*node].name.as_str())
            .collect();
        if names.len() > 40 {
            names.splice(20..names.len() - 20, ["…"]);
        }
        let last = path
            .get(path.len().saturating_sub(2))
            .copied()
            .unwrap_or(first);
        let span = upstream_of(flow, StageId(first))
            .find(|(stage, _)| stage.0 == last)
            .map_or(flow.stages[first].span, |(_, span)| span);
        faults.push(
            Fault::new(
                span,
                format!("stages wait for each other: {}", names.join(" → ")),
            )
            .hint("an input must come from a stage that does not need this one"),
        );
    }
    faults.sort_by_key(|fault| fault.span);
    faults
}

/// The shortest way from `first` back to itself.
fn around(
    graph: &DiGraph<StageId, (), usize>,
    first: usize,
    members: &BTreeSet<usize>,
) -> Vec<usize> {
    let mut came_from = std::collections::HashMap::new();
    let mut queue = std::collections::VecDeque::from([first]);
    while let Some(node) = queue.pop_front() {
        for next in graph
            .neighbors(NodeIndex::new(node))
            .map(|next| next.index())
        {
            if next == first {
                let mut path = vec![first];
                let mut at = node;
                while at != first {
                    path.push(at);
                    at = came_from.get(&at).copied().unwrap_or(first);
                }
                path.push(first);
                path.reverse();
                return path;
            }
            if members.contains(&next) && !came_from.contains_key(&next) {
                came_from.insert(next, node);
                queue.push_back(next);
            }
        }
    }
    vec![first, first]
}

/// A word on the command line that names no stage, group or alias.
#[derive(Debug, Clone, thiserror::Error)]
#[error("there is no stage, group or alias '{name}'{}", suggestion.as_ref().map(|near| format!("\nhint: did you mean '{near}'?")).unwrap_or_default())]
pub struct UnknownTarget {
    pub name: String,
    pub suggestion: Option<String>,
}

/// Stages named on the command line; all stages if nothing is named.
///
/// # Errors
/// A word names nothing.
pub fn targets(flow: &Flow, words: &[String]) -> Result<Vec<StageId>, UnknownTarget> {
    if words.is_empty() {
        return Ok(flow.ids().collect());
    }
    let mut chosen = BTreeSet::new();
    for word in words {
        if let Some(members) = flow.groups.get(word) {
            chosen.extend(members.iter().copied());
        } else if let Some(id) = flow.find(word) {
            chosen.insert(id);
        } else {
            let known = flow
                .stages
                .iter()
                .map(|stage| stage.name.as_str())
                .chain(flow.groups.keys().map(String::as_str))
                .chain(flow.aliases.keys().map(String::as_str));
            let suggestion = nearest(word, known).map(str::to_string);
            return Err(UnknownTarget {
                name: word.clone(),
                suggestion,
            });
        }
    }
    Ok(chosen.into_iter().collect())
}
