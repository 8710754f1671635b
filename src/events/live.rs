//! How far the running stages are, for a look from another terminal: `cache/runs/<id>/live.json`, written anew a few times a
//! second at most, and only while some stage tells its progress.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Event, Sink};

/// What a running stage told last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    pub done: f64,
    pub total: Option<f64>,
    pub unit: Option<String>,
    pub note: Option<String>,
}

impl Reached {
    /// `10/300 step, loss 2.31`
    pub fn tell(&self) -> String {
        let mut text = self.done.to_string();
        if let Some(total) = self.total {
            text.push_str(&format!("/{total}"));
        }
        if let Some(unit) = &self.unit {
            text.push_str(&format!(" {unit}"));
        }
        if let Some(note) = self.note.as_ref().filter(|note| !note.is_empty()) {
            text.push_str(&format!(", {note}"));
        }
        text
    }
}

/// Least time between two writes.
const PAUSE: Duration = Duration::from_millis(200);

/// Keeps the file true while the run goes on.
pub struct Live {
    path: PathBuf,
    stages: BTreeMap<String, Reached>,
    written: Option<Instant>,
}

impl Live {
    /// For the run whose folder this is.
    pub fn new(folder: &Path) -> Live {
        Live {
            path: folder.join("live.json"),
            stages: BTreeMap::new(),
            written: None,
        }
    }

    fn write(&mut self) {
        let temporary = self.path.with_extension("new");
        let written = serde_json::to_vec(&self.stages)
            .map_err(std::io::Error::other)
            .and_then(|text| std::fs::write(&temporary, text))
            .and_then(|()| std::fs::rename(&temporary, &self.path));
        if let Err(error) = written {
            tracing::debug!("{}: {error}", self.path.display());
        }
        self.written = Some(Instant::now());
    }
}

impl Sink for Live {
    /// They never ran.
    fn cached(&mut self, _lines: &[u8], _count: usize) {}

    fn event(&mut self, event: &Event) {
        match event {
            Event::StageProgress {
                stage,
                done,
                total,
                unit,
                note,
            } => {
                let reached = Reached {
                    done: *done,
                    total: *total,
                    unit: unit.clone(),
                    note: note.clone(),
                };
                self.stages.insert(stage.clone(), reached);
                if self.written.is_none_or(|last| last.elapsed() >= PAUSE) {
                    self.write();
                }
            }
            Event::StageFinished { stage, .. } => {
                self.stages.remove(stage);
            }
            Event::RunFinished { .. } if self.written.is_some() => {
                let _ = std::fs::remove_file(&self.path);
            }
            _ => {}
        }
    }
}

/// What the stages of a run told last; nothing if none has told anything.
pub fn read_live(folder: &Path) -> BTreeMap<String, Reached> {
    let text = std::fs::read(folder.join("live.json")).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}
