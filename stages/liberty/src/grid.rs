//! A cell's layers as bitmaps on the grid of all edges that occur, so that Boolean operations, connectivity, areas and
//! perimeters are loops over a few thousand grid cells. Exact for rectilinear shapes.

use nanoflow_layout::{Dbu, Rect};

/// Positions of all vertical and horizontal edges, ascending.
pub struct Grid {
    pub xs: Vec<Dbu>,
    pub ys: Vec<Dbu>,
}

/// One bit for each grid cell, row by row from the bottom.
pub type Bitmap = Vec<bool>;

/// Number of the connected piece that a grid cell belongs to.
pub type Labels = Vec<Option<usize>>;

/// A neighbouring grid cell and the edge in between.
pub struct Step {
    pub to: Option<usize>,
    /// Length of the shared edge, nm.
    pub edge: f64,
}

impl Grid {
    pub fn new<'a>(rects: impl Iterator<Item = &'a Rect>) -> Self {
        let (mut xs, mut ys) = (Vec::new(), Vec::new());
        for rect in rects {
            xs.extend([rect.x0, rect.x1]);
            ys.extend([rect.y0, rect.y1]);
        }
        for positions in [&mut xs, &mut ys] {
            positions.sort_unstable();
            positions.dedup();
        }
        Self { xs, ys }
    }

    pub fn columns(&self) -> usize {
        self.xs.len().saturating_sub(1)
    }

    pub fn rows(&self) -> usize {
        self.ys.len().saturating_sub(1)
    }

    pub fn len(&self) -> usize {
        self.columns() * self.rows()
    }

    /// Width and height of a grid cell, nm.
    pub fn size(&self, cell: usize) -> (f64, f64) {
        let (column, row) = (cell % self.columns(), cell / self.columns());
        let span = |positions: &[Dbu], at: usize| match positions.get(at..at + 2) {
            Some([low, high]) => f64::from(high - low),
            _ => 0.0,
        };
        (span(&self.xs, column), span(&self.ys, row))
    }

    pub fn paint(&self, rects: &[Rect]) -> Bitmap {
        let mut bitmap = vec![false; self.len()];
        for rect in rects {
            let (x0, x1) = (
                self.xs.partition_point(|x| *x < rect.x0),
                self.xs.partition_point(|x| *x < rect.x1),
            );
            let (y0, y1) = (
                self.ys.partition_point(|y| *y < rect.y0),
                self.ys.partition_point(|y| *y < rect.y1),
            );
            for row in y0..y1 {
                for column in x0..x1 {
                    if let Some(bit) = bitmap.get_mut(row * self.columns() + column) {
                        *bit = true;
                    }
                }
            }
        }
        bitmap
    }

    /// The grid cell that holds a point (on an edge: the one above and to the right).
    pub fn at(&self, x: Dbu, y: Dbu) -> Option<usize> {
        let column = self.xs.partition_point(|edge| *edge <= x).checked_sub(1)?;
        let row = self.ys.partition_point(|edge| *edge <= y).checked_sub(1)?;
        (column < self.columns() && row < self.rows()).then_some(row * self.columns() + column)
    }

    /// The neighbour of `cell` in direction (dx, dy), one of which is ±1 and the other 0.
    pub fn step(&self, cell: usize, dx: isize, dy: isize) -> Step {
        let (width, height) = self.size(cell);
        let column = (cell % self.columns())
            .checked_add_signed(dx)
            .filter(|column| *column < self.columns());
        let row = (cell / self.columns())
            .checked_add_signed(dy)
            .filter(|row| *row < self.rows());
        let to = column
            .zip(row)
            .map(|(column, row)| row * self.columns() + column);
        Step {
            to,
            edge: if dx == 0 { width } else { height },
        }
    }

    /// Numbers the connected pieces of a bitmap from `first` on; returns the labels and the next free number.
    pub fn label(&self, bitmap: &Bitmap, first: usize) -> (Labels, usize) {
        let mut labels: Labels = vec![None; self.len()];
        let mut next = first;
        for start in 0..bitmap.len() {
            if !bitmap[start] || labels[start].is_some() {
                continue;
            }
            let mut stack = vec![start];
            labels[start] = Some(next);
            while let Some(cell) = stack.pop() {
                for (dx, dy) in DIRECTIONS {
                    if let Some(to) = self
                        .step(cell, dx, dy)
                        .to
                        .filter(|to| bitmap[*to] && labels[*to].is_none())
                    {
                        labels[to] = Some(next);
                        stack.push(to);
                    }
                }
            }
            next += 1;
        }
        (labels, next)
    }
}

pub const DIRECTIONS: [(isize, isize); 4] = [(1, 0), (-1, 0), (0, 1), (0, -1)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_that_touch_at_a_corner_only_are_two() {
        let rects = [
            Rect::new(0, 0, 10, 10),
            Rect::new(10, 10, 30, 20),
            Rect::new(10, 0, 12, 5),
        ];
        let grid = Grid::new(rects.iter());
        let bitmap = grid.paint(&rects);
        let (labels, next) = grid.label(&bitmap, 7);
        assert_eq!(next, 9);
        let piece = |x, y| grid.at(x, y).and_then(|cell| labels[cell]);
        assert_eq!(piece(1, 1), piece(11, 1));
        assert_ne!(piece(1, 1), piece(25, 15));
        assert_eq!(piece(25, 1), None);
        let area: f64 = (0..grid.len())
            .filter(|cell| bitmap[*cell])
            .map(|cell| {
                let (width, height) = grid.size(cell);
                width * height
            })
            .sum();
        assert_eq!(area, 100.0 + 200.0 + 10.0);
    }
}
