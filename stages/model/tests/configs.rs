//! The shipped configurations, and configurations that cannot be.

use std::path::{Path, PathBuf};

use nanoflow_model::config::{Config, ParameterCount};
use nanoflow_model::parameters::ParameterTable;
use nanoflow_model::ModelConfig;

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs")
}

#[test]
fn shipped_configurations_have_the_parameters_of_the_formula() {
    let expected = [
        ("tiny.yaml", 155_680, 40_960, 5_120, 160),
        ("debug_tiny_400k.yaml", 3_159_040, 12_865_792, 65_536, 512),
        ("research_base_1M.yaml", 14_195_712, 19_298_688, 98_304, 768),
    ];
    for (file, blocks, token_embedding, position_embedding, final_norm) in expected {
        let config = Config::load(&configs().join(file)).expect(file);
        let count = config.model.parameter_count();
        assert_eq!(
            count,
            ParameterCount {
                blocks,
                token_embedding,
                position_embedding,
                final_norm
            },
            "{file}"
        );
        // The formula against the tensors themselves.
        assert_eq!(
            ParameterTable::new(&config.model).total,
            count.total(),
            "{file}"
        );
    }
}

#[test]
fn impossible_configurations_name_file_and_field() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("bad.yaml");
    let cases = [
        ("model: { vocabulary: 512, block: 64, layers: 2, heads: 3, width: 80 }", "3 heads do not divide the width 80"),
        ("model: { vocabulary: 70000, block: 64, layers: 2, heads: 5, width: 80 }", "vocabulary"),
        ("model: { vocabulary: 512, block: 0, layers: 2, heads: 5, width: 80 }", "block"),
        ("model: { vocabulary: 512, block: 64, layers: 2, heads: 5, widht: 80 }", "widht"),
        ("model: { vocabulary: 512, block: 64, layers: 2, heads: 5, width: 80 }\ntraining: { dropout: 1.5 }", "dropout"),
        ("model: { vocabulary: 512, block: 64, layers: 2, heads: 5, width: 80 }\ntraining: { learning_rate: .nan }", "learning_rate"),
        ("model: { vocabulary: 512, block: 64, layers: 2, heads: 0, width: 80 }", "heads"),
        ("model: 5", "line 1"),
        ("", "bad.yaml"),
    ];
    for (text, words) in cases {
        std::fs::write(&path, text).expect("written");
        let error = Config::load(&path).expect_err(text).to_string();
        assert!(
            error.contains(words) && error.contains("bad.yaml"),
            "{text}: {error}"
        );
    }
    assert!(Config::load(&folder.path().join("none.yaml"))
        .expect_err("no file")
        .to_string()
        .contains("none.yaml"));
}

#[test]
fn weights_and_shape_survive_the_files() {
    let folder = tempfile::tempdir().expect("folder");
    let config = ModelConfig {
        vocabulary: 300,
        block: 8,
        layers: 2,
        heads: 2,
        width: 16,
        activation: Default::default(),
        share_layers: false,
    };
    let model = nanoflow_model::Gpt::new(config.clone(), 1);
    let (weights, shape) = (
        folder.path().join("m.safetensors"),
        folder.path().join("model.json"),
    );
    model.save(&weights).expect("saved");
    std::fs::write(&shape, config.to_hub_json()).expect("written");
    let read = ModelConfig::load_hub_json(&shape).expect("shape");
    assert_eq!(read, config);
    let again = nanoflow_model::Gpt::load(read, &weights).expect("loaded");
    assert_eq!(again.parameters, model.parameters);
    // Other shapes, cut files and files of another kind are errors, never panics.
    let wider = ModelConfig {
        width: 32,
        ..config.clone()
    };
    assert!(nanoflow_model::Gpt::load(wider, &weights)
        .expect_err("shape")
        .to_string()
        .contains("wte"));
    let bytes = std::fs::read(&weights).expect("bytes");
    for length in [0, 4, 20, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&weights, &bytes[..length]).expect("cut");
        assert!(
            nanoflow_model::Gpt::load(config.clone(), &weights).is_err(),
            "cut at {length}"
        );
        assert!(
            nanoflow_model::QuantizedGpt::load(&weights).is_err(),
            "cut at {length}"
        );
    }
}

