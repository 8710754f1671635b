//! The key: its format, and that every part of a pre-image counts.

use std::collections::BTreeSet;

use serde_json::{json, Value as Json};

use super::page::{example, names};
use super::{Preimage, Runs, FORMAT};

/// The example's key in each format there ever was. A change of what is in a pre-image or of how it is written changes the last
/// key: raise `FORMAT` and add a line, so that no result of the old format is taken for one of the new.
const FORMATS: &[(u32, &str)] = &[(
    1,
    "dbfed4380d855a8ff038f508bc3a20d43b742194949643f2bd0ab22bc861a208",
)];

#[test]
fn a_changed_pre_image_is_a_new_format() {
    assert_eq!(
        FORMATS.last().copied(),
        Some((FORMAT, example().key().0.as_str())),
        "raise FORMAT and add the example's key"
    );
    let keys: BTreeSet<&str> = FORMATS.iter().map(|(_, key)| *key).collect();
    assert_eq!(keys.len(), FORMATS.len());
    assert!(FORMATS.windows(2).all(|pair| pair[0].0 < pair[1].0));
}

#[test]
fn another_format_is_another_key() {
    let other = Preimage {
        format: FORMAT + 1,
        ..example()
    };
    assert_ne!(other.key(), example().key());
}

#[test]
fn the_page_names_every_part() {
    let Json::Object(parts) = json!(example()) else {
        panic!("an object")
    };
    let written: BTreeSet<&str> = parts.keys().map(String::as_str).collect();
    assert_eq!(written, names().into_iter().collect());
}

/// Every value, list and object in a JSON value, each changed in turn.
fn changes(value: &Json) -> Vec<Json> {
    match value {
        Json::Object(map) => {
            let mut all = Vec::new();
            for (key, inner) in map {
                for change in changes(inner) {
                    let mut other = map.clone();
                    other.insert(key.clone(), change);
                    all.push(Json::Object(other));
                }
            }
            all
        }
        Json::String(text) => vec![json!(format!("{text}x"))],
        Json::Number(number) => vec![json!(number.as_f64().unwrap_or(0.0) + 1.0)],
        Json::Bool(on) => vec![json!(!on)],
        Json::Null => vec![json!("x")],
        Json::Array(items) => {
            let mut longer = items.clone();
            longer.push(json!("x"));
            vec![Json::Array(longer)]
        }
    }
}

#[test]
fn every_part_counts() {
    let mut commands = vec![example()];
    for runs in [
        Runs::Shell("echo".to_string()),
        Runs::Argv(vec!["echo".to_string()]),
        Runs::Plugin {
            id: "train".to_string(),
            digest: "b3:00".to_string(),
            tools: [].into(),
        },
    ] {
        commands.push(Preimage { runs, ..example() });
    }
    let mut keys = BTreeSet::new();
    for preimage in &commands {
        assert!(keys.insert(preimage.key()));
        let written: Json = serde_json::from_str(&preimage.canonical()).expect("JSON");
        for mut change in changes(&written) {
            // The format is a whole number; the digest of an output may be left out.
            if change["format"] != written["format"] {
                change["format"] = json!(FORMAT + 1);
            }
            let other: Preimage = serde_json::from_value(change.clone()).expect("a pre-image");
            assert_ne!(other.key(), preimage.key(), "{change}");
        }
    }
    // The same text is not the same thing as a line, a word or a name.
    let with = |runs| Preimage { runs, ..example() }.key();
    assert_ne!(
        with(Runs::Shell("a".to_string())),
        with(Runs::Argv(vec!["a".to_string()]))
    );
    assert_ne!(
        with(Runs::Argv(vec!["a b".to_string()])),
        with(Runs::Argv(vec!["a".to_string(), "b".to_string()]))
    );
}

#[test]
fn what_is_written_is_what_was() {
    let back: Preimage = serde_json::from_str(&example().canonical()).expect("JSON");
    assert_eq!(back, example());
    assert_eq!(back.key(), example().key());
    // Sorted, without blanks outside of strings.
    let text = example().canonical();
    assert!(
        text.starts_with("{\"env\":{\"LM_LICENSE_FILE\":null,\"MODE\":\"fast\"},\"flow\""),
        "{text}"
    );
}
