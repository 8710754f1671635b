//! Places antenna diodes on free sites near the gates that need them.

use std::collections::BTreeMap;

use nanoflow_layout::def::{Component, Design, Placement, Terminal as DefTerminal};
use nanoflow_layout::{Dbu, Point};
use nanoflow_sdk::StageError;

use crate::antenna::Excess;
use crate::problem::{Instance, Problem, Terminal};

/// The diode of the library, two sites wide.
pub const CELL: &str = "sky130_fd_sc_hd__diode_2";
const PIN: &str = "DIODE";
/// Farther away a diode would not hang on the piece of the net that needs it.
const REACH: i64 = 60_000;

/// Sites of one row that no cell stands on.
struct RowSites {
    origin: Point,
    orient: nanoflow_layout::Orient,
    step: Dbu,
    free: Vec<bool>,
}

pub struct Diodes {
    rows: Vec<RowSites>,
    pub count: usize,
}

impl Diodes {
    #[must_use]
    pub fn new(design: &Design, problem: &Problem) -> Self {
        let rows = design.rows.iter().map(|row| RowSites {
            origin: row.origin,
            orient: row.orient,
            step: row.step.max(1),
            free: vec![true; row.count.max(0) as usize],
        });
        let mut diodes = Self {
            rows: rows.collect(),
            count: 0,
        };
        let mut by_y: BTreeMap<Dbu, Vec<usize>> = BTreeMap::new();
        for (k, row) in diodes.rows.iter().enumerate() {
            by_y.entry(row.origin.y).or_default().push(k);
        }
        for (index, instance) in problem.instances.iter().enumerate() {
            let master = problem.master(index);
            // A cell of double height stands in two rows.
            for (_, rows) in by_y.range(instance.at.y..instance.at.y + master.height) {
                for &row in rows {
                    diodes.rows[row].take(instance.at.x, master.width);
                }
            }
        }
        diodes
    }

    /// Puts a diode near each excess and joins it to the net; returns the nets that changed.
    ///
    /// # Errors
    /// A design failure when no free site is near enough.
    pub fn insert(
        &mut self,
        design: &mut Design,
        problem: &mut Problem,
        excesses: &[Excess],
    ) -> Result<Vec<usize>, StageError> {
        let master = problem.library.get(CELL)?;
        let (width, pin) = {
            let master = &problem.library.masters[master];
            (
                master.width,
                master.pin(PIN).ok_or_else(|| {
                    StageError::input(format!("the cell '{CELL}' has no pin '{PIN}'"))
                })?,
            )
        };
        let mut nets = Vec::new();
        for excess in excesses {
            let Some((row, site)) = self.nearest(excess.at, width) else {
                return Err(StageError::design(format!(
                    "antenna: net '{}' collects {:.0} on {} (limit {:.0}) at ({}, {}), and no free site for a diode is near",
                    problem.nets[excess.net].name, excess.ratio, excess.layer, excess.limit, excess.at.x, excess.at.y
                ))
                .hint("lower the utilisation of the floorplan"));
            };
            let row = &mut self.rows[row];
            let at = Point::new(row.origin.x + site as Dbu * row.step, row.origin.y);
            row.take(at.x, width);
            let (instance, orient) = (problem.instances.len(), row.orient);
            problem.instances.push(Instance { master, at, orient });
            problem.nets[excess.net]
                .terminals
                .push(Terminal::Pin { instance, pin });
            design.components.push(Component {
                name: format!("antenna_{}", self.count),
                cell: CELL.to_string(),
                placement: Some(Placement {
                    at,
                    orient,
                    fixed: false,
                }),
                source: Some("TIMING".to_string()),
                properties: Vec::new(),
            });
            if let Some(net) = design.nets.get_mut(excess.net) {
                net.terminals.push(DefTerminal::Pin {
                    component: design.components.len() - 1,
                    pin: PIN.to_string(),
                });
            }
            self.count += 1;
            nets.push(excess.net);
        }
        nets.sort_unstable();
        nets.dedup();
        Ok(nets)
    }

    fn nearest(&self, to: Point, width: Dbu) -> Option<(usize, usize)> {
        let mut best: Option<(i64, usize, usize)> = None;
        for (k, row) in self.rows.iter().enumerate() {
            if i64::from((row.origin.y - to.y).abs()) > best.map_or(REACH, |best| best.0) {
                continue;
            }
            let needed = (width / row.step) as usize;
            for site in 0..(row.free.len() + 1).saturating_sub(needed) {
                let at = Point::new(row.origin.x + site as Dbu * row.step, row.origin.y);
                let distance = at.distance(to);
                let better = best.map_or(distance <= REACH, |best| (distance, k, site) < best);
                if better && row.free[site..site + needed].iter().all(|free| *free) {
                    best = Some((distance, k, site));
                }
            }
        }
        best.map(|(_, row, site)| (row, site))
    }
}

impl RowSites {
    fn take(&mut self, x: Dbu, width: Dbu) {
        let first = (x - self.origin.x).div_euclid(self.step).max(0) as usize;
        let end = ((x + width - self.origin.x + self.step - 1)
            .div_euclid(self.step)
            .max(0) as usize)
            .min(self.free.len());
        if first < end {
            self.free[first..end].fill(false);
        }
    }
}
