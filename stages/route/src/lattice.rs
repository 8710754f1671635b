//! The lattice that all wires lie on: one set of columns and rows for met1 to met4, so that every via falls on it.
//!
//! met1 runs along every row, met2 along every column, met3 along even rows, met4 along every fourth column.

use nanoflow_layout::{Dbu, Point, Rect};

use crate::rules::WIRE_LAYERS;

/// A node is `layer * plane + row * columns + column`.
pub type Node = u32;

#[derive(Debug, Clone, Copy)]
pub struct Lattice {
    /// Place of column 0 and row 0.
    pub origin: Point,
    pub step: (Dbu, Dbu),
    pub columns: usize,
    pub rows: usize,
    /// Nodes of one layer.
    pub plane: usize,
}

/// Inclusive range of columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub x0: usize,
    pub y0: usize,
    pub x1: usize,
    pub y1: usize,
}

impl Window {
    #[must_use]
    pub fn width(&self) -> usize {
        self.x1 - self.x0 + 1
    }
    #[must_use]
    pub fn height(&self) -> usize {
        self.y1 - self.y0 + 1
    }
    #[must_use]
    pub fn contains(&self, x: usize, y: usize) -> bool {
        (self.x0..=self.x1).contains(&x) && (self.y0..=self.y1).contains(&y)
    }
}

impl Lattice {
    /// The nodes within `die` that lie half a site and half a track from `corner`, the lower left of a row.
    #[must_use]
    pub fn new(die: Rect, corner: Point, step: (Dbu, Dbu)) -> Self {
        // Columns stand on site centres and site edges, rows half a track above the row's edge.
        let first = |low: Dbu, phase: Dbu, step: Dbu| low + 1 + (phase - low - 1).rem_euclid(step);
        let origin = Point::new(
            first(die.x0, corner.x, step.0),
            first(die.y0, corner.y + step.1 / 2, step.1),
        );
        let count = |low: Dbu, high: Dbu, step: Dbu| {
            if low < high {
                ((high - 1 - low) / step + 1) as usize
            } else {
                0
            }
        };
        let (columns, rows) = (
            count(origin.x, die.x1, step.0),
            count(origin.y, die.y1, step.1),
        );
        Self {
            origin,
            step,
            columns,
            rows,
            plane: columns * rows,
        }
    }

    #[must_use]
    pub fn nodes(&self) -> usize {
        WIRE_LAYERS * self.plane
    }
    #[must_use]
    pub fn node(&self, layer: usize, x: usize, y: usize) -> Node {
        (layer * self.plane + y * self.columns + x) as Node
    }
    /// Layer, column, row.
    #[must_use]
    pub fn split(&self, node: Node) -> (usize, usize, usize) {
        let node = node as usize;
        let in_plane = node % self.plane;
        (
            node / self.plane,
            in_plane % self.columns,
            in_plane / self.columns,
        )
    }
    #[must_use]
    pub fn place(&self, x: usize, y: usize) -> Point {
        Point::new(
            self.origin.x + x as Dbu * self.step.0,
            self.origin.y + y as Dbu * self.step.1,
        )
    }
    #[must_use]
    pub fn point(&self, node: Node) -> Point {
        let (_, x, y) = self.split(node);
        self.place(x, y)
    }
    /// Nodes whose place is within `area`, as a window; `None` when there is none.
    #[must_use]
    pub fn window(&self, area: Rect) -> Option<Window> {
        let up =
            |low: Dbu, origin: Dbu, step: Dbu| (low - origin + step - 1).div_euclid(step).max(0);
        let down = |high: Dbu, origin: Dbu, step: Dbu, count: usize| {
            (high - origin).div_euclid(step).min(count as Dbu - 1)
        };
        let (x0, x1) = (
            up(area.x0, self.origin.x, self.step.0),
            down(area.x1, self.origin.x, self.step.0, self.columns),
        );
        let (y0, y1) = (
            up(area.y0, self.origin.y, self.step.1),
            down(area.y1, self.origin.y, self.step.1, self.rows),
        );
        (x0 <= x1 && y0 <= y1).then_some(Window {
            x0: x0 as usize,
            y0: y0 as usize,
            x1: x1 as usize,
            y1: y1 as usize,
        })
    }
    /// `window` grown by `margin` columns and rows, within the lattice.
    #[must_use]
    pub fn grow(&self, window: Window, margin: usize) -> Window {
        Window {
            x0: window.x0.saturating_sub(margin),
            y0: window.y0.saturating_sub(margin),
            x1: (window.x1 + margin).min(self.columns.saturating_sub(1)),
            y1: (window.y1 + margin).min(self.rows.saturating_sub(1)),
        }
    }
    /// May a via lead from `layer` to the layer above here?
    #[must_use]
    pub fn via_allowed(layer: usize, x: usize, y: usize) -> bool {
        match layer {
            0 => true,
            1 => y % 2 == 0,
            2 => y % 2 == 0 && x % 4 == 0,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_lie_on_sites_and_tracks() {
        let lattice = Lattice::new(
            Rect::new(0, 0, 10_000, 10_000),
            Point::new(5520, 5440),
            (230, 340),
        );
        assert_eq!(lattice.origin, Point::new(230, 170));
        assert_eq!((lattice.columns, lattice.rows), (43, 29));
        let node = lattice.node(2, 7, 11);
        assert_eq!(lattice.split(node), (2, 7, 11));
        assert_eq!(
            lattice.point(node),
            Point::new(230 + 7 * 230, 170 + 11 * 340)
        );
        let window = lattice.window(Rect::new(230, 170, 700, 600)).unwrap();
        assert_eq!(
            window,
            Window {
                x0: 0,
                y0: 0,
                x1: 2,
                y1: 1
            }
        );
        assert_eq!(lattice.window(Rect::new(231, 171, 300, 200)), None);
    }
}
