//! Where the search for a net may go: a window of the lattice, or only some tiles of it.

use nanoflow_layout::global::{Grid, Square};

use crate::lattice::{Lattice, Window};

/// Nodes on each side of a tile, as a power of two.
pub const TILE_BITS: usize = 3;
pub const TILE: usize = 1 << TILE_BITS;
/// Tiles on each side of a square of the global grid.
pub const TILES_EACH: usize = 2;

/// `row * columns + column` in tiles.
pub type Tile = u32;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// All nodes that may be visited lie in it.
    pub window: Window,
    /// Tiles that may be visited, sorted; `None`: all of the window.
    pub tiles: Option<Vec<Tile>>,
}

/// The lattice in tiles.
#[derive(Debug, Clone, Copy)]
pub struct Tiling {
    pub columns: usize,
    pub rows: usize,
}

impl Tiling {
    #[must_use]
    pub fn new(lattice: &Lattice) -> Self {
        Self {
            columns: lattice.columns.div_ceil(TILE),
            rows: lattice.rows.div_ceil(TILE),
        }
    }
    #[must_use]
    pub fn count(&self) -> usize {
        self.columns * self.rows
    }
    /// The tile of a node.
    #[must_use]
    pub fn tile(&self, x: usize, y: usize) -> Tile {
        ((y >> TILE_BITS) * self.columns + (x >> TILE_BITS)) as Tile
    }

    /// Adds the tiles of a range of tile columns and rows, grown by `rings`.
    fn add(&self, x: [usize; 2], y: [usize; 2], rings: usize, tiles: &mut Vec<Tile>) {
        for row in y[0].saturating_sub(rings)..=(y[1] + rings).min(self.rows - 1) {
            for column in x[0].saturating_sub(rings)..=(x[1] + rings).min(self.columns - 1) {
                tiles.push((row * self.columns + column) as Tile);
            }
        }
    }
}

impl Region {
    /// All nodes of a window.
    #[must_use]
    pub fn whole(window: Window) -> Self {
        Self {
            window,
            tiles: None,
        }
    }

    /// The squares of a guide and the nodes of a net's terminals, with `margin` nodes around.
    #[must_use]
    pub fn guided(
        lattice: &Lattice,
        grid: &Grid,
        guide: &[Square],
        terminals: impl Iterator<Item = (usize, usize)>,
        margin: usize,
    ) -> Option<Self> {
        let tiling = Tiling::new(lattice);
        let rings = margin.div_ceil(TILE);
        let mut tiles = Vec::new();
        for &square in guide {
            let (column, row) = grid.split(square);
            let (x, y) = (column * TILES_EACH, row * TILES_EACH);
            tiling.add(
                [x, x + TILES_EACH - 1],
                [y, y + TILES_EACH - 1],
                rings,
                &mut tiles,
            );
        }
        for (x, y) in terminals {
            let (x, y) = (x >> TILE_BITS, y >> TILE_BITS);
            tiling.add([x, x], [y, y], rings, &mut tiles);
        }
        tiles.sort_unstable();
        tiles.dedup();
        let columns = tiles.iter().map(|&tile| tile as usize % tiling.columns);
        let (left, right) = (columns.clone().min()?, columns.max()?);
        let (low, high) = (
            *tiles.first()? as usize / tiling.columns,
            *tiles.last()? as usize / tiling.columns,
        );
        let window = Window {
            x0: left * TILE,
            y0: low * TILE,
            x1: (right * TILE + TILE - 1).min(lattice.columns - 1),
            y1: (high * TILE + TILE - 1).min(lattice.rows - 1),
        };
        Some(Self {
            window,
            tiles: Some(tiles),
        })
    }

