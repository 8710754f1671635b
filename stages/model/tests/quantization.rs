//! Smoothing, fake quantisation and pruning.

use nanoflow_model::data::Batch;
use nanoflow_model::evaluate::{evaluate, LanguageModel};
use nanoflow_model::loss::thread_pool;
use nanoflow_model::quant_forward::FakeQuantized;
use nanoflow_model::smooth::{quantize, smoothing_factors, Calibration};
use nanoflow_model::{Gpt, ModelConfig, QuantizedGpt};

fn config() -> ModelConfig {
    ModelConfig {
        vocabulary: 40,
        block: 16,
        layers: 2,
        heads: 4,
        width: 32,
        activation: Default::default(),
        share_layers: false,
    }
}

/// Random weights of the size that training gives.
fn model() -> Gpt {
    let mut model = Gpt::new(config(), 8);
    for segment in model.table.segments.clone() {
        if segment.name.ends_with("weight") && !segment.name.contains(".ln_") {
            model.parameters[segment.range]
                .iter_mut()
                .for_each(|value| *value *= 8.0);
        }
    }
    model
}

/// The same function, but channel 3 of every norm is 60 times larger and the weights behind it are smaller: what large
/// language models have by themselves.
fn with_outliers() -> Gpt {
    let mut model = model();
    for block in model.table.blocks.clone() {
        for (norm, matrix) in [(&block.norm1, &block.qkv), (&block.norm2, &block.up)] {
            let outputs = matrix.bias.len();
            model.parameters[norm.weight.start + 3] *= 60.0;
            model.parameters[norm.bias.start + 3] *= 60.0;
            model.parameters[matrix.weight.start + 3 * outputs..][..outputs]
                .iter_mut()
                .for_each(|value| *value /= 60.0);
        }
    }
    model
}

fn tokens() -> Vec<u16> {
    (0..2000u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u16 % 40)
        .collect()
}

fn calibrated(model: &Gpt) -> Calibration {
    let batch = Batch::even(&tokens(), 16, 20);
    Calibration::run(model, batch.inputs.chunks(16)).expect("calibrates")
}

/// Root mean square difference of logits, relative to their own.
fn difference(model: &Gpt, quantized: &QuantizedGpt) -> f64 {
    let (mut error, mut power) = (0.0, 0.0);
    for window in tokens().chunks(16) {
        let real = model.logits(window).expect("logits");
        let fake = FakeQuantized::new(quantized)
            .logits(window)
            .expect("logits");
        for (a, b) in real.iter().zip(&fake) {
            error += f64::from(a - b).powi(2);
            power += f64::from(*a).powi(2);
        }
    }
    (error / power).sqrt()
}

#[test]
fn smoothing_saves_a_model_with_outlier_channels() {
    let model = with_outliers();
    let calibration = calibrated(&model);
    let naive = difference(&model, &quantize(&model, &calibration, 0.5, false));
    let smoothed = difference(&model, &quantize(&model, &calibration, 0.5, true));
    eprintln!("relative error of logits: naive {naive:.4}, smoothed {smoothed:.4}");
    assert!(naive > 0.1, "naive W8A8 should lose much: {naive}");
    assert!(
        smoothed < 0.04,
        "smoothed W8A8 should lose little: {smoothed}"
    );
}

#[test]
fn smoothing_factors_follow_the_formula() {
    // s = sqrt(8) / sqrt(2) = 2 and sqrt(0.5) / sqrt(4); channel 2 leads nowhere.
    let factors = smoothing_factors(&[8.0, 0.5, 3.0], &[1.0, -2.0, 4.0, 0.0, 0.0, 0.0], 0.5);
    assert!((factors[0] - 2.0).abs() < 1e-6 && (factors[1] - (0.125f32).sqrt()).abs() < 1e-6);
    assert_eq!(factors[2], 1.0);
}

