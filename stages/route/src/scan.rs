//! Exact rules of one metal within a small window.
//!
//! The window is cut along all edges of its shapes. On this raster of cells, covered or not, shapes merge by
//! themselves: width and spacing are distances of facing edges of the merged shapes, whatever nets they belong to, holes
//! and areas are connected cells. That is what a mask checker sees.

use nanoflow_layout::{Dbu, Rect};

use crate::problem::Owner;
use crate::rules::{Metal, SHORT};

/// A rule that is broken at a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub rule: &'static str,
    pub rect: Rect,
    /// Owners of the shapes involved, in rising order.
    pub owners: Vec<Owner>,
}

/// A rectangle of the metal, its owner, and whether the router drew it.
pub type Piece = (Rect, Owner, bool);

const EMPTY: Owner = Owner::MIN;

/// Everything that is wrong in `window`. Shapes that reach out of it are cut there, and what the cut makes look wrong
/// (a width, area or hole at the window's border) is not reported. A rule is only reported where the router drew.
#[must_use]
pub fn scan(rule: &Metal, window: Rect, pieces: &[Piece]) -> Vec<Finding> {
    let raster = match Raster::new(window, pieces) {
        Some(raster) => raster,
        None => return Vec::new(),
    };
    let mut found = raster.shorts();
    for vertical in [true, false] {
        let edges = raster.edges(vertical);
        facing(&edges, vertical, rule, &mut found);
    }
    raster.regions(rule, &mut found);
    for finding in &mut found {
        finding.owners.sort_unstable();
        finding.owners.dedup();
    }
    found.sort_unstable();
    found.dedup();
    found
}

struct Raster {
    xs: Vec<Dbu>,
    ys: Vec<Dbu>,
    columns: usize,
    rows: usize,
    owner: Vec<Owner>,
    routed: Vec<bool>,
    shorts: Vec<(Rect, Owner, Owner)>,
}

/// A piece of outline along x or y: `at` is the position across, `low..high` the extent along.
struct Edge {
    at: Dbu,
    low: Dbu,
    high: Dbu,
    /// Metal lies on the side of higher coordinates.
    metal_above: bool,
    owner: Owner,
    routed: bool,
}

impl Raster {
    fn new(window: Rect, pieces: &[Piece]) -> Option<Self> {
        if !pieces.iter().any(|piece| piece.2) {
            return None;
        }
        let mut xs = vec![window.x0, window.x1];
        let mut ys = vec![window.y0, window.y1];
        for (rect, ..) in pieces {
            xs.extend([
                rect.x0.clamp(window.x0, window.x1),
                rect.x1.clamp(window.x0, window.x1),
            ]);
            ys.extend([
                rect.y0.clamp(window.y0, window.y1),
                rect.y1.clamp(window.y0, window.y1),
            ]);
        }
        for list in [&mut xs, &mut ys] {
            list.sort_unstable();
            list.dedup();
        }
        let (columns, rows) = (xs.len() - 1, ys.len() - 1);
        let mut raster = Self {
            xs,
            ys,
            columns,
            rows,
            owner: vec![EMPTY; columns * rows],
            routed: vec![false; columns * rows],
            shorts: Vec::new(),
        };
        pieces.iter().for_each(|piece| raster.paint(window, piece));
        Some(raster)
    }

    fn paint(&mut self, window: Rect, (rect, owner, routed): &Piece) {
        let Some(cut) = rect.intersection(&window) else {
            return;
        };
        let index = |list: &[Dbu], value: Dbu| list.partition_point(|&v| v < value);
        let (i0, i1) = (index(&self.xs, cut.x0), index(&self.xs, cut.x1));
        let (j0, j1) = (index(&self.ys, cut.y0), index(&self.ys, cut.y1));
        for j in j0..j1 {
            for i in i0..i1 {
                let k = j * self.columns + i;
                if self.owner[k] != EMPTY && self.owner[k] != *owner && (*routed || self.routed[k])
                {
                    self.shorts.push((cut, self.owner[k], *owner));
                }
                self.owner[k] = *owner;
                self.routed[k] |= routed;
            }
        }
    }

    /// Overlaps of different owners, and shapes of different owners that abut.
    fn shorts(&self) -> Vec<Finding> {
        let short = |rect: Rect, a: Owner, b: Owner| Finding {
            rule: SHORT,
            rect,
            owners: vec![a, b],
        };
        let mut found: Vec<Finding> = self
            .shorts
            .iter()
            .map(|&(rect, a, b)| short(rect, a, b))
            .collect();
        let mut abut = |k: usize, m: usize, rect: Rect| {
            let (a, b) = (self.owner[k], self.owner[m]);
            if a != EMPTY && b != EMPTY && a != b && (self.routed[k] || self.routed[m]) {
                found.push(short(rect, a, b));
            }
        };
        for j in 0..self.rows {
            for i in 0..self.columns {
                let k = j * self.columns + i;
                let rect = Rect {
                    x0: self.xs[i],
                    y0: self.ys[j],
                    x1: self.xs[i + 1],
                    y1: self.ys[j + 1],
                };
                if i + 1 < self.columns {
                    abut(k, k + 1, rect);
                }
                if j + 1 < self.rows {
                    abut(k, k + self.columns, rect);
                }
            }
        }
        found
    }

