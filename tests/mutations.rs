//! Faults put in on purpose: for each guarantee one change of the sources that breaks it, and the test that must notice.
//!
//! `cargo test --release --test mutations -- --ignored --nocapture` copies the sources, puts in one fault after the other, builds the
//! program, runs the tests that are named and prints the table of `docs/testing.md`. `NANOFLOW_MUTATIONS=words` picks some.
//! The quick test only looks whether every change still fits its file and every test still exists.

#[path = "mutations/list.rs"]
mod list;

use std::path::{Path, PathBuf};
use std::process::Command;

use list::{Mutation, MUTATIONS};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The file with the fault in it.
fn mutated(folder: &Path, mutation: &Mutation) -> Vec<(PathBuf, String)> {
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    for (file, old, new) in mutation.changes {
        let path = folder.join(file);
        let at = match files.iter().position(|(known, _)| *known == path) {
            Some(at) => at,
            None => {
                let text = std::fs::read_to_string(&path)
                    .unwrap_or_else(|error| panic!("{}: {file}: {error}", mutation.name));
                files.push((path, text));
                files.len() - 1
            }
        };
        let text = &mut files[at].1;
        let count = text.matches(old).count();
        assert_eq!(
            count, 1,
            "{}: {file} has {count} times: {old}",
            mutation.name
        );
        *text = text.replace(old, new);
    }
    files
}

#[test]
fn every_change_fits_and_every_test_exists() {
    let mut sources = String::new();
    let mut folders = vec![root().join("tests/program"), root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("folder").flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => sources += &std::fs::read_to_string(path).unwrap_or_default(),
            }
        }
    }
    for mutation in MUTATIONS {
        mutated(root(), mutation);
        for test in mutation.tests {
            let name = test.rsplit("::").next().unwrap_or_default();
            let there = sources.contains(&format!("fn {name}("));
            assert!(there, "{}: there is no test '{test}'", mutation.name);
        }
    }
}

/// Copies everything that a build reads.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("sources").flatten() {
        let name = entry.file_name();
        let skip = ["target", "cache", "artifacts", ".git"];
        if skip.iter().any(|word| name == *word) {
            continue;
        }
        let path = to.join(&name);
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => copy(&entry.path(), &path),
            Ok(kind) if kind.is_file() => {
                std::fs::copy(entry.path(), path).expect("copy");
            }
            _ => {}
        }
    }
}

fn cargo(folder: &Path, target: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO"))
        .args(["--config", "profile.release.package.nanoflow.opt-level=0"])
        .args(arguments)
        .args(["--release", "--no-default-features", "--target-dir"])
        .arg(target)
        .current_dir(folder)
        .output()
        .expect("cargo");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.success(), text)
}

/// Names of failed tests in what a test program printed.
fn failed(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"))
        .map(str::to_string)
        .collect()
}

/// The tests of the whole program, built once, against this build of it.
fn program_tests(tests: &Path, target: &Path, names: &[&str]) -> Vec<String> {
    let output = Command::new(tests)
        .args(["--exact", "--test-threads=2"])
        .args(names)
        .env("NANOFLOW_TEST_PROGRAM", target.join("release/nanoflow"))
        .output()
        .expect("tests");
    failed(&String::from_utf8_lossy(&output.stdout))
}

#[test]
#[ignore = "builds the program once for each fault"]
fn every_fault_is_noticed() {
    let wanted = std::env::var("NANOFLOW_MUTATIONS").unwrap_or_default();
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = temporary.path().join("nanoflow");
    copy(root(), &folder);
    let target = std::env::var_os("NANOFLOW_MUTATIONS_TARGET")
        .map_or_else(|| temporary.path().join("target"), PathBuf::from);
    let (good, text) = cargo(&folder, &target, &["test", "--test", "program", "--no-run"]);
    let tests = text
        .lines()
        .find_map(|line| {
            let line = line
                .trim()
                .strip_prefix("Executable tests/program/main.rs (")?;
            Some(target.parent()?.join(line.strip_suffix(')')?))
        })
        .filter(|_| good)
        .unwrap_or_else(|| panic!("{text}"));
    println!("| guarantee | fault put in | tests that fail |\n|---|---|---|");
    let mut unnoticed = Vec::new();
    for mutation in MUTATIONS {
        if !wanted.is_empty() && !wanted.split_whitespace().any(|word| mutation.name == word) {
            continue;
        }
        let files = mutated(&folder, mutation);
        let mut before = Vec::new();
        for (path, text) in &files {
            before.push((path, std::fs::read(path).expect("source")));
            std::fs::write(path, text).expect("source");
        }
        let (unit, whole): (Vec<&str>, Vec<&str>) = mutation
            .tests
            .iter()
            .partition(|test| test.contains("::tests::"));
        let mut noticed = Vec::new();
        if !whole.is_empty() {
            let (good, text) = cargo(&folder, &target, &["build", "--bin", "nanoflow"]);
            assert!(good, "{} does not build:\n{text}", mutation.name);
            noticed.extend(program_tests(&tests, &target, &whole));
        }
        if !unit.is_empty() {
            let arguments = [&["test", "--lib", "--"][..], &unit].concat();
            let at = arguments.iter().position(|word| *word == "--").unwrap_or(2);
            let (before, after) = arguments.split_at(at);
            let output = Command::new(env!("CARGO"))
                .args(["--config", "profile.release.package.nanoflow.opt-level=0"])
                .args(before)
                .args(["--release", "--no-default-features", "--target-dir"])
                .arg(&target)
                .args(after)
                .current_dir(&folder)
                .output()
                .expect("cargo");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let built = text.contains("test result:");
            assert!(
                built,
                "{}: {}",
                mutation.name,
                String::from_utf8_lossy(&output.stderr)
            );
            noticed.extend(failed(&text));
        }
        for (path, bytes) in before {
            std::fs::write(path, bytes).expect("source");
        }
        let names: Vec<String> = noticed.iter().map(|name| format!("`{name}`")).collect();
        println!(
            "| {} | {} | {} |",
            mutation.guarantee,
            mutation.name,
            names.join(", ")
        );
        if noticed.is_empty() {
            unnoticed.push(mutation.name);
        }
    }
    assert!(unnoticed.is_empty(), "not noticed: {unnoticed:?}");
}
