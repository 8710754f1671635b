//! The house of `docs/architecture.md`: each folder of `src/` may use only those below it, and stages know nothing of `src/`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may use. `cli` and the files directly in `src/` may use everything.
const ALLOWED: &[(&str, &[&str])] = &[
    ("flow", &[]),
    ("events", &[]),
    ("graph", &["flow"]),
    ("key", &["flow"]),
    ("gate", &["flow"]),
    ("store", &["key", "flow"]),
    ("exec", &["store", "graph", "events", "gate", "key", "flow"]),
    (
        "report",
        &["exec", "store", "graph", "events", "gate", "key", "flow"],
    ),
];

/// Rooms that must do no I/O of their own.
const PURE: &[&str] = &["graph", "key", "gate"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut queue = vec![folder.to_path_buf()];
    while let Some(dir) = queue.pop() {
        for entry in fs::read_dir(&dir)
            .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
            .flatten()
        {
            let path = entry.path();
            if path.is_dir() {
                queue.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The rooms that a source text names as `crate::ROOM`, comments left out.
fn rooms_used(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""))
        .collect::<Vec<_>>()
        .join("\n");
    let mut rooms = BTreeSet::new();
    for part in code.split("crate::").skip(1) {
        let word = |text: &str| -> String {
            text.chars()
                .take_while(|character| character.is_alphanumeric() || *character == '_')
                .collect()
        };
        match part.strip_prefix('{') {
            // `use crate::{flow::Flow, key}`: the first word of each member.
            Some(group) => {
                let mut depth = 0_i32;
                let mut start = true;
                let mut rest = group;
                while let Some(character) = rest.chars().next() {
                    match character {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        character if start && !character.is_whitespace() => {
                            rooms.insert(word(rest));
                            start = false;
                        }
                        _ => {}
                    }
                    rest = &rest[character.len_utf8()..];
                }
            }
            None => {
                rooms.insert(word(part));
            }
        }
    }
    rooms
}

#[test]
fn arrows_run_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let known: BTreeSet<&str> = ALLOWED
        .iter()
        .map(|(room, _)| *room)
        .chain(["cli"])
        .collect();
    let mut faults = Vec::new();
    for (room, allowed) in ALLOWED {
        for path in sources(&root.join("src").join(room)) {
            let text = fs::read_to_string(&path).expect("a source file is text");
            for used in rooms_used(&text) {
                let fine = used == *room
                    || allowed.contains(&used.as_str())
                    || !known.contains(used.as_str());
                if !fine {
                    faults.push(format!("{}: '{room}' may not use '{used}'", path.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn pure_rooms_open_no_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut faults = Vec::new();
    for room in PURE {
        for path in sources(&root.join("src").join(room)) {
            let text = fs::read_to_string(&path).expect("a source file is text");
            for word in ["std::fs", "std::process", "std::net", "tokio::"] {
                if text.contains(word) {
                    faults.push(format!(
                        "{}: '{room}' does no I/O, yet names {word}",
                        path.display()
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn stages_know_nothing_of_the_engine() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in fs::read_dir(root.join("stages"))
        .expect("stages/")
        .flatten()
    {
        let manifest = entry.path().join("Cargo.toml");
        let Ok(text) = fs::read_to_string(&manifest) else {
            continue;
        };
        for line in text.lines() {
            let name = line.split(['=', '.', ' ']).next().unwrap_or("");
            assert_ne!(
                name,
                "nanoflow",
                "{} depends on the engine",
                manifest.display()
            );
        }
    }
}

#[test]
fn an_arrow_the_wrong_way_is_seen() {
    let rooms = rooms_used(
        "use crate::{flow::{Flow, Stage}, exec};\nlet x = crate::store::open(); // crate::report",
    );
    let rooms: Vec<_> = rooms.iter().map(String::as_str).collect();
    assert_eq!(rooms, ["exec", "flow", "store"]);
}
