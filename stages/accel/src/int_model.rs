//! The integer-only reference model: what the accelerator computes, bit for bit, as plain loops over plain integers.

use crate::fixed::{gelu, saturate16, saturate8, wrap24, Requant, Table};
use crate::quant::{centre_columns, centre_rows, quantise_linear};
use crate::{AccelError, Dims, QuantLayer, QuantLinear, QuantModel, QuantNorm, GELU_INPUT_SCALE};

/// int8 matrix with one requantisation a row.
#[derive(Debug, Clone, PartialEq)]
pub struct IntLinear {
    pub rows: usize,
    pub cols: usize,
    /// Row-major.
    pub weight: Vec<i8>,
    pub requant: Vec<Requant>,
}

/// Root-mean-square norm with int8 result: `V` = mean square, `M` ∝ 1/√V by table, `n = x·M`, then one factor and offset a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct IntNorm {
    /// Scales x², summed over the channels; its multiplier is x itself.
    pub square: Requant,
    /// Sum of squares → V.
    pub variance: Requant,
    /// x → n; its multiplier is M.
    pub normalise: Requant,
    /// n → int8, for each channel.
    pub channel: Vec<Requant>,
}

/// Attention of one layer; absent when all its heads are pruned.
#[derive(Debug, Clone, PartialEq)]
pub struct IntAttention {
    pub heads: usize,
    pub head_dim: usize,
    pub q: IntLinear,
    pub k: IntLinear,
    pub v: IntLinear,
    /// q·k → score in octaves of probability, `score_bits` fraction bits.
    pub score: Requant,
    /// z → p = 127·2^(−z / 2^`score_bits`).
    pub exponential: Table,
    /// Σp → multiplier of the weighted sum.
    pub reciprocal: Table,
    /// Σ p·v → int8; its multiplier comes from `reciprocal`.
    pub mix: Requant,
}

#[derive(Debug, Clone, PartialEq)]
pub struct IntLayer {
    pub norm1: IntNorm,
    pub attention: Option<IntAttention>,
    /// Added to the residual; without heads it has no columns and adds its bias.
    pub o: IntLinear,
    pub norm2: IntNorm,
    /// → int16 input of GELU.
    pub up: IntLinear,
    pub gelu: Table,
    /// Added to the residual.
    pub down: IntLinear,
}

/// The whole model in integers.
#[derive(Debug, Clone, PartialEq)]
pub struct IntModel {
    pub dims: Dims,
    /// vocab × width.
    pub token: Vec<i16>,
    /// block × width.
    pub position: Vec<i16>,
    pub layers: Vec<IntLayer>,
    pub norm: IntNorm,
    /// vocab × width; logits are int16.
    pub head: IntLinear,
    /// V → M = 2¹⁵·√(64 / V), the same in all norms.
    pub inverse_root: Table,
}

/// Value of V at the largest calibrated root mean square: leaves a factor of two in amplitude above.
const VARIANCE_AT_MAXIMUM: f64 = 8191.0;
/// V at which M saturates.
const VARIANCE_AT_MINIMUM: f64 = 64.0;
/// Makes half of the largest score: `total >> 1`.
pub const HALF: Requant = Requant {
    m: 1 << 14,
    b: 0,
    s: 0,
};
/// score → z = 2·half + 1 − score; the upper 16 bits of `b` are `half`.
pub const DISTANCE: Requant = Requant {
    m: -(1 << 14),
    b: 1 << 7,
    s: 7,
};
/// Σp → the same as int16, exactly up to 32,767.
pub const WHOLE: Requant = Requant {
    m: 32767,
    b: 1,
    s: 0,
};
/// int16 → the same int16.
pub const COPY: Requant = Requant {
    m: 1 << 14,
    b: 0,
    s: 7,
};

/// Keys and values of the tokens so far.
#[derive(Debug, Clone, Default)]
pub struct IntState {
    /// Tokens taken so far.
    pub position: usize,
    /// For each layer: position × (heads · `head_dim`).
    keys: Vec<Vec<i8>>,
    values: Vec<Vec<i8>>,
}

/// Result of one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// One for each token of the vocabulary, in units of the model's logit scale.
    pub logits: Vec<i16>,
    /// Index of the largest logit before saturation, the first of equals.
    pub best: usize,
}

/// Intermediate values of one token, for finding out where something differs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TraceEntry {
    /// Such as `layer 1 / norm2`.
    pub name: String,
    pub values: Vec<i16>,
}

