//! The generated C++ against the integer model.

use std::path::Path;

use nanoflow_accel::{write_npz, Dims, Golden, IntModel, QuantModel};
use nanoflow_sdk::testing::run;
use serde_json::json;

#[test]
fn cpp_gives_every_logit_and_wrong_golden_vectors_fail() {
    if which::which("g++").is_err() {
        eprintln!("skipped: 'g++' is not installed");
        return;
    }
    let dims = Dims {
        vocab: 21,
        block: 13,
        width: 11,
        hidden: 18,
        head_dim: 5,
        heads: vec![2, 0, 1],
    };
    let quant = QuantModel::random(6, &dims);
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    write_npz(&quant, &path("model.npz"), &path("manifest.json")).unwrap();
    let mut golden = Golden::record(
        &IntModel::from_quant(&quant).unwrap(),
        &[(0..13).collect(), vec![5, 6]],
    )
    .unwrap();
    golden.write(&path("golden.json")).unwrap();
    for lanes in [8, 16] {
        let (npz, manifest) = (path("model.npz"), path("manifest.json"));
        let inputs: [(&str, &Path); 2] = [("npz", &npz), ("manifest", &manifest)];
        let outputs = [("rtl", "rtl"), ("cpp", "cpp"), ("program", "program.bin")];
        let hls = run(
            nanoflow_stage_hls::stage(),
            json!({ "lanes": lanes }),
            &inputs,
            &outputs,
            1,
        )
        .unwrap();
        let csim = |golden: &Path| {
            let inputs: [(&str, &Path); 3] = [
                ("cpp", hls.output("cpp")),
                ("program", hls.output("program")),
                ("golden", golden),
            ];
            run(
                nanoflow_stage_csim::stage(),
                json!({}),
                &inputs,
                &[("report", "csim.json")],
                1,
            )
        };
        let done = csim(&path("golden.json")).unwrap();
        assert_eq!(done.metrics["mismatches"].value, 0.0);
        assert_eq!(done.metrics["tokens"].value, 16.0);
        golden.prompts[0].steps[7].logits[3] ^= 1;
        golden.write(&path("wrong.json")).unwrap();
        golden.prompts[0].steps[7].logits[3] ^= 1;
        let error = csim(&path("wrong.json"))
            .err()
            .expect("a wrong logit must be found");
        assert!(
            error.message.contains("prompt 0, token 7: logits, value 3"),
            "{}",
            error.message
        );
    }
}
