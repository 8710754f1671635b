//! Stage `floorplan`: die, rows, tap cells, ports and the power grid for a mapped netlist.

pub mod core;
mod import;
mod power;

use nanoflow_layout::def::Design;
use nanoflow_layout::lef::Tech;
use nanoflow_layout::{ports, LayoutError};
use nanoflow_sdk::{Context, Stage, StageError};
use serde::Deserialize;

use crate::core::{Core, Wanted};

/// Parameters of the stage.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Part of the core that the netlist's cells fill, before taps, buffers and clock tree.
    pub utilization: f64,
    /// Height of the core by its width.
    pub aspect_ratio: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            utilization: 0.52,
            aspect_ratio: 1.0,
        }
    }
}

pub struct Floorplan;

/// The stage, for the registry.
#[must_use]
pub fn stage() -> &'static dyn Stage {
    &Floorplan
}

impl Stage for Floorplan {
    fn id(&self) -> &'static str {
        "floorplan"
    }

    fn about(&self) -> &'static str {
        "die, rows, tap cells, ports and power grid for a mapped netlist"
    }

    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let params: Params = ctx.params()?;
        check(params)?;
        let netlist = nanoflow_netlist::verilog::read_file(ctx.input("netlist")?, None)
            .map_err(netlist_fault)?;
        let library =
            nanoflow_netlist::liberty::read_file(ctx.input("liberty")?).map_err(netlist_fault)?;
        let tech = Tech::load_pdk(ctx.input("pdk")?).map_err(layout_fault)?;
        let mut design = import::import(&netlist, &tech, &library).map_err(layout_fault)?;
        if design.components.is_empty() {
            return Err(StageError::input(format!(
                "module '{}' has no cells",
                design.name
            )));
        }
        let core = draw(&mut design, &tech, params).map_err(layout_fault)?;
        design.save(ctx.output("def")?).map_err(layout_fault)?;
        let cells = design
            .components
            .iter()
            .filter(|component| component.source.as_deref() != Some("DIST"));
        let area: f64 = cells
            .clone()
            .filter_map(|component| tech.macros.get(&component.cell))
            .map(|cell| cell.area_um2())
            .sum();
        let cells = cells.count();
        ctx.metric("cells", cells as f64, "");
        ctx.metric("nets", design.nets.len() as f64, "");
        ctx.metric("rows", f64::from(core.rows), "");
        ctx.metric("taps", (design.components.len() - cells) as f64, "");
        ctx.metric("die_width", f64::from(core.die.width()) * 1e-3, "um");
        ctx.metric("die_height", f64::from(core.die.height()) * 1e-3, "um");
        ctx.metric("utilization", area / (core.area.area() as f64 * 1e-6), "");
        Ok(())
    }
}

fn check(params: Params) -> Result<(), StageError> {
    if !(0.05..=0.95).contains(&params.utilization) {
        return Err(StageError::input(format!(
            "params: utilization must be from 0.05 to 0.95, not {}",
            params.utilization
        )));
    }
    if !(0.2..=5.0).contains(&params.aspect_ratio) {
        return Err(StageError::input(format!(
            "params: aspect_ratio must be from 0.2 to 5, not {}",
            params.aspect_ratio
        )));
    }
    Ok(())
}

fn layout_fault(error: LayoutError) -> StageError {
    StageError::input(error.to_string())
}

fn netlist_fault(error: nanoflow_netlist::Error) -> StageError {
    StageError::input(error.to_string())
}

/// Draws the floorplan into a design that has components, pins and nets.
///
/// # Errors
/// When a cell of the design is unknown to the LEF files.
pub fn draw(design: &mut Design, tech: &Tech, params: Params) -> Result<Core, LayoutError> {
    let mut cell_area = 0.0;
    for component in &design.components {
        cell_area += tech.cell(&component.cell)?.area_um2() * 1e6;
    }
    let wanted = Wanted {
        cell_area,
        utilization: params.utilization,
        aspect_ratio: params.aspect_ratio,
        ports: design.pins.len(),
    };
    let core = Core::sized(tech, wanted)?;
    core.draw(design);
    design.components.extend(core.taps());
    let slots = ports::spread(&ports::slots(core.die), design.pins.len());
    for (pin, slot) in design.pins.iter_mut().zip(&slots) {
        pin.ports = vec![slot.port()];
    }
    power::draw(&core, design);
    Ok(core)
}
