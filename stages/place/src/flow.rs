//! The steps of placement, one after the other.

use nanoflow_layout::def::{Design, Placement};
use nanoflow_layout::electrical::Electrical;
use nanoflow_layout::lef::Tech;
use nanoflow_layout::Point;
use nanoflow_netlist::liberty::Library;
use nanoflow_sdk::StageError;

use crate::buffers::{Bufferer, Limits};
use crate::detail::Detail;
use crate::global::{self, GlobalParams, Positions};
use crate::neighbours::{self, Neighbours};
use crate::problem::Problem;
use crate::room::{inflate, peaks, Demand};
use crate::{fault, legal, ports, scan, Params};

/// What placement achieved.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    pub hpwl_um: f64,
    pub utilization: f64,
    pub cells: usize,
    pub buffers: usize,
    /// Cells mirrored or moved because of what stands beside them.
    pub separated: usize,
    pub scan_length_um: f64,
    pub peak_pins: f64,
    pub peak_wire_fill: f64,
}

/// A half-perimeter beyond this is worth a buffer of its own, µm.
const MAX_REACH: f64 = 250.0;
/// Most sites that are added to a cell for room.
const MOST_SITES: i32 = 6;

/// Places a design with rows; cells that `neighbours` says clash do not abut. `tell(percent, note)` reports progress.
///
/// # Errors
/// When a cell is unknown, or the cells do not fit into the rows.
pub fn place(
    design: &mut Design,
    tech: &Tech,
    library: &Library,
    neighbours: &Neighbours,
    params: Params,
    tell: &mut dyn FnMut(u64, &str),
) -> Result<Outcome, StageError> {
    let electrical = Electrical::new(library);
    let first = first_placement(design, tech, &electrical, params, tell)?;
    ports::assign(design, &|component| first[component]);
    let (scan_length, first) = order_scan(design, &electrical, params, first);
    let limits = Limits {
        max_fanout: params.max_fanout,
        load_margin: params.load_margin,
        max_reach: MAX_REACH,
    };
    let (middles, buffers) = {
        let mut bufferer = Bufferer::new(design, tech, &electrical, first, limits);
        bufferer.run().map_err(fault)?;
        let buffers = bufferer.added;
        (bufferer.at, buffers)
    };
    let problem = Problem::new(design, tech, &|_, _| false, true).map_err(fault)?;
    fits(&problem)?;
    let mut sites: Vec<i32> = problem
        .cells
        .iter()
        .map(|cell| (cell.width + problem.site_width - 1) / problem.site_width)
        .collect();
    let at = second_placement(&problem, &middles, &mut sites, params, tell);
    let (peak_pins, peak_wire_fill) = peaks(&problem, &at);
    let legal = legal::legalise(&problem, &at, &sites).or_else(|_| {
        // Room around cells is a wish; cells on sites are not.
        let own: Vec<i32> = problem
            .cells
            .iter()
            .map(|cell| (cell.width + problem.site_width - 1) / problem.site_width)
            .collect();
        legal::legalise(&problem, &at, &own)
    });
    let legal = legal.map_err(|no_room| {
        let name = &design.components[problem.cells[no_room.cell].component].name;
        StageError::design(format!("component '{name}' finds no room in any row"))
            .hint("lower 'utilization' of the stage floorplan")
    })?;
    let mut detail = Detail::new(&problem, legal, vec![false; problem.cells.len()]);
    tell(85, "cells are on sites");
    detail.run(8, &mut |round, length| {
        tell(
            86 + round as u64,
            &format!("half-perimeter {:.0} um", length as f64 * 1e-3),
        )
    });
    let name = |cell: usize| -> &str { &design.components[problem.cells[cell].component].cell };
    let separated = neighbours::separate(&mut detail, neighbours, &name).map_err(|clash| {
        let name = |cell: usize| &design.components[problem.cells[cell].component].name;
        StageError::design(format!(
            "components '{}' and '{}' must not abut (npc.2), and their row has no free site to put between them",
            name(clash.left),
            name(clash.right)
        ))
        .hint("lower 'utilization' of the stage floorplan")
    })?;
    detail
        .check()
        .map_err(|text| StageError::internal(format!("detailed placement: {text}")))?;
    for (cell, body) in problem.cells.iter().enumerate() {
        let (at, orient) = detail.placement(cell);
        design.components[body.component].placement = Some(Placement {
            at,
            orient,
            fixed: false,
        });
    }
    tell(100, "");
    Ok(Outcome {
        hpwl_um: detail.hpwl() as f64 * 1e-3,
        utilization: problem.cell_area() / problem.free_area(),
        cells: problem.cells.len(),
        buffers,
        separated,
        scan_length_um: scan_length,
        peak_pins,
        peak_wire_fill,
    })
}

