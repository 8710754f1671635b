//! One try of one stage, from its empty work directory to its recorded result.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use crate::flow::StageId;
use crate::store::{
    Action, Content, Fresh, Kind, Measured, OutputRecord, Tree, TreeEntry, Unsynced,
};

use super::child::{self, Progress, Start, Stop};
use super::plan::Resolved;
use super::schedule::log_path;
use super::supervise::Ended;
use super::work::{self, Failed};
use super::Project;

pub struct Attempt {
    pub project: Arc<Project>,
    pub id: StageId,
    pub resolved: Arc<Resolved>,
    pub run: String,
    pub threads: usize,
    /// Keep the result.
    pub record: bool,
}

/// What came of a try.
pub struct Done {
    /// A good result is in the store, whole but not recorded yet.
    pub result: Result<Fresh, Failed>,
    pub seconds: f64,
}

/// Runs the stage and keeps its result.
pub async fn run(
    attempt: Attempt,
    stop: watch::Receiver<Stop>,
    progress: impl Fn(Progress),
) -> Done {
    let started = Instant::now();
    let attempt = Arc::new(attempt);
    let work = attempt
        .project
        .store
        .work(&attempt.project.flow.stage(attempt.id).name);
    let result = try_run(&attempt, &work, stop, progress).await;
    let result = match result {
        Ok(measured) => {
            let (attempt, work) = (attempt.clone(), work.clone());
            blocking(move || keep(&attempt, &work, measured)).await
        }
        Err(failed) => Err(failed),
    };
    let cleared = work.clone();
    let _ = tokio::task::spawn_blocking(move || work::clear(&cleared)).await;
    Done {
        result,
        seconds: started.elapsed().as_secs_f64(),
    }
}

/// Work that waits for disks, off the deciding thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failed> + Send + 'static,
) -> Result<T, Failed> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Failed::stage(format!(
            "nanoflow itself is at fault: {error}"
        ))),
    }
}

async fn try_run(
    attempt: &Arc<Attempt>,
    work: &Path,
    stop: watch::Receiver<Stop>,
    progress: impl Fn(Progress),
) -> Result<Measured, Failed> {
    let started = Instant::now();
    let project = &attempt.project;
    let log = log_path(project, &attempt.run, &project.flow.stage(attempt.id).name);
    let commands = {
        let (attempt, work, log) = (attempt.clone(), work.to_path_buf(), log.clone());
        blocking(move || {
            work::start_log(&log)?;
            work::prepare(&attempt.project, attempt.id, &attempt.resolved, &work)?;
            work::commands(
                &attempt.project,
                attempt.id,
                &attempt.resolved,
                &work,
                attempt.threads,
            )
        })
        .await?
    };
    let mut measured = Measured::default();
    for argv in commands {
        if *stop.borrow() != Stop::No {
            return Err(Failed::Interrupted);
        }
        let program = argv
            .first()
            .map(|word| word.to_string_lossy().into_owned())
            .unwrap_or_default();
        let start = Start {
            argv,
            env: work::environment(project, work),
            dir: work.to_path_buf(),
            log: log.clone(),
        };
        let ended = child::run(start, stop.clone(), &progress)
            .await
            .map_err(|error| Failed::stage(format!("'{program}' could not be started: {error}")))?;
        measured.cpu_seconds += ended.cpu_seconds;
        measured.peak_memory_bytes = measured.peak_memory_bytes.max(ended.peak_memory_bytes);
        if *stop.borrow() != Stop::No {
            return Err(Failed::Interrupted);
        }
        if !ended.good() {
            let stage = &project.flow.stage(attempt.id).name;
            return Err(tell_failure(stage, &program, &ended, work, &log));
        }
    }
    measured.seconds = started.elapsed().as_secs_f64();
    Ok(measured)
}

