//! Charge that the pieces of a net collect while their layer is etched, over the gates that they reach by then.
//!
//! Rule: SkyWater docs/rules/antenna, table Ie (S8P). A layer is judged with all that lies below it and nothing above: what
//! joins a gate to its driver on a higher layer is not there yet. Metals count with their side walls (perimeter times thickness),
//! cuts with their area. A piece with a diffusion may collect more.

use nanoflow_layout::{Point, Rect};

use crate::lattice::Lattice;
use crate::problem::{Layer, Problem, Shape, Terminal};
use crate::route::Route;
use crate::rules::WIRE_LAYERS;
use crate::union_find::UnionFind;
use crate::wiring::Wiring;

/// Limits of table Ie: ratio without diffusion, factor on the diffusion area in µm², and bonus with any diffusion.
struct Limit {
    ratio: f64,
    factor: f64,
    bonus: f64,
}
const METAL: Limit = Limit {
    ratio: 400.0,
    factor: 400.0,
    bonus: 2200.0,
};
const MCON: Limit = Limit {
    ratio: 3.0,
    factor: 18.0,
    bonus: 0.0,
};
const VIA: Limit = Limit {
    ratio: 6.0,
    factor: 36.0,
    bonus: 0.0,
};

/// Kept below the limit: metal inside cells and patches at merges are not counted to the last edge.
const MARGIN: f64 = 0.9;

/// A piece of a net over its limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Excess {
    pub net: usize,
    pub layer: &'static str,
    pub ratio: f64,
    pub limit: f64,
    /// A gate that the piece reaches: index of the terminal, and its place.
    pub terminal: usize,
    pub at: Point,
}

/// Pieces of a net that collect too much.
#[must_use]
pub fn excesses(
    problem: &Problem,
    lattice: &Lattice,
    net: usize,
    route: &Route,
    wiring: &Wiring,
) -> Vec<Excess> {
    let shapes = wiring.shapes(&problem.rules, net as i32);
    let gates = gates(problem, lattice, net, route);
    if gates.iter().all(|gate| gate.area == 0.0) || !may_exceed(problem, &shapes, &gates) {
        return Vec::new();
    }
    let mut pieces = UnionFind::new(shapes.len());
    let mut found = Vec::new();
    // Layers in the order of etching: met1, via, met2, …; contacts of met1 are judged with the pins they stand on.
    for k in 0..WIRE_LAYERS {
        join(&mut pieces, &shapes, k);
        let at_gates: Vec<Option<usize>> = gates
            .iter()
            .map(|gate| piece_at(&mut pieces, &shapes, gate.at))
            .collect();
        let metal = |shape: &Shape| shape.layer == Layer::Metal(k);
        let thickness = f64::from(problem.rules.metals[k].antenna_thickness) * 1e-3;
        let side_wall = |rects: &[Rect]| perimeter(rects) as f64 * 1e-3 * thickness;
        let mut judge = Judge {
            net,
            gates: &gates,
            at_gates: &at_gates,
            shapes: &shapes,
            pieces: &mut pieces,
            found: &mut found,
        };
        judge.layer(problem.rules.metals[k].name, &metal, &side_wall, &METAL);
        if let Some(cut) = problem
            .rules
            .cuts
            .get(k + 1)
            .filter(|_| k + 1 < WIRE_LAYERS)
        {
            join_cuts(judge.pieces, &shapes, k);
            let on_cut = |shape: &Shape| shape.layer == Layer::Cut(k + 1);
            let area = |rects: &[Rect]| rects.iter().map(Rect::area).sum::<i64>() as f64 * 1e-6;
            judge.layer(cut.name, &on_cut, &area, &VIA);
        }
    }
    let contact = problem.rules.vias[0].cut.area() as f64 * 1e-6;
    // One contact stands on each pin.
    let over = |gate: &&Gate| gate.area > 0.0 && contact / gate.area > MCON.ratio * MARGIN;
    found.extend(gates.iter().filter(over).map(|gate| Excess {
        net,
        layer: problem.rules.cuts[0].name,
        ratio: contact / gate.area,
        limit: MCON.ratio,
        terminal: gate.terminal,
        at: gate.at,
    }));
    found
}

/// A terminal on a cell: gate and diffusion areas in µm².
struct Gate {
    terminal: usize,
    at: Point,
    area: f64,
    diffusion: f64,
}

fn gates(problem: &Problem, lattice: &Lattice, net: usize, route: &Route) -> Vec<Gate> {
    let mut gates = Vec::new();
    for (index, terminal) in problem.nets[net].terminals.iter().enumerate() {
        let (Terminal::Pin { instance, pin }, Some(&node)) =
            (terminal, route.terminal_nodes.get(index))
        else {
            continue;
        };
        let pin = &problem.master(*instance).pins[*pin];
        gates.push(Gate {
            terminal: index,
            at: lattice.point(node),
            area: pin.gate_area,
            diffusion: pin.diffusion_area,
        });
    }
    gates
}

/// Quick test: all metal of the net on one layer against its smallest gate.
fn may_exceed(problem: &Problem, shapes: &[Shape], gates: &[Gate]) -> bool {
    let smallest = gates
        .iter()
        .map(|gate| gate.area)
        .filter(|area| *area > 0.0)
        .fold(f64::MAX, f64::min);
    let most = |k: usize| {
        let around: i64 = shapes
            .iter()
            .filter(|shape| shape.layer == Layer::Metal(k))
            .map(|shape| 2 * i64::from(shape.rect.width() + shape.rect.height()))
            .sum();
        around as f64 * 1e-6 * f64::from(problem.rules.metals[k].antenna_thickness)
    };
    let cuts = shapes
        .iter()
        .filter(|shape| matches!(shape.layer, Layer::Cut(_)))
        .map(|shape| shape.rect.area())
        .sum::<i64>();
    (0..WIRE_LAYERS).any(|k| most(k) / smallest > METAL.ratio * MARGIN)
        || cuts as f64 * 1e-6 / smallest > VIA.ratio * MARGIN
}

