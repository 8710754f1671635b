//! Against PyTorch: golden data made by `golden/make.py`, float32 of a float64 computation.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nanoflow_model::backward::{Pass, Workspace};
use nanoflow_model::config::{Activation, TrainingConfig};
use nanoflow_model::data::Batch;
use nanoflow_model::optimizer::AdamW;
use nanoflow_model::smooth::{quantize, smoothing_factors, Calibration};
use nanoflow_model::{Gpt, ModelConfig, Tokenizer};
use safetensors::SafeTensors;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The file's tensors as real numbers.
struct Golden(BTreeMap<String, Vec<f32>>);

impl Golden {
    fn load() -> Self {
        let bytes = std::fs::read(folder().join("gpt.safetensors")).expect("golden data");
        let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
        let values = |data: &[u8], integers: bool| -> Vec<f32> {
            data.chunks_exact(4)
                .map(|b| [b[0], b[1], b[2], b[3]])
                .map(|b| {
                    if integers {
                        i32::from_le_bytes(b) as f32
                    } else {
                        f32::from_le_bytes(b)
                    }
                })
                .collect()
        };
        Self(
            tensors
                .iter()
                .map(|(name, view)| {
                    let integers = view.dtype() == safetensors::Dtype::I32;
                    (name.to_string(), values(view.data(), integers))
                })
                .collect(),
        )
    }

    fn get(&self, name: &str) -> &[f32] {
        self.0.get(name).unwrap_or_else(|| panic!("no {name}"))
    }

    fn tokens(&self, name: &str) -> Vec<u16> {
        self.get(name).iter().map(|&token| token as u16).collect()
    }

    fn batch(&self) -> Batch {
        Batch {
            inputs: self.tokens("inputs"),
            targets: self.tokens("targets"),
        }
    }

    fn model(&self, activation: Activation) -> Gpt {
        let config = ModelConfig {
            vocabulary: 23,
            block: 8,
            layers: 2,
            heads: 2,
            width: 12,
            activation,
            share_layers: false,
        };
        let mut model = Gpt::new(config, 0);
        for segment in model.table.segments.clone() {
            let values = self.get(&format!("weight.{}", segment.name));
            model.parameters[segment.range].copy_from_slice(values);
        }
        model
    }
}

/// Largest difference over the largest magnitude.
fn relative(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs
        .iter()
        .fold(0.0f32, |top, value| top.max(value.abs()));
    let pairs = ours.iter().zip(theirs);
    pairs.fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs())) / largest
}

fn gradient(model: &Gpt, batch: &Batch) -> (f64, Vec<f32>) {
    let mut workspace = Workspace::new(&model.config, &model.table, 3, 2);
    let tokens = batch.inputs.len();
    let pass = Pass {
        scale: 1.0 / tokens as f32,
        dropout: 0.0,
        seed: 0,
        accumulate: false,
        ..Pass::default()
    };
    let sum = workspace.run(&model.network(), batch, pass);
    (sum / tokens as f64, workspace.gradient)
}

#[test]
fn logits_loss_and_every_gradient_are_those_of_pytorch() {
    let golden = Golden::load();
    let batch = golden.batch();
    let model = golden.model(Activation::Gelu);
    let logits: Vec<f32> = batch
        .inputs
        .chunks(8)
        .flat_map(|tokens| model.logits(tokens).expect("logits"))
        .collect();
    assert!(relative(&logits, golden.get("logits")) < 1e-5);
    for (prefix, activation) in [("", Activation::Gelu), ("tanh.", Activation::GeluTanh)] {
        let model = golden.model(activation);
        let (loss, gradient) = gradient(&model, &batch);
        let wanted = f64::from(golden.get(&format!("{prefix}loss"))[0]);
        assert!((loss / wanted - 1.0).abs() < 1e-5, "{loss} {wanted}");
        for segment in &model.table.segments {
            let name = format!("{prefix}gradient.{}", segment.name);
            let error = relative(&gradient[segment.range.clone()], golden.get(&name));
            assert!(error < 1e-4, "{name}: relative error {error}");
        }
    }
}

