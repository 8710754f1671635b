//! The clock tree: buffers over groups of sinks, level by level up to one root.
//!
//! Every sink lies under the same number of buffers, and the groups of a level are as even in number and as compact as
//! halving across the longer side makes them, so that all buffers of a level see about the same load.

use nanoflow_layout::def::{Component, Design, Names, Net, Terminal, Use};
use nanoflow_layout::electrical::{wire_ff_per_um, wire_ohm_per_um, Electrical, Extreme};
use nanoflow_layout::lef::Tech;
use nanoflow_layout::sites::Sites;
use nanoflow_layout::{LayoutError, Point, Rect};

/// Clock buffers from weak to strong.
const BUFFERS: [&str; 5] = [
    "sky130_fd_sc_hd__clkbuf_1",
    "sky130_fd_sc_hd__clkbuf_2",
    "sky130_fd_sc_hd__clkbuf_4",
    "sky130_fd_sc_hd__clkbuf_8",
    "sky130_fd_sc_hd__clkbuf_16",
];

#[derive(Debug, Clone, Copy)]
pub struct TreeParams {
    /// Flip-flops under one buffer.
    pub leaf_sinks: usize,
    /// Buffers under one buffer.
    pub fanout: usize,
    /// Transition that a buffer's output may have, ns.
    pub slew: f64,
}

/// What was built.
#[derive(Debug, Clone, Default)]
pub struct Built {
    pub sinks: usize,
    pub buffers: usize,
    pub levels: usize,
    /// Estimated arrival of the clock at each flip-flop, ns: (component, time).
    pub arrival: Vec<(usize, f64)>,
}

impl Built {
    /// Latest less earliest arrival, ns.
    #[must_use]
    pub fn skew(&self) -> f64 {
        self.latest()
            - self
                .arrival
                .iter()
                .map(|(_, time)| *time)
                .fold(f64::MAX, f64::min)
                .min(self.latest())
    }
    /// ns.
    #[must_use]
    pub fn latest(&self) -> f64 {
        self.arrival
            .iter()
            .map(|(_, time)| *time)
            .fold(0.0, f64::max)
    }
}

/// A buffer with what it drives.
struct Node {
    component: usize,
    at: Point,
    kind: &'static str,
    children: Children,
}

enum Children {
    Sinks(Vec<Terminal>),
    Nodes(Vec<Node>),
}

pub struct Builder<'a> {
    pub design: &'a mut Design,
    pub tech: &'a Tech,
    pub electrical: &'a Electrical<'a>,
    pub sites: &'a mut Sites,
    pub params: TreeParams,
    kinds: Vec<&'static str>,
    names: Names,
    built: Built,
}

impl<'a> Builder<'a> {
    pub fn new(
        design: &'a mut Design,
        tech: &'a Tech,
        electrical: &'a Electrical<'a>,
        sites: &'a mut Sites,
        params: TreeParams,
    ) -> Self {
        let mut kinds = electrical.available(&BUFFERS);
        kinds.retain(|kind| tech.macros.contains_key(*kind));
        let names = Names::of(design);
        Self {
            design,
            tech,
            electrical,
            sites,
            params,
            kinds,
            names,
            built: Built::default(),
        }
    }

    /// Builds a tree on every clock net that drives flip-flops.
    ///
    /// # Errors
    /// When the library has no clock buffer, or no room is left for one.
    pub fn run(mut self) -> Result<Built, LayoutError> {
        let clocks: Vec<usize> = (0..self.design.nets.len())
            .filter(|&net| self.design.nets[net].use_ == Use::Clock)
            .collect();
        for net in clocks {
            let terminals = std::mem::take(&mut self.design.nets[net].terminals);
            let (sinks, mut rest): (Vec<Terminal>, Vec<Terminal>) = terminals
                .into_iter()
                .partition(|terminal| self.is_sink(terminal));
            if sinks.is_empty() {
                self.design.nets[net].terminals = rest;
                continue;
            }
            self.built.sinks += sinks.len();
            let root = self.tree(sinks)?;
            rest.push(Terminal::Pin {
                component: root.component,
                pin: "A".into(),
            });
            self.design.nets[net].terminals = rest;
            // The port's driver is unknown; a slew like that of the tree itself.
            self.arrivals(&root, 0.0, self.params.slew / 2.0);
        }
        Ok(self.built)
    }

    fn is_sink(&self, terminal: &Terminal) -> bool {
        match terminal {
            Terminal::Port(_) => false,
            Terminal::Pin { component, pin } => self
                .electrical
                .is_clock(&self.design.components[*component].cell, pin),
        }
    }

