//! SmoothQuant (Xiao et al. 2023): calibration, smoothing folded into the LayerNorm before, quantisation to W8A8.

use crate::gpt::Site;
use crate::parameters::Pair;
use crate::quant::{QuantizedGpt, QuantizedLayer, QuantizedLinear, QuantizedNorm, CODE_LIMIT};
use crate::{Gpt, ModelError};

/// Largest magnitudes seen in calibration.
#[derive(Debug, Clone, Default)]
pub struct Calibration {
    /// For each layer, and the final norm as the last.
    norm1: Vec<NormRange>,
    norm2: Vec<NormRange>,
    layers: Vec<LayerRange>,
    /// Sum of attention's results of each layer, and how many rows were summed.
    mix_sums: Vec<Vec<f64>>,
    rows: usize,
    residual: f32,
    logits: f32,
}

#[derive(Debug, Clone, Default)]
struct NormRange {
    /// Of each channel of the result.
    channels: Vec<f32>,
    /// Largest standard deviation of a row of the input.
    rms: f32,
}

#[derive(Debug, Clone, Copy, Default)]
struct LayerRange {
    q: f32,
    k: f32,
    v: f32,
    mix: f32,
    activated: f32,
}

fn largest(values: &[f32]) -> f32 {
    values
        .iter()
        .fold(0.0, |largest, value| largest.max(value.abs()))
}

impl Calibration {
    /// Runs the model over `sequences` and keeps the largest magnitude of everything.
    ///
    /// # Errors
    /// When a sequence does not fit the model or a value is no finite number.
    pub fn run<'a>(
        model: &Gpt,
        sequences: impl Iterator<Item = &'a [u16]>,
    ) -> Result<Self, ModelError> {
        let (layers, width) = (model.config.layers, model.config.width);
        let norm = NormRange {
            channels: vec![0.0; width],
            rms: 0.0,
        };
        let mut result = Self {
            norm1: vec![norm.clone(); layers + 1],
            norm2: vec![norm; layers],
            layers: vec![LayerRange::default(); layers],
            mix_sums: vec![vec![0.0; width]; layers],
            rows: 0,
            residual: 0.0,
            logits: 0.0,
        };
        for sequence in sequences {
            result.rows += sequence.len();
            model.observe(sequence, &mut |site, layer, values| {
                result.see(site, layer, values, width)
            })?;
        }
        if !(result.logits.is_finite() && result.residual.is_finite()) || result.logits == 0.0 {
            return Err(ModelError::Diverged(
                "calibration saw no numbers, or numbers that are not finite".into(),
            ));
        }
        Ok(result)
    }

    fn see(&mut self, site: Site, layer: usize, values: &[f32], width: usize) {
        match site {
            Site::Input => {
                self.residual =
                    self.residual
                        .max(see_residual(&mut self.norm1[layer], values, width))
            }
            Site::Middle => {
                self.residual =
                    self.residual
                        .max(see_residual(&mut self.norm2[layer], values, width))
            }
            Site::Norm1 => see_channels(&mut self.norm1[layer], values),
            Site::Norm2 => see_channels(&mut self.norm2[layer], values),
            Site::Qkv => {
                let range = &mut self.layers[layer];
                for row in values.chunks_exact(3 * width) {
                    range.q = range.q.max(largest(&row[..width]));
                    range.k = range.k.max(largest(&row[width..2 * width]));
                    range.v = range.v.max(largest(&row[2 * width..]));
                }
            }
            Site::Attended => {
                self.layers[layer].mix = self.layers[layer].mix.max(largest(values));
                for row in values.chunks_exact(width) {
                    self.mix_sums[layer]
                        .iter_mut()
                        .zip(row)
                        .for_each(|(sum, &value)| *sum += f64::from(value));
                }
            }
            Site::Activated => {
                self.layers[layer].activated = self.layers[layer].activated.max(largest(values))
            }
            Site::Logits => self.logits = self.logits.max(largest(values)),
        }
    }
}

fn see_channels(range: &mut NormRange, values: &[f32]) {
    for row in values.chunks_exact(range.channels.len()) {
        for (channel, value) in range.channels.iter_mut().zip(row) {
            *channel = channel.max(value.abs());
        }
    }
}

/// Standard deviations of the rows, and the largest distance of a value from its row's mean.
fn see_residual(range: &mut NormRange, values: &[f32], width: usize) -> f32 {
    let mut result = 0.0f32;
    for row in values.chunks_exact(width) {
        let mean = row.iter().sum::<f32>() / width as f32;
        let variance = row
            .iter()
            .map(|value| (value - mean) * (value - mean))
            .sum::<f32>()
            / width as f32;
        range.rms = range.rms.max(variance.sqrt());
        result = row
            .iter()
            .fold(result, |result, value| result.max((value - mean).abs()));
    }
    result
}

/// s_j = max|X_j|^α / max|W_j|^(1-α), W_j being the weights that channel j meets: a row of `[inputs, outputs]`.
#[must_use]
pub fn smoothing_factors(activations: &[f32], matrix: &[f32], alpha: f32) -> Vec<f32> {
    let outputs = matrix.len() / activations.len();
    activations
        .iter()
        .zip(matrix.chunks_exact(outputs))
        .map(|(&activation, row)| {
            // Channels that are never used, or lead nowhere, are left alone.
            let weight = largest(row);
            if activation < 1e-5 || weight < 1e-5 {
                return 1.0;
            }
            (activation.powf(alpha) / weight.powf(1.0 - alpha)).clamp(1e-3, 1e3)
        })
        .collect()
}

