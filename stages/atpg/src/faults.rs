//! The stuck-at faults of a circuit, grouped into classes that no test can tell apart.

use std::collections::{BTreeMap, BTreeSet};

use nanoflow_netlist::{Direction, Netlist};

use crate::circuit::{Circuit, GateIndex, Signal, Source};

/// Where a fault is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Site {
    /// The output or input port that drives a net: all its loads see the fault.
    Stem(Signal),
    /// One input pin of an instance: (gate, input) for each gate that reads it.
    Pin(Reads),
    /// An output port alone, where the net feeds gates too.
    Port(Signal),
}

#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub site: Site,
    /// The signal whose fault-free value must differ from `stuck`.
    pub signal: Signal,
    pub stuck: bool,
    /// `instance/pin` or the port's name.
    pub name: String,
}

/// Input pins of gates.
type Reads = Vec<(GateIndex, usize)>;

#[derive(Debug)]
pub(crate) struct FaultList {
    pub faults: Vec<Fault>,
    /// For each class its members; the first one stands for all.
    pub classes: Vec<Vec<usize>>,
    /// Faults that break the shifting of every pattern, so that the chain's own test finds them: those of the clock.
    pub by_chain: Vec<usize>,
}

/// Nets that carry the clock.
pub(crate) fn clock_nets(circuit: &Circuit) -> BTreeSet<Signal> {
    let mut nets = BTreeSet::new();
    for flip_flop in &circuit.flip_flops {
        let mut at = flip_flop.clock.index();
        while nets.insert(at) {
            match circuit.driver[at].map(|gate| circuit.gates[gate].inputs.as_slice()) {
                Some([only]) => at = *only,
                _ => break,
            }
        }
    }
    nets
}

/// All stuck-at faults of pins and ports, and their classes.
pub(crate) fn list(circuit: &Circuit, netlist: &Netlist) -> FaultList {
    let mut builder = Builder {
        circuit,
        netlist,
        faults: Vec::new(),
        by_chain: Vec::new(),
        parent: Vec::new(),
    };
    builder.run();
    let mut classes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let chain: BTreeSet<usize> = builder.by_chain.iter().copied().collect();
    for fault in (0..builder.faults.len()).filter(|fault| !chain.contains(fault)) {
        let root = builder.root(fault);
        classes.entry(root).or_default().push(fault);
    }
    FaultList {
        faults: builder.faults,
        classes: classes.into_values().collect(),
        by_chain: builder.by_chain,
    }
}

struct Builder<'a> {
    circuit: &'a Circuit,
    netlist: &'a Netlist,
    faults: Vec<Fault>,
    by_chain: Vec<usize>,
    /// Union of equivalent faults.
    parent: Vec<usize>,
}

