//! The quantised model: int8 weights with a scale for each row, one static scale for each activation tensor (W8A8).
//!
//! A real value is `integer · scale`, symmetric, without zero points. A row of a matrix is one output channel.

use serde::{Deserialize, Serialize};

use crate::config::Activation;
use crate::parameters::ParameterTable;
use crate::{ModelConfig, ModelError};

/// Largest magnitude of an int8 code; -128 is not used.
pub const CODE_LIMIT: f32 = 127.0;

/// y = W·x + bias with int8 weights.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QuantizedLinear {
    /// Output channels.
    pub rows: usize,
    /// Input channels.
    pub columns: usize,
    /// Row-major, rows × columns.
    pub weight: Vec<i8>,
    /// Real value of one step of a weight, one for each row.
    pub scale: Vec<f32>,
    /// Real bias of each row.
    pub bias: Vec<f32>,
}

/// LayerNorm with an int8 result.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct QuantizedNorm {
    #[serde(skip)]
    pub gamma: Vec<f32>,
    #[serde(skip)]
    pub beta: Vec<f32>,
    /// Real value of one step of the result.
    pub scale: f32,
    /// Largest standard deviation of its input's rows in calibration.
    pub rms_max: f32,
}

/// One block.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct QuantizedLayer {
    /// Heads left; 0 when all are pruned.
    pub heads: usize,
    pub norm1: QuantizedNorm,
    /// (heads · D) × E each.
    #[serde(skip)]
    pub q: QuantizedLinear,
    #[serde(skip)]
    pub k: QuantizedLinear,
    #[serde(skip)]
    pub v: QuantizedLinear,
    pub q_scale: f32,
    pub k_scale: f32,
    pub v_scale: f32,
    /// Step of attention's result, the input of `o`.
    pub mix_scale: f32,
    /// Mean of attention's result in calibration, one for each channel of all heads; what a removed head leaves in the
    /// bias of `o`.
    #[serde(skip)]
    pub mix_mean: Vec<f32>,
    /// E × (heads · D).
    #[serde(skip)]
    pub o: QuantizedLinear,
    pub norm2: QuantizedNorm,
    /// 4E × E.
    #[serde(skip)]
    pub up: QuantizedLinear,
    /// Step of GELU's result, the input of `down`.
    pub gelu_scale: f32,
    /// E × 4E.
    #[serde(skip)]
    pub down: QuantizedLinear,
}

/// A GPT with int8 weights and static activation scales. What is added to the residual stream has mean 0 over channels
/// (LayerNorm takes the mean away anyway), which lets hardware leave the mean out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct QuantizedGpt {
    pub vocabulary: usize,
    pub block: usize,
    pub width: usize,
    /// Channels of a head, D.
    pub head_width: usize,
    /// α of the smoothing.
    pub alpha: f32,
    /// V × E, centred rows.
    #[serde(skip)]
    pub token: Vec<f32>,
    /// T × E, centred rows.
    #[serde(skip)]
    pub position: Vec<f32>,
    /// Step of the int16 residual stream.
    pub residual_scale: f32,
    pub layers: Vec<QuantizedLayer>,
    pub norm: QuantizedNorm,
    /// V × E: the token embedding, smoothed with the final norm.
    #[serde(skip)]
    pub head: QuantizedLinear,
    /// Step of the int16 logits.
    pub logit_scale: f32,
}

impl QuantizedLinear {
    /// Quantises a matrix given as `[inputs, outputs]`, each output channel by its largest magnitude.
    #[must_use]
    pub fn quantize(matrix: &[f32], inputs: usize, outputs: usize, bias: Vec<f32>) -> Self {
        let mut weight = vec![0; inputs * outputs];
        let mut scale = Vec::with_capacity(outputs);
        for row in 0..outputs {
            let column = || matrix.iter().skip(row).step_by(outputs.max(1));
            let largest = column().fold(0.0f32, |largest, value| largest.max(value.abs()));
            // A row of zeros still needs a step: its bias is a multiple of it.
            let step = if largest > 0.0 {
                largest / CODE_LIMIT
            } else {
                1e-6
            };
            for (code, value) in weight[row * inputs..(row + 1) * inputs]
                .iter_mut()
                .zip(column())
            {
                *code = (value / step)
                    .round_ties_even()
                    .clamp(-CODE_LIMIT, CODE_LIMIT) as i8;
            }
            scale.push(step);
        }
        Self {
            rows: outputs,
            columns: inputs,
            weight,
            scale,
            bias,
        }
    }

    /// Back to real values as `[inputs, outputs]`.
    #[must_use]
    pub fn dequantize(&self) -> Vec<f32> {
        let mut matrix = vec![0.0; self.rows * self.columns];
        for row in 0..self.rows {
            for column in 0..self.columns {
                matrix[column * self.rows + row] =
                    f32::from(self.weight[row * self.columns + column]) * self.scale[row];
            }
        }
        matrix
    }

    /// Sum of the squares of a rectangle of real weights.
    fn squares(&self, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) -> f64 {
        rows.map(|row| {
            let codes = &self.weight[row * self.columns..][columns.clone()];
            let sum: f64 = codes
                .iter()
                .map(|&code| f64::from(code) * f64::from(code))
                .sum();
            sum * f64::from(self.scale[row]) * f64::from(self.scale[row])
        })
        .sum()
    }

    /// Keeps the given rows.
    fn keep_rows(&mut self, keep: &[bool]) {
        let columns = self.columns;
        let mut row = 0;
        retain_by(&mut self.weight, || {
            row += 1;
            keep[(row - 1) / columns]
        });
        let mut flags = keep.iter();
        self.scale
            .retain(|_| flags.next().is_some_and(|&keep| keep));
        let mut flags = keep.iter();
        self.bias.retain(|_| flags.next().is_some_and(|&keep| keep));
        self.rows = self.scale.len();
    }

