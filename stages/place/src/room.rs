//! Room around cells where pins or wires are dense, so that the router can reach them.

use crate::global::Positions;
use crate::problem::Problem;

/// What the router can do; measured on sky130_fd_sc_hd with the router of this project.
#[derive(Debug, Clone, Copy)]
pub struct Demand {
    /// Pins for each µm² above which cells are spread.
    pub pins: f64,
    /// µm of wire (half-perimeters spread over their boxes) for each µm² likewise.
    pub wire: f64,
    /// Most sites that are added to one cell.
    pub most_sites: i32,
}

/// Sides of the squares in which pins and wires are counted, µm.
const PIN_BIN: f64 = 8.16;
const WIRE_BIN: f64 = 16.32;

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

/// Pins for each µm² and wire for each µm².
fn maps(problem: &Problem, at: &Positions) -> (Map, Map) {
    let mut pins = Map::new(problem, PIN_BIN);
    for (cell, body) in problem.cells.iter().enumerate() {
        pins.add(
            at.x[cell],
            at.y[cell],
            f64::from(body.pins) / (PIN_BIN * PIN_BIN),
        );
    }
    let mut wires = Map::new(problem, WIRE_BIN);
    for net in 0..problem.nets() {
        let (mut x0, mut x1, mut y0, mut y1) = (f64::MAX, f64::MIN, f64::MAX, f64::MIN);
        for pin in problem.net(net) {
            let (x, y) = match pin.cell {
                Some(cell) => (at.x[cell as usize], at.y[cell as usize]),
                None => (
                    f64::from(pin.offset.x) * 1e-3,
                    f64::from(pin.offset.y) * 1e-3,
                ),
            };
            (x0, x1, y0, y1) = (x0.min(x), x1.max(x), y0.min(y), y1.max(y));
        }
        let (c0, c1, r0, r1) = (
            wires.column(x0),
            wires.column(x1),
            wires.row(y0),
            wires.row(y1),
        );
        let bins = ((c1 - c0 + 1) * (r1 - r0 + 1)) as f64;
        let share = (x1 - x0 + y1 - y0) / bins / (WIRE_BIN * WIRE_BIN);
        for row in r0..=r1 {
            for column in c0..=c1 {
                wires.values[row * wires.columns + column] += share;
            }
        }
    }
    (pins, wires)
}

/// Highest pin density and wire demand.
#[must_use]
pub fn peaks(problem: &Problem, at: &Positions) -> (f64, f64) {
    let (pins, wires) = maps(problem, at);
    (pins.most(), wires.most())
}

/// Adds sites to cells in dense spots; returns how many were added.
pub fn inflate(problem: &Problem, at: &Positions, demand: Demand, sites: &mut [i32]) -> i32 {
    let (pins, wires) = maps(problem, at);
    let mut added = 0;
    // What all cells may take together: nine tenths of the room.
    let row = f64::from(problem.row_height);
    let room = (problem.free_area() * 0.9 / row / f64::from(problem.site_width)) as i64;
    let mut total: i64 = sites.iter().map(|sites| i64::from(*sites)).sum();
    for (cell, sites) in sites.iter_mut().enumerate() {
        let (x, y) = (at.x[cell], at.y[cell]);
        let over = (pins.at(x, y) / demand.pins).max(wires.at(x, y) / demand.wire);
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
