//! Loads, slews and delays of placed cells, estimated from Liberty tables and the wires' R and C.
//!
//! Units: fF, ns, kΩ·fF = ps. Worst of rise and fall.

use nanoflow_netlist::liberty::{Library, LibraryCell, Timing};
use nanoflow_netlist::Direction;

use crate::tech::metal;

/// Wire capacitance for each µm of a wire whose layer is not known yet: mean of met1, met2 and met3, fF.
#[must_use]
pub fn wire_ff_per_um() -> f64 {
    let layers = ["met1", "met2", "met3"];
    layers
        .iter()
        .filter_map(|name| metal(name))
        .map(|metal| metal.ff_per_um)
        .sum::<f64>()
        / layers.len() as f64
}

/// Wire resistance for each µm likewise, of met1 and met2, Ω.
#[must_use]
pub fn wire_ohm_per_um() -> f64 {
    metal("met2").map_or(0.9, |metal| metal.ohm_per_um)
}

/// A Liberty library with its numbers in fF and ns.
pub struct Electrical<'a> {
    library: &'a Library,
}

/// Which edge of the clock or data a constraint looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extreme {
    Longest,
    Shortest,
}

impl<'a> Electrical<'a> {
    #[must_use]
    pub fn new(library: &'a Library) -> Self {
        Self { library }
    }
    #[must_use]
    pub fn cell(&self, cell: &str) -> Option<&'a LibraryCell> {
        self.library.cells.get(cell)
    }
    /// Input capacitance, fF; 0 for what the library does not know.
    #[must_use]
    pub fn pin_ff(&self, cell: &str, pin: &str) -> f64 {
        let pin = self.cell(cell).and_then(|cell| cell.pin(pin));
        pin.map_or(0.0, |pin| {
            pin.capacitance * self.library.capacitance_unit_pf * 1e3
        })
    }
    /// Load that an output may drive, fF: `max_capacitance`, or the end of its tables.
    #[must_use]
    pub fn limit_ff(&self, cell: &str, pin: &str) -> Option<f64> {
        let pin = self.cell(cell)?.pin(pin)?;
        let of_tables = || {
            let tables = pin
                .timing
                .iter()
                .flat_map(|timing| timing.tables.get("cell_rise"));
            tables
                .filter_map(|table| table.second.last().copied())
                .reduce(f64::max)
        };
        pin.max_capacitance
            .or_else(of_tables)
            .map(|limit| limit * self.library.capacitance_unit_pf * 1e3)
    }
    /// Longest transition that the library allows at a pin, ns.
    #[must_use]
    pub fn limit_slew(&self, cell: &str, pin: &str) -> Option<f64> {
        let pin = self.cell(cell)?.pin(pin)?;
        pin.max_transition
            .or(self.library.default_max_transition)
            .map(|limit| limit * self.library.time_unit_ns)
    }
    fn look_up(
        &self,
        timing: &Timing,
        names: [&str; 2],
        slew: f64,
        load: f64,
        extreme: Extreme,
    ) -> Option<f64> {
        let (time, capacitance) = (
            self.library.time_unit_ns,
            self.library.capacitance_unit_pf * 1e3,
        );
        let values = names.iter().filter_map(|name| timing.tables.get(*name));
        let values = values.map(|table| table.at(slew / time, load / capacitance) * time);
        match extreme {
            Extreme::Longest => values.reduce(f64::max),
            Extreme::Shortest => values.reduce(f64::min),
        }
    }
    fn over_arcs(
        &self,
        cell: &str,
        input: Option<&str>,
        names: [&str; 2],
        slew: f64,
        load: f64,
        extreme: Extreme,
    ) -> Option<f64> {
        let cell = self.cell(cell)?;
        let outputs = cell
            .pins
            .iter()
            .filter(|pin| pin.direction == Direction::Output);
        let arcs = outputs
            .flat_map(|pin| &pin.timing)
            .filter(|timing| input.is_none_or(|input| timing.related_pin == input));
        let values = arcs.filter_map(|timing| self.look_up(timing, names, slew, load, extreme));
        match extreme {
            Extreme::Longest => values.reduce(f64::max),
            Extreme::Shortest => values.reduce(f64::min),
        }
    }
    /// Transition at the output of a cell, ns, over all arcs (or those from `input`).
    #[must_use]
    pub fn output_slew(
        &self,
        cell: &str,
        input: Option<&str>,
        slew: f64,
        load: f64,
    ) -> Option<f64> {
        self.over_arcs(
            cell,
            input,
            ["rise_transition", "fall_transition"],
            slew,
            load,
            Extreme::Longest,
        )
    }
    /// Delay of a cell, ns.
    #[must_use]
    pub fn delay(
        &self,
        cell: &str,
        input: Option<&str>,
        slew: f64,
        load: f64,
        extreme: Extreme,
    ) -> Option<f64> {
        self.over_arcs(cell, input, ["cell_rise", "cell_fall"], slew, load, extreme)
    }
    /// Hold time of a data pin against the clock, ns: how long after the clock's edge the data must hold.
    #[must_use]
    pub fn hold(&self, cell: &str, pin: &str, data_slew: f64, clock_slew: f64) -> Option<f64> {
        let pin = self.cell(cell)?.pin(pin)?;
        let time = self.library.time_unit_ns;
        let holds = pin.timing.iter().filter(|timing| {
            timing
                .kind
                .as_deref()
                .is_some_and(|kind| kind.starts_with("hold"))
        });
        // Constraint tables: first index is the clock's (related pin's) slew, second the data's.
        let tables = holds.flat_map(|timing| timing.tables.values());
        tables
            .map(|table| table.at(clock_slew / time, data_slew / time) * time)
            .reduce(f64::max)
    }
    /// Pin that carries the scan data in, if the cell is a scan flip-flop.
    #[must_use]
    pub fn scan_input(&self, cell: &str) -> Option<&'a str> {
        let test = self.cell(cell)?.test_cell.as_ref()?;
        test.signal_types
            .iter()
            .find(|(_, kind)| kind.as_str() == "test_scan_in")
            .map(|(pin, _)| pin.as_str())
    }
    /// True for a pin that takes the clock.
    #[must_use]
    pub fn is_clock(&self, cell: &str, pin: &str) -> bool {
        self.cell(cell)
            .and_then(|cell| cell.pin(pin))
            .is_some_and(|pin| pin.clock)
    }
    #[must_use]
    pub fn is_flip_flop(&self, cell: &str) -> bool {
        self.cell(cell).is_some_and(|cell| cell.flip_flop.is_some())
    }
    /// Of `names`, those that the library has, in that order.
    #[must_use]
    pub fn available<'b>(&self, names: &[&'b str]) -> Vec<&'b str> {
        names
            .iter()
            .copied()
            .filter(|name| self.library.cells.contains_key(*name))
            .collect()
    }
}