#[test]
fn the_file_gives_back_the_model() {
    let folder = tempfile::tempdir().expect("folder");
    let model = model();
    let mut quantized = quantize(&model, &calibrated(&model), 0.5, true);
    let (first, second) = (folder.path().join("a"), folder.path().join("b"));
    quantized.save(&first).expect("saved");
    quantized.save(&second).expect("saved");
    assert_eq!(
        std::fs::read(&first).expect("read"),
        std::fs::read(&second).expect("read")
    );
    assert_eq!(QuantizedGpt::load(&first).expect("loaded"), quantized);
    // A layer without heads survives too.
    quantized
        .remove_heads(&[(1, 0), (1, 1), (1, 2), (1, 3)])
        .expect("removed");
    quantized.save(&first).expect("saved");
    assert_eq!(QuantizedGpt::load(&first).expect("loaded"), quantized);
}

#[test]
fn removing_heads_is_the_same_as_silencing_them() {
    let model = model();
    let mut quantized = quantize(&model, &calibrated(&model), 0.5, true);
    for layer in &mut quantized.layers {
        layer.mix_mean.fill(0.0);
    }
    for heads in [vec![(0, 1), (1, 3)], vec![(0, 0), (0, 1), (0, 2), (0, 3)]] {
        let mut removed = quantized.clone();
        removed.remove_heads(&heads).expect("removed");
        assert_eq!(
            quantized.parameters() - removed.parameters(),
            heads.len() * (4 * 32 * 8 + 3 * 8)
        );
        let mut silenced = quantized.clone();
        for &(layer, head) in &heads {
            let o = &mut silenced.layers[layer].o;
            for row in 0..o.rows {
                o.weight[row * 32 + head * 8..][..8].fill(0);
            }
        }
        let window = &tokens()[..16];
        let left = FakeQuantized::new(&removed).logits(window).expect("logits");
        let right = FakeQuantized::new(&silenced)
            .logits(window)
            .expect("logits");
        let error = left
            .iter()
            .zip(&right)
            .fold(0.0f32, |error, (a, b)| error.max((a - b).abs()));
        assert!(error < 1e-4, "{error}");
    }
    assert!(quantized.clone().remove_heads(&[(0, 4)]).is_err());
    assert!(quantized.clone().remove_heads(&[(2, 0)]).is_err());
}

#[test]
fn a_removed_head_leaves_its_mean() {
    let model = model();
    let quantized = quantize(&model, &calibrated(&model), 0.5, true);
    let mut removed = quantized.clone();
    removed.remove_heads(&[(0, 1)]).expect("removed");
    let (before, after) = (&quantized.layers[0], &removed.layers[0]);
    for row in 0..32 {
        let left: f32 = (8..16)
            .map(|channel| {
                before.mix_mean[channel]
                    * before.o.scale[row]
                    * f32::from(before.o.weight[row * 32 + channel])
            })
            .sum();
        assert!((after.o.bias[row] - before.o.bias[row] - left).abs() < 1e-6);
    }
    assert_eq!(after.mix_mean.len(), 24);
}

#[test]
fn evaluation_counts_every_token_once() {
    // A model that knows nothing has the perplexity of its vocabulary.
    let mut model = model();
    model.parameters.fill(0.0);
    let pool = thread_pool(2).expect("threads");
    let tokens = &tokens()[..101];
    let result = evaluate(&model, tokens, &[2; 40], &pool, &|_, _| {}).expect("evaluates");
    assert_eq!((result.tokens, result.bytes), (100, 200));
    assert!(
        (result.perplexity() - 40.0).abs() < 1e-3,
        "{}",
        result.perplexity()
    );
    assert!((result.bits_per_byte() - 40f64.log2() / 2.0).abs() < 1e-5);
    assert!(evaluate(&model, &tokens[..1], &[], &pool, &|_, _| {}).is_err());
    assert!(evaluate(&model, &[3, 40], &[], &pool, &|_, _| {}).is_err());
}
