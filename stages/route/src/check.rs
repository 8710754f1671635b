//! The exact checker: all shapes of the layout in bins, rules checked bin by bin.

use std::collections::BTreeSet;
use std::sync::Arc;

use nanoflow_layout::{Dbu, Rect};

use crate::problem::{Layer, Owner, Shape};
use crate::rules::{Rules, SHORT};
use crate::scan::{Finding, Piece};
use crate::screen::screen;

/// A broken rule on a layer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    pub layer: Layer,
    pub rule: &'static str,
    pub rect: Rect,
    pub owners: Vec<Owner>,
}

/// Side of a bin. Small enough for the raster of a window, large enough that few shapes lie in several.
const BIN: Dbu = 12_000;
/// How far beyond a bin its window reaches: farther than the largest shape below its least area is long.
pub const HALO: Dbu = 1600;

/// Bins that changed since they were last checked are checked again, the others remember.
pub struct Checker {
    rules: Arc<Rules>,
    die: Rect,
    columns: usize,
    rows: usize,
    pub shapes: Vec<Shape>,
    bins: Vec<Vec<u32>>,
    /// Shapes of each net that the router drew, and places in `shapes` that are free again.
    drawn: Vec<Vec<u32>>,
    free: Vec<u32>,
    dirty: Vec<bool>,
    found: Vec<Vec<Violation>>,
}

impl Checker {
    #[must_use]
    pub fn new(rules: Arc<Rules>, die: Rect) -> Self {
        let count = |length: Dbu| (length / BIN + 1).max(1) as usize;
        let (columns, rows) = (count(die.width()), count(die.height()));
        let bins = columns * rows;
        Self {
            rules,
            die,
            columns,
            rows,
            shapes: Vec::new(),
            bins: vec![Vec::new(); bins],
            drawn: Vec::new(),
            free: Vec::new(),
            dirty: vec![true; bins],
            found: vec![Vec::new(); bins],
        }
    }

    pub fn add(&mut self, shape: Shape) {
        let index = match self.free.pop() {
            Some(index) => {
                self.shapes[index as usize] = shape;
                index
            }
            None => {
                self.shapes.push(shape);
                self.shapes.len() as u32 - 1
            }
        };
        for bin in self.bins_of(shape.rect.grow(1)) {
            self.bins[bin].push(index);
        }
        self.soil(shape.rect);
        if let Some(net) = usize::try_from(shape.owner).ok().filter(|_| shape.routed) {
            if self.drawn.len() <= net {
                self.drawn.resize(net + 1, Vec::new());
            }
            self.drawn[net].push(index);
        }
    }

    /// Exchanges all shapes that the router did not draw. Only bins where they differ are checked again.
    pub fn replace_fixed(&mut self, fixed: &[Shape]) {
        let mut known: BTreeSet<Shape> = fixed.iter().copied().collect();
        let mut is_drawn = vec![false; self.shapes.len()];
        for &index in self.drawn.iter().flatten().chain(&self.free) {
            is_drawn[index as usize] = true;
        }
        let gone: Vec<u32> = (0..self.shapes.len() as u32)
            .filter(|&k| !is_drawn[k as usize] && !known.remove(&self.shapes[k as usize]))
            .collect();
        gone.into_iter().for_each(|index| self.remove(index));
        known.into_iter().for_each(|shape| self.add(shape));
    }

    fn remove(&mut self, index: u32) {
        let rect = self.shapes[index as usize].rect;
        for bin in self.bins_of(rect.grow(1)) {
            self.bins[bin].retain(|&other| other != index);
        }
        self.soil(rect);
        self.free.push(index);
    }

    /// Takes away all that the router drew for a net.
    pub fn remove_net(&mut self, net: usize) {
        let Some(indices) = self.drawn.get_mut(net).map(std::mem::take) else {
            return;
        };
        indices.into_iter().for_each(|index| self.remove(index));
    }

    fn soil(&mut self, rect: Rect) {
        for bin in self.bins_of(rect.grow(HALO)) {
            self.dirty[bin] = true;
        }
    }

    fn bins_of(&self, rect: Rect) -> impl Iterator<Item = usize> {
        let clamp = |value: Dbu, low: Dbu, count: usize| {
            ((value - low) / BIN).clamp(0, count as Dbu - 1) as usize
        };
        let (x0, x1) = (
            clamp(rect.x0, self.die.x0, self.columns),
            clamp(rect.x1, self.die.x0, self.columns),
        );
        let (y0, y1) = (
            clamp(rect.y0, self.die.y0, self.rows),
            clamp(rect.y1, self.die.y0, self.rows),
        );
        let columns = self.columns;
        (y0..=y1).flat_map(move |y| (x0..=x1).map(move |x| y * columns + x))
    }