    fn tree(&mut self, sinks: Vec<Terminal>) -> Result<Node, LayoutError> {
        let mut groups = Vec::new();
        let places: Vec<(Point, Terminal)> = sinks
            .into_iter()
            .map(|sink| (self.place_of(&sink), sink))
            .collect();
        halve(places, self.params.leaf_sinks, &mut groups);
        let mut level = Vec::new();
        let leaf = self.kind_for(
            groups
                .iter()
                .map(|group| self.sinks_load(group))
                .fold(0.0, f64::max),
        )?;
        for group in groups {
            let at = middle(group.iter().map(|(at, _)| *at));
            let sinks = group.into_iter().map(|(_, sink)| sink).collect();
            level.push(self.insert(at, leaf, Children::Sinks(sinks))?);
        }
        self.built.levels = self.built.levels.max(1);
        let mut levels = 1;
        while level.len() > 1 {
            let mut groups = Vec::new();
            halve(
                level.into_iter().map(|node| (node.at, node)).collect(),
                self.params.fanout,
                &mut groups,
            );
            let kind = self.kind_for(
                groups
                    .iter()
                    .map(|group| self.nodes_load(group))
                    .fold(0.0, f64::max),
            )?;
            level = Vec::new();
            for group in groups {
                let at = middle(group.iter().map(|(at, _)| *at));
                let nodes = group.into_iter().map(|(_, node)| node).collect();
                level.push(self.insert(at, kind, Children::Nodes(nodes))?);
            }
            levels += 1;
        }
        self.built.levels = self.built.levels.max(levels);
        level
            .pop()
            .ok_or_else(|| LayoutError::Missing("the clock has no sinks".into()))
    }

    fn place_of(&self, terminal: &Terminal) -> Point {
        match terminal {
            Terminal::Port(pin) => self.design.pins[*pin].location().unwrap_or_default(),
            Terminal::Pin { component, .. } => self.design.components[*component]
                .placement
                .map_or(Point::default(), |placement| placement.at),
        }
    }

    fn pin_ff(&self, terminal: &Terminal) -> f64 {
        match terminal {
            Terminal::Port(_) => 0.0,
            Terminal::Pin { component, pin } => self
                .electrical
                .pin_ff(&self.design.components[*component].cell, pin),
        }
    }

    fn sinks_load(&self, group: &[(Point, Terminal)]) -> f64 {
        let pins: f64 = group.iter().map(|(_, sink)| self.pin_ff(sink)).sum();
        pins + tree_length(group.iter().map(|(at, _)| *at)) * wire_ff_per_um()
    }

    fn nodes_load(&self, group: &[(Point, Node)]) -> f64 {
        let pins: f64 = group
            .iter()
            .map(|(_, node)| self.electrical.pin_ff(node.kind, "A"))
            .sum();
        pins + tree_length(group.iter().map(|(at, _)| *at)) * wire_ff_per_um()
    }

