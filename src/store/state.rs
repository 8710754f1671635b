//! What each stage did last: a log of JSON lines, read whole, compacted now and then. Losing it loses explanations and
//! invalidations, never results.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use memchr::memchr;
use serde::{Deserialize, Serialize};

use crate::key::ActionKey;

use super::{Digest, StoreError};

/// Good results remembered for each stage, newest last.
const KEPT: usize = 8;

/// A stage's result: its key and what explains it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Good {
    pub key: ActionKey,
    /// The run in which it was executed or found.
    pub run: String,
    /// Text of the command's template, which is not in the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Keys of the stages whose outputs it read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub upstream: BTreeMap<String, ActionKey>,
}

/// A stage's failed try.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub run: String,
    pub key: Option<ActionKey>,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateLine {
    Good { stage: String, good: Good },
    Failed { stage: String, failure: Failure },
    Invalidated { stage: String },
}

/// What is known of one stage.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    pub good: Vec<Good>,
    /// Set if the last try failed.
    pub failure: Option<Failure>,
    pub invalidated: bool,
}

impl History {
    pub fn last(&self) -> Option<&Good> {
        self.good.last()
    }
}

/// The state of all stages and the file it is kept in.
#[derive(Debug)]
pub struct State {
    path: PathBuf,
    stages: HashMap<String, History>,
    lines: usize,
    /// Length and content of the log as it is known here; `None` if somebody else wrote to it meanwhile.
    known: Option<(u64, blake3::Hasher)>,
    /// Only some stages are known.
    partial: bool,
}

/// The stage that a line is about; `None` if the line must be read to tell.
fn named(line: &[u8]) -> Option<&[u8]> {
    const KINDS: [&[u8]; 3] = [
        br#"{"good":{"stage":""#,
        br#"{"failed":{"stage":""#,
        br#"{"invalidated":{"stage":""#,
    ];
    plain_text(KINDS.iter().find_map(|kind| line.strip_prefix(*kind))?)
}

/// A JSON string as it stands, behind its opening quote; `None` if something in it is escaped.
pub(crate) fn plain_text(rest: &[u8]) -> Option<&[u8]> {
    let text = rest.get(..memchr(b'"', rest)?)?;
    memchr(b'\\', text).is_none().then_some(text)
}

impl State {
    /// Reads the log; lines that cannot be read are left out.
    pub fn load(root: &Path) -> State {
        State::read(root, |_| true)
    }

    /// Reads what the log says of these stages alone.
    pub fn load_for(root: &Path, stages: &HashSet<&str>) -> State {
        let mut state = State::read(root, |line| {
            let name = named(line).and_then(|name| std::str::from_utf8(name).ok());
            name.is_none_or(|name| stages.contains(name))
        });
        state.partial = true;
        state
    }

