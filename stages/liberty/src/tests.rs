//! The stage as a whole. Tests that need the PDK, a tool or the published library look for them and say so when they are absent.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nanoflow_layout::gds::{LayerSpec, Structure};
use nanoflow_layout::{Point, Rect};
use nanoflow_sdk::{testing, Failure};
use serde_json::json;

use super::*;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The output of stage `pdk`: `NANOFLOW_TEST_PDK`, or what a run of the flow left in `artifacts/`.
fn pdk() -> Option<PathBuf> {
    let places = [
        std::env::var_os("NANOFLOW_TEST_PDK").map(PathBuf::from),
        Some(root().join("artifacts/pdk/pdk")),
    ];
    let found = places
        .into_iter()
        .flatten()
        .find(|place| place.join("sky130_fd_sc_hd.gds").is_file());
    if found.is_none() {
        eprintln!("skipped: set NANOFLOW_TEST_PDK to the output of stage 'pdk'");
    }
    found
}

fn tool(name: &str) -> bool {
    let found = which::which(name).is_ok();
    if !found {
        eprintln!("skipped: '{name}' is not on PATH");
    }
    found
}

/// The published library: `NANOFLOW_TEST_LIBERTY`, or the packed one of this repository's neighbour, unpacked into `folder`.
fn published(folder: &Path) -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("NANOFLOW_TEST_LIBERTY").map(PathBuf::from) {
        return Some(given);
    }
    let packed = root().join("../shared/reference/sky130_fd_sc_hd__tt_025C_1v80.lib.gz");
    if !packed.is_file() || !tool("gzip") {
        eprintln!("skipped: set NANOFLOW_TEST_LIBERTY to the published library");
        return None;
    }
    let output = Command::new("gzip")
        .arg("-dc")
        .arg(packed)
        .output()
        .unwrap();
    let path = folder.join("published.lib");
    fs::write(&path, output.stdout).unwrap();
    Some(path)
}

/// An inverter of one transistor each, drawn by hand.
fn inverter() -> Structure {
    let mut cell = Structure::new("inverter");
    let mut draw = |layer: i16, datatype: i16, x0, y0, x1, y1| {
        cell.rect(LayerSpec::new(layer, datatype), Rect::new(x0, y0, x1, y1));
    };
    draw(64, 20, -200, 1300, 1200, 2900);
    for (y0, y1) in [(200, 850), (1500, 2500)] {
        draw(65, 20, 100, y0, 800, y1);
        // Contacts in source and drain, one each.
        draw(66, 44, 180, y0 + 100, 350, y0 + 270);
        draw(66, 44, 560, y0 + 100, 730, y0 + 270);
    }
    draw(66, 20, 400, 100, 550, 2600);
    draw(66, 20, 200, 1050, 400, 1250);
    draw(66, 44, 220, 1070, 390, 1240);
    // Input, output, ground and power in local interconnect.
    draw(67, 20, 200, 1050, 400, 1260);
    draw(67, 20, 560, 200, 730, 2500);
    draw(67, 20, 180, 0, 350, 700);
    draw(67, 20, 180, 1500, 350, 2800);
    let labels = [
        ("A", 300, 1150),
        ("Y", 600, 1200),
        ("VGND", 200, 100),
        ("VPWR", 200, 2700),
    ];
    for (name, x, y) in labels {
        cell.text(LayerSpec::new(67, 5), Point::new(x, y), name);
    }
    cell
}

#[test]
fn a_drawn_inverter_becomes_two_transistors() {
    let circuit = extract::extract(&inverter()).unwrap();
    let [a, y, ground, power] = ["A", "Y", "VGND", "VPWR"].map(|name| circuit.net(name).unwrap());
    let [n, p] = circuit.transistors.as_slice() else {
        panic!("{:?}", circuit.transistors)
    };
    assert_eq!(
        (n.channel, n.gate, n.width, n.length),
        (circuit::Channel::N, a, 650.0, 150.0)
    );
    assert_eq!(
        (p.channel, p.gate, p.width, p.length),
        (circuit::Channel::P, a, 1000.0, 150.0)
    );
    let ends = |one: &circuit::Transistor| {
        if one.drain.net == y {
            (one.drain, one.source)
        } else {
            (one.source, one.drain)
        }
    };
    let (drain, source) = ends(n);
    assert_eq!((drain.net, source.net), (y, ground));
    assert_eq!(
        (drain.area, drain.perimeter),
        (250.0 * 650.0, 2.0 * (250.0 + 650.0))
    );
    assert_eq!(
        (source.area, source.perimeter),
        (300.0 * 650.0, 2.0 * (300.0 + 650.0))
    );
    assert_eq!(ends(p).1.net, power);
    // Ground has no contact to metal here, so its source sees the contact alone.
    assert_eq!(source.resistance, 182.0);
    assert!(
        drain.resistance > 182.0 && drain.resistance < 400.0,
        "{}",
        drain.resistance
    );
    for (input, output) in [(false, true), (true, false)] {
        let driven = [(a, input), (power, true), (ground, false)]
            .into_iter()
            .collect();
        assert_eq!(circuit.switch_level(&driven, &[])[y], Some(output));
    }
    // 12.8 µm² of interconnect at most some femtofarads, and all of it positive.
    let total: f64 = circuit.capacitances.values().sum();
    assert!(
        circuit.capacitances.values().all(|farads| *farads > 0.0) && total > 1e-16 && total < 1e-14,
        "{total}"
    );
}

