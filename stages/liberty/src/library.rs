//! The data of a Liberty library: ns, pF, nW, pJ.

use crate::logic::FlipFlop;
use crate::measure::interpolate;

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

    /// Mean with a table of the same axes.
    pub fn mean(&self, other: &Self) -> Self {
        let mut mean = self.clone();
        let values = mean.values.iter_mut().flatten();
        for (value, other) in values.zip(other.values.iter().flatten()) {
            *value = (*value + other) / 2.0;
        }
        mean
    }

    pub fn add(&mut self, row: usize, column: usize, value: f64) {
        if let Some(cell) = self.values.get_mut(row).and_then(|row| row.get_mut(column)) {
            *cell += value;
        }
    }
}

/// Energy of a pin's rising and falling edge by its transition, without what an output takes; one column.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PinEnergy {
    pub rise: Table,
    pub fall: Table,
}

impl PinEnergy {
    pub fn new(slews: &[f64]) -> Self {
        Self {
            rise: Table::new(slews, &[0.0]),
            fall: Table::new(slews, &[0.0]),
        }
    }

    /// As a timing tool reads it; of both edges the mean where `rising` is `None`.
    pub fn either(&self, rising: Option<bool>, slew: f64) -> f64 {
        match rising {
            Some(rising) => self.read(rising, slew),
            None => (self.read(true, slew) + self.read(false, slew)) / 2.0,
        }
    }

    pub fn read(&self, rising: bool, slew: f64) -> f64 {
        let table = if rising { &self.rise } else { &self.fall };
        let values: Vec<f64> = table.values.iter().flatten().copied().collect();
        interpolate(&table.rows, &values, slew)
    }

    /// The same with a row for each of `slews`.
    pub fn at(&self, slews: &[f64]) -> Self {
        let mut other = Self::new(slews);
        for (row, slew) in slews.iter().enumerate() {
            other.rise.set(row, 0, self.read(true, *slew));
            other.fall.set(row, 0, self.read(false, *slew));
        }
        other
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
    /// `None` where an output moves with every edge.
    pub energy: Option<PinEnergy>,
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

/// What an output's edges take when one input moves it, pJ.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputEnergy {
    pub related: String,
    /// Directions of the input that make the output rise and fall; `None` where both do.
    pub input_rises: [Option<bool>; 2],
    pub rise: Table,
    pub fall: Table,
}

impl Output {
    /// One for each input: a timing tool adds up all it finds, so where an input moves the output both ways their mean counts.
    pub fn energies(&self) -> Vec<OutputEnergy> {
        let mut found: Vec<OutputEnergy> = Vec::new();
        for arc in &self.arcs {
            let rises = match arc.sense {
                Sense::Positive => [true, false],
                Sense::Negative => [false, true],
                Sense::None => [true, true],
            };
            match found.iter_mut().find(|one| one.related == arc.related) {
                Some(one) => {
                    // Two senses at most.
                    one.rise = one.rise.mean(&arc.rise.energy);
                    one.fall = one.fall.mean(&arc.fall.energy);
                    one.input_rises = [None, None];
                }
                None => found.push(OutputEnergy {
                    related: arc.related.clone(),
                    input_rises: rises.map(Some),
                    rise: arc.rise.energy.clone(),
                    fall: arc.fall.energy.clone(),
                }),
            }
        }
        found
    }
}

impl Cell {
    pub fn arcs(&self) -> usize {
        self.outputs.iter().map(|output| output.arcs.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arc(related: &str, sense: Sense, energy: f64) -> Arc {
        let mut edge = Edge {
            energy: Table::new(&[0.1], &[0.01]),
            ..Edge::default()
        };
        edge.energy.set(0, 0, energy);
        Arc {
            related: related.into(),
            sense,
            rise: edge.clone(),
            fall: edge,
        }
    }

    #[test]
    fn an_input_that_moves_an_output_both_ways_counts_once() {
        let output = Output {
            arcs: vec![
                arc("A", Sense::Negative, 1.0),
                arc("A", Sense::Positive, 2.0),
                arc("B", Sense::Negative, 5.0),
            ],
            ..Output::default()
        };
        let found = output.energies();
        let [a, b] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!((a.related.as_str(), b.related.as_str()), ("A", "B"));
        assert_eq!((a.rise.values[0][0], b.rise.values[0][0]), (1.5, 5.0));
        assert_eq!(a.input_rises, [None, None]);
        assert_eq!(b.input_rises, [Some(false), Some(true)]);
    }

    #[test]
    fn a_pins_energy_is_read_between_its_rows() {
        let mut energy = PinEnergy::new(&[0.0, 1.0]);
        energy.rise.add(1, 0, 4.0);
        energy.fall.add(0, 0, 2.0);
        let at = energy.at(&[0.0, 0.25, 1.0]);
        assert_eq!(at.rise.values, [[0.0], [1.0], [4.0]]);
        assert_eq!(at.read(false, 0.25), 1.5);
        assert_eq!(at.either(None, 0.25), 1.25);
    }
}