impl Builder<'_> {
    fn root(&mut self, fault: usize) -> usize {
        let mut at = fault;
        while self.parent[at] != at {
            self.parent[at] = self.parent[self.parent[at]];
            at = self.parent[at];
        }
        at
    }

    fn join(&mut self, left: usize, right: usize) {
        let (left, right) = (self.root(left), self.root(right));
        self.parent[left.max(right)] = left.min(right);
    }

    /// Adds both faults of a site; gives the number of the stuck-at-0, the stuck-at-1 follows.
    fn pair(&mut self, site: &Site, signal: Signal, name: &str, is_clock: bool) -> usize {
        let first = self.faults.len();
        for stuck in [false, true] {
            let number = self.faults.len();
            self.faults.push(Fault {
                site: site.clone(),
                signal,
                stuck,
                name: name.to_string(),
            });
            self.parent.push(number);
            if is_clock {
                self.by_chain.push(number);
            }
        }
        first
    }

    fn run(&mut self) {
        let clocks = clock_nets(self.circuit);
        let drivers = self.driver_names();
        let ports = self.output_ports();
        // For each instance: its pins' faults, to be compared with each other.
        let mut inputs: Vec<Vec<(usize, Reads)>> = vec![Vec::new(); self.netlist.cells.len()];
        let mut stems: BTreeMap<Signal, usize> = BTreeMap::new();
        let circuit = self.circuit;
        for (net, driver) in &drivers {
            let (net, is_clock) = (*net, clocks.contains(net));
            let stem = self.pair(&Site::Stem(net), net, driver, is_clock);
            stems.insert(net, stem);
            let loads = &circuit.loads[net];
            let seen = ports.get(&net);
            let alone = loads.len() + usize::from(seen.is_some()) == 1;
            for load in loads {
                let cell = &self.netlist.cells[load.cell];
                let name = format!("{}/{}", cell.name, cell.pins[load.pin].0);
                let branch = self.pair(&Site::Pin(load.gates.clone()), net, &name, is_clock);
                if alone {
                    self.join(stem, branch);
                    self.join(stem + 1, branch + 1);
                }
                inputs[load.cell].push((branch, load.gates.clone()));
            }
            if let Some(port) = seen {
                let branch = self.pair(&Site::Port(net), net, port, is_clock);
                if alone {
                    self.join(stem, branch);
                    self.join(stem + 1, branch + 1);
                }
            }
        }
        for (cell, pins) in inputs.iter().enumerate() {
            self.join_within(cell, pins, &stems);
        }
    }

    /// Name of the pin or port that drives each net with a driver.
    fn driver_names(&self) -> BTreeMap<Signal, String> {
        let mut names = BTreeMap::new();
        for &(source, signal) in &self.circuit.sources {
            if let Source::Port(net) = source {
                names.insert(signal, self.netlist.net_name(net).to_string());
            }
        }
        for (index, cell) in self.netlist.cells.iter().enumerate() {
            for &gate in &self.circuit.cell_gates[index] {
                let output = self.circuit.gates[gate].output;
                // The next bit of a flip-flop is inside the cell.
                if let Some((pin, _)) = cell.pins.iter().find(|(_, net)| net.index() == output) {
                    names.insert(output, format!("{}/{pin}", cell.name));
                }
            }
        }
        names
    }

    fn output_ports(&self) -> BTreeMap<Signal, String> {
        let ports = self
            .netlist
            .ports
            .iter()
            .filter(|port| port.direction == Direction::Output);
        ports
            .flat_map(|port| &port.bits)
            .map(|&net| (net.index(), self.netlist.net_name(net).to_string()))
            .collect()
    }

    /// Two faults of one cell are the same when they give all its outputs the same functions.
    fn join_within(
        &mut self,
        cell: usize,
        pins: &[(usize, Reads)],
        stems: &BTreeMap<Signal, usize>,
    ) {
        let circuit = self.circuit;
        let gates = &circuit.cell_gates[cell];
        let good: Vec<u64> = gates
            .iter()
            .map(|&gate| circuit.gates[gate].logic.table())
            .collect();
        let mut known: BTreeMap<Vec<u64>, usize> = BTreeMap::new();
        let mut found: Vec<(usize, Vec<u64>)> = Vec::new();
        for (place, &gate) in gates.iter().enumerate() {
            let Some(&stem) = stems.get(&circuit.gates[gate].output) else {
                continue;
            };
            for stuck in [false, true] {
                let mut tables = good.clone();
                tables[place] = circuit.gates[gate].logic.constant_table(stuck);
                found.push((stem + usize::from(stuck), tables));
            }
        }
        for (branch, reads) in pins {
            for stuck in [false, true] {
                let mut tables = good.clone();
                for &(gate, input) in reads {
                    if let Some(place) = gates.iter().position(|&other| other == gate) {
                        tables[place] = circuit.gates[gate].logic.table_with(input, stuck);
                    }
                }
                found.push((branch + usize::from(stuck), tables));
            }
        }
        for (fault, tables) in found {
            match known.get(&tables) {
                Some(&other) => self.join(fault, other),
                None => {
                    known.insert(tables, fault);
                }
            }
        }
    }
}