#[test]
fn a_label_on_another_nets_metal_is_a_fault() {
    let mut cell = inverter();
    cell.text(LayerSpec::new(67, 5), Point::new(600, 1300), "Z");
    let error = extract::extract(&cell).unwrap_err().to_string();
    assert!(error.contains("'Y' and 'Z'"), "{error}");
}

#[test]
fn a_wide_cell_sees_its_interconnect() {
    let Some(pdk) = pdk() else { return };
    let layouts = nanoflow_layout::gds::Library::read(pdk.join("sky130_fd_sc_hd.gds")).unwrap();
    let circuit = extract::extract(layouts.structure("sky130_fd_sc_hd__buf_16").unwrap()).unwrap();
    let output = circuit.net("X").unwrap();
    let on_output =
        |one: &&circuit::Transistor| one.drain.net == output || one.source.net == output;
    let fingers: Vec<_> = circuit.transistors.iter().filter(on_output).collect();
    assert_eq!(
        fingers.iter().map(|one| one.fingers).collect::<Vec<_>>(),
        [16, 16]
    );
    for one in fingers {
        let end = if one.drain.net == output {
            one.drain
        } else {
            one.source
        };
        // All sixteen share a comb of some forty squares of 12.8 ohms to the pin.
        let comb = end.resistance / 16.0;
        assert!((100.0..400.0).contains(&comb), "{comb}");
    }
}

