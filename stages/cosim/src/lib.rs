//! Stage `cosim`: runs the core's RTL on the golden vectors in Verilator or Icarus; every logit and every memory write must be
//! equal. A second run holds handshakes back at random and lets the memory answer late.

use std::path::{Path, PathBuf};

use nanoflow_accel::simulate::{Outcome, Simulation, Simulator};
use nanoflow_accel::{tools, Golden, Hardware, Program};
use nanoflow_sdk::{Context, Stage, StageError, Tool};
use serde::{Deserialize, Serialize};

/// The stage.
pub struct Cosim;

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    simulator: Simulator,
    /// Tokens to run at full speed, over all prompts.
    max_tokens: usize,
    /// Tokens to run with back-pressure and slow memory; 0 leaves that run out.
    stress_tokens: usize,
    /// Longest memory latency of that run in clock cycles.
    latency: u32,
    /// Probability in 1/256 that a handshake is held back in that run.
    stall: u32,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            simulator: Simulator::Verilator,
            max_tokens: 64,
            stress_tokens: 2,
            latency: 64,
            stall: 64,
        }
    }
}

/// `cosim.json`.
#[derive(Debug, Serialize)]
struct Report {
    simulator: Simulator,
    lanes: usize,
    cycles_per_token: f64,
    /// Memory answers after one cycle, nothing is held back.
    full_speed: Outcome,
    /// Random latency, random back-pressure on every interface.
    stress: Option<Outcome>,
}

/// The stage for the registry.
#[must_use]
pub fn stage() -> &'static dyn Stage {
    &Cosim
}

impl Stage for Cosim {
    fn id(&self) -> &'static str {
        "cosim"
    }

    fn about(&self) -> &'static str {
        "runs the accelerator's RTL on the golden vectors, bit-exact"
    }

    fn tools(&self) -> &'static [Tool] {
        &[tools::VERILATOR, tools::CXX, tools::MAKE]
    }

    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let params: Params = ctx.params()?;
        let rtl = ctx.input("rtl")?.to_path_buf();
        let hardware = Hardware::read(&rtl.join("hardware.json"))?;
        let program = Program::read(ctx.input("program")?)?;
        let golden = Golden::read(ctx.input("golden")?)?;
        let scratch = ctx.scratch().to_path_buf();
        let simulation = Simulation {
            verilog: verilog_files(&rtl)?,
            top: "nanoflow_top".into(),
            extra_ports: String::new(),
            hardware,
            program: &program,
            golden: &golden,
            simulator: params.simulator,
            max_tokens: params.max_tokens,
            latency: (1, 1),
            stall: 0,
            argmax: true,
            scratch: &scratch,
            threads: ctx.threads(),
        };
        let runs = if params.stress_tokens > 0 { 2 } else { 1 };
        ctx.progress(0, runs, "run", "full speed");
        let full_speed = simulation.run()?;
        let mut stress = None;
        if params.stress_tokens > 0 && full_speed.first_difference.is_none() {
            ctx.progress(1, runs, "run", "slow memory and back-pressure");
            let slow = Simulation {
                max_tokens: params.stress_tokens,
                latency: (1, params.latency),
                stall: params.stall,
                ..simulation
            };
            stress = Some(slow.run()?);
        }
        ctx.progress(runs, runs, "run", "");
        finish(ctx, params.simulator, hardware.lanes, full_speed, stress)
    }
}

fn finish(
    ctx: &mut Context,
    simulator: Simulator,
    lanes: usize,
    full_speed: Outcome,
    stress: Option<Outcome>,
) -> Result<(), StageError> {
    let outcomes = || [Some(&full_speed), stress.as_ref()].into_iter().flatten();
    let sum = |value: fn(&Outcome) -> usize| outcomes().map(value).sum::<usize>() as f64;
    ctx.metric("cycles_per_token", full_speed.cycles_per_token(), "cycle");
    ctx.metric("tokens", full_speed.tokens as f64, "");
    ctx.metric("compared", sum(|outcome| outcome.compared), "");
    ctx.metric("mismatches", sum(|outcome| outcome.mismatches), "");
    let difference = outcomes().find_map(|outcome| outcome.first_difference.clone());
    let cycles_per_token = full_speed.cycles_per_token();
    let report = Report {
        simulator,
        lanes,
        cycles_per_token,
        full_speed,
        stress,
    };
    let text = serde_json::to_string_pretty(&report)
        .map_err(|error| StageError::internal(error.to_string()))?;
    let path = ctx.output("report")?;
    std::fs::write(path, text + "\n").map_err(|error| StageError::io(path, &error))?;
    match difference {
        Some(difference) => Err(StageError::design(format!("the RTL differs: {difference}"))),
        None => Ok(()),
    }
}

/// The `.v` files of a directory in order of their names.
fn verilog_files(dir: &Path) -> Result<Vec<PathBuf>, StageError> {
    let entries = std::fs::read_dir(dir).map_err(|error| StageError::io(dir, &error))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| StageError::io(dir, &error))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "v"));
    paths.sort();
    Ok(paths)
}
