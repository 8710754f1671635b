//! Stage `train`: trains a GPT from token files.
//!
//! Inputs: `data` and `val` (token files of stage `corpus`), `config` (a file of `configs/`), optionally `tokenizer` (only to
//! check that its vocabulary is the model's), `init` (weights to start from), `teacher` with `teacher_config` (a model to learn
//! from) and `heads` (the table of stage prune: its removed heads are held at 0, to train after pruning). Outputs: `model`
//! (safetensors), `config` (config.json of the Hugging Face hub), `curve` (CSV), optionally `plot` (SVG) and `events` (a folder with
//! a TensorBoard event file).

mod curve;
mod events;
mod extras;
mod session;
mod snapshot;

use nanoflow_model::checkpoint::WeightType;
use nanoflow_model::config::Config;
use nanoflow_model::data::read_tokens;
use nanoflow_model::{Gpt, Tokenizer};
use nanoflow_sdk::{Context, Stage, StageError};
use serde::{Deserialize, Serialize};

use curve::Curve;
use extras::{Device, Distillation, Extras};
use session::Session;

/// Parameters of the stage; what they leave out comes from the configuration file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    pub seed: u64,
    /// Steps instead of the configuration's.
    pub steps: Option<u64>,
    /// Learning rate instead of the configuration's; the minimum keeps its share of it.
    pub learning_rate: Option<f32>,
    /// Dropout instead of the configuration's.
    pub dropout: Option<f32>,
    /// Weights of the output `model`: `f32` or `bf16`.
    pub weights: WeightType,
    /// How much is learned from the input `teacher`.
    pub distillation: Distillation,
    /// Where gradients are computed: `cpu`, or `cuda` in a build with that feature.
    pub device: Device,
    /// Sends the events to Weights & Biases with the program `wandb` if it is there; the stage then needs `network: true`.
    pub wandb: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            seed: 1337,
            steps: None,
            learning_rate: None,
            dropout: None,
            weights: WeightType::F32,
            distillation: Distillation::default(),
            device: Device::Cpu,
            wandb: false,
        }
    }
}

impl Params {
    fn apply(&self, config: &mut Config) {
        let training = &mut config.training;
        if let Some(steps) = self.steps {
            training.steps = steps;
            training.warmup_steps = training.warmup_steps.min(steps / 4);
        }
        if let Some(rate) = self.learning_rate {
            let share =
                training.minimum_learning_rate / training.learning_rate.max(f32::MIN_POSITIVE);
            training.learning_rate = rate;
            training.minimum_learning_rate = rate * share;
        }
        if let Some(dropout) = self.dropout {
            training.dropout = dropout;
        }
    }
}

/// The stage.
pub struct Train;

/// The stage, to be registered.
#[must_use]
pub fn stage() -> &'static dyn Stage {
    &Train
}

impl Stage for Train {
    fn id(&self) -> &'static str {
        "train"
    }

    fn about(&self) -> &'static str {
        "trains a GPT on token files"
    }

    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let params: Params = ctx.params()?;
        let mut config = Config::load(ctx.input("config")?)?;
        params.apply(&mut config);
        config.check(&format!("params of stage '{}'", ctx.stage()))?;
        check_tokenizer(ctx, &config)?;
        let train = read_tokens(ctx.input("data")?, &config.model)?;
        let validation = read_tokens(ctx.input("val")?, &config.model)?;
        report_parameters(ctx, &config);
        let start = match ctx.optional_input("init") {
            Some(path) => Gpt::load(config.model.clone(), path)?,
            None => Gpt::new(config.model.clone(), params.seed),
        };
        let threads = ctx.threads();
        let mut extras = Extras::load(ctx, &config.model, params.distillation)?;
        if params.device == Device::Cuda {
            extras.use_cuda(&config.training)?;
        }
        let mut session = Session::new(start, &config.training, params.seed, threads, extras)?;
        let (model, curve) = session.train(ctx, &train, &validation)?;
        model.save_as(ctx.output("model")?, params.weights)?;
        write(ctx.output("config")?, &config.model.to_hub_json())?;
        write_curve(ctx, &curve, params.wandb)
    }
}

fn check_tokenizer(ctx: &Context, config: &Config) -> Result<(), StageError> {
    let Some(path) = ctx.optional_input("tokenizer") else {
        return Ok(());
    };
    let found = Tokenizer::load(path)?.vocabulary();
    if found > config.model.vocabulary {
        return Err(StageError::input(format!(
            "the tokenizer has {found} tokens, the model configuration a vocabulary of {}",
            config.model.vocabulary
        ))
        .hint("set 'vocabulary' of the corpus stage and of the model configuration to the same number"));
    }
    Ok(())
}

fn report_parameters(ctx: &mut Context, config: &Config) {
    let count = config.model.parameter_count();
    ctx.metric("parameters", count.total() as f64, "parameters");
    ctx.metric("block_parameters", count.blocks as f64, "parameters");
    ctx.metric(
        "token_embedding_parameters",
        count.token_embedding as f64,
        "parameters",
    );
    eprintln!(
        "{} parameters: {} in blocks, {} token embedding, {} position embedding, {} final norm",
        count.total(),
        count.blocks,
        count.token_embedding,
        count.position_embedding,
        count.final_norm
    );
}

fn write_curve(ctx: &mut Context, curve: &Curve, wandb: bool) -> Result<(), StageError> {
    write(ctx.output("curve")?, &curve.to_csv())?;
    if let Some(path) = ctx.optional_output("plot") {
        write(path, &curve.to_svg())?;
    }
    if let Some(folder) = ctx.optional_output("events") {
        std::fs::create_dir_all(folder).map_err(|error| StageError::io(folder, &error))?;
        let path = folder.join(events::FILE);
        std::fs::write(&path, curve.to_events()).map_err(|error| StageError::io(&path, &error))?;
        if wandb {
            sync_to_wandb(folder);
        }
    }
    Ok(())
}

/// What happens there is told, and never makes the training fail.
fn sync_to_wandb(folder: &std::path::Path) {
    let result = std::process::Command::new("wandb")
        .args(["sync", "--sync-tensorboard"])
        .arg(folder)
        .status();
    match result {
        Ok(status) => eprintln!("wandb sync: {status}"),
        Err(error) => eprintln!("wandb is not there, nothing is sent: {error}"),
    }
}

fn write(path: &std::path::Path, text: &str) -> Result<(), StageError> {
    std::fs::write(path, text).map_err(|error| StageError::io(path, &error))
}
