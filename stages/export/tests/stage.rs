//! The stage on a small model with random weights.

use nanoflow_accel::{read_model, Golden, IntModel};
use nanoflow_model::data::{write_tokens, Batch};
use nanoflow_model::smooth::{quantize, Calibration};
use nanoflow_model::{Gpt, ModelConfig, Tokenizer};
use nanoflow_sdk::testing::run;
use serde_json::json;

#[test]
fn files_hold_the_model_and_integers_stay_close_to_it() {
    let folder = tempfile::tempdir().expect("folder");
    let path = |name: &str| folder.path().join(name);
    let config = ModelConfig {
        vocabulary: 270,
        block: 16,
        layers: 2,
        heads: 5,
        width: 40,
        activation: Default::default(),
        share_layers: false,
    };
    let mut model = Gpt::new(config, 4);
    for segment in model.table.segments.clone() {
        if segment.name.ends_with("weight") && !segment.name.contains(".ln_") {
            model.parameters[segment.range]
                .iter_mut()
                .for_each(|value| *value *= 6.0);
        }
    }
    let tokens: Vec<u16> = (0..1500u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 20) as u16 % 270)
        .collect();
    let batch = Batch::even(&tokens, 16, 40);
    let calibration = Calibration::run(&model, batch.inputs.chunks(16)).expect("calibrates");
    let mut quantized = quantize(&model, &calibration, 0.5, true);
    // One layer loses one head, the other all.
    let heads: Vec<(usize, usize)> = (0..5).map(|head| (1, head)).chain([(0, 2)]).collect();
    quantized.remove_heads(&heads).expect("removed");
    quantized.save(&path("model")).expect("saved");
    write_tokens(&path("val.bin"), &tokens).expect("written");
    Tokenizer::train(&["a text"], 270)
        .expect("trains")
        .save(&path("tokenizer"))
        .expect("saved");
    let (model, val, tokenizer) = (path("model"), path("val.bin"), path("tokenizer"));
    let inputs = [
        ("model", model.as_path()),
        ("val", &val),
        ("tokenizer", &tokenizer),
    ];
    let outputs = [
        ("npz", "model.npz"),
        ("manifest", "manifest.json"),
        ("golden", "golden.json"),
    ];
    let stage = nanoflow_stage_export::stage();
    let done = run(stage, json!({ "prompts": [12, 9] }), &inputs, &outputs, 2).expect("runs");
    let again = run(stage, json!({ "prompts": [12, 9] }), &inputs, &outputs, 1).expect("runs");
    for (name, _) in outputs {
        let (first, second) = (
            std::fs::read(done.output(name)),
            std::fs::read(again.output(name)),
        );
        assert_eq!(first.expect("read"), second.expect("read"), "{name}");
    }
    let loss = done.metrics["integer_loss_percent"].value;
    assert!(loss.abs() < 1.0, "integers lose {loss} %");
    let read = read_model(done.output("npz"), done.output("manifest")).expect("read back");
    assert_eq!(read.dims().heads, [4, 0]);
    let golden = Golden::read(done.output("golden")).expect("golden");
    assert_eq!(golden.tokens(), 21);
    let integer = IntModel::from_quant(&read).expect("integers");
    let mut state = integer.start();
    for step in &golden.prompts[1].steps {
        assert_eq!(
            integer.step(&mut state, step.token).expect("a step").logits,
            step.logits
        );
    }
    for prompts in [json!([]), json!([0]), json!([17])] {
        let error = run(stage, json!({ "prompts": prompts }), &inputs, &outputs, 1)
            .err()
            .expect("refused");
        assert!(error.hint.is_some(), "{error}");
    }
}