impl IntModel {
    /// Turns scales into fixed-point parameters.
    ///
    /// # Errors
    /// [`AccelError::Model`] when shapes contradict each other or a scale does not fit.
    pub fn from_quant(quant: &QuantModel) -> Result<Self, AccelError> {
        quant.validate()?;
        let dims = quant.dims();
        let table = |values: &[f32], name: &str| {
            let mut centred = values.to_vec();
            centre_rows(&mut centred, quant.width);
            to_int16(&centred, quant.residual_scale, name)
        };
        let residual = f64::from(quant.residual_scale);
        let layers = quant
            .layers
            .iter()
            .enumerate()
            .map(|(index, layer)| int_layer(layer, residual, &dims, &format!("layer {index}")));
        Ok(Self {
            token: table(&quant.token, "token table")?,
            position: table(&quant.position, "position table")?,
            layers: layers.collect::<Result<_, _>>()?,
            norm: int_norm(&quant.norm, residual, "final norm")?,
            head: int_linear(
                &quant.head,
                f64::from(quant.norm.scale),
                f64::from(quant.logit_scale),
                "head",
            )?,
            inverse_root: Table::tabulate("inverse root", |variance| {
                32768.0
                    * (VARIANCE_AT_MINIMUM / variance.max(1.0))
                        .sqrt()
                        .min(0.99996)
            })?,
            dims,
        })
    }

    /// int8 multiplications of one token with an empty context, the matrices alone.
    #[must_use]
    pub fn multiplications(&self) -> usize {
        let size = |matrix: &IntLinear| matrix.rows * matrix.cols;
        let layers = self.layers.iter().map(|layer| {
            let attention = layer
                .attention
                .as_ref()
                .map_or(0, |a| size(&a.q) + size(&a.k) + size(&a.v));
            attention + size(&layer.o) + size(&layer.up) + size(&layer.down)
        });
        layers.sum::<usize>() + size(&self.head)
    }

    /// A fresh context.
    #[must_use]
    pub fn start(&self) -> IntState {
        let empty = vec![Vec::new(); self.layers.len()];
        IntState {
            position: 0,
            keys: empty.clone(),
            values: empty,
        }
    }

    /// Takes one token and gives the logits of the next.
    ///
    /// # Errors
    /// [`AccelError::Model`] when the token or the position is out of range.
    pub fn step(&self, state: &mut IntState, token: u16) -> Result<Step, AccelError> {
        self.traced_step(state, token, &mut |_, _| {})
    }

    /// As [`IntModel::step`], and tells the values of each operation by name.
    ///
    /// # Errors
    /// As [`IntModel::step`].
    pub fn traced_step(
        &self,
        state: &mut IntState,
        token: u16,
        trace: &mut dyn FnMut(&str, &[i16]),
    ) -> Result<Step, AccelError> {
        let (width, block, vocab) = (self.dims.width, self.dims.block, self.dims.vocab);
        if usize::from(token) >= vocab {
            return Err(AccelError::Model(format!(
                "token {token} is not below the vocabulary of {vocab}"
            )));
        }
        if state.position >= block {
            return Err(AccelError::Model(format!(
                "the context of {block} tokens is full"
            )));
        }
        let row = |table: &[i16], index: usize| table[index * width..(index + 1) * width].to_vec();
        let positions = row(&self.position, state.position);
        let mut residual: Vec<i16> = row(&self.token, usize::from(token))
            .iter()
            .zip(&positions)
            .map(|(&token, &position)| saturate16(i32::from(token) + i32::from(position)))
            .collect();
        trace("embedding", &residual);
        for (index, layer) in self.layers.iter().enumerate() {
            let mut named =
                |name: &str, values: &[i16]| trace(&format!("layer {index} / {name}"), values);
            self.layer_step(layer, index, state, &mut residual, &mut named);
        }
        let normal = self.norm_step(&self.norm, &residual);
        trace("final norm", &widen(&normal));
        let sums = self.head.multiply(&normal);
        let mut best = 0;
        for (index, &sum) in sums.iter().enumerate() {
            if sum > sums[best] {
                best = index;
            }
        }
        state.position += 1;
        Ok(Step {
            logits: sums.into_iter().map(saturate16).collect(),
            best,
        })
    }

