//! All nets on the grid, and the negotiation about edges that too many want.

use super::grid::{Edge, Grid, Square};
use super::maze::Maze;
use super::pattern;
use crate::Rect;

/// How global routing is led.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Price of a bend: wires change the metal there, nm.
    pub bend: u32,
    /// Part of an edge's room from which on its price rises.
    pub easy: f32,
    /// Price of each wire beyond the room, nm, at first, and its growth in percent with each round.
    pub pressure: f32,
    pub growth_percent: f32,
    pub most_pressure: f32,
    /// Rounds at most, and rounds without less overflow after which it ends.
    pub rounds: usize,
    pub patience: usize,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            bend: 1000,
            easy: 0.6,
            pressure: 4000.0,
            growth_percent: 140.0,
            most_pressure: 200_000.0,
            rounds: 40,
            patience: 8,
        }
    }
}

/// The way of one net: its squares and the edges between them, both sorted, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    pub squares: Vec<Square>,
    pub edges: Vec<Edge>,
}

/// Where most wires are too many.
#[derive(Debug, Clone, PartialEq)]
pub struct HotSpot {
    pub area: Rect,
    /// Wires that want to cross the edges inside, and those that may.
    pub wanted: f64,
    pub room: f64,
    /// Nets that cross there, those with most edges first.
    pub nets: Vec<usize>,
}

/// The grid with the price of each edge.
pub(super) struct Roads {
    pub grid: Grid,
    pub price: Vec<u32>,
    pub bend: u32,
}

pub struct GlobalRouter {
    roads: Roads,
    schedule: Schedule,
    pressure: f32,
    /// Wires over each edge, and what it has cost in the past.
    used: Vec<u32>,
    history: Vec<u32>,
    /// The squares that each net must join.
    terminals: Vec<Vec<Square>>,
    pub trees: Vec<Tree>,
    /// Mark of the net that is being joined, by square.
    joined: Vec<u32>,
    mark: u32,
    maze: Maze,
    /// Rounds that were needed.
    pub rounds: usize,
}

/// Squares on each side of a hot spot.
const SPOT: usize = 5;

impl GlobalRouter {
    /// `terminals` are the squares of each net's terminals, in any order, also more than once.
    #[must_use]
    pub fn new(grid: Grid, terminals: Vec<Vec<Square>>, schedule: Schedule) -> Self {
        let (edges, squares) = (grid.room.len(), grid.squares());
        let mut terminals = terminals;
        for squares in &mut terminals {
            squares.sort_unstable();
            squares.dedup();
        }
        let mut router = Self {
            roads: Roads {
                grid,
                price: vec![0; edges],
                bend: schedule.bend,
            },
            schedule,
            pressure: schedule.pressure,
            used: vec![0; edges],
            history: vec![0; edges],
            trees: vec![Tree::default(); terminals.len()],
            terminals,
            joined: vec![0; squares],
            mark: 0,
            maze: Maze::default(),
            rounds: 0,
        };
        router.price_all();
        router
    }

    #[must_use]
    pub fn grid(&self) -> &Grid {
        &self.roads.grid
    }

    /// Routes all nets, short ones first, then negotiates until no edge has too many wires or nothing gets better.
    pub fn run(&mut self) {
        let order = self.order();
        for &net in &order {
            self.route(net, false);
        }
        self.rounds = 1;
        let mut best = (self.overflow(), self.trees.clone());
        let mut stalled = 0;
        while best.0 > 0.0 && self.rounds < self.schedule.rounds && stalled < self.schedule.patience
        {
            self.remember();
            self.pressure = (self.pressure * self.schedule.growth_percent / 100.0)
                .min(self.schedule.most_pressure);
            self.price_all();
            for &net in &order {
                if self.trees[net]
                    .edges
                    .iter()
                    .any(|&edge| self.excess(edge) > 0.0)
                {
                    self.route(net, true);
                }
            }
            self.rounds += 1;
            let overflow = self.overflow();
            stalled += 1;
            if overflow < best.0 {
                best = (overflow, self.trees.clone());
                stalled = 0;
            }
        }
        self.restore(best.1);
    }

