//! Joins the terminals of one net by A* searches within a window of the lattice.
//!
//! The tree grows from a first terminal; each round the unjoined terminal nearest to it searches its way to the tree.
//! Costs are nanometres of detour. Nothing is changed in the field, so several nets can be searched at once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use nanoflow_layout::Rect;

use crate::access::{Access, Gate};
use crate::field::Field;
use crate::lattice::{Lattice, Node, Window};
use crate::problem::{Owner, FREE};
use crate::region::{Region, Tiling};
use crate::route::{Contact, Route};
use crate::rules::{Rules, WIRE_LAYERS};

/// What the search pays for, in nanometres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    /// A via.
    pub via: u32,
    /// Factor on met1 steps across the rows, on met2 steps across the columns.
    pub wrong_met1: u32,
    pub wrong_met2: u32,
    /// Factor in percent on met2 in columns between the tracks, where it keeps two tracks from vias.
    pub off_track_percent: u32,
    /// A step beside the net's own tree, which would leave a notch to fill.
    pub beside_own: u32,
    /// A contact too near to another of the same net.
    pub near_contact: u32,
}

impl Default for Costs {
    fn default() -> Self {
        Self {
            via: 1000,
            wrong_met1: 2,
            wrong_met2: 3,
            off_track_percent: 150,
            beside_own: 300,
            near_contact: 30_000,
        }
    }
}

/// What to search: shared by all threads.
pub struct Task<'a> {
    pub field: &'a Field,
    pub rules: &'a Rules,
    pub costs: Costs,
}

/// Direction by which a node was reached.
const START: u8 = 9;
const RIGHT: u8 = 0;
const LEFT: u8 = 1;
const UP_ROW: u8 = 2;
const DOWN_ROW: u8 = 3;
const UP_LAYER: u8 = 4;
const DOWN_LAYER: u8 = 5;

#[derive(Clone, Copy, Default)]
struct Cell {
    /// Search that `cost` and `from` belong to.
    search: u32,
    cost: u32,
    /// Net search in which the node joined the tree, or came next to it.
    tree: u32,
    beside: u32,
    from: u8,
}

/// Memory that one thread keeps between searches.
#[derive(Default)]
pub struct Scratch {
    cells: Vec<Cell>,
    heap: BinaryHeap<Reverse<u64>>,
    /// Net search that may visit a tile.
    tiles: Vec<u32>,
    search: u32,
    net: u32,
    /// Nodes taken from the heap, as a measure of work.
    pub visited: u64,
}

/// The route of `net`, or `None` when the window has none.
#[must_use]
pub fn route_net(
    task: &Task,
    net: usize,
    gates: &[Gate],
    region: &Region,
    scratch: &mut Scratch,
) -> Option<Route> {
    let window = region.window;
    let cells = WIRE_LAYERS * window.width() * window.height();
    if scratch.cells.len() < cells {
        scratch.cells.resize(cells, Cell::default());
    }
    scratch.net += 1;
    let tiling = Tiling::new(&task.field.lattice);
    if let Some(tiles) = &region.tiles {
        scratch.tiles.resize(tiling.count(), 0);
        for &tile in tiles {
            scratch.tiles[tile as usize] = scratch.net;
        }
    }
    let mut search = Search {
        task,
        lattice: &task.field.lattice,
        net: net as Owner,
        gates,
        window,
        tiling,
        tiled: region.tiles.is_some(),
        width: window.width(),
        plane: window.width() * window.height(),
        scratch,
        route: Route {
            terminal_nodes: vec![0; gates.len()],
            ..Route::default()
        },
        taken: Vec::new(),
    };
    search.run()
}

struct Search<'a, 'b> {
    task: &'a Task<'a>,
    lattice: &'a Lattice,
    net: Owner,
    gates: &'a [Gate],
    window: Window,
    tiling: Tiling,
    /// Only some tiles of the window may be visited.
    tiled: bool,
    width: usize,
    /// Cells of one layer of the window.
    plane: usize,
    scratch: &'b mut Scratch,
    route: Route,
    /// Contacts taken so far, to keep further ones away.
    taken: Vec<Rect>,
}

