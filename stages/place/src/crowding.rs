//! What the wires of a placement would want of the metals, by a first global routing.

use nanoflow_layout::global::{Edge, GlobalRouter, Grid, Schedule, Square, Way};
use nanoflow_layout::{Dbu, Point};

use crate::global::Positions;
use crate::problem::Problem;

/// Squares as the stage `route` has them: eight sites by two rows.
const SITES: Dbu = 8;
const ROWS: Dbu = 2;
/// Wires that the stage `route` lets through a square of cells, to the side on met1 and met3, and upwards on met2 and met4;
/// the medians over the shipped design with 60 % of its rows filled.
const ROOM_SIDEWAYS: f32 = 10.5;
const ROOM_UPWARDS: f32 = 9.5;
/// What a pin takes of met2, in wires.
const PIN: f32 = 0.15;

/// How full each square of the core would be.
pub struct Crowding {
    grid: Grid,
    fill: Vec<f32>,
}

impl Crowding {
    #[must_use]
    pub fn new(problem: &Problem, at: &Positions) -> Self {
        let size = (SITES * problem.site_width, ROWS * problem.row_height);
        let mut grid = Grid::new(problem.core, size);
        for square in 0..grid.squares() as Square {
            let (right, up) = (grid.edge(square, Way::Right), grid.edge(square, Way::Up));
            (grid.room[right as usize], grid.room[up as usize]) = (ROOM_SIDEWAYS, ROOM_UPWARDS);
        }
        let place = |pin: &crate::problem::PinRef| match pin.cell {
            None => pin.offset,
            Some(cell) => {
                let cell = cell as usize;
                let middle = Point::new((at.x[cell] * 1e3) as Dbu, (at.y[cell] * 1e3) as Dbu);
                Point::new(
                    middle.x - problem.cells[cell].width / 2 + pin.offset.x,
                    middle.y - problem.row_height / 2 + pin.offset.y,
                )
            }
        };
        let mut terminals: Vec<Vec<Square>> = Vec::with_capacity(problem.nets());
        for net in 0..problem.nets() {
            let squares: Vec<Square> = problem
                .net(net)
                .iter()
                .map(|pin| grid.at(place(pin)))
                .collect();
            for &square in &squares {
                let up = grid.edge(square, Way::Up) as usize;
                grid.local[up] += PIN;
            }
            terminals.push(squares);
        }
        // One round: where wires would like to be, not where they end up after they have made way.
        let schedule = Schedule {
            rounds: 1,
            ..Schedule::default()
        };
        let mut router = GlobalRouter::new(grid, terminals, schedule);
        router.run();
        let fill = fill(&router);
        Self {
            grid: router.grid().clone(),
            fill,
        }
    }

    /// Wires that want to pass here by those that may, of the fuller direction; the mean of nine squares.
    #[must_use]
    pub fn at(&self, x: f64, y: f64) -> f64 {
        let square = self.grid.at(Point::new((x * 1e3) as Dbu, (y * 1e3) as Dbu));
        f64::from(self.fill[square as usize])
    }

    #[must_use]
    pub fn peak(&self) -> f64 {
        f64::from(self.fill.iter().copied().fold(0.0, f32::max))
    }
}

fn fill(router: &GlobalRouter) -> Vec<f32> {
    let grid = router.grid();
    let mean = |square: Square, way: Way| {
        let (column, row) = grid.split(square);
        let (mut wanted, mut room) = (0.0, 0.0);
        for y in row.saturating_sub(1)..=(row + 1).min(grid.rows - 1) {
            for x in column.saturating_sub(1)..=(column + 1).min(grid.columns - 1) {
                let edge: Edge = grid.edge(grid.square(x, y), way);
                if grid.ends(edge).is_some() {
                    wanted += router.wanted(edge);
                    room += grid.room[edge as usize];
                }
            }
        }
        if room > 0.0 {
            wanted / room
        } else {
            0.0
        }
    };
    (0..grid.squares() as Square)
        .map(|square| mean(square, Way::Right).max(mean(square, Way::Up)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::PinRef;
    use nanoflow_layout::Rect;

    /// Thirty nets side by side along one row fill it and its surroundings; the far corner stays empty.
    #[test]
    fn places_that_many_nets_want_are_full() {
        let mut problem = Problem {
            core: Rect::new(0, 0, 110_400, 108_800),
            site_width: 460,
            row_height: 2720,
            net_start: vec![0],
            ..Problem::default()
        };
        for net in 0..30 {
            for x in [5000, 100_000] {
                problem.pins.push(PinRef {
                    cell: None,
                    offset: Point::new(x, 20_000 + net),
                });
            }
            problem.net_start.push(problem.pins.len());
            problem.net_weight.push(1.0);
        }
        let crowding = Crowding::new(&problem, &Positions::default());
        // Three rows of squares take 31.5 wires to the side.
        assert!(crowding.at(50.0, 20.0) > 0.7, "{}", crowding.at(50.0, 20.0));
        assert_eq!(crowding.at(50.0, 90.0), 0.0);
        assert!(crowding.peak() >= crowding.at(50.0, 20.0));
        problem.net_weight.truncate(1);
        assert!(Crowding::new(&problem, &Positions::default()).peak() < 0.1);
    }
}
