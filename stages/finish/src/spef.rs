//! Parasitics in SPEF: for each net a network of resistors along its wires and vias, capacitors to ground at the nodes.

use std::collections::BTreeMap;
use std::fmt::Write;

use nanoflow_layout::def::{Design, Net, Terminal};
use nanoflow_layout::lef::{PinDirection, Tech};
use nanoflow_layout::shapes::{elements, Element};
use nanoflow_layout::tech::{cut, metal, METALS};
use nanoflow_layout::{LayoutError, Point, Rect, Transform};

/// Nodes of one layer nearer than this whose metal touches are one piece of metal (contacts a little off the wire's end).
const JOIN: i64 = 800;

/// Writes the SPEF of all nets.
///
/// # Errors
/// When wiring or a terminal names what does not exist.
pub fn spef(design: &Design, tech: &Tech) -> Result<String, LayoutError> {
    let mut out = String::new();
    header(design, &mut out);
    for (index, net) in design.nets.iter().enumerate() {
        let network = Network::of(design, tech, net)?;
        network.write(design, tech, net, index + 1, &mut out)?;
    }
    Ok(out)
}

fn header(design: &Design, out: &mut String) {
    // A fixed date: the same layout gives the same file.
    let _ = writeln!(
        out,
        "*SPEF \"IEEE 1481-1998\"\n*DESIGN \"{}\"\n*DATE \"\"\n*VENDOR \"nanoflow\"\n*PROGRAM \"finish\"\n*VERSION \"1\"\n\
         *DESIGN_FLOW \"NAME_SCOPE LOCAL\" \"PIN_CAP NONE\"\n*DIVIDER /\n*DELIMITER :\n*BUS_DELIMITER []\n\
         *T_UNIT 1 NS\n*C_UNIT 1 FF\n*R_UNIT 1 OHM\n*L_UNIT 1 HENRY\n\n*NAME_MAP",
        design.name
    );
    for (index, net) in design.nets.iter().enumerate() {
        let _ = writeln!(out, "*{} {}", index + 1, escape(design, &net.name));
    }
    for (index, component) in design.components.iter().enumerate() {
        let _ = writeln!(
            out,
            "*{} {}",
            design.nets.len() + index + 1,
            escape(design, &component.name)
        );
    }
    let _ = writeln!(out, "\n*PORTS");
    for pin in design.pins.iter().filter(|pin| !pin.special) {
        let _ = writeln!(
            out,
            "{} {}",
            escape(design, &pin.name),
            direction(pin.direction)
        );
    }
    out.push('\n');
}

/// SPEF protects with a backslash what is not a letter, digit or underscore; the bits of a bus stay bare.
fn escape(design: &Design, name: &str) -> String {
    let is_port = |name: &str| design.pins.iter().any(|pin| pin.name == name);
    let bare = name
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if bare || (name.ends_with(']') && is_port(name)) {
        return name.to_string();
    }
    let mut word = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if !(letter.is_ascii_alphanumeric() || letter == '_') {
            word.push('\\');
        }
        word.push(letter);
    }
    word
}

fn direction(direction: PinDirection) -> &'static str {
    match direction {
        PinDirection::Input => "I",
        PinDirection::Output => "O",
        PinDirection::Inout => "B",
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Node<'a> {
    layer: &'a str,
    at: Point,
}

/// Resistors and capacitors of one net; nodes by number.
struct Network<'a> {
    nodes: Vec<Node<'a>>,
    /// fF to ground.
    capacitance: Vec<f64>,
    resistors: Vec<(usize, usize, f64)>,
    /// Node of each terminal of the net.
    terminals: Vec<usize>,
}

impl<'a> Network<'a> {
    fn of(design: &'a Design, tech: &'a Tech, net: &'a Net) -> Result<Self, LayoutError> {
        let mut parts = Vec::new();
        for wire in &net.wires {
            parts.extend(elements(design, tech, &net.name, wire)?);
        }
        let mut index: BTreeMap<Node<'a>, usize> = BTreeMap::new();
        for part in &parts {
            match part {
                Element::Segment {
                    layer, from, to, ..
                } => {
                    for at in [from, to] {
                        index.insert(Node { layer, at: *at }, 0);
                    }
                }
                Element::Via {
                    at, below, above, ..
                } => {
                    for layer in [below, above] {
                        index.insert(Node { layer, at: *at }, 0);
                    }
                }
                Element::Patch { .. } => {}
            }
        }
        let nodes: Vec<Node<'a>> = index.keys().copied().collect();
        for (number, node) in nodes.iter().enumerate() {
            index.insert(*node, number);
        }
        let mut network = Self {
            capacitance: vec![0.0; nodes.len()],
            resistors: Vec::new(),
            terminals: Vec::new(),
            nodes,
        };
        network.add_parts(&parts, &index);
        network.join_touching(&parts);
        network.add_terminals(design, tech, net)?;
        Ok(network)
    }

