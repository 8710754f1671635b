//! Where a net may reach its terminals.

use std::collections::HashMap;
use std::rc::Rc;

use nanoflow_layout::{Dbu, Orient, Point, Rect};
use nanoflow_sdk::StageError;

use crate::cells::CellLayer;
use crate::field::Field;
use crate::lattice::Node;
use crate::nearby::Nearby;
use crate::problem::{Layer, Owner, Problem, Shape, Terminal};
use crate::rules::WIRE_LAYERS;

/// One way into a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Centre of the mcon; `None` where the pin itself reaches the node.
    pub contact: Option<Point>,
    /// Nodes where a wire may begin. All are joined once the access is taken.
    pub entries: Vec<Node>,
    /// Nodes that its metal takes.
    pub nodes: Vec<Node>,
    /// Nodes of met1 where a via pad of another net would be too near to the contact's pad.
    pub forbidden_pads: Vec<Node>,
    /// Metal that joins the node to a port.
    pub link: Option<(usize, Rect)>,
}

/// All ways into a terminal.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    pub accesses: Vec<Access>,
    /// The distinct entries of all accesses, sorted, each with the accesses that have it.
    pub entries: Vec<(Node, Vec<u32>)>,
}

/// An mcon may be this far off its node; the pad still covers the end of the wire.
const NUDGES: [Dbu; 7] = [0, 5, -5, 10, -10, 15, -15];

/// Position of an access in a cell, found once for each master, orientation and pin.
struct Place {
    /// Node relative to the cell's corner.
    node: Point,
    kind: PlaceKind,
}

enum PlaceKind {
    /// The pin's met1 covers the wire's end.
    Covered,
    /// Contact positions to try, relative to the node.
    Contacts(Contacts),
}

/// Contact positions that the pin's li1 allows, best first.
#[derive(Default)]
struct Contacts {
    /// On the node.
    on: Vec<Point>,
    /// Between the node and the next one to the right, from left to right.
    between: Vec<Point>,
}

/// Which nodes a contact takes: its own, the one to the right, or both.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Left,
    Right,
    Both,
}

/// A contact at most this far to the right of a node leaves the node two further on to others, and one at least that
/// far leaves the node to the left of it: pad half 145, spacing 140, wire half 70 at steps of 230.
const LEFT_REACH: Dbu = 105;
const RIGHT_REACH: Dbu = 125;

/// A node of met1 beside a pin.
struct Site {
    node: Node,
    at: Point,
    has_next: bool,
}

pub struct AccessFinder<'a, 'b> {
    problem: &'b Problem<'a>,
    fixed: Nearby,
    places: HashMap<(usize, Orient, usize), Rc<Vec<Place>>>,
}

impl<'a, 'b> AccessFinder<'a, 'b> {
    /// `fixed` are all shapes that are there before routing.
    #[must_use]
    pub fn new(problem: &'b Problem<'a>, fixed: &[Shape]) -> Self {
        // Contacts and their pads lie on these two.
        let layers = [Layer::Metal(0), Layer::Cut(0)];
        let on_them = fixed.iter().filter(|shape| layers.contains(&shape.layer));
        Self {
            problem,
            fixed: Nearby::new(problem.die, on_them),
            places: HashMap::new(),
        }
    }

    /// The ways into each terminal of a net.
    ///
    /// # Errors
    /// A design failure that names the pin when a terminal cannot be reached at all.
    pub fn gates(&mut self, field: &Field, net: usize) -> Result<Vec<Gate>, StageError> {
        let problem = self.problem;
        let owner = net as Owner;
        let mut gates = Vec::with_capacity(problem.nets[net].terminals.len());
        for terminal in &problem.nets[net].terminals {
            let accesses = match terminal {
                Terminal::Pin { instance, pin } => self.cell_pin(field, owner, *instance, *pin),
                Terminal::Port { shapes, .. } => port(problem, field, owner, shapes),
            };
            if accesses.is_empty() {
                return Err(self.unreachable(net, terminal));
            }
            gates.push(Gate::new(accesses));
        }
        Ok(gates)
    }