    fn layer_step(
        &self,
        layer: &IntLayer,
        index: usize,
        state: &mut IntState,
        residual: &mut [i16],
        trace: &mut dyn FnMut(&str, &[i16]),
    ) {
        let mut mixed = Vec::new();
        if let Some(attention) = &layer.attention {
            let normal = self.norm_step(&layer.norm1, residual);
            trace("norm1", &widen(&normal));
            let q = attention.q.multiply8(&normal);
            let k = attention.k.multiply8(&normal);
            let v = attention.v.multiply8(&normal);
            trace("q", &widen(&q));
            trace("k", &widen(&k));
            trace("v", &widen(&v));
            state.keys[index].extend_from_slice(&k);
            state.values[index].extend_from_slice(&v);
            for head in 0..attention.heads {
                mixed.extend(attention.head_step(
                    head,
                    &q,
                    &state.keys[index],
                    &state.values[index],
                    trace,
                ));
            }
        }
        layer.o.add_to(residual, &mixed);
        trace("attention residual", residual);
        let normal = self.norm_step(&layer.norm2, residual);
        trace("norm2", &widen(&normal));
        let hidden: Vec<i8> = layer
            .up
            .multiply(&normal)
            .into_iter()
            .map(|sum| saturate8(layer.gelu.look_up(saturate16(sum))))
            .collect();
        trace("gelu", &widen(&hidden));
        layer.down.add_to(residual, &hidden);
        trace("residual", residual);
    }

    fn norm_step(&self, norm: &IntNorm, residual: &[i16]) -> Vec<i8> {
        let wide = |value: i16| i32::from(value) << 8;
        let squares = residual.iter().map(|&x| norm.square.scale_by(wide(x), x));
        let total = squares.fold(0i32, |total, square| wrap24(total.wrapping_add(square)));
        let variance = saturate16(norm.variance.scale(total));
        let multiplier = saturate16(self.inverse_root.look_up(variance));
        let normal = residual
            .iter()
            .map(|&x| saturate16(norm.normalise.scale_by(wide(x), multiplier)));
        normal
            .zip(&norm.channel)
            .map(|(n, channel)| saturate8(channel.scale(wide(n))))
            .collect()
    }
}

impl IntAttention {
    /// Softmax and weighted sum of one head over all positions so far.
    fn head_step(
        &self,
        head: usize,
        q: &[i8],
        keys: &[i8],
        values: &[i8],
        trace: &mut dyn FnMut(&str, &[i16]),
    ) -> Vec<i8> {
        let inner = self.heads * self.head_dim;
        let channels = head * self.head_dim..(head + 1) * self.head_dim;
        let query = &q[channels.clone()];
        let sums: Vec<i32> = keys
            .chunks(inner)
            .map(|key| self.score.scale(dot(query, &key[channels.clone()])))
            .collect();
        let largest = wrap24(sums.iter().copied().max().unwrap_or(0));
        let scores: Vec<i16> = sums.into_iter().map(saturate16).collect();
        trace(&format!("head {head} scores"), &scores);
        let half = saturate16(HALF.scale(largest));
        let distance = Requant {
            b: i32::from(half) << 8 | DISTANCE.b,
            ..DISTANCE
        };
        let weights: Vec<i32> = scores
            .iter()
            .map(|&score| {
                self.exponential
                    .look_up(saturate16(distance.scale(i32::from(score) << 8)))
            })
            .collect();
        let total = weights
            .iter()
            .fold(0, |total, &weight| wrap24(total + weight));
        let weights: Vec<i8> = weights.into_iter().map(saturate8).collect();
        trace(&format!("head {head} weights"), &widen(&weights));
        let multiplier = saturate16(self.reciprocal.look_up(saturate16(WHOLE.scale(total))));
        let mixed: Vec<i8> = channels
            .map(|channel| {
                let column = values.iter().skip(channel).step_by(inner);
                let sum = weights
                    .iter()
                    .zip(column)
                    .map(|(&w, &v)| i32::from(w) * i32::from(v))
                    .sum();
                saturate8(self.mix.scale_by(sum, multiplier))
            })
            .collect();
        trace(&format!("head {head} mix"), &widen(&mixed));
        mixed
    }
}

impl IntLinear {
    /// Scaled sums of all rows, before saturation.
    fn multiply(&self, x: &[i8]) -> Vec<i32> {
        if self.cols == 0 {
            return self
                .requant
                .iter()
                .map(|requant| requant.scale(0))
                .collect();
        }
        let rows = self.weight.chunks(self.cols);
        rows.zip(&self.requant)
            .map(|(row, requant)| requant.scale(dot(row, x)))
            .collect()
    }

    fn multiply8(&self, x: &[i8]) -> Vec<i8> {
        self.multiply(x).into_iter().map(saturate8).collect()
    }

    fn add_to(&self, residual: &mut [i16], x: &[i8]) {
        for (value, sum) in residual.iter_mut().zip(self.multiply(x)) {
            *value = saturate16(sum + i32::from(*value));
        }
    }
}

fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| i32::from(a) * i32::from(b))
        .sum()
}

fn widen(values: &[i8]) -> Vec<i16> {
    values.iter().map(|&value| i16::from(value)).collect()
}

pub(crate) fn to_int16(values: &[f32], scale: f32, name: &str) -> Result<Vec<i16>, AccelError> {
    let steps = values
        .iter()
        .map(|&value| (f64::from(value) / f64::from(scale)).round());
    let integers: Vec<f64> = steps.collect();
    match integers
        .iter()
        .find(|value| !value.is_finite() || value.abs() > 32767.0)
    {
        Some(value) => Err(AccelError::Model(format!(
            "{name}: {value} residual steps exceed int16; residual_scale is too small"
        ))),
        None => Ok(integers.into_iter().map(|value| value as i16).collect()),
    }
}

fn int_linear(
    linear: &QuantLinear,
    input: f64,
    output: f64,
    what: &str,
) -> Result<IntLinear, AccelError> {
    let requant = linear
        .scale
        .iter()
        .zip(linear.bias_steps(input))
        .enumerate()
        .map(|(row, (&scale, bias))| {
            let step = input * f64::from(scale);
            // The sum of a row of zeros is 0 whatever its scale.
            let empty = linear.weight[row * linear.cols..(row + 1) * linear.cols]
                .iter()
                .all(|&weight| weight == 0);
            Requant::fit(
                if empty { 0.0 } else { step / output },
                f64::from(bias) * step / output,
                what,
            )
        });
    Ok(IntLinear {
        rows: linear.rows,
        cols: linear.cols,
        weight: linear.weight.clone(),
        requant: requant.collect::<Result<_, _>>()?,
    })
}

impl QuantLinear {
    /// The biases as int32 multiples of (input scale · row scale).
    #[must_use]
    pub fn bias_steps(&self, input_scale: f64) -> Vec<i32> {
        self.bias
            .iter()
            .zip(&self.scale)
            .map(|(&bias, &scale)| {
                let step = input_scale * f64::from(scale);
                if step > 0.0 {
                    (f64::from(bias) / step).round() as i32
                } else {
                    0
                }
            })
            .collect()
    }

    /// The same matrix with mean zero in every column, requantised only if it is clearly not centred already.
    fn centred(&self, input_scale: f64) -> Self {
        let mut bias: Vec<f32> = self
            .bias_steps(input_scale)
            .iter()
            .zip(&self.scale)
            .map(|(&steps, &scale)| (f64::from(steps) * input_scale * f64::from(scale)) as f32)
            .collect();
        centre_columns(&mut bias, 1);
        let real: Vec<f32> = (self.weight.iter().enumerate())
            .map(|(index, &weight)| f32::from(weight) * self.scale[index / self.cols.max(1)])
            .collect();
        let mut centred = real.clone();
        centre_columns(&mut centred, self.cols);
        let energy = |values: &mut dyn Iterator<Item = f32>| {
            values.map(|v| f64::from(v) * f64::from(v)).sum::<f64>()
        };
        let removed = energy(
            &mut real
                .iter()
                .zip(&centred)
                .map(|(real, centred)| real - centred),
        );
        if removed <= 1e-4 * energy(&mut real.iter().copied()) {
            return Self {
                bias,
                ..self.clone()
            };
        }
        quantise_linear(&centred, self.rows, self.cols, bias)
    }
}

fn int_norm(norm: &QuantNorm, residual: f64, what: &str) -> Result<IntNorm, AccelError> {
    let width = norm.gamma.len() as f64;
    let largest = f64::from(norm.rms_max) / residual;
    // x² enters as (x·2⁸·x) >> 15; the sum over the channels is to be about 2¹⁹ at the largest calibrated value.
    let sum = width * largest * largest / 128.0;
    let shift = (sum / f64::from(1 << 19)).log2().ceil().clamp(0.0, 15.0) as u8;
    let square = Requant {
        m: 0,
        b: if shift > 0 { 1 << (shift - 1) } else { 0 },
        s: shift,
    };
    let sum = sum / f64::from(1u32 << shift);
    let variance = Requant::fit((VARIANCE_AT_MAXIMUM / sum).min(0.999), 0.0, what)?;
    // M/2¹⁵ = √(64/V) and V = 8191·(rms/largest)², so x·M·2⁸/2¹⁵ is x/rms times this:
    let factor = 256.0 * (VARIANCE_AT_MINIMUM / VARIANCE_AT_MAXIMUM).sqrt() * largest;
    // |n| ≤ √width·unit always, so this shift never saturates.
    let shift = (factor * width.sqrt() / 32767.0)
        .log2()
        .ceil()
        .clamp(0.0, 15.0) as u8;
    let unit = factor / f64::from(1u32 << shift);
    let normalise = Requant {
        m: 0,
        b: if shift > 0 { 1 << (shift - 1) } else { 0 },
        s: shift,
    };
    let scale = f64::from(norm.scale);
    let channel = norm.gamma.iter().zip(&norm.beta).map(|(&gamma, &beta)| {
        Requant::fit(
            f64::from(gamma) / (unit * scale * 256.0),
            f64::from(beta) / scale,
            what,
        )
    });
    Ok(IntNorm {
        square,
        variance,
        normalise,
        channel: channel.collect::<Result<_, _>>()?,
    })
}

