//! Finds what is wrong on one metal quickly: rectangles of different nets are compared in pairs, which is exact; what a
//! net may do to itself is only suspected from pairs, and then judged on the raster of [`scan`] around the place.

use nanoflow_layout::{Dbu, Rect};

use crate::access::covered;
use crate::problem::Owner;
use crate::rules::{Metal, Rules, SHORT};
use crate::scan::{scan, Finding, Piece};
use crate::union_find::UnionFind;

/// How far the raster reaches beyond a suspected place: a shape or hole below its least area must lie within.
const AROUND: Dbu = 1200;

/// All findings among `on`, which is sorted by rectangle. Shapes that reach `outer`'s border may go on beyond it, so no
/// area is judged there.
#[must_use]
pub fn screen(rules: &Rules, metal: usize, outer: Rect, on: &[Piece]) -> Vec<Finding> {
    if !on.iter().any(|piece| piece.2) {
        return Vec::new();
    }
    let rule = &rules.metals[metal];
    let mut findings = huge(rules, metal, on);
    let mut suspects: Vec<(Rect, Owner)> = Vec::new();
    let mut sets = UnionFind::new(on.len());
    for (i, a) in on.iter().enumerate() {
        if a.2 && a.0.width().min(a.0.height()) < rule.width {
            suspects.push((a.0, a.1));
        }
        for (j, b) in on.iter().enumerate().skip(i + 1) {
            if b.0.x0 - a.0.x1 >= rule.space {
                break;
            }
            if !(a.2 || b.2) {
                continue;
            }
            if a.1 != b.1 {
                findings.extend(foreign(rule, a, b));
            } else {
                if a.0.touches(&b.0) {
                    sets.join(i, j);
                }
                suspects.extend(own(rule, a, b, on).map(|rect| (rect, a.1)));
            }
        }
    }
    suspects.extend(small(rule, outer, on, &mut sets));
    for (suspect, owner) in gather(suspects) {
        let window = suspect.grow(AROUND);
        // Between nets the pairs have told already.
        let near: Vec<Piece> = on
            .iter()
            .filter(|piece| piece.1 == owner && piece.0.touches(&window))
            .copied()
            .collect();
        let close = suspect.grow(AROUND / 2);
        findings.extend(
            scan(rule, window, &near)
                .into_iter()
                .filter(|finding| finding.rect.touches(&close)),
        );
    }
    findings.sort_unstable();
    findings.dedup();
    findings
}

/// Joins places of one owner that lie close together: the raster around one shows the others too.
fn gather(mut suspects: Vec<(Rect, Owner)>) -> Vec<(Rect, Owner)> {
    suspects.sort_unstable_by_key(|(rect, owner)| (*owner, *rect));
    suspects.dedup();
    let mut places: Vec<(Rect, Owner)> = Vec::new();
    for (rect, owner) in suspects {
        let recent = places.iter_mut().rev().take(4).find(|(place, of)| {
            let joined = place.union(&rect);
            *of == owner && joined.width() <= AROUND && joined.height() <= AROUND
        });
        match recent {
            Some((place, _)) => *place = place.union(&rect),
            None => places.push((rect, owner)),
        }
    }
    places
}

/// The space between two rectangles that do not overlap.
fn gap(a: Rect, b: Rect) -> Rect {
    let span = |a0: Dbu, a1: Dbu, b0: Dbu, b1: Dbu| {
        let (low, high) = (a0.max(b0), a1.min(b1));
        (low.min(high), low.max(high))
    };
    let ((x0, x1), (y0, y1)) = (span(a.x0, a.x1, b.x0, b.x1), span(a.y0, a.y1, b.y0, b.y1));
    Rect { x0, y0, x1, y1 }
}

/// Two rectangles of different owners: exact.
fn foreign(rule: &Metal, a: &Piece, b: &Piece) -> Option<Finding> {
    let distance = a.0.distance_squared(&b.0);
    let mut owners = vec![a.1, b.1];
    owners.sort_unstable();
    if a.0.touches(&b.0) {
        return Some(Finding {
            rule: SHORT,
            rect: gap(a.0, b.0),
            owners,
        });
    }
    (distance < i64::from(rule.space).pow(2)).then(|| Finding {
        rule: rule.rule.space,
        rect: gap(a.0, b.0),
        owners,
    })
}

/// Two rectangles of one owner: a place where they may break a rule.
fn own(rule: &Metal, a: &Piece, b: &Piece, on: &[Piece]) -> Option<Rect> {
    let between = gap(a.0, b.0);
    let (w, h) = (i64::from(between.width()), i64::from(between.height()));
    if a.0.touches(&b.0) {
        // An overlap at corners only, narrower than the least width across, may be a neck.
        return (w * w + h * h < i64::from(rule.width).pow(2)).then_some(between);
    }
    let side = || -> Vec<Rect> {
        on.iter()
            .filter(|piece| piece.1 == a.1 && piece.0.touches(&between))
            .map(|piece| piece.0)
            .collect()
    };
    if a.0.distance_squared(&b.0) < i64::from(rule.space).pow(2) {
        let degenerate = w == 0 || h == 0;
        return (degenerate || !covered(between, &side())).then_some(between);
    }
    // A gap that others of the net may close to a hole that is too small.
    let faces = a.0.x0 < b.0.x1 && b.0.x0 < a.0.x1;
    if !faces || h > rule.hole / i64::from(rule.space.max(1)) {
        return None;
    }
    let strip = Rect {
        x0: between.x0 - AROUND,
        x1: between.x1 + AROUND,
        ..between
    };
    let walls = on
        .iter()
        .filter(|piece| piece.1 == a.1 && piece.0.overlaps(&strip))
        .count();
    (walls >= 2).then_some(between)
}

