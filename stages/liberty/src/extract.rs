//! From a cell's drawn shapes to its transistors, with the diffusions and wire capacitances that the netlists lack.

use std::collections::{BTreeMap, BTreeSet};

use nanoflow_layout::gds::{ElementKind, LayerSpec, Structure};
use nanoflow_layout::Rect;

use crate::circuit::{Channel, Circuit, Junction, Terminal, Transistor, GROUND, POWER};
use crate::grid::{Bitmap, Grid, Labels, DIRECTIONS};
use crate::resistance::{self, Sinks};
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
    let (names, pins) = names(structure, &grid, &locals, &metals, &mut pieces)?;
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
    let sinks = Sinks {
        pins,
        poly: (0..conductors.grid.len())
            .filter(|at| contact[*at] && conductors.poly[*at].is_some())
            .collect(),
        metal: shares(&conductors.grid, local_contact),
    };
    let (gates, sides) = measure(&conductors, &sides, nwell, contact);
    let wiring = wiring(&conductors, &sides, &sinks, &circuit);
    circuit.transistors = transistors(cell, &conductors, &gates, &sides, &wiring)?;
    circuit.junctions = junctions(&sides);
    wires::add(&conductors, &mut circuit);
    circuit.merge_fingers();
    Ok(circuit)
}

/// Names of pieces by the texts on them, and the grid cells where the texts on local interconnect stand.
fn names(
    structure: &Structure,
    grid: &Grid,
    locals: &Labels,
    metals: &Labels,
    pieces: &mut Pieces,
) -> Result<(BTreeMap<usize, String>, BTreeSet<usize>), LibertyError> {
    let mut names: BTreeMap<usize, String> = BTreeMap::new();
    let mut pins = BTreeSet::new();
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
        let place = grid.at(position.x, position.y);
        let Some((at, piece)) = place.and_then(|at| Some((at, labels[at]?))) else {
            continue;
        };
        if *layer == LOCAL_LABEL {
            pins.insert(at);
        }
        if let Some(other) = names
            .insert(pieces.root(piece), text.clone())
            .filter(|other| other != text)
        {
            let reason = format!("'{other}' and '{text}' are one piece of metal in its layout");
            return Err(LibertyError::cell(structure.name(), reason));
        }
    }
    Ok((names, pins))
}

/// Grid cells of contacts, each with its share of its contact's area.
fn shares(grid: &Grid, contact: &Bitmap) -> BTreeMap<usize, f64> {
    let (labels, count) = grid.label(contact, 0);
    let area = |at: usize| grid.size(at).0 * grid.size(at).1;
    let mut totals = vec![0.0; count];
    let cells: Vec<(usize, usize)> = labels
        .iter()
        .enumerate()
        .filter_map(|(at, label)| Some((at, (*label)?)))
        .collect();
    for (at, label) in &cells {
        totals[*label] += area(*at);
    }
    cells
        .iter()
        .map(|(at, label)| (*at, area(*at) / totals[*label]))
        .collect()
}

/// One diffusion piece beside gates: what it measures, and how much gate edge shares it.
#[derive(Clone)]
struct Side {
    net: usize,
    channel: Channel,
    area: f64,
    /// Outline without the edges to gates.
    outline: f64,
    gate_edge: f64,
    /// Numbers of its contacts, and their grid cells.
    contacts: BTreeSet<usize>,
    contact_cells: BTreeSet<usize>,
    /// Nets of the gates beside it, one for each gate.
    gates: BTreeMap<usize, usize>,
}

impl Side {
    fn new(net: usize, channel: Channel) -> Self {
        let (contacts, contact_cells, gates) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        Self {
            net,
            channel,
            area: 0.0,
            outline: 0.0,
            gate_edge: 0.0,
            contacts,
            contact_cells,
            gates,
        }
    }

    /// Gates of a net beside it: fingers that carry their currents through the same contacts at the same time.
    fn fingers(&self, gate_net: usize) -> usize {
        self.gates.values().filter(|net| **net == gate_net).count()
    }
}

/// Resistance of the wires to each diffusion piece for the fingers of one gate net.
type Wiring = BTreeMap<(usize, usize), f64>;