/// A terminal's way to the tree: distance in nm and the nearest node of the tree.
type Nearest = (i64, Node);

impl Search<'_, '_> {
    fn run(&mut self) -> Option<Route> {
        let count = self.gates.len();
        let mut joined = vec![false; count];
        // A gate of few entries first would be as good; ports come first since all their nodes belong to the net anyway.
        let root = (0..count)
            .find(|&t| {
                self.gates[t]
                    .accesses
                    .iter()
                    .all(|access| access.contact.is_none())
            })
            .unwrap_or(0);
        joined[root] = true;
        let mut nearest: Vec<Nearest> = vec![(i64::MAX, 0); count];
        let root_nodes: Vec<Node> = self.gates[root]
            .entries
            .iter()
            .map(|(node, _)| *node)
            .collect();
        self.approach(&mut nearest, &joined, &root_nodes);
        let mut rooted = false;
        for _ in 1..count {
            let next = (0..count)
                .filter(|&t| !joined[t])
                .min_by_key(|&t| (nearest[t].0, t))?;
            let goal = if rooted { None } else { Some(root) };
            let end = self.find(next, nearest[next].1, goal)?;
            let mut new_nodes = Vec::new();
            if !rooted {
                rooted = true;
                let node = self.node(end);
                self.take(root, node, &mut new_nodes);
                nearest.iter_mut().for_each(|near| near.0 = i64::MAX);
            }
            let start = self.walk_back(end, &mut new_nodes);
            self.take(next, start, &mut new_nodes);
            self.mark_beside(&new_nodes);
            joined[next] = true;
            self.approach(&mut nearest, &joined, &new_nodes);
            self.route.nodes.extend(new_nodes);
        }
        Some(self.finish())
    }

    fn finish(&mut self) -> Route {
        let mut route = std::mem::take(&mut self.route);
        let mut via_pads: Vec<Node> = Vec::new();
        for &(a, b) in &route.edges {
            let (low, high) = (a.min(b), a.max(b));
            // A via between met1 and met2 puts a pad on met1.
            if (low as usize) < self.lattice.plane && (high as usize) >= self.lattice.plane {
                via_pads.push(low);
            }
        }
        via_pads.sort_unstable();
        via_pads.dedup();
        for &pad in &via_pads {
            self.task
                .field
                .pad_reach(pad, |node| route.forbidden_pads.push(node));
        }
        route.pads.extend(via_pads);
        for list in [&mut route.nodes, &mut route.pads] {
            list.sort_unstable();
            list.dedup();
        }
        route.forbidden_pads.sort_unstable();
        route
    }

    /// Distance of each unjoined terminal to the nearest of `nodes`, if it is nearer than what is known.
    fn approach(&self, nearest: &mut [Nearest], joined: &[bool], nodes: &[Node]) {
        for (t, near) in nearest.iter_mut().enumerate().filter(|(t, _)| !joined[*t]) {
            let Some(&(entry, _)) = self.gates[t].entries.first() else {
                continue;
            };
            let at = self.lattice.point(entry);
            for &node in nodes {
                let distance = self.lattice.point(node).distance(at);
                if distance < near.0 {
                    *near = (distance, node);
                }
            }
        }
    }