#[test]
fn layers_that_share_their_weights_are_counted_once_and_written_for_each() {
    let folder = tempfile::tempdir().expect("folder");
    let config = ModelConfig {
        vocabulary: 30,
        block: 8,
        layers: 3,
        heads: 2,
        width: 16,
        activation: Default::default(),
        share_layers: true,
    };
    let model = nanoflow_model::Gpt::new(config.clone(), 1);
    let count = config.parameter_count();
    assert_eq!(count.total(), model.parameters.len());
    assert_eq!(count.blocks, 12 * 16 * 16 + 13 * 16);
    let apart = ModelConfig {
        share_layers: false,
        ..config.clone()
    };
    assert_eq!(apart.parameter_count().blocks, 3 * count.blocks);
    // Written once for each layer, so that a program that knows of no sharing computes the same.
    let path = folder.path().join("m.safetensors");
    model.save(&path).expect("saved");
    let without = nanoflow_model::Gpt::load(apart, &path).expect("as separate layers");
    let tokens = [3, 1, 4, 1, 5];
    assert_eq!(
        model.logits(&tokens).expect("logits"),
        without.logits(&tokens).expect("logits")
    );
    let json = folder.path().join("config.json");
    std::fs::write(&json, config.to_hub_json()).expect("written");
    let read = ModelConfig::load_hub_json(&json).expect("config");
    assert_eq!(read, config);
    let again = nanoflow_model::Gpt::load(read, &path).expect("shared");
    assert_eq!(again.parameters, model.parameters);
}

#[test]
fn weights_in_bfloat16_are_half_the_size_and_close() {
    use nanoflow_model::checkpoint::WeightType;
    let folder = tempfile::tempdir().expect("folder");
    let config = ModelConfig {
        vocabulary: 300,
        block: 8,
        layers: 1,
        heads: 2,
        width: 64,
        activation: Default::default(),
        share_layers: false,
    };
    let model = nanoflow_model::Gpt::new(config.clone(), 1);
    let path = |name: &str| folder.path().join(name);
    model.save(&path("full")).expect("saved");
    model
        .save_as(&path("half"), WeightType::Bf16)
        .expect("saved");
    let size = |name: &str| std::fs::metadata(path(name)).expect("size").len();
    assert!(size("half") < size("full") * 11 / 20);
    let half = nanoflow_model::Gpt::load(config, &path("half")).expect("loaded");
    for (half, full) in half.parameters.iter().zip(&model.parameters) {
        assert!((half - full).abs() <= full.abs() / 256.0, "{half} {full}");
    }
}

/// With the real library: `NANOFLOW_PYTHON=python3 cargo test -- --ignored`.
#[test]
#[ignore = "needs a Python with torch and transformers"]
fn transformers_opens_our_model_and_gives_the_same_logits() {
    use nanoflow_model::config::Activation;
    for activation in [Activation::Gelu, Activation::GeluTanh] {
        let folder = tempfile::tempdir().expect("folder");
        let config = ModelConfig {
            vocabulary: 90,
            block: 16,
            layers: 2,
            heads: 3,
            width: 24,
            activation,
            share_layers: false,
        };
        let mut model = nanoflow_model::Gpt::new(config.clone(), 5);
        model
            .parameters
            .iter_mut()
            .enumerate()
            .for_each(|(index, value)| *value += 0.2 * ((index * 37 % 101) as f32 / 101.0 - 0.5));
        model
            .save(&folder.path().join("model.safetensors"))
            .expect("saved");
        std::fs::write(folder.path().join("config.json"), config.to_hub_json()).expect("written");
        let script = "import sys, torch
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1]).eval()
tokens = torch.tensor([[i * 7 % 90 for i in range(16)]])
print(*model(tokens).logits[0].flatten().tolist())";
        let python = std::env::var("NANOFLOW_PYTHON").unwrap_or("python3".into());
        let output = std::process::Command::new(python)
            .args(["-c", script])
            .arg(folder.path())
            .output()
            .expect("python");
        let text = String::from_utf8_lossy(&output.stdout);
        let theirs: Vec<f32> = text
            .split_whitespace()
            .map(|number| number.parse().expect("a number"))
            .collect();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(theirs.len(), 16 * 90, "{error}");
        let tokens: Vec<u16> = (0..16).map(|index| index * 7 % 90).collect();
        let ours = model.logits(&tokens).expect("logits");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!((ours - theirs).abs() < 1e-4, "{ours} {theirs}");
        }
    }
}
