//! The quantised model in the accelerator's words.

use nanoflow_accel::{QuantLayer, QuantLinear, QuantModel, QuantNorm};
use nanoflow_model::quant::{QuantizedLayer, QuantizedLinear, QuantizedNorm};
use nanoflow_model::QuantizedGpt;

pub fn to_accelerator(model: &QuantizedGpt) -> QuantModel {
    QuantModel {
        vocab: model.vocabulary,
        block: model.block,
        width: model.width,
        token: model.token.clone(),
        position: model.position.clone(),
        residual_scale: model.residual_scale,
        layers: model
            .layers
            .iter()
            .map(|layer| to_layer(layer, model.head_width))
            .collect(),
        norm: to_norm(&model.norm),
        head: to_linear(&model.head),
        logit_scale: model.logit_scale,
    }
}

fn to_layer(layer: &QuantizedLayer, head_width: usize) -> QuantLayer {
    QuantLayer {
        norm1: to_norm(&layer.norm1),
        heads: layer.heads,
        head_dim: head_width,
        q: to_linear(&layer.q),
        k: to_linear(&layer.k),
        v: to_linear(&layer.v),
        q_scale: layer.q_scale,
        k_scale: layer.k_scale,
        v_scale: layer.v_scale,
        mix_scale: layer.mix_scale,
        o: to_linear(&layer.o),
        norm2: to_norm(&layer.norm2),
        up: to_linear(&layer.up),
        gelu_scale: layer.gelu_scale,
        down: to_linear(&layer.down),
    }
}

fn to_norm(norm: &QuantizedNorm) -> QuantNorm {
    QuantNorm {
        gamma: norm.gamma.clone(),
        beta: norm.beta.clone(),
        scale: norm.scale,
        rms_max: norm.rms_max,
    }
}

fn to_linear(linear: &QuantizedLinear) -> QuantLinear {
    QuantLinear {
        rows: linear.rows,
        cols: linear.columns,
        weight: linear.weight.clone(),
        scale: linear.scale.clone(),
        bias: linear.bias.clone(),
    }
}