#[test]
fn delays_are_within_five_per_cent_of_the_published_library() {
    let Some(pdk) = pdk().filter(|_| tool("ngspice")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let Some(reference) = published(folder.path()) else {
        return;
    };
    let params =
        json!({ "cells": ["inv_1", "nand2_1", "buf_16"], "physical": ["fill_1", "diode_2"] });
    let inputs = [("pdk", pdk.as_path()), ("reference", reference.as_path())];
    let outputs = [("tt", "tt.lib"), ("table", "liberty.csv")];
    let run = |threads| testing::run(stage(), params.clone(), &inputs, &outputs, threads).unwrap();
    let (one, two) = (run(1), run(2));
    assert_eq!(one.metrics["cells"].value, 5.0);
    assert_eq!(one.metrics["arcs"].value, 4.0);
    assert!(
        one.metrics["worst_mean_deviation"].value < 0.05,
        "{:?}",
        one.metrics
    );
    let text = fs::read(one.output("tt")).unwrap();
    assert!(
        text == fs::read(two.output("tt")).unwrap(),
        "the library depends on the number of threads"
    );
    let table = fs::read_to_string(one.output("table")).unwrap();
    assert_eq!(table.lines().count(), 6, "{table}");
    let diode = table.lines().find(|line| line.contains("diode_2")).unwrap();
    let capacitance: f64 = diode.split(',').nth(7).unwrap().parse().unwrap();
    assert!(capacitance.abs() < 0.05, "{diode}");
}

/// At `B` = 0 the gate of `A` in a NAND lends charge to the supply when it rises and takes it back when it falls; no output moves.
#[test]
fn an_input_has_its_own_energy() {
    let Some(pdk) = pdk().filter(|_| tool("ngspice")) else {
        return;
    };
    let params = json!({
        "cells": ["nand2_1", "inv_1"], "physical": [], "slews": [0.05, 0.5], "loads": 2,
    });
    let done = testing::run(stage(), params, &[("pdk", &pdk)], &[("tt", "tt.lib")], 1).unwrap();
    let text = fs::read_to_string(done.output("tt")).unwrap();
    let values = |edge: &str| -> Vec<f64> {
        let table = text
            .split(&format!("{edge} (\"input_energy\")"))
            .nth(1)
            .unwrap();
        let values = table
            .split("values (\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        values
            .split(',')
            .map(|value| value.trim().parse().unwrap())
            .collect()
    };
    for (rise, fall) in values("rise_power").iter().zip(values("fall_power")) {
        assert!(*rise < -0.002 && fall > 0.002, "{rise} {fall}");
        assert!((rise + fall).abs() < 0.2 * fall, "{rise} {fall}");
    }
    // Both inputs of the NAND have it; the inverter's output always moves.
    assert_eq!(text.matches("rise_power (\"input_energy\")").count(), 2);
}

#[test]
fn a_flip_flop_gets_arcs_and_constraints_and_the_tools_read_them() {
    let Some(pdk) = pdk().filter(|_| tool("ngspice")) else {
        return;
    };
    let params = json!({
        "cells": ["inv_1", "buf_1", "nand2_1", "dfxtp_1", "conb_1"], "physical": [],
        "slews": [0.05, 0.5], "loads": 2, "constraint_slews": [0.05, 0.5],
    });
    let finished = testing::run(stage(), params, &[("pdk", &pdk)], &[("tt", "tt.lib")], 2).unwrap();
    let text = fs::read_to_string(finished.output("tt")).unwrap();
    for words in [
        "clocked_on : \"CLK\"",
        "next_state : \"D\"",
        "timing_type : \"setup_rising\"",
        "function : \"IQ\"",
    ] {
        assert!(text.contains(words), "{words}");
    }
    let dir = finished.dir();
    fs::write(
        dir.join("t.v"),
        "module t(input c, d, output reg q); always @(posedge c) q <= ~d; endmodule\n",
    )
    .unwrap();
    if tool("yosys") {
        let script = "read_verilog t.v; synth -top t; dfflibmap -liberty tt.lib; abc -liberty tt.lib; stat -liberty tt.lib; write_verilog -noattr n.v";
        let output = Command::new("yosys")
            .args(["-p", script])
            .current_dir(dir)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).to_string();
        assert!(
            output.status.success() && said.contains("sky130_fd_sc_hd__dfxtp_1"),
            "{said}"
        );
    }
    if tool("sta") && dir.join("n.v").is_file() {
        let script = "read_liberty tt.lib\nread_verilog n.v\nlink_design t\ncreate_clock -period 1 [get_ports c]\n\
                      set_input_delay 0.1 -clock c [get_ports d]\nreport_checks\nreport_power\nexit\n";
        fs::write(dir.join("t.tcl"), script).unwrap();
        let output = Command::new("sta")
            .args(["-no_splash", "t.tcl"])
            .current_dir(dir)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).to_string();
        assert!(
            said.contains("library setup time") && said.contains("slack (MET)"),
            "{said}"
        );
        assert!(
            !said.contains("Error") && !said.contains("Warning"),
            "{said}"
        );
    }
}

/// Delay of a cell's rising output at the first transition and the smallest load, which all corners share.
fn first_delay(text: &str, cell: &str) -> f64 {
    let from = text.find(&format!("cell (\"{PREFIX}{cell}\")")).unwrap();
    let table = text[from..].split("cell_rise (").nth(1).unwrap();
    let values = table.split("values (\"").nth(1).unwrap();
    values.split(',').next().unwrap().parse().unwrap()
}

/// Slow at 100 °C and 1.60 V, typical, fast at −40 °C and 1.95 V: each cell's first delay, slowest corner first.
fn corners(pdk: &Path, cells: [&str; 2]) -> [Vec<f64>; 2] {
    let run = |corner: &str| {
        let params = json!({
            "cells": cells, "physical": ["diode_2"], "corner": corner,
            "slews": [0.05, 0.2], "loads": 2, "constraint_slews": [0.05, 0.5],
        });
        let file = format!("{corner}.lib");
        let outputs = [(corner, file.as_str())];
        let done = testing::run(stage(), params, &[("pdk", pdk)], &outputs, 2).unwrap();
        fs::read_to_string(done.output(corner)).unwrap()
    };
    let [slow, typical, fast] = ["ss", "tt", "ff"].map(run);
    assert!(slow.contains(&format!("library (\"{PREFIX}ss_100C_1v60\")")));
    assert!(fast.contains(&format!("library (\"{PREFIX}ff_n40C_1v95\")")));
    let delays = |cell: &str| {
        let texts = [&slow, &typical, &fast];
        texts.iter().map(|text| first_delay(text, cell)).collect()
    };
    cells.map(delays)
}

#[test]
fn three_corners_come_in_their_order() {
    let Some(pdk) = pdk().filter(|_| tool("ngspice")) else {
        return;
    };
    for delays in corners(&pdk, ["inv_1", "nand2b_1"]) {
        let ordered = delays.windows(2).all(|pair| pair[0] > 1.15 * pair[1]);
        assert!(ordered, "{delays:?}");
    }
}

