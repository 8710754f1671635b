//! The hand-written backward pass against finite differences and against candle's own autograd on stock operations.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var, D};
use nanoflow_model::data::Batch;
use nanoflow_model::gpt::Dropout;
use nanoflow_model::loss::{thread_pool, BatchLoss};
use nanoflow_model::{Gpt, ModelConfig};

fn config() -> ModelConfig {
    ModelConfig {
        vocabulary: 23,
        block: 8,
        layers: 2,
        heads: 2,
        width: 12,
    }
}

/// A model whose weights are large enough for every part to matter.
fn model() -> Gpt {
    let mut model = Gpt::new(config(), 3);
    for (index, value) in model.parameters.iter_mut().enumerate() {
        // Norms are 1, biases 0, matrices about 0.02.
        let factor = if *value == 1.0 { 1.0 } else { 8.0 };
        *value = *value * factor + 0.1 * ((index * 37 % 101) as f32 / 101.0 - 0.5);
    }
    model
}

fn batch() -> Batch {
    let tokens: Vec<u16> = (0..200u32)
        .map(|index| (index * index % 23) as u16)
        .collect();
    Batch::random(&tokens, 8, 3, 5, 0)
}

#[test]
fn gradient_matches_finite_differences() {
    for dropout in [Dropout::default(), Dropout { rate: 0.2, key: 99 }] {
        let (model, batch) = (model(), batch());
        let scale = 1.0 / batch.targets.len() as f32;
        let result = model
            .network()
            .gradient(&batch.inputs, &batch.targets, scale, dropout);
        let loss = |parameters: Vec<f32>| {
            let changed = Gpt {
                parameters,
                ..model.clone()
            };
            changed
                .network()
                .gradient(&batch.inputs, &batch.targets, scale, dropout)
                .loss_sum
                * f64::from(scale)
        };
        for segment in &model.table.segments {
            // A direction inside this tensor: its own gradient, so that no error can hide.
            let gradient = &result.gradient[segment.range.clone()];
            let norm = gradient
                .iter()
                .map(|g| f64::from(*g).powi(2))
                .sum::<f64>()
                .sqrt();
            assert!(norm > 1e-6, "{}: no gradient", segment.name);
            // Small enough to be straight, large enough to be seen in f32.
            let step = (0.02 / norm).min(2e-2);
            let moved = |sign: f64| {
                let mut parameters = model.parameters.clone();
                for (value, g) in parameters[segment.range.clone()].iter_mut().zip(gradient) {
                    *value += (sign * step * f64::from(*g) / norm) as f32;
                }
                loss(parameters)
            };
            let measured = (moved(1.0) - moved(-1.0)) / (2.0 * step);
            let error = (measured / norm - 1.0).abs();
            assert!(
                error < 1e-2,
                "{}: {measured} instead of {norm}",
                segment.name
            );
        }
    }
}

