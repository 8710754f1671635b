//! The combinational logic of a full-scan netlist: between input ports and stored bits on one side, output ports and next
//! stored bits on the other.

use std::collections::BTreeMap;

use nanoflow_netlist::liberty::{Library, LibraryCell};
use nanoflow_netlist::{Direction, NetId, Netlist};
use nanoflow_sdk::StageError;

use crate::logic::{Logic, MAX_INPUTS};

/// Index of a net of the netlist, or of a stored or next bit that has no net, past those.
pub(crate) type Signal = usize;
/// Index in [`Circuit::gates`].
pub(crate) type GateIndex = usize;

/// One output of a cell, or the next bit of a flip-flop.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub output: Signal,
    /// Signals in the order of the logic's inputs.
    pub inputs: Vec<Signal>,
    /// The cell's pins that these are; two pins may be on one net.
    pub pins: Vec<String>,
    pub logic: Logic,
}

/// What a test sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Port(NetId),
    /// The stored bit of [`Circuit::flip_flops`] at this place.
    State(usize),
}

/// What a test sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sink {
    Port(NetId),
    Next(usize),
}

#[derive(Debug, Clone)]
pub(crate) struct FlipFlop {
    /// Index of the instance in the netlist.
    pub cell: usize,
    pub state: Signal,
    pub next: Signal,
    pub clock: NetId,
}

/// A pin of an instance that reads a net.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub cell: usize,
    /// Position in the instance's pins.
    pub pin: usize,
    /// The gates that read it, with the input's position.
    pub gates: Vec<(GateIndex, usize)>,
}

#[derive(Debug)]
pub(crate) struct Circuit {
    /// In topological order.
    pub gates: Vec<Gate>,
    pub sources: Vec<(Source, Signal)>,
    pub sinks: Vec<(Sink, Signal)>,
    pub flip_flops: Vec<FlipFlop>,
    pub signals: usize,
    /// For each signal the gates that read it, each once, ascending.
    pub readers: Vec<Vec<GateIndex>>,
    /// For each signal the gate that drives it.
    pub driver: Vec<Option<GateIndex>>,
    /// For each signal whether a sink sees it.
    pub observed: Vec<bool>,
    /// For each net the pins that read it.
    pub loads: Vec<Vec<Load>>,
    /// For each instance its gates.
    pub cell_gates: Vec<Vec<GateIndex>>,
}

fn wrong(message: String) -> StageError {
    StageError::design(message)
}

impl Circuit {
    /// Finds the logic of a netlist of library cells.
    ///
    /// # Errors
    /// Latches, asynchronous sets and resets, several clocks, loops through gates, cells without function, nets with no
    /// driver or with two: each named.
    pub(crate) fn new(netlist: &Netlist, library: &Library) -> Result<Self, StageError> {
        let mut builder = Builder {
            netlist,
            gates: Vec::new(),
            owner: Vec::new(),
            flip_flops: Vec::new(),
            signals: netlist.nets.len(),
            clocks: BTreeMap::new(),
        };
        for (index, cell) in netlist.cells.iter().enumerate() {
            let kind = library
                .cell(&cell.kind)
                .map_err(|error| StageError::input(format!("instance '{}': {error}", cell.name)))?;
            builder.cell(index, kind)?;
        }
        builder.finish()
    }
}

struct Builder<'a> {
    netlist: &'a Netlist,
    gates: Vec<Gate>,
    /// The instance of each gate.
    owner: Vec<usize>,
    flip_flops: Vec<FlipFlop>,
    signals: usize,
    /// Clock pins by instance.
    clocks: BTreeMap<usize, String>,
}

