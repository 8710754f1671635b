//! Events for people, on standard error: a bar for each running stage on a terminal, plain lines elsewhere.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::{Event, Outcome, Sink};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    Quiet,
    Normal,
    Verbose,
}

pub struct Terminal {
    verbosity: Verbosity,
    color: bool,
    bars: Option<MultiProgress>,
    running: HashMap<String, ProgressBar>,
    /// The slowest-changing thing: one line for the whole run.
    whole: Option<ProgressBar>,
}

impl Terminal {
    pub fn new(verbosity: Verbosity, color: bool) -> Terminal {
        let bars = (std::io::stderr().is_terminal() && verbosity > Verbosity::Quiet)
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        Terminal {
            verbosity,
            color,
            bars,
            running: HashMap::new(),
            whole: None,
        }
    }

    fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => {
                let _ = bars.println(text);
            }
            None => {
                // One write for each line: those of other programs do not come between. A closed pipe is no reason to stop.
                let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
            }
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_string()
        }
    }

    fn started(&mut self, stage: &str) {
        match &self.bars {
            Some(bars) => {
                let bar = bars.add(ProgressBar::new_spinner());
                bar.set_style(style("{spinner} {prefix:<16} {elapsed:>4} {wide_msg}"));
                bar.set_prefix(stage.to_string());
                bar.enable_steady_tick(Duration::from_millis(150));
                self.running.insert(stage.to_string(), bar);
            }
            None if self.verbosity > Verbosity::Quiet => self.line(&format!("{stage}: started")),
            None => {}
        }
    }

    fn progress(
        &mut self,
        stage: &str,
        done: f64,
        total: Option<f64>,
        unit: Option<&str>,
        note: Option<&str>,
    ) {
        let Some(bar) = self.running.get(stage) else {
            return;
        };
        let unit = unit.unwrap_or("");
        if let Some(total) = total.filter(|total| *total > 0.0) {
            if bar.length().is_none() {
                let unit = unit.to_string();
                let template =
                    "{spinner} {prefix:<16} {elapsed:>4} [{bar:24}] {pos}/{len} {rate} eta {eta} {wide_msg}";
                bar.set_style(style(template).with_key(
                    "rate",
                    move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                        let _ = write!(out, "{:.1} {unit}/s", state.per_sec());
                    },
                ));
            }
            bar.set_length(total as u64);
        }
        bar.set_position(done as u64);
        bar.set_message(note.unwrap_or("").to_string());
    }

    fn finished(&mut self, event: &Event) {
        let Event::StageFinished {
            stage,
            outcome,
            seconds,
            message,
            hint,
            ..
        } = event
        else {
            return;
        };
        if let Some(bar) = self.running.remove(stage) {
            bar.finish_and_clear();
        }
        if let Some(whole) = &self.whole {
            whole.inc(1);
        }
        let shown = match outcome {
            Outcome::Failed => true,
            Outcome::Executed => self.verbosity > Verbosity::Quiet,
            Outcome::Cached | Outcome::Remote | Outcome::Skipped => {
                self.verbosity > Verbosity::Normal
            }
        };
        if !shown {
            return;
        }
        let (word, color) = match outcome {
            Outcome::Executed => ("done", "32"),
            Outcome::Cached => ("cached", "36"),
            Outcome::Remote => ("from remote", "36"),
            Outcome::Failed => ("failed", "31;1"),
            Outcome::Skipped => ("skipped", "33"),
        };
        let mut text = format!("{stage}: {}", self.paint(color, word));
        if *outcome == Outcome::Executed || (*outcome == Outcome::Failed && *seconds > 0.0) {
            text.push_str(&format!(" in {seconds:.1} s"));
        }
        if let Some(message) = message {
            text.push_str(&format!(": {message}"));
        }
        if let Some(hint) = hint {
            text.push_str(&format!("\n  hint: {hint}"));
        }
        self.line(&text);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

impl Sink for Terminal {
    fn cached(&mut self, lines: &[u8], count: usize) {
        if let Some(whole) = &self.whole {
            whole.inc(count as u64);
        }
        if self.verbosity > Verbosity::Normal {
            for line in lines.split(|byte| *byte == b'\n') {
                if let Ok(event) = serde_json::from_slice::<Event>(line) {
                    self.event(&event);
                }
            }
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { stages, .. } => {
                if let Some(bars) = &self.bars {
                    let whole = bars.add(ProgressBar::new(*stages as u64));
                    whole.set_style(style("{pos}/{len} stages {elapsed}"));
                    self.whole = Some(whole);
                }
            }
            Event::StagePlanned {
                stage,
                action,
                reason,
            } => {
                let why = reason
                    .as_ref()
                    .and_then(|reason| reason.get("text"))
                    .and_then(|text| text.as_str());
                if action != "cached" || self.verbosity > Verbosity::Normal {
                    self.line(&format!(
                        "{stage}: {action}{}",
                        why.map(|why| format!(" ({why})")).unwrap_or_default()
                    ));
                }
            }
            Event::StageWarning { stage, message } => {
                if self.verbosity > Verbosity::Quiet {
                    let word = self.paint("33;1", "warning");
                    self.line(&format!("{stage}: {word}: {message}"));
                }
            }
            Event::StageStarted { stage, .. } => self.started(stage),
            Event::StageProgress {
                stage,
                done,
                total,
                unit,
                note,
            } => {
                self.progress(stage, *done, *total, unit.as_deref(), note.as_deref());
            }
            Event::StageFinished { .. } => self.finished(event),
            Event::GateFailed { stage, message, .. } => {
                let word = self.paint("31;1", "gate failed");
                self.line(&format!("{stage}: {word}: {message}"));
            }
            Event::StageReached {
                stage, what, hint, ..
            } => {
                let word = self.paint("33", "the sandbox would refuse");
                self.line(&format!("{stage}: {word} {what}\n  hint: {hint}"));
            }
            Event::StageDiffers {
                stage,
                output,
                place,
            } => {
                let word = self.paint("31;1", "not reproducible");
                self.line(&format!(
                    "{stage}: {word}: output '{output}' differs {place}"
                ));
            }
            Event::RunFinished {
                executed,
                cached,
                remote,
                failed,
                skipped,
                gates_failed,
                seconds,
                ..
            } => {
                if let Some(whole) = self.whole.take() {
                    whole.finish_and_clear();
                }
                if self.verbosity == Verbosity::Quiet {
                    return;
                }
                let mut parts = vec![format!("{executed} executed"), format!("{cached} cached")];
                for (count, word) in [
                    (remote, "remote"),
                    (failed, "failed"),
                    (skipped, "skipped"),
                    (gates_failed, "gates failed"),
                ] {
                    if *count > 0 {
                        parts.push(format!("{count} {word}"));
                    }
                }
                self.line(&format!("{} in {seconds:.2} s", parts.join(", ")));
            }
        }
    }
}
