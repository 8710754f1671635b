//! Stage `cts`: the clock tree, and delay where a path would be too quick for it.

mod hold;
mod tree;

use nanoflow_layout::def::Design;
use nanoflow_layout::electrical::Electrical;
use nanoflow_layout::lef::Tech;
use nanoflow_layout::sites::Sites;
use nanoflow_layout::LayoutError;
use nanoflow_sdk::{Context, Stage, StageError};
use serde::Deserialize;

use crate::tree::{Builder, TreeParams};

/// Parameters of the stage.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Flip-flops under one clock buffer.
    pub leaf_sinks: usize,
    /// Clock buffers under one clock buffer.
    pub fanout: usize,
    /// Transition that the clock may have, ns.
    pub max_slew_ns: f64,
    /// Hold slack that the estimate must show, ns; it covers what routing changes.
    pub hold_margin_ns: f64,
    /// Earliest change of an input port after the clock's edge, ns; as `set_input_delay -min` says to the timing analysis.
    pub input_delay_ns: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            leaf_sinks: 16,
            fanout: 8,
            max_slew_ns: 0.2,
            hold_margin_ns: 0.1,
            input_delay_ns: 0.5,
        }
    }
}

pub struct Cts;

/// The stage, for the registry.
#[must_use]
pub fn stage() -> &'static dyn Stage {
    &Cts
}

impl Stage for Cts {
    fn id(&self) -> &'static str {
        "cts"
    }

    fn about(&self) -> &'static str {
        "clock tree and hold delays"
    }

    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let params: Params = ctx.params()?;
        if params.leaf_sinks < 1 || params.fanout < 2 {
            return Err(StageError::input(
                "params: leaf_sinks must be at least 1 and fanout at least 2",
            ));
        }
        if !(params.max_slew_ns > 0.0
            && params.hold_margin_ns.is_finite()
            && params.input_delay_ns.is_finite())
        {
            return Err(StageError::input(
                "params: max_slew_ns must be above 0 and hold_margin_ns and input_delay_ns numbers",
            ));
        }
        let tech = Tech::load_pdk(ctx.input("pdk")?).map_err(fault)?;
        let library = nanoflow_netlist::liberty::read_file(ctx.input("liberty")?)
            .map_err(|error| StageError::input(error.to_string()))?;
        let electrical = Electrical::new(&library);
        let mut design = Design::load(ctx.input("def")?).map_err(fault)?;
        if let Some(component) = design
            .components
            .iter()
            .find(|component| component.placement.is_none())
        {
            return Err(
                StageError::input(format!("component '{}' is not placed", component.name))
                    .hint("run the stage place first"),
            );
        }
        let mut sites = Sites::of(&design, &tech).map_err(fault)?;
        let tree = TreeParams {
            leaf_sinks: params.leaf_sinks,
            fanout: params.fanout,
            slew: params.max_slew_ns,
        };
        let built = Builder::new(&mut design, &tech, &electrical, &mut sites, tree)
            .run()
            .map_err(fault)?;
        ctx.progress(1, 2, "step", "clock tree is built");
        let wanted = hold::Wanted {
            margin: params.hold_margin_ns,
            input_delay: params.input_delay_ns,
        };
        let hold = hold::fix(
            &mut design,
            &tech,
            &electrical,
            &mut sites,
            &built.arrival,
            wanted,
        )
        .map_err(fault)?;
        design.save(ctx.output("def")?).map_err(fault)?;
        ctx.progress(2, 2, "step", "hold is fixed");
        ctx.metric("clock_sinks", built.sinks as f64, "");
        ctx.metric("clock_buffers", built.buffers as f64, "");
        ctx.metric("clock_levels", built.levels as f64, "");
        ctx.metric("clock_latency_ns", built.latest(), "ns");
        ctx.metric("skew_ns", built.skew(), "ns");
        ctx.metric("hold_buffers", hold.inserted as f64, "");
        ctx.metric("hold_slack_ns", hold.after, "ns");
        Ok(())
    }
}

fn fault(error: LayoutError) -> StageError {
    StageError::input(error.to_string())
}
