//! Stage `evaluate`: perplexity of a model over the whole validation set, and a sample of its text.
//!
//! Inputs: `model` (trained, quantised or pruned), `config` (model.json, for a trained model only), `val`, `tokenizer`.
//! Outputs: `report` (JSON), optionally `sample` (text).

use nanoflow_model::data::read_tokens;
use nanoflow_model::evaluate::{evaluate, Evaluation, LanguageModel};
use nanoflow_model::generate::{generate, Sampling};
use nanoflow_model::loss::thread_pool;
use nanoflow_model::quant_forward::FakeQuantized;
use nanoflow_model::{Gpt, ModelConfig, ModelError, QuantizedGpt, Tokenizer};
use nanoflow_sdk::{Context, Stage, StageError};
use serde::{Deserialize, Serialize};

/// Parameters of the stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Text that the sample continues; empty begins a new document.
    pub prompt: String,
    /// Tokens to sample.
    pub tokens: usize,
    /// 0 always takes the likeliest token.
    pub temperature: f32,
    /// Draws from this many likeliest tokens; 0 from all.
    pub top_k: usize,
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            prompt: String::new(),
            tokens: 300,
            temperature: 0.8,
            top_k: 50,
            seed: 1337,
        }
    }
}

/// The stage.
pub struct Evaluate;

/// The stage, to be registered.
#[must_use]
pub fn stage() -> &'static dyn Stage {
    &Evaluate
}

impl Stage for Evaluate {
    fn id(&self) -> &'static str {
        "evaluate"
    }

    fn about(&self) -> &'static str {
        "perplexity over the validation set, and a sample"
    }

    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let params: Params = ctx.params()?;
        let tokenizer = Tokenizer::load(ctx.input("tokenizer")?)?;
        if let Some(config) = ctx.optional_input("config") {
            let config = ModelConfig::load_hub_json(config)?;
            let model = Gpt::load(config, ctx.input("model")?)?;
            ctx.metric("parameters", model.parameters.len() as f64, "parameters");
            let config = model.config.clone();
            return measure(ctx, &params, &model, &config, &tokenizer, "fp32");
        }
        let model = QuantizedGpt::load(ctx.input("model")?).map_err(without_config)?;
        ctx.metric("parameters", model.parameters() as f64, "parameters");
        let config = ModelConfig {
            vocabulary: model.vocabulary,
            block: model.block,
            layers: model.layers.len(),
            heads: 1,
            width: model.width,
        };
        measure(
            ctx,
            &params,
            &FakeQuantized::new(&model),
            &config,
            &tokenizer,
            "w8a8",
        )
    }
}

fn without_config(error: ModelError) -> StageError {
    let is_file = matches!(error, ModelError::File { .. });
    let error = StageError::from(error);
    if is_file {
        return error.hint(
            "for a trained model in floating point give its model.json as the input 'config'",
        );
    }
    error
}

fn measure(
    ctx: &mut Context,
    params: &Params,
    model: &dyn LanguageModel,
    config: &ModelConfig,
    tokenizer: &Tokenizer,
    arithmetic: &str,
) -> Result<(), StageError> {
    let tokens = read_tokens(ctx.input("val")?, config)?;
    let pool = thread_pool(ctx.threads())?;
    let lengths = tokenizer.byte_lengths()?;
    let progress = std::sync::Mutex::new(&mut *ctx);
    let result = evaluate(model, &tokens, &lengths, &pool, &|done, total| {
        if let Ok(mut ctx) = progress.lock() {
            ctx.progress(done as u64, total as u64, "window", "");
        }
    })?;
    report(ctx, &result, arithmetic)?;
    let Some(path) = ctx.optional_output("sample") else {
        return Ok(());
    };
    let mut prompt = vec![tokenizer.end_of_text()];
    prompt.extend(tokenizer.encode(&params.prompt)?);
    let sampling = Sampling {
        temperature: params.temperature,
        top_k: params.top_k,
        seed: params.seed,
    };
    let sample = generate(model, &prompt, params.tokens, sampling)?;
    // Stories that follow in the sample are set apart.
    let texts: Vec<String> = sample[1..]
        .split(|&token| token == tokenizer.end_of_text())
        .map(|part| tokenizer.decode(part))
        .collect::<Result<_, _>>()?;
    let text = format!("{}\n", texts.join("\n\n----\n\n"));
    std::fs::write(path, text).map_err(|error| StageError::io(path, &error))
}

fn report(ctx: &mut Context, result: &Evaluation, arithmetic: &str) -> Result<(), StageError> {
    ctx.metric("perplexity", result.perplexity(), "");
    ctx.metric("loss", result.loss(), "nats");
    ctx.metric("bits_per_byte", result.bits_per_byte(), "bits");
    ctx.metric("tokens", result.tokens as f64, "tokens");
    let value = serde_json::json!({
        "arithmetic": arithmetic,
        "perplexity": result.perplexity(),
        "loss_nats": result.loss(),
        "bits_per_byte": result.bits_per_byte(),
        "tokens": result.tokens,
        "bytes": result.bytes,
    });
    let path = ctx.output("report")?;
    std::fs::write(path, format!("{value:#}\n")).map_err(|error| StageError::io(path, &error))
}
