//! Legalisation: every cell on the site grid of a row, none on another, as near as possible to where global placement put it.
//!
//! Abacus (Spindler, Schlichtmann, Johannes, ISPD 2008): cells in order of x; each tries the rows around it; within
//! a stretch of a row, cells that touch form clusters whose best common place is the mean of their wishes.

use crate::global::Positions;
use crate::problem::Problem;

/// A legal placement: stretch of row and first site of each cell, counted from the core's left edge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Legal {
    /// Index into [`Problem::segments`].
    pub segment: Vec<u32>,
    pub site: Vec<i32>,
    /// Sites taken, room kept around the cell included.
    pub sites: Vec<i32>,
}

/// Some cell fits in no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom {
    /// Index into [`Problem::cells`].
    pub cell: usize,
}

#[derive(Debug, Clone, Copy)]
struct Cluster {
    at: f64,
    /// Sum of weights, and of weight times (wish − offset in the cluster).
    weight: f64,
    moment: f64,
    sites: i32,
    first: usize,
}

struct Stretch {
    low: i32,
    high: i32,
    used: i32,
    cells: Vec<u32>,
    clusters: Vec<Cluster>,
}

impl Stretch {
    fn clamp(&self, at: f64, sites: i32) -> f64 {
        at.max(f64::from(self.low))
            .min(f64::from(self.high - sites))
    }

    /// Where a cell that wishes to be at `wish` would come to stand, if it were appended.
    fn attempt(&self, wish: f64, sites: i32) -> Option<f64> {
        if self.used + sites > self.high - self.low {
            return None;
        }
        let mut top = Cluster {
            at: self.clamp(wish, sites),
            weight: 1.0,
            moment: wish,
            sites,
            first: 0,
        };
        let mut before = 0;
        for cluster in self.clusters.iter().rev() {
            if cluster.at + f64::from(cluster.sites) <= top.at {
                break;
            }
            top.moment = cluster.moment + top.moment - top.weight * f64::from(cluster.sites);
            top.weight += cluster.weight;
            top.sites += cluster.sites;
            before = top.sites - sites;
            top.at = self.clamp(top.moment / top.weight, top.sites);
        }
        Some(top.at + f64::from(before))
    }

    fn append(&mut self, cell: u32, wish: f64, sites: i32) {
        let mut top = Cluster {
            at: self.clamp(wish, sites),
            weight: 1.0,
            moment: wish,
            sites,
            first: self.cells.len(),
        };
        while let Some(cluster) = self.clusters.last() {
            if cluster.at + f64::from(cluster.sites) <= top.at {
                break;
            }
            top.moment = cluster.moment + top.moment - top.weight * f64::from(cluster.sites);
            top.weight += cluster.weight;
            top.sites += cluster.sites;
            top.first = cluster.first;
            top.at = self.clamp(top.moment / top.weight, top.sites);
            self.clusters.pop();
        }
        self.clusters.push(top);
        self.cells.push(cell);
        self.used += sites;
    }
}