#[test]
fn fifty_steps_of_adamw_follow_pytorch() {
    let golden = Golden::load();
    let batch = golden.batch();
    let mut model = golden.model(Activation::Gelu);
    let settings = TrainingConfig {
        steps: 50,
        warmup_steps: 10,
        learning_rate: 1e-2,
        minimum_learning_rate: 1e-3,
        weight_decay: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        clip: 1.0,
        ..TrainingConfig::default()
    };
    let mut optimizer = AdamW::new(&model.table, 2, settings);
    let (losses, norms) = (golden.get("adamw.losses"), golden.get("adamw.norms"));
    for step in 0..50 {
        let (loss, gradient) = gradient(&model, &batch);
        let norm = optimizer
            .step(&mut model.parameters, &gradient)
            .expect("a step");
        let (wanted, length) = (f64::from(losses[step]), f64::from(norms[step]));
        assert!(
            (loss / wanted - 1.0).abs() < 2e-4,
            "step {step}: {loss} {wanted}"
        );
        assert!(
            (norm / length - 1.0).abs() < 2e-3,
            "step {step}: {norm} {length}"
        );
    }
    assert!(losses[49] < 0.5 * losses[0], "the trajectory goes nowhere");
    for segment in &model.table.segments {
        let wanted = golden.get(&format!("adamw.weight.{}", segment.name));
        let ours = &model.parameters[segment.range.clone()];
        if segment.name.ends_with("c_attn.bias") {
            // Softmax does not see what is added to all keys alike: that gradient is rounding noise, which Adam blows up.
            for part in [0..12, 24..36] {
                let error = relative(&ours[part.clone()], &wanted[part]);
                assert!(error < 1e-3, "{}: relative error {error}", segment.name);
            }
            continue;
        }
        let error = relative(ours, wanted);
        // Adam divides by gradients that are almost 0 in places, which rounding shows in.
        assert!(error < 1e-3, "{}: relative error {error}", segment.name);
    }
}

#[test]
fn smoothquant_is_that_of_the_paper_in_pytorch() {
    let golden = Golden::load();
    let model = golden.model(Activation::Gelu);
    let inputs = golden.tokens("inputs");
    let calibration = Calibration::run(&model, inputs.chunks(8)).expect("calibrates");
    let quantized = quantize(&model, &calibration, 0.5, true);
    for (index, layer) in quantized.layers.iter().enumerate() {
        let ranges = &model.table.blocks[index];
        for (name, norm, pair, matrices) in [
            (
                "ln_1",
                &layer.norm1,
                &ranges.norm1,
                vec![&layer.q, &layer.k, &layer.v],
            ),
            ("ln_2", &layer.norm2, &ranges.norm2, vec![&layer.up]),
        ] {
            let wanted = |part: &str| golden.get(&format!("smooth.{index}.{name}.{part}"));
            let factors: Vec<f32> = model.parameters[pair.weight.clone()]
                .iter()
                .zip(&norm.gamma)
                .map(|(before, after)| before / after)
                .collect();
            assert!(relative(&factors, wanted("factors")) < 1e-5);
            assert!(relative(&[norm.scale], wanted("activation_step")) < 1e-5);
            let steps: Vec<f32> = matrices.iter().flat_map(|m| m.scale.clone()).collect();
            assert!(relative(&steps, wanted("weight_step")) < 1e-5);
            let codes = matrices.iter().flat_map(|matrix| &matrix.weight);
            for (ours, theirs) in codes.zip(wanted("codes")) {
                // A value half way between two codes may fall to either side.
                assert!((f32::from(*ours) - theirs).abs() <= 1.0, "{ours} {theirs}");
            }
        }
    }
    assert_eq!(smoothing_factors(&[4.0], &[1.0], 0.5), [2.0]);
}

#[test]
fn a_gpt2_of_transformers_runs_here() {
    let folder = folder().join("gpt2");
    let config = ModelConfig::load_hub_json(&folder.join("config.json")).expect("config");
    assert_eq!(config.activation, Activation::GeluTanh);
    let model = Gpt::load(config, &folder.join("model.safetensors")).expect("weights");
    let text = std::fs::read_to_string(folder.join("logits.json")).expect("golden data");
    let golden: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let list = |name: &str| -> Vec<f64> {
        let values = golden[name].as_array().expect("a list");
        values.iter().map(|v| v.as_f64().expect("number")).collect()
    };
    let tokens: Vec<u16> = list("tokens").iter().map(|&token| token as u16).collect();
    let wanted: Vec<f32> = list("logits").iter().map(|&value| value as f32).collect();
    let logits = model.logits(&tokens).expect("logits");
    assert!(relative(&logits, &wanted) < 1e-5);
}

#[test]
fn gpt2_tokens_of_a_torture_text_are_those_of_tiktoken() {
    let text = std::fs::read_to_string(folder().join("torture.json")).expect("golden data");
    let cases: Vec<(String, Vec<u16>)> = serde_json::from_str(&text).expect("JSON");
    assert!(cases.len() > 20);
    let tokenizer = Tokenizer::gpt2();
    for (text, wanted) in cases {
        assert_eq!(
            tokenizer.encode(&text).expect("encodes"),
            wanted,
            "{text:?}"
        );
        assert_eq!(tokenizer.decode(&wanted).expect("decodes"), text);
    }
}
