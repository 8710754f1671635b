//! Negotiated congestion: all nets are routed, wires that collide make their places dearer, the colliding nets are
//! routed again, until none collide (McMurchie and Ebeling, PathFinder, FPGA 1995).
//!
//! Only nets in conflict are routed again. Nets are taken in one fixed order, in batches whose windows do not touch, so the
//! result does not depend on the number of threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use nanoflow_layout::global::{Grid, Square};

use crate::access::Gate;
use crate::field::{Field, Spot};
use crate::lattice::Window;
use crate::region::{Region, Tiling};
use crate::route::Route;
use crate::rules::Rules;
use crate::search::{route_net, Costs, Scratch, Task};

/// How the pressure on shared places rises.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    pub first_pressure: u32,
    pub growth_percent: u32,
    pub most_pressure: u32,
    /// What a conflict leaves behind at its place, at least.
    pub least_history: u32,
    /// Columns and rows that a net's window reaches beyond its terminals, at first and at most after conflicts.
    pub margin: usize,
    pub most_margin: usize,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            first_pressure: 500,
            growth_percent: 150,
            most_pressure: 20_000,
            least_history: 300,
            margin: 12,
            most_margin: 48,
        }
    }
}

pub struct Negotiation {
    pub field: Field,
    rules: Arc<Rules>,
    costs: Costs,
    schedule: Schedule,
    gates: Vec<Vec<Gate>>,
    pub routes: Vec<Option<Route>>,
    margins: Vec<usize>,
    /// Places where the lattice sees two nets too near each other and the exact check does not, by net, sorted.
    accepted: Vec<Vec<Spot>>,
    boxes: Vec<Option<Window>>,
    /// The squares of the global grid that each net's wires should keep to.
    grid: Option<Grid>,
    guides: Vec<Option<Vec<Square>>>,
    /// What follows from box or guide and margin.
    regions: Vec<Option<Region>>,
    tiling: Tiling,
    /// Position of each net in the order of routing: short nets first.
    rank: Vec<usize>,
    pressure: u32,
    scratch: Vec<Scratch>,
    /// Nets that no window can route.
    pub unroutable: Vec<usize>,
}

/// What one round left.
#[derive(Debug, Clone, Default)]
pub struct Round {
    pub routed: usize,
    pub batches: usize,
    pub conflicts: usize,
    /// Nets in conflict, in the order of routing.
    pub nets: Vec<usize>,
}

impl Negotiation {
    #[must_use]
    pub fn new(
        field: Field,
        rules: Arc<Rules>,
        costs: Costs,
        schedule: Schedule,
        threads: usize,
    ) -> Self {
        let tiling = Tiling::new(&field.lattice);
        Self {
            field,
            rules,
            costs,
            schedule,
            gates: Vec::new(),
            routes: Vec::new(),
            margins: Vec::new(),
            accepted: Vec::new(),
            boxes: Vec::new(),
            grid: None,
            guides: Vec::new(),
            regions: Vec::new(),
            tiling,
            rank: Vec::new(),
            pressure: schedule.first_pressure,
            scratch: (0..threads.max(1)).map(|_| Scratch::default()).collect(),
            unroutable: Vec::new(),
        }
    }

    /// Sets the terminals of all nets. Nets that are there already keep their routes.
    pub fn set_gates(&mut self, gates: Vec<Vec<Gate>>) {
        let lattice = self.field.lattice;
        self.boxes = gates
            .iter()
            .map(|gates| bounding(&lattice, gates))
            .collect();
        self.routes.resize(gates.len(), None);
        self.margins.resize(gates.len(), self.schedule.margin);
        self.accepted.resize(gates.len(), Vec::new());
        let mut order: Vec<usize> = (0..gates.len()).collect();
        let size =
            |net: usize| self.boxes[net].map_or(0, |b| (b.x1 - b.x0) * 23 + (b.y1 - b.y0) * 34);
        order.sort_by_key(|&net| (size(net), net));
        self.rank = vec![0; gates.len()];
        for (rank, net) in order.into_iter().enumerate() {
            self.rank[net] = rank;
        }
        self.gates = gates;
        self.guides = vec![None; self.gates.len()];
        self.regions = (0..self.gates.len()).map(|net| self.region(net)).collect();
    }