/// Subtracts from every row of a matrix its mean.
fn centred(matrix: &[f32], columns: usize) -> Vec<f32> {
    matrix
        .chunks_exact(columns)
        .flat_map(|row| {
            let mean = row.iter().map(|&value| f64::from(value)).sum::<f64>() / columns as f64;
            row.iter()
                .map(move |&value| (f64::from(value) - mean) as f32)
        })
        .collect()
}

/// Smooths and quantises `model`. α = 0 takes no account of activations, 1 flattens them wholly; 0.5 shares the burden.
/// `smooth = false` leaves the factors at 1 (naive W8A8, for comparison).
#[must_use]
pub fn quantize(model: &Gpt, calibration: &Calibration, alpha: f32, smooth: bool) -> QuantizedGpt {
    let quantizer = Quantizer {
        model,
        alpha,
        smooth,
    };
    let (config, table) = (&model.config, &model.table);
    let width = config.width;
    let layers = (0..config.layers)
        .map(|layer| quantizer.layer(calibration, layer))
        .collect();
    let embedding = &model.parameters[table.token_embedding.clone()];
    // The head multiplies by the transposed embedding: [E, V].
    let head: Vec<f32> = (0..width)
        .flat_map(|channel| embedding.iter().skip(channel).step_by(width).copied())
        .collect();
    let (norm, head) =
        quantizer.smoothed(&calibration.norm1[config.layers], &table.final_norm, head);
    QuantizedGpt {
        vocabulary: config.vocabulary,
        block: config.block,
        width,
        head_width: config.head_width(),
        alpha,
        token: centred(embedding, width),
        position: centred(&model.parameters[table.position_embedding.clone()], width),
        // Twice the largest value seen still fits 16 bits.
        residual_scale: calibration.residual / 16_000.0,
        layers,
        norm,
        head: QuantizedLinear::quantize(
            &head,
            width,
            config.vocabulary,
            vec![0.0; config.vocabulary],
        ),
        logit_scale: calibration.logits / 16_000.0,
    }
}

struct Quantizer<'a> {
    model: &'a Gpt,
    alpha: f32,
    smooth: bool,
}

impl Quantizer<'_> {
    fn part(&self, range: &std::ops::Range<usize>) -> &[f32] {
        &self.model.parameters[range.clone()]
    }

    /// The norm with its smoothed weights, and the matrix behind it (`[inputs, outputs]`) with the inverse folded in.
    fn smoothed(
        &self,
        range: &NormRange,
        norm: &Pair,
        mut matrix: Vec<f32>,
    ) -> (QuantizedNorm, Vec<f32>) {
        let factors = if self.smooth {
            smoothing_factors(&range.channels, &matrix, self.alpha)
        } else {
            vec![1.0; range.channels.len()]
        };
        let outputs = matrix.len() / factors.len();
        for (row, factor) in matrix.chunks_exact_mut(outputs).zip(&factors) {
            row.iter_mut().for_each(|value| *value *= factor);
        }
        let divided = |values: &[f32]| {
            values
                .iter()
                .zip(&factors)
                .map(|(value, factor)| value / factor)
                .collect()
        };
        let top = range
            .channels
            .iter()
            .zip(&factors)
            .fold(0.0f32, |top, (channel, factor)| top.max(channel / factor));
        let norm = QuantizedNorm {
            gamma: divided(self.part(&norm.weight)),
            beta: divided(self.part(&norm.bias)),
            scale: step(top),
            rms_max: range.rms.max(1e-6),
        };
        (norm, matrix)
    }

    fn layer(&self, calibration: &Calibration, layer: usize) -> QuantizedLayer {
        let (config, ranges) = (&self.model.config, &self.model.table.blocks[layer]);
        let width = config.width;
        let seen = calibration.layers[layer];
        let (norm1, qkv) = self.smoothed(
            &calibration.norm1[layer],
            &ranges.norm1,
            self.part(&ranges.qkv.weight).to_vec(),
        );
        let qkv_bias = self.part(&ranges.qkv.bias);
        let [q, k, v] = [0, 1, 2].map(|part| {
            let columns = part * width..(part + 1) * width;
            let matrix: Vec<f32> = qkv
                .chunks_exact(3 * width)
                .flat_map(|row| row[columns.clone()].iter().copied())
                .collect();
            QuantizedLinear::quantize(&matrix, width, width, qkv_bias[columns].to_vec())
        });
        let (norm2, up) = self.smoothed(
            &calibration.norm2[layer],
            &ranges.norm2,
            self.part(&ranges.up.weight).to_vec(),
        );
        let onto_residual = |pair: &Pair, inputs: usize| {
            let matrix = centred(self.part(&pair.weight), width);
            QuantizedLinear::quantize(
                &matrix,
                inputs,
                width,
                centred(self.part(&pair.bias), width),
            )
        };
        QuantizedLayer {
            heads: config.heads,
            norm1,
            q,
            k,
            v,
            q_scale: step(seen.q),
            k_scale: step(seen.k),
            v_scale: step(seen.v),
            mix_scale: step(seen.mix),
            mix_mean: calibration.mix_sums[layer]
                .iter()
                .map(|sum| (sum / calibration.rows as f64) as f32)
                .collect(),
            o: onto_residual(&ranges.projection, width),
            norm2,
            up: QuantizedLinear::quantize(
                &up,
                width,
                4 * width,
                self.part(&ranges.up.bias).to_vec(),
            ),
            gelu_scale: step(seen.activated),
            down: onto_residual(&ranges.down, 4 * width),
        }
    }
}

/// Step of an int8 tensor whose largest magnitude is `top`.
fn step(top: f32) -> f32 {
    top.max(1e-6) / CODE_LIMIT
}
