//! Sign-off decks on small layouts: each rule fires on its fault and is silent on what just keeps it; LVS finds a short, an
//! open, a swapped pin, exchanged labels and a cut supply, with a place, and matches what is right.
//!
//! Needs `klayout`; the layout of library cells also a PDK folder as stage `pdk` makes it (`NANOFLOW_TEST_PDK`). What is
//! missing is said and skipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether `klayout` can be run.
fn klayout_is_there() -> bool {
    let there = Command::new("klayout")
        .arg("-v")
        .output()
        .is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("skipped: klayout is not installed (nanoflow setup)");
    }
    there
}

/// The PDK folder for tests.
fn pdk() -> Option<PathBuf> {
    let folder = std::env::var_os("NANOFLOW_TEST_PDK")
        .map(PathBuf::from)
        .filter(|path| path.join("sky130_fd_sc_hd.gds").is_file());
    if folder.is_none() {
        eprintln!("skipped: NANOFLOW_TEST_PDK names no folder with sky130_fd_sc_hd.gds");
    }
    folder
}

/// Runs a KLayout script in `folder` with its variables; gives what it wrote to standard error.
fn klayout(folder: &Path, script: &Path, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new("klayout");
    command.current_dir(folder).args(["-b", "-r"]).arg(script);
    for (name, value) in variables {
        command.arg("-rd").arg(format!("{name}={value}"));
    }
    let output = command.output().expect("klayout runs");
    let log = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{}: {log}", script.display());
    log
}

fn json(path: &Path) -> Value {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs the rule deck; gives its summary.
fn check_rules(folder: &Path, name: &str) -> Value {
    let (gds, report, summary) = (
        format!("{name}.gds"),
        format!("{name}.lyrdb"),
        format!("{name}.json"),
    );
    let variables = [
        ("gds", gds.as_str()),
        ("report", &report),
        ("summary", &summary),
        ("sections", "metal,frontend,taps,antenna"),
    ];
    klayout(
        folder,
        &root().join("tool-wrappers/klayout/drc/drc.drc"),
        &variables,
    );
    json(&folder.join(&summary))
}

/// Rule and place of each violation that the summary lists.
fn violations(summary: &Value) -> Vec<(String, f64, f64)> {
    let mut found = Vec::new();
    for rule in summary["rules"].as_array().expect("rules") {
        for place in rule["places"].as_array().expect("places") {
            let number = |key: &str| place[key].as_f64().expect("a number");
            found.push((
                rule["rule"].as_str().expect("a name").to_string(),
                number("x"),
                number("y"),
            ));
        }
    }
    found
}

#[test]
fn every_rule_fires_on_its_fault_and_not_on_what_keeps_it() {
    if !klayout_is_there() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().to_str().expect("UTF-8").to_string();
    klayout(
        folder.path(),
        &root().join("tests/signoff/drc_cases.rb"),
        &[("out", &out)],
    );

    let fixed = check_rules(folder.path(), "fixed");
    assert_eq!(
        fixed["violations"],
        0,
        "layouts that keep every rule: {:?}",
        violations(&fixed)
    );

    let faulty = violations(&check_rules(folder.path(), "faulty"));
    let cases = std::fs::read_to_string(folder.path().join("cases.txt")).expect("cases.txt");
    assert!(cases.lines().count() > 80);
    for case in cases.lines() {
        let words: Vec<&str> = case.split_whitespace().collect();
        let bounds: Vec<f64> = words[1..5]
            .iter()
            .map(|word| word.parse().expect("a number"))
            .collect();
        let fired: Vec<&str> = faulty
            .iter()
            .filter(|(_, x, y)| {
                (bounds[0]..=bounds[2]).contains(x) && (bounds[1]..=bounds[3]).contains(y)
            })
            .map(|(rule, _, _)| rule.as_str())
            .collect();
        assert!(
            fired.contains(&words[0]),
            "{} at {bounds:?}: only {fired:?} fired",
            words[0]
        );
        let surplus: Vec<_> = fired
            .iter()
            .filter(|rule| **rule != words[0] && !words[5..].contains(rule))
            .collect();
        assert!(
            surplus.is_empty(),
            "{} at {bounds:?}: {surplus:?} fired too",
            words[0]
        );
    }
}

/// Compares the small row of cells with its netlist, with a fault in it; gives the summary.
fn compare(pdk: &Path, fault: &str) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().to_str().expect("UTF-8").to_string();
    let pdk = pdk.canonicalize().expect("the PDK");
    let pdk = pdk.to_str().expect("UTF-8");
    let script = root().join("tests/signoff/lvs_case.rb");
    klayout(
        folder.path(),
        &script,
        &[("pdk", pdk), ("fault", fault), ("out", &out)],
    );
    let variables = [
        ("gds", "top.gds"),
        ("cdl", "top.cdl"),
        ("pdk", pdk),
        ("report", "lvs.lvsdb"),
        ("summary", "lvs.json"),
    ];
    klayout(
        folder.path(),
        &root().join("tool-wrappers/klayout/lvs/lvs.lvs"),
        &variables,
    );
    let metrics = json(&folder.path().join("metrics.json"));
    let summary = json(&folder.path().join("lvs.json"));
    assert_eq!(metrics["mismatches"]["value"], summary["mismatches"]);
    summary
}

#[test]
fn lvs_matches_a_right_layout() {
    let Some(pdk) = klayout_is_there().then(pdk).flatten() else {
        return;
    };
    let summary = compare(&pdk, "none");
    assert_eq!(summary["mismatches"], 0, "{summary:#}");
    assert_eq!(summary["match"], true);
}

#[test]
fn lvs_finds_each_fault_with_a_place() {
    let Some(pdk) = klayout_is_there().then(pdk).flatten() else {
        return;
    };
    for (fault, kind) in [
        ("open", "net"),
        ("short", "net"),
        ("swap", "net"),
        ("labels", "pin"),
        ("rail", "supply"),
    ] {
        let summary = compare(&pdk, fault);
        let faults = summary["faults"].as_array().expect("faults");
        assert_eq!(summary["match"], false, "{fault}");
        let found = faults
            .iter()
            .find(|one| one["kind"] == kind && one["x"].is_f64());
        let found =
            found.unwrap_or_else(|| panic!("{fault}: no {kind} with a place in {summary:#}"));
        let (x, y) = (
            found["x"].as_f64().expect("x"),
            found["y"].as_f64().expect("y"),
        );
        assert!(
            (-1.0..=9.0).contains(&x) && (-1.0..=4.0).contains(&y),
            "{fault}: ({x}, {y}) is outside the cells"
        );
    }
}
