//! Stage `gatesim`: the gates give the same tokens and logits as the integer model, and a pattern shifts through their scan chain.
//!
//! The cells' models are written from the Liberty functions; the test bench, the memory and the comparison are those of `cosim`.

mod chain;
mod models;
mod shift;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nanoflow_accel::simulate::{Outcome, Simulation, Simulator};
use nanoflow_accel::{tools, Golden, Hardware, Program};
use nanoflow_netlist::liberty::Library;
use nanoflow_netlist::Netlist;
use nanoflow_sdk::{Context, Stage, StageError, Tool};
use serde::{Deserialize, Serialize};

pub struct GateSimulation;

#[must_use]
pub fn stage() -> &'static dyn Stage {
    &GateSimulation
}

/// Parameters of the stage.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Params {
    simulator: Simulator,
    /// Tokens to simulate, over all prompts.
    max_tokens: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            simulator: Simulator::Verilator,
            max_tokens: 8,
        }
    }
}

/// The part of `chain.json` that is needed here.
#[derive(Debug, Deserialize)]
struct ChainFile {
    clock: String,
    scan_enable: String,
    scan_in: String,
    scan_out: String,
    cells: Vec<ChainCell>,
}

#[derive(Debug, Deserialize)]
struct ChainCell {
    instance: String,
}

/// `gatesim.json`.
#[derive(Debug, Serialize)]
struct Report {
    simulator: Simulator,
    cells: usize,
    /// With scan off, against the golden vectors.
    function: Outcome,
    /// With scan on.
    scan: Option<shift::Shift>,
}

impl Stage for GateSimulation {
    fn id(&self) -> &'static str {
        "gatesim"
    }

    fn about(&self) -> &'static str {
        "simulates the final gates on the golden vectors, and their scan chain"
    }

    fn tools(&self) -> &'static [Tool] {
        &[
            tools::VERILATOR,
            tools::CXX,
            tools::MAKE,
            Tool {
                program: "iverilog",
                version_args: &["-V"],
                apt: "iverilog",
            },
        ]
    }

    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let params: Params = ctx.params()?;
        let wrong = |error: nanoflow_netlist::Error| StageError::input(error.to_string());
        let library = nanoflow_netlist::liberty::read_file(ctx.input("liberty")?).map_err(wrong)?;
        let source = ctx.input("netlist")?.to_path_buf();
        let netlist = nanoflow_netlist::verilog::read_file(&source, None).map_err(wrong)?;
        let files = write_models(ctx, &netlist, &library)?;

        let scan = match ctx
            .optional_input("chain")
            .map(std::path::Path::to_path_buf)
        {
            Some(path) => {
                ctx.progress(0, 2, "run", "scan chain");
                let chain = read_chain(&path)?;
                Some((scan_shift(ctx, &netlist, &library, &chain, &files)?, chain))
            }
            None => None,
        };
        ctx.progress(1, 2, "run", "tokens");
        let function = simulate(
            ctx,
            &params,
            &netlist,
            files,
            scan.as_ref().map(|(_, chain)| chain),
        )?;
        ctx.progress(2, 2, "run", "");
        finish(
            ctx,
            &params,
            &netlist,
            function,
            scan.map(|(shift, _)| shift),
        )
    }
}

/// Writes the netlist as it was read and the models beside it, so that names and constants are spelled one way.
fn write_models(
    ctx: &Context,
    netlist: &Netlist,
    library: &Library,
) -> Result<Vec<PathBuf>, StageError> {
    let texts = [
        ("netlist.v", nanoflow_netlist::verilog::write(netlist)),
        ("cells.v", models::write(netlist, library)?),
    ];
    let mut files = Vec::new();
    for (name, text) in texts {
        let path = ctx.scratch().join(name);
        std::fs::write(&path, text).map_err(|error| StageError::io(&path, &error))?;
        files.push(std::path::absolute(&path).map_err(|error| StageError::io(&path, &error))?);
    }
    Ok(files)
}

fn read_chain(path: &Path) -> Result<ChainFile, StageError> {
    let text = std::fs::read_to_string(path).map_err(|error| StageError::io(path, &error))?;
    serde_json::from_str(&text)
        .map_err(|error| StageError::input(format!("{}: {error}", path.display())))
}

fn scan_shift(
    ctx: &Context,
    netlist: &Netlist,
    library: &Library,
    chain: &ChainFile,
    files: &[PathBuf],
) -> Result<shift::Shift, StageError> {
    let found = chain::trace(netlist, library, &chain.scan_in, &chain.scan_out)?;
    let wanted: BTreeSet<&str> = chain
        .cells
        .iter()
        .map(|cell| cell.instance.as_str())
        .collect();
    let have: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    if let Some(lost) = wanted.symmetric_difference(&have).next() {
        return Err(StageError::design(format!(
            "flip-flop '{lost}' is in only one of the scan chain's list and the gates' chain"
        )));
    }
    let ports = shift::Ports {
        clock: &chain.clock,
        scan_enable: &chain.scan_enable,
        scan_in: &chain.scan_in,
        scan_out: &chain.scan_out,
    };
    shift::run(netlist, &ports, found.len(), files, ctx.scratch())
}

fn simulate(
    ctx: &Context,
    params: &Params,
    netlist: &Netlist,
    files: Vec<PathBuf>,
    chain: Option<&ChainFile>,
) -> Result<Outcome, StageError> {
    let hardware = Hardware::read(&ctx.input("rtl")?.join("hardware.json"))?;
    let program = Program::read(ctx.input("program")?)?;
    let golden = Golden::read(ctx.input("golden")?)?;
    let extra_ports = chain.map_or(String::new(), |chain| {
        format!(", .{}(1'b0), .{}(1'b0)", chain.scan_enable, chain.scan_in)
    });
    let scratch = ctx.scratch().to_path_buf();
    let simulation = Simulation {
        verilog: files,
        top: netlist.name.clone(),
        extra_ports,
        hardware,
        program: &program,
        golden: &golden,
        simulator: params.simulator,
        max_tokens: params.max_tokens,
        latency: (1, 1),
        stall: 0,
        argmax: false,
        scratch: &scratch,
        threads: ctx.threads(),
    };
    Ok(simulation.run()?)
}

fn finish(
    ctx: &mut Context,
    params: &Params,
    netlist: &Netlist,
    function: Outcome,
    scan: Option<shift::Shift>,
) -> Result<(), StageError> {
    ctx.metric("tokens", function.tokens as f64, "");
    ctx.metric("compared", function.compared as f64, "");
    let wrong_bits = scan.as_ref().map_or(0, |shift| shift.wrong);
    ctx.metric("mismatches", (function.mismatches + wrong_bits) as f64, "");
    ctx.metric("cycles_per_token", function.cycles_per_token(), "cycle");
    if let Some(shift) = &scan {
        ctx.metric("chain_length", shift.length as f64, "");
        ctx.metric("chain_ok", f64::from(u8::from(shift.wrong == 0)), "");
    }
    let difference = function.first_difference.clone();
    let report = Report {
        simulator: params.simulator,
        cells: netlist.cells.len(),
        function,
        scan,
    };
    let text = serde_json::to_string_pretty(&report)
        .map_err(|error| StageError::internal(error.to_string()))?;
    let path = ctx.output("report")?;
    std::fs::write(path, text + "\n").map_err(|error| StageError::io(path, &error))?;
    match difference {
        Some(difference) => Err(StageError::design(format!(
            "the gates differ: {difference}"
        ))),
        None if wrong_bits > 0 => Err(StageError::design(format!(
            "{wrong_bits} bits came out of the scan chain wrong"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