    /// Keeps the wires of each net near the squares that global routing found for it.
    pub fn set_guides(&mut self, grid: Grid, guides: Vec<Vec<Square>>) {
        self.grid = Some(grid);
        self.guides = guides.into_iter().map(Some).collect();
        self.guides.resize(self.gates.len(), None);
        self.regions = (0..self.gates.len()).map(|net| self.region(net)).collect();
    }

    /// Gives a net other terminals; it has to be routed again.
    pub fn replace_gates(&mut self, net: usize, gates: Vec<Gate>) {
        if let Some(route) = self.routes[net].take() {
            self.field.remove(&route);
        }
        self.boxes[net] = bounding(&self.field.lattice, &gates);
        self.gates[net] = gates;
        // The guide does not know the new terminals.
        self.guides[net] = None;
        self.regions[net] = self.region(net);
    }

    /// Takes the routes of some nets away, to make room for others first.
    pub fn clear(&mut self, nets: &[usize]) {
        for &net in nets {
            if let Some(route) = self.routes[net].take() {
                self.field.remove(&route);
            }
        }
    }

    /// Takes what the exact check has found: only `faulty` nets are at fault, so other nets that are too near by the
    /// measure of the lattice alone may stay as they are.
    pub fn accept_all_but(&mut self, faulty: &[usize]) {
        for net in 0..self.routes.len() {
            if let Some(route) = self.routes[net].as_ref().filter(|_| !faulty.contains(&net)) {
                self.accepted[net] = self.field.conflicts(route);
            }
        }
    }

    /// Nets that need wires and have none, in order.
    #[must_use]
    pub fn missing(&self) -> Vec<usize> {
        let mut nets: Vec<usize> = (0..self.gates.len())
            .filter(|&net| self.gates[net].len() > 1 && self.routes[net].is_none())
            .collect();
        nets.sort_by_key(|&net| self.rank[net]);
        nets
    }

    #[must_use]
    pub fn visited(&self) -> u64 {
        self.scratch.iter().map(|scratch| scratch.visited).sum()
    }

    /// Routes `nets` again and tells which nets are in conflict then.
    pub fn round(&mut self, nets: &[usize], widen: bool) -> Round {
        self.field.set_pressure(self.pressure);
        let mut ordered = nets.to_vec();
        ordered.sort_by_key(|&net| self.rank[net]);
        ordered.dedup();
        let mut round = Round {
            routed: ordered.len(),
            ..Round::default()
        };
        self.unroutable.clear();
        let mut pending = ordered;
        while !pending.is_empty() {
            let mut failed = Vec::new();
            for batch in self.batches(&pending) {
                round.batches += 1;
                failed.extend(self.batch(&batch));
            }
            pending = failed;
        }
        self.judge(&mut round, widen);
        self.pressure =
            (self.pressure * self.schedule.growth_percent / 100).min(self.schedule.most_pressure);
        round
    }

    /// Finds all conflicts and makes their places dearer.
    fn judge(&mut self, round: &mut Round, widen: bool) {
        let mut spots: Vec<Spot> = Vec::new();
        for net in 0..self.routes.len() {
            let Some(route) = &self.routes[net] else {
                continue;
            };
            let mut found = self.field.conflicts(route);
            let accepted = &self.accepted[net];
            found.retain(|spot| accepted.binary_search(spot).is_err());
            if !found.is_empty() {
                round.conflicts += found.len();
                round.nets.push(net);
                spots.extend(found);
                if widen {
                    self.margins[net] = (self.margins[net] + 2)
                        .min(self.schedule.most_margin.max(self.margins[net]));
                    self.regions[net] = self.region(net);
                }
            }
        }
        let by = self.schedule.least_history.max(self.pressure / 4);
        spots
            .into_iter()
            .for_each(|spot| self.field.remember(spot, by));
        round.nets.sort_by_key(|&net| self.rank[net]);
    }

    /// Routes the nets of a batch; returns those that need a wider region.
    fn batch(&mut self, batch: &[usize]) -> Vec<usize> {
        for &net in batch {
            if let Some(route) = self.routes[net].take() {
                self.field.remove(&route);
            }
        }
        let mut failed = Vec::new();
        for (net, route) in self.search(batch) {
            match route {
                Some(route) => {
                    self.field.commit(&route);
                    self.routes[net] = Some(route);
                    self.accepted[net].clear();
                }
                None if self.regions[net] == Some(Region::whole(self.whole())) => {
                    self.unroutable.push(net);
                }
                None => {
                    // Where the guide has no way, another may.
                    self.guides[net] = None;
                    self.margins[net] = self.margins[net] * 2 + 8;
                    self.regions[net] = self.region(net);
                    failed.push(net);
                }
            }
        }
        failed
    }

