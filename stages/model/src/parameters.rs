//! All parameters of a model in one flat array, and the table that says what lies where.
//!
//! One array makes the optimiser, clipping and the reduction of gradients single loops. Names and shapes are those of
//! GPT-2 on the Hugging Face hub: matrices are `[inputs, outputs]`, so that y = x·W + b.

use std::ops::Range;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::ModelConfig;

/// One named tensor in the flat array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub name: String,
    pub shape: Vec<usize>,
    pub range: Range<usize>,
    /// Weight decay applies: matrices and embeddings, not biases and LayerNorm.
    pub decay: bool,
}

/// A LayerNorm's or a linear layer's two tensors as ranges of the flat array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub weight: Range<usize>,
    pub bias: Range<usize>,
}

/// Ranges of one block's tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRanges {
    pub norm1: Pair,
    /// Query, key and value side by side: `[E, 3E]`.
    pub qkv: Pair,
    /// `[E, E]`.
    pub projection: Pair,
    pub norm2: Pair,
    /// `[E, 4E]`.
    pub up: Pair,
    /// `[4E, E]`.
    pub down: Pair,
}

/// Where each tensor of a model lies in the flat array. Layers that share their weights have the same ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterTable {
    pub segments: Vec<Segment>,
    pub token_embedding: Range<usize>,
    pub position_embedding: Range<usize>,
    pub blocks: Vec<BlockRanges>,
    pub final_norm: Pair,
    pub total: usize,
}

impl ParameterTable {
    #[must_use]
    pub fn new(config: &ModelConfig) -> Self {
        let width = config.width;
        let mut builder = Builder::default();
        let token_embedding = builder.push(
            "transformer.wte.weight".into(),
            vec![config.vocabulary, width],
            true,
        );
        let position_embedding = builder.push(
            "transformer.wpe.weight".into(),
            vec![config.block, width],
            true,
        );
        let different = if config.share_layers {
            1
        } else {
            config.layers
        };
        let blocks: Vec<_> = (0..different)
            .map(|layer| {
                let name = |part: &str| format!("transformer.h.{layer}.{part}");
                BlockRanges {
                    norm1: builder.norm(&name("ln_1"), width),
                    qkv: builder.linear(&name("attn.c_attn"), width, 3 * width),
                    projection: builder.linear(&name("attn.c_proj"), width, width),
                    norm2: builder.norm(&name("ln_2"), width),
                    up: builder.linear(&name("mlp.c_fc"), width, 4 * width),
                    down: builder.linear(&name("mlp.c_proj"), 4 * width, width),
                }
            })
            .collect();
        let final_norm = builder.norm("transformer.ln_f", width);
        Self {
            token_embedding,
            position_embedding,
            blocks: blocks.into_iter().cycle().take(config.layers).collect(),
            final_norm,
            total: builder.total,
            segments: builder.segments,
        }
    }

    /// Sets the weights of attention heads, given as (layer, head) of `heads`, to 0: their queries, keys and values, and what the
    /// projection takes from them.
    pub fn silence_heads(&self, values: &mut [f32], heads: usize, silenced: &[(usize, usize)]) {
        let width = self.final_norm.weight.len();
        let columns = width / heads;
        for &(layer, head) in silenced {
            let block = &self.blocks[layer];
            let own = |column: usize| column % width / columns == head;
            for row in values[block.qkv.weight.clone()].chunks_exact_mut(3 * width) {
                clear_columns(row, own);
            }
            clear_columns(&mut values[block.qkv.bias.clone()], own);
            values[block.projection.weight.clone()][head * columns * width..][..columns * width]
                .fill(0.0);
        }
    }

    /// GPT-2's initialisation: N(0, 0.02), the projections onto the residual stream N(0, 0.02 / √(2·layers)),
    /// biases 0, LayerNorm 1 and 0.
    #[must_use]
    pub fn initialize(&self, config: &ModelConfig, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut values = vec![0.0; self.total];
        for segment in &self.segments {
            let is_norm = segment.name.contains(".ln_");
            let is_bias = segment.name.ends_with("bias");
            let target = &mut values[segment.range.clone()];
            if is_norm && !is_bias {
                target.fill(1.0);
            } else if !is_bias {
                let onto_residual = segment.name.ends_with("c_proj.weight");
                let deviation = if onto_residual {
                    0.02 / (2.0 * config.layers as f64).sqrt()
                } else {
                    0.02
                };
                fill_normal(target, deviation, &mut rng);
            }
        }
        values
    }
}

fn clear_columns(row: &mut [f32], own: impl Fn(usize) -> bool) {
    for (column, value) in row.iter_mut().enumerate() {
        if own(column) {
            *value = 0.0;
        }
    }
}

/// Box–Muller in double precision.
fn fill_normal(target: &mut [f32], deviation: f64, rng: &mut ChaCha8Rng) {
    for pair in target.chunks_mut(2) {
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt() * deviation;
        let angle = std::f64::consts::TAU * rng.random::<f64>();
        pair[0] = (radius * angle.cos()) as f32;
        if let Some(second) = pair.get_mut(1) {
            *second = (radius * angle.sin()) as f32;
        }
    }
}

#[derive(Default)]
struct Builder {
    segments: Vec<Segment>,
    total: usize,
}

impl Builder {
    fn push(&mut self, name: String, shape: Vec<usize>, decay: bool) -> Range<usize> {
        let range = self.total..self.total + shape.iter().product::<usize>();
        self.total = range.end;
        self.segments.push(Segment {
            name,
            shape,
            range: range.clone(),
            decay,
        });
        range
    }

    fn norm(&mut self, name: &str, width: usize) -> Pair {
        Pair {
            weight: self.push(format!("{name}.weight"), vec![width], false),
            bias: self.push(format!("{name}.bias"), vec![width], false),
        }
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> Pair {
        Pair {
            weight: self.push(format!("{name}.weight"), vec![inputs, outputs], true),
            bias: self.push(format!("{name}.bias"), vec![outputs], false),
        }
    }
}
