//! The lattice with all that a wire may run into: fixed shapes, other nets' wires, and the price of both.
//!
//! Spacing rules become forbidden neighbours: when a net is committed, each of its nodes raises a counter on the nodes
//! that no other net may use next to it. One look-up then tells whether a foreign wire is too near.

use nanoflow_layout::{Dbu, Point, Rect};

use crate::lattice::{Lattice, Node};
use crate::problem::{Layer, Owner, Problem, Shape, BLOCKED, FREE};
use crate::route::Route;
use crate::rules::WIRE_LAYERS;

pub struct Field {
    pub lattice: Lattice,
    /// Who may put a wire on a node: anyone, one net, nobody. Fixed shapes decide.
    pub node_owner: Vec<Owner>,
    /// The same for a via pad on met1, and for the met1 steps to the right and up.
    pub pad_owner: Vec<Owner>,
    pub right_owner: Vec<Owner>,
    pub up_owner: Vec<Owner>,
    /// How many (net, node) pairs forbid the node to others; on met1 also for pads.
    wires: Vec<u16>,
    pads: Vec<u16>,
    /// How many pads of met1 stand on a node.
    standing: Vec<u16>,
    wire_history: Vec<u32>,
    pad_history: Vec<u32>,
    /// History and present use together, as the search sees it.
    pub wire_price: Vec<u32>,
    pub pad_price: Vec<u32>,
    pressure: u32,
}

/// Where a conflict is: on a wire node or on a pad of met1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spot {
    Wire(Node),
    Pad(Node),
}

/// Forbidden neighbours of a wire by layer, in columns and rows: met1 pads at x ± 1 would touch; met2 pads need all around;
/// met3 and met4 need 0.3 beyond a 0.33 wide pad.
const WIRE_REACH: [(usize, usize); WIRE_LAYERS] = [(1, 0), (1, 1), (2, 0), (0, 1)];

impl Field {
    #[must_use]
    pub fn new(problem: &Problem, shapes: &[Shape]) -> Self {
        let lattice = problem.lattice;
        let (nodes, plane) = (lattice.nodes(), lattice.plane);
        let mut field = Self {
            lattice,
            node_owner: Vec::new(),
            pad_owner: Vec::new(),
            right_owner: Vec::new(),
            up_owner: Vec::new(),
            wires: vec![0; nodes],
            pads: vec![0; plane],
            standing: vec![0; plane],
            wire_history: vec![0; nodes],
            pad_history: vec![0; plane],
            wire_price: vec![0; nodes],
            pad_price: vec![0; plane],
            pressure: 0,
        };
        field.set_fixed(problem, shapes);
        field
    }

    /// Derives who may use each node from the shapes that are fixed.
    pub fn set_fixed(&mut self, problem: &Problem, shapes: &[Shape]) {
        let lattice = self.lattice;
        let probes = Probes::new(problem);
        let mut marks: Vec<Marks> = (0..WIRE_LAYERS + 3)
            .map(|_| Marks::new(lattice.plane))
            .collect();
        for shape in shapes {
            let Layer::Metal(metal) = shape.layer else {
                continue;
            };
            let space = problem.rules.space_of(metal, shape.rect);
            for probe in probes.list.iter().filter(|probe| probe.metal == metal) {
                marks[probe.slot].mark(&lattice, probe, shape, space);
            }
        }
        let mut owners: Vec<Vec<Owner>> = marks.into_iter().map(Marks::owners).collect();
        let above = owners.split_off(WIRE_LAYERS);
        if let Ok([pad, right, up]) = <[Vec<Owner>; 3]>::try_from(above) {
            (self.pad_owner, self.right_owner, self.up_owner) = (pad, right, up);
        }
        self.node_owner = owners.concat();
        block_border(&lattice, &mut self.node_owner);
    }

    /// May `net` use the node as far as fixed shapes are concerned?
    #[must_use]
    pub fn open(&self, node: Node, net: Owner) -> bool {
        let owner = self.node_owner[node as usize];
        owner == FREE || owner == net
    }

    /// Nodes that a wire on `node` forbids to others, itself included.
    pub fn wire_reach(&self, node: Node, mut visit: impl FnMut(usize)) {
        let (layer, x, y) = self.lattice.split(node);
        let (dx, dy) = WIRE_REACH[layer];
        let base = layer * self.lattice.plane;
        for b in y.saturating_sub(dy)..=(y + dy).min(self.lattice.rows - 1) {
            for a in x.saturating_sub(dx)..=(x + dx).min(self.lattice.columns - 1) {
                visit(base + b * self.lattice.columns + a);
            }
        }
    }