fn int_layer(
    layer: &QuantLayer,
    residual: f64,
    dims: &Dims,
    what: &str,
) -> Result<IntLayer, AccelError> {
    let name = |part: &str| format!("{what} / {part}");
    let normal = f64::from(layer.norm2.scale);
    let gelu_scale = f64::from(layer.gelu_scale);
    let attention = match layer.heads {
        0 => None,
        _ => Some(int_attention(layer, dims, what)?),
    };
    let mix = if layer.heads == 0 {
        1.0
    } else {
        f64::from(layer.mix_scale)
    };
    Ok(IntLayer {
        norm1: int_norm(&layer.norm1, residual, &name("norm1"))?,
        attention,
        o: int_linear(&layer.o.centred(mix), mix, residual, &name("o"))?,
        norm2: int_norm(&layer.norm2, residual, &name("norm2"))?,
        up: int_linear(&layer.up, normal, f64::from(GELU_INPUT_SCALE), &name("up"))?,
        gelu: Table::tabulate(&name("gelu"), |x| {
            (gelu(x * f64::from(GELU_INPUT_SCALE)) / gelu_scale).clamp(-128.0, 127.0)
        })?,
        down: int_linear(
            &layer.down.centred(gelu_scale),
            gelu_scale,
            residual,
            &name("down"),
        )?,
    })
}

fn int_attention(layer: &QuantLayer, dims: &Dims, what: &str) -> Result<IntAttention, AccelError> {
    let name = |part: &str| format!("{what} / {part}");
    let normal = f64::from(layer.norm1.scale);
    let (q, k, v) = (
        f64::from(layer.q_scale),
        f64::from(layer.k_scale),
        f64::from(layer.v_scale),
    );
    // Scores in octaves: exp(x) = 2^(x / ln 2). Seven fraction bits where the format allows: scores then reach ±256 octaves.
    let octave = q * k / (layer.head_dim as f64).sqrt() / std::f64::consts::LN_2;
    let bits = (3..=7)
        .rev()
        .find(|&bits| octave * f64::from(1 << bits) < 0.99)
        .unwrap_or(3);
    let score = Requant::fit(octave * f64::from(1 << bits), 0.0, &name("scores"))?;
    // The multiplier is 2¹⁵·gain·127/Σp with gain in (½, 1], and Σp ≥ 127: mix = Σpv·127·gain/Σp/2^s.
    let ratio = v / f64::from(layer.mix_scale) / 127.0;
    let shift = (-ratio.log2()).floor().clamp(0.0, 15.0);
    let gain = ratio * 2f64.powf(shift);
    if gain > 1.0 || ratio * 32768.0 < 0.5 {
        return Err(AccelError::Model(format!(
            "{what}: v_scale / mix_scale is {:.3}, outside 0.002…127",
            ratio * 127.0
        )));
    }
    let shift = shift as u8;
    if 127 * dims.block > 1 << 22 {
        return Err(AccelError::Model(format!(
            "a context of {} is too long for softmax sums",
            dims.block
        )));
    }
    Ok(IntAttention {
        heads: layer.heads,
        head_dim: layer.head_dim,
        q: int_linear(&layer.q, normal, q, &name("q"))?,
        k: int_linear(&layer.k, normal, k, &name("k"))?,
        v: int_linear(&layer.v, normal, v, &name("v"))?,
        score,
        exponential: Table::tabulate("exponential", |z| {
            127.0 * 2f64.powf(-z.max(0.0) / f64::from(1 << bits))
        })?,
        reciprocal: Table::tabulate("reciprocal", |sum| {
            (32768.0 * gain * 127.0 / sum.max(1.0)).min(32767.0)
        })?,
        mix: Requant {
            m: 0,
            b: if shift > 0 { 1 << (shift - 1) } else { 0 },
            s: shift,
        },
    })
}

#[cfg(test)]
mod tests;
