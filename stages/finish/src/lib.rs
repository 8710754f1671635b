//! Stage `finish`: fillers, GDS, DEF, parasitics and netlists of a routed design.
//!
//! It draws what it is given and does not judge it: a missing or misplaced wire is for `drc` and `lvs` to find.

mod circuit;
mod fill;
mod netlist;
mod spef;
mod stream;

use nanoflow_layout::def::Design;
use nanoflow_layout::lef::Tech;
use nanoflow_layout::shapes::{elements, Element};
use nanoflow_layout::LayoutError;
use nanoflow_sdk::{Context, Stage, StageError};
use serde::Deserialize;

/// The stage has no parameters.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {}

pub struct Finish;

/// The stage, for the registry.
#[must_use]
pub fn stage() -> &'static dyn Stage {
    &Finish
}

impl Stage for Finish {
    fn id(&self) -> &'static str {
        "finish"
    }

    fn about(&self) -> &'static str {
        "fillers, GDS, DEF, SPEF and netlists of a routed design"
    }

    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let Params {} = ctx.params()?;
        let pdk = ctx.input("pdk")?.to_path_buf();
        let tech = Tech::load_pdk(&pdk).map_err(fault)?;
        let mut design = Design::load(ctx.input("def")?).map_err(fault)?;
        let fillers = fill::fill(&mut design, &tech).map_err(fault)?;
        ctx.progress(1, 5, "step", "rows are filled");
        design.save(ctx.output("def")?).map_err(fault)?;
        let library = stream::stream(&design, &tech, stream::load_cells(&pdk)?)?;
        library
            .write(ctx.output("gds")?)
            .map_err(|error| StageError::input(error.to_string()))?;
        ctx.progress(2, 5, "step", "GDS is written");
        write(
            ctx.output("spef")?,
            &spef::spef(&design, &tech).map_err(fault)?,
        )?;
        ctx.progress(3, 5, "step", "parasitics are written");
        let netlist = netlist::netlist(&design);
        write(
            ctx.output("netlist")?,
            &nanoflow_netlist::verilog::write(&netlist),
        )?;
        let cells = pdk.join("sky130_fd_sc_hd.cdl");
        let cells =
            std::fs::read_to_string(&cells).map_err(|error| StageError::io(&cells, &error))?;
        write(ctx.output("cdl")?, &circuit::circuit(&design, &cells)?)?;
        ctx.progress(5, 5, "step", "netlists are written");
        metrics(ctx, &design, &tech, fillers)
    }
}

fn metrics(
    ctx: &mut Context,
    design: &Design,
    tech: &Tech,
    fillers: usize,
) -> Result<(), StageError> {
    let (mut length, mut vias) = (0i64, 0usize);
    for net in &design.nets {
        for wire in &net.wires {
            for element in elements(design, tech, &net.name, wire).map_err(fault)? {
                match element {
                    Element::Segment { from, to, .. } => length += from.distance(to),
                    Element::Via { .. } => vias += 1,
                    Element::Patch { .. } => {}
                }
            }
        }
    }
    let physical = |source: &Option<String>| source.as_deref() == Some("DIST");
    let logic = design
        .components
        .iter()
        .filter(|component| !physical(&component.source));
    let area: f64 = logic
        .clone()
        .filter_map(|component| tech.macros.get(&component.cell))
        .map(|cell| cell.area_um2())
        .sum();
    let rows: f64 = design
        .rows
        .iter()
        .map(|row| {
            f64::from(row.count)
                * f64::from(row.step)
                * tech
                    .site(&row.site)
                    .map_or(0.0, |site| f64::from(site.height))
                * 1e-6
        })
        .sum();
    ctx.metric("area_um2", design.die.area() as f64 * 1e-6, "um2");
    ctx.metric("die_width", f64::from(design.die.width()) * 1e-3, "um");
    ctx.metric("die_height", f64::from(design.die.height()) * 1e-3, "um");
    ctx.metric(
        "utilization",
        if rows > 0.0 { area / rows } else { 0.0 },
        "",
    );
    ctx.metric("cells", logic.count() as f64, "");
    ctx.metric("fillers", fillers as f64, "");
    ctx.metric("wire_length_um", length as f64 * 1e-3, "um");
    ctx.metric("vias", vias as f64, "");
    Ok(())
}

fn write(path: &std::path::Path, text: &str) -> Result<(), StageError> {
    std::fs::write(path, text).map_err(|error| StageError::io(path, &error))
}

fn fault(error: LayoutError) -> StageError {
    StageError::input(error.to_string())
}
