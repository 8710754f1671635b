//! The quantised model as training hands it to the accelerator: int8 matrices and the real scales around them.
//!
//! A real value is `integer · scale`. Matrices are row-major, a row is one output channel with a scale of its own;
//! activations have one scale for a whole tensor. Every field is plain data, so it can be built from any source.
//!
//! **The residual stream must be centred.** The accelerator divides by the root mean square and does not subtract a mean. That
//! equals LayerNorm when whatever is added to the residual stream has mean zero over the channels: token and position tables (each row),
//! the matrices `o` and `down` (each column) with their biases. Centring changes nothing in a LayerNorm network, because
//! each norm would subtract the mean anyway. Call [`centre_rows`] and [`centre_columns`] on the float weights before
//! they are quantised; [`IntModel::from_quant`] repairs what is not centred, at the
//! cost of a second rounding.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::AccelError;

/// `y = W·x + bias` with int8 weights.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QuantLinear {
    /// Output channels.
    pub rows: usize,
    /// Input channels.
    pub cols: usize,
    /// Row-major, rows × cols, −127…127.
    pub weight: Vec<i8>,
    /// Real value of one step of a weight, for each row. A row of zeros needs a small one (1e-6): its bias is a multiple of it.
    pub scale: Vec<f32>,
    /// Real bias for each row; used as an int32 multiple of (input scale · row scale).
    pub bias: Vec<f32>,
}

/// LayerNorm over a centred residual, with an int8 result.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QuantNorm {
    /// Factor of each channel (after smoothing).
    pub gamma: Vec<f32>,
    /// Offset of each channel (after smoothing).
    pub beta: Vec<f32>,
    /// Real value of one step of the int8 result, the input scale of the matrices that follow.
    pub scale: f32,
    /// Largest root mean square (real units, centred) of this norm's input seen in calibration.
    pub rms_max: f32,
}

/// One block: attention, then the multilayer perceptron, each behind its norm and added to the residual.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QuantLayer {
    pub norm1: QuantNorm,
    /// Heads left in this layer; 0 when all are pruned (then q, k, v have no rows, and of `o` only the bias counts).
    pub heads: usize,
    /// Channels of a head.
    pub head_dim: usize,
    /// (heads · `head_dim`) × width each.
    pub q: QuantLinear,
    pub k: QuantLinear,
    pub v: QuantLinear,
    /// Real value of one step of the int8 queries, keys and values.
    pub q_scale: f32,
    pub k_scale: f32,
    pub v_scale: f32,
    /// Real value of one step of the int8 weighted sum of the values, the input of `o`.
    pub mix_scale: f32,
    /// width × (heads · `head_dim`).
    pub o: QuantLinear,
    pub norm2: QuantNorm,
    /// hidden × width.
    pub up: QuantLinear,
    /// Real value of one step of the int8 result of GELU, the input of `down`. GELU's own input is int16 with the
    /// fixed step [`GELU_INPUT_SCALE`].
    pub gelu_scale: f32,
    /// width × hidden.
    pub down: QuantLinear,
}

/// Real value of one step of the int16 input of GELU, in all models.
pub const GELU_INPUT_SCALE: f32 = 1.0 / 256.0;

/// A whole GPT: token and position tables, blocks, final norm, head.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QuantModel {
    /// Tokens in the vocabulary.
    pub vocab: usize,
    /// Longest context.
    pub block: usize,
    /// Channels of the residual stream.
    pub width: usize,
    /// vocab × width, real values.
    pub token: Vec<f32>,
    /// block × width, real values.
    pub position: Vec<f32>,
    /// Real value of one step of the int16 residual. Choose it so that the largest value seen is about 16,000.
    pub residual_scale: f32,
    pub layers: Vec<QuantLayer>,
    pub norm: QuantNorm,
    /// vocab × width; tied models pass their token table, quantised by row (and smoothed with the final norm).
    pub head: QuantLinear,
    /// Real value of one step of the int16 logits. Choose it so that the largest value seen is about 16,000.
    pub logit_scale: f32,
}

/// Subtracts from each row of a `rows` × `cols` table the row's own mean: for token and position tables.
pub fn centre_rows(table: &mut [f32], cols: usize) {
    for row in table.chunks_mut(cols.max(1)) {
        let mean = row.iter().map(|&value| f64::from(value)).sum::<f64>() / row.len() as f64;
        row.iter_mut()
            .for_each(|value| *value = (f64::from(*value) - mean) as f32);
    }
}

/// Subtracts from each column of a `rows` × `cols` matrix the column's own mean: for the matrices `o` and `down`, and with
/// `cols` = 1 for their biases.
pub fn centre_columns(matrix: &mut [f32], cols: usize) {
    let rows = matrix.len() / cols.max(1);
    for col in 0..cols {
        let column = matrix.iter().skip(col).step_by(cols);
        let mean = column.map(|&value| f64::from(value)).sum::<f64>() / rows.max(1) as f64;
        matrix
            .iter_mut()
            .skip(col)
            .step_by(cols)
            .for_each(|value| *value = (f64::from(*value) - mean) as f32);
    }
}

