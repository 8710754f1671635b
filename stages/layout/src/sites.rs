//! Which sites of the rows are taken: for stages that add a few cells to a placed design.

use crate::def::{Design, Placement};
use crate::lef::Tech;
use crate::{Dbu, LayoutError, Orient, Point};

/// The rows' sites.
pub struct Sites {
    rows: Vec<SiteRow>,
    step: Dbu,
}

struct SiteRow {
    origin: Point,
    orient: Orient,
    taken: Vec<bool>,
}

impl Sites {
    /// Marks the sites of all placed components.
    ///
    /// # Errors
    /// When there are no rows, or a cell is unknown.
    pub fn of(design: &Design, tech: &Tech) -> Result<Self, LayoutError> {
        let step = design
            .rows
            .first()
            .map(|row| row.step)
            .filter(|step| *step > 0);
        let step = step
            .ok_or_else(|| LayoutError::Missing(format!("design '{}' has no rows", design.name)))?;
        let mut rows: Vec<SiteRow> = design
            .rows
            .iter()
            .map(|row| SiteRow {
                origin: row.origin,
                orient: row.orient,
                taken: vec![false; row.count.max(0) as usize],
            })
            .collect();
        rows.sort_by_key(|row| (row.origin.y, row.origin.x));
        let mut sites = Self { rows, step };
        for component in &design.components {
            if let Some(placement) = component.placement {
                sites.mark(placement.at, tech.cell(&component.cell)?.width, true);
            }
        }
        Ok(sites)
    }

    /// Takes or frees the sites from `at` on.
    pub fn mark(&mut self, at: Point, width: Dbu, taken: bool) {
        let step = self.step;
        for row in self.rows.iter_mut().filter(|row| row.origin.y == at.y) {
            let from = (at.x - row.origin.x).div_euclid(step).max(0) as usize;
            let to = ((at.x + width - row.origin.x + step - 1)
                .div_euclid(step)
                .max(0) as usize)
                .min(row.taken.len());
            for site in row.taken.get_mut(from..to).into_iter().flatten() {
                *site = taken;
            }
        }
    }

    /// The free place nearest to `wish` (lower left corner) for a cell of `width`, without taking it.
    #[must_use]
    pub fn nearest(&self, wish: Point, width: Dbu) -> Option<Placement> {
        let need = ((width + self.step - 1) / self.step) as usize;
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|&row| (self.rows[row].origin.y - wish.y).abs());
        let mut best: Option<(i64, Placement)> = None;
        for index in order {
            let row = &self.rows[index];
            let dy = i64::from((row.origin.y - wish.y).abs());
            if best.is_some_and(|(cost, _)| cost <= dy) {
                break;
            }
            let wished = (wish.x - row.origin.x).div_euclid(self.step).max(0) as usize;
            if let Some(site) = nearest_run(&row.taken, wished, need) {
                let at = Point::new(row.origin.x + site as Dbu * self.step, row.origin.y);
                let cost = dy + i64::from((at.x - wish.x).abs());
                if best.is_none_or(|(least, _)| cost < least) {
                    best = Some((
                        cost,
                        Placement {
                            at,
                            orient: row.orient,
                            fixed: false,
                        },
                    ));
                }
            }
        }
        best.map(|(_, placement)| placement)
    }
}

/// Start of the run of `need` free sites that is nearest to `wished`.
fn nearest_run(taken: &[bool], wished: usize, need: usize) -> Option<usize> {
    if need == 0 || taken.len() < need {
        return None;
    }
    let last = taken.len() - need;
    let free = |site: usize| taken[site..site + need].iter().all(|taken| !taken);
    let wished = wished.min(last);
    for distance in 0..=last {
        if let Some(site) = wished.checked_sub(distance).filter(|site| free(*site)) {
            return Some(site);
        }
        let site = wished + distance;
        if site <= last && free(site) {
            return Some(site);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_run_looks_both_ways() {
        let taken = [false, false, true, true, false, false, false];
        assert_eq!(
            nearest_run(&taken, 2, 2),
            Some(0),
            "two to the left and two to the right: the left one"
        );
        assert_eq!(nearest_run(&taken, 3, 2), Some(4));
        assert_eq!(nearest_run(&taken, 3, 3), Some(4));
        assert_eq!(nearest_run(&taken, 0, 4), None);
    }
}
