//! From a cell's drawn shapes to its transistors, with the diffusions and wire capacitances that the netlists lack.

use std::collections::BTreeMap;

use nanoflow_layout::gds::{ElementKind, LayerSpec, Structure};
use nanoflow_layout::Rect;

use crate::circuit::{Channel, Circuit, Transistor, GROUND, POWER};
use crate::grid::{Bitmap, Grid, Labels, DIRECTIONS};
use crate::wires;
use crate::LibertyError;

/// Drawn layers: layer and datatype of the SkyWater GDS table.
const NWELL: LayerSpec = LayerSpec::new(64, 20);
const DIFFUSION: LayerSpec = LayerSpec::new(65, 20);
const TAP: LayerSpec = LayerSpec::new(65, 44);
const POLY: LayerSpec = LayerSpec::new(66, 20);
const CONTACT: LayerSpec = LayerSpec::new(66, 44);
const LOCAL: LayerSpec = LayerSpec::new(67, 20);
const LOCAL_CONTACT: LayerSpec = LayerSpec::new(67, 44);
const METAL: LayerSpec = LayerSpec::new(68, 20);
const LOCAL_LABEL: LayerSpec = LayerSpec::new(67, 5);
const METAL_LABEL: LayerSpec = LayerSpec::new(68, 5);

/// The conductors of a cell, each grid cell labelled with its net.
pub struct Conductors {
    pub grid: Grid,
    pub diffusion: Labels,
    pub poly: Labels,
    pub local: Labels,
    pub metal: Labels,
    /// Where poly crosses diffusion.
    pub gate: Bitmap,
}

struct Pieces {
    parent: Vec<usize>,
}

impl Pieces {
    fn root(&mut self, mut piece: usize) -> usize {
        while self.parent[piece] != piece {
            self.parent[piece] = self.parent[self.parent[piece]];
            piece = self.parent[piece];
        }
        piece
    }
    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parent[a.max(b)] = a.min(b);
    }
}

/// Extracts the circuit of one cell.
pub fn extract(structure: &Structure) -> Result<Circuit, LibertyError> {
    let cell = structure.name();
    let layers = [
        NWELL,
        DIFFUSION,
        TAP,
        POLY,
        CONTACT,
        LOCAL,
        LOCAL_CONTACT,
        METAL,
    ];
    let mut shapes: Vec<Vec<Rect>> = Vec::new();
    for layer in layers {
        shapes.push(structure.rects(layer)?);
    }
    let grid = Grid::new(shapes.iter().flatten());
    let bitmaps: Vec<Bitmap> = shapes.iter().map(|rects| grid.paint(rects)).collect();
    let [nwell, diffusion, tap, poly, contact, local, local_contact, metal] = bitmaps.as_slice()
    else {
        return Err(LibertyError::cell(cell, "layers are missing"));
    };
    let both = |a: &Bitmap, b: &Bitmap, keep: fn(bool, bool) -> bool| -> Bitmap {
        a.iter().zip(b).map(|(a, b)| keep(*a, *b)).collect()
    };
    let gate = both(diffusion, poly, |diffusion, poly| diffusion && poly);
    let sides = both(diffusion, poly, |diffusion, poly| diffusion && !poly);
    let (sides, next) = grid.label(&sides, 0);
    let (taps, next) = grid.label(tap, next);
    let (polys, next) = grid.label(poly, next);
    let (locals, next) = grid.label(local, next);
    let (metals, next) = grid.label(metal, next);
    let mut pieces = Pieces {
        parent: (0..next).collect(),
    };
    for at in 0..grid.len() {
        if contact[at] {
            for below in [sides[at], taps[at], polys[at]] {
                if let (Some(below), Some(above)) = (below, locals[at]) {
                    pieces.join(below, above);
                }
            }
        }
        if local_contact[at] {
            if let (Some(below), Some(above)) = (locals[at], metals[at]) {
                pieces.join(below, above);
            }
        }
    }
    let names = names(structure, &grid, &locals, &metals, &mut pieces)?;
    let mut circuit = Circuit::default();
    let mut numbers: BTreeMap<usize, usize> = BTreeMap::new();
    let mut net = |piece: usize, circuit: &mut Circuit| -> usize {
        let root = pieces.root(piece);
        *numbers.entry(root).or_insert_with(|| {
            let number = circuit.nets.len();
            circuit.nets.push(
                names
                    .get(&root)
                    .cloned()
                    .unwrap_or_else(|| format!("#{number}")),
            );
            number
        })
    };
    let mut relabel = |labels: &Labels, circuit: &mut Circuit| -> Labels {
        labels
            .iter()
            .map(|piece| piece.map(|piece| net(piece, circuit)))
            .collect()
    };
    let conductors = Conductors {
        diffusion: relabel(&sides, &mut circuit),
        poly: relabel(&polys, &mut circuit),
        local: relabel(&locals, &mut circuit),
        metal: relabel(&metals, &mut circuit),
        gate,
        grid,
    };
    for supply in [POWER, GROUND] {
        if circuit.net(supply).is_none() {
            return Err(LibertyError::cell(
                cell,
                format!("no shape is labelled '{supply}' in its layout"),
            ));
        }
    }
    circuit.transistors = transistors(cell, &conductors, &sides, nwell)?;
    wires::add(&conductors, &mut circuit);
    circuit.merge_fingers();
    Ok(circuit)
}