    /// A* from a terminal to the tree, or to an entry of terminal `goal` while there is no tree yet.
    fn find(&mut self, from: usize, aim: Node, goal: Option<usize>) -> Option<usize> {
        self.scratch.search += 1;
        self.scratch.heap.clear();
        let (_, aim_x, aim_y) = self.lattice.split(aim);
        let step = self.lattice.step;
        let ahead = move |x: usize, y: usize| {
            aim_x.abs_diff(x) as u32 * step.0 as u32 + aim_y.abs_diff(y) as u32 * step.1 as u32
        };
        let gates = self.gates;
        for (node, list) in &gates[from].entries {
            let goal_list = goal.map_or(&[][..], |goal| gates[goal].at(*node));
            let goal_cost = goal
                .filter(|_| !goal_list.is_empty())
                .map_or(0, |goal| self.cheapest(goal, goal_list).0);
            let cost = self.cheapest(from, list).0 + goal_cost;
            let (_, x, y) = self.lattice.split(*node);
            if self.window.contains(x, y) {
                self.reach(self.cell(*node), cost, START, ahead(x, y));
            }
        }
        while let Some(Reverse(key)) = self.scratch.heap.pop() {
            let (estimate, cell) = ((key >> 32) as u32, (key & 0xffff_ffff) as usize);
            let (layer, in_plane) = (cell / self.plane, cell % self.plane);
            let (x, y) = (
                in_plane % self.width + self.window.x0,
                in_plane / self.width + self.window.y0,
            );
            let Cell {
                cost,
                from: came,
                tree,
                ..
            } = self.scratch.cells[cell];
            let in_tree = goal.is_none() && tree == self.scratch.net;
            // The node was reached at a lower cost after this entry was made.
            if estimate > cost + if in_tree { 0 } else { ahead(x, y) } {
                continue;
            }
            self.scratch.visited += 1;
            let at_goal = goal.is_some_and(|goal| {
                layer == self.gate_layer(goal)
                    && !gates[goal].at(self.lattice.node(layer, x, y)).is_empty()
            });
            if in_tree || at_goal {
                return Some(cell);
            }
            self.expand(cell, layer, x, y, cost, came, goal, &ahead);
        }
        None
    }

    fn gate_layer(&self, gate: usize) -> usize {
        self.gates[gate]
            .entries
            .first()
            .map_or(0, |(node, _)| self.lattice.split(*node).0)
    }

    #[allow(clippy::too_many_arguments)] // the state of one search node, split into its parts for speed
    fn expand(
        &mut self,
        cell: usize,
        layer: usize,
        x: usize,
        y: usize,
        cost: u32,
        came: u8,
        goal: Option<usize>,
        ahead: &impl Fn(usize, usize) -> u32,
    ) {
        let leave = layer < 2 || self.long_enough(cell, came);
        let here = (layer * self.lattice.plane) + y * self.lattice.columns + x;
        for direction in RIGHT..=DOWN_LAYER {
            let Some(base) = self.step_cost(direction, layer, x, y, here, leave) else {
                continue;
            };
            let (next, node, next_x, next_y) = match direction {
                RIGHT => (cell + 1, here + 1, x + 1, y),
                LEFT => (cell - 1, here - 1, x - 1, y),
                UP_ROW => (cell + self.width, here + self.lattice.columns, x, y + 1),
                DOWN_ROW => (cell - self.width, here - self.lattice.columns, x, y - 1),
                UP_LAYER => (cell + self.plane, here + self.lattice.plane, x, y),
                _ => (cell - self.plane, here - self.lattice.plane, x, y),
            };
            let owner = self.task.field.node_owner[node];
            if owner != FREE && owner != self.net || self.outside(next_x, next_y) {
                continue;
            }
            let known = self.scratch.cells[next];
            let in_tree = goal.is_none() && known.tree == self.scratch.net;
            let mut total = cost + base;
            if !in_tree {
                total += self.task.field.wire_price[node];
                if known.beside == self.scratch.net {
                    total += self.task.costs.beside_own;
                }
            }
            if let Some(goal) = goal {
                // The first terminal pays for its own pad too, else it would take any.
                let list = self.gates[goal].at(node as Node);
                if !list.is_empty() {
                    total += self.cheapest(goal, list).0;
                }
            }
            if known.search == self.scratch.search && known.cost <= total {
                continue;
            }
            let rest = if in_tree { 0 } else { ahead(next_x, next_y) };
            self.reach(next, total, direction, rest);
        }
    }

