//! Repairs of what a net does wrong to itself: notches, necks, holes and small areas are filled with metal where that
//! leaves fewer violations than before. What cannot be filled is left to another route.

use nanoflow_layout::{Dbu, Rect};

use crate::check::{in_core, Checker, Violation, HALO};
use crate::problem::{Layer, Owner, Shape};
use crate::rules::{Rules, SHORT};
use crate::scan::{Finding, Piece};
use crate::screen::screen;

/// Tries to repair; returns the patches, as (net, metal, rectangle), which `checker` then has too.
pub fn repair(
    checker: &mut Checker,
    rules: &Rules,
    violations: &[Violation],
) -> Vec<(usize, usize, Rect)> {
    let mut patches = Vec::new();
    for violation in violations {
        let (Layer::Metal(metal), [owner]) = (violation.layer, violation.owners.as_slice()) else {
            continue;
        };
        let Ok(net) = usize::try_from(*owner) else {
            continue;
        };
        if violation.rule == SHORT {
            continue;
        }
        let place = Place::new(checker, rules, metal, *owner, violation.rect);
        let before = place.findings(rules, None);
        let known =
            |finding: &Finding| finding.rule == violation.rule && finding.rect == violation.rect;
        if !before.iter().any(known) {
            continue; // an earlier patch has repaired it
        }
        if let Some(rect) = place.best(rules, candidates(rules, metal, violation), before.len()) {
            checker.add(Shape {
                layer: Layer::Metal(metal),
                rect,
                owner: *owner,
                routed: true,
            });
            patches.push((net, metal, rect));
        }
    }
    patches
}

/// The metal around a violation: that of its net, which a patch joins, and that of others, which it must keep away from.
struct Place {
    metal: usize,
    owner: Owner,
    core: Rect,
    own: Vec<Piece>,
    foreign: Vec<Piece>,
}

impl Place {
    fn new(checker: &Checker, rules: &Rules, metal: usize, owner: Owner, violation: Rect) -> Self {
        let core = violation.grow(700);
        let pieces = checker.pieces(metal, core.grow(HALO + rules.metals[metal].space));
        let (own, foreign) = pieces.into_iter().partition(|piece| piece.1 == owner);
        Self {
            metal,
            owner,
            core,
            own,
            foreign,
        }
    }

    /// What the net does wrong to itself here, with one more rectangle. Between nets nothing changes as long as that one
    /// keeps its distance.
    fn findings(&self, rules: &Rules, extra: Option<Rect>) -> Vec<Finding> {
        let mut on = self.own.clone();
        on.extend(extra.map(|rect| (rect, self.owner, true)));
        on.sort_unstable_by_key(|piece| (piece.0, piece.1));
        let mut findings = screen(rules, self.metal, self.core.grow(HALO), &on);
        findings.retain(|finding| in_core(self.core, finding.rect));
        findings
    }

    fn keeps_distance(&self, rules: &Rules, rect: Rect) -> bool {
        self.foreign.iter().all(|piece| {
            let space = i64::from(rules.space_of(self.metal, piece.0));
            rect.distance_squared(&piece.0) >= space * space
        })
    }

    /// The smallest rectangle that leaves fewest findings, and fewer than `before`.
    fn best(&self, rules: &Rules, mut candidates: Vec<Rect>, before: usize) -> Option<Rect> {
        candidates.sort_by_key(|rect| (rect.area(), *rect));
        let mut best: Option<(usize, Rect)> = None;
        for rect in candidates {
            if !self.keeps_distance(rules, rect) {
                continue;
            }
            let left = self.findings(rules, Some(rect)).len();
            if left < best.map_or(before, |(least, _)| least) {
                best = Some((left, rect));
            }
            if left == 0 {
                break;
            }
        }
        best.map(|(_, rect)| rect)
    }
}

/// Rectangles that may close the place of a violation.
fn candidates(rules: &Rules, metal: usize, violation: &Violation) -> Vec<Rect> {
    let rule = &rules.metals[metal];
    let rect = violation.rect;
    let mut list = Vec::new();
    if violation.rule == rule.rule.hole {
        list.push(rect);
    } else if violation.rule == rule.rule.area {
        for (width, height) in [(rule.width, 0), (0, rule.width)] {
            let (w, h) = (rect.width().max(width), rect.height().max(height));
            let long = |across: Dbu| {
                round_up(((rule.area + i64::from(across) - 1) / i64::from(across.max(1))) as Dbu)
            };
            let (x, y) = (long(h), long(w));
            list.extend([
                Rect {
                    x1: rect.x0 + x,
                    ..rect
                },
                Rect {
                    x0: rect.x1 - x,
                    ..rect
                },
            ]);
            list.extend([
                Rect {
                    y1: rect.y0 + y,
                    ..rect
                },
                Rect {
                    y0: rect.y1 - y,
                    ..rect
                },
            ]);
        }
    } else {
        // The gap itself, widened to the least width where it would be a sliver, to either side.
        let (w, h) = (rule.width.max(rect.width()), rule.width.max(rect.height()));
        let xs = [
            (rect.x0, rect.x1),
            (rect.x0, rect.x0 + w),
            (rect.x1 - w, rect.x1),
            middle(rect.x0, rect.x1, w),
        ];
        let ys = [
            (rect.y0, rect.y1),
            (rect.y0, rect.y0 + h),
            (rect.y1 - h, rect.y1),
            middle(rect.y0, rect.y1, h),
        ];
        for (x0, x1) in xs {
            for (y0, y1) in ys {
                list.push(Rect { x0, y0, x1, y1 });
            }
        }
        for by in [60, 100, 140, 215] {
            list.push(rect.grow(by));
        }
    }
    list.retain(|rect| rect.width() > 0 && rect.height() > 0);
    list.sort_unstable();
    list.dedup();
    list
}

/// A span of `length` around the middle of another, on the manufacturing grid.
fn middle(low: Dbu, high: Dbu, length: Dbu) -> (Dbu, Dbu) {
    let grid = nanoflow_layout::tech::GRID;
    let start = (low + high - length).div_euclid(2 * grid) * grid;
    (start, start + length)
}

fn round_up(length: Dbu) -> Dbu {
    let grid = nanoflow_layout::tech::GRID;
    (length + grid - 1).div_euclid(grid) * grid
}
