//! Stage `export`: a quantised model as int8 weights, int32 biases and scales that NumPy and the accelerator's stages read,
//! the perplexity of the integer-only model, and golden vectors.
//!
//! Inputs: `model` (of smoothquant or prune), `val`, `tokenizer`. Outputs: `npz`, `manifest`, `golden`, optionally `report` (JSON, as of
//! stage evaluate: the integer-only model compared with the same weights in real arithmetic between the products).

mod convert;
mod integer;

use nanoflow_accel::{read_model, write_npz, AccelError, Golden, IntModel};
use nanoflow_model::data::read_tokens;
use nanoflow_model::evaluate::evaluate;
use nanoflow_model::loss::thread_pool;
use nanoflow_model::quant_forward::FakeQuantized;
use nanoflow_model::report::{Report, Size};
use nanoflow_model::{QuantizedGpt, Tokenizer};
use nanoflow_sdk::{Context, Stage, StageError};
use serde::{Deserialize, Serialize};

use integer::IntegerOnly;

/// Parameters of the stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Tokens of each golden prompt; prompts are taken from the validation set at even distances.
    pub prompts: Vec<usize>,
    /// Tokens of the validation set to measure the integer-only perplexity on; 0 takes all.
    pub evaluate_tokens: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            prompts: vec![12, 9],
            evaluate_tokens: 0,
        }
    }
}

/// The stage.
pub struct Export;

/// The stage, to be registered.
#[must_use]
pub fn stage() -> &'static dyn Stage {
    &Export
}

impl Stage for Export {
    fn id(&self) -> &'static str {
        "export"
    }

    fn about(&self) -> &'static str {
        "int8 weights for NumPy and hardware, integer-only perplexity, golden vectors"
    }

    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let params: Params = ctx.params()?;
        let model = QuantizedGpt::load(ctx.input("model")?)?;
        let config = model.shape();
        let validation = read_tokens(ctx.input("val")?, &config)?;
        let prompts = choose_prompts(&validation, &params.prompts, model.block)?;
        let (npz, manifest) = (ctx.output("npz")?, ctx.output("manifest")?);
        write_npz(&convert::to_accelerator(&model), npz, manifest).map_err(accelerator)?;
        // From here on with what the files say, as every reader of them will.
        let integer = IntModel::from_quant(&read_model(npz, manifest).map_err(accelerator)?)
            .map_err(accelerator)?;
        let golden = Golden::record(&integer, &prompts).map_err(accelerator)?;
        golden.write(ctx.output("golden")?).map_err(accelerator)?;
        ctx.metric("golden_tokens", golden.tokens() as f64, "tokens");
        measure(ctx, &params, &model, &integer, &validation)
    }
}

/// Perplexity of the integer-only model beside that of the same weights with real arithmetic between the products.
fn measure(
    ctx: &mut Context,
    params: &Params,
    model: &QuantizedGpt,
    integer: &IntModel,
    validation: &[u16],
) -> Result<(), StageError> {
    let lengths = Tokenizer::load(ctx.input("tokenizer")?)?.byte_lengths()?;
    let count = match params.evaluate_tokens {
        0 => validation.len(),
        count => validation.len().min(count + 1),
    };
    let tokens = &validation[..count];
    let pool = thread_pool(ctx.threads())?;
    let integer = IntegerOnly {
        model: integer,
        logit_scale: model.logit_scale,
    };
    let result = {
        let progress = std::sync::Mutex::new(&mut *ctx);
        evaluate(&integer, tokens, &lengths, &pool, &|done, total| {
            if let Ok(mut ctx) = progress.lock() {
                ctx.progress(done as u64, total as u64, "window", "");
            }
        })?
    };
    let real = evaluate(
        &FakeQuantized::new(model),
        tokens,
        &lengths,
        &pool,
        &|_, _| {},
    )?;
    ctx.metric("integer_perplexity", result.perplexity(), "");
    ctx.metric("integer_bits_per_byte", result.bits_per_byte(), "bits");
    ctx.metric("integer_tokens", result.tokens as f64, "tokens");
    let size = Size::of_quantized(model, ctx.output("npz")?);
    ctx.metric("npz_bytes", size.file_bytes as f64, "bytes");
    let real = Report::new("w8a8", size.clone(), &real, None);
    let report = Report::new("integer", size, &result, Some(&real));
    if let Some(comparison) = report.comparison {
        ctx.metric("integer_loss_percent", comparison.increase_percent, "%");
    }
    if let Some(path) = ctx.optional_output("report") {
        report.save(path)?;
    }
    Ok(())
}

fn choose_prompts(
    tokens: &[u16],
    lengths: &[usize],
    block: usize,
) -> Result<Vec<Vec<u16>>, StageError> {
    if lengths.is_empty() {
        return Err(StageError::input("params: prompts is empty")
            .hint("give lengths in tokens, such as [12, 9]"));
    }
    lengths
        .iter()
        .enumerate()
        .map(|(index, &length)| {
            if length == 0 || length > block.min(tokens.len()) {
                return Err(StageError::input(format!(
                    "params: a prompt of {length} tokens does not fit a block of {block}"
                ))
                .hint(format!("use lengths from 1 to {block}")));
            }
            let start = index * (tokens.len() - length) / lengths.len();
            Ok(tokens[start..start + length].to_vec())
        })
        .collect()
}

fn accelerator(error: AccelError) -> StageError {
    StageError::input(error.to_string()).hint(
        "the quantised model does not fit the accelerator's arithmetic or could not be written",
    )
}
