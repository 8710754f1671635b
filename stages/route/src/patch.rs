//! Repairs of what a net does wrong to itself: notches, necks, holes and small areas are filled with metal where that
//! leaves fewer violations than before. What cannot be filled is left to another route.

use nanoflow_layout::{Dbu, Rect};

use crate::check::{Checker, Violation};
use crate::problem::{Layer, Shape};
use crate::rules::{Rules, SHORT};

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
        let around = violation.rect.grow(700);
        let before = checker.metal_window(metal, around, &[]);
        if !before.contains(violation) {
            continue; // an earlier patch has repaired it
        }
        let shape = |rect: Rect| Shape {
            layer: Layer::Metal(metal),
            rect,
            owner: *owner,
            routed: true,
        };
        // A patch must not come too near to another net, however much it mends.
        let foreign = |found: &[Violation]| {
            found
                .iter()
                .filter(|violation| violation.owners.len() > 1)
                .count()
        };
        let most = foreign(&before);
        let best = candidates(rules, metal, violation)
            .into_iter()
            .map(|rect| (checker.metal_window(metal, around, &[shape(rect)]), rect))
            .filter(|(after, _)| after.len() < before.len() && foreign(after) <= most)
            .map(|(after, rect)| (after.len(), rect.area(), rect))
            .min();
        if let Some((_, _, rect)) = best {
            checker.add(shape(rect));
            patches.push((net, metal, rect));
        }
    }
    patches
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