/// Asks [`resistance::spread`] for every net and every set of fingers on it that switch together.
fn wiring(
    conductors: &Conductors,
    sides: &BTreeMap<usize, Side>,
    sinks: &Sinks,
    circuit: &Circuit,
) -> Wiring {
    let mut together: BTreeMap<(usize, Channel, usize), Vec<resistance::Group>> = BTreeMap::new();
    for (piece, side) in sides.iter().filter(|(_, side)| !side.contacts.is_empty()) {
        let gate_nets: BTreeSet<usize> = side.gates.values().copied().collect();
        for gate_net in gate_nets {
            let group = resistance::Group {
                piece: *piece,
                fingers: side.fingers(gate_net),
                contacts: &side.contact_cells,
            };
            together
                .entry((side.net, side.channel, gate_net))
                .or_default()
                .push(group);
        }
    }
    let supplies = [circuit.net(POWER), circuit.net(GROUND)];
    let mut wiring = Wiring::new();
    for ((net, _, gate_net), groups) in &together {
        let is_supply = supplies.contains(&Some(*net));
        for (piece, ohms) in resistance::spread(conductors, *net, sinks, is_supply, groups) {
            wiring.insert((piece, *gate_net), ohms);
        }
    }
    wiring
}

/// One gate: its area, a grid cell of it, and the edge length to each diffusion piece.
#[derive(Default, Clone)]
struct Gate {
    area: f64,
    at: usize,
    stress: (f64, f64),
    edges: BTreeMap<usize, f64>,
}

/// Resistance of one contact to diffusion, ohms, as in the extracted netlists that SkyWater published with the library
/// (`cells/*/*.pex.spice` of skywater-pdk-libs-sky130_fd_sc_hd). Leaving it out makes wide cells 15 % too strong.
fn contact_resistance(channel: Channel) -> f64 {
    match channel {
        Channel::N => 182.0,
        Channel::P => 400.0,
    }
}

/// Measures gates and the diffusion pieces beside them.
fn measure(
    conductors: &Conductors,
    sides: &Labels,
    nwell: &Bitmap,
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
            found[gate].stress = stress(grid, at, &conductors.gate, sides);
        }
        let Some((piece, net)) = sides[at].zip(conductors.diffusion[at]) else {
            continue;
        };
        let channel = if nwell[at] { Channel::P } else { Channel::N };
        let side = measures
            .entry(piece)
            .or_insert_with(|| Side::new(net, channel));
        side.area += width * height;
        if let Some(contact) = contacts[at] {
            side.contacts.insert(contact);
            side.contact_cells.insert(at);
        }
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

/// Diffusions that no gate borders.
fn junctions(sides: &BTreeMap<usize, Side>) -> Vec<Junction> {
    let alone = sides.values().filter(|side| side.gates.is_empty());
    let junction = |side: &Side| Junction {
        net: side.net,
        channel: side.channel,
        area: side.area,
        perimeter: side.outline,
    };
    alone.map(junction).collect()
}

/// Makes a transistor of each gate; diffusions are shared among their gates by edge length.
fn transistors(
    cell: &str,
    conductors: &Conductors,
    gates: &[Gate],
    sides: &BTreeMap<usize, Side>,
    wiring: &Wiring,
) -> Result<Vec<Transistor>, LibertyError> {
    let mut transistors = Vec::new();
    for gate in gates {
        let pieces: Vec<(usize, &Side, f64)> = gate
            .edges
            .iter()
            .filter_map(|(piece, edge)| Some((*piece, sides.get(piece)?, *edge)))
            .collect();
        let ([first, second], Some(net)) = (pieces.as_slice(), conductors.poly[gate.at]) else {
            let reason = format!(
                "a gate in its layout has {} diffusions, not two",
                pieces.len()
            );
            return Err(LibertyError::cell(cell, reason));
        };
        let terminal = |(piece, side, edge): &(usize, &Side, f64)| {
            let part = edge / side.gate_edge;
            let contacts = match side.contacts.len() {
                0 => 0.0,
                count => contact_resistance(side.channel) / count as f64 * side.fingers(net) as f64,
            };
            let resistance = contacts + wiring.get(&(*piece, net)).copied().unwrap_or(0.0);
            Terminal {
                net: side.net,
                area: side.area * part,
                perimeter: side.outline * part + edge,
                resistance,
            }
        };
        let width = (first.2 + second.2) / 2.0;
        transistors.push(Transistor {
            channel: first.1.channel,
            gate: net,
            drain: terminal(first),
            source: terminal(second),
            width,
            length: gate.area / width,
            stress_a: gate.stress.0,
            stress_b: gate.stress.1,
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