/// Shape of a model, for [`QuantModel::random`] and reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dims {
    pub vocab: usize,
    pub block: usize,
    pub width: usize,
    pub hidden: usize,
    pub head_dim: usize,
    /// Heads of each layer.
    pub heads: Vec<usize>,
}

impl QuantModel {
    /// Shape of this model.
    #[must_use]
    pub fn dims(&self) -> Dims {
        Dims {
            vocab: self.vocab,
            block: self.block,
            width: self.width,
            hidden: self.layers.first().map_or(0, |layer| layer.up.rows),
            head_dim: self
                .layers
                .iter()
                .find(|layer| layer.heads > 0)
                .map_or(0, |layer| layer.head_dim),
            heads: self.layers.iter().map(|layer| layer.heads).collect(),
        }
    }

    /// Checks that all shapes agree and all scales are positive numbers.
    ///
    /// # Errors
    /// [`AccelError::Model`] that names the tensor.
    pub fn validate(&self) -> Result<(), AccelError> {
        positive("width", self.width)?;
        positive("vocab", self.vocab)?;
        positive("block", self.block)?;
        length("token", self.token.len(), self.vocab * self.width)?;
        length("position", self.position.len(), self.block * self.width)?;
        scale("residual_scale", self.residual_scale)?;
        scale("logit_scale", self.logit_scale)?;
        for (index, layer) in self.layers.iter().enumerate() {
            layer
                .validate(self.width)
                .map_err(|error| AccelError::Model(format!("layer {index}: {error}")))?;
        }
        norm("norm", &self.norm, self.width)?;
        linear("head", &self.head, self.vocab, self.width)
    }

    /// A model with random weights whose activations have sensible ranges; centred. For tests and for trying hardware out.
    #[must_use]
    pub fn random(seed: u64, dims: &Dims) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let width = dims.width;
        let mut token = uniform(&mut rng, dims.vocab * width, 1.7);
        let mut position = uniform(&mut rng, dims.block * width, 0.5);
        centre_rows(&mut token, width);
        centre_rows(&mut position, width);
        let layers = dims
            .heads
            .iter()
            .map(|&heads| random_layer(&mut rng, dims, heads))
            .collect();
        let norm = random_norm(&mut rng, width);
        let head = random_linear(&mut rng, dims.vocab, width, 1.0, false);
        Self {
            vocab: dims.vocab,
            block: dims.block,
            width,
            token,
            position,
            residual_scale: 10.0 / 16_000.0,
            layers,
            norm,
            head,
            logit_scale: 8.0 / 16_000.0,
        }
    }
}

impl QuantLayer {
    fn validate(&self, width: usize) -> Result<(), String> {
        let inner = self.heads * self.head_dim;
        let text = |error: AccelError| match error {
            AccelError::Model(message) => message,
            other => other.to_string(),
        };
        norm("norm1", &self.norm1, width).map_err(text)?;
        norm("norm2", &self.norm2, width).map_err(text)?;
        for (name, matrix) in [("q", &self.q), ("k", &self.k), ("v", &self.v)] {
            linear(name, matrix, inner, width).map_err(text)?;
        }
        linear("o", &self.o, width, inner).map_err(text)?;
        positive("up.rows", self.up.rows).map_err(text)?;
        linear("up", &self.up, self.up.rows, width).map_err(text)?;
        linear("down", &self.down, width, self.up.rows).map_err(text)?;
        scale("gelu_scale", self.gelu_scale).map_err(text)?;
        if self.heads > 0 {
            positive("head_dim", self.head_dim).map_err(text)?;
            let scales = [
                ("q", self.q_scale),
                ("k", self.k_scale),
                ("v", self.v_scale),
                ("mix", self.mix_scale),
            ];
            for (name, value) in scales {
                scale(&format!("{name}_scale"), value).map_err(text)?;
            }
        }
        Ok(())
    }
}

fn positive(name: &str, value: usize) -> Result<(), AccelError> {
    if value == 0 {
        return Err(AccelError::Model(format!("{name} is 0")));
    }
    Ok(())
}

fn scale(name: &str, value: f32) -> Result<(), AccelError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(AccelError::Model(format!(
        "{name} is {value}, it must be a positive number"
    )))
}

fn length(name: &str, found: usize, expected: usize) -> Result<(), AccelError> {
    if found == expected {
        return Ok(());
    }
    Err(AccelError::Model(format!(
        "{name} has {found} values, its shape asks for {expected}"
    )))
}

