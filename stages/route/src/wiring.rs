//! From routes on the lattice to wires, vias and patches, and their mask shapes.

use std::collections::{BTreeMap, BTreeSet};

use nanoflow_layout::{Dbu, Point, Rect};

use crate::lattice::{Lattice, Node};
use crate::problem::{Layer, Owner, Shape};
use crate::route::Route;
use crate::rules::{Rules, WIRE_LAYERS};

/// The metal of one net.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wiring {
    /// Metal, both ends; the metal reaches half its width beyond each.
    pub wires: Vec<(usize, Point, Point)>,
    /// Via `k` ends on metal `k`; 0 is the contact from li1.
    pub vias: Vec<(usize, Point)>,
    pub patches: Vec<(usize, Rect)>,
}

impl Wiring {
    #[must_use]
    pub fn new(lattice: &Lattice, rules: &Rules, route: &Route) -> Self {
        let mut wiring = Self {
            patches: route.links.clone(),
            ..Self::default()
        };
        let mut steps: [BTreeSet<Node>; 2] = [BTreeSet::new(), BTreeSet::new()];
        for &(a, b) in &route.edges {
            let (low, high) = (a.min(b), a.max(b));
            let ((below, x, y), (above, next_x, _)) = (lattice.split(low), lattice.split(high));
            if below != above {
                wiring.vias.push((above, lattice.place(x, y)));
            } else {
                // Set 0: steps to the right, set 1: steps up, named by their lower node.
                steps[usize::from(next_x == x)].insert(low);
            }
        }
        wiring
            .vias
            .extend(route.contacts.iter().map(|contact| (0, contact.at)));
        wiring.vias.sort_unstable();
        wiring.vias.dedup();
        wiring.merge_steps(lattice, &steps);
        wiring.join_contacts(lattice, route);
        wiring.fill_tracks(lattice, rules, route, &steps);
        wiring.patches.sort_unstable();
        wiring.patches.dedup();
        wiring
    }

    /// Straight runs of steps become one wire each.
    fn merge_steps(&mut self, lattice: &Lattice, steps: &[BTreeSet<Node>; 2]) {
        for (set, stride) in steps.iter().zip([1, lattice.columns as Node]) {
            let mut runs: Vec<(Node, Node)> = Vec::new();
            for &step in set {
                let before = step
                    .checked_sub(stride)
                    .is_some_and(|before| set.contains(&before));
                if !before {
                    let mut end = step + stride;
                    while set.contains(&end) {
                        end += stride;
                    }
                    runs.push((step, end));
                }
            }
            for (from, to) in runs {
                self.wires.push((
                    lattice.split(from).0,
                    lattice.point(from),
                    lattice.point(to),
                ));
            }
        }
        self.wires.sort_unstable();
    }

    /// A contact beside its node gets a stub of wire.
    fn join_contacts(&mut self, lattice: &Lattice, route: &Route) {
        for contact in &route.contacts {
            let node = lattice.point(contact.node);
            let beside = Point::new(contact.at.x, node.y);
            if beside != node {
                self.wires.push((0, node, beside));
            } else if contact.at.y != node.y {
                self.wires.push((0, node, contact.at));
            }
        }
    }

    /// Closes the gaps between metal of the net on neighbouring nodes across the wires, which would be notches.
    fn fill_tracks(
        &mut self,
        lattice: &Lattice,
        rules: &Rules,
        route: &Route,
        steps: &[BTreeSet<Node>; 2],
    ) {
        let via_width = self.widths_on_met2(lattice, rules, route, &steps[0]);
        for &node in &route.nodes {
            let (layer, x, y) = lattice.split(node);
            let at = lattice.place(x, y);
            let (stride, far) = if layer == 2 {
                (1, Point::new(at.x + lattice.step.0, at.y))
            } else {
                (
                    lattice.columns as Node,
                    Point::new(at.x, at.y + lattice.step.1),
                )
            };
            let next = node + stride;
            let at_edge = if layer == 2 {
                x + 1 == lattice.columns
            } else {
                y + 1 == lattice.rows
            };
            if at_edge || route.nodes.binary_search(&next).is_err() {
                continue;
            }
            let joined = steps[usize::from(layer != 2)].contains(&node);
            match layer {
                0 => {
                    let pad = |n: &Node| route.pads.binary_search(n).is_ok();
                    if pad(&node) && pad(&next) {
                        let half = rules.vias[1].lower.map_or(160, |pad| pad.x1);
                        self.patches
                            .push((0, Rect::new(at.x - half, at.y, far.x + half, far.y)));
                    }
                }
                1 => {
                    let width = |n: &Node| via_width.get(n).copied().unwrap_or(0);
                    let half = width(&node).max(width(&next));
                    // Two vias, or a via beside a bend, leave a notch; a plain wire does not.
                    if half > rules.half_width[1] || (half > 0 && joined) {
                        self.patches
                            .push((1, Rect::new(at.x - half, at.y, far.x + half, far.y)));
                    }
                }
                _ if !joined => {
                    let half = rules.half_width[layer];
                    self.patches.push((
                        layer,
                        Rect::new(at.x - half, at.y - half, far.x + half, far.y + half),
                    ));
                }
                _ => {}
            }
        }
    }

    /// Half width of the metal at each node of met2 that has a via or a sideways step.
    fn widths_on_met2(
        &self,
        lattice: &Lattice,
        rules: &Rules,
        route: &Route,
        sideways: &BTreeSet<Node>,
    ) -> BTreeMap<Node, Dbu> {
        let mut widths: BTreeMap<Node, Dbu> = BTreeMap::new();
        let mut wider = |node: Node, half: Dbu| {
            let width = widths.entry(node).or_insert(0);
            *width = (*width).max(half);
        };
        for &node in sideways.iter().filter(|&&node| lattice.split(node).0 == 1) {
            wider(node, rules.half_width[1]);
            wider(node + 1, rules.half_width[1]);
        }
        for &(a, b) in &route.edges {
            let (low, high) = (a.min(b), a.max(b));
            match (lattice.split(low).0, lattice.split(high).0) {
                (0, 1) => wider(high, rules.vias[1].upper.x1),
                (1, 2) => wider(low, rules.vias[2].lower.map_or(140, |pad| pad.x1)),
                _ => {}
            }
        }
        widths
    }

    /// The rectangles on the masks.
    #[must_use]
    pub fn shapes(&self, rules: &Rules, owner: Owner) -> Vec<Shape> {
        let mut shapes =
            Vec::with_capacity(self.wires.len() + 3 * self.vias.len() + self.patches.len());
        let mut add = |layer: Layer, rect: Rect| {
            shapes.push(Shape {
                layer,
                rect,
                owner,
                routed: true,
            })
        };
        for &(metal, from, to) in &self.wires {
            let half = rules.half_width.get(metal).copied().unwrap_or(0);
            add(
                Layer::Metal(metal),
                Rect::new(from.x, from.y, to.x, to.y).grow(half),
            );
        }
        for &(k, at) in &self.vias {
            let Some(via) = rules.vias.get(k).filter(|_| k < WIRE_LAYERS) else {
                continue;
            };
            add(Layer::Cut(k), via.cut.shift(at));
            add(Layer::Metal(k), via.upper.shift(at));
            if let (Some(lower), Some(below)) = (via.lower, k.checked_sub(1)) {
                add(Layer::Metal(below), lower.shift(at));
            }
        }
        for &(metal, rect) in &self.patches {
            add(Layer::Metal(metal), rect);
        }
        shapes
    }
}