    /// Indices of the shapes that touch `area`, each once, in rising order.
    pub fn near(&self, area: Rect) -> Vec<u32> {
        let mut found: Vec<u32> = self
            .bins_of(area)
            .flat_map(|bin| self.bins[bin].iter().copied())
            .filter(|&index| self.shapes[index as usize].rect.touches(&area))
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// All violations, with `threads` threads. The result does not depend on their number.
    pub fn all(&mut self, threads: usize) -> Vec<Violation> {
        let bins: Vec<usize> = (0..self.bins.len())
            .filter(|&bin| self.dirty[bin])
            .collect();
        let next = std::sync::atomic::AtomicUsize::new(0);
        let results = std::sync::Mutex::new(Vec::with_capacity(bins.len()));
        let this = &*self;
        std::thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                scope.spawn(|| loop {
                    let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(&bin) = bins.get(index) else { break };
                    let violations = this.bin(bin);
                    if let Ok(mut results) = results.lock() {
                        results.push((bin, violations));
                    }
                });
            }
        });
        for (bin, violations) in results.into_inner().unwrap_or_default() {
            self.found[bin] = violations;
            self.dirty[bin] = false;
        }
        let all: BTreeSet<&Violation> = self.found.iter().flatten().collect();
        all.into_iter().cloned().collect()
    }

    fn bin(&self, bin: usize) -> Vec<Violation> {
        let (x, y) = ((bin % self.columns) as Dbu, (bin / self.columns) as Dbu);
        let corner = (self.die.x0 + x * BIN, self.die.y0 + y * BIN);
        let core = Rect {
            x0: corner.0,
            y0: corner.1,
            x1: corner.0 + BIN,
            y1: corner.1 + BIN,
        };
        self.window(core)
    }

    /// Violations whose middle lies in `core`.
    fn window(&self, core: Rect) -> Vec<Violation> {
        let outer = core.grow(HALO);
        let shapes: Vec<Shape> = self
            .near(outer)
            .iter()
            .map(|&index| self.shapes[index as usize])
            .collect();
        let mut found = Vec::new();
        for k in 0..self.rules.metals.len() {
            self.metal(k, core, outer, &shapes, &mut found);
            self.cuts(k, core, &shapes, &mut found);
        }
        found
    }

    /// All shapes of one metal that touch `area`.
    #[must_use]
    pub fn pieces(&self, k: usize, area: Rect) -> Vec<Piece> {
        let shapes = self
            .near(area)
            .into_iter()
            .map(|index| self.shapes[index as usize]);
        shapes
            .filter(|shape| shape.layer == Layer::Metal(k))
            .map(|shape| (shape.rect, shape.owner, shape.routed))
            .collect()
    }

    fn metal(
        &self,
        k: usize,
        core: Rect,
        outer: Rect,
        shapes: &[Shape],
        found: &mut Vec<Violation>,
    ) {
        let mut on: Vec<Piece> = shapes
            .iter()
            .filter(|s| s.layer == Layer::Metal(k))
            .map(|s| (s.rect, s.owner, s.routed))
            .collect();
        on.sort_unstable_by_key(|piece| (piece.0, piece.1));
        let findings = screen(&self.rules, k, outer, &on);
        let kept = findings
            .into_iter()
            .filter(|finding| in_core(core, finding.rect));
        found.extend(kept.map(|Finding { rule, rect, owners }| Violation {
            layer: Layer::Metal(k),
            rule,
            rect,
            owners,
        }));
    }

    fn cuts(&self, k: usize, core: Rect, shapes: &[Shape], found: &mut Vec<Violation>) {
        let rule = &self.rules.cuts[k];
        let mut on: Vec<&Shape> = shapes.iter().filter(|s| s.layer == Layer::Cut(k)).collect();
        on.sort_unstable_by_key(|shape| (shape.rect, shape.owner, shape.routed));
        for (i, a) in on.iter().enumerate() {
            for b in &on[i + 1..] {
                if b.rect.x0 - a.rect.x1 >= rule.space {
                    break;
                }
                let near = a.rect.distance_squared(&b.rect) < i64::from(rule.space).pow(2);
                if !near || a.rect == b.rect && a.owner == b.owner || !(a.routed || b.routed) {
                    continue;
                }
                let name = if a.owner != b.owner && a.rect.overlaps(&b.rect) {
                    SHORT
                } else {
                    rule.rule
                };
                let rect = a.rect.union(&b.rect);
                if in_core(core, rect) {
                    let mut owners = vec![a.owner, b.owner];
                    owners.sort_unstable();
                    owners.dedup();
                    found.push(Violation {
                        layer: Layer::Cut(k),
                        rule: name,
                        rect,
                        owners,
                    });
                }
            }
        }
    }
}

/// Each violation belongs to one bin: the one with its middle.
pub fn in_core(core: Rect, rect: Rect) -> bool {
    let middle = rect.center();
    (core.x0..core.x1).contains(&middle.x) && (core.y0..core.y1).contains(&middle.y)
}
