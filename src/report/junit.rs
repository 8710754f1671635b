//! A run as a JUnit file for continuous integration: each stage is a test case, a failed stage and a failed gate are failures.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::events::{utc, Event, Outcome, Sink};
use crate::flow::quote::markup;

/// Run and stage → the end of the stage's log.
pub type LogTail = Box<dyn Fn(&str, &str) -> Option<String>>;

/// Writes the file when the run ends.
pub struct Junit {
    path: PathBuf,
    file: Option<File>,
    suite: Suite,
    log: LogTail,
}

impl Junit {
    /// Makes the file. `flow` names the suite, `log` gives the end of a failed stage's log.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: &Path, flow: &str, log: LogTail) -> std::io::Result<Junit> {
        Ok(Junit {
            path: path.to_path_buf(),
            file: Some(File::create(path)?),
            suite: Suite {
                name: flow.to_string(),
                ..Suite::default()
            },
            log,
        })
    }
}

impl Sink for Junit {
    fn event(&mut self, event: &Event) {
        if let Event::StageFinished {
            stage,
            outcome: Outcome::Failed,
            ..
        } = event
        {
            let tail = (self.log)(&self.suite.run, stage);
            self.suite.event(event);
            if let Some(case) = self.suite.case(stage) {
                case.log = tail;
            }
            return;
        }
        self.suite.event(event);
        if matches!(event, Event::RunFinished { .. }) {
            let Some(mut file) = self.file.take() else {
                return;
            };
            if let Err(error) = file.write_all(self.suite.xml().as_bytes()) {
                eprintln!("warning: {}: {error}", self.path.display());
            }
        }
    }
}

/// One stage.
#[derive(Debug, Clone, PartialEq)]
struct Case {
    stage: String,
    seconds: f64,
    outcome: Outcome,
    /// What the failures are: `stage-failed`, `gate-failed` or `not-reproducible`, and each in words.
    failures: Vec<(&'static str, String)>,
    /// Why it was skipped.
    skipped: Option<String>,
    log: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Suite {
    name: String,
    run: String,
    begun: f64,
    seconds: f64,
    cases: Vec<Case>,
}

impl Suite {
    fn case(&mut self, stage: &str) -> Option<&mut Case> {
        self.cases.iter_mut().rev().find(|case| case.stage == stage)
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { run, time, .. } => {
                self.run.clone_from(run);
                self.begun = *time;
            }
            Event::StageFinished {
                stage,
                outcome,
                seconds,
                message,
                hint,
                ..
            } => {
                let mut text = message.clone().unwrap_or_default();
                if let Some(hint) = hint {
                    let _ = write!(text, "\nhint: {hint}");
                }
                let failed = *outcome == Outcome::Failed;
                self.cases.push(Case {
                    stage: stage.clone(),
                    seconds: *seconds,
                    outcome: *outcome,
                    failures: if failed {
                        vec![("stage-failed", text.clone())]
                    } else {
                        Vec::new()
                    },
                    skipped: (*outcome == Outcome::Skipped).then_some(text),
                    log: None,
                });
            }
            Event::GateFailed { stage, message, .. } => {
                if let Some(case) = self.case(stage) {
                    case.failures
                        .push(("gate-failed", format!("gate: {message}")));
                }
            }
            Event::StageDiffers {
                stage,
                output,
                place,
            } => {
                if let Some(case) = self.case(stage) {
                    let text = format!("not reproducible: output '{output}' differs {place}");
                    case.failures.push(("not-reproducible", text));
                }
            }
            Event::RunFinished { seconds, .. } => self.seconds = *seconds,
            _ => {}
        }
    }

    fn xml(&self) -> String {
        let failures = self
            .cases
            .iter()
            .filter(|case| !case.failures.is_empty())
            .count();
        let skipped = self
            .cases
            .iter()
            .filter(|case| case.skipped.is_some())
            .count();
        let name = markup(&self.name);
        let counts = format!(
            "tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"{:.3}\"",
            self.cases.len(),
            self.seconds
        );
        let time = utc(self.begun);
        let mut out = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{name}\" {counts}>\n  \
             <testsuite name=\"{name}\" {counts} timestamp=\"{}\" hostname=\"localhost\">\n",
            time.trim_end_matches('Z')
        );
        for case in &self.cases {
            write_case(&mut out, &name, case);
        }
        out.push_str("  </testsuite>\n</testsuites>\n");
        out
    }
}

fn write_case(out: &mut String, suite: &str, case: &Case) {
    let _ = write!(
        out,
        "    <testcase classname=\"{suite}\" name=\"{}\" time=\"{:.3}\"",
        markup(&case.stage),
        case.seconds
    );
    let mut inner = String::new();
    if let Some(reason) = &case.skipped {
        let _ = writeln!(inner, "      <skipped message=\"{}\"/>", markup(reason));
    }
    // The schema allows one failure in a test case.
    if let Some((kind, first)) = case.failures.first() {
        let all: Vec<&str> = case
            .failures
            .iter()
            .map(|(_, text)| text.as_str())
            .collect();
        let line = first.lines().next().unwrap_or_default();
        let _ = writeln!(
            inner,
            "      <failure type=\"{kind}\" message=\"{}\">{}</failure>",
            markup(line),
            markup(&all.join("\n"))
        );
    }
    if let Some(log) = case.log.as_ref().filter(|log| !log.is_empty()) {
        let _ = writeln!(inner, "      <system-out>{}</system-out>", markup(log));
    }
    if inner.is_empty() {
        out.push_str("/>\n");
    } else {
        let _ = writeln!(out, ">\n{inner}    </testcase>");
    }
}
