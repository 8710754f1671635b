//! Library cells that must not stand side by side, and the pass that keeps them apart.
//!
//! The cells of sky130_fd_sc_hd fit beside each other, but for one layer: npc, the opening around contacts on poly, ends so
//! near the edge of some cells that two of them leave a notch narrower than 0.27 µm (rule npc.2; and3_1 beside conb_1
//! leaves 0.255). Of all pairs of cells that the shipped flow uses, in both orientations, no other rule of the deck breaks.

use std::collections::BTreeMap;

use nanoflow_layout::gds::{ElementKind, LayerSpec, Library};
use nanoflow_layout::lef::Tech;
use nanoflow_layout::{Dbu, Point};

use crate::detail::Detail;

/// Drawing of npc and its least space (SkyWater docs/rules/periphery, npc.2).
const NPC: LayerSpec = LayerSpec::new(95, 20);
const SPACE: Dbu = 270;

/// How near to one side of a cell npc comes, at heights from `y0` to `y1`; negative beyond the side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reach {
    y0: Dbu,
    y1: Dbu,
    depth: Dbu,
}

type Side = Vec<Reach>;

/// What lies near the sides of each library cell.
#[derive(Debug, Clone, Default)]
pub struct Neighbours {
    /// By name of the cell: left and right side.
    sides: BTreeMap<String, [Side; 2]>,
}

impl Neighbours {
    /// Reads the sides of all cells that are in both the layout and the LEF files.
    #[must_use]
    pub fn new(layout: &Library, tech: &Tech) -> Self {
        let mut found = Self::default();
        for structure in &layout.structures {
            let Ok(cell) = tech.cell(structure.name()) else {
                continue;
            };
            for element in structure.elements() {
                if let ElementKind::Boundary { layer: NPC, points } = &element.kind {
                    found.add(structure.name(), cell.width, points);
                }
            }
        }
        found
    }

    /// Adds a polygon of npc, its edges horizontal and vertical, to a cell of this width.
    pub fn add(&mut self, cell: &str, width: Dbu, polygon: &[Point]) {
        let sides = self.sides.entry(cell.to_string()).or_default();
        let mut heights: Vec<Dbu> = polygon.iter().map(|point| point.y).collect();
        heights.sort_unstable();
        heights.dedup();
        for (&y0, &y1) in heights.iter().zip(heights.iter().skip(1)) {
            let next = polygon.iter().cycle().skip(1);
            let upright = polygon.iter().zip(next).filter(|(from, to)| {
                from.x == to.x && from.y.min(to.y) <= y0 && from.y.max(to.y) >= y1
            });
            let (low, high) = upright.fold((Dbu::MAX, Dbu::MIN), |(low, high), (from, _)| {
                (low.min(from.x), high.max(from.x))
            });
            if low > high {
                continue;
            }
            for (side, depth) in sides.iter_mut().zip([low, width - high]) {
                if depth < SPACE {
                    side.push(Reach { y0, y1, depth });
                }
            }
        }
    }

    /// Whether two cells, each with whether it is mirrored, break the rule when `right` abuts `left`.
    #[must_use]
    pub fn clash(&self, left: (&str, bool), right: (&str, bool)) -> bool {
        let side = |(cell, mirrored): (&str, bool), right: bool| {
            self.sides
                .get(cell)
                .map(|sides| &sides[usize::from(right != mirrored)])
        };
        let (Some(left), Some(right)) = (side(left, true), side(right, false)) else {
            return false;
        };
        let mut heights: Vec<Dbu> = left
            .iter()
            .chain(right)
            .flat_map(|reach| [reach.y0, reach.y1])
            .collect();
        heights.sort_unstable();
        heights.dedup();
        // At one height only what comes nearest to the side counts: it may be part of a shape that meets the other
        // cell's elsewhere and leaves a notch here.
        heights
            .iter()
            .zip(heights.iter().skip(1))
            .any(|(&y0, &y1)| {
                let depth = |side: &Side| {
                    side.iter()
                        .filter(|reach| reach.y0 <= y0 && reach.y1 >= y1)
                        .map(|reach| reach.depth)
                        .min()
                };
                let (Some(left), Some(right)) = (depth(left), depth(right)) else {
                    return false;
                };
                (1..SPACE).contains(&(left + right))
            })
    }
}

