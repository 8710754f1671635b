//! Capacitance of the wires inside a cell.

use crate::circuit::{Circuit, GROUND};
use crate::extract::Conductors;
use crate::grid::{Labels, DIRECTIONS};

/// Coefficients of one layer in attofarads: to the substrate by area (aF/µm²) and edge (aF/µm), to a neighbour on the layer by
/// facing length over distance (aF/µm × µm / (µm + offset)).
struct Coefficients {
    area: f64,
    fringe: f64,
    sidewall: f64,
    offset: f64,
}

// SkyWater SKY130 process documentation, capacitance tables (docs/rules/rcx), nominal, in the form that the extraction section of
// open_pdks' sky130 technology file gives them.
const POLY: Coefficients = Coefficients {
    area: 106.13,
    fringe: 55.27,
    sidewall: 16.0,
    offset: 0.0,
};
const LOCAL: Coefficients = Coefficients {
    area: 36.99,
    fringe: 40.70,
    sidewall: 25.5,
    offset: 0.14,
};
const METAL: Coefficients = Coefficients {
    area: 25.78,
    fringe: 40.57,
    sidewall: 44.0,
    offset: 0.25,
};
/// Between overlapping layers, aF/µm².
const LOCAL_OVER_POLY: f64 = 94.16;
const LOCAL_OVER_DIFFUSION: f64 = 55.30;
const METAL_OVER_LOCAL: f64 = 114.20;
const METAL_OVER_POLY: f64 = 44.81;

/// Neighbours farther away than this (µm) are not seen.
const HALO: f64 = 1.0;
/// Share of the coupling that is counted. One that fits the published delays; the rest is shielded by what lies around.
const COUPLING: f64 = 0.7;

const ATTO: f64 = 1e-18;
const MICRO: f64 = 1e-3;

/// Adds the capacitances of poly, local interconnect and the first metal to `circuit`.
pub fn add(conductors: &Conductors, circuit: &mut Circuit) {
    let Some(ground) = circuit.net(GROUND) else {
        return;
    };
    let grid = &conductors.grid;
    for at in 0..grid.len() {
        let (width, height) = grid.size(at);
        let area = width * height * MICRO * MICRO;
        let (diffusion, poly) = (conductors.diffusion[at], conductors.poly[at]);
        let (local, metal) = (conductors.local[at], conductors.metal[at]);
        if let Some(net) = poly.filter(|_| !conductors.gate[at]) {
            circuit.add_capacitance(net, ground, POLY.area * area * ATTO);
        }
        if let Some(net) = local {
            let (below, factor) = match (poly, diffusion) {
                (Some(poly), _) => (poly, LOCAL_OVER_POLY * COUPLING),
                (None, Some(diffusion)) => (diffusion, LOCAL_OVER_DIFFUSION * COUPLING),
                (None, None) => (ground, LOCAL.area),
            };
            circuit.add_capacitance(net, below, factor * area * ATTO);
        }
        if let Some(net) = metal {
            let (below, factor) = match (local, poly) {
                (Some(local), _) => (local, METAL_OVER_LOCAL * COUPLING),
                (None, Some(poly)) => (poly, METAL_OVER_POLY * COUPLING),
                (None, None) => (ground, METAL.area),
            };
            circuit.add_capacitance(net, below, factor * area * ATTO);
        }
    }
    edges(conductors, &conductors.poly, &POLY, ground, circuit);
    edges(conductors, &conductors.local, &LOCAL, ground, circuit);
    edges(conductors, &conductors.metal, &METAL, ground, circuit);
}

/// Fringe and sidewall capacitance of every edge of one layer.
fn edges(
    conductors: &Conductors,
    labels: &Labels,
    layer: &Coefficients,
    ground: usize,
    circuit: &mut Circuit,
) {
    let grid = &conductors.grid;
    for at in 0..grid.len() {
        let Some(net) = labels[at] else { continue };
        for (dx, dy) in DIRECTIONS {
            let step = grid.step(at, dx, dy);
            // The edge of a gate over its diffusion belongs to the transistor model.
            let beside_gate =
                conductors.gate[at] && step.to.is_some_and(|to| conductors.diffusion[to].is_some());
            if step.to.is_some_and(|to| labels[to].is_some()) || beside_gate {
                continue;
            }
            let length = step.edge * MICRO;
            circuit.add_capacitance(net, ground, layer.fringe * length * ATTO);
            if let Some((other, distance)) = facing(conductors, labels, at, dx, dy) {
                // Each pair of edges is seen from both sides.
                let coupling = layer.sidewall * length / (distance + layer.offset) / 2.0;
                circuit.add_capacitance(net, other, coupling * COUPLING * ATTO);
            }
        }
    }
}

/// The net on the same layer that faces an edge, and how far it is (µm).
fn facing(
    conductors: &Conductors,
    labels: &Labels,
    from: usize,
    dx: isize,
    dy: isize,
) -> Option<(usize, f64)> {
    let grid = &conductors.grid;
    let (mut here, mut distance) = (from, 0.0);
    loop {
        here = grid.step(here, dx, dy).to?;
        if let Some(net) = labels[here] {
            return Some((net, distance));
        }
        let (width, height) = grid.size(here);
        distance += if dx == 0 { height } else { width } * MICRO;
        if distance > HALO {
            return None;
        }
    }
}