#[test]
#[ignore = "takes a minute"]
fn flip_flops_work_in_all_corners() {
    let Some(pdk) = pdk().filter(|_| tool("ngspice")) else {
        return;
    };
    for delays in corners(&pdk, ["dfxtp_1", "sdfxtp_1"]) {
        let ordered = delays.windows(2).all(|pair| pair[0] > 1.3 * pair[1]);
        assert!(ordered, "{delays:?}");
    }
}

#[test]
fn a_pdks_own_liberty_is_used_as_it_is() {
    let pdk = tempfile::tempdir().unwrap();
    fs::create_dir(pdk.path().join("liberty")).unwrap();
    let text =
        "library (l) {\n  cell (\"a\") {\n  }\n  cell (\"b\") {\n    timing_sense : x;\n  }\n}\n";
    fs::write(
        pdk.path().join("liberty/sky130_fd_sc_hd__ss_100C_1v60.lib"),
        text,
    )
    .unwrap();
    let params = json!({ "corner": "ss" });
    let outputs = [("ss", "ss.lib"), ("table", "liberty.csv")];
    let finished = testing::run(stage(), params, &[("pdk", pdk.path())], &outputs, 1).unwrap();
    assert_eq!(fs::read_to_string(finished.output("ss")).unwrap(), text);
    assert_eq!(
        (
            finished.metrics["cells"].value,
            finished.metrics["arcs"].value
        ),
        (2.0, 1.0)
    );
}

#[test]
fn bad_parameters_are_named() {
    let pdk = tempfile::tempdir().unwrap();
    let cases = [
        (json!({ "corner": "xx" }), "'xx'"),
        (json!({ "slews": [0.5, 0.1] }), "slews"),
        (json!({ "constraint_slews": [0.1] }), "constraint_slews"),
        (json!({ "loads": "many" }), "many"),
        (json!({ "colour": 1 }), "colour"),
        (json!({}), "sky130_fd_sc_hd"),
    ];
    for (params, word) in cases {
        let error = testing::run(
            stage(),
            params,
            &[("pdk", pdk.path())],
            &[("tt", "tt.lib")],
            1,
        )
        .err()
        .unwrap();
        assert_eq!(error.kind, Failure::Input);
        assert!(error.message.contains(word), "{}", error.message);
    }
}

#[test]
fn an_unknown_cell_is_named() {
    let Some(pdk) = pdk().filter(|_| tool("ngspice")) else {
        return;
    };
    let params = json!({ "cells": ["nandx_1"] });
    let error = testing::run(stage(), params, &[("pdk", &pdk)], &[("tt", "tt.lib")], 1)
        .err()
        .unwrap();
    assert!(
        error.message.contains("sky130_fd_sc_hd__nandx_1"),
        "{}",
        error.message
    );
}

/// Extraction alone, over every cell of the default list: no transistor may see an impossible resistance.
#[test]
fn all_cells_of_the_flow_have_sane_resistances() {
    let Some(pdk) = pdk() else { return };
    let layouts = nanoflow_layout::gds::Library::read(pdk.join("sky130_fd_sc_hd.gds")).unwrap();
    for name in Params::default()
        .cells
        .iter()
        .filter(|name| *name != "conb_1")
    {
        let circuit =
            extract::extract(layouts.structure(&format!("{PREFIX}{name}")).unwrap()).unwrap();
        for one in &circuit.transistors {
            let ohms = one.drain.resistance.max(one.source.resistance);
            assert!(ohms < 6000.0, "{name}: {one:?}");
        }
    }
}

/// The whole default list against the published library; minutes, so by hand: `cargo test --release -- --ignored whole`.
#[test]
#[ignore = "takes minutes"]
fn the_whole_list_is_near_the_published_library() {
    let Some(pdk) = pdk().filter(|_| tool("ngspice")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let Some(reference) = published(folder.path()) else {
        return;
    };
    let inputs = [("pdk", pdk.as_path()), ("reference", reference.as_path())];
    let outputs = [("tt", "tt.lib"), ("table", "liberty.csv")];
    let finished = testing::run(stage(), json!({}), &inputs, &outputs, 2).unwrap();
    if let Some(keep) = std::env::var_os("NANOFLOW_TEST_KEEP").map(PathBuf::from) {
        for (name, file) in outputs {
            fs::copy(finished.output(name), keep.join(file)).unwrap();
        }
    }
    let table = fs::read_to_string(finished.output("table")).unwrap();
    println!("{table}");
    for line in table.lines().skip(1) {
        let columns: Vec<&str> = line.split(',').collect();
        let Ok(deviation) = columns[5].parse::<f64>() else {
            continue;
        };
        assert!(deviation.abs() < 0.05, "{line}");
    }
}
