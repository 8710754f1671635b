//! Sign-off decks on small layouts: each rule fires on its fault and is silent on what just keeps it; LVS finds a short, an
//! open, a swapped pin, exchanged labels and a cut supply, with a place, and matches what is right.
//!
//! Needs `klayout`; the comparisons also the library's cells, as `nanoflow run pdk` puts them into `artifacts/` or
//! `NANOFLOW_TEST_PDK` names them. What is missing is said and skipped.

use std::collections::BTreeMap;
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
        eprintln!(
            "skipped: nanoflow run pdk, or set NANOFLOW_TEST_PDK to the output of stage 'pdk'"
        );
    }
    found
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

/// Runs the rule deck on `sheet`.gds with further variables; gives its summary with every place.
fn check_rules(folder: &Path, sheet: &str, more: &[(&str, &str)]) -> Value {
    let (gds, report, summary) = (
        format!("{sheet}.gds"),
        format!("{sheet}.lyrdb"),
        format!("{sheet}.json"),
    );
    let mut variables = vec![
        ("gds", gds.as_str()),
        ("report", &report),
        ("summary", &summary),
        ("places", "1000000"),
    ];
    variables.extend_from_slice(more);
    klayout(
        folder,
        &root().join("tool-wrappers/klayout/drc/drc.drc"),
        &variables,
    );
    json(&folder.join(&summary))
}

/// Rule and place of each violation.
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

/// Every check of a summary, as rule and text, and how often it fired.
fn checks(summary: &Value) -> BTreeMap<(String, String), u64> {
    let mut found = BTreeMap::new();
    for rule in summary["rules"].as_array().expect("rules") {
        for check in rule["checks"].as_array().expect("checks") {
            let text = |value: &Value| value.as_str().expect("a text").to_string();
            let count = check["count"].as_u64().expect("a number");
            let check = (text(&rule["rule"]), text(&check["text"]));
            assert!(
                found.insert(check.clone(), count).is_none(),
                "{check:?} stands twice in the deck"
            );
        }
    }
    found
}

const WITHOUT_CELLS: (&str, &str) = ("sections", "metal,frontend,taps,antenna");

#[test]
fn every_check_of_the_deck_fires_on_its_fault_and_not_on_what_keeps_it() {
    if !klayout_is_there() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, out) = (folder.path(), folder.path().to_str().expect("UTF-8"));
    klayout(
        folder,
        &root().join("tests/signoff/drc/cases.rb"),
        &[("out", out)],
    );
    let rows = [("sections", "structure"), ("pdk", "pdk")];
    let shapes_faulty = check_rules(folder, "shapes_faulty", &[WITHOUT_CELLS]);
    let rows_faulty = check_rules(folder, "rows_faulty", &rows);
    let shapes_fixed = check_rules(folder, "shapes_fixed", &[WITHOUT_CELLS]);
    // All sections: what the deck checks of any layout.
    let rows_fixed = check_rules(folder, "rows_fixed", &[("pdk", "pdk")]);

    for fixed in [&shapes_fixed, &rows_fixed] {
        assert_eq!(
            fixed["violations"],
            0,
            "layouts that keep every rule: {:?}",
            violations(fixed)
        );
    }
    let mut fired = checks(&shapes_faulty);
    fired.extend(checks(&rows_faulty));
    let deck = checks(&rows_fixed);
    assert!(deck.len() > 150, "only {} checks", deck.len());
    for check in deck.keys() {
        let count = fired.get(check).copied().unwrap_or(0);
        assert!(count > 0, "no tile has the fault that {check:?} looks for");
    }
    let cases = std::fs::read_to_string(folder.join("cases.txt")).expect("cases.txt");
    let (shapes, rows) = (violations(&shapes_faulty), violations(&rows_faulty));
    for case in cases.lines() {
        let found = if case.starts_with("rows ") {
            &rows
        } else {
            &shapes
        };
        judge_tile(case, found);
    }
}

/// A line of `cases.txt`: the rule must fire on its tile, and nothing else but what the line allows.
fn judge_tile(case: &str, violations: &[(String, f64, f64)]) {
    let words: Vec<&str> = case.split_whitespace().collect();
    let bounds: Vec<f64> = words[2..6]
        .iter()
        .map(|word| word.parse().expect("a number"))
        .collect();
    let fired: Vec<&str> = violations
        .iter()
        .filter(|(_, x, y)| {
            (bounds[0]..=bounds[2]).contains(x) && (bounds[1]..=bounds[3]).contains(y)
        })
        .map(|(rule, _, _)| rule.as_str())
        .collect();
    assert!(fired.contains(&words[1]), "{case}: only {fired:?} fired");
    let surplus: Vec<_> = fired
        .iter()
        .filter(|rule| **rule != words[1] && !words[6..].contains(rule))
        .collect();
    assert!(surplus.is_empty(), "{case}: {surplus:?} fired too");
}

/// Where a rule stands, by the beginning of its name. The first that fits counts.
const SOURCES: &[(&str, &str)] = &[
    ("antenna.", "antenna: table Ie, S8P"),
    (
        "structure.",
        "none: the library's cells are used unchanged, in filled rows on their site grid",
    ),
    (
        "LU.",
        "none in the tables: latch-up, as the rule files for Magic that the PDK ships have it",
    ),
    ("m5.7", "none for met5: as m1.7"),
    ("m3.7", "periphery: m3, there for the copper flow"),
    ("m4.7", "periphery: m4, there for the copper flow"),
    ("x.", "periphery: x (all layers)"),
    ("nsd.", "periphery: n/psd"),
    ("psd.", "periphery: n/psd"),
];