    /// Visits all tiles that the region has nodes in, and those beside them.
    pub fn with_neighbours(&self, tiling: &Tiling, mut visit: impl FnMut(usize)) {
        let mut around = |x: [usize; 2], y: [usize; 2]| {
            for row in y[0].saturating_sub(1)..=(y[1] + 1).min(tiling.rows - 1) {
                for column in x[0].saturating_sub(1)..=(x[1] + 1).min(tiling.columns - 1) {
                    visit(row * tiling.columns + column);
                }
            }
        };
        match &self.tiles {
            None => {
                let Window { x0, y0, x1, y1 } = self.window;
                around(
                    [x0 >> TILE_BITS, x1 >> TILE_BITS],
                    [y0 >> TILE_BITS, y1 >> TILE_BITS],
                );
            }
            // Runs of tiles side by side are taken together.
            Some(tiles) => {
                let columns = tiling.columns;
                for run in tiles.chunk_by(|a, b| a + 1 == *b && *b as usize % columns != 0) {
                    if let (Some(&first), Some(&last)) = (run.first(), run.last()) {
                        let row = first as usize / columns;
                        around(
                            [first as usize % columns, last as usize % columns],
                            [row, row],
                        );
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nanoflow_layout::{Point, Rect};

    fn lattice() -> Lattice {
        // 80 columns and 64 rows: 10 by 8 tiles, 5 by 4 squares.
        let lattice = Lattice::new(
            Rect::new(0, 0, 80 * 230 + 1, 64 * 340 + 1),
            Point::new(0, 0),
            (230, 340),
        );
        assert_eq!((lattice.columns, lattice.rows), (80, 64));
        lattice
    }

    fn grid(lattice: &Lattice) -> Grid {
        let nodes = (TILE * TILES_EACH) as i32;
        let size = (nodes * lattice.step.0, nodes * lattice.step.1);
        Grid::new(Rect::new(0, 0, 80 * 230, 64 * 340), size)
    }

    #[test]
    fn a_guide_is_its_squares_its_terminals_and_a_margin() {
        let lattice = lattice();
        let grid = grid(&lattice);
        let tiling = Tiling::new(&lattice);
        let guide = [grid.square(1, 1), grid.square(2, 1)];
        let none = std::iter::empty();
        let region = Region::guided(&lattice, &grid, &guide, none, 0).unwrap();
        let window = Window {
            x0: 16,
            y0: 16,
            x1: 47,
            y1: 31,
        };
        assert_eq!(region.window, window);
        assert_eq!(region.tiles.as_ref().unwrap().len(), 8);
        // A terminal in another square and one tile of margin.
        let far = std::iter::once((70, 60));
        let region = Region::guided(&lattice, &grid, &guide, far, 5).unwrap();
        let tiles = region.tiles.unwrap();
        assert_eq!(tiles.len(), 6 * 4 + 3 * 2);
        for (x, y, inside) in [
            (8, 8, true),
            (7, 8, false),
            (55, 39, true),
            (56, 39, false),
            (70, 60, true),
            (64, 50, true),
            (60, 44, false),
        ] {
            assert_eq!(tiles.contains(&tiling.tile(x, y)), inside, "({x}, {y})");
        }
    }

    #[test]
    fn neighbours_are_all_tiles_at_most_one_away() {
        let lattice = lattice();
        let grid = grid(&lattice);
        let tiling = Tiling::new(&lattice);
        let guide = [
            grid.square(0, 0),
            grid.square(0, 1),
            grid.square(1, 1),
            grid.square(4, 3),
        ];
        let region = Region::guided(&lattice, &grid, &guide, std::iter::empty(), 0).unwrap();
        let mut near = vec![false; tiling.count()];
        region.with_neighbours(&tiling, |tile| near[tile] = true);
        let tiles = region.tiles.unwrap();
        for (tile, near) in near.into_iter().enumerate() {
            let place = |tile: usize| (tile % tiling.columns, tile / tiling.columns);
            let (x, y) = place(tile);
            let expected = tiles.iter().any(|&other| {
                let (a, b) = place(other as usize);
                a.abs_diff(x) <= 1 && b.abs_diff(y) <= 1
            });
            assert_eq!(near, expected, "tile ({x}, {y})");
        }
    }
}
