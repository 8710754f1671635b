//! Fixed shapes in small bins, for many questions about what is close to a place.

use nanoflow_layout::{Dbu, Rect};

use crate::problem::Shape;

/// Side of a bin: some times the spacing that is asked about, and about the size of a cell's pins.
const BIN: Dbu = 1500;

pub struct Nearby {
    die: Rect,
    columns: usize,
    rows: usize,
    bins: Vec<Vec<Shape>>,
}

impl Nearby {
    #[must_use]
    pub fn new<'a>(die: Rect, shapes: impl Iterator<Item = &'a Shape>) -> Self {
        let count = |length: Dbu| (length.max(0) / BIN + 1) as usize;
        let (columns, rows) = (count(die.width()), count(die.height()));
        let mut nearby = Self {
            die,
            columns,
            rows,
            bins: vec![Vec::new(); columns * rows],
        };
        for shape in shapes {
            let (x, y) = nearby.range(shape.rect);
            for row in y.0..=y.1 {
                for column in x.0..=x.1 {
                    nearby.bins[row * columns + column].push(*shape);
                }
            }
        }
        nearby
    }

    /// Bins that a rectangle touches, as ranges of columns and rows; what lies beyond the die belongs to its border.
    fn range(&self, rect: Rect) -> ((usize, usize), (usize, usize)) {
        let index = |value: Dbu, low: Dbu, count: usize| {
            ((value - low) / BIN).clamp(0, count as Dbu - 1) as usize
        };
        (
            (
                index(rect.x0, self.die.x0, self.columns),
                index(rect.x1, self.die.x0, self.columns),
            ),
            (
                index(rect.y0, self.die.y0, self.rows),
                index(rect.y1, self.die.y0, self.rows),
            ),
        )
    }

    /// Does `holds` hold for every shape that touches `area`? It may be asked about a shape more than once.
    pub fn all(&self, area: Rect, mut holds: impl FnMut(&Shape) -> bool) -> bool {
        let (x, y) = self.range(area);
        (y.0..=y.1).all(|row| {
            self.bins[row * self.columns + x.0..=row * self.columns + x.1]
                .iter()
                .flatten()
                .all(|shape| !shape.rect.touches(&area) || holds(shape))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Layer;

    /// Every shape that touches an area is seen, and no other, also across bins and at the die's border.
    #[test]
    fn sees_what_a_look_at_all_shapes_sees() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut below = |limit: i32| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % limit as u64) as i32
        };
        let mut rect = |size: i32| {
            let (x, y) = (below(24_000) - 2000, below(14_000) - 2000);
            Rect::new(x, y, x + below(size), y + below(size))
        };
        let shapes: Vec<Shape> = (0..400)
            .map(|owner| Shape {
                layer: Layer::Metal(0),
                rect: rect(if owner % 40 == 0 { 12_000 } else { 600 }),
                owner,
                routed: false,
            })
            .collect();
        let nearby = Nearby::new(Rect::new(0, 0, 20_000, 10_000), shapes.iter());
        for _ in 0..500 {
            let area = rect(900);
            let mut seen = Vec::new();
            assert!(nearby.all(area, |shape| {
                seen.push(shape.owner);
                true
            }));
            seen.sort_unstable();
            seen.dedup();
            let expected: Vec<i32> = shapes
                .iter()
                .filter(|shape| shape.rect.touches(&area))
                .map(|shape| shape.owner)
                .collect();
            assert_eq!(seen, expected, "{area:?}");
            assert_eq!(nearby.all(area, |_| false), expected.is_empty());
        }
    }
}