fn source(rule: &str) -> String {
    match SOURCES.iter().find(|(prefix, _)| rule.starts_with(prefix)) {
        Some((_, source)) => (*source).to_string(),
        None => format!("periphery: {}", rule.split('.').next().expect("a table")),
    }
}

/// `docs/drc-rules.md` as it must be.
fn rules_page(summary: &Value) -> String {
    let mut page = String::from(
        "# What DRC checks\n\nMade from the rule deck by a test (`NANOFLOW_UPDATE_PAGES=1 cargo test --release --test signoff page`).\n\n\
         Names and values are those of the public SkyWater PDK documents: `docs/rules/periphery` has one table for each layer, \
         `docs/rules/antenna` those of the antenna ratios; the aluminium flow's columns count. Lengths are in micrometres, areas in \
         square micrometres. Where a rule of the tables is told in several checks, or a check is stricter, the text says what is looked \
         for. For every check a test draws a layout that breaks it and one that just keeps it.\n\n\
         | rule | what is a violation | source |\n|---|---|---|\n",
    );
    for ((rule, text), _) in checks(summary) {
        page.push_str(&format!("| {rule} | {text} | {} |\n", source(&rule)));
    }
    page
}

#[test]
fn the_page_of_rules_is_true() {
    if !klayout_is_there() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, out) = (folder.path(), folder.path().to_str().expect("UTF-8"));
    klayout(
        folder,
        &root().join("tests/signoff/drc/cases.rb"),
        &[("out", out)],
    );
    let page = rules_page(&check_rules(folder, "rows_fixed", &[("pdk", "pdk")]));
    let path = root().join("docs/drc-rules.md");
    if std::env::var_os("NANOFLOW_UPDATE_PAGES").is_some() {
        std::fs::write(&path, &page).expect("page");
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap_or_default(),
        page,
        "NANOFLOW_UPDATE_PAGES=1 writes it anew"
    );
}

/// Draws the small row of cells with a fault in it, and its netlist.
fn make_layout(pdk: &Path, fault: &str, folder: &Path) {
    let variables = [
        ("pdk", pdk.to_str().expect("UTF-8")),
        ("fault", fault),
        ("out", folder.to_str().expect("UTF-8")),
    ];
    klayout(
        folder,
        &root().join("tests/signoff/lvs_case.rb"),
        &variables,
    );
}

fn run_lvs(pdk: &Path, folder: &Path) {
    let variables = [
        ("gds", "top.gds"),
        ("cdl", "top.cdl"),
        ("pdk", pdk.to_str().expect("UTF-8")),
        ("report", "lvs.lvsdb"),
        ("summary", "lvs.json"),
    ];
    klayout(
        folder,
        &root().join("tool-wrappers/klayout/lvs/lvs.lvs"),
        &variables,
    );
}

/// Compares the small row of cells with its netlist, with a fault in it; gives the summary.
fn compare(pdk: &Path, fault: &str) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let pdk = pdk.canonicalize().expect("the PDK");
    make_layout(&pdk, fault, folder.path());
    run_lvs(&pdk, folder.path());
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
        ("port", "pin"),
        ("device", "device"),
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
            (-1.0..=9.0).contains(&x) && (-1.0..=4.5).contains(&y),
            "{fault}: ({x}, {y}) is outside the cells"
        );
    }
}

/// KLayout writes parts of a report in an order that follows memory addresses; what the wrapper keeps must not.
#[test]
fn the_report_of_lvs_does_not_depend_on_the_order_of_its_parts() {
    let Some(pdk) = klayout_is_there().then(pdk).flatten() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let pdk = pdk.canonicalize().expect("the PDK");
    let out = path.to_str().expect("UTF-8").to_string();
    make_layout(&pdk, "none", path);
    run_lvs(&pdk, path);
    let report = std::fs::read(path.join("lvs.lvsdb")).expect("a report");
    klayout(
        path,
        &root().join("tests/signoff/scramble.rb"),
        &[("report", "lvs.lvsdb"), ("out", &out)],
    );
    let read = |name: &str| std::fs::read(path.join(name)).expect(name);
    assert_ne!(
        read("scrambled.lvsdb"),
        report,
        "the order was changed for this test"
    );
    assert!(read("again.lvsdb") == report, "a report in order stays");
    assert!(read("ordered.lvsdb") == report, "order is restored");
}

#[test]
fn the_picture_of_a_layout_is_the_same_each_time() {
    if !klayout_is_there() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let out = path.to_str().expect("UTF-8");
    let cases = root().join("tests/signoff/drc/cases.rb");
    klayout(path, &cases, &[("out", out)]);
    let script = std::fs::read_to_string(root().join("tool-wrappers/klayout/picture/picture.rb"))
        .expect("the script");
    let pictures = ["one.png", "two.png"].map(|name| {
        let script = script
            .replace("{{ inputs.gds }}", "\"shapes_faulty.gds\"")
            .replace("{{ outputs.png }}", &format!("\"{name}\""))
            .replace("{{ outputs.detail }}", &format!("\"detail-{name}\""))
            .replace("{{ params.width }}", "400")
            .replace("{{ params[\"detail-um\"] }}", "40")
            .lines()
            .filter(|line| !line.starts_with("{%"))
            .collect::<Vec<_>>()
            .join("\n");
        std::fs::write(path.join("picture.rb"), script).expect("the script");
        let status = Command::new("klayout")
            .current_dir(path)
            .env("QT_QPA_PLATFORM", "offscreen")
            .args(["-zz", "-r", "picture.rb"])
            .status()
            .expect("klayout runs");
        assert!(status.success());
        let read = |name: &str| std::fs::read(path.join(name)).expect("a picture");
        (read(name), read(&format!("detail-{name}")))
    });
    assert!(pictures[0] == pictures[1], "two pictures of one layout");
}
