//! What happens in a run, as one typed stream. Everything that shows or keeps a run only reads these.

mod journal;
mod json;
mod live;
mod terminal;
mod trace;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub use journal::{new_run_id, read_journal, read_timed_journal, utc, JournalWriter};
pub use json::JsonLines;
pub use live::{read_live, Live, Reached};
pub use terminal::{Terminal, Verbosity};
pub use trace::Trace;

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Executed,
    Cached,
    Remote,
    Failed,
    Skipped,
}

/// One thing that happened. The words and fields are part of the command line's contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    RunStarted {
        run: String,
        /// Seconds since 1970.
        time: f64,
        stages: usize,
        command: Vec<String>,
    },
    /// Only of a dry run: what would happen.
    StagePlanned {
        stage: String,
        /// `run`, `cached`, `maybe` (its inputs are not known yet), `skipped` (a gate holds it back) or `tool-missing`.
        action: String,
        reason: Option<Json>,
    },
    /// Something that may go wrong with a stage, told before it starts.
    StageWarning {
        stage: String,
        message: String,
    },
    StageStarted {
        stage: String,
        key: String,
    },
    StageProgress {
        stage: String,
        done: f64,
        total: Option<f64>,
        unit: Option<String>,
        note: Option<String>,
    },
    /// `sandbox: report`: a stage reached for what is not its own.
    StageReached {
        stage: String,
        /// Such as `reading /tmp/x`.
        what: String,
        path: String,
        /// The line to add to the flow file.
        hint: String,
    },
    StageFinished {
        stage: String,
        outcome: Outcome,
        seconds: f64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// Why it failed or was skipped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
        /// Whose fault a failure is, if the stage said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
    },
    GateFailed {
        stage: String,
        metric: String,
        value: Json,
        min: Option<f64>,
        max: Option<f64>,
        message: String,
    },
    /// `--twice`: the second time something else came out.
    StageDiffers {
        stage: String,
        output: String,
        place: String,
    },
    RunFinished {
        run: String,
        executed: usize,
        cached: usize,
        remote: usize,
        failed: usize,
        skipped: usize,
        gates_failed: usize,
        seconds: f64,
        exit: u8,
    },
}

/// Seconds since 1970.
pub fn now() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// Something that shows or keeps events.
pub trait Sink {
    fn event(&mut self, event: &Event);

    /// `count` stages that were found in the cache, as the JSON lines of their events.
    fn cached(&mut self, lines: &[u8], _count: usize) {
        for line in lines.split(|byte| *byte == b'\n') {
            if let Ok(event) = serde_json::from_slice::<Event>(line) {
                self.event(&event);
            }
        }
    }
}

/// Gives every event to every sink, in order.
#[derive(Default)]
pub struct Events {
    sinks: Vec<Box<dyn Sink>>,
}

impl Events {
    pub fn add(&mut self, sink: impl Sink + 'static) {
        self.sinks.push(Box::new(sink));
    }
    pub fn emit(&mut self, event: &Event) {
        for sink in &mut self.sinks {
            sink.event(event);
        }
    }
    /// Tells of many cached stages in one go.
    pub fn emit_cached(&mut self, lines: &[u8], count: usize) {
        for sink in &mut self.sinks {
            sink.cached(lines, count);
        }
    }
}