    fn add_parts(&mut self, parts: &[Element], index: &BTreeMap<Node<'a>, usize>) {
        let mut seen = std::collections::BTreeSet::new();
        for part in parts {
            match part {
                Element::Segment {
                    layer, from, to, ..
                } => {
                    // Every node on the segment splits it.
                    let (low, high) = ((*from).min(*to), (*from).max(*to));
                    let bounds = Rect::new(low.x, low.y, high.x, high.y);
                    let mut on: Vec<usize> = self
                        .nodes
                        .iter()
                        .enumerate()
                        .filter(|(_, node)| node.layer == *layer && bounds.contains(node.at))
                        .map(|(number, _)| number)
                        .collect();
                    on.sort_by_key(|&number| self.nodes[number].at);
                    for pair in on.windows(2) {
                        if seen.insert((pair[0], pair[1])) {
                            self.wire(pair[0], pair[1]);
                        }
                    }
                }
                Element::Via {
                    at,
                    below,
                    above,
                    shapes,
                    ..
                } => {
                    let find = |layer: &str| {
                        index
                            .iter()
                            .find(|(node, _)| node.layer == layer && node.at == *at)
                            .map(|(_, number)| *number)
                    };
                    let cuts = shapes
                        .iter()
                        .filter_map(|(layer, _)| cut(layer))
                        .collect::<Vec<_>>();
                    if let (Some(low), Some(high), Some(first)) =
                        (find(below), find(above), cuts.first())
                    {
                        if seen.insert((low, high)) {
                            self.resistors
                                .push((low, high, first.ohm / cuts.len() as f64));
                        }
                    }
                }
                Element::Patch { .. } => {}
            }
        }
    }

    /// A piece of wire between two nodes of one layer.
    fn wire(&mut self, from: usize, to: usize) {
        let length = self.nodes[from].at.distance(self.nodes[to].at) as f64 * 1e-3;
        let layer = metal(self.nodes[from].layer).unwrap_or(&METALS[1]);
        self.resistors
            .push((from, to, (layer.ohm_per_um * length).max(1e-3)));
        for end in [from, to] {
            self.capacitance[end] += layer.ff_per_um * length / 2.0;
        }
    }

    fn groups(&self) -> Vec<usize> {
        let mut parent: Vec<usize> = (0..self.nodes.len()).collect();
        for &(a, b, _) in &self.resistors {
            let (a, b) = (root(&mut parent, a), root(&mut parent, b));
            parent[a.max(b)] = a.min(b);
        }
        (0..self.nodes.len())
            .map(|node| root(&mut parent, node))
            .collect()
    }

    /// Joins pieces whose metal touches though their nodes are not the same point.
    fn join_touching(&mut self, parts: &[Element]) {
        loop {
            let groups = self.groups();
            if groups.iter().all(|group| *group == groups[0]) {
                return;
            }
            let mut best: Option<(i64, usize, usize)> = None;
            for a in 0..self.nodes.len() {
                for b in a + 1..self.nodes.len() {
                    let (first, second) = (self.nodes[a], self.nodes[b]);
                    if groups[a] == groups[b] || first.layer != second.layer {
                        continue;
                    }
                    let distance = first.at.distance(second.at);
                    if distance <= JOIN
                        && best.is_none_or(|(least, ..)| distance < least)
                        && touching(parts, first, second)
                    {
                        best = Some((distance, a, b));
                    }
                }
            }
            let Some((_, a, b)) = best else { return };
            self.wire(a, b);
        }
    }

    fn add_terminals(
        &mut self,
        design: &'a Design,
        tech: &Tech,
        net: &'a Net,
    ) -> Result<(), LayoutError> {
        for terminal in &net.terminals {
            let shapes = terminal_shapes(design, tech, terminal)?;
            let inside = self.nodes.iter().position(|node| {
                shapes
                    .iter()
                    .any(|(layer, rect)| layer == node.layer && rect.grow(90).contains(node.at))
            });
            // A terminal that no wire reaches is joined to the nearest node: other checks find opens, timing must go on.
            let middle = shapes
                .first()
                .map_or(design.die.center(), |(_, rect)| rect.center());
            let nearest = || {
                (0..self.nodes.len())
                    .min_by_key(|&node| (self.nodes[node].at.distance(middle), node))
            };
            let node = match inside.or_else(nearest) {
                Some(node) => node,
                None => {
                    self.nodes.push(Node {
                        layer: "met1",
                        at: middle,
                    });
                    self.capacitance.push(0.0);
                    0
                }
            };
            self.terminals.push(node);
        }
        Ok(())
    }