/// Two cells of the placement that still clash: there was no free site to put between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clash {
    pub left: usize,
    pub right: usize,
}

/// Rounds over a stretch before it is given up.
const ROUNDS: usize = 50;

/// Mirrors cells, or moves them to free sites, until no two neighbours clash. `name` gives the library cell of a cell.
///
/// # Errors
/// When a row has no free site where one is needed.
pub fn separate<'n>(
    detail: &mut Detail,
    neighbours: &Neighbours,
    name: &dyn Fn(usize) -> &'n str,
) -> Result<usize, Clash> {
    let mut changed = 0;
    for stretch in 0..detail.stretches() {
        let mut left_to_do = ROUNDS + detail.cells_of(stretch).len();
        while let Some(index) = first_clash(detail, neighbours, name, stretch) {
            let (left, right) = pair(detail, stretch, index);
            let cured = left_to_do > 0
                && (mirror(detail, neighbours, name, stretch, index)
                    || detail.open_site(stretch, index));
            if !cured {
                return Err(Clash { left, right });
            }
            left_to_do -= 1;
            changed += 1;
        }
    }
    Ok(changed)
}

fn pair(detail: &Detail, stretch: usize, index: usize) -> (usize, usize) {
    let cells = detail.cells_of(stretch);
    (cells[index] as usize, cells[index + 1] as usize)
}

fn first_clash<'n>(
    detail: &Detail,
    neighbours: &Neighbours,
    name: &dyn Fn(usize) -> &'n str,
    stretch: usize,
) -> Option<usize> {
    let last = detail.cells_of(stretch).len().saturating_sub(1);
    (0..last).find(|&index| clashes_at(detail, neighbours, name, stretch, index))
}

/// Whether the cells at places `index` and `index + 1` of a stretch abut and clash.
fn clashes_at<'n>(
    detail: &Detail,
    neighbours: &Neighbours,
    name: &dyn Fn(usize) -> &'n str,
    stretch: usize,
    index: usize,
) -> bool {
    if index + 1 >= detail.cells_of(stretch).len() {
        return false;
    }
    let (left, right) = pair(detail, stretch, index);
    let side = |cell: usize| (name(cell), detail.flipped[cell]);
    detail.abut(left, right) && neighbours.clash(side(left), side(right))
}

/// Mirrors one of the two cells at `index`, the one that lengthens wires least, if that leaves no clash around it.
fn mirror<'n>(
    detail: &mut Detail,
    neighbours: &Neighbours,
    name: &dyn Fn(usize) -> &'n str,
    stretch: usize,
    index: usize,
) -> bool {
    let mut best: Option<(i64, usize)> = None;
    for place in [index, index + 1] {
        let cell = detail.cells_of(stretch)[place] as usize;
        let before = detail.hpwl();
        detail.mirror(cell);
        let clashes = (place.saturating_sub(1)..=place)
            .any(|at| clashes_at(detail, neighbours, name, stretch, at));
        let longer = detail.hpwl() - before;
        detail.mirror(cell);
        if !clashes && best.is_none_or(|(least, _)| longer < least) {
            best = Some((longer, cell));
        }
    }
    if let Some((_, cell)) = best {
        detail.mirror(cell);
    }
    best.is_some()
}

#[cfg(test)]
mod tests {
    use nanoflow_layout::{Orient, Rect};

    use super::*;
    use crate::legal::Legal;
    use crate::problem::{Cell, PlaceRow, Problem, Segment};

    fn square(x0: Dbu, x1: Dbu) -> Vec<Point> {
        [(x0, 800), (x0, 1200), (x1, 1200), (x1, 800)]
            .map(|(x, y)| Point::new(x, y))
            .to_vec()
    }

