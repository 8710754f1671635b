//! The integer model against the same network in double precision, written independently from the definition.
use super::*;

fn layer_norm(x: &[f64], norm: &QuantNorm) -> Vec<f64> {
    let count = x.len() as f64;
    let mean = x.iter().sum::<f64>() / count;
    let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    x.iter()
        .enumerate()
        .map(|(i, v)| {
            (v - mean) / variance.sqrt() * f64::from(norm.gamma[i]) + f64::from(norm.beta[i])
        })
        .collect()
}

fn linear(w: &QuantLinear, x: &[f64]) -> Vec<f64> {
    (0..w.rows)
        .map(|row| {
            let sum: f64 = (0..w.cols)
                .map(|col| f64::from(w.weight[row * w.cols + col]) * x[col])
                .sum();
            sum * f64::from(w.scale[row]) + f64::from(w.bias[row])
        })
        .collect()
}

/// Logits after each token, all in floating point.
fn reference(model: &QuantModel, tokens: &[u16]) -> Vec<Vec<f64>> {
    let width = model.width;
    let mut cache: Vec<Vec<(Vec<f64>, Vec<f64>)>> = vec![Vec::new(); model.layers.len()];
    let mut all = Vec::new();
    for (position, &token) in tokens.iter().enumerate() {
        let mut x: Vec<f64> = (0..width)
            .map(|i| {
                f64::from(model.token[usize::from(token) * width + i])
                    + f64::from(model.position[position * width + i])
            })
            .collect();
        for (layer, cache) in model.layers.iter().zip(&mut cache) {
            let normal = layer_norm(&x, &layer.norm1);
            let q = linear(&layer.q, &normal);
            cache.push((linear(&layer.k, &normal), linear(&layer.v, &normal)));
            let mut mixed = Vec::new();
            for head in 0..layer.heads {
                let range = head * layer.head_dim..(head + 1) * layer.head_dim;
                let score = |k: &[f64]| {
                    let sum: f64 = range.clone().map(|i| q[i] * k[i]).sum();
                    (sum / (layer.head_dim as f64).sqrt()).exp()
                };
                let weights: Vec<f64> = cache.iter().map(|(k, _)| score(k)).collect();
                let total: f64 = weights.iter().sum();
                mixed.extend(range.clone().map(|i| {
                    cache
                        .iter()
                        .zip(&weights)
                        .map(|((_, v), weight)| v[i] * weight)
                        .sum::<f64>()
                        / total
                }));
            }
            x.iter_mut()
                .zip(linear(&layer.o, &mixed))
                .for_each(|(x, y)| *x += y);
            let hidden: Vec<f64> = linear(&layer.up, &layer_norm(&x, &layer.norm2))
                .into_iter()
                .map(gelu)
                .collect();
            x.iter_mut()
                .zip(linear(&layer.down, &hidden))
                .for_each(|(x, y)| *x += y);
        }
        all.push(linear(&model.head, &layer_norm(&x, &model.norm)));
    }
    all
}

fn dims(heads: &[usize]) -> Dims {
    Dims {
        vocab: 40,
        block: 24,
        width: 48,
        hidden: 96,
        head_dim: 12,
        heads: heads.to_vec(),
    }
}

#[test]
fn logits_follow_the_floating_point_network() {
    for (seed, heads) in [(1, vec![3, 2]), (2, vec![4, 0, 1])] {
        let quant = QuantModel::random(seed, &dims(&heads));
        let model = IntModel::from_quant(&quant).unwrap();
        let tokens: Vec<u16> = (0..24).map(|i| (i * 17 + 3) % 40).collect();
        let expected = reference(&quant, &tokens);
        let mut state = model.start();
        let (mut error, mut energy) = (0.0, 0.0);
        for (&token, expected) in tokens.iter().zip(&expected) {
            let step = model.step(&mut state, token).unwrap();
            assert_eq!(step.logits[step.best], *step.logits.iter().max().unwrap());
            for (&logit, &exact) in step.logits.iter().zip(expected) {
                error += (f64::from(logit) * f64::from(quant.logit_scale) - exact).powi(2);
                energy += exact * exact;
            }
        }
        let relative = (error / energy).sqrt();
        // int8 activations alone cost about 2–4 % here.
        assert!(relative < 0.08, "seed {seed}: relative error {relative}");
        println!("seed {seed}: relative error {relative:.4}");
    }
}

#[test]
fn uncentred_matrices_are_centred() {
    let mut quant = QuantModel::random(3, &dims(&[2]));
    for bias in &mut quant.layers[0].o.bias {
        *bias += 0.3;
    }
    for (index, weight) in quant.layers[0].down.weight.iter_mut().enumerate() {
        *weight = (*weight / 2).saturating_add(if index % 96 < 40 { 30 } else { -20 });
    }
    let model = IntModel::from_quant(&quant).unwrap();
    let expected = reference(&quant, &[5, 9, 11]);
    let mut state = model.start();
    let (mut error, mut energy) = (0.0, 0.0);
    for (token, expected) in [5, 9, 11].into_iter().zip(&expected) {
        for (&logit, &exact) in model
            .step(&mut state, token)
            .unwrap()
            .logits
            .iter()
            .zip(expected)
        {
            error += (f64::from(logit) * f64::from(quant.logit_scale) - exact).powi(2);
            energy += exact * exact;
        }
    }
    assert!(
        (error / energy).sqrt() < 0.08,
        "{}",
        (error / energy).sqrt()
    );
}

#[test]
fn bad_tokens_and_full_contexts_are_refused() {
    let model = IntModel::from_quant(&QuantModel::random(4, &dims(&[1]))).unwrap();
    let mut state = model.start();
    assert!(model.step(&mut state, 40).is_err());
    for _ in 0..24 {
        model.step(&mut state, 1).unwrap();
    }
    assert!(model
        .step(&mut state, 1)
        .unwrap_err()
        .to_string()
        .contains("full"));
}