    fn write(
        &self,
        design: &Design,
        tech: &Tech,
        net: &Net,
        number: usize,
        out: &mut String,
    ) -> Result<(), LayoutError> {
        let total: f64 = self.capacitance.iter().sum();
        let _ = writeln!(out, "*D_NET *{number} {total:.4}\n*CONN");
        let mut names = Vec::new();
        for terminal in &net.terminals {
            match terminal {
                Terminal::Port(pin) => {
                    let pin = &design.pins[*pin];
                    names.push(escape(design, &pin.name));
                    let _ = writeln!(
                        out,
                        "*P {} {}",
                        escape(design, &pin.name),
                        direction(pin.direction)
                    );
                }
                Terminal::Pin { component, pin } => {
                    let cell = tech.cell(&design.components[*component].cell)?;
                    let way = cell
                        .pin(pin)
                        .map_or(PinDirection::Inout, |pin| pin.direction);
                    let name = format!("*{}:{pin}", design.nets.len() + component + 1);
                    let _ = writeln!(out, "*I {name} {} *D {}", direction(way), cell.name);
                    names.push(name);
                }
            }
        }
        let node = |node: usize| format!("*{number}:{}", node + 1);
        let _ = writeln!(out, "*CAP");
        let mut count = 0;
        for (index, value) in self
            .capacitance
            .iter()
            .enumerate()
            .filter(|(_, value)| **value > 0.0)
        {
            count += 1;
            let _ = writeln!(out, "{count} {} {value:.5}", node(index));
        }
        let _ = writeln!(out, "*RES");
        count = 0;
        for &(from, to, ohm) in &self.resistors {
            count += 1;
            let _ = writeln!(out, "{count} {} {} {ohm:.4}", node(from), node(to));
        }
        for (name, &at) in names.iter().zip(&self.terminals) {
            count += 1;
            let _ = writeln!(out, "{count} {name} {} 0.001", node(at));
        }
        let _ = writeln!(out, "*END\n");
        Ok(())
    }
}

fn root(parent: &mut [usize], mut node: usize) -> usize {
    while parent[node] != node {
        parent[node] = parent[parent[node]];
        node = parent[node];
    }
    node
}

/// One rectangle, or two that touch, cover both nodes.
fn touching(parts: &[Element], first: Node, second: Node) -> bool {
    let covering = |node: Node| -> Vec<Rect> {
        let mut found = Vec::new();
        for part in parts {
            match part {
                Element::Segment { layer, rect, .. } | Element::Patch { layer, rect }
                    if *layer == node.layer && rect.contains(node.at) =>
                {
                    found.push(*rect)
                }
                Element::Via { shapes, .. } => found.extend(
                    shapes
                        .iter()
                        .filter(|(layer, rect)| *layer == node.layer && rect.contains(node.at))
                        .map(|(_, rect)| *rect),
                ),
                _ => {}
            }
        }
        found
    };
    let others = covering(second);
    covering(first)
        .iter()
        .any(|rect| others.iter().any(|other| rect.touches(other)))
}

/// Metal of a terminal in the design's coordinates.
fn terminal_shapes(
    design: &Design,
    tech: &Tech,
    terminal: &Terminal,
) -> Result<Vec<(String, Rect)>, LayoutError> {
    match terminal {
        Terminal::Port(pin) => Ok(design.pins[*pin]
            .placed_shapes()
            .map(|(layer, rect)| (layer.to_string(), rect))
            .collect()),
        Terminal::Pin { component, pin } => {
            let component = &design.components[*component];
            let cell = tech.cell(&component.cell)?;
            let shapes = cell.pin(pin).ok_or_else(|| {
                LayoutError::Missing(format!("cell '{}' has no pin '{pin}'", cell.name))
            })?;
            let Some(placement) = component.placement else {
                return Ok(Vec::new());
            };
            let transform =
                Transform::placed(placement.at, placement.orient, cell.width, cell.height);
            Ok(shapes
                .shapes
                .iter()
                .map(|(layer, rect)| (layer.clone(), transform.rect(*rect)))
                .collect())
        }
    }
}
