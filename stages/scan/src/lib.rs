//! Stage `scan`: every flip-flop becomes its scan cell, all of them one chain from `scan_in` to `scan_out`.
//!
//! The scan cell of a flip-flop is found in the Liberty file: the cell whose `test_cell`, its function with scan off, is that
//! flip-flop's function, with the same drive strength. The chain follows the names of the stored bits, so that the bits of a
//! word are neighbours; placement may reorder it.

mod cells;
mod insert;

use nanoflow_sdk::{Context, Stage, StageError};
use serde::{Deserialize, Serialize};

pub use insert::{insert, Chain, ChainCell};

pub struct Scan;

#[must_use]
pub fn stage() -> &'static dyn Stage {
    &Scan
}

/// Parameters of the stage.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Params {
    pub scan_enable: String,
    pub scan_in: String,
    pub scan_out: String,
    /// Cell that drives the port `scan_out`, without the library's prefix.
    pub buffer: String,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            scan_enable: "scan_enable".into(),
            scan_in: "scan_in".into(),
            scan_out: "scan_out".into(),
            buffer: "buf_2".into(),
        }
    }
}

fn input(error: nanoflow_netlist::Error) -> StageError {
    StageError::input(error.to_string())
}

impl Stage for Scan {
    fn id(&self) -> &'static str {
        "scan"
    }

    fn about(&self) -> &'static str {
        "flip-flops become scan cells, stitched into one chain"
    }

    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let params: Params = ctx.params()?;
        let library = nanoflow_netlist::liberty::read_file(ctx.input("liberty")?).map_err(input)?;
        let path = ctx.input("netlist")?;
        let mut netlist = nanoflow_netlist::verilog::read_file(path, None).map_err(input)?;
        let chain = insert(&mut netlist, &library, &params)?;

        let output = ctx.output("netlist")?;
        let text = nanoflow_netlist::verilog::write(&netlist);
        std::fs::write(output, text).map_err(|error| StageError::io(output, &error))?;
        if let Some(output) = ctx.optional_output("chain") {
            let text = serde_json::to_string_pretty(&chain)
                .map_err(|error| StageError::internal(error.to_string()))?;
            std::fs::write(output, text + "\n").map_err(|error| StageError::io(output, &error))?;
        }
        let scan_area = netlist
            .cells
            .iter()
            .filter_map(|cell| library.cells.get(&cell.kind))
            .map(|cell| cell.area)
            .sum();
        ctx.metric("flipflops", chain.cells.len() as f64, "");
        ctx.metric("scan_flipflops", chain.cells.len() as f64, "");
        ctx.metric("chain_length", chain.cells.len() as f64, "");
        ctx.metric("cells", netlist.cells.len() as f64, "");
        ctx.metric("area_um2", scan_area, "um2");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
