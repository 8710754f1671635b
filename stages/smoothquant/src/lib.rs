//! Stage `smoothquant`: a trained GPT to static W8A8 with SmoothQuant.
//!
//! Inputs: `model` (safetensors), `config` (model.json), `calib` (a token file). Output: `model`, self-contained.

use nanoflow_model::data::{read_tokens, Batch};
use nanoflow_model::evaluate::evaluate;
use nanoflow_model::loss::thread_pool;
use nanoflow_model::quant_forward::FakeQuantized;
use nanoflow_model::smooth::{quantize, Calibration};
use nanoflow_model::{Gpt, ModelConfig, QuantizedGpt};
use nanoflow_sdk::{Context, Stage, StageError};
use serde::{Deserialize, Serialize};

/// Parameters of the stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// How much of the activations' range moves into the weights, 0 to 1.
    pub alpha: f32,
    /// Tries 0.3, 0.4, … 0.8 instead of `alpha` and takes the best on the calibration data.
    pub search_alpha: bool,
    /// Off: naive W8A8, for comparison.
    pub smooth: bool,
    /// Sequences of one block each to calibrate with.
    pub sequences: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            alpha: 0.5,
            search_alpha: false,
            smooth: true,
            sequences: 256,
        }
    }
}

/// The stage.
pub struct SmoothQuant;

/// The stage, to be registered.
#[must_use]
pub fn stage() -> &'static dyn Stage {
    &SmoothQuant
}

impl Stage for SmoothQuant {
    fn id(&self) -> &'static str {
        "smoothquant"
    }

    fn about(&self) -> &'static str {
        "quantises a GPT to 8-bit weights and activations with SmoothQuant"
    }

    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let params: Params = ctx.params()?;
        check(&params)?;
        let config = ModelConfig::load_hub_json(ctx.input("config")?)?;
        let model = Gpt::load(config, ctx.input("model")?)?;
        let tokens = read_tokens(ctx.input("calib")?, &model.config)?;
        let batch = Batch::even(&tokens, model.config.block, params.sequences);
        let sequences: Vec<&[u16]> = batch.inputs.chunks(model.config.block).collect();
        let calibration = Calibration::run(&model, sequences.iter().copied())?;
        let quantized = if params.search_alpha {
            search(ctx, &model, &calibration, &batch.inputs)?
        } else {
            quantize(&model, &calibration, params.alpha, params.smooth)
        };
        quantized.save(ctx.output("model")?)?;
        ctx.metric("alpha", f64::from(quantized.alpha), "");
        ctx.metric("parameters", quantized.parameters() as f64, "parameters");
        ctx.metric("calibration_tokens", batch.inputs.len() as f64, "tokens");
        Ok(())
    }
}

fn check(params: &Params) -> Result<(), StageError> {
    if !(0.0..=1.0).contains(&params.alpha) {
        return Err(StageError::input(format!(
            "params: alpha {} is not between 0 and 1",
            params.alpha
        ))
        .hint("use a value such as 0.5"));
    }
    if params.sequences == 0 {
        return Err(StageError::input("params: sequences is 0").hint("use a value such as 256"));
    }
    Ok(())
}

/// The α with the lowest loss on the calibration data.
fn search(
    ctx: &mut Context,
    model: &Gpt,
    calibration: &Calibration,
    tokens: &[u16],
) -> Result<QuantizedGpt, StageError> {
    let pool = thread_pool(ctx.threads())?;
    let mut best: Option<(f64, QuantizedGpt)> = None;
    for tenth in 3..=8u8 {
        let quantized = quantize(model, calibration, f32::from(tenth) / 10.0, true);
        let loss = evaluate(
            &FakeQuantized::new(&quantized),
            tokens,
            &[],
            &pool,
            &|_, _| {},
        )?
        .loss();
        eprintln!(
            "alpha {:.1}: loss {loss:.5} on the calibration data",
            quantized.alpha
        );
        if best.as_ref().is_none_or(|(lowest, _)| loss < *lowest) {
            best = Some((loss, quantized));
        }
        ctx.progress(u64::from(tenth) - 2, 6, "alpha", "");
    }
    best.map(|(_, model)| model)
        .ok_or_else(|| StageError::internal("no alpha was tried"))
}
