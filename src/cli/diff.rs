//! `nanoflow diff`

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{json, Value};

use crate::events::{read_journal, Event};
use crate::key::{difference, ActionKey};
use crate::report::tell;
use crate::store::{Action, Store};

use super::output::{print, print_json};
use super::{CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run, its first characters, or 'last'
    #[arg(value_name = "RUN")]
    pub old: String,
    /// A run, its first characters, or 'last'
    #[arg(value_name = "RUN")]
    pub new: String,
}

/// Each stage's result in a run, and how it ended.
type Results = BTreeMap<String, (Option<ActionKey>, String)>;

fn results(store: &Store, run: &str) -> Results {
    let mut results = Results::new();
    for event in read_journal(&store.runs().join(run)) {
        if let Event::StageFinished {
            stage,
            outcome,
            key,
            ..
        } = event
        {
            let outcome = serde_json::to_value(outcome)
                .ok()
                .and_then(|word| word.as_str().map(str::to_string));
            results.insert(stage, (key.map(ActionKey), outcome.unwrap_or_default()));
        }
    }
    results
}

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    let project = global.open()?;
    let store = &project.store;
    let (old, new) = (
        super::runs::find(store, &arguments.old)?,
        super::runs::find(store, &arguments.new)?,
    );
    let (before, after) = (results(store, &old), results(store, &new));
    let mut stages = Vec::new();
    let mut text = String::new();
    for stage in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let (a, b) = (before.get(stage), after.get(stage));
        let action = |side: Option<&(Option<ActionKey>, String)>| -> Option<Arc<Action>> {
            side.and_then(|(key, _)| store.action(key.as_ref()?))
        };
        let outcome = |side: Option<&(Option<ActionKey>, String)>| {
            side.map_or("absent".to_string(), |(_, word)| word.clone())
        };
        let (old_action, new_action) = (action(a), action(b));
        let same_key = a.map(|side| &side.0) == b.map(|side| &side.0);
        let good = |word: &str| matches!(word, "executed" | "cached" | "remote");
        if same_key && (outcome(a) == outcome(b) || (good(&outcome(a)) && good(&outcome(b)))) {
            continue;
        }
        let mut entry = json!({ "stage": stage, "old": outcome(a), "new": outcome(b), "reasons": [], "outputs": [], "metrics": {} });
        text.push_str(&format!("{stage}: {} → {}\n", outcome(a), outcome(b)));
        if let (Some(old), Some(new)) = (&old_action, &new_action) {
            compare(old, new, &mut entry, &mut text);
        }
        stages.push(entry);
    }
    if global.json {
        print_json(&json!({ "old": old, "new": new, "stages": stages }));
    } else if stages.is_empty() {
        print(&format!("{old} and {new} have the same results\n"));
    } else {
        print(&text);
    }
    Ok(0)
}

fn compare(old: &Action, new: &Action, entry: &mut Value, text: &mut String) {
    let reasons = difference(&old.preimage, &new.preimage);
    for reason in &reasons {
        text.push_str(&format!("  {}: {}\n", reason.kind.word(), tell(reason)));
    }
    entry["reasons"] = json!(reasons);
    let changed: Vec<&String> = old
        .outputs
        .keys()
        .chain(new.outputs.keys())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter(|name| {
            old.outputs.get(*name).map(|r| r.digest) != new.outputs.get(*name).map(|r| r.digest)
        })
        .collect();
    if !changed.is_empty() {
        let names: Vec<&str> = changed.iter().map(|name| name.as_str()).collect();
        text.push_str(&format!("  outputs changed: {}\n", names.join(", ")));
    }
    entry["outputs"] = json!(changed);
    for name in old
        .metrics
        .keys()
        .chain(new.metrics.keys())
        .collect::<BTreeSet<_>>()
    {
        let value = |action: &Action| {
            action
                .metrics
                .get(name)
                .map_or(Value::Null, |metric| metric.value.clone())
        };
        let (before, after) = (value(old), value(new));
        if before != after {
            text.push_str(&format!("  metric {name}: {before} → {after}\n"));
            entry["metrics"][name] = json!({ "old": before, "new": after });
        }
    }
}