/// Names of pieces by the texts on them.
fn names(
    structure: &Structure,
    grid: &Grid,
    locals: &Labels,
    metals: &Labels,
    pieces: &mut Pieces,
) -> Result<BTreeMap<usize, String>, LibertyError> {
    let mut names: BTreeMap<usize, String> = BTreeMap::new();
    for element in structure.elements() {
        let ElementKind::Text {
            layer,
            position,
            text,
            ..
        } = &element.kind
        else {
            continue;
        };
        let labels = match *layer {
            LOCAL_LABEL => locals,
            METAL_LABEL => metals,
            _ => continue,
        };
        let Some(piece) = grid.at(position.x, position.y).and_then(|at| labels[at]) else {
            continue;
        };
        if let Some(other) = names
            .insert(pieces.root(piece), text.clone())
            .filter(|other| other != text)
        {
            let reason = format!("'{other}' and '{text}' are one piece of metal in its layout");
            return Err(LibertyError::cell(structure.name(), reason));
        }
    }
    Ok(names)
}

/// One diffusion piece beside gates: what it measures, and how much gate edge shares it.
#[derive(Default, Clone, Copy)]
struct Side {
    area: f64,
    /// Outline without the edges to gates.
    outline: f64,
    gate_edge: f64,
}

/// Finds each gate and shares the diffusions beside it among their gates by edge length.
fn transistors(
    cell: &str,
    conductors: &Conductors,
    sides: &Labels,
    nwell: &Bitmap,
) -> Result<Vec<Transistor>, LibertyError> {
    let grid = &conductors.grid;
    let (gates, count) = grid.label(&conductors.gate, 0);
    let mut measures: BTreeMap<usize, Side> = BTreeMap::new();
    // For each gate: its area, one grid cell of it, and the edge length to each diffusion piece.
    let mut found: Vec<(f64, usize, BTreeMap<usize, f64>)> = vec![(0.0, 0, BTreeMap::new()); count];
    for at in 0..grid.len() {
        let (width, height) = grid.size(at);
        if let Some(gate) = gates[at] {
            found[gate].0 += width * height;
            found[gate].1 = at;
        }
        let Some(side) = sides[at] else { continue };
        measures.entry(side).or_default().area += width * height;
        for (dx, dy) in DIRECTIONS {
            let step = grid.step(at, dx, dy);
            let measure = measures.entry(side).or_default();
            match step.to.and_then(|to| gates[to]) {
                Some(gate) => {
                    measure.gate_edge += step.edge;
                    *found[gate].2.entry(side).or_insert(0.0) += step.edge;
                }
                None if step.to.and_then(|to| sides[to]).is_none() => measure.outline += step.edge,
                None => {}
            }
        }
    }
    let mut transistors = Vec::new();
    for (area, at, edges) in found {
        let edges: Vec<(usize, f64)> = edges.into_iter().collect();
        let [(first, first_edge), (second, second_edge)] = edges.as_slice() else {
            return Err(LibertyError::cell(
                cell,
                format!(
                    "a gate in its layout has {} diffusions, not two",
                    edges.len()
                ),
            ));
        };
        let width = (first_edge + second_edge) / 2.0;
        let share = |side: &usize, edge: f64| {
            let measure = measures.get(side).copied().unwrap_or_default();
            let part = edge / measure.gate_edge;
            (measure.area * part, measure.outline * part + edge)
        };
        let (drain_area, drain_perimeter) = share(first, *first_edge);
        let (source_area, source_perimeter) = share(second, *second_edge);
        let net_of = |side: usize| {
            sides
                .iter()
                .position(|label| *label == Some(side))
                .and_then(|at| conductors.diffusion[at])
        };
        let (Some(drain), Some(source), Some(gate)) =
            (net_of(*first), net_of(*second), conductors.poly[at])
        else {
            return Err(LibertyError::cell(
                cell,
                "a transistor without nets in its layout",
            ));
        };
        let (stress_a, stress_b) = stress(grid, at, &conductors.gate, sides);
        transistors.push(Transistor {
            channel: if nwell[at] { Channel::P } else { Channel::N },
            gate,
            drain,
            source,
            width,
            length: area / width,
            drain_area,
            source_area,
            drain_perimeter,
            source_perimeter,
            stress_a,
            stress_b,
            fingers: 1,
        });
    }
    Ok(transistors)
}

/// Distances along x from the gate's edges to the ends of the diffusion, in the row of grid cell `at`.
fn stress(grid: &Grid, at: usize, gate: &Bitmap, sides: &Labels) -> (f64, f64) {
    let reach = |direction: isize| {
        let (mut here, mut distance, mut own_gate) = (at, 0.0, true);
        while let Some(to) = grid.step(here, direction, 0).to {
            own_gate &= gate[to];
            if !gate[to] && sides[to].is_none() {
                break;
            }
            if !own_gate {
                distance += grid.size(to).0;
            }
            here = to;
        }
        distance
    };
    (reach(-1), reach(1))
}