/// Pieces of metal that may be smaller than the least area.
fn small(rule: &Metal, outer: Rect, on: &[Piece], sets: &mut UnionFind) -> Vec<(Rect, Owner)> {
    struct Sum {
        area: i64,
        largest: i64,
        extent: Rect,
        owner: Owner,
        routed: bool,
    }
    let mut sums: Vec<Option<Sum>> = on.iter().map(|_| None).collect();
    for (index, (rect, owner, routed)) in on.iter().enumerate() {
        let sum = sums[sets.find(index)].get_or_insert(Sum {
            area: 0,
            largest: 0,
            extent: *rect,
            owner: *owner,
            routed: false,
        });
        sum.area += rect.area();
        sum.largest = sum.largest.max(rect.area());
        sum.extent = sum.extent.union(rect);
        sum.routed |= routed;
    }
    let inside = |rect: Rect| {
        outer.x0 < rect.x0 && outer.y0 < rect.y0 && rect.x1 < outer.x1 && rect.y1 < outer.y1
    };
    // Rectangles that overlap count twice in the sum; four deep is more than wiring makes.
    let suspect = |sum: Sum| {
        let is_small = sum.routed && sum.largest < rule.area && sum.area < 4 * rule.area;
        (is_small && inside(sum.extent)).then_some((sum.extent, sum.owner))
    };
    sums.into_iter().flatten().filter_map(suspect).collect()
}

/// Wider spacing next to huge metal.
fn huge(rules: &Rules, metal: usize, on: &[Piece]) -> Vec<Finding> {
    let rule = &rules.metals[metal];
    let mut findings = Vec::new();
    for (rect, owner, _) in on {
        let space = rules.space_of(metal, *rect);
        if space == rule.space {
            continue;
        }
        for (other, other_owner, routed) in on {
            let distance = rect.distance_squared(other);
            if *routed && owner != other_owner && distance > 0 && distance < i64::from(space).pow(2)
            {
                let mut owners = vec![*owner, *other_owner];
                owners.sort_unstable();
                findings.push(Finding {
                    rule: rule.rule.huge,
                    rect: *other,
                    owners,
                });
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleNames;

    fn rules() -> Metal {
        Metal {
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
        }
    }

    /// A small generator (xorshift), so that the cases are the same everywhere.
    struct Random(u64);
    impl Random {
        fn below(&mut self, limit: i32) -> i32 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % limit as u64) as i32
        }
    }

    /// The quick way finds something exactly where the raster of the whole window does.
    #[test]
    fn screening_agrees_with_the_raster() {
        let metal = rules();
        let all = Rules::for_tests(metal);
        let window = Rect::new(-3000, -3000, 7000, 7000);
        let mut random = Random(0x1234_5678_9abc_def1);
        let (mut dirty, mut clean) = (0, 0);
        for case in 0..3000 {
            let mut on: Vec<Piece> = Vec::new();
            for _ in 0..2 + random.below(7) {
                let (x, y) = (random.below(9) * 230, random.below(7) * 340);
                let (dx, dy) = [
                    (70, 70),
                    (160, 130),
                    (145, 115),
                    (70, 410),
                    (300, 70),
                    (530, 70),
                ][random.below(6) as usize];
                let half = if dx > 200 {
                    (70, 70)
                } else {
                    (dx, dy.min(130))
                };
                let rect = Rect {
                    x0: x - half.0,
                    y0: y - half.1,
                    x1: x + dx,
                    y1: y + dy,
                };
                on.push((rect, random.below(2), true));
            }
            on.sort_unstable_by_key(|piece| (piece.0, piece.1));
            let exact = scan(&metal, window, &on);
            let quick = screen(&all, 0, window, &on);
            assert_eq!(
                exact.is_empty(),
                quick.is_empty(),
                "case {case}: {on:?}\nraster {exact:?}\nquick {quick:?}"
            );
            let own = |list: &[Finding]| {
                list.iter()
                    .filter(|f| f.owners.len() == 1)
                    .map(|f| f.rule)
                    .collect::<std::collections::BTreeSet<_>>()
            };
            if !exact.iter().any(|f| f.owners.len() > 1) {
                assert_eq!(own(&exact), own(&quick), "case {case}: {on:?}");
            }
            if exact.is_empty() {
                clean += 1
            } else {
                dirty += 1
            }
        }
        assert!(
            dirty > 500 && clean > 50,
            "{dirty} dirty, {clean} clean cases"
        );
    }
}
