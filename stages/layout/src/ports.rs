//! Places for the ports at the die's edges, on the router's lattice.

use crate::def::{PinPort, Placement};
use crate::{Dbu, Orient, Point, Rect};

/// A port's place: on met2 at the lower and upper edge, on met3 at the left and right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// On the edge.
    pub at: Point,
    edge: Edge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    Left,
    Bottom,
    Right,
    Top,
}

/// Four tracks apart, so that each can be reached without touching its neighbours, and away from the corners.
const COLUMN_STEP: Dbu = 4 * 460;
const ROW_STEP: Dbu = 4 * 340;
const CORNER: Dbu = 16 * 460;

/// All slots, counter-clockwise from the upper end of the left edge.
#[must_use]
pub fn slots(die: Rect) -> Vec<Slot> {
    let xs: Vec<Dbu> = steps(230, COLUMN_STEP, die.x1);
    let ys: Vec<Dbu> = steps(170, ROW_STEP, die.y1);
    let slot = |x, y, edge| Slot {
        at: Point::new(x, y),
        edge,
    };
    let left = ys.iter().rev().map(|&y| slot(die.x0, y, Edge::Left));
    let bottom = xs.iter().map(|&x| slot(x, die.y0, Edge::Bottom));
    let right = ys.iter().map(|&y| slot(die.x1, y, Edge::Right));
    let top = xs.iter().rev().map(|&x| slot(x, die.y1, Edge::Top));
    left.chain(bottom).chain(right).chain(top).collect()
}

fn steps(base: Dbu, step: Dbu, end: Dbu) -> Vec<Dbu> {
    (0..)
        .map(|index| base + index * step)
        .skip_while(|at| *at < CORNER)
        .take_while(|at| *at <= end - CORNER)
        .collect()
}

/// Spreads `count` ports over the slots, the same distance apart.
#[must_use]
pub fn spread(slots: &[Slot], count: usize) -> Vec<Slot> {
    (0..count)
        .filter_map(|index| slots.get(index * slots.len() / count.max(1)).copied())
        .collect()
}

impl Slot {
    /// The port's metal, long enough for the least area of its layer (m2.6: 0.0676, m3.6: 0.24 µm²).
    #[must_use]
    pub fn port(&self) -> PinPort {
        let (layer, rect) = match self.edge {
            Edge::Left => (
                "met3",
                Rect {
                    x0: 0,
                    y0: -165,
                    x1: 855,
                    y1: 165,
                },
            ),
            Edge::Right => (
                "met3",
                Rect {
                    x0: -855,
                    y0: -165,
                    x1: 0,
                    y1: 165,
                },
            ),
            Edge::Bottom => (
                "met2",
                Rect {
                    x0: -70,
                    y0: 0,
                    x1: 70,
                    y1: 580,
                },
            ),
            Edge::Top => (
                "met2",
                Rect {
                    x0: -70,
                    y0: -580,
                    x1: 70,
                    y1: 0,
                },
            ),
        };
        PinPort {
            shapes: vec![(layer.into(), rect)],
            placement: Some(Placement {
                at: self.at,
                orient: Orient::N,
                fixed: false,
            }),
        }
    }
}