/// Legalises `at` (cell centres, µm) with `sites` taken by each cell.
///
/// # Errors
/// When a cell finds no room in any row.
pub fn legalise(problem: &Problem, at: &Positions, sites: &[i32]) -> Result<Legal, NoRoom> {
    let site = f64::from(problem.site_width) * 1e-3;
    let (x0, row_height) = (
        f64::from(problem.core.x0) * 1e-3,
        f64::from(problem.row_height) * 1e-3,
    );
    let to_site = |x: i32| (x - problem.core.x0) / problem.site_width;
    let mut stretches: Vec<Stretch> = problem
        .segments
        .iter()
        .map(|segment| Stretch {
            low: to_site(segment.x0),
            high: to_site(segment.x1),
            used: 0,
            cells: Vec::new(),
            clusters: Vec::new(),
        })
        .collect();
    let mut by_row: Vec<Vec<usize>> = vec![Vec::new(); problem.rows.len()];
    for (index, segment) in problem.segments.iter().enumerate() {
        by_row[segment.row].push(index);
    }
    let wish = |cell: usize| (at.x[cell] - x0) / site - f64::from(sites[cell]) / 2.0;
    let mut order: Vec<usize> = (0..problem.cells.len()).collect();
    order.sort_by(|&a, &b| wish(a).total_cmp(&wish(b)).then(a.cmp(&b)));
    let mut legal = Legal {
        segment: vec![0; order.len()],
        site: vec![0; order.len()],
        sites: sites.to_vec(),
    };
    for &cell in &order {
        let low_edge = at.y[cell] - row_height / 2.0;
        let mut best: Option<(f64, usize)> = None;
        for row in rows_around(problem, low_edge) {
            let dy = (f64::from(problem.rows[row].y) * 1e-3 - low_edge).abs();
            if best.is_some_and(|(cost, _)| cost <= dy) {
                break;
            }
            for &index in &by_row[row] {
                let stretch = &stretches[index];
                let (low, high) = (
                    f64::from(stretch.low),
                    f64::from(stretch.high - sites[cell]),
                );
                let far = (low - wish(cell)).max(wish(cell) - high).max(0.0) * site;
                if best.is_some_and(|(cost, _)| cost <= dy + far) {
                    continue;
                }
                if let Some(place) = stretch.attempt(wish(cell), sites[cell]) {
                    let cost = dy + (place - wish(cell)).abs() * site;
                    if best.is_none_or(|(least, _)| cost < least) {
                        best = Some((cost, index));
                    }
                }
            }
        }
        let (_, index) = best.ok_or(NoRoom { cell })?;
        stretches[index].append(cell as u32, wish(cell), sites[cell]);
        legal.segment[cell] = index as u32;
    }
    for stretch in &stretches {
        settle(stretch, &mut legal);
    }
    Ok(legal)
}

/// Rows from the nearest outwards.
fn rows_around(problem: &Problem, low_edge: f64) -> impl Iterator<Item = usize> + '_ {
    let start = problem
        .rows
        .partition_point(|row| f64::from(row.y) * 1e-3 <= low_edge);
    let (mut down, mut up) = (start, start);
    std::iter::from_fn(move || {
        let distance = |row: usize| (f64::from(problem.rows[row].y) * 1e-3 - low_edge).abs();
        let below = down.checked_sub(1);
        let above = (up < problem.rows.len()).then_some(up);
        match (below, above) {
            (Some(below), Some(above)) if distance(below) <= distance(above) => {
                down = below;
                Some(below)
            }
            (_, Some(above)) => {
                up += 1;
                Some(above)
            }
            (Some(below), None) => {
                down = below;
                Some(below)
            }
            (None, None) => None,
        }
    })
}

/// Clusters to whole sites. Widths are whole, so rounding keeps clusters apart.
fn settle(stretch: &Stretch, legal: &mut Legal) {
    for (index, cluster) in stretch.clusters.iter().enumerate() {
        let end = stretch
            .clusters
            .get(index + 1)
            .map_or(stretch.cells.len(), |next| next.first);
        let mut site = cluster.at.round() as i32;
        for &cell in &stretch.cells[cluster.first..end] {
            legal.site[cell as usize] = site;
            site += legal.sites[cell as usize];
        }
    }
}

/// Says what is wrong with a placement, if anything: a cell outside its stretch, or two cells on one site.
#[must_use]
pub fn fault(problem: &Problem, legal: &Legal) -> Option<String> {
    let mut order: Vec<usize> = (0..legal.site.len()).collect();
    order.sort_by_key(|&cell| (legal.segment[cell], legal.site[cell]));
    for &cell in &order {
        let segment = problem.segments[legal.segment[cell] as usize];
        let left = problem.core.x0 + legal.site[cell] * problem.site_width;
        if left < segment.x0 || left + legal.sites[cell] * problem.site_width > segment.x1 {
            return Some(format!(
                "cell {cell} leaves its stretch of row {}",
                segment.row
            ));
        }
        if legal.sites[cell] * problem.site_width < problem.cells[cell].width {
            return Some(format!("cell {cell} is wider than its sites"));
        }
    }
    order.windows(2).find_map(|pair| {
        let (left, right) = (pair[0], pair[1]);
        (legal.segment[left] == legal.segment[right]
            && legal.site[left] + legal.sites[left] > legal.site[right])
            .then(|| format!("cells {left} and {right} overlap"))
    })
}
