//! Room around cells where pins or wires are dense, so that the router can reach them.

use crate::crowding::Crowding;
use crate::global::Positions;
use crate::problem::Problem;

/// What the router can do; measured on sky130_fd_sc_hd with the router of this project.
#[derive(Debug, Clone, Copy)]
pub struct Demand {
    /// Pins for each µm² above which cells are spread.
    pub pins: f64,
    /// Wires that want to pass a place, by those that may, likewise.
    pub wires: f64,
    /// Most sites that are added to one cell.
    pub most_sites: i32,
}

/// Side of the squares in which pins are counted, µm.
const PIN_BIN: f64 = 8.16;

/// A map of squares over the core.
struct Map {
    x0: f64,
    y0: f64,
    bin: f64,
    columns: usize,
    rows: usize,
    values: Vec<f64>,
}

impl Map {
    fn new(problem: &Problem, bin: f64) -> Self {
        let core = problem.core;
        let count = |length: i32| ((f64::from(length) * 1e-3 / bin).ceil() as usize).max(1);
        let (columns, rows) = (count(core.width()), count(core.height()));
        let (x0, y0) = (f64::from(core.x0) * 1e-3, f64::from(core.y0) * 1e-3);
        Self {
            x0,
            y0,
            bin,
            columns,
            rows,
            values: vec![0.0; columns * rows],
        }
    }
    fn column(&self, x: f64) -> usize {
        (((x - self.x0) / self.bin).max(0.0) as usize).min(self.columns - 1)
    }
    fn row(&self, y: f64) -> usize {
        (((y - self.y0) / self.bin).max(0.0) as usize).min(self.rows - 1)
    }
    fn at(&self, x: f64, y: f64) -> f64 {
        self.values[self.row(y) * self.columns + self.column(x)]
    }
    fn add(&mut self, x: f64, y: f64, value: f64) {
        let index = self.row(y) * self.columns + self.column(x);
        self.values[index] += value;
    }
    fn most(&self) -> f64 {
        self.values.iter().copied().fold(0.0, f64::max)
    }
}

/// Pins for each µm².
fn pin_map(problem: &Problem, at: &Positions) -> Map {
    let mut pins = Map::new(problem, PIN_BIN);
    for (cell, body) in problem.cells.iter().enumerate() {
        pins.add(
            at.x[cell],
            at.y[cell],
            f64::from(body.pins) / (PIN_BIN * PIN_BIN),
        );
    }
    pins
}

/// Highest pin density, and how full the fullest place is of wires.
#[must_use]
pub fn peaks(problem: &Problem, at: &Positions) -> (f64, f64) {
    let pins = pin_map(problem, at);
    (pins.most(), Crowding::new(problem, at).peak())
}

/// Adds sites to cells in dense spots; returns how many were added.
pub fn inflate(problem: &Problem, at: &Positions, demand: Demand, sites: &mut [i32]) -> i32 {
    let (pins, crowding) = (pin_map(problem, at), Crowding::new(problem, at));
    let mut added = 0;
    // What all cells may take together: nine tenths of the room.
    let row = f64::from(problem.row_height);
    let room = (problem.free_area() * 0.9 / row / f64::from(problem.site_width)) as i64;
    let mut total: i64 = sites.iter().map(|sites| i64::from(*sites)).sum();
    for (cell, sites) in sites.iter_mut().enumerate() {
        let (x, y) = (at.x[cell], at.y[cell]);
        let over = (pins.at(x, y) / demand.pins).max(crowding.at(x, y) / demand.wires);
        if over <= 1.0 {
            continue;
        }
        let own = problem.cells[cell].width / problem.site_width;
        let wanted =
            ((f64::from(*sites) * over.min(1.6)).ceil() as i32).min(own + demand.most_sites);
        let more = (wanted - *sites).clamp(0, 2);
        if more > 0 && total + i64::from(more) <= room {
            *sites += more;
            total += i64::from(more);
            added += more;
        }
    }
    added
}