    fn unreachable(&self, net: usize, terminal: &Terminal) -> StageError {
        let (what, at) = match terminal {
            Terminal::Pin { instance, pin } => {
                let master = self.problem.master(*instance);
                (
                    format!(
                        "pin '{}' of a cell '{}'",
                        master.pins[*pin].name, master.name
                    ),
                    self.problem.instances[*instance].at,
                )
            }
            Terminal::Port { name, shapes } => (
                format!("port '{name}'"),
                shapes
                    .first()
                    .map_or(Point::default(), |(_, rect)| rect.center()),
            ),
        };
        let name = &self.problem.nets[net].name;
        StageError::design(format!(
            "net '{name}': no legal access to {what} at ({}, {})",
            at.x, at.y
        ))
        .hint("move what stands next to it: a neighbouring cell, a port or a strap is too near")
    }

    fn cell_pin(&mut self, field: &Field, net: Owner, instance: usize, pin: usize) -> Vec<Access> {
        let problem = self.problem;
        let item = &problem.instances[instance];
        let key = (item.master, item.orient, pin);
        let places = Rc::clone(
            self.places
                .entry(key)
                .or_insert_with(|| Rc::new(places(problem, instance, pin))),
        );
        let mut found = Vec::new();
        for place in places.iter() {
            let at = Point::new(item.at.x + place.node.x, item.at.y + place.node.y);
            let Some(window) = problem.lattice.window(Rect::around(at, 0, 0)) else {
                continue;
            };
            let (x, y) = (window.x0, window.y0);
            let node = problem.lattice.node(0, x, y);
            match &place.kind {
                PlaceKind::Covered => {
                    if field.open(node, net) {
                        found.push(Access {
                            contact: None,
                            entries: vec![node],
                            nodes: vec![node],
                            forbidden_pads: Vec::new(),
                            link: None,
                        });
                    }
                }
                PlaceKind::Contacts(contacts) => {
                    let site = Site {
                        node,
                        at,
                        has_next: x + 1 < problem.lattice.columns,
                    };
                    let attempt =
                        |offset: &Point, takes| self.contact(field, net, &site, *offset, takes);
                    let (on, between) = (&contacts.on, &contacts.between);
                    let (mut left, mut right) = (between.iter(), between.iter().rev());
                    found.extend(on.iter().find_map(|p| attempt(p, Takes::Left)));
                    found.extend(
                        left.find_map(|p| attempt(p, Takes::Left).filter(|_| p.x <= LEFT_REACH)),
                    );
                    found.extend(
                        right.find_map(|p| attempt(p, Takes::Right).filter(|_| p.x >= RIGHT_REACH)),
                    );
                    found.extend(between.iter().find_map(|p| attempt(p, Takes::Both)));
                }
            }
        }
        found
    }

    /// An access by a contact at `offset` from a node, if all around lets it.
    fn contact(
        &self,
        field: &Field,
        net: Owner,
        site: &Site,
        offset: Point,
        takes: Takes,
    ) -> Option<Access> {
        let rules = &self.problem.rules;
        let at = site.at;
        let contact = Point::new(at.x + offset.x, at.y + offset.y);
        if !self.metal_fits(rules.vias[0].upper.shift(contact), net)
            || !self.cut_fits(rules.vias[0].cut.shift(contact), net)
        {
            return None;
        }
        let half = rules.half_width[0];
        let open = |node: Node| field.open(node, net);
        let stub = |from: Dbu, to: Dbu| {
            self.metal_fits(
                Rect {
                    x0: from,
                    y0: at.y - half,
                    x1: to,
                    y1: at.y + half,
                },
                net,
            )
        };
        let left = || open(site.node) && (offset.x == 0 || stub(at.x - half, contact.x));
        let right =
            || site.has_next && open(site.node + 1) && stub(contact.x, at.x + rules.step.0 + half);
        let nodes = match takes {
            Takes::Left => left().then(|| vec![site.node]),
            Takes::Right => right().then(|| vec![site.node + 1]),
            Takes::Both => (left() && right()).then(|| vec![site.node, site.node + 1]),
        }?;
        let forbidden_pads = self.forbidden_pads(contact);
        Some(Access {
            contact: Some(contact),
            entries: nodes.clone(),
            nodes,
            forbidden_pads,
            link: None,
        })
    }

