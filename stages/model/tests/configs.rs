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
