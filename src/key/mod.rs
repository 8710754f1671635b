//! The action key: the digest of everything that decides what a stage makes. Pure.
//!
//! `docs/action-key.md` tells what is in it, and is made from [`page()`].

mod difference;
mod page;
#[cfg(test)]
mod tests;
mod via;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub use difference::{difference, Reason, ReasonKind};
pub use page::page;
pub use via::Via;

/// Version of the pre-image. Raise it with every change of what is in the key or how it is written.
pub const FORMAT: u32 = 1;

/// Everything that decides what a stage makes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preimage {
    pub format: u32,
    pub runs: Runs,
    pub params: BTreeMap<String, Json>,
    /// Flow parameters that the stage's templates name.
    pub flow: BTreeMap<String, Json>,
    /// Variables let in; `null` for one that is not set.
    pub env: BTreeMap<String, Option<String>>,
    pub inputs: BTreeMap<String, InputContent>,
    pub outputs: BTreeMap<String, OutputPlace>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
}

/// What a stage runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runs {
    /// A line of shell with values put in.
    Shell(String),
    Argv(Vec<String>),
    Plugin {
        id: String,
        digest: String,
        tools: BTreeMap<String, ToolIdentity>,
    },
    Wrapper {
        name: String,
        files: BTreeMap<String, String>,
        tools: BTreeMap<String, ToolIdentity>,
    },
}

/// An external program as far as results depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolIdentity {
    pub version: String,
    pub digest: String,
}

/// Files of one input; `many` if the stage sees a list even of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputContent {
    pub many: bool,
    /// Path in the work directory → content digest.
    pub files: BTreeMap<String, String>,
}

/// A declared output: its path, with a trailing slash for a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPlace {
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// Digest of a pre-image, 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActionKey(pub String);

impl fmt::Display for ActionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Preimage {
    /// The key: BLAKE3 over the canonical text.
    pub fn key(&self) -> ActionKey {
        ActionKey(
            blake3::hash(self.canonical().as_bytes())
                .to_hex()
                .to_string(),
        )
    }

    /// JSON with sorted keys and without blanks.
    pub fn canonical(&self) -> String {
        let mut out = String::with_capacity(512);
        match serde_json::to_value(self) {
            Ok(value) => write_canonical(&value, &mut out),
            // All map keys are strings and all numbers come from JSON, so this cannot happen; an empty text would be
            // one key for all, hence the debug form.
            Err(_) => out = format!("{self:?}"),
        }
        out
    }
}

/// Sorted keys whatever map type `serde_json` was built with.
fn write_canonical(value: &Json, out: &mut String) {
    match value {
        Json::Object(map) => {
            let mut entries: Vec<(&String, &Json)> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (position, (key, value)) in entries.into_iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                out.push_str(&Json::from(key.as_str()).to_string());
                out.push(':');
                write_canonical(value, out);
            }
            out.push('}');
        }
        Json::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}
