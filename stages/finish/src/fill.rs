//! Filler cells: a gap in a row would break wells and rails.

use nanoflow_layout::def::{Component, Design, Placement};
use nanoflow_layout::lef::Tech;
use nanoflow_layout::{Dbu, LayoutError, Point};

/// Widest first.
const FILLERS: [&str; 4] = [
    "sky130_fd_sc_hd__fill_8",
    "sky130_fd_sc_hd__fill_4",
    "sky130_fd_sc_hd__fill_2",
    "sky130_fd_sc_hd__fill_1",
];

/// Puts filler cells into all gaps of all rows; returns how many.
///
/// # Errors
/// When a component has no place, lies outside the rows' grid or over another.
pub fn fill(design: &mut Design, tech: &Tech) -> Result<usize, LayoutError> {
    let mut taken: Vec<Vec<(Dbu, Dbu, usize)>> = vec![Vec::new(); design.rows.len()];
    for (index, component) in design.components.iter().enumerate() {
        let placement = component.placement.ok_or_else(|| {
            LayoutError::Missing(format!("component '{}' is not placed", component.name))
        })?;
        let width = tech.cell(&component.cell)?.width;
        let row = design.rows.iter().position(|row| {
            row.origin.y == placement.at.y
                && row.origin.x <= placement.at.x
                && placement.at.x + width <= row.origin.x + row.count * row.step
                && (placement.at.x - row.origin.x) % row.step == 0
        });
        let row = row.ok_or_else(|| {
            LayoutError::Missing(format!(
                "component '{}' at ({}, {}) is on no site of a row",
                component.name, placement.at.x, placement.at.y
            ))
        })?;
        taken[row].push((placement.at.x, placement.at.x + width, index));
    }
    let widths: Vec<(Dbu, &str)> = FILLERS
        .iter()
        .map(|name| Ok((tech.cell(name)?.width, *name)))
        .collect::<Result<_, LayoutError>>()?;
    let mut fillers = Vec::new();
    for (row, cells) in design.rows.iter().zip(&mut taken) {
        cells.sort_unstable();
        let end = row.origin.x + row.count * row.step;
        let mut from = row.origin.x;
        for (low, high) in cells
            .iter()
            .map(|(low, high, _)| (*low, *high))
            .chain([(end, end)])
        {
            if low < from {
                return Err(LayoutError::Missing(format!(
                    "two cells overlap at ({low}, {})",
                    row.origin.y
                )));
            }
            while from < low {
                let Some(&(width, cell)) = widths.iter().find(|(width, _)| from + width <= low)
                else {
                    return Err(LayoutError::Missing(format!(
                        "no filler fits at ({from}, {})",
                        row.origin.y
                    )));
                };
                fillers.push(Component {
                    name: format!("FILL_{}", fillers.len()),
                    cell: cell.into(),
                    placement: Some(Placement {
                        at: Point::new(from, row.origin.y),
                        orient: row.orient,
                        fixed: false,
                    }),
                    source: Some("DIST".into()),
                    properties: Vec::new(),
                });
                from += width;
            }
            from = high;
        }
    }
    let count = fillers.len();
    design.components.extend(fillers);
    Ok(count)
}
