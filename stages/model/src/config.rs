//! The model's shape and how it is trained: `configs/*.yaml`, and `model.json` beside trained weights.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::ModelError;

/// Which GELU the MLP has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// The exact one with erf, as in nanoGPT.
    #[default]
    Gelu,
    /// The form with tanh that GPT-2 was trained with (`gelu_new` on the Hugging Face hub).
    GeluTanh,
}

impl Activation {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Shape of a GPT: pre-LN blocks, learned positions, GELU, tied token embedding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Number of different tokens, V.
    pub vocabulary: usize,
    /// Longest context in tokens, T.
    pub block: usize,
    pub layers: usize,
    pub heads: usize,
    /// Width of the residual stream, E; each head takes E / heads of it.
    pub width: usize,
    #[serde(default, skip_serializing_if = "Activation::is_default")]
    pub activation: Activation,
    /// All layers use the same weights, as in ALBERT (Lan et al. 2019).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub share_layers: bool,
}

/// How the model is trained. AdamW, linear warm-up, cosine down to `minimum_learning_rate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    pub steps: u64,
    /// Sequences in one step and one micro-batch.
    pub batch: usize,
    /// Micro-batches whose gradients are averaged before one step of the optimiser.
    pub accumulation: usize,
    pub learning_rate: f32,
    pub minimum_learning_rate: f32,
    pub warmup_steps: u64,
    /// Decoupled weight decay, on matrices and embeddings only.
    pub weight_decay: f32,
    pub beta1: f32,
    pub beta2: f32,
    /// Largest L2 norm of the whole gradient; 0 turns clipping off.
    pub clip: f32,
    pub dropout: f32,
    /// Rate at which whole attention heads are left out, so that the model can do without some of them later.
    pub head_dropout: f32,
    /// Bits of the weights in every forward pass (quantisation-aware training, straight-through gradient); 0 leaves them real.
    pub weight_bits: u32,
    /// Group lasso on attention heads: pulls the weights of those that matter least to 0, for pruning. 0 turns it off.
    pub head_sparsity: f32,
    /// Steps between two looks at the validation loss.
    pub evaluate_every: u64,
    /// Sequences of the validation set in each look, and of the training set in the same look.
    pub evaluate_sequences: usize,
    /// Parts of a batch that are computed side by side. The sums depend on it, so it is not the number of threads.
    pub shards: usize,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            steps: 1000,
            batch: 16,
            accumulation: 1,
            learning_rate: 1e-3,
            minimum_learning_rate: 1e-4,
            warmup_steps: 100,
            weight_decay: 0.1,
            beta1: 0.9,
            beta2: 0.99,
            clip: 1.0,
            dropout: 0.0,
            head_dropout: 0.0,
            weight_bits: 0,
            head_sparsity: 0.0,
            evaluate_every: 100,
            evaluate_sequences: 64,
            shards: 4,
        }
    }
}

/// A file of `configs/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub model: ModelConfig,
    #[serde(default)]
    pub training: TrainingConfig,
}

/// Parameters of a model by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ParameterCount {
    /// In the blocks: L(12E² + 13E), or of one block if all share their weights.
    pub blocks: usize,
    /// V·E, used at both ends.
    pub token_embedding: usize,
    /// T·E.
    pub position_embedding: usize,
    /// 2E.
    pub final_norm: usize,
}

impl ParameterCount {
    #[must_use]
    pub fn total(&self) -> usize {
        self.blocks + self.token_embedding + self.position_embedding + self.final_norm
    }
}

impl ModelConfig {
    #[must_use]
    pub fn head_width(&self) -> usize {
        self.width / self.heads
    }

    #[must_use]
    pub fn parameter_count(&self) -> ParameterCount {
        let width = self.width;
        let different = if self.share_layers { 1 } else { self.layers };
        ParameterCount {
            blocks: different * (12 * width * width + 13 * width),
            token_embedding: self.vocabulary * width,
            position_embedding: self.block * width,
            final_norm: 2 * width,
        }
    }