    fn read(root: &Path, wanted: impl Fn(&[u8]) -> bool) -> State {
        let path = root.join("state");
        let mut state = State {
            stages: HashMap::new(),
            lines: 0,
            path,
            known: None,
            partial: false,
        };
        let bytes = std::fs::read(&state.path).unwrap_or_default();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&bytes);
        state.known = Some((bytes.len() as u64, hasher));
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let end = memchr(b'\n', rest).unwrap_or(rest.len());
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            state.lines += 1;
            if wanted(line) {
                if let Ok(line) = serde_json::from_slice::<StateLine>(line) {
                    state.apply(line);
                }
            }
        }
        state
    }

    fn apply(&mut self, line: StateLine) {
        match line {
            StateLine::Good { stage, good } => {
                let history = self.stages.entry(stage).or_default();
                history.failure = None;
                history.invalidated = false;
                history.good.retain(|known| known.key != good.key);
                history.good.push(good);
                if history.good.len() > KEPT {
                    history.good.remove(0);
                }
            }
            StateLine::Failed { stage, failure } => {
                self.stages.entry(stage).or_default().failure = Some(failure);
            }
            StateLine::Invalidated { stage } => {
                self.stages.entry(stage).or_default().invalidated = true
            }
        }
    }

    pub fn history(&self, stage: &str) -> Option<&History> {
        self.stages.get(stage)
    }

    /// Digest of the log, if it holds what is known here and nothing else.
    pub fn digest(&self) -> Option<Digest> {
        let (_, hasher) = self.known.as_ref()?;
        Some(Digest(*hasher.finalize().as_bytes()))
    }

    /// Adds lines to the log.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn append(&mut self, lines: Vec<StateLine>) -> Result<(), StoreError> {
        let mut text = String::new();
        for line in lines {
            let written = serde_json::to_string(&line)
                .map_err(|error| StoreError::Other(error.to_string()))?;
            text.push_str(&written);
            text.push('\n');
            self.lines += 1;
            self.apply(line);
        }
        if text.is_empty() {
            return Ok(());
        }
        let known = self.known.take();
        let mut write = || -> std::io::Result<u64> {
            if let Some(folder) = self.path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let mut file = self.open()?;
            // A line cut short by a crash must not swallow the next one.
            let length = file.metadata()?.len();
            if length > 0 {
                file.seek(std::io::SeekFrom::Start(length - 1))?;
                let mut last = [0];
                file.read_exact(&mut last)?;
                if last != *b"\n" {
                    text.insert(0, '\n');
                }
            }
            file.write_all(text.as_bytes())?;
            Ok(length)
        };
        let length = write().map_err(|error| StoreError::io(&self.path, error))?;
        self.known = known
            .filter(|(known, _)| *known == length)
            .map(|(_, mut hasher)| {
                hasher.update(text.as_bytes());
                (length + text.len() as u64, hasher)
            });
        Ok(())
    }

    /// Opens the log for appending, locked against a compaction by another process.
    fn open(&self) -> std::io::Result<std::fs::File> {
        use std::os::unix::fs::MetadataExt;
        loop {
            let file = std::fs::OpenOptions::new()
                .read(true)
                .append(true)
                .create(true)
                .open(&self.path)?;
            rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
            let current = std::fs::metadata(&self.path);
            if current
                .is_ok_and(|current| file.metadata().is_ok_and(|own| own.ino() == current.ino()))
            {
                return Ok(file);
            }
        }
    }

    /// Rewrites the log when most of it is history that nothing needs.
    pub fn compact(&mut self) {
        let needed: usize = self
            .stages
            .values()
            .map(|history| history.good.len() + 2)
            .sum();
        if self.partial || self.lines < 200 || self.lines < needed * 4 {
            return;
        }
        let Ok(locked) = self.open() else { return };
        self.known = None;
        let fresh = State::load(self.path.parent().unwrap_or(Path::new(".")));
        let mut names: Vec<&String> = fresh.stages.keys().collect();
        names.sort();
        let mut text = String::new();
        for name in names {
            let history = &fresh.stages[name];
            let good = history.good.iter().map(|good| StateLine::Good {
                stage: name.clone(),
                good: good.clone(),
            });
            let failed = history.failure.iter().map(|failure| StateLine::Failed {
                stage: name.clone(),
                failure: failure.clone(),
            });
            let invalidated = history.invalidated.then(|| StateLine::Invalidated {
                stage: name.clone(),
            });
            for line in good.chain(failed).chain(invalidated) {
                text.push_str(&serde_json::to_string(&line).unwrap_or_default());
                text.push('\n');
            }
        }
        let temporary = self.path.with_extension("new");
        let written =
            std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, &self.path));
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        drop(locked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A partial load reads what a whole one reads, of the stages asked for.
    #[test]
    fn some_stages_are_read_as_all_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let good = |key: &str| Good {
            key: ActionKey(key.to_string()),
            run: "1".to_string(),
            template: Some("\"stage\":\"b\"".to_string()),
            upstream: BTreeMap::new(),
        };
        let failure = Failure {
            run: "2".to_string(),
            key: None,
            message: "no\nway".to_string(),
        };
        let names = ["a", "b", "with \"quotes\"", "back\\slash", "ü"];
        let lines = names.iter().enumerate().flat_map(|(number, name)| {
            let stage = (*name).to_string();
            [
                StateLine::Good {
                    stage: stage.clone(),
                    good: good(&number.to_string()),
                },
                StateLine::Failed {
                    stage: stage.clone(),
                    failure: failure.clone(),
                },
                StateLine::Invalidated { stage },
            ]
        });
        let mut state = State::load(folder.path());
        state.append(lines.collect()).expect("written");
        let all = State::load(folder.path());
        for name in names {
            let some = State::load_for(folder.path(), &[name].into());
            assert!(some.history(name).is_some(), "{name}");
            assert_eq!(some.history(name), all.history(name), "{name}");
            assert_eq!(some.digest(), all.digest());
            let escaped = names.iter().filter(|name| name.contains(['"', '\\']));
            assert!(some.stages.len() <= 1 + escaped.count(), "{name}");
        }
    }
}
