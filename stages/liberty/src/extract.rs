//! From a cell's drawn shapes to its transistors, with the diffusions and wire capacitances that the netlists lack.

use std::collections::{BTreeMap, BTreeSet};

use nanoflow_layout::gds::{ElementKind, LayerSpec, Structure};
use nanoflow_layout::Rect;

use crate::circuit::{Channel, Circuit, Terminal, Transistor, GROUND, POWER};
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
    circuit.transistors = transistors(cell, &conductors, &sides, nwell, contact)?;
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
#[derive(Default, Clone)]
struct Side {
    net: usize,
    area: f64,
    /// Outline without the edges to gates.
    outline: f64,
    gate_edge: f64,
    contacts: BTreeSet<usize>,
    /// Nets of the gates beside it, one for each gate.
    gates: BTreeMap<usize, usize>,
}

/// One gate: its area, a grid cell of it, and the edge length to each diffusion piece.
#[derive(Default, Clone)]
struct Gate {
    area: f64,
    at: usize,
    edges: BTreeMap<usize, f64>,
}

/// Resistance of one contact to diffusion, ohms: SkyWater SKY130 process documentation, as the technology file of open_pdks gives it.
/// Leaving it out makes wide cells 15 % too strong.
fn contact_resistance(channel: Channel) -> f64 {
    match channel {
        Channel::N => 185.0,
        Channel::P => 585.0,
    }
}

/// Measures gates and the diffusion pieces beside them.
fn measure(
    conductors: &Conductors,
    sides: &Labels,
    contact: &Bitmap,
) -> (Vec<Gate>, BTreeMap<usize, Side>) {
    let grid = &conductors.grid;
    let (gates, count) = grid.label(&conductors.gate, 0);
    let (contacts, _) = grid.label(contact, 0);
    let mut found = vec![Gate::default(); count];
    let mut measures: BTreeMap<usize, Side> = BTreeMap::new();
    for at in 0..grid.len() {
        let (width, height) = grid.size(at);
        if let Some(gate) = gates[at] {
            found[gate].area += width * height;
            found[gate].at = at;
        }
        let Some(piece) = sides[at] else { continue };
        let side = measures.entry(piece).or_default();
        side.net = conductors.diffusion[at].unwrap_or_default();
        side.area += width * height;
        side.contacts.extend(contacts[at]);
        for (dx, dy) in DIRECTIONS {
            let step = grid.step(at, dx, dy);
            match step.to.and_then(|to| gates[to].zip(conductors.poly[to])) {
                Some((gate, net)) => {
                    side.gate_edge += step.edge;
                    side.gates.insert(gate, net);
                    *found[gate].edges.entry(piece).or_insert(0.0) += step.edge;
                }
                None if step.to.and_then(|to| sides[to]).is_none() => side.outline += step.edge,
                None => {}
            }
        }
    }
    (found, measures)
}

/// Makes a transistor of each gate; diffusions are shared among their gates by edge length.
fn transistors(
    cell: &str,
    conductors: &Conductors,
    sides: &Labels,
    nwell: &Bitmap,
    contact: &Bitmap,
) -> Result<Vec<Transistor>, LibertyError> {
    let (gates, measures) = measure(conductors, sides, contact);
    let mut transistors = Vec::new();
    for gate in gates {
        let pieces: Vec<(&Side, f64)> = gate
            .edges
            .iter()
            .filter_map(|(piece, edge)| Some((measures.get(piece)?, *edge)))
            .collect();
        let ([(first, first_edge), (second, second_edge)], Some(net)) =
            (pieces.as_slice(), conductors.poly[gate.at])
        else {
            let reason = format!(
                "a gate in its layout has {} diffusions, not two",
                pieces.len()
            );
            return Err(LibertyError::cell(cell, reason));
        };
        let channel = if nwell[gate.at] {
            Channel::P
        } else {
            Channel::N
        };
        let terminal = |side: &Side, edge: f64| {
            let part = edge / side.gate_edge;
            // Fingers of one gate net carry their currents through the same contacts at the same time.
            let sharing = side.gates.values().filter(|other| **other == net).count() as f64;
            let resistance = match side.contacts.len() {
                0 => 0.0,
                contacts => contact_resistance(channel) / contacts as f64 * sharing,
            };
            Terminal {
                net: side.net,
                area: side.area * part,
                perimeter: side.outline * part + edge,
                resistance,
            }
        };
        let width = (first_edge + second_edge) / 2.0;
        let (stress_a, stress_b) = stress(&conductors.grid, gate.at, &conductors.gate, sides);
        transistors.push(Transistor {
            channel,
            gate: net,
            drain: terminal(first, *first_edge),
            source: terminal(second, *second_edge),
            width,
            length: gate.area / width,
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