fn fits(problem: &Problem) -> Result<(), StageError> {
    let (need, room) = (problem.cell_area() * 1e-6, problem.free_area() * 1e-6);
    if need > room * 0.98 {
        return Err(StageError::design(format!(
            "the cells need {need:.0} um2 of the {room:.0} um2 in the rows"
        ))
        .hint("lower 'utilization' of the stage floorplan"));
    }
    Ok(())
}

/// Global placement without ports, scan order and clock; returns the middle of every component.
fn first_placement(
    design: &Design,
    tech: &Tech,
    electrical: &Electrical,
    params: Params,
    tell: &mut dyn FnMut(u64, &str),
) -> Result<Vec<Point>, StageError> {
    let skip = |component: usize, pin: &str| {
        params.reorder_scan
            && electrical.scan_input(&design.components[component].cell) == Some(pin)
    };
    let problem = Problem::new(design, tech, &skip, false).map_err(fault)?;
    fits(&problem)?;
    let widths: Vec<f64> = problem
        .cells
        .iter()
        .map(|cell| f64::from(cell.width) * 1e-3)
        .collect();
    let run = GlobalParams {
        stop_overflow: 0.15,
        target_density: params.density,
        max_iterations: 700,
        first_weight: 1e-2,
        pace: 0.008,
        seed: params.seed,
    };
    let at = global::place(
        &problem,
        &widths,
        None,
        run,
        &mut |iteration, overflow, _| {
            if iteration % 10 == 0 {
                tell(
                    progress(overflow, 0.15, 0, 35),
                    &format!("first placement, overflow {overflow:.2}"),
                );
            }
        },
    );
    let mut middles = vec![design.die.center(); design.components.len()];
    for (index, component) in design.components.iter().enumerate() {
        if let (Some(placement), Ok(cell)) = (component.placement, tech.cell(&component.cell)) {
            middles[index] = Point::new(
                placement.at.x + cell.width / 2,
                placement.at.y + cell.height / 2,
            );
        }
    }
    for (cell, body) in problem.cells.iter().enumerate() {
        middles[body.component] = Point::new((at.x[cell] * 1e3) as i32, (at.y[cell] * 1e3) as i32);
    }
    Ok(middles)
}

/// Percent of work between `from` and `to`, from how far overflow has come down.
fn progress(overflow: f64, stop: f64, from: u64, to: u64) -> u64 {
    let done = ((1.0 - overflow) / (1.0 - stop)).clamp(0.0, 1.0);
    from + (done * (to - from) as f64) as u64
}

fn order_scan(
    design: &mut Design,
    electrical: &Electrical,
    params: Params,
    at: Vec<Point>,
) -> (f64, Vec<Point>) {
    if !params.reorder_scan {
        return (0.0, at);
    }
    let mut length = 0;
    for chain in scan::chains(design, electrical) {
        length += scan::reorder(design, electrical, &chain, &|component| at[component]).1;
    }
    (length as f64 * 1e-3, at)
}

/// Global placement of everything from where the first one ended, then rounds with room added in dense spots.
fn second_placement(
    problem: &Problem,
    middles: &[Point],
    sites: &mut [i32],
    params: Params,
    tell: &mut dyn FnMut(u64, &str),
) -> Positions {
    let mut at = Positions::default();
    for body in &problem.cells {
        at.x.push(f64::from(middles[body.component].x) * 1e-3);
        at.y.push(f64::from(middles[body.component].y) * 1e-3);
    }
    let demand = Demand {
        pins: params.pin_density,
        wires: params.wire_fill,
        most_sites: MOST_SITES,
    };
    let site = f64::from(problem.site_width) * 1e-3;
    for round in 0..=params.spread_rounds {
        let widths: Vec<f64> = sites.iter().map(|sites| f64::from(*sites) * site).collect();
        let (from, to) = (35 + 12 * round as u64, 47 + 12 * round as u64);
        let first_weight = if round == 0 { 0.1 } else { 0.3 };
        let run = GlobalParams {
            stop_overflow: 0.08,
            target_density: params.density,
            max_iterations: 700,
            first_weight,
            pace: 0.008,
            seed: params.seed + 1,
        };
        at = global::place(
            problem,
            &widths,
            Some(&at),
            run,
            &mut |iteration, overflow, length| {
                if iteration % 10 == 0 {
                    tell(
                        progress(overflow, 0.08, from, to).min(84),
                        &format!("overflow {overflow:.2}, half-perimeter {length:.0} um"),
                    );
                }
            },
        );
        let (pins, wire) = peaks(problem, &at);
        let added = if round < params.spread_rounds {
            inflate(problem, &at, demand, sites)
        } else {
            0
        };
        tell(
            to.min(84),
            &format!("peaks: {pins:.2} pins/um2, {:.0} % of the room for wires; {added} sites of room added", wire * 100.0),
        );
        if added <= problem.cells.len() as i32 / 100 {
            break;
        }
    }
    at
}