    /// The outline of the merged shapes, without the window's border, sorted by position.
    fn edges(&self, vertical: bool) -> Vec<Edge> {
        let (across, along) = if vertical {
            (self.columns, self.rows)
        } else {
            (self.rows, self.columns)
        };
        let (positions, extents) = if vertical {
            (&self.xs, &self.ys)
        } else {
            (&self.ys, &self.xs)
        };
        let cell = |a: usize, b: usize| {
            if vertical {
                b * self.columns + a
            } else {
                a * self.columns + b
            }
        };
        let mut edges: Vec<Edge> = Vec::new();
        for (a, &at) in positions.iter().enumerate().take(across).skip(1) {
            let mut open = false;
            for b in 0..along {
                let (below, above) = (cell(a - 1, b), cell(a, b));
                let (metal_below, metal_above) =
                    (self.owner[below] != EMPTY, self.owner[above] != EMPTY);
                if metal_below == metal_above {
                    open = false;
                    continue;
                }
                let metal = if metal_above { above } else { below };
                let (owner, routed) = (self.owner[metal], self.routed[metal]);
                match edges.last_mut() {
                    Some(last)
                        if open && last.metal_above == metal_above && last.owner == owner =>
                    {
                        last.high = extents[b + 1];
                        last.routed |= routed;
                    }
                    _ => edges.push(Edge {
                        at,
                        low: extents[b],
                        high: extents[b + 1],
                        metal_above,
                        owner,
                        routed,
                    }),
                }
                open = true;
            }
        }
        edges
    }

    /// Least areas and holes: connected cells that do not reach the window's border.
    fn regions(&self, rule: &Metal, found: &mut Vec<Finding>) {
        let mut seen = vec![false; self.owner.len()];
        let mut stack = Vec::new();
        for start in 0..self.owner.len() {
            if seen[start] {
                continue;
            }
            let filled = self.owner[start] != EMPTY;
            let (mut area, mut border, mut routed) = (0i64, false, false);
            let mut around: Option<Rect> = None;
            let mut owners: Vec<Owner> = Vec::new();
            seen[start] = true;
            stack.push(start);
            while let Some(k) = stack.pop() {
                let (i, j) = (k % self.columns, k / self.columns);
                let rect = Rect {
                    x0: self.xs[i],
                    y0: self.ys[j],
                    x1: self.xs[i + 1],
                    y1: self.ys[j + 1],
                };
                area += rect.area();
                around = Some(around.map_or(rect, |all| all.union(&rect)));
                routed |= self.routed[k];
                if filled && owners.last() != Some(&self.owner[k]) {
                    owners.push(self.owner[k]);
                }
                border |= i == 0 || j == 0 || i + 1 == self.columns || j + 1 == self.rows;
                let neighbours = [
                    (i > 0).then(|| k - 1),
                    (i + 1 < self.columns).then(|| k + 1),
                    (j > 0).then(|| k - self.columns),
                    (j + 1 < self.rows).then(|| k + self.columns),
                ];
                for next in neighbours.into_iter().flatten() {
                    let same = (self.owner[next] != EMPTY) == filled;
                    if same && !seen[next] {
                        seen[next] = true;
                        stack.push(next);
                    } else if !same && !filled {
                        routed |= self.routed[next];
                        owners.push(self.owner[next]);
                    }
                }
            }
            let Some(rect) = around else { continue };
            let (least, name) = if filled {
                (rule.area, rule.rule.area)
            } else {
                (rule.hole, rule.rule.hole)
            };
            if !border && routed && area < least {
                found.push(Finding {
                    rule: name,
                    rect,
                    owners,
                });
            }
        }
    }
}