    fn restore(&mut self, trees: Vec<Tree>) {
        self.used.fill(0);
        for edge in trees.iter().flat_map(|tree| &tree.edges) {
            self.used[*edge as usize] += 1;
        }
        self.trees = trees;
    }

    /// Nets with few squares between their terminals first.
    fn order(&self) -> Vec<usize> {
        let grid = &self.roads.grid;
        let size = |net: usize| {
            let corner = |pick: fn(usize, usize) -> usize| {
                let squares = self.terminals[net].iter().map(|&square| grid.split(square));
                squares.reduce(|a, b| (pick(a.0, b.0), pick(a.1, b.1)))
            };
            match (corner(usize::min), corner(usize::max)) {
                (Some(low), Some(high)) => high.0 - low.0 + high.1 - low.1,
                _ => 0,
            }
        };
        let mut order: Vec<usize> = (0..self.terminals.len()).collect();
        order.sort_by_cached_key(|&net| (size(net), net));
        order
    }

    /// Joins the terminals of a net, nearest first.
    fn route(&mut self, net: usize, by_maze: bool) {
        let old = std::mem::take(&mut self.trees[net]);
        for &edge in &old.edges {
            self.used[edge as usize] -= 1;
            self.price(edge);
        }
        let terminals = self.terminals[net].clone();
        let Some(&first) = terminals.first() else {
            return;
        };
        self.mark += 1;
        let mut tree = Tree {
            squares: vec![first],
            edges: Vec::new(),
        };
        self.joined[first as usize] = self.mark;
        let far = (u32::MAX, first);
        let mut nearest = vec![far; terminals.len()];
        let mut fresh = vec![first];
        loop {
            for (near, &terminal) in nearest.iter_mut().zip(&terminals) {
                for &square in &fresh {
                    *near = (*near).min((self.roads.grid.distance(terminal, square), square));
                }
            }
            let open =
                (0..terminals.len()).filter(|&t| self.joined[terminals[t] as usize] != self.mark);
            let Some(next) = open.min_by_key(|&t| (nearest[t], t)) else {
                break;
            };
            let (from, aim) = (terminals[next], nearest[next].1);
            let line = if by_maze {
                let (joined, mark) = (&self.joined, self.mark);
                self.maze.find(&self.roads, from, aim, &|square| {
                    joined[square as usize] == mark
                })
            } else {
                pattern::line(&self.roads, from, aim)
            };
            fresh = self.join(&line, &mut tree);
            // A way that ended nowhere would be tried for ever.
            if fresh.is_empty() {
                break;
            }
        }
        tree.squares.sort_unstable();
        tree.edges.sort_unstable();
        tree.edges.dedup();
        for &edge in &tree.edges {
            self.used[edge as usize] += 1;
            self.price(edge);
        }
        self.trees[net] = tree;
    }

    /// Adds a line of squares to a tree up to where it meets it; returns the squares that are new.
    fn join(&mut self, line: &[Square], tree: &mut Tree) -> Vec<Square> {
        let mut fresh = Vec::new();
        for pair in line.windows(2) {
            if self.joined[pair[0] as usize] == self.mark {
                break;
            }
            tree.edges.push(self.roads.grid.between(pair[0], pair[1]));
            fresh.push(pair[0]);
            if self.joined[pair[1] as usize] == self.mark {
                break;
            }
        }
        for &square in &fresh {
            self.joined[square as usize] = self.mark;
        }
        tree.squares.extend(&fresh);
        fresh
    }

    /// Wires over an edge beyond its room.
    #[must_use]
    pub fn excess(&self, edge: Edge) -> f32 {
        (self.wanted(edge) - self.roads.grid.room[edge as usize]).max(0.0)
    }

    /// Wires that cross an edge or lie beside it.
    #[must_use]
    pub fn wanted(&self, edge: Edge) -> f32 {
        self.used[edge as usize] as f32 + self.roads.grid.local[edge as usize]
    }