/// The failure in words: what the stage told itself, else the last line of its log.
fn tell_failure(stage: &str, program: &str, ended: &Ended, work: &Path, log: &Path) -> Failed {
    if let Some(told) = work::told_failure(work) {
        return Failed::Stage {
            message: told.message,
            hint: told.hint,
            kind: Some(told.failure),
        };
    }
    let program = match program {
        "/bin/sh" => "the command",
        "/proc/self/exe" => "the plugin",
        other => other,
    };
    let text = std::fs::read(log).unwrap_or_default();
    let tail = String::from_utf8_lossy(&text[text.len().saturating_sub(2000)..]).into_owned();
    let last = tail
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default()
        .to_string();
    let mut message = format!("{program}: {}", ended.tell());
    if !last.is_empty() {
        let short: String = last.chars().take(300).collect();
        message.push_str(&format!("; it said: {short}"));
    }
    Failed::Stage {
        message,
        hint: Some(format!("'nanoflow log {stage}' shows all that it printed")),
        kind: None,
    }
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
pub async fn compare(
    attempt: Attempt,
    action: Arc<Action>,
    stop: watch::Receiver<Stop>,
) -> Result<Vec<(String, String)>, Failed> {
    let attempt = Arc::new(attempt);
    debug_assert!(!attempt.record);
    let work = attempt
        .project
        .store
        .work(&attempt.project.flow.stage(attempt.id).name);
    let result = match try_run(&attempt, &work, stop, |_| {}).await {
        Ok(_) => {
            let (attempt, work) = (attempt.clone(), work.clone());
            blocking(move || {
                let made = work::collect(&attempt.project, attempt.id, &attempt.resolved, &work)?;
                let mut differences = Vec::new();
                for (name, (path, content)) in &made.outputs {
                    let Some(record) = action.outputs.get(name) else {
                        continue;
                    };
                    if content.digest != record.digest {
                        differences.push((
                            name.clone(),
                            difference(&attempt.project, record, path, content),
                        ));
                    }
                }
                Ok(differences)
            })
            .await
        }
        Err(failed) => Err(failed),
    };
    work::clear(&work);
    result
}

/// The first place in which an output differs.
fn difference(project: &Project, record: &OutputRecord, path: &Path, content: &Content) -> String {
    if record.kind != content.kind {
        return format!("in kind: {:?}, then {:?}", record.kind, content.kind);
    }
    let store = &project.store;
    let (Kind::Directory, Some(new)) = (record.kind, &content.tree) else {
        return first_byte(&store.object_path(&record.digest), path);
    };
    let old: Tree = store.tree(&record.digest).unwrap_or_default();
    let names = |tree: &Tree| -> std::collections::BTreeMap<String, TreeEntry> {
        tree.entries
            .iter()
            .map(|entry| (entry.path().to_string(), entry.clone()))
            .collect()
    };
    let (old, new) = (names(&old), names(new));
    for name in old
        .keys()
        .chain(new.keys())
        .collect::<std::collections::BTreeSet<_>>()
    {
        match (old.get(name), new.get(name)) {
            (Some(before), Some(after)) if before == after => {}
            (Some(before), Some(after)) => {
                let file: PathBuf = path.join(crate::store::decode_path(name));
                return match (before.file(), after.file()) {
                    (Some((digest, _)), Some(_)) => format!(
                        "in {name} {}",
                        first_byte(&store.object_path(&digest), &file)
                    ),
                    _ => format!("in the kind of {name}"),
                };
            }
            (Some(_), None) => return format!("in {name}, which was not written the second time"),
            _ => return format!("in {name}, which was written only the second time"),
        }
    }
    "in its listing".to_string()
}

/// `at byte 17 (line 2)`, counted from 1 as `cmp` does.
fn first_byte(old: &Path, new: &Path) -> String {
    let (old, new) = (
        std::fs::read(old).unwrap_or_default(),
        std::fs::read(new).unwrap_or_default(),
    );
    let place = old
        .iter()
        .zip(&new)
        .position(|(a, b)| a != b)
        .unwrap_or(old.len().min(new.len()));
    let line = old
        .iter()
        .take(place)
        .filter(|byte| **byte == b'\n')
        .count()
        + 1;
    format!(
        "at byte {} (line {line}; sizes {} and {})",
        place + 1,
        old.len(),
        new.len()
    )
}