    /// Pads on met1 that a via pad on `node` forbids: those in the rows above and below.
    pub fn pad_reach(&self, node: Node, mut visit: impl FnMut(Node)) {
        let (_, x, y) = self.lattice.split(node);
        let rows = [
            y.checked_sub(1),
            (y + 1 < self.lattice.rows).then_some(y + 1),
        ];
        for b in rows.into_iter().flatten() {
            for a in x.saturating_sub(1)..=(x + 1).min(self.lattice.columns - 1) {
                visit((b * self.lattice.columns + a) as Node);
            }
        }
    }

    pub fn commit(&mut self, route: &Route) {
        self.change(route, true);
    }
    pub fn remove(&mut self, route: &Route) {
        self.change(route, false);
    }

    fn change(&mut self, route: &Route, add: bool) {
        let mut touched: Vec<usize> = Vec::with_capacity(9);
        for &node in &route.nodes {
            touched.clear();
            self.wire_reach(node, |k| touched.push(k));
            for &k in &touched {
                self.wires[k] = if add {
                    self.wires[k].saturating_add(1)
                } else {
                    self.wires[k].saturating_sub(1)
                };
                self.wire_price[k] = price(self.wire_history[k], self.wires[k], self.pressure);
            }
        }
        for &node in &route.forbidden_pads {
            let k = node as usize;
            self.pads[k] = if add {
                self.pads[k].saturating_add(1)
            } else {
                self.pads[k].saturating_sub(1)
            };
            self.pad_price[k] = price(self.pad_history[k], self.pads[k], self.pressure);
        }
        for &node in &route.pads {
            let count = &mut self.standing[node as usize];
            *count = if add {
                count.saturating_add(1)
            } else {
                count.saturating_sub(1)
            };
        }
    }

    /// What a contact pays for pads of other nets that stand where it forbids them.
    #[must_use]
    pub fn standing_price(&self, forbidden: &[Node]) -> u32 {
        let count: u32 = forbidden
            .iter()
            .map(|&node| u32::from(self.standing[node as usize]))
            .sum();
        count * self.pressure
    }

    /// Nodes and pads of a committed route that another net is too near to.
    #[must_use]
    pub fn conflicts(&self, route: &Route) -> Vec<Spot> {
        let mut spots = Vec::new();
        for &node in &route.nodes {
            let mut own = 0;
            self.wire_reach(node, |k| {
                own += u16::from(route.nodes.binary_search(&(k as Node)).is_ok())
            });
            if self.wires[node as usize] > own {
                spots.push(Spot::Wire(node));
            }
        }
        for &node in &route.pads {
            let first = route.forbidden_pads.partition_point(|&k| k < node);
            let own = route.forbidden_pads[first..]
                .iter()
                .take_while(|&&k| k == node)
                .count();
            if usize::from(self.pads[node as usize]) > own {
                spots.push(Spot::Pad(node));
            }
        }
        // The other way round: foreign pads that stand where this net forbids them.
        for forbidden in route.forbidden_pads.chunk_by(|a, b| a == b) {
            let Some(&node) = forbidden.first() else {
                continue;
            };
            let own = u16::from(route.pads.binary_search(&node).is_ok());
            if self.standing[node as usize] > own {
                let near = |pad: &Node| self.lattice.point(*pad).distance(self.lattice.point(node));
                spots.extend(
                    route
                        .pads
                        .iter()
                        .copied()
                        .min_by_key(|pad| (near(pad), *pad))
                        .map(Spot::Pad),
                );
            }
        }
        spots.sort_unstable();
        spots.dedup();
        spots
    }

    pub fn remember(&mut self, spot: Spot, by: u32) {
        match spot {
            Spot::Wire(node) => {
                let k = node as usize;
                self.wire_history[k] = self.wire_history[k].saturating_add(by);
                self.wire_price[k] = price(self.wire_history[k], self.wires[k], self.pressure);
            }
            Spot::Pad(node) => {
                let k = node as usize;
                self.pad_history[k] = self.pad_history[k].saturating_add(by);
                self.pad_price[k] = price(self.pad_history[k], self.pads[k], self.pressure);
            }
        }
    }

    /// Sets what one foreign wire on a node costs, in nanometres of detour.
    pub fn set_pressure(&mut self, pressure: u32) {
        if pressure == self.pressure {
            return;
        }
        self.pressure = pressure;
        for k in 0..self.wires.len() {
            self.wire_price[k] = price(self.wire_history[k], self.wires[k], pressure);
        }
        for k in 0..self.pads.len() {
            self.pad_price[k] = price(self.pad_history[k], self.pads[k], pressure);
        }
    }
}