    /// Nets that may be routed at once, in order: each is in the first batch after those of all nets before it that
    /// have a region near its own.
    fn batches(&self, nets: &[usize]) -> Vec<Vec<usize>> {
        let mut last = vec![0usize; self.tiling.count()];
        let mut batches: Vec<Vec<usize>> = Vec::new();
        for &net in nets {
            let Some(region) = &self.regions[net] else {
                continue;
            };
            let mut number = 0;
            region.with_neighbours(&self.tiling, |tile| number = number.max(last[tile]));
            region.with_neighbours(&self.tiling, |tile| last[tile] = number + 1);
            if batches.len() <= number {
                batches.resize(number + 1, Vec::new());
            }
            batches[number].push(net);
        }
        batches
    }

    fn region(&self, net: usize) -> Option<Region> {
        let lattice = &self.field.lattice;
        let guided = || {
            let (grid, guide) = (self.grid.as_ref()?, self.guides[net].as_ref()?);
            let entries = self.gates[net].iter().flat_map(|gate| &gate.entries);
            let places = entries.map(|(node, _)| {
                let (_, x, y) = lattice.split(*node);
                (x, y)
            });
            Region::guided(lattice, grid, guide, places, self.margins[net])
        };
        guided().or_else(|| {
            let window = self.boxes[net]?;
            Some(Region::whole(lattice.grow(window, self.margins[net])))
        })
    }

    fn whole(&self) -> Window {
        let lattice = &self.field.lattice;
        Window {
            x0: 0,
            y0: 0,
            x1: lattice.columns - 1,
            y1: lattice.rows - 1,
        }
    }

    /// Searches the nets of a batch, in parallel; results in the batch's order.
    fn search(&mut self, batch: &[usize]) -> Vec<(usize, Option<Route>)> {
        let mut all_scratch = std::mem::take(&mut self.scratch);
        let task = Task {
            field: &self.field,
            rules: &self.rules,
            costs: self.costs,
        };
        let one = |net: usize, scratch: &mut Scratch| {
            let region = self.regions[net].as_ref()?;
            route_net(&task, net, &self.gates[net], region, scratch)
        };
        let mut results: Vec<(usize, usize, Option<Route>)> = Vec::with_capacity(batch.len());
        if all_scratch.len() == 1 || batch.len() < 4 {
            if let Some(scratch) = all_scratch.first_mut() {
                results.extend(
                    batch
                        .iter()
                        .enumerate()
                        .map(|(k, &net)| (k, net, one(net, scratch))),
                );
            }
        } else {
            let next = AtomicUsize::new(0);
            let shared = Mutex::new(&mut results);
            std::thread::scope(|scope| {
                for scratch in &mut all_scratch {
                    let (next, shared, one) = (&next, &shared, &one);
                    scope.spawn(move || {
                        let mut own = Vec::new();
                        while let Some((k, &net)) =
                            batch.get(next.load(Ordering::Relaxed)).and_then(|_| {
                                let k = next.fetch_add(1, Ordering::Relaxed);
                                batch.get(k).map(|net| (k, net))
                            })
                        {
                            own.push((k, net, one(net, scratch)));
                        }
                        if let Ok(mut shared) = shared.lock() {
                            shared.extend(own);
                        }
                    });
                }
            });
            results.sort_unstable_by_key(|result| result.0);
        }
        self.scratch = all_scratch;
        results
            .into_iter()
            .map(|(_, net, route)| (net, route))
            .collect()
    }
}

/// The window around all entries of a net's terminals.
fn bounding(lattice: &crate::lattice::Lattice, gates: &[Gate]) -> Option<Window> {
    let mut around: Option<Window> = None;
    for (node, _) in gates.iter().flat_map(|gate| &gate.entries) {
        let (_, x, y) = lattice.split(*node);
        around = Some(around.map_or(
            Window {
                x0: x,
                y0: y,
                x1: x,
                y1: y,
            },
            |w| Window {
                x0: w.x0.min(x),
                y0: w.y0.min(y),
                x1: w.x1.max(x),
                y1: w.y1.max(y),
            },
        ));
    }
    around
}
