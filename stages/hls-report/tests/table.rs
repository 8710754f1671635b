//! The table from small reports.

use nanoflow_sdk::testing::run;
use serde_json::json;

const COSIM: &str = r#"{"simulator": "verilator", "lanes": 8, "cycles_per_token": 150.0,
  "full_speed": {"tokens": 2, "compared": 9, "mismatches": 0, "cycles": [100, 200], "first_difference": null}, "stress": null}"#;
const STAT: &str = r#"{"design": {"cells": 90, "area_um2": 900.5, "cells_by_type": {}}, "modules": {
  "nanoflow_lane": {"cells": 10, "area_um2": 100.0, "instances": {}},
  "nanoflow_mac": {"cells": 0, "area_um2": 0, "instances": {"nanoflow_lane": 8}},
  "nanoflow_top": {"cells": 7, "area_um2": 70.0, "instances": {"nanoflow_mac": 1}}}}"#;

#[test]
fn the_table_has_a_line_for_each_module() {
    let dir = tempfile_dir();
    let (cosim, stat) = (dir.join("cosim.json"), dir.join("stat.json"));
    std::fs::write(&cosim, COSIM).unwrap();
    std::fs::write(&stat, STAT).unwrap();
    let inputs = [("cosim", cosim.as_path()), ("stat", stat.as_path())];
    let done = run(
        nanoflow_stage_hls_report::stage(),
        json!({}),
        &inputs,
        &[("table", "hls.md")],
        1,
    )
    .unwrap();
    let text = std::fs::read_to_string(done.output("table")).unwrap();
    assert!(
        text.contains("| nanoflow_lane | 8 | 10 | 100 | 1 | 1 |"),
        "{text}"
    );
    assert!(
        text.contains(
            "| nanoflow_top | 1 | 7 | 70 | 150 | 150 | 333333.3 tokens a second at 50 MHz |"
        ),
        "{text}"
    );
    assert!(text.contains("100 to 200"), "{text}");
    assert_eq!(done.metrics["cells"].value, 90.0);

    std::fs::write(&stat, "{}").unwrap();
    let error = run(
        nanoflow_stage_hls_report::stage(),
        json!({}),
        &inputs,
        &[("table", "hls.md")],
        1,
    )
    .err()
    .unwrap();
    assert!(error.message.contains("stat.json"), "{}", error.message);
    std::fs::remove_dir_all(dir).unwrap();
}

fn tempfile_dir() -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("nanoflow-hls-report-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}
