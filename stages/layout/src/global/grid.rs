//! The squares, and how many wires may cross from one to the next.

use crate::{Dbu, Point, Rect};

/// `row * columns + column`.
pub type Square = u32;

/// The border between a square and its right or upper neighbour: `2 * square + way`.
pub type Edge = u32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Right = 0,
    Up = 1,
}

#[derive(Debug, Clone)]
pub struct Grid {
    /// Lower left corner of the first square.
    pub origin: Point,
    /// Width and height of a square, nm.
    pub size: (Dbu, Dbu),
    pub columns: usize,
    pub rows: usize,
    /// Wires that may cross each edge.
    pub room: Vec<f32>,
    /// Wires that cross each edge's middle without being a way of the grid: those that stay within their square.
    pub local: Vec<f32>,
}

impl Grid {
    /// Squares that cover `area`, without room for any wire yet. There is at least one.
    #[must_use]
    pub fn new(area: Rect, size: (Dbu, Dbu)) -> Self {
        let count =
            |length: Dbu, step: Dbu| (length.max(1) as usize).div_ceil(step.max(1) as usize);
        let (columns, rows) = (count(area.width(), size.0), count(area.height(), size.1));
        let edges = 2 * columns * rows;
        Self {
            origin: Point::new(area.x0, area.y0),
            size,
            columns,
            rows,
            room: vec![0.0; edges],
            local: vec![0.0; edges],
        }
    }

    #[must_use]
    pub fn squares(&self) -> usize {
        self.columns * self.rows
    }
    #[must_use]
    pub fn square(&self, column: usize, row: usize) -> Square {
        (row * self.columns + column) as Square
    }
    /// Column and row.
    #[must_use]
    pub fn split(&self, square: Square) -> (usize, usize) {
        (
            square as usize % self.columns,
            square as usize / self.columns,
        )
    }
    /// The square around a point; the nearest for one outside.
    #[must_use]
    pub fn at(&self, point: Point) -> Square {
        let index = |value: Dbu, low: Dbu, step: Dbu, count: usize| {
            ((value - low).max(0) / step.max(1)).min(count as Dbu - 1) as usize
        };
        self.square(
            index(point.x, self.origin.x, self.size.0, self.columns),
            index(point.y, self.origin.y, self.size.1, self.rows),
        )
    }
    #[must_use]
    pub fn rect(&self, square: Square) -> Rect {
        let (column, row) = self.split(square);
        let x0 = self.origin.x + column as Dbu * self.size.0;
        let y0 = self.origin.y + row as Dbu * self.size.1;
        Rect::new(x0, y0, x0 + self.size.0, y0 + self.size.1)
    }
    #[must_use]
    pub fn edge(&self, square: Square, way: Way) -> Edge {
        2 * square + way as Edge
    }
    /// The two squares that an edge lies between; `None` at the right and upper border.
    #[must_use]
    pub fn ends(&self, edge: Edge) -> Option<(Square, Square)> {
        let square = edge / 2;
        let (column, row) = self.split(square);
        if edge % 2 == Way::Right as Edge {
            (column + 1 < self.columns).then_some((square, square + 1))
        } else {
            (row + 1 < self.rows).then_some((square, square + self.columns as Square))
        }
    }
    /// The edge between two neighbouring squares.
    #[must_use]
    pub fn between(&self, a: Square, b: Square) -> Edge {
        let (low, high) = (a.min(b), a.max(b));
        let way = if high - low == 1 && self.columns > 1 {
            Way::Right
        } else {
            Way::Up
        };
        self.edge(low, way)
    }
    /// What a wire over an edge is long, nm.
    #[must_use]
    pub fn length(&self, edge: Edge) -> u32 {
        if edge % 2 == Way::Right as Edge {
            self.size.0 as u32
        } else {
            self.size.1 as u32
        }
    }
    /// Distance of two squares, nm.
    #[must_use]
    pub fn distance(&self, a: Square, b: Square) -> u32 {
        let ((ax, ay), (bx, by)) = (self.split(a), self.split(b));
        ax.abs_diff(bx) as u32 * self.size.0 as u32 + ay.abs_diff(by) as u32 * self.size.1 as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_cover_the_area_and_edges_lie_between_them() {
        let grid = Grid::new(Rect::new(100, 200, 1150, 700), (300, 200));
        assert_eq!((grid.columns, grid.rows), (4, 3));
        assert_eq!(grid.at(Point::new(0, 0)), 0);
        assert_eq!(grid.at(Point::new(400, 399)), 1);
        assert_eq!(grid.at(Point::new(9999, 9999)), 11);
        assert_eq!(grid.rect(5), Rect::new(400, 400, 700, 600));
        for square in 0..12 {
            for way in [Way::Right, Way::Up] {
                let edge = grid.edge(square, way);
                if let Some((a, b)) = grid.ends(edge) {
                    assert_eq!(grid.between(a, b), edge);
                    assert_eq!(grid.between(b, a), edge);
                    assert_eq!(grid.distance(a, b), grid.length(edge));
                }
            }
        }
        assert_eq!(grid.ends(grid.edge(3, Way::Right)), None);
        assert_eq!(grid.ends(grid.edge(8, Way::Up)), None);
    }

    /// In a grid of one column the next square is above, not to the right.
    #[test]
    fn one_column() {
        let grid = Grid::new(Rect::new(0, 0, 10, 100), (10, 10));
        assert_eq!(grid.between(3, 4), grid.edge(3, Way::Up));
    }
}
