//! Stage `hls`: from the exported model to the accelerator's RTL, its C++ for high-level synthesis, and its program.
//!
//! RTL and C++ depend on the hardware parameters alone; only `program` depends on the model.

mod emit;

use nanoflow_accel::{assemble, read_model, Hardware, IntModel};
use nanoflow_sdk::{Context, Stage, StageError};

/// The stage; parameters are the fields of [`Hardware`].
pub struct Hls;

/// The stage for the registry.
#[must_use]
pub fn stage() -> &'static dyn Stage {
    &Hls
}

impl Stage for Hls {
    fn id(&self) -> &'static str {
        "hls"
    }

    fn about(&self) -> &'static str {
        "generates the accelerator (Verilog, C++ for high-level synthesis) and its program from the exported model"
    }

    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let hardware: Hardware = ctx.params()?;
        hardware.validate()?;
        emit::rtl(ctx.output("rtl")?, &hardware)?;
        if let Some(dir) = ctx.optional_output("cpp") {
            emit::cpp(dir, &hardware)?;
        }
        ctx.progress(1, 2, "step", "assemble the program");
        let model = read_model(ctx.input("npz")?, ctx.input("manifest")?)?;
        let model = IntModel::from_quant(&model)?;
        let program = assemble(&model, &hardware)?;
        program.write(ctx.output("program")?)?;
        ctx.metric("lanes", hardware.lanes as f64, "");
        ctx.metric("program_bytes", program.image.len() as f64, "B");
        ctx.metric(
            "memory_bytes",
            f64::from(program.info.memory_words) * hardware.lanes as f64,
            "B",
        );
        ctx.metric(
            "multiplications_per_token",
            model.multiplications() as f64,
            "",
        );
        ctx.progress(2, 2, "step", "");
        Ok(())
    }
}
