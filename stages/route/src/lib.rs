//! Stage `route`: detailed routing of all signal nets on met1 to met4 for sky130_fd_sc_hd.
//!
//! [`problem`] reads the placed design, [`field`] turns what is fixed into owners of lattice nodes, [`access`] finds legal
//! contacts to every pin, [`global`] finds the squares of the die that each net goes through, [`negotiate`] routes all nets with [`search`] until none collide, [`wiring`] draws
//! them, [`check`] tests every rule on the drawn masks, [`patch`] repairs, and [`flow`] repeats that until nothing is left.

mod access;
mod antenna;
mod cells;
mod check;
mod congestion;
mod connect;
mod diode;
mod field;
mod flow;
mod global;
mod lattice;
mod nearby;
mod negotiate;
mod output;
mod patch;
mod problem;
mod region;
mod route;
mod rules;
mod scan;
mod screen;
mod search;
mod union_find;
mod wiring;

use nanoflow_layout::def::Design;
use nanoflow_layout::gds::Library;
use nanoflow_layout::lef::Tech;
use nanoflow_layout::LayoutError;
use nanoflow_sdk::{Context, Stage, StageError};
use serde::Deserialize;

/// Parameters of the stage.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Rounds of rip-up and reroute before it gives up.
    pub rounds: usize,
    /// How often diodes are added where a net collects too much charge.
    pub antenna_rounds: usize,
    /// Detailed routing keeps to the squares that global routing found.
    pub guides: bool,
    /// Part of all wires that may lack room by global routing; above it the stage gives up before detailed routing.
    pub overload_limit: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            rounds: 120,
            antenna_rounds: 8,
            guides: true,
            overload_limit: 0.03,
        }
    }
}

pub struct Route;

/// The stage, to be registered.
#[must_use]
pub fn stage() -> &'static dyn Stage {
    &Route
}

impl Stage for Route {
    fn id(&self) -> &'static str {
        "route"
    }
    fn about(&self) -> &'static str {
        "routes all signal nets on met1 to met4 until no rule is broken"
    }
    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let params: Params = ctx.params()?;
        if params.overload_limit.is_nan() || params.overload_limit < 0.0 {
            return Err(StageError::input(format!(
                "params: overload_limit must be a number from 0 up, not {}",
                params.overload_limit
            )));
        }
        let bad = |error: LayoutError| StageError::input(error.to_string());
        let mut design = Design::load(ctx.input("def")?).map_err(bad)?;
        let pdk = ctx.input("pdk")?.to_path_buf();
        let lef = Tech::load_pdk(&pdk).map_err(bad)?;
        let gds = Library::read(pdk.join("sky130_fd_sc_hd.gds"))
            .map_err(|error| StageError::input(error.to_string()))?;
        let problem = problem::Problem::new(&design, &lef, &gds)?;
        let threads = ctx.threads();
        let mut router = flow::Router::new(problem, &params, threads)?;
        ctx.metric("global_overflow", router.plan.overflow, "crossings");
        if let Some(path) = ctx.optional_output("congestion") {
            std::fs::write(path, congestion::svg(&router.plan.router))
                .map_err(|error| StageError::io(path, &error))?;
        }
        router
            .plan
            .verdict(&router.problem, params.overload_limit)?;
        let outcome = router.run(ctx, &mut design)?;
        output::metrics(ctx, &router.problem, &outcome);
        output::verdict(&router.problem, &outcome)?;
        output::write_routes(&mut design, &router.problem, &outcome);
        design.save(ctx.output("def")?).map_err(bad)
    }
}