impl Builder<'_> {
    fn cell(&mut self, index: usize, kind: &LibraryCell) -> Result<(), StageError> {
        let cell = &self.netlist.cells[index];
        if kind.latch {
            return Err(wrong(format!(
                "instance '{}' is a latch ({})",
                cell.name, cell.kind
            )));
        }
        let state = match &kind.flip_flop {
            None => None,
            Some(flip_flop) => {
                if flip_flop.clear.is_some() || flip_flop.preset.is_some() {
                    let message = format!(
                        "flip-flop '{}' ({}) has an asynchronous set or reset",
                        cell.name, cell.kind
                    );
                    return Err(wrong(message).hint("use synchronous resets"));
                }
                let nanoflow_netlist::function::Function::Pin(clock) = &flip_flop.clocked_on else {
                    return Err(wrong(format!(
                        "flip-flop '{}' ({}) does not take the rising edge of a pin",
                        cell.name, cell.kind
                    )));
                };
                let clock_net = cell
                    .pin(clock)
                    .ok_or_else(|| wrong(format!("pin '{clock}' of '{}' is open", cell.name)))?;
                let (state, next) = (self.signals, self.signals + 1);
                self.signals += 2;
                self.gate(index, &flip_flop.next_state, next, None)?;
                self.flip_flops.push(FlipFlop {
                    cell: index,
                    state,
                    next,
                    clock: clock_net,
                });
                self.clocks.insert(index, clock.clone());
                Some((flip_flop, state))
            }
        };
        for pin in kind.outputs() {
            let Some(net) = cell.pin(&pin.name) else {
                continue;
            };
            let Some(function) = &pin.function else {
                return Err(StageError::input(format!(
                    "pin '{}' of library cell '{}' has no function",
                    pin.name, cell.kind
                )));
            };
            let state = state.map(|(flip_flop, signal)| {
                (
                    flip_flop.state.as_str(),
                    flip_flop.inverse.as_deref(),
                    signal,
                )
            });
            self.gate(index, function, net.index(), state)?;
        }
        Ok(())
    }

    /// Adds a gate; `state` are the names of a stored bit and its inverse in the function, and its signal.
    fn gate(
        &mut self,
        index: usize,
        function: &nanoflow_netlist::function::Function,
        output: Signal,
        state: Option<(&str, Option<&str>, Signal)>,
    ) -> Result<(), StageError> {
        let cell = &self.netlist.cells[index];
        let inverted = state.and_then(|(_, inverse, _)| inverse);
        let function = without_inverse(function, inverted, state.map_or("", |(name, _, _)| name));
        let pins: Vec<String> = function.pins().iter().map(ToString::to_string).collect();
        let mut inputs = Vec::with_capacity(pins.len());
        for pin in &pins {
            let signal = match state {
                Some((name, _, signal)) if name == pin => signal,
                _ => cell
                    .pin(pin)
                    .ok_or_else(|| {
                        wrong(format!(
                            "pin '{pin}' of instance '{}' ({}) is open",
                            cell.name, cell.kind
                        ))
                    })?
                    .index(),
            };
            inputs.push(signal);
        }
        let place = |name: &str| pins.iter().position(|pin| pin == name);
        let logic = Logic::compile(&function, pins.len(), &place).ok_or_else(|| {
            StageError::input(format!(
                "function of library cell '{}' is too large: {} inputs, {MAX_INPUTS} at most",
                cell.kind,
                pins.len()
            ))
        })?;
        self.gates.push(Gate {
            output,
            inputs,
            pins,
            logic,
        });
        self.owner.push(index);
        Ok(())
    }

    fn finish(mut self) -> Result<Circuit, StageError> {
        self.one_clock()?;
        let sources = self.sources();
        let sinks = self.sinks();
        self.drivers(&sources)?;
        self.sort(&sources)?;
        let mut circuit = Circuit {
            sources,
            sinks,
            signals: self.signals,
            readers: vec![Vec::new(); self.signals],
            driver: vec![None; self.signals],
            observed: vec![false; self.signals],
            loads: vec![Vec::new(); self.netlist.nets.len()],
            cell_gates: vec![Vec::new(); self.netlist.cells.len()],
            gates: Vec::new(),
            flip_flops: Vec::new(),
        };
        for (index, gate) in self.gates.iter().enumerate() {
            for &input in &gate.inputs {
                if circuit.readers[input].last() != Some(&index) {
                    circuit.readers[input].push(index);
                }
            }
            circuit.driver[gate.output] = Some(index);
            circuit.cell_gates[self.owner[index]].push(index);
        }
        for &(_, signal) in &circuit.sinks {
            circuit.observed[signal] = true;
        }
        self.loads(&mut circuit);
        circuit.gates = self.gates;
        circuit.flip_flops = self.flip_flops;
        Ok(circuit)
    }

    fn one_clock(&self) -> Result<(), StageError> {
        let Some(first) = self.flip_flops.first() else {
            return Ok(());
        };
        // A clock tree is many nets; all must come from one port through buffers.
        let root = |net: NetId| {
            let mut at = net.index();
            for _ in 0..self.gates.len() {
                match self
                    .gates
                    .iter()
                    .find(|gate| gate.output == at && gate.inputs.len() == 1)
                {
                    Some(gate) => at = gate.inputs[0],
                    None => break,
                }
            }
            at
        };
        let mut known: BTreeMap<NetId, Signal> = BTreeMap::new();
        let wanted = root(first.clock);
        for flip_flop in &self.flip_flops {
            let found = *known
                .entry(flip_flop.clock)
                .or_insert_with(|| root(flip_flop.clock));
            if found != wanted {
                let names = &self.netlist.nets;
                return Err(wrong(format!(
                    "two clocks: '{}' and '{}' (flip-flop '{}')",
                    names.get(wanted).map_or("?", |net| net.name.as_str()),
                    names.get(found).map_or("?", |net| net.name.as_str()),
                    self.netlist.cells[flip_flop.cell].name
                )));
            }
        }
        Ok(())
    }

    fn sources(&self) -> Vec<(Source, Signal)> {
        let ports = self
            .netlist
            .ports
            .iter()
            .filter(|port| port.direction == Direction::Input);
        let ports = ports
            .flat_map(|port| &port.bits)
            .map(|&net| (Source::Port(net), net.index()));
        let states = self
            .flip_flops
            .iter()
            .enumerate()
            .map(|(place, bit)| (Source::State(place), bit.state));
        ports.chain(states).collect()
    }

    fn sinks(&self) -> Vec<(Sink, Signal)> {
        let ports = self
            .netlist
            .ports
            .iter()
            .filter(|port| port.direction == Direction::Output);
        let ports = ports
            .flat_map(|port| &port.bits)
            .map(|&net| (Sink::Port(net), net.index()));
        let next = self
            .flip_flops
            .iter()
            .enumerate()
            .map(|(place, bit)| (Sink::Next(place), bit.next));
        ports.chain(next).collect()
    }

    /// Constants become gates without inputs; every signal that is read has one driver.
    fn drivers(&mut self, sources: &[(Source, Signal)]) -> Result<(), StageError> {
        let mut driven = vec![false; self.signals];
        let name = |signal: Signal| {
            self.netlist
                .nets
                .get(signal)
                .map_or("a stored bit", |net| net.name.as_str())
        };
        let outputs = self.gates.iter().map(|gate| gate.output);
        for signal in sources.iter().map(|&(_, signal)| signal).chain(outputs) {
            if std::mem::replace(&mut driven[signal], true) {
                return Err(wrong(format!("net '{}' has two drivers", name(signal))));
            }
        }
        let mut constants = Vec::new();
        for (index, net) in self.netlist.nets.iter().enumerate() {
            if let Some(value) = net.constant {
                let function = nanoflow_netlist::function::Function::Constant(value);
                if let Some(logic) = Logic::compile(&function, 0, &|_| None) {
                    driven[index] = true;
                    constants.push(Gate {
                        output: index,
                        inputs: Vec::new(),
                        pins: Vec::new(),
                        logic,
                    });
                }
            }
        }
        for (index, gate) in self.gates.iter().enumerate() {
            if let Some(&open) = gate.inputs.iter().find(|&&input| !driven[input]) {
                let cell = &self.netlist.cells[self.owner[index]].name;
                return Err(wrong(format!(
                    "net '{}' at instance '{cell}' has no driver",
                    name(open)
                )));
            }
        }
        for gate in constants {
            self.gates.push(gate);
            // No instance: the constant's gate is never a fault's site.
            self.owner.push(usize::MAX);
        }
        Ok(())
    }

    /// Puts the gates in topological order.
    fn sort(&mut self, sources: &[(Source, Signal)]) -> Result<(), StageError> {
        let mut readers: Vec<Vec<usize>> = vec![Vec::new(); self.signals];
        let mut missing: Vec<usize> = Vec::with_capacity(self.gates.len());
        for (index, gate) in self.gates.iter().enumerate() {
            missing.push(gate.inputs.len());
            gate.inputs
                .iter()
                .for_each(|&input| readers[input].push(index));
        }
        let mut ready: Vec<Signal> = sources.iter().map(|&(_, signal)| signal).collect();
        let mut order: Vec<usize> = (0..self.gates.len())
            .filter(|&index| missing[index] == 0)
            .collect();
        ready.extend(order.iter().map(|&index| self.gates[index].output));
        let mut at = 0;
        while at < ready.len() {
            for &reader in &readers[ready[at]] {
                missing[reader] -= 1;
                if missing[reader] == 0 {
                    order.push(reader);
                    ready.push(self.gates[reader].output);
                }
            }
            at += 1;
        }
        if let Some(stuck) = (0..self.gates.len()).find(|&index| missing[index] > 0) {
            let cell = &self.netlist.cells[self.owner[stuck]];
            return Err(wrong(format!(
                "a loop of gates goes through instance '{}' ({}) or comes before it",
                cell.name, cell.kind
            )));
        }
        self.gates = order
            .iter()
            .map(|&index| self.gates[index].clone())
            .collect();
        self.owner = order.iter().map(|&index| self.owner[index]).collect();
        Ok(())
    }

    fn loads(&self, circuit: &mut Circuit) {
        // The gates of the constants have no instance, so they are not in `cell_gates`.
        for (index, cell) in self.netlist.cells.iter().enumerate() {
            for (pin, (name, net)) in cell.pins.iter().enumerate() {
                let is_clock = self.clocks.get(&index) == Some(name);
                let gates: Vec<(GateIndex, usize)> = circuit.cell_gates[index]
                    .iter()
                    .flat_map(|&gate| {
                        let pins = self.gates[gate].pins.iter().enumerate();
                        pins.filter(|(_, other)| *other == name)
                            .map(move |(place, _)| (gate, place))
                    })
                    .collect();
                if is_clock || !gates.is_empty() {
                    circuit.loads[net.index()].push(Load {
                        cell: index,
                        pin,
                        gates,
                    });
                }
            }
        }
    }
}

/// The function with the inverse of a stored bit written as its negation.
fn without_inverse(
    function: &nanoflow_netlist::function::Function,
    inverse: Option<&str>,
    state: &str,
) -> nanoflow_netlist::function::Function {
    use nanoflow_netlist::function::Function;
    let again = |inner: &Function| without_inverse(inner, inverse, state);
    match function {
        Function::Pin(name) if Some(name.as_str()) == inverse => {
            Function::Not(Box::new(Function::Pin(state.to_string())))
        }
        Function::Pin(_) | Function::Constant(_) => function.clone(),
        Function::Not(inner) => Function::Not(Box::new(again(inner))),
        Function::And(terms) => Function::And(terms.iter().map(again).collect()),
        Function::Or(terms) => Function::Or(terms.iter().map(again).collect()),
        Function::Xor(left, right) => Function::Xor(Box::new(again(left)), Box::new(again(right))),
    }
}