    /// Checks that such a model can be; `file` names the configuration in the message.
    ///
    /// # Errors
    /// [`ModelError::Config`] with the field at fault.
    pub fn check(&self, file: &str) -> Result<(), ModelError> {
        let fault = |field, problem: String| {
            Err(ModelError::Config {
                file: file.into(),
                field,
                problem,
            })
        };
        for (field, value) in [
            ("block", self.block),
            ("layers", self.layers),
            ("heads", self.heads),
            ("width", self.width),
        ] {
            if value == 0 {
                return fault(field, "must be at least 1".into());
            }
        }
        // Tokens are stored as u16.
        if !(2..=65536).contains(&self.vocabulary) {
            return fault(
                "vocabulary",
                format!("{} is not between 2 and 65536", self.vocabulary),
            );
        }
        if self.width % self.heads != 0 {
            let (heads, width) = (self.heads, self.width);
            return fault(
                "heads",
                format!("{heads} heads do not divide the width {width} evenly"),
            );
        }
        let count = self.layers as f64 * 12.0 * (self.width as f64).powi(2)
            + (self.vocabulary + self.block) as f64 * self.width as f64;
        if count > 2e9 {
            return fault(
                "width",
                format!(
                    "the model would have {:.1} billion parameters, more than 2",
                    count / 1e9
                ),
            );
        }
        Ok(())
    }
}

impl TrainingConfig {
    fn check(&self, file: &str) -> Result<(), ModelError> {
        let fault = |field, problem: &str| {
            Err(ModelError::Config {
                file: file.into(),
                field,
                problem: problem.into(),
            })
        };
        if self.steps == 0 {
            return fault("steps", "must be at least 1");
        }
        if self.batch == 0 || self.accumulation == 0 || self.shards == 0 {
            return fault("batch", "batch, accumulation and shards must be at least 1");
        }
        if self.evaluate_every == 0 || self.evaluate_sequences == 0 {
            return fault(
                "evaluate_every",
                "evaluate_every and evaluate_sequences must be at least 1",
            );
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return fault("dropout", "must be at least 0 and below 1");
        }
        if !(0.0..1.0).contains(&self.head_dropout) {
            return fault("head_dropout", "must be at least 0 and below 1");
        }
        if !matches!(self.weight_bits, 0 | 2..=8) {
            return fault("weight_bits", "must be 0 (off) or from 2 to 8");
        }
        if !(0.0..1.0).contains(&self.beta1) || !(0.0..1.0).contains(&self.beta2) {
            return fault("beta1", "beta1 and beta2 must be at least 0 and below 1");
        }
        for (field, value) in [
            ("learning_rate", self.learning_rate),
            ("minimum_learning_rate", self.minimum_learning_rate),
            ("weight_decay", self.weight_decay),
            ("clip", self.clip),
            ("head_sparsity", self.head_sparsity),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return fault(field, "must be a number that is not negative");
            }
        }
        Ok(())
    }
}

impl Config {
    /// Reads and checks a YAML configuration.
    ///
    /// # Errors
    /// When the file cannot be read, has an unknown or missing key (with line and column), or describes no model.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let text = std::fs::read_to_string(path).map_err(|error| ModelError::io(path, error))?;
        let config: Self =
            serde_yaml::from_str(&text).map_err(|error| ModelError::file(path, error))?;
        config.check(&file_name(path))?;
        Ok(config)
    }

    /// Checks shape and training values; `file` names the configuration in the message.
    ///
    /// # Errors
    /// [`ModelError::Config`] with the field at fault.
    pub fn check(&self, file: &str) -> Result<(), ModelError> {
        self.model.check(file)?;
        self.training.check(file)
    }
}

fn file_name(path: &Path) -> String {
    path.display().to_string()
}

