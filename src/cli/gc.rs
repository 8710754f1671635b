//! `nanoflow gc`

use std::collections::BTreeSet;

use crate::events::{read_journal, Event};
use crate::flow::show_bytes;
use crate::key::ActionKey;
use crate::store::collect_garbage;

use super::output::{print, print_json};
use super::{lock, CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many of the newest runs keep their results; pinned runs always do
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub keep: usize,
    /// Tell what would go, and remove nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    let project = global.open()?;
    let store = &project.store;
    let _held = lock(store.root(), true)?;
    let names = super::runs::names(store);
    let newest = names.len().saturating_sub(arguments.keep);
    let mut keys: BTreeSet<ActionKey> = BTreeSet::new();
    let mut old: Vec<String> = Vec::new();
    for (position, name) in names.iter().enumerate() {
        if position < newest && !store.runs().join(name).join("pinned").exists() {
            old.push(name.clone());
            continue;
        }
        for event in read_journal(&store.runs().join(name)) {
            if let Event::StageFinished { key: Some(key), .. } = event {
                keys.insert(ActionKey(key));
            }
        }
    }
    let collected = collect_garbage(store, &old, &keys, arguments.dry_run)?;
    store.stat.save();
    if global.json {
        print_json(&serde_json::to_value(&collected).unwrap_or_default());
    } else if !global.quiet {
        let word = if arguments.dry_run {
            "would be removed"
        } else {
            "removed"
        };
        print(&format!(
            "{word}: {} runs, {} actions, {} objects, {}\n",
            collected.runs,
            collected.actions,
            collected.objects,
            show_bytes(collected.bytes)
        ));
    }
    Ok(0)
}