fn finite(name: &str, values: &[f32]) -> Result<(), AccelError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(AccelError::Model(format!(
            "{name}[{index}] is {}",
            values[index]
        ))),
        None => Ok(()),
    }
}

fn norm(name: &str, norm: &QuantNorm, width: usize) -> Result<(), AccelError> {
    length(&format!("{name}.gamma"), norm.gamma.len(), width)?;
    length(&format!("{name}.beta"), norm.beta.len(), width)?;
    finite(&format!("{name}.gamma"), &norm.gamma)?;
    finite(&format!("{name}.beta"), &norm.beta)?;
    scale(&format!("{name}.scale"), norm.scale)?;
    scale(&format!("{name}.rms_max"), norm.rms_max)
}

fn linear(name: &str, linear: &QuantLinear, rows: usize, cols: usize) -> Result<(), AccelError> {
    if linear.rows != rows || linear.cols != cols {
        let (found_rows, found_cols) = (linear.rows, linear.cols);
        return Err(AccelError::Model(format!(
            "{name} is {found_rows} × {found_cols}, expected {rows} × {cols}"
        )));
    }
    length(&format!("{name}.weight"), linear.weight.len(), rows * cols)?;
    length(&format!("{name}.scale"), linear.scale.len(), rows)?;
    length(&format!("{name}.bias"), linear.bias.len(), rows)?;
    finite(&format!("{name}.bias"), &linear.bias)?;
    if let Some(row) = linear
        .scale
        .iter()
        .position(|value| !value.is_finite() || *value < 0.0)
    {
        return Err(AccelError::Model(format!(
            "{name}.scale[{row}] is {}",
            linear.scale[row]
        )));
    }
    Ok(())
}

fn uniform(rng: &mut ChaCha8Rng, count: usize, bound: f32) -> Vec<f32> {
    (0..count)
        .map(|_| rng.random_range(-bound..bound))
        .collect()
}

/// Weights of variance 1/cols, so that outputs have about the variance of the inputs, times `gain`.
fn random_linear(
    rng: &mut ChaCha8Rng,
    rows: usize,
    cols: usize,
    gain: f32,
    centred: bool,
) -> QuantLinear {
    let bound = gain * (3.0 / cols.max(1) as f32).sqrt();
    let mut matrix = uniform(rng, rows * cols, bound);
    let mut bias = uniform(rng, rows, 0.1);
    if centred {
        centre_columns(&mut matrix, cols);
        centre_columns(&mut bias, 1);
    }
    quantise_linear(&matrix, rows, cols, bias)
}

/// Quantises a float matrix symmetrically, each row by its largest magnitude.
#[must_use]
pub fn quantise_linear(matrix: &[f32], rows: usize, cols: usize, bias: Vec<f32>) -> QuantLinear {
    let mut weight = Vec::with_capacity(rows * cols);
    let mut scale = Vec::with_capacity(rows);
    for row in 0..rows {
        let values = &matrix[row * cols..(row + 1) * cols];
        let largest = values
            .iter()
            .fold(0.0f32, |largest, value| largest.max(value.abs()));
        // A row of zeros still needs a fine step: its bias is a multiple of it.
        let step = if largest > 0.0 { largest / 127.0 } else { 1e-6 };
        scale.push(step);
        weight.extend(
            values
                .iter()
                .map(|value| (value / step).round().clamp(-127.0, 127.0) as i8),
        );
    }
    QuantLinear {
        rows,
        cols,
        weight,
        scale,
        bias,
    }
}

fn random_norm(rng: &mut ChaCha8Rng, width: usize) -> QuantNorm {
    QuantNorm {
        gamma: (0..width).map(|_| rng.random_range(0.7..1.3)).collect(),
        beta: uniform(rng, width, 0.1),
        scale: 3.0 / 127.0,
        rms_max: 2.5,
    }
}

fn random_layer(rng: &mut ChaCha8Rng, dims: &Dims, heads: usize) -> QuantLayer {
    let inner = heads * dims.head_dim;
    QuantLayer {
        norm1: random_norm(rng, dims.width),
        heads,
        head_dim: dims.head_dim,
        q: random_linear(rng, inner, dims.width, 1.5, false),
        k: random_linear(rng, inner, dims.width, 1.5, false),
        v: random_linear(rng, inner, dims.width, 1.0, false),
        q_scale: 4.5 / 127.0,
        k_scale: 4.5 / 127.0,
        v_scale: 3.0 / 127.0,
        mix_scale: 2.0 / 127.0,
        o: random_linear(rng, dims.width, inner, 0.7, true),
        norm2: random_norm(rng, dims.width),
        up: random_linear(rng, dims.hidden, dims.width, 1.0, false),
        gelu_scale: 3.0 / 127.0,
        down: random_linear(rng, dims.width, dims.hidden, 0.7, true),
    }
}