    fn forbidden_pads(&self, contact: Point) -> Vec<Node> {
        let (rules, lattice) = (&self.problem.rules, &self.problem.lattice);
        let own = rules.vias[0].upper.shift(contact);
        let pad = rules.vias[1].lower.unwrap_or(rules.vias[0].upper);
        let space = rules.metals[0].space;
        let Some(window) = lattice.window(own.grow(space + pad.x1)) else {
            return Vec::new();
        };
        let mut nodes = Vec::new();
        for y in window.y0..=window.y1 {
            for x in window.x0..=window.x1 {
                if pad.shift(lattice.place(x, y)).distance_squared(&own) < i64::from(space).pow(2) {
                    nodes.push(lattice.node(0, x, y));
                }
            }
        }
        nodes
    }

    /// No foreign met1 nearer than its spacing, and none of one's own that is near without touching.
    fn metal_fits(&self, rect: Rect, net: Owner) -> bool {
        let space = self.problem.rules.metals[0].space;
        self.fixed.all(rect.grow(space), |shape| {
            let distance = rect.distance_squared(&shape.rect);
            shape.layer != Layer::Metal(0)
                || distance >= i64::from(space).pow(2)
                || (shape.owner == net && distance == 0 && shape.rect.overlaps(&rect))
        })
    }

    fn cut_fits(&self, cut: Rect, net: Owner) -> bool {
        let space = self.problem.rules.cuts[0].space;
        self.fixed.all(cut.grow(space), |shape| {
            shape.layer != Layer::Cut(0)
                || cut.distance_squared(&shape.rect) >= i64::from(space).pow(2)
                || (shape.rect == cut && shape.owner == net)
        })
    }
}

impl Gate {
    fn new(accesses: Vec<Access>) -> Self {
        let mut pairs: Vec<(Node, u32)> = Vec::new();
        for (k, access) in accesses.iter().enumerate() {
            pairs.extend(access.entries.iter().map(|&node| (node, k as u32)));
        }
        pairs.sort_unstable();
        let mut entries: Vec<(Node, Vec<u32>)> = Vec::new();
        for (node, access) in pairs {
            match entries.last_mut() {
                Some((last, list)) if *last == node => list.push(access),
                _ => entries.push((node, vec![access])),
            }
        }
        Self { accesses, entries }
    }
    /// The accesses that a wire at `node` can take.
    #[must_use]
    pub fn at(&self, node: Node) -> &[u32] {
        self.entries
            .binary_search_by_key(&node, |(entry, _)| *entry)
            .map_or(&[], |k| &self.entries[k].1)
    }
}

/// Nodes near a pin and the contact positions that its li1 allows, relative to the cell's corner.
fn places(problem: &Problem, instance: usize, pin: usize) -> Vec<Place> {
    let (master, item) = (problem.master(instance), &problem.instances[instance]);
    let transform = problem.transform(instance);
    let local = |rect: Rect| {
        transform
            .rect(rect)
            .shift(Point::new(-item.at.x, -item.at.y))
    };
    let on = |layer: CellLayer| -> Vec<Rect> {
        master
            .on(layer)
            .filter(|shape| shape.pin == Some(pin))
            .map(|shape| local(shape.rect))
            .collect()
    };
    let (li, met1) = (on(CellLayer::LocalInterconnect), on(CellLayer::Metal(0)));
    let all: Option<Rect> = li.iter().chain(&met1).copied().reduce(|a, b| a.union(&b));
    let Some(all) = all else { return Vec::new() };
    let rules = &problem.rules;
    let (dx, dy) = rules.step;
    let half = rules.half_width[0];
    // Lattice columns stand on site edges and centres, rows half a track above the cell's edge.
    let columns = (all.x0 - 2 * dx).div_euclid(dx)..=(all.x1 / dx + 1);
    let rows = (all.y0 - dy).div_euclid(dy)..=(all.y1 / dy + 1);
    let allowed = |node: Point, x: Dbu, y: Dbu| {
        covered(
            rules.vias[0].cut.shift(Point::new(node.x + x, node.y + y)),
            &li,
        )
    };
    let mut found = Vec::new();
    for row in rows {
        for column in columns.clone() {
            let node = Point::new(column * dx, row * dy + dy / 2);
            if covered(Rect::around(node, half, half), &met1) {
                found.push(Place {
                    node,
                    kind: PlaceKind::Covered,
                });
                continue;
            }
            let mut contacts = Contacts::default();
            for x in NUDGES {
                contacts.on.extend(
                    NUDGES
                        .iter()
                        .filter(|&&y| allowed(node, x, y))
                        .map(|&y| Point::new(x, y)),
                );
            }
            for x in (20..dx - 15).step_by(5) {
                contacts.between.extend(
                    NUDGES
                        .iter()
                        .filter(|&&y| allowed(node, x, y))
                        .map(|&y| Point::new(x, y)),
                );
            }
            if !contacts.on.is_empty() || !contacts.between.is_empty() {
                found.push(Place {
                    node,
                    kind: PlaceKind::Contacts(contacts),
                });
            }
        }
    }
    found
}

