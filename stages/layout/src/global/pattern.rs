//! Bent lines between two squares: straight, with one bend, or with two.

use super::grid::Square;
use super::router::Roads;

/// Most places of the middle piece of a line with two bends that are tried on each axis.
const MOST_MIDDLES: usize = 12;

/// The squares of the cheapest bent line from `from` to `to`, both included.
pub(super) fn line(roads: &Roads, from: Square, to: Square) -> Vec<Square> {
    let grid = &roads.grid;
    let ((ax, ay), (bx, by)) = (grid.split(from), grid.split(to));
    if ax == bx || ay == by {
        return walk(roads, &[(ax, ay), (bx, by)]).1;
    }
    let mut best: Option<(u32, Vec<Square>)> = None;
    let mut attempt = |corners: &[(usize, usize)]| {
        let (cost, squares) = walk(roads, corners);
        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
            best = Some((cost, squares));
        }
    };
    for x in middles(ax, bx) {
        attempt(&[(ax, ay), (x, ay), (x, by), (bx, by)]);
    }
    for y in middles(ay, by) {
        attempt(&[(ax, ay), (ax, y), (bx, y), (bx, by)]);
    }
    best.map(|(_, squares)| squares).unwrap_or_default()
}

/// Some values from `a` to `b`, both included.
fn middles(a: usize, b: usize) -> impl Iterator<Item = usize> {
    let (low, high) = (a.min(b), a.max(b));
    let step = (high - low).div_ceil(MOST_MIDDLES).max(1);
    (low..high).step_by(step).chain([high])
}

/// Cost and squares of the line through some corners.
fn walk(roads: &Roads, corners: &[(usize, usize)]) -> (u32, Vec<Square>) {
    let grid = &roads.grid;
    let mut squares: Vec<Square> = Vec::new();
    let (mut cost, mut bends) = (0u32, 0u32);
    let mut came: Option<bool> = None;
    let Some(&(mut x, mut y)) = corners.first() else {
        return (0, squares);
    };
    squares.push(grid.square(x, y));
    for &(to_x, to_y) in &corners[1..] {
        while (x, y) != (to_x, to_y) {
            let before = grid.square(x, y);
            let sideways = x != to_x;
            if sideways {
                x = if x < to_x { x + 1 } else { x - 1 };
            } else {
                y = if y < to_y { y + 1 } else { y - 1 };
            }
            bends += u32::from(came.is_some_and(|came| came != sideways));
            came = Some(sideways);
            let square = grid.square(x, y);
            cost += roads.price[grid.between(before, square) as usize];
            squares.push(square);
        }
    }
    (cost + bends * roads.bend, squares)
}
