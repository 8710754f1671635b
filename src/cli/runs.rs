//! `nanoflow runs`

use serde_json::{json, Value};

use crate::events::{read_journal, Event};
use crate::store::Store;

use super::output::{print, print_json, table};
use super::{CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show at most so many, newest first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
    /// Keep this run's results whatever 'gc' is told
    #[arg(long, value_name = "RUN")]
    pub pin: Option<String>,
    /// Let 'gc' take this run's results again
    #[arg(long, value_name = "RUN")]
    pub unpin: Option<String>,
}

/// Names of all runs, oldest first.
pub fn names(store: &Store) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(store.runs())
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("journal.jsonl").exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The run of this name; the newest one whose name begins so will do, and `last`.
pub fn find(store: &Store, word: &str) -> Result<String, CliError> {
    let names = names(store);
    let found = match word {
        "last" => names.last(),
        _ => names
            .iter()
            .find(|name| *name == word)
            .or_else(|| names.iter().rev().find(|name| name.starts_with(word))),
    };
    found.cloned().ok_or_else(|| {
        CliError::Usage(format!(
            "there is no run '{word}'\nhint: 'nanoflow runs' lists them"
        ))
    })
}

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    let project = global.open()?;
    let store = &project.store;
    for (word, pinned) in [(&arguments.pin, true), (&arguments.unpin, false)] {
        if let Some(word) = word {
            let mark = store.runs().join(find(store, word)?).join("pinned");
            let done = if pinned {
                std::fs::write(&mark, "")
            } else {
                crate::store::remove_all(&mark)
            };
            done.map_err(|error| crate::store::StoreError::io(&mark, error))?;
        }
    }
    let rows: Vec<Value> = names(store)
        .iter()
        .rev()
        .take(arguments.limit)
        .map(|name| summary(store, name))
        .collect();
    if global.json {
        print_json(&json!({ "runs": rows }));
        return Ok(0);
    }
    let shown: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let text = |name: &str| {
                row[name]
                    .as_str()
                    .map_or_else(|| row[name].to_string(), str::to_string)
            };
            let ended = if row["exit"].is_null() {
                "did not end".to_string()
            } else {
                format!("exit {}", row["exit"])
            };
            vec![
                text("run"),
                ended,
                format!("{} executed", row["executed"]),
                format!("{} cached", row["cached"]),
                format!("{} failed", row["failed"]),
                row["command"]
                    .as_array()
                    .map(|words| {
                        words
                            .iter()
                            .filter_map(Value::as_str)
                            .collect::<Vec<_>>()
                            .join(" ")
                    })
                    .unwrap_or_default(),
                if row["pinned"] == true {
                    "pinned".to_string()
                } else {
                    String::new()
                },
            ]
        })
        .collect();
    print(&table(&shown));
    Ok(0)
}

fn summary(store: &Store, name: &str) -> Value {
    let folder = store.runs().join(name);
    let mut row = json!({
        "run": name, "time": null, "command": [], "exit": null, "seconds": null, "executed": 0, "cached": 0, "failed": 0,
        "skipped": 0, "gates_failed": 0, "pinned": folder.join("pinned").exists(),
    });
    for event in read_journal(&folder) {
        match event {
            Event::RunStarted { time, command, .. } => {
                row["time"] = json!(time);
                row["command"] = json!(command);
            }
            Event::RunFinished {
                executed,
                cached,
                failed,
                skipped,
                gates_failed,
                seconds,
                exit,
                ..
            } => {
                row["executed"] = json!(executed);
                row["cached"] = json!(cached);
                row["failed"] = json!(failed);
                row["skipped"] = json!(skipped);
                row["gates_failed"] = json!(gates_failed);
                row["seconds"] = json!(seconds);
                row["exit"] = json!(exit);
            }
            _ => {}
        }
    }
    row
}
