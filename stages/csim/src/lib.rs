//! Stage `csim`: compiles the core's C++ with g++ and runs it on the golden vectors; every logit and every memory write must be equal.

use nanoflow_accel::simulate::CppSimulation;
use nanoflow_accel::{tools, Golden, Hardware, Program};
use nanoflow_sdk::{Context, Stage, StageError, Tool};
use serde::Deserialize;

/// The stage.
pub struct Csim;

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    /// Tokens to run, over all prompts.
    max_tokens: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self { max_tokens: 64 }
    }
}

/// The stage for the registry.
#[must_use]
pub fn stage() -> &'static dyn Stage {
    &Csim
}

impl Stage for Csim {
    fn id(&self) -> &'static str {
        "csim"
    }

    fn about(&self) -> &'static str {
        "runs the accelerator's C++ on the golden vectors, bit-exact"
    }

    fn tools(&self) -> &'static [Tool] {
        &[tools::CXX]
    }

    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let params: Params = ctx.params()?;
        let cpp = ctx.input("cpp")?.to_path_buf();
        let hardware = Hardware::read(&cpp.join("hardware.json"))?;
        let program = Program::read(ctx.input("program")?)?;
        let golden = Golden::read(ctx.input("golden")?)?;
        let scratch = ctx.scratch().to_path_buf();
        let simulation = CppSimulation {
            cpp: &cpp,
            hardware,
            program: &program,
            golden: &golden,
            max_tokens: params.max_tokens,
            scratch: &scratch,
        };
        ctx.progress(0, 1, "run", "compile and run");
        let outcome = simulation.run()?;
        ctx.progress(1, 1, "run", "");
        ctx.metric("tokens", outcome.tokens as f64, "");
        ctx.metric("compared", outcome.compared as f64, "");
        ctx.metric("mismatches", outcome.mismatches as f64, "");
        let report = ctx.output("report")?;
        outcome.write(report)?;
        match outcome.first_difference {
            Some(difference) => Err(StageError::design(format!("the C++ differs: {difference}"))),
            None => Ok(()),
        }
    }
}