    /// Wires beyond the room of edges, over all edges that some net crosses.
    #[must_use]
    pub fn overflow(&self) -> f64 {
        (0..self.used.len())
            .filter(|&edge| self.used[edge] > 0)
            .map(|edge| f64::from(self.excess(edge as Edge)))
            .sum()
    }

    /// Length of all ways, nm.
    #[must_use]
    pub fn length(&self) -> i64 {
        let edges = self.trees.iter().flat_map(|tree| &tree.edges);
        edges
            .map(|&edge| i64::from(self.roads.grid.length(edge)))
            .sum()
    }

    fn remember(&mut self) {
        for edge in 0..self.used.len() {
            let excess = self.excess(edge as Edge);
            if self.used[edge] > 0 && excess > 0.0 {
                let by = (self.pressure * 0.5 * excess.min(4.0)) as u32;
                self.history[edge] = self.history[edge].saturating_add(by).min(10_000_000);
            }
        }
    }

    fn price_all(&mut self) {
        for edge in 0..self.used.len() {
            self.price(edge as Edge);
        }
    }

    /// What one more wire over an edge costs.
    fn price(&mut self, edge: Edge) {
        let length = self.roads.grid.length(edge);
        let (wanted, room) = (self.wanted(edge) + 1.0, self.roads.grid.room[edge as usize]);
        let fill = (wanted / room.max(0.1)).min(2.0) - self.schedule.easy;
        let crowded = length as f32 * 2.0 * fill.max(0.0);
        let beyond = self.pressure * (wanted - room).clamp(0.0, 20.0);
        self.roads.price[edge as usize] =
            length + (crowded + beyond) as u32 + self.history[edge as usize];
    }