/// Pairs of facing edges that are too near: across metal a width, across empty space a spacing. Corners count with
/// their Euclidean distance.
fn facing(edges: &[Edge], vertical: bool, rule: &Metal, found: &mut Vec<Finding>) {
    let reach = rule.width.max(rule.space);
    for (k, a) in edges.iter().enumerate() {
        for b in &edges[k..] {
            let across = b.at - a.at;
            if across >= reach {
                break;
            }
            if a.metal_above == b.metal_above || !(a.routed || b.routed) {
                continue;
            }
            // At equal positions corners kiss or face each other along the edge: a spacing.
            let width = across > 0 && a.metal_above;
            let least = if width { rule.width } else { rule.space };
            let along = i64::from((b.low - a.high).max(a.low - b.high).max(0));
            if i64::from(across).pow(2) + along * along >= i64::from(least).pow(2) {
                continue;
            }
            let (low, high) = (
                a.high.min(b.high).min(a.low.max(b.low)),
                a.low.max(b.low).max(a.high.min(b.high)),
            );
            let rect = if vertical {
                Rect {
                    x0: a.at,
                    y0: low,
                    x1: b.at,
                    y1: high,
                }
            } else {
                Rect {
                    x0: low,
                    y0: a.at,
                    x1: high,
                    y1: b.at,
                }
            };
            let name = if width {
                rule.rule.width
            } else {
                rule.rule.space
            };
            found.push(Finding {
                rule: name,
                rect,
                owners: vec![a.owner, b.owner],
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleNames;

    const RULE: Metal = Metal {
        name: "met1",
        width: 140,
        space: 140,
        huge: None,
        area: 83_000,
        hole: 140_000,
        antenna_thickness: 350,
        rule: RuleNames {
            width: "width",
            space: "space",
            huge: "huge",
            area: "area",
            hole: "hole",
        },
    };

    fn rules(pieces: &[(i32, i32, i32, i32, Owner)]) -> Vec<&'static str> {
        let pieces: Vec<Piece> = pieces
            .iter()
            .map(|&(a, b, c, d, o)| (Rect::new(a, b, c, d), o, true))
            .collect();
        let mut names: Vec<_> = scan(&RULE, Rect::new(-5000, -5000, 5000, 5000), &pieces)
            .iter()
            .map(|f| f.rule)
            .collect();
        names.dedup();
        names
    }

    #[test]
    fn a_legal_pair_is_clean() {
        assert!(rules(&[(0, 0, 140, 1000, 1), (280, 0, 420, 1000, 2)]).is_empty());
        // Three overlapping shapes of one net that make an L.
        assert!(rules(&[
            (0, 0, 140, 1000, 1),
            (0, 0, 1000, 140, 1),
            (0, 0, 300, 300, 1)
        ])
        .is_empty());
    }

    #[test]
    fn spacing_along_and_across_corners() {
        assert_eq!(
            rules(&[(0, 0, 140, 1000, 1), (275, 0, 420, 1000, 2)]),
            ["space"]
        );
        assert_eq!(
            rules(&[(0, 0, 140, 1000, 1), (230, 1090, 370, 2000, 2)]),
            ["space"],
            "corner at 127 nm"
        );
        assert!(
            rules(&[(0, 0, 140, 1000, 1), (240, 1100, 380, 2000, 2)]).is_empty(),
            "corner at 141 nm"
        );
        assert_eq!(
            rules(&[(0, 0, 140, 1000, 1), (140, 1000, 280, 2000, 2)]),
            ["space"],
            "corners that kiss"
        );
        assert_eq!(
            rules(&[(0, 0, 140, 1000, 1), (0, 1100, 140, 2000, 2)]),
            ["space"],
            "end to end"
        );
    }

    #[test]
    fn a_notch_of_one_net_counts() {
        assert_eq!(
            rules(&[
                (0, 0, 140, 1000, 1),
                (240, 0, 380, 1000, 1),
                (0, 0, 380, 140, 1)
            ]),
            ["space"]
        );
    }

    #[test]
    fn widths_and_necks() {
        assert_eq!(rules(&[(0, 0, 135, 1000, 1)]), ["width"]);
        // Two wires that overlap in a corner of 80 × 80: a diagonal neck of 113.
        assert_eq!(
            rules(&[(0, 0, 1000, 140, 1), (920, 60, 1060, 1000, 1)]),
            ["width"]
        );
        assert!(rules(&[(0, 0, 1000, 140, 1), (860, 0, 1000, 1000, 1)]).is_empty());
    }

    #[test]
    fn areas_holes_and_shorts() {
        assert_eq!(rules(&[(0, 0, 290, 230, 1)]), ["area"]);
        let ring = [
            (0, 0, 640, 140, 1),
            (0, 500, 640, 640, 1),
            (0, 0, 140, 640, 1),
            (500, 0, 640, 640, 1),
        ];
        assert_eq!(rules(&ring), ["hole"]);
        assert_eq!(
            rules(&[(0, 0, 140, 1000, 1), (0, 900, 140, 2000, 2)]),
            ["short"]
        );
        assert_eq!(
            rules(&[(0, 0, 140, 1000, 1), (0, 1000, 140, 2000, 2)]),
            ["short"],
            "abutting"
        );
    }

    #[test]
    fn what_the_router_did_not_draw_is_not_its_fault() {
        let pieces = [
            (Rect::new(0, 0, 100, 1000), 1, false),
            (Rect::new(2000, 0, 2140, 1000), 2, true),
        ];
        assert!(scan(&RULE, Rect::new(-5000, -5000, 5000, 5000), &pieces).is_empty());
    }
}
