//! Stage `evaluate`: perplexity of a model over the whole validation set, and a sample of its text.
//!
//! Inputs: `model` (trained, quantised or pruned), `config` (config.json, for a trained model only), `val`, `tokenizer`, optionally
//! `reference` (the report of another variant, to compare with). Outputs: `report` (JSON), optionally `sample` (text).

mod table;

use nanoflow_model::data::read_tokens;
use nanoflow_model::evaluate::{evaluate, LanguageModel};
use nanoflow_model::generate::{generate, Sampling};
use nanoflow_model::loss::thread_pool;
use nanoflow_model::quant_forward::FakeQuantized;
use nanoflow_model::report::{Report, Size};
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

/// The stage that puts reports side by side.
#[must_use]
pub fn table_stage() -> &'static dyn Stage {
    &table::EvaluateTable
}

/// What is measured.
struct Variant<'a> {
    model: &'a dyn LanguageModel,
    config: &'a ModelConfig,
    arithmetic: &'a str,
    size: Size,
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
            let path = ctx.input("model")?;
            let model = Gpt::load(config, path)?;
            let variant = Variant {
                model: &model,
                config: &model.config,
                arithmetic: "fp32",
                size: Size::of(&model, path),
            };
            return measure(ctx, &params, &variant, &tokenizer);
        }
        let path = ctx.input("model")?;
        let model = QuantizedGpt::load(path).map_err(without_config)?;
        let variant = Variant {
            model: &FakeQuantized::new(&model),
            config: &model.shape(),
            arithmetic: "w8a8",
            size: Size::of_quantized(&model, path),
        };
        measure(ctx, &params, &variant, &tokenizer)
    }
}

fn without_config(error: ModelError) -> StageError {
    let is_file = matches!(error, ModelError::File { .. });
    let error = StageError::from(error);
    if is_file {
        return error.hint(
            "for a trained model in floating point give its config.json as the input 'config'",
        );
    }
    error
}

fn measure(
    ctx: &mut Context,
    params: &Params,
    variant: &Variant,
    tokenizer: &Tokenizer,
) -> Result<(), StageError> {
    let model = variant.model;
    let tokens = read_tokens(ctx.input("val")?, variant.config)?;
    let reference = match ctx.optional_input("reference") {
        Some(path) => Some(Report::load(path)?),
        None => None,
    };
    let pool = thread_pool(ctx.threads())?;
    let lengths = tokenizer.byte_lengths()?;
    let progress = std::sync::Mutex::new(&mut *ctx);
    let result = evaluate(model, &tokens, &lengths, &pool, &|done, total| {
        if let Ok(mut ctx) = progress.lock() {
            ctx.progress(done as u64, total as u64, "window", "");
        }
    })?;
    let size = variant.size.clone();
    let report = Report::new(variant.arithmetic, size, &result, reference.as_ref());
    for (name, value, unit) in report.metrics() {
        ctx.metric(name, value, unit);
    }
    report.save(ctx.output("report")?)?;
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