/// `model.json`, in the words of GPT-2's `config.json` on the Hugging Face hub, so that other programs open the weights.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct HubConfig {
    model_type: String,
    #[serde(default = "gelu_new")]
    activation_function: String,
    vocab_size: usize,
    n_positions: usize,
    n_embd: usize,
    n_layer: usize,
    n_head: usize,
    #[serde(default = "epsilon")]
    layer_norm_epsilon: f64,
    #[serde(default = "yes")]
    tie_word_embeddings: bool,
    #[serde(default)]
    n_inner: Option<usize>,
    #[serde(default = "yes")]
    scale_attn_weights: bool,
    #[serde(default)]
    scale_attn_by_inverse_layer_idx: bool,
    #[serde(default)]
    share_layers: bool,
}

// What GPT2Config takes for a key that is not there.
fn gelu_new() -> String {
    "gelu_new".into()
}
fn epsilon() -> f64 {
    1e-5
}
fn yes() -> bool {
    true
}

impl HubConfig {
    /// What this program does not compute, in words.
    fn unsupported(&self) -> Option<String> {
        let kind = &self.model_type;
        if kind != "gpt2" {
            return Some(format!("model_type '{kind}'"));
        }
        if !self.tie_word_embeddings {
            return Some("a head that is not tied to the token embedding".into());
        }
        if self.n_inner.is_some_and(|inner| inner != 4 * self.n_embd) {
            return Some("n_inner other than 4 · n_embd".into());
        }
        if !self.scale_attn_weights || self.scale_attn_by_inverse_layer_idx {
            return Some("attention scaled otherwise than by 1/√D".into());
        }
        let epsilon = self.layer_norm_epsilon;
        (epsilon != f64::from(LAYER_NORM_EPSILON) && epsilon != 1e-5)
            .then(|| format!("layer_norm_epsilon {epsilon}"))
    }
}

/// ε of every LayerNorm, as in PyTorch and GPT-2.
pub const LAYER_NORM_EPSILON: f32 = 1e-5;

impl ModelConfig {
    /// The text of `model.json`.
    #[must_use]
    pub fn to_hub_json(&self) -> String {
        let mut value = serde_json::json!({
            "model_type": "gpt2",
            "architectures": ["GPT2LMHeadModel"],
            "activation_function": match self.activation {
                Activation::Gelu => "gelu",
                Activation::GeluTanh => "gelu_new",
            },
            "vocab_size": self.vocabulary,
            "n_positions": self.block,
            "n_embd": self.width,
            "n_layer": self.layers,
            "n_head": self.heads,
            "layer_norm_epsilon": 1e-5,
            "tie_word_embeddings": true,
            "attn_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "resid_pdrop": 0.0,
        });
        if self.share_layers {
            value["share_layers"] = true.into();
        }
        format!("{value:#}\n")
    }

    /// Reads `model.json`.
    ///
    /// # Errors
    /// When the file cannot be read or describes a model that is not ours.
    pub fn load_hub_json(path: &Path) -> Result<Self, ModelError> {
        let text = std::fs::read_to_string(path).map_err(|error| ModelError::io(path, error))?;
        let hub: HubConfig =
            serde_json::from_str(&text).map_err(|error| ModelError::file(path, error))?;
        if let Some(problem) = hub.unsupported() {
            return Err(ModelError::file(
                path,
                format!("{problem} is not supported; it must be GPT-2 with tied embeddings"),
            ));
        }
        let activation = match hub.activation_function.as_str() {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluTanh,
            other => {
                return Err(ModelError::file(
                    path,
                    format!(
                        "activation_function '{other}' is not supported; gelu and gelu_new are"
                    ),
                ))
            }
        };
        let config = Self {
            vocabulary: hub.vocab_size,
            block: hub.n_positions,
            layers: hub.n_layer,
            heads: hub.n_head,
            width: hub.n_embd,
            activation,
            share_layers: hub.share_layers,
        };
        config.check(&file_name(path))?;
        Ok(config)
    }
}