    /// Is the node in a tile that the guide leaves out?
    fn outside(&self, x: usize, y: usize) -> bool {
        self.tiled && self.scratch.tiles[self.tiling.tile(x, y) as usize] != self.scratch.net
    }

    fn reach(&mut self, cell: usize, cost: u32, from: u8, rest: u32) {
        let known = &mut self.scratch.cells[cell];
        if known.search == self.scratch.search && known.cost <= cost {
            return;
        }
        (known.search, known.cost, known.from) = (self.scratch.search, cost, from);
        self.scratch
            .heap
            .push(Reverse(u64::from(cost + rest) << 32 | cell as u64));
    }

    /// On met3 and met4 two steps lie between vias, so that the metal has its least area.
    fn long_enough(&self, cell: usize, came: u8) -> bool {
        if came == START {
            return true;
        }
        if came >= UP_LAYER {
            return false;
        }
        let before = self.scratch.cells[self.behind(cell, came)].from;
        before < UP_LAYER || before == START
    }

    fn behind(&self, cell: usize, came: u8) -> usize {
        match came {
            RIGHT => cell - 1,
            LEFT => cell + 1,
            UP_ROW => cell - self.width,
            DOWN_ROW => cell + self.width,
            UP_LAYER => cell - self.plane,
            _ => cell + self.plane,
        }
    }

    /// Length-like cost of a step, or `None` where there is none.
    fn step_cost(
        &self,
        direction: u8,
        layer: usize,
        x: usize,
        y: usize,
        here: usize,
        leave: bool,
    ) -> Option<u32> {
        let (costs, field) = (&self.task.costs, self.task.field);
        let free = |owner: Owner| owner == FREE || owner == self.net;
        let (dx, dy) = (self.lattice.step.0 as u32, self.lattice.step.1 as u32);
        let across = |step_owner: Owner| match layer {
            0 => free(step_owner).then_some(dx),
            1 => Some(dx * costs.wrong_met2),
            2 => Some(dx),
            _ => None,
        };
        let along = |step_owner: Owner| match layer {
            0 => free(step_owner).then_some(dy * costs.wrong_met1),
            1 => Some(if x % 2 == 0 {
                dy
            } else {
                dy * costs.off_track_percent / 100
            }),
            3 => Some(dy),
            _ => None,
        };
        let met1 = |owners: &[Owner], k: usize| if layer == 0 { owners[k] } else { FREE };
        match direction {
            RIGHT if x < self.window.x1 => across(met1(&field.right_owner, here)),
            LEFT if x > self.window.x0 => across(met1(&field.right_owner, here - 1)),
            UP_ROW if y < self.window.y1 => along(met1(&field.up_owner, here)),
            DOWN_ROW if y > self.window.y0 => {
                along(met1(&field.up_owner, here - self.lattice.columns))
            }
            UP_LAYER if leave && Lattice::via_allowed(layer, x, y) => self.via_cost(layer, x, y),
            DOWN_LAYER if leave && layer > 0 && Lattice::via_allowed(layer - 1, x, y) => {
                self.via_cost(layer - 1, x, y)
            }
            _ => None,
        }
    }

    /// Cost of the via from `layer` upwards; on met1 it needs a pad.
    fn via_cost(&self, layer: usize, x: usize, y: usize) -> Option<u32> {
        if layer > 0 {
            return Some(self.task.costs.via);
        }
        let pad = y * self.lattice.columns + x;
        let owner = self.task.field.pad_owner[pad];
        (owner == FREE || owner == self.net)
            .then(|| self.task.costs.via + self.task.field.pad_price[pad])
    }

