//! `nanoflow log`

use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::events::{read_journal, Event};
use crate::exec::{log_path, Project};
use crate::flow::StageId;
use crate::store::{holder, State};

use super::output::{print_bytes, print_json};
use super::{CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A stage or alias
    pub stage: String,
    /// Go on as long as the stage runs; wait for it if the run has not come to it yet
    #[arg(short, long)]
    pub follow: bool,
    /// The global option of this name, here without its short form, which means --follow
    #[arg(
        long = "file",
        value_name = "FILE",
        default_value = "flow.yaml",
        hide = true
    )]
    pub file: PathBuf,
}

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    let project = global.open()?;
    let id = super::one_stage(&project, &arguments.stage)?;
    let name = &project.flow.stage(id).name;
    if arguments.follow {
        if let Some(run) = holder(project.store.root()).and_then(|holder| holder.run) {
            if Follow::new(&project, name, run, global.json).until_the_end(global.quiet) {
                return Ok(0);
            }
        }
    }
    let (run, bytes) = last_log(&project, id).ok_or_else(|| {
        CliError::Failed(format!(
            "stage '{name}' has not run yet, so there is no log"
        ))
    })?;
    show(global.json, name, &run, &bytes);
    Ok(0)
}

fn show(json: bool, stage: &str, run: &str, bytes: &[u8]) {
    if json {
        print_json(&json!({ "stage": stage, "run": run, "log": String::from_utf8_lossy(bytes) }));
    } else {
        print_bytes(bytes);
    }
}

/// The log of one stage of a run that goes on.
struct Follow<'a> {
    project: &'a Project,
    stage: &'a str,
    run: String,
    json: bool,
    log: PathBuf,
    /// Bytes shown so far.
    shown: u64,
    /// Length of the journal when it was read last, and whether the stage had ended then.
    journal: (u64, bool),
}

/// How often a log is looked at.
const PAUSE: Duration = Duration::from_millis(100);

impl<'a> Follow<'a> {
    fn new(project: &'a Project, stage: &'a str, run: String, json: bool) -> Self {
        Follow {
            log: log_path(project, &run, stage),
            project,
            stage,
            run,
            json,
            shown: 0,
            journal: (0, false),
        }
    }

    /// Shows the log until the stage or the run ends. False if the stage did not run.
    fn until_the_end(&mut self, quiet: bool) -> bool {
        let mut told = quiet;
        loop {
            // Looked at first, so that nothing written before the end is missed.
            let over = self.stage_ended() || !self.run_goes_on();
            self.show_new(over);
            if over {
                return self.log.exists();
            }
            if !told && !self.log.exists() {
                told = true;
                eprintln!("waiting for '{}' to start", self.stage);
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn run_goes_on(&self) -> bool {
        holder(self.project.store.root())
            .and_then(|holder| holder.run)
            .as_ref()
            == Some(&self.run)
    }

    fn stage_ended(&mut self) -> bool {
        let folder = self.project.store.runs().join(&self.run);
        let length = folder
            .join("journal.jsonl")
            .metadata()
            .map_or(0, |found| found.len());
        if length != self.journal.0 {
            let ended = read_journal(&folder).iter().any(
                |event| matches!(event, Event::StageFinished { stage, .. } if stage == self.stage),
            );
            self.journal = (length, ended);
        }
        self.journal.1
    }

    /// Shows what was added. As JSON, whole lines only until the end.
    fn show_new(&mut self, end: bool) {
        let mut bytes = Vec::new();
        let read = std::fs::File::open(&self.log).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.shown))?;
            file.read_to_end(&mut bytes)
        });
        if read.is_err() {
            return;
        }
        if self.json && !end {
            let whole = bytes.iter().rposition(|byte| *byte == b'\n');
            bytes.truncate(whole.map_or(0, |last| last + 1));
        }
        if !bytes.is_empty() {
            self.shown += bytes.len() as u64;
            show(self.json, self.stage, &self.run, &bytes);
        }
    }
}

/// Output of the last try: of the run that goes on, else of a failed one, else of the last good one.
fn last_log(project: &Project, id: StageId) -> Option<(String, Vec<u8>)> {
    let name = &project.flow.stage(id).name;
    let read = |run: &str| {
        Some((
            run.to_string(),
            std::fs::read(log_path(project, run, name)).ok()?,
        ))
    };
    let going_on = holder(project.store.root())
        .and_then(|holder| holder.run)
        .and_then(|run| read(&run));
    if going_on.is_some() {
        return going_on;
    }
    let state = State::load(project.store.root());
    let history = state.history(name)?;
    if let Some(failure) = &history.failure {
        if let Some(found) = read(&failure.run) {
            return Some(found);
        }
    }
    let good = history.last()?;
    if let Some(found) = read(&good.run) {
        return Some(found);
    }
    // The run's folder is gone; the log is kept with the result.
    let action = project.store.action(&good.key)?;
    let bytes = match action.log {
        Some(digest) => std::fs::read(project.store.object_path(&digest)).ok()?,
        None => Vec::new(),
    };
    Some((good.run.clone(), bytes))
}