fn price(history: u32, uses: u16, pressure: u32) -> u32 {
    history
        + if uses > 0 {
            pressure * (1 + u32::from(uses / 4))
        } else {
            0
        }
}

/// Metal of a wire must stay inside the die: nobody uses the outermost nodes but the nets with a port there.
fn block_border(lattice: &Lattice, node_owner: &mut [Owner]) {
    for layer in 0..WIRE_LAYERS {
        for y in 0..lattice.rows {
            for x in 0..lattice.columns {
                if x == 0 || y == 0 || x + 1 == lattice.columns || y + 1 == lattice.rows {
                    let owner = &mut node_owner[lattice.node(layer, x, y) as usize];
                    if *owner == FREE {
                        *owner = BLOCKED;
                    }
                }
            }
        }
    }
}

/// A shape that the router may put at a node, tried against every fixed shape.
struct Probe {
    metal: usize,
    slot: usize,
    rect: Rect,
    /// The point that must lie in a shape of one's own for the probe to be a way to it.
    center: Point,
    /// Wires may end at any fixed shape of their own net here (ports).
    any_contact: bool,
}

struct Probes {
    list: Vec<Probe>,
}

impl Probes {
    fn new(problem: &Problem) -> Self {
        let rules = &problem.rules;
        let (dx, dy) = rules.step;
        let half = rules.half_width[0];
        let origin = Point::new(0, 0);
        let square = Rect::around(origin, half, half);
        // The largest shape at a node: the pads of the vias to below and above.
        let largest = |k: usize| match rules.vias.get(k + 1).and_then(|via| via.lower) {
            Some(lower) => rules.vias[k].upper.union(&lower),
            None => rules.vias[k].upper,
        };
        let mut list = vec![
            Probe {
                metal: 0,
                slot: 0,
                rect: square,
                center: origin,
                any_contact: false,
            },
            Probe {
                metal: 0,
                slot: WIRE_LAYERS,
                rect: largest(0),
                center: origin,
                any_contact: false,
            },
            Probe {
                metal: 0,
                slot: WIRE_LAYERS + 1,
                rect: square.union(&square.shift(Point::new(dx, 0))),
                center: Point::new(dx / 2, 0),
                any_contact: false,
            },
            Probe {
                metal: 0,
                slot: WIRE_LAYERS + 2,
                rect: square.union(&square.shift(Point::new(0, dy))),
                center: Point::new(0, dy / 2),
                any_contact: false,
            },
        ];
        for metal in 1..WIRE_LAYERS {
            list.push(Probe {
                metal,
                slot: metal,
                rect: largest(metal),
                center: origin,
                any_contact: true,
            });
        }
        Self { list }
    }
}

/// For each node of one layer: whose shapes are too near, and whether the node lies on one.
struct Marks {
    near: Vec<Owner>,
    on: Vec<bool>,
}

impl Marks {
    fn new(plane: usize) -> Self {
        Self {
            near: vec![FREE; plane],
            on: vec![false; plane],
        }
    }

    fn mark(&mut self, lattice: &Lattice, probe: &Probe, shape: &Shape, space: Dbu) {
        let reach = Rect {
            x0: shape.rect.x0 - space - probe.rect.x1,
            y0: shape.rect.y0 - space - probe.rect.y1,
            x1: shape.rect.x1 + space - probe.rect.x0,
            y1: shape.rect.y1 + space - probe.rect.y0,
        };
        let Some(window) = lattice.window(reach) else {
            return;
        };
        let owner = if shape.owner >= 0 {
            shape.owner
        } else {
            BLOCKED
        };
        for y in window.y0..=window.y1 {
            for x in window.x0..=window.x1 {
                let place = lattice.place(x, y);
                let tried = probe.rect.shift(place);
                let distance = tried.distance_squared(&shape.rect);
                if distance >= i64::from(space).pow(2) {
                    continue;
                }
                let k = y * lattice.columns + x;
                self.near[k] = match self.near[k] {
                    FREE => owner,
                    known if known == owner => owner,
                    _ => BLOCKED,
                };
                let center = Point::new(place.x + probe.center.x, place.y + probe.center.y);
                self.on[k] |= probe.any_contact || shape.rect.contains(center);
            }
        }
    }

    fn owners(self) -> Vec<Owner> {
        let owner = |(near, on): (Owner, bool)| match near {
            FREE => FREE,
            net if net >= 0 && on => net,
            _ => BLOCKED,
        };
        self.near.into_iter().zip(self.on).map(owner).collect()
    }
}
