//! One try of one stage, from its empty work directory to its recorded result.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::flow::StageId;
use crate::store::{Action, Fresh, Measured, Unsynced};

use super::allowed;
use super::child::{self, Progress, Start};
use super::difference;
use super::plan::Resolved;
use super::sandbox::{self, Reached};
use super::schedule::log_path;
use super::stop::{Stop, Stopper};
use super::supervise::{Ended, Order};
use super::work::{self, Failed};
use super::Project;

pub struct Attempt {
    pub project: Arc<Project>,
    pub id: StageId,
    pub resolved: Arc<Resolved>,
    pub run: String,
    pub threads: usize,
}

/// What came of a try.
pub struct Done {
    /// A good result is in the store, whole but not recorded yet.
    pub result: Result<Fresh, Failed>,
    pub seconds: f64,
    /// What it reached for beyond what it may, where that is only told.
    pub reached: Vec<Told>,
}

/// Something that a stage reached for, in words, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub what: String,
    pub path: String,
    pub advice: String,
}

/// Runs the stage and keeps its result. `ended` is called once its processes have ended well and only the keeping is left.
pub fn run(
    attempt: &Attempt,
    stop: &Stopper,
    progress: impl Fn(Progress),
    ended: impl FnOnce(),
) -> Done {
    let started = Instant::now();
    let work = attempt
        .project
        .store
        .work(&attempt.project.flow.stage(attempt.id).name);
    let mut reached = Vec::new();
    let result = try_run(attempt, &work, stop, progress).and_then(|(measured, told)| {
        reached = told;
        ended();
        keep(attempt, &work, measured)
    });
    work::clear(&work);
    Done {
        result,
        seconds: started.elapsed().as_secs_f64(),
        reached,
    }
}

fn try_run(
    attempt: &Attempt,
    work: &Path,
    stop: &Stopper,
    progress: impl Fn(Progress),
) -> Result<(Measured, Vec<Told>), Failed> {
    let started = Instant::now();
    let project = &attempt.project;
    let log = log_path(project, &attempt.run, &project.flow.stage(attempt.id).name);
    work::start_log(&log)?;
    work::prepare(project, attempt.id, &attempt.resolved, work)?;
    let commands = work::commands(
        project,
        attempt.id,
        &attempt.resolved,
        work,
        attempt.threads,
    )?;
    let stage = project.flow.stage(attempt.id);
    let checkpoint = stage
        .checkpoint
        .then(|| work::checkpoint_folder(&project.store, &attempt.resolved.key.0));
    let confine = allowed::confine(project, attempt.id, work, checkpoint, &commands);
    let enforced = confine.as_ref().is_some_and(|confine| confine.enforce);
    let mut measured = Measured::default();
    let mut told = Vec::new();
    for argv in commands {
        if stop.level() != Stop::No {
            return Err(Failed::Interrupted);
        }
        let program = argv
            .first()
            .map(|word| word.to_string_lossy().into_owned())
            .unwrap_or_default();
        let order = Order {
            argv,
            env: work::environment(project, work),
            dir: work.to_path_buf(),
            confine: confine.clone(),
        };
        let start = Start {
            order,
            log: log.clone(),
        };
        let ended = child::run(&project.keeper, &start, stop, &progress)
            .map_err(|error| Failed::stage(format!("'{program}' could not be started: {error}")))?;
        measured.cpu_seconds += ended.cpu_seconds;
        measured.peak_memory_bytes = measured.peak_memory_bytes.max(ended.peak_memory_bytes);
        if stop.level() != Stop::No {
            return Err(Failed::Interrupted);
        }
        if enforced && ended.start_error.is_none() {
            allowed::tell_lacks(ended.watched);
        }
        let counts = ended.reached.iter().filter(|reached| !reached.in_passing);
        let counts: Vec<Told> = counts
            .map(|reached| put_in_words(attempt, reached))
            .collect();
        note_in_log(&log, enforced, &counts);
        let refused = enforced && !counts.is_empty();
        if refused || !ended.good() {
            return Err(tell_failure(
                attempt, &program, &ended, enforced, work, &log,
            ));
        }
        told.extend(counts);
    }
    measured.seconds = started.elapsed().as_secs_f64();
    Ok((measured, told))
}

fn put_in_words(attempt: &Attempt, reached: &Reached) -> Told {
    let project = &attempt.project;
    let stage = project.flow.stage(attempt.id);
    Told {
        what: sandbox::tell(reached),
        path: reached.path.clone(),
        advice: sandbox::advise(reached, &project.dir, &project.flow, stage),
    }
}