/// Nodes on a port's layer that lie on it or next to it.
fn port(problem: &Problem, field: &Field, net: Owner, shapes: &[(usize, Rect)]) -> Vec<Access> {
    let (lattice, rules) = (&problem.lattice, &problem.rules);
    let mut found: Vec<(i64, Access)> = Vec::new();
    for &(metal, rect) in shapes.iter().filter(|(metal, _)| *metal < WIRE_LAYERS) {
        let Some(window) = lattice.window(rect.grow(rules.step.1)) else {
            continue;
        };
        let half = rules.half_width[metal];
        for y in window.y0..=window.y1 {
            for x in window.x0..=window.x1 {
                let usable = match metal {
                    2 => y % 2 == 0,
                    3 => x % 4 == 0,
                    _ => true,
                };
                let (node, at) = (lattice.node(metal, x, y), lattice.place(x, y));
                let end = Rect::around(at, half, half);
                if !usable || !field.open(node, net) || !end.overlaps(&rect) {
                    continue;
                }
                let near = rect.intersection(&end.grow(2 * half)).unwrap_or(rect);
                let link = near.union(&end);
                let link = (!covered(end, &[rect])).then_some((metal, link));
                let off = i64::from(link.is_some()) * 1_000_000 + at.distance(rect.center());
                found.push((
                    off,
                    Access {
                        contact: None,
                        entries: vec![node],
                        nodes: vec![node],
                        forbidden_pads: Vec::new(),
                        link,
                    },
                ));
            }
        }
    }
    found.sort_by_key(|(off, access)| (*off, access.entries.first().copied()));
    // Where nodes lie on the port, links beside it are not needed.
    let inside = found
        .iter()
        .filter(|(_, access)| access.link.is_none())
        .count();
    let keep = if inside > 0 { inside } else { found.len() };
    found
        .into_iter()
        .take(keep)
        .map(|(_, access)| access)
        .collect()
}

/// Is `rect` inside the union of `cover`?
#[must_use]
pub fn covered(rect: Rect, cover: &[Rect]) -> bool {
    let mut open = vec![rect];
    for by in cover {
        let mut rest = Vec::with_capacity(open.len() + 3);
        for piece in open {
            let Some(cut) = piece.intersection(by).filter(|_| piece.overlaps(by)) else {
                rest.push(piece);
                continue;
            };
            let parts = [
                Rect {
                    x1: cut.x0,
                    ..piece
                },
                Rect {
                    x0: cut.x1,
                    ..piece
                },
                Rect {
                    x0: cut.x0,
                    x1: cut.x1,
                    y0: piece.y0,
                    y1: cut.y0,
                },
                Rect {
                    x0: cut.x0,
                    x1: cut.x1,
                    y0: cut.y1,
                    y1: piece.y1,
                },
            ];
            rest.extend(
                parts
                    .into_iter()
                    .filter(|part| part.width() > 0 && part.height() > 0),
            );
        }
        open = rest;
        if open.is_empty() {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covered_by_a_union() {
        let rect = Rect::new(0, 0, 100, 100);
        assert!(covered(
            rect,
            &[Rect::new(-5, 0, 60, 100), Rect::new(50, -5, 100, 100)]
        ));
        assert!(!covered(
            rect,
            &[Rect::new(0, 0, 60, 100), Rect::new(50, 0, 100, 99)]
        ));
    }
}