    /// The cheapest of some accesses of a gate.
    fn cheapest(&self, gate: usize, list: &[u32]) -> (u32, u32) {
        let accesses = &self.gates[gate].accesses;
        list.iter()
            .map(|&k| (self.access_cost(&accesses[k as usize]), k))
            .min()
            .unwrap_or((u32::MAX / 2, 0))
    }

    fn access_cost(&self, access: &Access) -> u32 {
        let field = self.task.field;
        let mut cost = 50 * (access.nodes.len() as u32).saturating_sub(1)
            + field.standing_price(&access.forbidden_pads);
        for &node in &access.nodes {
            cost += field.wire_price[node as usize];
            if access.contact.is_some() {
                cost += field.pad_price.get(node as usize).copied().unwrap_or(0);
            }
        }
        if access.link.is_some() {
            cost += 500;
        }
        if let Some(contact) = access.contact {
            let cut = self.task.rules.vias[0].cut.shift(contact);
            let space = i64::from(self.task.rules.cuts[0].space);
            if self
                .taken
                .iter()
                .any(|other| *other != cut && cut.distance_squared(other) < space * space)
            {
                cost += self.task.costs.near_contact;
            }
        }
        cost
    }

    /// Takes the best access of a gate at `node` into the route.
    fn take(&mut self, gate: usize, node: Node, new_nodes: &mut Vec<Node>) {
        let gates = self.gates;
        let (_, best) = self.cheapest(gate, gates[gate].at(node));
        let Some(access) = gates[gate].accesses.get(best as usize) else {
            return;
        };
        self.route.terminal_nodes[gate] = node;
        if let Some(at) = access.contact {
            self.route.contacts.push(Contact { node, at });
            self.route.pads.extend(&access.nodes);
            self.route.forbidden_pads.extend(&access.forbidden_pads);
            self.taken.push(self.task.rules.vias[0].cut.shift(at));
        }
        self.route.links.extend(access.link);
        self.route.nodes.extend(&access.nodes);
        for &entry in &access.entries {
            self.join(entry, new_nodes);
        }
        if let [a, b] = access.entries[..] {
            self.route.edges.push((a, b));
        }
    }

    fn join(&mut self, node: Node, new_nodes: &mut Vec<Node>) {
        let (_, x, y) = self.lattice.split(node);
        if !self.window.contains(x, y) {
            return;
        }
        let cell = self.cell(node);
        if self.scratch.cells[cell].tree != self.scratch.net {
            self.scratch.cells[cell].tree = self.scratch.net;
            new_nodes.push(node);
        }
    }

    /// Follows a search from its end back to its start and joins the way to the tree; returns the start.
    fn walk_back(&mut self, end: usize, new_nodes: &mut Vec<Node>) -> Node {
        let mut cell = end;
        loop {
            let node = self.node(cell);
            self.join(node, new_nodes);
            let came = self.scratch.cells[cell].from;
            if came == START {
                return node;
            }
            let before = self.behind(cell, came);
            let edge = (self.node(before), node);
            self.route.edges.push(edge);
            cell = before;
        }
    }

    fn mark_beside(&mut self, nodes: &[Node]) {
        let field = self.task.field;
        let mut around: Vec<usize> = Vec::with_capacity(9);
        for &node in nodes {
            around.clear();
            field.wire_reach(node, |k| around.push(k));
            for &k in &around {
                let (_, x, y) = self.lattice.split(k as Node);
                if self.window.contains(x, y) {
                    let cell = self.cell(k as Node);
                    self.scratch.cells[cell].beside = self.scratch.net;
                }
            }
        }
    }

    fn cell(&self, node: Node) -> usize {
        let (layer, x, y) = self.lattice.split(node);
        layer * self.plane + (y - self.window.y0) * self.width + (x - self.window.x0)
    }

    fn node(&self, cell: usize) -> Node {
        let (layer, in_plane) = (cell / self.plane, cell % self.plane);
        self.lattice.node(
            layer,
            in_plane % self.width + self.window.x0,
            in_plane / self.width + self.window.y0,
        )
    }
}