    /// `near` has npc 100 from its left side, `far` 200 from both sides, `over` reaches beyond its right side.
    fn sides() -> Neighbours {
        let mut found = Neighbours::default();
        found.add("near", 2000, &square(100, 500));
        found.add("far", 2000, &square(200, 1800));
        found.add("over", 2000, &square(1500, 2100));
        found
    }

    #[test]
    fn npc_nearer_than_its_least_space_clashes_in_each_orientation() {
        let sides = sides();
        // 100 + 100, then 100 + 200 from side to side.
        assert!(sides.clash(("near", true), ("near", false)));
        assert!(!sides.clash(("far", false), ("near", false)));
        assert!(!sides.clash(("near", false), ("near", false)));
        assert!(!sides.clash(("near", true), ("near", true)));
        // Shapes that meet are one.
        assert!(!sides.clash(("over", false), ("near", false)));
        assert!(!sides.clash(("unknown", false), ("near", false)));
        // Shapes that meet at one height and leave a notch at another.
        let mut notch = Neighbours::default();
        let step = [
            (0, 900),
            (0, 1300),
            (900, 1300),
            (900, 100),
            (255, 100),
            (255, 900),
        ];
        notch.add("step", 2000, &step.map(|(x, y)| Point::new(x, y)));
        let bar = [(0, 700), (0, 1300), (900, 1300), (900, 700)];
        notch.add("bar", 2000, &bar.map(|(x, y)| Point::new(x, y)));
        assert!(notch.clash(("bar", true), ("step", false)));
        assert!(!notch.clash(("bar", true), ("bar", false)));
    }

    /// A row of three cells, each two sites wide, that take all its seven sites.
    fn full_row() -> Problem {
        let cell = |component| Cell {
            component,
            width: 920,
            pins: 0,
        };
        Problem {
            cells: (0..3).map(cell).collect(),
            net_start: vec![0],
            cell_start: vec![0; 4],
            rows: vec![PlaceRow {
                y: 0,
                x0: 0,
                x1: 3220,
                orient: Orient::N,
            }],
            segments: vec![Segment {
                row: 0,
                x0: 0,
                x1: 3220,
            }],
            site_width: 460,
            row_height: 2720,
            core: Rect::new(0, 0, 3220, 2720),
            ..Problem::default()
        }
    }

    fn legal(sites: [i32; 3]) -> Legal {
        Legal {
            segment: vec![0; 3],
            site: vec![0, sites[0], sites[0] + sites[1]],
            sites: sites.to_vec(),
        }
    }

    #[test]
    fn what_mirroring_does_not_cure_gets_a_site_between() {
        let mut sides = Neighbours::default();
        // npc from side to side clashes in every orientation.
        sides.add("wide", 920, &square(100, 820));
        let name = |cell: usize| ["wide", "wide", "plain"][cell];
        let problem = full_row();
        // The third cell has a site of room that it must give up.
        let mut detail = Detail::new(&problem, legal([2, 2, 3]), vec![false; 3]);
        assert_eq!(separate(&mut detail, &sides, &name), Ok(1));
        assert_eq!(detail.legal.site, [0, 3, 5]);
        detail.check().unwrap();
        // A row without room: six sites for three cells.
        let mut tight = full_row();
        (tight.segments[0].x1, tight.rows[0].x1) = (2760, 2760);
        let mut detail = Detail::new(&tight, legal([2, 2, 2]), vec![false; 3]);
        let clash = separate(&mut detail, &sides, &name).unwrap_err();
        assert_eq!((clash.left, clash.right), (0, 1));
    }

    #[test]
    fn mirroring_cures_a_side_and_makes_no_other_clash() {
        let mut sides = Neighbours::default();
        sides.add("one", 920, &square(100, 300));
        let name = |_: usize| "one";
        let problem = full_row();
        // Left sides of the first two face each other.
        let mut detail = Detail::new(&problem, legal([2, 2, 2]), vec![true, false, false]);
        assert!(separate(&mut detail, &sides, &name).is_ok());
        let facing = detail.flipped.windows(2).any(|pair| pair[0] && !pair[1]);
        assert!(!facing, "{:?}", detail.flipped);
        assert_eq!(detail.legal.site, [0, 2, 4]);
    }
}