    /// The square of squares with the most wires beyond its room; `None` when no edge has too many.
    #[must_use]
    pub fn hot_spot(&self) -> Option<HotSpot> {
        let grid = &self.roads.grid;
        let spot = |x: usize, y: usize| {
            let (x1, y1) = ((x + SPOT).min(grid.columns), (y + SPOT).min(grid.rows));
            (y..y1).flat_map(move |y| {
                (x..x1).flat_map(move |x| [2 * grid.square(x, y), 2 * grid.square(x, y) + 1])
            })
        };
        let mut worst: Option<(f32, usize, usize)> = None;
        for y in 0..grid.rows {
            for x in 0..grid.columns {
                let excess: f32 = spot(x, y).map(|edge| self.excess(edge)).sum();
                if excess > 0.0 && worst.is_none_or(|(most, ..)| excess > most) {
                    worst = Some((excess, x, y));
                }
            }
        }
        let (_, x, y) = worst?;
        let edges: Vec<Edge> = spot(x, y)
            .filter(|&edge| grid.ends(edge).is_some())
            .collect();
        let sum =
            |value: &dyn Fn(Edge) -> f32| edges.iter().map(|&edge| f64::from(value(edge))).sum();
        let mut nets: Vec<(usize, usize)> = Vec::new();
        for (net, tree) in self.trees.iter().enumerate() {
            let inside =
                |edge: &&Edge| self.excess(**edge) > 0.0 && edges.binary_search(edge).is_ok();
            let count = tree.edges.iter().filter(inside).count();
            if count > 0 {
                nets.push((count, net));
            }
        }
        nets.sort_by_key(|&(count, net)| (std::cmp::Reverse(count), net));
        let (x1, y1) = (
            (x + SPOT).min(grid.columns) - 1,
            (y + SPOT).min(grid.rows) - 1,
        );
        Some(HotSpot {
            area: grid
                .rect(grid.square(x, y))
                .union(&grid.rect(grid.square(x1, y1))),
            wanted: sum(&|edge| self.wanted(edge)),
            room: sum(&|edge| grid.room[edge as usize]),
            nets: nets.into_iter().map(|(_, net)| net).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::global::Way;
    use crate::Point;

    fn grid(columns: i32, rows: i32, room: f32) -> Grid {
        let mut grid = Grid::new(Rect::new(0, 0, columns * 1000, rows * 1000), (1000, 1000));
        grid.room.fill(room);
        grid
    }

    /// A tree reaches all terminals of its net.
    fn joins(grid: &Grid, tree: &Tree, terminals: &[Square]) -> bool {
        let mut reached = vec![terminals[0]];
        let mut k = 0;
        while k < reached.len() {
            for &edge in &tree.edges {
                let Some((a, b)) = grid.ends(edge) else {
                    return false;
                };
                for (from, to) in [(a, b), (b, a)] {
                    if from == reached[k] && !reached.contains(&to) {
                        reached.push(to);
                    }
                }
            }
            k += 1;
        }
        terminals.iter().all(|terminal| reached.contains(terminal))
    }

    #[test]
    fn every_net_is_joined_and_none_is_longer_than_it_needs_to_be() {
        let grid = grid(12, 9, 100.0);
        let terminals = vec![
            vec![0, 11],
            vec![0, 107],
            vec![5, 17, 100],
            vec![3],
            vec![],
            vec![7, 7, 8],
        ];
        let mut router = GlobalRouter::new(grid, terminals.clone(), Schedule::default());
        router.run();
        for (tree, terminals) in router
            .trees
            .iter()
            .zip(&terminals)
            .filter(|(_, t)| !t.is_empty())
        {
            assert!(
                joins(router.grid(), tree, terminals),
                "{terminals:?}: {tree:?}"
            );
        }
        let edges: Vec<usize> = router.trees.iter().map(|tree| tree.edges.len()).collect();
        assert_eq!(edges[..2], [11, 11 + 8]);
        assert_eq!(edges[3..], [0, 0, 1]);
        assert_eq!(router.overflow(), 0.0);
        assert_eq!(router.hot_spot(), None);
        assert_eq!(router.length(), edges.iter().sum::<usize>() as i64 * 1000);
    }

    /// Twenty nets side by side want one row; a wall with one gap of two wires elsewhere makes them go around.
    #[test]
    fn nets_go_around_what_is_full() {
        let mut grid = grid(20, 20, 3.0);
        // A wall between columns 9 and 10, with gaps in rows 0 to 7 only.
        for row in 8..20 {
            let edge = grid.edge(grid.square(9, row), Way::Right);
            grid.room[edge as usize] = 0.0;
        }
        let at = |x: i32, y: i32| Point::new(x * 1000 + 500, y * 1000 + 500);
        let terminals: Vec<Vec<Square>> = (0..20)
            .map(|k| vec![grid.at(at(2, 9 + k % 4)), grid.at(at(17, 9 + k % 4))])
            .collect();
        let mut router = GlobalRouter::new(grid, terminals.clone(), Schedule::default());
        router.run();
        assert_eq!(router.overflow(), 0.0, "{:?}", router.hot_spot());
        assert!(router.rounds > 1);
        for (tree, terminals) in router.trees.iter().zip(&terminals) {
            assert!(joins(router.grid(), tree, terminals));
        }
    }

    #[test]
    fn what_cannot_fit_is_told_with_its_place_and_nets() {
        let mut grid = grid(20, 20, 3.0);
        for row in 0..20 {
            let edge = grid.edge(grid.square(9, row), Way::Right);
            grid.room[edge as usize] = if row == 12 { 1.0 } else { 0.0 };
        }
        let terminals: Vec<Vec<Square>> = (0..5)
            .map(|k| vec![grid.square(8, 10 + k), grid.square(11, 10 + k)])
            .collect();
        let mut router = GlobalRouter::new(grid, terminals, Schedule::default());
        router.run();
        assert!(router.overflow() >= 4.0);
        let spot = router.hot_spot().unwrap();
        assert!(spot.area.contains(Point::new(9999, 12_500)), "{spot:?}");
        assert!(spot.nets.len() >= 4, "{spot:?}");
    }
}
