//! Faults put in on purpose: for each guarantee one change of the sources that breaks it, and the tests that must notice.
//!
//! `cargo test --release --test mutations -- --ignored --nocapture` copies the sources, puts in one fault after the other, builds the
//! engine, runs the tests that are named, and writes the table of `docs/testing.md`. What came of each fault is kept, so a run that was
//! broken off goes on where it was; `NANOFLOW_MUTATIONS=words` picks some, `NANOFLOW_MUTATIONS=all` makes all of them again. The quick tests look whether every change still fits its
//! file, every test still exists, and the page tells of faults that are on the list.

#[path = "mutations/build.rs"]
mod build;
#[path = "mutations/list.rs"]
mod list;
#[path = "mutations/page.rs"]
mod page;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use build::Workshop;
use list::{all, Mutation};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files with the fault in them.
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
        let name = mutation.name;
        assert_eq!(count, 1, "{name}: {file} has {count} times: {old}");
        *text = text.replace(old, new);
    }
    files
}

/// What a kept result is about: it counts as long as the fault and the names of its tests stay as they are.
fn digest(mutation: &Mutation) -> String {
    let text = format!("{:?} {:?}", mutation.changes, mutation.tests);
    blake3::hash(text.as_bytes()).to_hex().to_string()
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
    let mut names = BTreeSet::new();
    for mutation in all() {
        mutated(root(), mutation);
        let name = mutation.name;
        assert!(names.insert(name), "{name} stands there twice");
        assert!(!mutation.tests.is_empty(), "{name} names no test");
        for test in mutation.tests {
            let function = test.rsplit("::").next().unwrap_or_default();
            let there = sources.contains(&format!("fn {function}("));
            assert!(there, "{name}: there is no test '{test}'");
        }
    }
}

#[test]
fn the_page_tells_of_every_fault_on_the_list() {
    let rows = page::rows(&page::read());
    let told: Vec<&str> = rows.iter().map(|row| row.fault.as_str()).collect();
    let listed: Vec<&str> = all().map(|mutation| mutation.name).collect();
    assert_eq!(
        told, listed,
        "a fault on the list was not run, or the page is of another list"
    );
    for (row, mutation) in rows.iter().zip(all()) {
        assert_eq!(row.guarantee, mutation.guarantee, "{}", row.fault);
        assert!(!row.tests.is_empty(), "{}: no test fails", row.fault);
        for test in &row.tests {
            let named = mutation.tests.contains(&test.as_str());
            assert!(named, "{}: '{test}' is not named for it", row.fault);
        }
    }
}

#[test]
#[ignore = "builds the engine once for each fault"]
fn every_fault_is_noticed() {
    let wanted = std::env::var("NANOFLOW_MUTATIONS").unwrap_or_default();
    let wanted: Vec<&str> = wanted.split_whitespace().collect();
    let workshop = Workshop::open(root());
    let sources = workshop.sources();
    let left: Vec<&Mutation> = all()
        .filter(|mutation| {
            let named = |word: &&str| *word == mutation.name || *word == "all";
            wanted.is_empty() || wanted.iter().any(named)
        })
        .filter(|mutation| {
            let known = workshop.known(mutation.name, &digest(mutation));
            !wanted.is_empty() || known.is_none()
        })
        .collect();
    if !left.is_empty() {
        let tests: BTreeSet<&str> = left.iter().flat_map(|m| m.tests).copied().collect();
        let tests: Vec<&str> = tests.into_iter().collect();
        println!("without a fault: {} tests", tests.len());
        let failed = workshop.failing_without_a_fault(&tests);
        let failed = failed.unwrap_or_else(|text| panic!("the sources do not build:\n{text}"));
        assert!(failed.is_empty(), "these fail without a fault: {failed:?}");
    }
    for mutation in left {
        let started = std::time::Instant::now();
        let files = mutated(&sources, mutation);
        let faulty = workshop.with(&files, || workshop.failing(mutation.tests));
        let failed =
            faulty.unwrap_or_else(|text| panic!("{} does not build:\n{text}", mutation.name));
        let seconds = started.elapsed().as_secs();
        println!("{} ({seconds} s): {failed:?}", mutation.name);
        workshop.note(mutation.name, &digest(mutation), &failed);
    }
    let mut rows = Vec::new();
    let mut open = Vec::new();
    for mutation in all() {
        match workshop.known(mutation.name, &digest(mutation)) {
            Some(tests) if !tests.is_empty() => rows.push(page::Row {
                guarantee: mutation.guarantee.to_string(),
                fault: mutation.name.to_string(),
                tests,
            }),
            Some(_) => open.push(format!("{}: not noticed", mutation.name)),
            None if wanted.is_empty() => open.push(format!("{}: not run", mutation.name)),
            None => {}
        }
    }
    page::write(&rows);
    assert!(open.is_empty(), "{open:#?}");
}
