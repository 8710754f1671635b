//! Resistance of a cell's local interconnect between its transistors and where a net is used.
//!
//! Local interconnect has 11 ohms a square, and the output of a wide cell is a comb of it with the pin at one end: in `buf_16` that adds as much
//! as the transistors have. Every grid cell of a net's local interconnect is a node; what fingers that switch together inject is
//! carried to the net's sinks, and the voltage that this leaves at a finger's contacts, for one unit of current in each finger, is what the finger
//! sees in series. A pin takes all current at its labels; inside a cell each contact to a gate takes an equal part.
//!
//! A supply is fed at both ends of the cell's rail of local interconnect, as neighbours in a row feed each other, and the rail of metal
//! above it is not counted. The published library was characterised so: with the metal, cells of sixteen fingers come out 20 % faster
//! than it says, in both directions, in delay as in transition, and those of four fingers as it says. It is on the safe side.

use std::collections::{BTreeMap, BTreeSet};

use crate::extract::Conductors;

/// Ohms a square of local interconnect of minimum width, as in the extracted netlists that SkyWater published with the library
/// (`cells/*/*.pex.spice` of skywater-pdk-libs-sky130_fd_sc_hd): 12.2 ohms on wires 17 nm wider than drawn. And ohms of one contact
/// from it to the first metal.
const LOCAL_SHEET: f64 = 11.1;
const LOCAL_CONTACT: f64 = 9.3;
/// What a sink that is not a contact counts as: next to nothing.
const SINK: f64 = 1e-3;

/// Where current may leave a net: grid cells of pins' labels, of contacts to poly and of contacts to metal.
pub struct Sinks {
    pub pins: BTreeSet<usize>,
    pub poly: BTreeSet<usize>,
    /// Grid cells of contacts to metal and each one's share of its contact.
    pub metal: BTreeMap<usize, f64>,
}

/// The resistor network of one connected piece of a net's local interconnect.
struct Network {
    node_of: BTreeMap<usize, usize>,
    neighbours: Vec<Vec<(usize, f64)>>,
    /// Conductance to the sinks of a pin, a supply or a wire of metal.
    ground: Vec<f64>,
    /// Contacts to gates that share the current of a piece inside the cell.
    inner: Vec<usize>,
}

/// The connected pieces of a net's local interconnect, as grid cells. Pieces may be joined by poly or metal only.
fn pieces(conductors: &Conductors, net: usize) -> Vec<Vec<usize>> {
    let bitmap: Vec<bool> = conductors.local.iter().map(|at| *at == Some(net)).collect();
    let (labels, count) = conductors.grid.label(&bitmap, 0);
    let mut pieces = vec![Vec::new(); count];
    for (at, label) in labels.iter().enumerate() {
        if let Some(label) = label {
            pieces[*label].push(at);
        }
    }
    pieces
}

/// Both ends of a supply rail: a piece as wide as the metal above it. Empty for any other piece.
fn rail_ends(conductors: &Conductors, cells: &[usize]) -> BTreeSet<usize> {
    let column = |at: &usize| at % conductors.grid.columns();
    let net = cells.first().and_then(|at| conductors.local[*at]);
    let metal: Vec<usize> = (0..conductors.metal.len())
        .filter(|at| net.is_some() && conductors.metal[*at] == net)
        .collect();
    let span = |cells: &[usize]| {
        let columns = cells.iter().map(column);
        columns.clone().min().zip(columns.max())
    };
    match (span(cells), span(&metal)) {
        (Some((first, last)), metal) if metal == Some((first, last)) => cells
            .iter()
            .filter(|at| [first, last].contains(&column(at)))
            .copied()
            .collect(),
        _ => BTreeSet::new(),
    }
}

impl Network {
    /// `None` for a piece that has no sink: nothing is known of its currents.
    fn new(
        conductors: &Conductors,
        cells: &[usize],
        sinks: &Sinks,
        is_supply: bool,
    ) -> Option<Self> {
        let node_of: BTreeMap<usize, usize> = cells
            .iter()
            .enumerate()
            .map(|(node, at)| (*at, node))
            .collect();
        let mut neighbours = vec![Vec::new(); cells.len()];
        for (node, at) in cells.iter().enumerate() {
            for (dx, dy) in [(1, 0), (0, 1)] {
                let step = conductors.grid.step(*at, dx, dy);
                let Some((to, other)) = step.to.and_then(|to| Some((to, *node_of.get(&to)?)))
                else {
                    continue;
                };
                let (here, there) = (conductors.grid.size(*at), conductors.grid.size(to));
                let distance = if dx == 1 {
                    (here.0 + there.0) / 2.0
                } else {
                    (here.1 + there.1) / 2.0
                };
                let conductance = step.edge / distance / LOCAL_SHEET;
                neighbours[node].push((other, conductance));
                neighbours[other].push((node, conductance));
            }
        }
        let has_pin = !is_supply && cells.iter().any(|at| sinks.pins.contains(at));
        let gates: Vec<usize> = cells
            .iter()
            .enumerate()
            .filter(|(_, at)| sinks.poly.contains(at))
            .map(|(node, _)| node)
            .collect();
        let inner = if is_supply || has_pin {
            Vec::new()
        } else {
            gates
        };
        let ends = if is_supply {
            rail_ends(conductors, cells)
        } else {
            BTreeSet::new()
        };
        let is_sink = |at: &usize| match has_pin {
            true => sinks.pins.contains(at),
            false => ends.contains(at),
        };
        let ground: Vec<f64> = cells
            .iter()
            .map(|at| match has_pin || !ends.is_empty() {
                true if is_sink(at) => 1.0 / SINK,
                false if inner.is_empty() => {
                    let share = sinks.metal.get(at);
                    share.map_or(0.0, |share| share / LOCAL_CONTACT)
                }
                _ => 0.0,
            })
            .collect();
        let has_sink = !inner.is_empty() || ground.iter().any(|conductance| *conductance > 0.0);
        has_sink.then_some(Self {
            node_of,
            neighbours,
            ground,
            inner,
        })
    }