/// Joins the shapes of metal `k` that touch, and the cuts that lead down from it.
fn join(pieces: &mut UnionFind, shapes: &[Shape], k: usize) {
    let mut on: Vec<usize> = (0..shapes.len())
        .filter(|&i| matches!(shapes[i].layer, Layer::Metal(m) | Layer::Cut(m) if m == k))
        .collect();
    on.sort_by_key(|&i| (shapes[i].rect.x0, i));
    for (n, &i) in on.iter().enumerate() {
        for &j in on[n + 1..]
            .iter()
            .take_while(|&&j| shapes[j].rect.x0 <= shapes[i].rect.x1)
        {
            if shapes[i].rect.touches(&shapes[j].rect) {
                pieces.join(i, j);
            }
        }
    }
}

/// Joins the cuts above metal `k` to it.
fn join_cuts(pieces: &mut UnionFind, shapes: &[Shape], k: usize) {
    let metal: Vec<usize> = (0..shapes.len())
        .filter(|&i| shapes[i].layer == Layer::Metal(k))
        .collect();
    for cut in (0..shapes.len()).filter(|&i| shapes[i].layer == Layer::Cut(k + 1)) {
        if let Some(&below) = metal
            .iter()
            .find(|&&i| shapes[i].rect.touches(&shapes[cut].rect))
        {
            pieces.join(below, cut);
        }
    }
}

/// The piece that a terminal hangs on.
fn piece_at(pieces: &mut UnionFind, shapes: &[Shape], at: Point) -> Option<usize> {
    let touched = shapes
        .iter()
        .position(|shape| shape.layer == Layer::Metal(0) && shape.rect.contains(at));
    touched.map(|index| pieces.find(index))
}

struct Judge<'a> {
    net: usize,
    gates: &'a [Gate],
    at_gates: &'a [Option<usize>],
    shapes: &'a [Shape],
    pieces: &'a mut UnionFind,
    found: &'a mut Vec<Excess>,
}

impl Judge<'_> {
    fn layer(
        &mut self,
        name: &'static str,
        on: &dyn Fn(&Shape) -> bool,
        measure: &dyn Fn(&[Rect]) -> f64,
        limit: &Limit,
    ) {
        let mut judged: Vec<usize> = Vec::new();
        for piece in self.at_gates.iter().flatten() {
            let root = self.pieces.find(*piece);
            if judged.contains(&root) {
                continue;
            }
            judged.push(root);
            let mut members: Vec<&Gate> = Vec::new();
            for (gate, at) in self.gates.iter().zip(self.at_gates) {
                if at.is_some_and(|at| self.pieces.find(at) == root) {
                    members.push(gate);
                }
            }
            let gate_area: f64 = members.iter().map(|gate| gate.area).sum();
            let diffusion: f64 = members.iter().map(|gate| gate.diffusion).sum();
            let Some(first) = members.iter().find(|gate| gate.area > 0.0) else {
                continue;
            };
            let mut rects: Vec<Rect> = Vec::new();
            for (index, shape) in self.shapes.iter().enumerate() {
                if on(shape) && self.pieces.find(index) == root {
                    rects.push(shape.rect);
                }
            }
            let ratio = measure(&rects) / gate_area;
            let most = limit.ratio
                + if diffusion > 0.0 {
                    limit.factor * diffusion + limit.bonus
                } else {
                    0.0
                };
            if ratio > most * MARGIN {
                self.found.push(Excess {
                    net: self.net,
                    layer: name,
                    ratio,
                    limit: most,
                    terminal: first.terminal,
                    at: first.at,
                });
            }
        }
    }
}

/// Length of the outline of the union of rectangles, nm.
fn perimeter(rects: &[Rect]) -> i64 {
    let side = |vertical: bool| -> i64 {
        // Cut along one axis; in each strip the ends of the merged spans are outline.
        let span = |r: &Rect| {
            if vertical {
                (r.x0, r.x1, r.y0, r.y1)
            } else {
                (r.y0, r.y1, r.x0, r.x1)
            }
        };
        let mut cuts: Vec<i32> = rects.iter().flat_map(|r| [span(r).2, span(r).3]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let mut sorted: Vec<(i32, i32, i32, i32)> = rects.iter().map(span).collect();
        sorted.sort_unstable();
        cuts.windows(2)
            .map(|strip| {
                let (mut ends, mut reach) = (0i64, i32::MIN);
                for (low, high, ..) in sorted.iter().filter(|s| s.2 <= strip[0] && s.3 >= strip[1])
                {
                    if *low > reach {
                        ends += 2;
                    }
                    reach = reach.max(*high);
                }
                ends * i64::from(strip[1] - strip[0])
            })
            .sum()
    };
    side(true) + side(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perimeter_of_a_union() {
        assert_eq!(perimeter(&[Rect::new(0, 0, 100, 10)]), 220);
        let cross = [Rect::new(0, 45, 100, 55), Rect::new(45, 0, 55, 100)];
        assert_eq!(perimeter(&cross), 400);
        assert_eq!(
            perimeter(&[Rect::new(0, 0, 10, 10), Rect::new(20, 0, 30, 10)]),
            80
        );
    }
}