    /// Keeps the given columns.
    fn keep_columns(&mut self, keep: &[bool]) {
        let mut index = 0;
        retain_by(&mut self.weight, || {
            index += 1;
            keep[(index - 1) % keep.len()]
        });
        self.columns = keep.iter().filter(|&&keep| keep).count();
    }
}

/// All parameters, with every matrix rounded as [`QuantizedLinear::quantize`] would with `bits` bits: what quantisation-aware
/// training computes with. The token embedding is rounded by rows, as the head that it is; positions stay real.
#[must_use]
pub fn rounded_weights(table: &ParameterTable, parameters: &[f32], bits: u32) -> Vec<f32> {
    let limit = ((1u32 << (bits - 1)) - 1) as f32;
    let mut result = parameters.to_vec();
    for segment in &table.segments {
        let &[rows, columns] = segment.shape.as_slice() else {
            continue;
        };
        let is_token = segment.range == table.token_embedding;
        if segment.range == table.position_embedding {
            continue;
        }
        let values = &mut result[segment.range.clone()];
        let channel = |index: usize| {
            if is_token {
                index / columns
            } else {
                index % columns
            }
        };
        let mut steps = vec![0.0f32; if is_token { rows } else { columns }];
        for (index, value) in values.iter().enumerate() {
            let top = &mut steps[channel(index)];
            *top = top.max(value.abs());
        }
        steps
            .iter_mut()
            .for_each(|top| *top = (*top / limit).max(1e-12));
        for (index, value) in values.iter_mut().enumerate() {
            let step = steps[channel(index)];
            *value = (*value / step).round_ties_even() * step;
        }
    }
    result
}

fn retain_by(values: &mut Vec<i8>, mut keep: impl FnMut() -> bool) {
    values.retain(|_| keep());
}

impl QuantizedLayer {
    /// Adds what the channels that are not kept contribute on average to the bias of `o`.
    fn leave_means(&mut self, keep: &[bool]) {
        let columns = self.o.columns;
        for ((row, bias), scale) in self
            .o
            .weight
            .chunks_exact(columns)
            .zip(&mut self.o.bias)
            .zip(&self.o.scale)
        {
            let removed = row
                .iter()
                .zip(&self.mix_mean)
                .zip(keep)
                .filter(|(_, &keep)| !keep);
            *bias += scale
                * removed
                    .map(|((&code, &mean), _)| f32::from(code) * mean)
                    .sum::<f32>();
        }
        let mut flags = keep.iter();
        self.mix_mean
            .retain(|_| flags.next().is_some_and(|&keep| keep));
    }
}

/// How one head stands in a pruning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadNorm {
    pub layer: usize,
    pub head: usize,
    /// L2 norm over its Q, K, V and O weights.
    pub norm: f64,
    pub removed: bool,
}

impl QuantizedGpt {
    /// Weights and biases, norms and tables included.
    #[must_use]
    pub fn parameters(&self) -> usize {
        let linear = |linear: &QuantizedLinear| linear.weight.len() + linear.bias.len();
        let layers: usize = self
            .layers
            .iter()
            .map(|layer| {
                [
                    &layer.q,
                    &layer.k,
                    &layer.v,
                    &layer.o,
                    &layer.up,
                    &layer.down,
                ]
                .map(linear)
                .iter()
                .sum::<usize>()
                    + 4 * self.width
            })
            .sum();
        self.token.len() + self.position.len() + layers + 2 * self.width
    }

    /// The shape that its token files and prompts have to fit.
    #[must_use]
    pub fn shape(&self) -> ModelConfig {
        ModelConfig {
            vocabulary: self.vocabulary,
            block: self.block,
            layers: self.layers.len(),
            // Heads may differ from layer to layer once some are pruned.
            heads: 1,
            width: self.width,
            activation: Activation::Gelu,
            share_layers: false,
        }
    }

    /// The L2 norm of every head, in order of layers and heads.
    #[must_use]
    pub fn head_norms(&self) -> Vec<HeadNorm> {
        let mut norms = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            for head in 0..layer.heads {
                let channels = head * self.head_width..(head + 1) * self.head_width;
                let mut sum = layer.o.squares(0..layer.o.rows, channels.clone());
                for matrix in [&layer.q, &layer.k, &layer.v] {
                    sum += matrix.squares(channels.clone(), 0..matrix.columns);
                }
                norms.push(HeadNorm {
                    layer: index,
                    head,
                    norm: sum.sqrt(),
                    removed: false,
                });
            }
        }
        norms
    }

    /// Removes the given heads for good. Their mean contribution goes into the bias of the projection.
    ///
    /// # Errors
    /// When a head does not exist.
    pub fn remove_heads(&mut self, heads: &[(usize, usize)]) -> Result<(), ModelError> {
        let width = self.head_width;
        if let Some((layer, head)) = heads.iter().find(|(layer, head)| {
            self.layers
                .get(*layer)
                .is_none_or(|found| *head >= found.heads)
        }) {
            return Err(ModelError::Data(format!(
                "there is no head {head} in layer {layer}"
            )));
        }
        for (index, layer) in self.layers.iter_mut().enumerate() {
            let keep: Vec<bool> = (0..layer.heads * width)
                .map(|channel| !heads.contains(&(index, channel / width)))
                .collect();
            if keep.iter().all(|&keep| keep) {
                continue;
            }
            for matrix in [&mut layer.q, &mut layer.k, &mut layer.v] {
                matrix.keep_rows(&keep);
            }
            layer.leave_means(&keep);
            layer.o.keep_columns(&keep);
            layer.heads = layer.q.rows / width;
        }
        Ok(())
    }
}
