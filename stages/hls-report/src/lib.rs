//! Stage `hls-report`: the table of modules (copies, cells, area, latency, initiation interval, throughput) from what `cosim` and
//! `yosys` measured.

mod table;

use std::path::Path;

use nanoflow_sdk::{Context, Stage, StageError};
use serde::de::DeserializeOwned;
use serde::Deserialize;

pub use table::{render, Cosim, Stat};

/// The stage.
pub struct HlsReport;

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    /// Clock in MHz for the column of throughput.
    clock_mhz: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { clock_mhz: 50.0 }
    }
}

/// The stage for the registry.
#[must_use]
pub fn stage() -> &'static dyn Stage {
    &HlsReport
}

impl Stage for HlsReport {
    fn id(&self) -> &'static str {
        "hls-report"
    }

    fn about(&self) -> &'static str {
        "tabulates cells, latency, initiation interval and throughput of the accelerator's modules"
    }

    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let params: Params = ctx.params()?;
        if !(params.clock_mhz.is_finite() && params.clock_mhz > 0.0) {
            return Err(StageError::input(format!(
                "'clock_mhz' is {}, it must be positive",
                params.clock_mhz
            )));
        }
        let cosim: Cosim = read(ctx.input("cosim")?)?;
        let stat: Stat = read(ctx.input("stat")?)?;
        if cosim.full_speed.cycles.is_empty() {
            return Err(StageError::input(format!(
                "{}: no token was simulated",
                ctx.input("cosim")?.display()
            )));
        }
        let text = render(&cosim, &stat, params.clock_mhz);
        let path = ctx.output("table")?;
        std::fs::write(path, text).map_err(|error| StageError::io(path, &error))?;
        ctx.metric("cells", stat.design.cells as f64, "");
        ctx.metric("area", stat.design.area_um2, "µm²");
        ctx.metric("cycles_per_token", cosim.cycles_per_token, "cycle");
        ctx.metric(
            "tokens_per_second",
            params.clock_mhz * 1e6 / cosim.cycles_per_token,
            "1/s",
        );
        Ok(())
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, StageError> {
    let text = std::fs::read_to_string(path).map_err(|error| StageError::io(path, &error))?;
    serde_json::from_str(&text)
        .map_err(|error| StageError::input(format!("{}: {error}", path.display())))
}
