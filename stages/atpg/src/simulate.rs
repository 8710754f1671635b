//! Fault simulation: 64 patterns at a time, one fault at a time, only where values differ.

use crate::circuit::{Circuit, GateIndex, Signal};
use crate::faults::{Fault, Site};

pub(crate) struct Simulator<'a> {
    circuit: &'a Circuit,
    /// Fault-free values of all signals.
    good: Vec<u64>,
    /// Values with the fault; valid where `changed` is set.
    bad: Vec<u64>,
    changed: Vec<bool>,
    touched: Vec<Signal>,
    /// One bit a gate: to be evaluated.
    pending: Vec<u64>,
}

impl<'a> Simulator<'a> {
    pub(crate) fn new(circuit: &'a Circuit) -> Self {
        Self {
            circuit,
            good: vec![0; circuit.signals],
            bad: vec![0; circuit.signals],
            changed: vec![false; circuit.signals],
            touched: Vec::new(),
            pending: vec![0; circuit.gates.len().div_ceil(64)],
        }
    }

    /// Sets the sources (in the order of [`Circuit::sources`]) and evaluates the fault-free circuit.
    pub(crate) fn load(&mut self, sources: &[u64]) {
        for (&(_, signal), &word) in self.circuit.sources.iter().zip(sources) {
            self.good[signal] = word;
        }
        for gate in &self.circuit.gates {
            let value = gate.logic.evaluate(|input| self.good[gate.inputs[input]]);
            self.good[gate.output] = value;
        }
    }

    pub(crate) fn good(&self, signal: Signal) -> u64 {
        self.good[signal]
    }

    /// The patterns that show the fault at a sink. With `any` it stops at the first sink that does.
    pub(crate) fn detects(&mut self, fault: &Fault, any: bool) -> u64 {
        let stuck = if fault.stuck { u64::MAX } else { 0 };
        if self.good[fault.signal] == stuck {
            return 0;
        }
        match &fault.site {
            Site::Port(signal) => return self.good[*signal] ^ stuck,
            Site::Stem(signal) => self.set(*signal, stuck),
            Site::Pin(reads) => self.set_pin(reads, stuck),
        }
        let found = self.propagate(any);
        self.clear();
        found
    }

    fn set(&mut self, signal: Signal, value: u64) {
        self.bad[signal] = value;
        if !std::mem::replace(&mut self.changed[signal], true) {
            self.touched.push(signal);
        }
        for &reader in &self.circuit.readers[signal] {
            self.pending[reader / 64] |= 1 << (reader % 64);
        }
    }

    /// The gates of one cell with one of its pins stuck.
    fn set_pin(&mut self, reads: &[(GateIndex, usize)], stuck: u64) {
        for &(index, held) in reads {
            let gate = &self.circuit.gates[index];
            let value = gate.logic.evaluate(|input| {
                // The pin's net may be on several inputs of the gate only through several pins.
                if input == held {
                    stuck
                } else {
                    self.good[gate.inputs[input]]
                }
            });
            if value != self.good[gate.output] {
                self.set(gate.output, value);
            }
        }
    }

    fn propagate(&mut self, any: bool) -> u64 {
        let mut found = 0;
        for &signal in &self.touched {
            if self.circuit.observed[signal] {
                found |= self.bad[signal] ^ self.good[signal];
            }
        }
        let mut word = 0;
        while word < self.pending.len() {
            if any && found != 0 {
                return found;
            }
            let bits = self.pending[word];
            if bits == 0 {
                word += 1;
                continue;
            }
            // Readers come later in topological order, so nothing before this bit is set any more.
            let index = word * 64 + bits.trailing_zeros() as usize;
            self.pending[word] &= bits - 1;
            let gate = &self.circuit.gates[index];
            let value = gate.logic.evaluate(|input| {
                let signal = gate.inputs[input];
                if self.changed[signal] {
                    self.bad[signal]
                } else {
                    self.good[signal]
                }
            });
            let output = gate.output;
            let difference = value ^ self.good[output];
            if difference != 0 {
                self.set(output, value);
                if self.circuit.observed[output] {
                    found |= difference;
                }
            }
        }
        found
    }

    fn clear(&mut self) {
        for signal in self.touched.drain(..) {
            self.changed[signal] = false;
        }
        self.pending.fill(0);
    }
}
