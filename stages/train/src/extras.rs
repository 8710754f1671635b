//! What a training run may be given beside its data: a teacher, and heads that have to stay silent.

use std::path::Path;

use nanoflow_model::config::TrainingConfig;
use nanoflow_model::stock::Accelerator;
use nanoflow_model::{Gpt, ModelConfig};
use nanoflow_sdk::{Context, StageError};
use serde::{Deserialize, Serialize};

/// How much is learned from the teacher.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Distillation {
    /// Share of the teacher in the loss, 0 to 1.
    pub weight: f32,
    /// Temperature of both distributions.
    pub temperature: f32,
}

impl Default for Distillation {
    fn default() -> Self {
        Self {
            weight: 0.5,
            temperature: 2.0,
        }
    }
}

/// Where gradients are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The processor, with the hand-written passes.
    Cpu,
    /// The first CUDA device, with candle's operations.
    Cuda,
}

/// Optional parts of a run.
#[derive(Default)]
pub struct Extras {
    pub teacher: Option<(Gpt, Distillation)>,
    /// (layer, head) of heads whose weights are held at 0.
    pub silent_heads: Vec<(usize, usize)>,
    pub accelerator: Option<Accelerator>,
}

impl Extras {
    /// Computes gradients on a CUDA device from now on.
    ///
    /// # Errors
    /// When there is none, or the run asks for what only the processor's passes can do.
    pub fn use_cuda(&mut self, settings: &TrainingConfig) -> Result<(), StageError> {
        let plain = settings.dropout == 0.0 && settings.head_dropout == 0.0;
        if !plain || self.teacher.is_some() {
            return Err(StageError::input(
                "params: device: cuda trains without dropout, head_dropout and teacher",
            )
            .hint("set these to 0 and leave the teacher out, or use 'device: cpu'"));
        }
        self.accelerator = Some(Accelerator::cuda()?);
        Ok(())
    }

    /// From the inputs `teacher` with `teacher_config`, and `heads` (the table of stage prune).
    ///
    /// # Errors
    /// When a file cannot be read or does not fit the model.
    pub fn load(
        ctx: &Context,
        config: &ModelConfig,
        distillation: Distillation,
    ) -> Result<Self, StageError> {
        let mut extras = Self::default();
        if let Some(weights) = ctx.optional_input("teacher") {
            let teacher = ModelConfig::load_hub_json(ctx.input("teacher_config")?)?;
            if teacher.vocabulary != config.vocabulary || teacher.block < config.block {
                return Err(StageError::input(format!(
                    "the teacher has a vocabulary of {} and a block of {}, the model {} and {}",
                    teacher.vocabulary, teacher.block, config.vocabulary, config.block
                ))
                .hint("a teacher needs the model's vocabulary and at least its block"));
            }
            let possible = (0.0..=1.0).contains(&distillation.weight)
                && distillation.temperature.is_finite()
                && distillation.temperature > 0.0;
            if !possible {
                return Err(StageError::input(format!(
                    "params: distillation: weight {} must be from 0 to 1 and temperature {} above 0",
                    distillation.weight, distillation.temperature
                ))
                .hint("use for example { weight: 0.5, temperature: 2.0 }"));
            }
            extras.teacher = Some((Gpt::load(teacher, weights)?, distillation));
        }
        if let Some(path) = ctx.optional_input("heads") {
            extras.silent_heads = removed_heads(path, config)?;
        }
        Ok(extras)
    }
}

/// The removed heads of a table `layer,head,…,removed`.
fn removed_heads(path: &Path, config: &ModelConfig) -> Result<Vec<(usize, usize)>, StageError> {
    let text = std::fs::read_to_string(path).map_err(|error| StageError::io(path, &error))?;
    let mut heads = Vec::new();
    for (number, line) in text.lines().enumerate().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let fault = || {
            StageError::input(format!(
                "{}: line {}: '{line}' is no head of this model",
                path.display(),
                number + 1
            ))
            .hint("give the output 'heads' of stage prune of the same model")
        };
        let (&[layer, head, ..], Some(&removed)) = (fields.as_slice(), fields.last()) else {
            return Err(fault());
        };
        let place = (
            layer.parse().map_err(|_| fault())?,
            head.parse().map_err(|_| fault())?,
        );
        if place.0 >= config.layers || place.1 >= config.heads {
            return Err(fault());
        }
        if removed == "true" {
            heads.push(place);
        }
    }
    Ok(heads)
}