/// The same network in candle's differentiable operations, nothing fused.
fn reference_loss(parameters: &Tensor, model: &Gpt, batch: &Batch) -> candle_core::Result<Tensor> {
    let ModelConfig {
        block,
        heads,
        width,
        ..
    } = model.config;
    let sequences = batch.inputs.len() / block;
    let get = |name: &str| {
        let segment = model
            .table
            .segments
            .iter()
            .find(|segment| segment.name == name)
            .expect("a tensor");
        parameters
            .narrow(0, segment.range.start, segment.range.len())?
            .reshape(segment.shape.clone())
    };
    let norm = |x: &Tensor, name: &str| {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let scaled = centred.broadcast_div(&(variance + 1e-5)?.sqrt()?)?;
        scaled
            .broadcast_mul(&get(&format!("{name}.weight"))?)?
            .broadcast_add(&get(&format!("{name}.bias"))?)
    };
    let linear = |x: &Tensor, name: &str| {
        x.broadcast_matmul(&get(&format!("{name}.weight"))?)?
            .broadcast_add(&get(&format!("{name}.bias"))?)
    };
    let softmax = |x: &Tensor| {
        let e = x.exp()?;
        e.broadcast_div(&e.sum_keepdim(D::Minus1)?)
    };
    let ids = |tokens: &[u16]| {
        Tensor::new(
            tokens.iter().map(|&t| u32::from(t)).collect::<Vec<_>>(),
            &Device::Cpu,
        )
    };
    let embedding = get("transformer.wte.weight")?;
    let mut x = embedding
        .index_select(&ids(&batch.inputs)?, 0)?
        .reshape((sequences, block, width))?;
    x = x.broadcast_add(&get("transformer.wpe.weight")?)?;
    let mask: Vec<f32> = (0..block * block)
        .map(|i| if i % block > i / block { -1e4 } else { 0.0 })
        .collect();
    let mask = Tensor::from_vec(mask, (block, block), &Device::Cpu)?;
    for layer in 0..model.config.layers {
        let name = |part: &str| format!("transformer.h.{layer}.{part}");
        let qkv = linear(&norm(&x, &name("ln_1"))?, &name("attn.c_attn"))?;
        let part = |index: usize| {
            let part = qkv.narrow(2, index * width, width)?;
            part.reshape((sequences, block, heads, width / heads))?
                .transpose(1, 2)?
                .contiguous()
        };
        let scores = (part(0)?.matmul(&part(1)?.t()?)? / ((width / heads) as f64).sqrt())?;
        let mixed = softmax(&scores.broadcast_add(&mask)?)?.matmul(&part(2)?)?;
        let mixed = mixed.transpose(1, 2)?.reshape((sequences, block, width))?;
        x = (x + linear(&mixed, &name("attn.c_proj"))?)?;
        let up = linear(&norm(&x, &name("ln_2"))?, &name("mlp.c_fc"))?;
        x = (x + linear(&up.gelu_erf()?, &name("mlp.c_proj"))?)?;
    }
    let logits = norm(&x, "transformer.ln_f")?.broadcast_matmul(&embedding.t()?)?;
    let logits = logits.reshape((sequences * block, model.config.vocabulary))?;
    let wanted = logits
        .gather(&ids(&batch.targets)?.unsqueeze(1)?, 1)?
        .squeeze(1)?;
    (logits.exp()?.sum(1)?.log()? - wanted)?.mean_all()
}

#[test]
fn loss_and_gradient_match_candle_on_stock_operations() {
    let (model, batch) = (model(), batch());
    let length = model.parameters.len();
    let variable = Var::from_vec(model.parameters.clone(), length, &Device::Cpu).expect("variable");
    let reference = reference_loss(variable.as_tensor(), &model, &batch).expect("reference");
    let gradients = reference.backward().expect("backward");
    let reference_gradient = gradients.get(variable.as_tensor()).expect("gradient");

    let operation = BatchLoss::new(
        Arc::new(model.config.clone()),
        Arc::new(model.table.clone()),
        batch,
        (2, 0.0, 0),
        thread_pool(2).expect("threads"),
    );
    // Half the loss, so that the chain rule through the operation counts.
    let fused = (variable.as_tensor().apply_op1(operation).expect("forward") * 0.5).expect("half");
    let gradient = fused
        .backward()
        .expect("backward")
        .remove(variable.as_tensor())
        .expect("gradient");
    let difference = (fused
        .to_dtype(DType::F64)
        .expect("f64")
        .to_scalar::<f64>()
        .expect("scalar")
        * 2.0
        - reference
            .to_dtype(DType::F64)
            .expect("f64")
            .to_scalar::<f64>()
            .expect("scalar"))
    .abs();
    assert!(difference < 1e-5, "loss differs by {difference}");
    let ours = (gradient * 2.0)
        .expect("double")
        .to_vec1::<f32>()
        .expect("values");
    let theirs = reference_gradient.to_vec1::<f32>().expect("values");
    for segment in &model.table.segments {
        let (ours, theirs) = (&ours[segment.range.clone()], &theirs[segment.range.clone()]);
        let largest = theirs
            .iter()
            .fold(0.0f32, |largest, value| largest.max(value.abs()));
        let error = ours
            .iter()
            .zip(theirs)
            .fold(0.0f32, |error, (a, b)| error.max((a - b).abs()))
            / largest;
        assert!(error < 1e-4, "{}: relative error {error}", segment.name);
    }
}

#[test]
fn gradient_has_the_same_bits_for_any_number_of_threads() {
    let model = model();
    let run = |threads| {
        let operation = BatchLoss::new(
            Arc::new(model.config.clone()),
            Arc::new(model.table.clone()),
            batch(),
            (3, 0.1, 11),
            thread_pool(threads).expect("threads"),
        );
        operation.evaluate(&model.parameters)
    };
    let (first, second) = (run(1), run(3));
    assert_eq!(first.0.to_bits(), second.0.to_bits());
    assert_eq!(first.1, second.1);
}