    /// Voltages for the injected currents: conjugate gradients with the diagonal as preconditioner.
    fn solve(&self, injected: &[f64]) -> Vec<f64> {
        let diagonal: Vec<f64> = self
            .neighbours
            .iter()
            .zip(&self.ground)
            .map(|(around, ground)| {
                around
                    .iter()
                    .map(|(_, conductance)| conductance)
                    .sum::<f64>()
                    + ground
            })
            .collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        // Where currents only balance, a little leakage keeps the system regular.
        let scale = |vector: &[f64]| -> Vec<f64> {
            vector
                .iter()
                .zip(&diagonal)
                .map(|(v, d)| v / (d + 1e-9))
                .collect()
        };
        let mut voltages = vec![0.0; injected.len()];
        let mut rest = injected.to_vec();
        let mut direction = scale(&rest);
        let mut energy = dot(&rest, &direction);
        let target = energy * 1e-14;
        for _ in 0..20 * injected.len() + 20 {
            if energy <= target {
                break;
            }
            let flow: Vec<f64> = (0..direction.len())
                .map(|node| {
                    let out: f64 = self.neighbours[node]
                        .iter()
                        .map(|(other, g)| g * direction[*other])
                        .sum();
                    (diagonal[node] + 1e-9) * direction[node] - out
                })
                .collect();
            let step = energy / dot(&direction, &flow);
            for node in 0..voltages.len() {
                voltages[node] += step * direction[node];
                rest[node] -= step * flow[node];
            }
            let next = scale(&rest);
            let new_energy = dot(&rest, &next);
            direction = next
                .iter()
                .zip(&direction)
                .map(|(n, d)| n + d * new_energy / energy)
                .collect();
            energy = new_energy;
        }
        voltages
    }
}

/// Fingers of one gate net at one diffusion piece of a net: how many, and the grid cells of the piece's contacts.
pub struct Group<'a> {
    pub piece: usize,
    pub fingers: usize,
    pub contacts: &'a BTreeSet<usize>,
}

/// Series resistance for a finger at each diffusion, when one unit of current flows in each finger of all `groups` of a net.
pub fn spread(
    conductors: &Conductors,
    net: usize,
    sinks: &Sinks,
    is_supply: bool,
    groups: &[Group],
) -> BTreeMap<usize, f64> {
    let mut found = BTreeMap::new();
    for cells in pieces(conductors, net) {
        let Some(network) = Network::new(conductors, &cells, sinks, is_supply) else {
            continue;
        };
        let shares: Vec<Vec<(usize, f64)>> = groups
            .iter()
            .map(|group| shares(conductors, &network, group))
            .collect();
        let mut injected = vec![0.0; cells.len()];
        for (group, shares) in groups.iter().zip(&shares) {
            for (node, share) in shares {
                injected[*node] += share * group.fingers as f64;
            }
        }
        let part = injected.iter().sum::<f64>() / network.inner.len().max(1) as f64;
        for node in &network.inner {
            injected[*node] -= part;
        }
        let voltages = network.solve(&injected);
        let base = network
            .inner
            .iter()
            .map(|node| voltages[*node])
            .sum::<f64>()
            / network.inner.len().max(1) as f64;
        for (group, shares) in groups.iter().zip(&shares) {
            let drop: f64 = shares
                .iter()
                .map(|(node, share)| (voltages[*node] - base) * share)
                .sum();
            *found.entry(group.piece).or_insert(0.0) += drop.max(0.0);
        }
    }
    found
}

/// The nodes of a group's contacts in one piece, each with its share of the area of all the group's contacts.
fn shares(conductors: &Conductors, network: &Network, group: &Group) -> Vec<(usize, f64)> {
    let area = |at: &usize| conductors.grid.size(*at).0 * conductors.grid.size(*at).1;
    let total: f64 = group.contacts.iter().map(area).sum();
    group
        .contacts
        .iter()
        .filter_map(|at| Some((*network.node_of.get(at)?, area(at) / total)))
        .collect()
}

