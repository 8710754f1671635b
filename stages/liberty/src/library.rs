//! The data of a Liberty library: ns, pF, nW, pJ.

use crate::logic::FlipFlop;

/// Values over input transition (rows) and load (columns).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    pub rows: Vec<f64>,
    pub columns: Vec<f64>,
    pub values: Vec<Vec<f64>>,
}

impl Table {
    pub fn new(rows: &[f64], columns: &[f64]) -> Self {
        Self {
            rows: rows.to_vec(),
            columns: columns.to_vec(),
            values: vec![vec![0.0; columns.len()]; rows.len()],
        }
    }

    pub fn set(&mut self, row: usize, column: usize, value: f64) {
        if let Some(cell) = self.values.get_mut(row).and_then(|row| row.get_mut(column)) {
            *cell = value;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sense {
    Positive,
    Negative,
    /// A clock edge: the output goes either way.
    None,
}

/// Delay, transition and energy of one direction of the output.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Edge {
    pub delay: Table,
    pub transition: Table,
    pub energy: Table,
}

/// From a pin to an output.
#[derive(Debug, Clone, PartialEq)]
pub struct Arc {
    pub related: String,
    pub sense: Sense,
    pub rise: Edge,
    pub fall: Edge,
}

/// Setup and hold of a data pin: rows are the clock's transition, columns the data's.
#[derive(Debug, Clone, PartialEq)]
pub struct Constraint {
    pub hold: bool,
    pub clock: String,
    pub rise: Table,
    pub fall: Table,
}

/// What a pin of a scan flip-flop is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanRole {
    Data,
    ScanIn,
    ScanEnable,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Input {
    pub name: String,
    pub rise_capacitance: f64,
    pub fall_capacitance: f64,
    pub is_clock: bool,
    pub constraints: Vec<Constraint>,
    /// Energy of a rising and a falling edge at which no output moves, by transition; for clock pins.
    pub energy: Option<(Table, Table)>,
    pub role: Option<ScanRole>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Output {
    pub name: String,
    pub function: String,
    pub max_capacitance: f64,
    pub arcs: Vec<Arc>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cell {
    pub name: String,
    /// µm².
    pub area: f64,
    /// State of the inputs and power in nW.
    pub leakage: Vec<(String, f64)>,
    pub flip_flop: Option<FlipFlop>,
    pub inputs: Vec<Input>,
    pub outputs: Vec<Output>,
}

impl Cell {
    pub fn arcs(&self) -> usize {
        self.outputs.iter().map(|output| output.arcs.len()).sum()
    }
}