/// Adds what was reached for to the stage's log, where it is found later too.
fn note_in_log(log: &Path, enforced: bool, told: &[Told]) {
    let word = if enforced { "refused" } else { "noted" };
    let lines: String = told
        .iter()
        .map(|told| format!("nanoflow: the sandbox {word} {}\n", told.what))
        .collect();
    if lines.is_empty() {
        return;
    }
    let file = std::fs::File::options().append(true).open(log);
    if let Err(error) = file.and_then(|mut file| file.write_all(lines.as_bytes())) {
        tracing::warn!("{}: {error}", log.display());
    }
}

/// The failure in words: what the sandbox refused, else what the stage told itself, else the last line of its log.
fn tell_failure(
    attempt: &Attempt,
    program: &str,
    ended: &Ended,
    enforced: bool,
    work: &Path,
    log: &Path,
) -> Failed {
    let stage = &attempt.project.flow.stage(attempt.id).name;
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let refused = match enforced {
        true => refused(attempt, ended, &text),
        false => Vec::new(),
    };
    let counts = ended.reached.iter().any(|reached| !reached.in_passing);
    let told = work::told_failure(work).filter(|_| !counts || !enforced);
    let (message, mut hint, kind) = match told {
        Some(told) => (told.message, told.hint, Some(told.failure)),
        None => {
            let program = match program {
                "/bin/sh" => "the command",
                "/proc/self/exe" => "the plugin",
                other => other,
            };
            let mut message = format!("{program}: {}", ended.tell());
            if let Some(last) = last_line(&text) {
                message.push_str(&format!("; it said: {last}"));
            }
            let hint = format!("'nanoflow log {stage}' shows all that it printed");
            (message, Some(hint), None)
        }
    };
    let Some(first) = refused.first() else {
        return Failed::Stage {
            message,
            hint,
            kind,
        };
    };
    let more = match refused.len() {
        1 => String::new(),
        count => format!(" and {} more (see the log)", count - 1),
    };
    let seen = format!("the sandbox refused {}{more}", first.what);
    hint = Some(first.advice.clone());
    let message = match (counts, ended.good()) {
        (true, true) => format!("{seen}, though the stage went on"),
        (true, false) => format!("{seen}; {message}"),
        // It may have been something else that it failed for.
        (false, _) => format!("{message} ({seen})"),
    };
    Failed::Stage {
        message,
        hint,
        kind,
    }
}

/// What was refused, that which counts first; where the kernel tells of nothing, what the stage printed about it.
fn refused(attempt: &Attempt, ended: &Ended, log: &str) -> Vec<Told> {
    let mut reached = ended.reached.clone();
    reached.sort_by_key(|reached| (reached.in_passing, reached.access != sandbox::Access::Look));
    if reached.is_empty() {
        let found = sandbox::told_in_log(log).filter(|_| !ended.watched);
        reached.extend(found.map(|path| Reached {
            access: sandbox::Access::Read,
            path,
            in_passing: true,
        }));
    }
    reached
        .iter()
        .map(|reached| put_in_words(attempt, reached))
        .collect()
}

fn last_line(log: &str) -> Option<String> {
    let lines = log.lines().rev().map(str::trim);
    let mut lines =
        lines.filter(|line| !line.is_empty() && !line.starts_with("nanoflow: the sandbox "));
    lines.next().map(|line| line.chars().take(300).collect())
}

/// Moves what the stage made into the store.
fn keep(attempt: &Attempt, work: &Path, measured: Measured) -> Result<Fresh, Failed> {
    let Attempt {
        project,
        id,
        resolved,
        run,
        ..
    } = attempt;
    let made = work::collect(project, *id, resolved, work)?;
    let mut unsynced = Unsynced::default();
    let outputs = work::keep(project, &made, &mut unsynced)?;
    let stage = &project.flow.stage(*id).name;
    let log = work::keep_log(project, &log_path(project, run, stage), &mut unsynced)?;
    let action = Arc::new(Action {
        key: resolved.key.clone(),
        stage: stage.clone(),
        run: run.clone(),
        outputs,
        metrics: made.metrics,
        measured,
        log,
        preimage: resolved.preimage.clone(),
    });
    Ok(Fresh { action, unsynced })
}

/// Runs the stage again, keeps nothing, and tells where its outputs differ from the recorded ones.
pub fn compare(
    attempt: &Attempt,
    action: &Action,
    stop: &Stopper,
) -> Result<Vec<(String, String)>, Failed> {
    let project = &attempt.project;
    let work = project.store.work(&project.flow.stage(attempt.id).name);
    let result = try_run(attempt, &work, stop, |_| {}).and_then(|_| {
        let made = work::collect(project, attempt.id, &attempt.resolved, &work)?;
        let mut differences = Vec::new();
        for (name, (path, content)) in &made.outputs {
            let Some(record) = action.outputs.get(name) else {
                continue;
            };
            if content.digest != record.digest {
                let place = difference::of_outputs(&project.store, record, path, content);
                differences.push((name.clone(), place));
            }
        }
        Ok(differences)
    });
    work::clear(&work);
    result
}