#[cfg(test)]
mod tests {
    use nanoflow_layout::Rect;

    use super::*;
    use crate::grid::Grid;

    fn strip() -> Conductors {
        let squares: Vec<Rect> = (0..11)
            .map(|x| Rect::new(x * 1000, 0, (x + 1) * 1000, 1000))
            .collect();
        let grid = Grid::new(squares.iter());
        let none = vec![None; 11];
        Conductors {
            local: vec![Some(0); 11],
            diffusion: none.clone(),
            poly: none.clone(),
            metal: none,
            gate: vec![false; 11],
            grid,
        }
    }

    /// A strip 1 µm wide and 11 µm long: contacts in the first and the sixth square, pin in the last.
    #[test]
    fn a_strip_has_the_resistance_of_its_squares() {
        let conductors = strip();
        let sinks = Sinks {
            pins: [10].into(),
            poly: BTreeSet::new(),
            metal: BTreeMap::new(),
        };
        let (far, near) = ([0].into(), [5].into());
        let groups = [
            Group {
                piece: 7,
                fingers: 1,
                contacts: &far,
            },
            Group {
                piece: 8,
                fingers: 2,
                contacts: &near,
            },
        ];
        let found = spread(&conductors, 0, &sinks, false, &groups);
        // Three units flow through the five squares behind the nearer contact, one through the five before it.
        let expected = [(7, (15.0 + 5.0) * LOCAL_SHEET), (8, 15.0 * LOCAL_SHEET)];
        for (piece, ohms) in expected {
            let off = found[&piece] - ohms - 3.0 * SINK;
            assert!(
                off.abs() < 1e-3,
                "{piece}: {} instead of {ohms}",
                found[&piece]
            );
        }
        // Without a sink nothing is known, and nothing is added.
        let sinks = Sinks {
            pins: BTreeSet::new(),
            poly: BTreeSet::new(),
            metal: BTreeMap::new(),
        };
        assert!(spread(&conductors, 0, &sinks, false, &groups).is_empty());
    }

    /// The same strip as a rail of a supply: fed at both ends, whatever contacts to metal it has.
    #[test]
    fn a_supply_rail_is_fed_at_both_ends() {
        let mut conductors = strip();
        conductors.metal = vec![Some(0); 11];
        let sinks = Sinks {
            pins: BTreeSet::new(),
            poly: BTreeSet::new(),
            metal: [(3, 1.0)].into(),
        };
        let finger = [2].into();
        let groups = [Group {
            piece: 1,
            fingers: 1,
            contacts: &finger,
        }];
        let ohms = spread(&conductors, 0, &sinks, true, &groups)[&1];
        // Two squares to one end beside eight to the other.
        assert!((ohms - 1.6 * LOCAL_SHEET).abs() < 1e-2, "{ohms}");
        // A piece shorter than the metal is no rail: it is fed by its contact, one square away.
        conductors.local[10] = None;
        let ohms = spread(&conductors, 0, &sinks, true, &groups)[&1];
        assert!((ohms - LOCAL_SHEET - LOCAL_CONTACT).abs() < 1e-2, "{ohms}");
    }

    /// A net of two pieces, as poly joins them: the one without a sink must not float to a huge voltage.
    #[test]
    fn a_piece_without_a_sink_adds_nothing() {
        let mut conductors = strip();
        conductors.local[5] = None;
        let sinks = Sinks {
            pins: [10].into(),
            poly: BTreeSet::new(),
            metal: BTreeMap::new(),
        };
        let (lost, found) = ([0].into(), [6].into());
        let groups = [
            Group {
                piece: 1,
                fingers: 1,
                contacts: &lost,
            },
            Group {
                piece: 2,
                fingers: 1,
                contacts: &found,
            },
        ];
        let ohms = spread(&conductors, 0, &sinks, false, &groups);
        assert_eq!(ohms[&1], 0.0);
        assert!((ohms[&2] - 4.0 * LOCAL_SHEET).abs() < 1e-2, "{}", ohms[&2]);
    }

    /// A driver in the first square and gates in the fifth and the last: half of the current goes on beyond the first gate.
    #[test]
    fn gates_inside_a_cell_share_the_current() {
        let conductors = strip();
        let sinks = Sinks {
            pins: BTreeSet::new(),
            poly: [4, 10].into(),
            metal: BTreeMap::new(),
        };
        let driver = [0].into();
        let groups = [Group {
            piece: 3,
            fingers: 1,
            contacts: &driver,
        }];
        let ohms = spread(&conductors, 0, &sinks, false, &groups)[&3];
        // To the nearer gate 4 squares, to the farther 4 + 6/2; the mean of both.
        assert!((ohms - 5.5 * LOCAL_SHEET).abs() < 1e-2, "{ohms}");
    }
}
