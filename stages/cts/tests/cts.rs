//! The stage on a small placed design: every flip-flop under one balanced tree, quick paths slowed down.

use std::collections::BTreeMap;
use std::path::Path;

use nanoflow_layout::def::{Design, Terminal};
use nanoflow_layout::testing;
use nanoflow_sdk::testing::run;

fn write_inputs(dir: &Path, def: &str) {
    std::fs::create_dir(dir.join("pdk")).unwrap();
    testing::write_pdk(&dir.join("pdk")).unwrap();
    std::fs::write(dir.join("small.lib"), testing::liberty()).unwrap();
    std::fs::write(dir.join("place.def"), def).unwrap();
}

/// Flip-flops in rows with free sites between them, one chain of direct connections.
fn placed(flip_flops: usize) -> String {
    let (rows, columns) = (20, 200);
    let mut text = String::from("VERSION 5.8 ;\nDESIGN t ;\nUNITS DISTANCE MICRONS 1000 ;\nDIEAREA ( 0 0 ) ( 100000 60000 ) ;\n");
    for row in 0..rows {
        let orient = if row % 2 == 0 { "N" } else { "FS" };
        text += &format!(
            "ROW r{row} unithd 0 {} {orient} DO {columns} BY 1 STEP 460 0 ;\n",
            row * 2720
        );
    }
    text += &format!("COMPONENTS {flip_flops} ;\n");
    for index in 0..flip_flops {
        let (row, column) = (index % rows, index / rows);
        let orient = if row % 2 == 0 { "N" } else { "FS" };
        text += &format!(
            "- f{index} sky130_fd_sc_hd__sdfxtp_1 + PLACED ( {} {} ) {orient} ;\n",
            column * 30 * 460,
            row * 2720
        );
    }
    text += "END COMPONENTS\nPINS 1 ;\n- clk + NET clk + DIRECTION INPUT + USE CLOCK + PORT + LAYER met3 ( 0 -165 ) ( 855 165 ) + PLACED ( 0 30000 ) N ;\nEND PINS\n";
    text += &format!("NETS {flip_flops} ;\n- clk ( PIN clk )");
    for index in 0..flip_flops {
        text += &format!(" ( f{index} CLK )");
    }
    text += " + USE CLOCK ;\n";
    for index in 1..flip_flops {
        text += &format!(
            "- n{index} ( f{} Q ) ( f{index} SCD ) + USE SIGNAL ;\n",
            index - 1
        );
    }
    text + "END NETS\nEND DESIGN\n"
}

fn cts(def: &str, params: serde_json::Value) -> Result<(Design, nanoflow_sdk::Metrics), String> {
    let dir = tempfile::tempdir().unwrap();
    write_inputs(dir.path(), def);
    let path = |name: &str| dir.path().join(name);
    let (def, pdk, liberty) = (path("place.def"), path("pdk"), path("small.lib"));
    let inputs = [
        ("def", def.as_path()),
        ("pdk", pdk.as_path()),
        ("liberty", liberty.as_path()),
    ];
    let finished = run(
        nanoflow_stage_cts::stage(),
        params,
        &inputs,
        &[("def", "cts.def")],
        1,
    )
    .map_err(|error| error.to_string())?;
    Ok((
        Design::load(finished.output("def")).map_err(|error| error.to_string())?,
        finished.metrics.clone(),
    ))
}

#[test]
fn every_flip_flop_lies_under_the_same_number_of_buffers() {
    let (design, metrics) = cts(&placed(100), serde_json::json!({})).unwrap();
    // Net that each buffer's input hangs on, and net that it drives.
    let mut input: BTreeMap<usize, usize> = BTreeMap::new();
    let mut driver: BTreeMap<usize, usize> = BTreeMap::new();
    for (index, net) in design.nets.iter().enumerate() {
        for terminal in &net.terminals {
            if let Terminal::Pin { component, pin } = terminal {
                match pin.as_str() {
                    "A" => drop(input.insert(*component, index)),
                    "X" => drop(driver.insert(index, *component)),
                    _ => {}
                }
            }
        }
    }
    let mut depths = Vec::new();
    for (index, net) in design.nets.iter().enumerate() {
        for terminal in &net.terminals {
            if matches!(terminal, Terminal::Pin { pin, .. } if pin == "CLK") {
                let (mut depth, mut here) = (0, index);
                while let Some(buffer) = driver.get(&here) {
                    depth += 1;
                    here = input[buffer];
                }
                assert_eq!(design.nets[here].name, "clk");
                depths.push(depth);
            }
        }
    }
    assert_eq!(depths.len(), 100);
    assert!(
        depths
            .iter()
            .all(|depth| *depth == depths[0] && *depth >= 2),
        "{depths:?}"
    );
    assert!(metrics["skew_ns"].value < 0.1, "{:?}", metrics["skew_ns"]);
    assert_eq!(metrics["clock_sinks"].value, 100.0);
}

#[test]
fn nothing_overlaps_and_hold_gets_its_margin() {
    let (_, plain) = cts(&placed(60), serde_json::json!({ "hold_margin_ns": 0.0 })).unwrap();
    assert_eq!(
        plain["hold_buffers"].value, 0.0,
        "a flip-flop's own delay suffices"
    );
    let (design, metrics) = cts(&placed(60), serde_json::json!({ "hold_margin_ns": 0.3 })).unwrap();
    assert!(
        metrics["hold_buffers"].value > 0.0 && metrics["hold_slack_ns"].value >= 0.3,
        "{metrics:?}"
    );
    let mut taken = std::collections::BTreeSet::new();
    for component in &design.components {
        let at = component.placement.unwrap().at;
        let sites = match component.cell.rsplit("__").next().unwrap() {
            "sdfxtp_1" => 19,
            "clkbuf_8" => 11,
            "clkbuf_4" => 6,
            _ => 3,
        };
        for site in 0..sites {
            assert!(
                taken.insert((at.x + site * 460, at.y)),
                "component '{}' overlaps",
                component.name
            );
        }
    }
}

#[test]
fn an_unplaced_design_is_refused() {
    let def = placed(4).replace(" + PLACED ( 0 0 ) N", "");
    assert!(cts(&def, serde_json::json!({}))
        .unwrap_err()
        .contains("is not placed"));
}
