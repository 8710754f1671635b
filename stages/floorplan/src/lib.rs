//! Floorplan: die, rows, tap cells, ports, power grid.

pub mod core;
mod power;

use nanoflow_layout::def::Design;
use nanoflow_layout::lef::Tech;
use nanoflow_layout::{ports, LayoutError};

use crate::core::{Core, Wanted};

/// Draws the floorplan into a design that has components, pins and nets.
///
/// # Errors
/// When a cell of the design is unknown to the LEF files.
pub fn draw(
    design: &mut Design,
    tech: &Tech,
    utilization: f64,
    aspect_ratio: f64,
) -> Result<Core, LayoutError> {
    let mut cell_area = 0.0;
    for component in &design.components {
        cell_area += tech.cell(&component.cell)?.area_um2() * 1e6;
    }
    let core = Core::sized(
        tech,
        Wanted {
            cell_area,
            utilization,
            aspect_ratio,
            ports: design.pins.len(),
        },
    )?;
    core.draw(design);
    design.components.extend(core.taps());
    let slots = ports::spread(&ports::slots(core.die), design.pins.len());
    for (pin, slot) in design.pins.iter_mut().zip(&slots) {
        pin.ports = vec![slot.port()];
    }
    power::draw(&core, design);
    Ok(core)
}
