//! A flow that has nothing to do with models or chips, with plugins from outside the tree, goes through all of nanoflow: the core
//! knows nothing of what ships with it. (Also run with the build that leaves the shipped stages out, see `.ci/run`.)

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::common::Flow;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let place = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &place);
        } else {
            std::fs::copy(entry.path(), place).expect("a file");
        }
    }
}

/// The flow of `tests/foreign` in a folder of its own, its Rust plugin built.
fn foreign() -> Flow {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let flow = Flow::new("");
    copy(&root.join("tests/foreign"), &flow.path(""));
    let crate_folder = flow.path("plugins/count");
    let manifest = flow.read("plugins/count/Cargo.toml").replace(
        "../../../../stages/sdk",
        &root.join("stages/sdk").display().to_string(),
    );
    flow.write("plugins/count/Cargo.toml", &manifest);
    let dependencies: Vec<&str> = manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(' ').map(|(name, _)| name))
        .collect();
    assert_eq!(dependencies, ["nanoflow-sdk", "serde_json"]);
    // The lock file of the workspace names versions that are on this machine already.
    std::fs::copy(root.join("Cargo.lock"), crate_folder.join("Cargo.lock")).expect("Cargo.lock");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("foreign-plugin");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--manifest-path"])
        .arg(crate_folder.join("Cargo.toml"))
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TARGET_DIR", &target)
        .output()
        .expect("cargo runs");
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    std::fs::create_dir_all(flow.path("plugins/count/target/release")).expect("a folder");
    std::fs::copy(
        target.join("release/count"),
        flow.path("plugins/count/target/release/count"),
    )
    .expect("the plugin");
    flow
}

#[test]
fn a_c_program_is_built_tested_and_reported() {
    let flow = foreign();
    flow.expect(0, &["run", "-j2"]);
    assert_eq!(
        flow.read("artifacts/report/report.md"),
        "# Word frequencies\n\n| file | lines | of code |\n|---|---|---|\n| main.c | 29 | 26 |\n| table.c | 35 | 30 |\n| table.h | 13 | 9 |\n\nFailed cases: 0\n"
    );
    assert_eq!(
        flow.json(&["show", "lines", "--json"])["metrics"]["code_lines"],
        json!({ "value": 65.0 })
    );
    assert!(flow
        .outcomes(&[])
        .iter()
        .all(|outcome| outcome.ends_with("=cached")));

    // A comment changes no object file: compiled anew, the ripple stops there.
    let source = flow.read("src/table.c");
    flow.write(
        "src/table.c",
        source.replace("static int compare", "/* Order. */ static int compare"),
    );
    let outcomes = flow.outcomes(&["-j1", "check"]);
    assert!(
        outcomes.contains(&"table=executed".to_string()),
        "{outcomes:?}"
    );
    assert!(
        outcomes.contains(&"link=cached".to_string()),
        "{outcomes:?}"
    );

    // A fault is caught by the gate, and what follows is held back.
    flow.write(
        "src/table.c",
        source.replace(
            "x->count < y->count ? 1 : -1",
            "x->count < y->count ? -1 : 1",
        ),
    );
    let said = flow.run(&["run", "--junit", "junit.xml"]);
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert!(
        said.stderr.contains("metric 'failed' is 2; it must be ≤ 0"),
        "{}",
        said.stderr
    );
    assert!(flow.read("junit.xml").contains("gate-failed"));
    let why = flow.expect(0, &["why", "report"]).stdout;
    assert!(why.contains("src/table.c changed"), "{why}");

    // Back again: everything is known.
    flow.write("src/table.c", source);
    assert!(flow
        .outcomes(&[])
        .iter()
        .all(|outcome| outcome.ends_with("=cached")));
    let outcomes = flow.outcomes(&["--profile", "debug", "build"]);
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.ends_with("=executed")),
        "{outcomes:?}"
    );
}

#[test]
fn the_engine_names_no_shipped_stage() {
    // `plugins.rs` is the one place where they are registered.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.strip_prefix(&root) != Ok(Path::new("plugins.rs")) {
                let text = std::fs::read_to_string(&path).expect("source");
                assert!(!text.contains("nanoflow_stage_"), "{}", path.display());
            }
        }
    }
}
