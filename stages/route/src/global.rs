//! The lattice as squares of the global router: how many wires each border lets through, and what nets want of it.

use nanoflow_layout::global::{Edge, GlobalRouter, Grid, Schedule, Square, Way};
use nanoflow_layout::{Dbu, Rect};
use nanoflow_sdk::StageError;

use crate::access::Gate;
use crate::field::Field;
use crate::lattice::Lattice;
use crate::problem::{Problem, FREE};
use crate::region::{TILE, TILES_EACH};
use crate::rules::WIRE_LAYERS;

/// Nodes on each side of a square.
pub const SQUARE: usize = TILE * TILES_EACH;

/// Part of the free tracks of each metal that wires passing through can use. Contacts and vias to pins take much of met1
/// and some of met2; the rest is lost to vias and to the ends of wires.
const USABLE: [f32; WIRE_LAYERS] = [0.35, 0.8, 0.9, 0.9];
/// What a terminal takes of the tracks of met2 in its square: its via and the way to it.
const TERMINAL: f32 = 0.15;

/// What global routing found.
pub struct Plan {
    pub router: GlobalRouter,
    pub overflow: f64,
}

impl Plan {
    #[must_use]
    pub fn new(field: &Field, gates: &[Vec<Gate>]) -> Self {
        let lattice = &field.lattice;
        let mut grid = grid(field);
        let terminals: Vec<Vec<Square>> = gates
            .iter()
            .map(|gates| terminals(lattice, &mut grid, gates))
            .collect();
        let mut router = GlobalRouter::new(grid, terminals, Schedule::default());
        router.run();
        let overflow = router.overflow();
        Self { router, overflow }
    }

    /// Part of all crossings of borders that have no room.
    #[must_use]
    pub fn overload(&self) -> f64 {
        let crossings: usize = self.router.trees.iter().map(|tree| tree.edges.len()).sum();
        self.overflow / crossings.max(1) as f64
    }

    /// # Errors
    /// A design failure that names the fullest place and the nets there when more than `limit` of all crossings have no room.
    pub fn verdict(&self, problem: &Problem, limit: f64) -> Result<(), StageError> {
        let Some(spot) = self.router.hot_spot().filter(|_| self.overload() > limit) else {
            return Ok(());
        };
        let um = |length: Dbu| f64::from(length) / 1000.0;
        let mut names: Vec<&str> = spot
            .nets
            .iter()
            .map(|&net| problem.nets[net].name.as_str())
            .collect();
        let count = names.len();
        names.truncate(NAMED);
        let more = if count > NAMED {
            format!(" and {} more", count - NAMED)
        } else {
            String::new()
        };
        Err(StageError::design(format!(
            "{:.1} % of the wires have no room (limit {:.1} %); worst from ({:.1}, {:.1}) to ({:.1}, {:.1}) um, where {:.0} wires want to \
             cross {:.0} places: {}{more}",
            self.overload() * 100.0,
            limit * 100.0,
            um(spot.area.x0),
            um(spot.area.y0),
            um(spot.area.x1),
            um(spot.area.y1),
            spot.wanted,
            spot.room,
            names.join(", ")
        ))
        .hint("lower 'utilization' of the stage floorplan, or 'wire_fill' of the stage place; raise 'overload_limit' of this stage to try all the same"))
    }

    #[must_use]
    pub fn guides(&self) -> Vec<Vec<Square>> {
        self.router
            .trees
            .iter()
            .map(|tree| tree.squares.clone())
            .collect()
    }
}

/// Names of nets that a message lists.
const NAMED: usize = 8;

/// Squares with the room that fixed shapes leave.
fn grid(field: &Field) -> Grid {
    let lattice = &field.lattice;
    let (dx, dy) = lattice.step;
    let corner = lattice.place(0, 0);
    let (width, height) = (lattice.columns as Dbu * dx, lattice.rows as Dbu * dy);
    let (x0, y0) = (corner.x - dx / 2, corner.y - dy / 2);
    let size = (SQUARE as Dbu * dx, SQUARE as Dbu * dy);
    let mut grid = Grid::new(Rect::new(x0, y0, x0 + width, y0 + height), size);
    let free = (0..WIRE_LAYERS)
        .map(|layer| free_tracks(field, &grid, layer))
        .collect::<Vec<_>>();
    for square in 0..grid.squares() as Square {
        for (way, layers) in [(Way::Right, [0, 2]), (Way::Up, [1, 3])] {
            let edge = grid.edge(square, way);
            if let Some((a, b)) = grid.ends(edge) {
                let room = |layer: usize| {
                    USABLE[layer] * free[layer][a as usize].min(free[layer][b as usize])
                };
                grid.room[edge as usize] = layers.into_iter().map(room).sum();
            }
        }
    }
    grid
}

/// Tracks of a metal that are free in each square: its free nodes by those of one track.
fn free_tracks(field: &Field, grid: &Grid, layer: usize) -> Vec<f32> {
    let lattice = &field.lattice;
    // Every row of met1, every second column of met2 (wires there keep one column apart), every second row of met3,
    // every fourth column of met4.
    let (stride_x, stride_y) = [(1, 1), (2, 1), (1, 2), (4, 1)][layer];
    let mut free = vec![0u32; grid.squares()];
    for y in (0..lattice.rows).step_by(stride_y) {
        for x in (0..lattice.columns).step_by(stride_x) {
            if field.node_owner[lattice.node(layer, x, y) as usize] == FREE {
                free[grid.square(x / SQUARE, y / SQUARE) as usize] += 1;
            }
        }
    }
    free.into_iter()
        .map(|count| count as f32 / SQUARE as f32)
        .collect()
}

/// The squares of a net's terminals. What terminals take of their own squares is added to the grid.
fn terminals(lattice: &Lattice, grid: &mut Grid, gates: &[Gate]) -> Vec<Square> {
    let mut squares = Vec::with_capacity(gates.len());
    let mut places: Vec<(Square, usize, usize)> = Vec::with_capacity(gates.len());
    for gate in gates {
        let Some(&(node, _)) = gate.entries.get(gate.entries.len() / 2) else {
            continue;
        };
        let (_, x, y) = lattice.split(node);
        let square = grid.square(x / SQUARE, y / SQUARE);
        squares.push(square);
        places.push((square, x, y));
    }
    if gates.len() < 2 {
        return Vec::new();
    }
    places.sort_unstable();
    for group in places.chunk_by(|a, b| a.0 == b.0) {
        let (square, ..) = group[0];
        let spread = |values: &dyn Fn(&(Square, usize, usize)) -> usize| {
            let (low, high) = (
                group.iter().map(values).min(),
                group.iter().map(values).max(),
            );
            (high.unwrap_or(0) - low.unwrap_or(0)) as f32 / SQUARE as f32
        };
        let sideways = spread(&|place| place.1);
        let upwards = spread(&|place| place.2) + TERMINAL * group.len() as f32;
        add_local(grid, square, sideways, upwards);
    }
    squares
}

/// Wire inside a square counts half on each of the two edges along it.
fn add_local(grid: &mut Grid, square: Square, sideways: f32, upwards: f32) {
    let (column, row) = grid.split(square);
    let mut add = |edge: Edge, tracks: f32| grid.local[edge as usize] += tracks / 2.0;
    let (right, up) = (
        2 * square + Way::Right as Edge,
        2 * square + Way::Up as Edge,
    );
    add(right, sideways);
    add(up, upwards);
    if column > 0 {
        add(right - 2, sideways);
    }
    if row > 0 {
        add(up - 2 * grid.columns as Edge, upwards);
    }
}
