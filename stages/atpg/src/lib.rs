//! Stage `atpg`: stuck-at tests for a netlist with full scan.
//!
//! With every flip-flop in the chain a test is combinational: shift a state in, set the ports, look at the output ports, clock
//! once, shift the next state out. All stuck-at faults of pins and ports are listed and grouped by equivalence; random
//! patterns, simulated 64 at a time, detect most; a SAT solver finds a test for each of the rest or proves that there is
//! none (redundant). Every test it finds must detect its fault in the simulator. Patterns that are not needed are dropped.

mod chain;
mod circuit;
mod faults;
mod generate;
mod logic;
mod sat;
mod simulate;
mod stil;

use nanoflow_netlist::Netlist;
use nanoflow_sdk::{Context, Stage, StageError};
use serde::{Deserialize, Serialize};

use circuit::Circuit;
use faults::FaultList;
use generate::{Settings, Status, Tests};

pub struct Atpg;

#[must_use]
pub fn stage() -> &'static dyn Stage {
    &Atpg
}

/// Parameters of the stage.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Params {
    seed: u64,
    /// Random patterns at most, in steps of 64.
    random_patterns: usize,
    /// Random patterns end after this many that detect nothing new.
    idle_patterns: usize,
    /// Conflicts of the solver before a fault is given up.
    max_conflicts: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            seed: 1,
            random_patterns: 12_800,
            idle_patterns: 512,
            max_conflicts: 20_000,
        }
    }
}

/// `atpg.json`. Faults are counted one by one, not by class.
#[derive(Debug, Serialize)]
struct Report {
    faults: usize,
    classes: usize,
    detected: usize,
    /// Of these, faults of the clock, which stop the chain from shifting.
    detected_by_chain_test: usize,
    redundant: usize,
    aborted: usize,
    /// detected / faults.
    coverage: f64,
    /// detected / (faults − redundant).
    test_coverage: f64,
    patterns: usize,
    chain_length: usize,
    classes_by_random_patterns: usize,
    classes_by_solver: usize,
    /// `pin stuck-at-v` of each, in order.
    redundant_faults: Vec<String>,
    aborted_faults: Vec<String>,
}

impl Report {
    fn new(list: &FaultList, tests: &Tests, chain_length: usize) -> Self {
        let with = |wanted: Status| {
            let classes = list
                .classes
                .iter()
                .zip(&tests.status)
                .filter(move |(_, status)| **status == wanted);
            classes.flat_map(|(class, _)| class).copied()
        };
        let names = |wanted: Status| {
            let mut numbers: Vec<usize> = with(wanted).collect();
            numbers.sort_unstable();
            let name = |&number: &usize| {
                let fault = &list.faults[number];
                format!("{} stuck-at-{}", fault.name, u8::from(fault.stuck))
            };
            numbers.iter().map(name).collect::<Vec<_>>()
        };
        let (redundant_faults, aborted_faults) = (names(Status::Redundant), names(Status::Aborted));
        let faults = list.faults.len();
        let detected = with(Status::Detected).count() + list.by_chain.len();
        let part = |whole: usize| {
            if whole == 0 {
                1.0
            } else {
                detected as f64 / whole as f64
            }
        };
        Self {
            faults,
            classes: list.classes.len(),
            detected,
            detected_by_chain_test: list.by_chain.len(),
            redundant: redundant_faults.len(),
            aborted: aborted_faults.len(),
            coverage: part(faults),
            test_coverage: part(faults - redundant_faults.len()),
            patterns: tests.patterns.len(),
            chain_length,
            classes_by_random_patterns: tests.by_random,
            classes_by_solver: tests.solved,
            redundant_faults,
            aborted_faults,
        }
    }

    fn metrics(&self, ctx: &mut Context) {
        for (name, value) in [
            ("faults", self.faults),
            ("detected", self.detected),
            ("redundant", self.redundant),
            ("aborted", self.aborted),
            ("patterns", self.patterns),
        ] {
            ctx.metric(name, value as f64, "");
        }
        ctx.metric("coverage", self.coverage, "");
        ctx.metric("test_coverage", self.test_coverage, "");
    }
}

impl Stage for Atpg {
    fn id(&self) -> &'static str {
        "atpg"
    }

    fn about(&self) -> &'static str {
        "stuck-at tests by fault simulation and satisfiability"
    }

    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let params: Params = ctx.params()?;
        let wrong = |error: nanoflow_netlist::Error| StageError::input(error.to_string());
        let library = nanoflow_netlist::liberty::read_file(ctx.input("liberty")?).map_err(wrong)?;
        let netlist =
            nanoflow_netlist::verilog::read_file(ctx.input("netlist")?, None).map_err(wrong)?;
        let circuit = Circuit::new(&netlist, &library)?;
        let chain = read_chain(ctx, &netlist, &circuit)?;
        let list = faults::list(&circuit, &netlist);
        let settings = Settings {
            seed: params.seed,
            random_words: params.random_patterns.div_ceil(64),
            idle_words: params.idle_patterns.div_ceil(64).max(1),
            conflicts: params.max_conflicts,
        };
        let mut progress = |done: usize, total: usize, note: &str| {
            ctx.progress(done as u64, total as u64, "fault", note)
        };
        let tests = generate::generate(&circuit, &list, &settings, &mut progress)
            .map_err(StageError::internal)?;
        let report = Report::new(&list, &tests, chain.order.len());
        report.metrics(ctx);
        if let Some(path) = ctx.optional_output("patterns") {
            let text = stil::write(&netlist, &circuit, &chain, &tests.patterns);
            std::fs::write(path, text).map_err(|error| StageError::io(path, &error))?;
        }
        let text = serde_json::to_string_pretty(&report)
            .map_err(|error| StageError::internal(error.to_string()))?;
        let path = ctx.output("report")?;
        std::fs::write(path, text + "\n").map_err(|error| StageError::io(path, &error))
    }
}

fn read_chain(
    ctx: &Context,
    netlist: &Netlist,
    circuit: &Circuit,
) -> Result<chain::Chain, StageError> {
    let path = ctx.input("chain")?;
    let text = std::fs::read_to_string(path).map_err(|error| StageError::io(path, &error))?;
    chain::read(&text, netlist, circuit).map_err(|error| {
        let message = format!("{}: {}", path.display(), error.message);
        StageError { message, ..error }
    })
}

#[cfg(test)]
mod tests;
