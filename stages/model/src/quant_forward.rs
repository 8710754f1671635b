//! The quantised model in floating point: every matrix product sees the int8 codes that integer hardware would see
//! ("fake quantisation"); LayerNorm, softmax, GELU and the residual stream stay real.

use crate::evaluate::LanguageModel;
use crate::kernels::{
    add_bias, add_into, gelu, layer_norm, multiply, softmax_causal, Matrix, MatrixMut,
    NormStatistics,
};
use crate::quant::{QuantizedLayer, QuantizedLinear, QuantizedNorm, CODE_LIMIT};
use crate::{ModelError, QuantizedGpt};

/// A quantised model, its weights laid out for computing.
pub struct FakeQuantized<'a> {
    model: &'a QuantizedGpt,
    layers: Vec<LayerWeights>,
    head: Vec<f32>,
}

/// Real weights `[inputs, outputs]`.
struct LayerWeights {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    o: Vec<f32>,
    up: Vec<f32>,
    down: Vec<f32>,
}

/// Rounds to the nearest code and back.
pub(crate) fn fake_quantize(values: &mut [f32], scale: f32) {
    let inverse = 1.0 / scale;
    for value in values {
        *value = (*value * inverse)
            .round_ties_even()
            .clamp(-CODE_LIMIT, CODE_LIMIT)
            * scale;
    }
}

/// source · weight + bias.
fn linear(source: &[f32], layer: &QuantizedLinear, weight: &[f32]) -> Vec<f32> {
    let rows = source.len().checked_div(layer.columns).unwrap_or(0);
    let mut target = vec![0.0; rows * layer.rows];
    if layer.rows == 0 {
        return target;
    }
    add_bias(&mut target, &layer.bias);
    multiply(
        MatrixMut::new(&mut target, rows, layer.rows),
        true,
        1.0,
        Matrix::new(source, rows, layer.columns),
        Matrix::new(weight, layer.columns, layer.rows),
    );
    target
}

fn norm(source: &[f32], layer: &QuantizedNorm) -> Vec<f32> {
    let mut target = vec![0.0; source.len()];
    let mut statistics = vec![NormStatistics::default(); source.len() / layer.gamma.len()];
    layer_norm(
        &mut target,
        &mut statistics,
        source,
        &layer.gamma,
        &layer.beta,
    );
    fake_quantize(&mut target, layer.scale);
    target
}

impl<'a> FakeQuantized<'a> {
    #[must_use]
    pub fn new(model: &'a QuantizedGpt) -> Self {
        let layers = model
            .layers
            .iter()
            .map(|layer| LayerWeights {
                q: layer.q.dequantize(),
                k: layer.k.dequantize(),
                v: layer.v.dequantize(),
                o: layer.o.dequantize(),
                up: layer.up.dequantize(),
                down: layer.down.dequantize(),
            })
            .collect();
        Self {
            model,
            layers,
            head: model.head.dequantize(),
        }
    }

    fn attention(
        &self,
        source: &[f32],
        layer: &QuantizedLayer,
        weights: &LayerWeights,
    ) -> Vec<f32> {
        let (heads, head_width) = (layer.heads, self.model.head_width);
        let inner = heads * head_width;
        let positions = source.len() / self.model.width;
        let [q, k, v] = [
            (&layer.q, &weights.q, layer.q_scale),
            (&layer.k, &weights.k, layer.k_scale),
            (&layer.v, &weights.v, layer.v_scale),
        ]
        .map(|(matrix, weight, scale)| {
            let mut values = linear(source, matrix, weight);
            fake_quantize(&mut values, scale);
            values
        });
        let mut mixed = vec![0.0; positions * inner];
        let mut scores = vec![0.0; positions * positions];
        let scale = 1.0 / (head_width as f32).sqrt();
        for head in 0..heads {
            let start = head * head_width;
            let view = |values| Matrix::strided(values, positions, head_width, inner);
            let target = MatrixMut::new(&mut scores, positions, positions);
            multiply(
                target,
                false,
                scale,
                view(&q[start..]),
                view(&k[start..]).transposed(),
            );
            softmax_causal(&mut scores, positions);
            let target = MatrixMut::strided(&mut mixed[start..], positions, head_width, inner);
            multiply(
                target,
                false,
                1.0,
                Matrix::new(&scores, positions, positions),
                view(&v[start..]),
            );
        }
        fake_quantize(&mut mixed, layer.mix_scale);
        mixed
    }

    fn block(&self, residual: &mut [f32], layer: &QuantizedLayer, weights: &LayerWeights) {
        if layer.heads == 0 {
            // Only the bias of the projection is left.
            for row in residual.chunks_exact_mut(self.model.width) {
                add_into(row, &layer.o.bias);
            }
        } else {
            let mixed = self.attention(&norm(residual, &layer.norm1), layer, weights);
            add_into(residual, &linear(&mixed, &layer.o, &weights.o));
        }
        let mut up = linear(&norm(residual, &layer.norm2), &layer.up, &weights.up);
        let mut activated = vec![0.0; up.len()];
        gelu(&mut activated, &mut up);
        fake_quantize(&mut activated, layer.gelu_scale);
        add_into(residual, &linear(&activated, &layer.down, &weights.down));
    }
}

impl LanguageModel for FakeQuantized<'_> {
    fn block(&self) -> usize {
        self.model.block
    }

    fn vocabulary(&self) -> usize {
        self.model.vocabulary
    }

    fn logits(&self, tokens: &[u16]) -> Result<Vec<f32>, ModelError> {
        let model = self.model;
        if tokens.is_empty() || tokens.len() > model.block {
            return Err(ModelError::Data(format!(
                "a sequence of {} tokens does not fit a block of {}",
                tokens.len(),
                model.block
            )));
        }
        let mut residual = Vec::with_capacity(tokens.len() * model.width);
        for (&token, position) in tokens.iter().zip(model.position.chunks_exact(model.width)) {
            let Some(row) = model.token.chunks_exact(model.width).nth(token as usize) else {
                return Err(ModelError::Data(format!(
                    "token {token} is past the model's vocabulary of {}",
                    model.vocabulary
                )));
            };
            residual.extend(row.iter().zip(position).map(|(a, b)| a + b));
        }
        for (layer, weights) in model.layers.iter().zip(&self.layers) {
            self.block(&mut residual, layer, weights);
        }
        Ok(linear(
            &norm(&residual, &model.norm),
            &model.head,
            &self.head,
        ))
    }
}
