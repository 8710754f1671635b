//! The generated RTL in both simulators against the integer model, and what a single flipped bit leads to.

use std::path::{Path, PathBuf};

use nanoflow_accel::{write_npz, Dims, Golden, IntModel, Program, QuantModel};
use nanoflow_sdk::testing::{run, Finished};
use nanoflow_sdk::{Failure, StageError};
use serde_json::json;

struct Model {
    dir: tempfile::TempDir,
    hls: Finished,
}

impl Model {
    /// A random model of awkward shape with one pruned layer, its golden vectors and everything `hls` makes of it.
    fn new(seed: u64, hardware: serde_json::Value) -> Self {
        let dims = Dims {
            vocab: 21,
            block: 13,
            width: 11,
            hidden: 18,
            head_dim: 5,
            heads: vec![2, 0, 1],
        };
        let quant = QuantModel::random(seed, &dims);
        let dir = tempfile::tempdir().unwrap();
        let (npz, manifest) = (
            dir.path().join("model.npz"),
            dir.path().join("manifest.json"),
        );
        write_npz(&quant, &npz, &manifest).unwrap();
        let model = IntModel::from_quant(&quant).unwrap();
        let prompts = [(0..13).map(|i| (i * 5 + 1) % 21).collect(), vec![20, 0, 20]];
        Golden::record(&model, &prompts)
            .unwrap()
            .write(&dir.path().join("golden.json"))
            .unwrap();
        let outputs = [("rtl", "rtl"), ("cpp", "cpp"), ("program", "program.bin")];
        let inputs: [(&str, &Path); 2] = [("npz", &npz), ("manifest", &manifest)];
        let hls = run(nanoflow_stage_hls::stage(), hardware, &inputs, &outputs, 1).unwrap();
        Self { dir, hls }
    }

    fn cosim(&self, program: &Path, params: serde_json::Value) -> Result<Finished, StageError> {
        let golden: PathBuf = self.dir.path().join("golden.json");
        let inputs: [(&str, &Path); 3] = [
            ("rtl", self.hls.output("rtl")),
            ("program", program),
            ("golden", &golden),
        ];
        run(
            nanoflow_stage_cosim::stage(),
            params,
            &inputs,
            &[("report", "cosim.json")],
            2,
        )
    }
}

fn missing(program: &str) -> bool {
    let missing = which::which(program).is_err();
    if missing {
        eprintln!("skipped: '{program}' is not installed");
    }
    missing
}

#[test]
fn verilator_gives_every_logit() {
    if missing("verilator") {
        return;
    }
    let model = Model::new(1, json!({}));
    let done = model
        .cosim(model.hls.output("program"), json!({ "stress_tokens": 3 }))
        .unwrap();
    assert_eq!(done.metrics["mismatches"].value, 0.0);
    // 16 tokens and one that gives only the largest logit's index.
    assert_eq!(done.metrics["tokens"].value, 17.0);
    assert!(done.metrics["compared"].value > 10_000.0);
    assert!(done.metrics["cycles_per_token"].value > 1000.0);
}

#[test]
fn icarus_and_sixteen_lanes_give_every_logit() {
    if missing("iverilog") {
        return;
    }
    for lanes in [8, 16] {
        let model = Model::new(2, json!({ "lanes": lanes, "address_bits": 20 }));
        let params = json!({ "simulator": "icarus", "max_tokens": 2, "stress_tokens": 0 });
        let done = model.cosim(model.hls.output("program"), params).unwrap();
        assert_eq!(done.metrics["mismatches"].value, 0.0, "{lanes} lanes");
    }
}

#[test]
fn one_flipped_bit_is_named() {
    if missing("verilator") {
        return;
    }
    let model = Model::new(3, json!({}));
    let mut program = Program::read(model.hls.output("program")).unwrap();
    // The highest bit of a weight of the third layer's first operation after its norms.
    let operation = program
        .info
        .operations
        .iter()
        .find(|operation| operation.name == "layer 2 / gelu")
        .unwrap();
    let byte = (operation.start as usize + 5) * 8;
    program.image[byte] ^= 0x40;
    let path = model.dir.path().join("flipped.bin");
    program.write(&path).unwrap();
    let error = model
        .cosim(&path, json!({}))
        .err()
        .expect("a flipped bit must be found");
    assert_eq!(error.kind, Failure::Design);
    assert!(
        error
            .message
            .contains("prompt 0, token 0: layer 2 / gelu, value"),
        "{}",
        error.message
    );
}

#[test]
fn wrong_rtl_is_named() {
    if missing("verilator") {
        return;
    }
    let model = Model::new(4, json!({}));
    let path = model.hls.output("rtl").join("nanoflow_core.v");
    let text = std::fs::read_to_string(&path).unwrap();
    // Saturation of positive int8 results at 126.
    let wrong = text.replace(
        "fits8 ? sum[7:0] : {sign, {7{~sign}}}",
        "fits8 ? sum[7:0] : {sign, {6{~sign}}, 1'b0}",
    );
    assert_ne!(text, wrong);
    std::fs::write(&path, wrong).unwrap();
    let error = model
        .cosim(model.hls.output("program"), json!({}))
        .err()
        .expect("wrong RTL must be found");
    assert_eq!(error.kind, Failure::Design);
    assert!(
        error.message.contains("layer") && error.message.contains("token"),
        "{}",
        error.message
    );
}
