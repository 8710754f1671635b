//! A* from a square to the tree of a net, by the price of each edge.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::grid::Square;
use super::router::Roads;

const START: u8 = 4;

#[derive(Clone, Copy, Default)]
struct Cell {
    search: u32,
    cost: u32,
    from: u8,
}

/// Memory kept between searches.
#[derive(Default)]
pub(super) struct Maze {
    cells: Vec<Cell>,
    heap: BinaryHeap<Reverse<(u32, Square)>>,
    search: u32,
}

impl Maze {
    /// The squares of the cheapest way from `from` to a square of which `is_goal` holds, `from` first. `aim` is a goal near `from`.
    pub(super) fn find(
        &mut self,
        roads: &Roads,
        from: Square,
        aim: Square,
        is_goal: &dyn Fn(Square) -> bool,
    ) -> Vec<Square> {
        let grid = &roads.grid;
        self.cells.resize(grid.squares(), Cell::default());
        self.search += 1;
        self.heap.clear();
        self.reach(from, 0, START, grid.distance(from, aim));
        while let Some(Reverse((estimate, square))) = self.heap.pop() {
            let Cell {
                cost, from: came, ..
            } = self.cells[square as usize];
            let rest = if is_goal(square) {
                0
            } else {
                grid.distance(square, aim)
            };
            if estimate > cost + rest {
                continue;
            }
            if is_goal(square) {
                return self.walk_back(grid.columns as Square, square);
            }
            let (x, y) = grid.split(square);
            let columns = grid.columns as Square;
            let steps = [
                (x + 1 < grid.columns).then(|| square + 1),
                (x > 0).then(|| square - 1),
                (y + 1 < grid.rows).then(|| square + columns),
                (y > 0).then(|| square - columns),
            ];
            for (direction, next) in (0u8..).zip(steps) {
                let Some(next) = next else { continue };
                let bend = came != START && (came < 2) != (direction < 2);
                let price = roads.price[grid.between(square, next) as usize];
                let total = cost + price + if bend { roads.bend } else { 0 };
                let rest = if is_goal(next) {
                    0
                } else {
                    grid.distance(next, aim)
                };
                self.reach(next, total, direction, rest);
            }
        }
        vec![from]
    }

    fn reach(&mut self, square: Square, cost: u32, from: u8, rest: u32) {
        let cell = &mut self.cells[square as usize];
        if cell.search == self.search && cell.cost <= cost {
            return;
        }
        *cell = Cell {
            search: self.search,
            cost,
            from,
        };
        self.heap.push(Reverse((cost + rest, square)));
    }

    fn walk_back(&self, columns: Square, end: Square) -> Vec<Square> {
        let mut squares = vec![end];
        let mut square = end;
        loop {
            square = match self.cells[square as usize].from {
                0 => square - 1,
                1 => square + 1,
                2 => square - columns,
                3 => square + columns,
                _ => break,
            };
            squares.push(square);
        }
        squares.reverse();
        squares
    }
}