    /// The weakest buffer whose output is quick enough at this load, else the strongest.
    fn kind_for(&self, load: f64) -> Result<&'static str, LayoutError> {
        let quick = |kind: &&&'static str| {
            let limit = self.electrical.limit_ff(kind, "X").unwrap_or(f64::MAX);
            let slew = self
                .electrical
                .output_slew(kind, None, self.params.slew, load)
                .unwrap_or(0.0);
            load <= limit * 0.8 && slew <= self.params.slew
        };
        self.kinds
            .iter()
            .find(quick)
            .or(self.kinds.last())
            .copied()
            .ok_or_else(|| {
                LayoutError::Missing(format!(
                    "neither Liberty nor LEF has a clock buffer such as '{}'",
                    BUFFERS[2]
                ))
            })
    }

    /// Places a buffer and its net.
    fn insert(
        &mut self,
        at: Point,
        kind: &'static str,
        children: Children,
    ) -> Result<Node, LayoutError> {
        let cell = self.tech.cell(kind)?;
        let wish = Point::new(at.x - cell.width / 2, at.y - cell.height / 2);
        let placement = self.sites.nearest(wish, cell.width).ok_or_else(|| {
            LayoutError::Missing(format!(
                "no row has room for a clock buffer '{kind}': lower 'utilization' of floorplan"
            ))
        })?;
        self.sites.mark(placement.at, cell.width, true);
        let component = self.design.components.len();
        let name = self
            .names
            .free(&format!("clock_buf_{}", self.built.buffers));
        self.design.components.push(Component {
            name: name.clone(),
            cell: kind.into(),
            placement: Some(placement),
            source: Some("TIMING".into()),
            properties: Vec::new(),
        });
        self.built.buffers += 1;
        let mut terminals = vec![Terminal::Pin {
            component,
            pin: "X".into(),
        }];
        match &children {
            Children::Sinks(sinks) => terminals.extend(sinks.iter().cloned()),
            Children::Nodes(nodes) => terminals.extend(nodes.iter().map(|node| Terminal::Pin {
                component: node.component,
                pin: "A".into(),
            })),
        }
        self.design.nets.push(Net {
            name: self.names.free(&format!("{name}_net")),
            use_: Use::Clock,
            terminals,
            ..Net::default()
        });
        Ok(Node {
            component,
            at: placement.at,
            kind,
            children,
        })
    }

    /// Clock arrival at all sinks below a buffer whose input switches at `time` with `slew`.
    fn arrivals(&mut self, node: &Node, time: f64, slew: f64) {
        let (places, loads): (Vec<Point>, Vec<f64>) = match &node.children {
            Children::Sinks(sinks) => sinks
                .iter()
                .map(|sink| (self.place_of(sink), self.pin_ff(sink)))
                .unzip(),
            Children::Nodes(nodes) => nodes
                .iter()
                .map(|node| (node.at, self.electrical.pin_ff(node.kind, "A")))
                .unzip(),
        };
        let length = tree_length(places.iter().copied().chain([node.at]));
        let load = loads.iter().sum::<f64>() + length * wire_ff_per_um();
        let delay = self
            .electrical
            .delay(node.kind, Some("A"), slew, load, Extreme::Longest)
            .unwrap_or(0.1);
        let out_slew = self
            .electrical
            .output_slew(node.kind, Some("A"), slew, load)
            .unwrap_or(slew);
        for (index, (place, pin)) in places.iter().zip(&loads).enumerate() {
            let distance = node.at.distance(*place) as f64 * 1e-3;
            // Elmore: the wire to this sink drives half its own capacitance and the pin. Ω·fF = 1e-6 ns.
            let wire =
                distance * wire_ohm_per_um() * (distance * wire_ff_per_um() / 2.0 + pin) * 1e-6;
            let at = time + delay + wire;
            match &node.children {
                Children::Sinks(sinks) => {
                    if let Terminal::Pin { component, .. } = &sinks[index] {
                        self.built.arrival.push((*component, at));
                    }
                }
                Children::Nodes(nodes) => self.arrivals(&nodes[index], at, out_slew),
            }
        }
    }
}

/// Length of a wire that joins points, µm: half-perimeter, times the usual growth with their number (Steiner trees of
/// random points grow with its root).
fn tree_length(places: impl Iterator<Item = Point>) -> f64 {
    let mut count = 0usize;
    let mut bounds: Option<Rect> = None;
    for at in places {
        count += 1;
        let here = Rect::new(at.x, at.y, at.x, at.y);
        bounds = Some(bounds.map_or(here, |all| all.union(&here)));
    }
    let half = bounds.map_or(0.0, |all| f64::from(all.width() + all.height()) * 1e-3);
    half * (0.5 * (count as f64).sqrt()).max(1.0)
}

fn middle(places: impl Iterator<Item = Point>) -> Point {
    let (mut x, mut y, mut count) = (0i64, 0i64, 0i64);
    for at in places {
        x += i64::from(at.x);
        y += i64::from(at.y);
        count += 1;
    }
    let count = count.max(1);
    Point::new((x / count) as i32, (y / count) as i32)
}

/// Halves a set across its longer side until all parts have at most `most` members; the parts differ by one at most at each cut.
fn halve<T>(mut items: Vec<(Point, T)>, most: usize, groups: &mut Vec<Vec<(Point, T)>>) {
    let parts = items.len().div_ceil(most.max(1));
    if parts <= 1 {
        groups.push(items);
        return;
    }
    let first = items[0].0;
    let bounds = items.iter().fold(
        Rect::new(first.x, first.y, first.x, first.y),
        |all, (at, _)| all.union(&Rect::new(at.x, at.y, at.x, at.y)),
    );
    let wide = bounds.width() > bounds.height();
    items.sort_by_key(|(at, _)| if wide { (at.x, at.y) } else { (at.y, at.x) });
    let cut = items.len() * (parts / 2) / parts;
    let upper = items.split_off(cut.max(1));
    halve(items, most, groups);
    halve(upper, most, groups);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_even_and_small() {
        let items: Vec<(Point, usize)> = (0..853)
            .map(|index| {
                (
                    Point::new(index * 7919 % 1000, index * 104_729 % 1000),
                    index as usize,
                )
            })
            .collect();
        let mut groups = Vec::new();
        halve(items, 16, &mut groups);
        let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 853);
        assert!(
            sizes.iter().all(|size| (14..=16).contains(size)),
            "{sizes:?}"
        );
    }
}
