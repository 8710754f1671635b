//! A run: stages settled from the cache, the rest executed as their inputs and the tokens allow.
//!
//! What can be settled from the cache is settled first, in order and without any other thread; only if something is left to execute
//! others are started. All decisions are made in one place, by one thread; the others only do one stage's work and report.

mod commit;
mod drive;
mod priority;
mod signals;
mod twice;
mod workers;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::events::{Event, Events, Outcome};
use crate::flow::StageId;
use crate::gate::judge;
use crate::key::ActionKey;
use crate::store::{Action, Failure, Good, Memo, RestoreError, State, StateLine, StoreError};

use super::attempt::Done;
use super::plan::{lookup, resolve, Resolved};
use super::programs::Problem;
use super::snapshot::{self, Previous, Question, Settled};
use super::work::{drop_checkpoint, Failed};
use super::Project;
use commit::Committer;
use priority::{Past, Queue};

/// With fewer stages, reading their action files takes less time than opening the memo.
const MEMO_PAYS: usize = 256;

#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    pub run: String,
    pub command: Vec<String>,
    /// Tokens of cpu.
    pub jobs: usize,
    pub keep_going: bool,
    pub forced: BTreeSet<StageId>,
    /// Run every stage a second time and compare.
    pub twice: bool,
    /// What was asked, so that the answer "nothing changed" can be given at a glance next time.
    pub question: Option<Question>,
    /// The stages are a part of a flow.
    pub part: Option<Surroundings>,
}

/// What lies around the part of a flow that a run is about.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Results that the part reads.
    pub given: Vec<(StageId, ActionKey)>,
    /// Stages outside the part, all of them cached, and their events as JSON lines.
    pub count: usize,
    pub lines: Arc<Vec<u8>>,
    pub previous: Arc<Previous>,
}

/// What a run came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunReport {
    pub executed: usize,
    pub cached: usize,
    pub failed: usize,
    pub skipped: usize,
    pub gates_failed: usize,
    /// A stage failed for want of a program.
    pub tool_missing: bool,
    /// A stage failed otherwise, or came out differently the second time.
    pub stage_failed: bool,
    pub store_failed: bool,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the runtime cannot be started: {0}")]
    Runtime(std::io::Error),
    /// Only of a part of a flow: what lies around it is not what it was said to be.
    #[error("a result outside the part is damaged")]
    Around,
}

/// Where one stage of the run stands.
#[derive(Debug, Clone)]
enum Place {
    Waiting,
    Queued,
    Running,
    /// Waits for another stage with the same key.
    Shares,
    Finished {
        action: Option<Arc<Action>>,
        /// Dependents may run.
        passes: bool,
    },
}

struct Run<'a> {
    project: &'a Arc<Project>,
    state: &'a mut State,
    events: &'a mut Events,
    options: &'a RunOptions,
    order: Vec<StageId>,
    places: HashMap<StageId, Place>,
    resolved: HashMap<StageId, Arc<Resolved>>,
    queue: Queue,
    /// What past runs measured of the stages that are not settled yet.
    past: HashMap<StageId, Past>,
    sharing: HashMap<ActionKey, Vec<StageId>>,
    lines: Vec<StateLine>,
    committer: Option<Committer>,
    /// Results that the committer has, and what to note of their stages once they are recorded.
    waiting: VecDeque<(StageId, Arc<Action>, Option<StateLine>)>,
    /// Results recorded by this run.
    recorded: Vec<Arc<Action>>,
    /// Stages made again because a result of theirs was damaged.
    remade: BTreeSet<StageId>,
    report: RunReport,
    stopping: bool,
}

/// Brings the stages of `order` (closed under what they wait for) up to date. The caller holds the lock.
///
/// # Errors
/// The cache cannot be used.
pub fn run(
    project: &Arc<Project>,
    state: &mut State,
    events: &mut Events,
    order: &[StageId],
    options: &RunOptions,
) -> Result<RunReport, RunError> {
    let started = Instant::now();
    let mut run = Run {
        project,
        state,
        events,
        options,
        order: order.to_vec(),
        places: order.iter().map(|id| (*id, Place::Waiting)).collect(),
        resolved: HashMap::new(),
        queue: Queue::default(),
        past: HashMap::new(),
        sharing: HashMap::new(),
        lines: Vec::new(),
        committer: None,
        waiting: VecDeque::new(),
        recorded: Vec::new(),
        remade: BTreeSet::new(),
        report: RunReport::default(),
        stopping: false,
    };
    let time = crate::events::now();
    run.events.emit(&Event::RunStarted {
        run: options.run.clone(),
        time,
        stages: order.len() + options.part.as_ref().map_or(0, |part| part.count),
        command: options.command.clone(),
    });
    if let Some(part) = &options.part {
        run.take_given(part)?;
    }
    if order.len() >= MEMO_PAYS && Memo::exists(&project.store) {
        project.store.memo()?;
    }
    project
        .sources
        .read_ahead(&project.flow, order, &project.store.stat);
    for id in order {
        run.settle(*id)?;
    }
    run.write_state()?;
    if !run.queue.is_empty() {
        run.execute_queue()?;
    }
    run.skip_rest();
    if options.twice && run.report.signal.is_none() {
        run.second_pass()?;
    }
    run.write_state()?;
    run.index()?;
    run.state.compact();
    run.keep_snapshot();
    let report = run.report.clone();
    run.events.emit(&Event::RunFinished {
        run: options.run.clone(),
        executed: report.executed,
        cached: report.cached,
        remote: 0,
        failed: report.failed,
        skipped: report.skipped,
        gates_failed: report.gates_failed,
        seconds: started.elapsed().as_secs_f64(),
        exit: report.exit_code(),
    });
    Ok(report)
}

impl RunReport {
    /// The exit code: of those that apply the first of 5, 4, 1, 3; a signal before all.
    pub fn exit_code(&self) -> u8 {
        match self.signal {
            Some(signal) => u8::try_from(128 + signal).unwrap_or(130),
            None if self.store_failed => 5,
            None if self.tool_missing => 4,
            None if self.stage_failed => 1,
            None if self.gates_failed > 0 => 3,
            None => 0,
        }
    }
}

impl Run<'_> {
    fn take_given(&mut self, part: &Surroundings) -> Result<(), RunError> {
        for (id, key) in &part.given {
            let action = self.project.store.action(key).ok_or(RunError::Around)?;
            let place = Place::Finished {
                action: Some(action),
                passes: true,
            };
            self.places.insert(*id, place);
        }
        self.events.emit_cached(&part.lines, part.count);
        self.report.cached += part.count;
        Ok(())
    }

    fn name(&self, id: StageId) -> String {
        self.project.flow.stage(id).name.clone()
    }

    fn action_of(&self, id: StageId) -> Option<Arc<Action>> {
        match self.places.get(&id) {
            Some(Place::Finished { action, .. }) => action.clone(),
            _ => None,
        }
    }

    /// If all that a stage waits for is there, finds its result or queues it.
    fn settle(&mut self, id: StageId) -> Result<(), RunError> {
        if !matches!(self.places.get(&id), Some(Place::Waiting)) {
            return Ok(());
        }
        let ready = self.project.graph.upstream(id).all(|from| {
            matches!(
                self.places.get(&from),
                Some(Place::Finished {
                    action: Some(_),
                    passes: true
                })
            )
        });
        if !ready {
            return Ok(());
        }
        let resolved = match resolve(self.project, id, &|from| self.action_of(from), None) {
            Ok(Some(resolved)) => Arc::new(resolved),
            Ok(None) => return Ok(()),
            Err(problem) => {
                self.problem(id, problem);
                return Ok(());
            }
        };
        let name = self.name(id);
        let invalidated = self
            .state
            .history(&name)
            .is_some_and(|history| history.invalidated);
        let again = invalidated || self.options.forced.contains(&id) || self.remade.contains(&id);
        self.resolved.insert(id, resolved.clone());
        if !again {
            if let Some(action) = lookup(self.project, self.state, id, &resolved) {
                return self.found(id, &resolved, action);
            }
            if let Some(sharing) = self.sharing.get_mut(&resolved.key) {
                sharing.push(id);
                self.places.insert(id, Place::Shares);
                return Ok(());
            }
        }
        self.sharing.entry(resolved.key.clone()).or_default();
        self.places.insert(id, Place::Queued);
        self.queue.push(id);
        Ok(())
    }

    /// A result that was there already.
    fn found(
        &mut self,
        id: StageId,
        resolved: &Resolved,
        action: Arc<Action>,
    ) -> Result<(), RunError> {
        if self.project.store.action(&resolved.key).is_none() {
            // Content that was expected and is there: from now on it is known under this key too.
            self.project.store.record(Action::clone(&action))?;
        }
        match self.restore(id, &action) {
            Ok(()) => {}
            Err(RestoreError::Damaged(_)) => {
                self.project.store.drop_action(&resolved.key);
                return self.settle(id);
            }
            Err(RestoreError::Io { path, source }) => {
                return Err(StoreError::io(path, source).into())
            }
        }
        let line = self.finish_good(id, resolved, action, Outcome::Cached, 0.0);
        self.lines.extend(line);
        Ok(())
    }

    fn restore(&self, id: StageId, action: &Action) -> Result<(), RestoreError> {
        let stage = self.project.flow.stage(id);
        let folder = self.project.store.artifacts(&stage.name);
        for (name, output) in &stage.outputs {
            if let Some(record) = action.outputs.get(name) {
                self.project
                    .store
                    .restore(record, &folder.join(&output.path))?;
            }
        }
        Ok(())
    }

    /// Tells of a good end and judges it. Returns what is to be noted once the result is recorded.
    fn finish_good(
        &mut self,
        id: StageId,
        resolved: &Resolved,
        action: Arc<Action>,
        outcome: Outcome,
        seconds: f64,
    ) -> Option<StateLine> {
        let stage = self.project.flow.stage(id);
        match outcome {
            Outcome::Executed => self.report.executed += 1,
            _ => self.report.cached += 1,
        }
        let good = Good {
            key: action.key.clone(),
            run: if outcome == Outcome::Executed {
                self.options.run.clone()
            } else {
                action.run.clone()
            },
            template: resolved.template.clone(),
            upstream: resolved.upstream.clone(),
        };
        let history = self.state.history(&stage.name);
        let same = history.is_some_and(|history| {
            history.failure.is_none()
                && !history.invalidated
                && history.last().is_some_and(|last| *last == good)
        });
        let line = (!same).then(|| {
            self.drop_old_artifacts(id);
            StateLine::Good {
                stage: stage.name.clone(),
                good,
            }
        });
        self.events.emit(&Event::StageFinished {
            stage: stage.name.clone(),
            outcome,
            seconds,
            key: Some(action.key.to_string()),
            message: None,
            hint: None,
            failure: None,
        });
        let failed = judge(&stage.gates, &action.metrics);
        let mut passes = true;
        for gate in failed {
            passes &= gate.continues;
            self.report.gates_failed += 1;
            self.events.emit(&Event::GateFailed {
                stage: stage.name.clone(),
                metric: gate.metric.clone(),
                value: gate.value.clone(),
                min: gate.min,
                max: gate.max,
                message: gate.tell(),
            });
        }
        self.places.insert(
            id,
            Place::Finished {
                action: Some(action),
                passes,
            },
        );
        line
    }

    /// Removes what the stage's last result showed under names that are not declared any more.
    fn drop_old_artifacts(&self, id: StageId) {
        let stage = self.project.flow.stage(id);
        let last = self
            .state
            .history(&stage.name)
            .and_then(|history| history.last());
        let Some(action) = last.and_then(|good| self.project.store.action(&good.key)) else {
            return;
        };
        let folder = self.project.store.artifacts(&stage.name);
        let keep: BTreeSet<PathBuf> = stage
            .outputs
            .values()
            .map(|output| folder.join(&output.path))
            .collect();
        for place in action.preimage.outputs.values() {
            let old = folder.join(place.path.trim_end_matches('/'));
            // What lies at or inside an output of today was put right when that was restored.
            if !keep.iter().any(|path| old.starts_with(path)) {
                crate::store::remove_but(&old, &keep);
                // Folders in which nothing else lies go too.
                for parent in old.ancestors().skip(1) {
                    if !parent.starts_with(&folder) || std::fs::remove_dir(parent).is_err() {
                        break;
                    }
                }
            }
        }
    }

    fn problem(&mut self, id: StageId, problem: Problem) {
        let failed = match problem {
            Problem::Missing(missing) => Failed::Missing(missing),
            Problem::Input(message) => Failed::stage(message),
        };
        self.finish_failed(id, None, failed, 0.0);
    }

    fn finish_failed(&mut self, id: StageId, key: Option<ActionKey>, failed: Failed, seconds: f64) {
        let name = self.name(id);
        let (message, mut hint, kind) = match &failed {
            Failed::Stage {
                message,
                hint,
                kind,
            } => (message.clone(), hint.clone(), *kind),
            Failed::Missing(missing) => (missing.message.clone(), missing.hint.clone(), None),
            Failed::Store(error) => (error.to_string(), Some(error.advice().to_string()), None),
            other => (other.to_string(), None, None),
        };
        match &failed {
            Failed::Missing(_) => self.report.tool_missing = true,
            Failed::Store(_) => self.report.store_failed = true,
            Failed::Interrupted => {}
            _ => self.report.stage_failed = true,
        }
        if matches!(failed, Failed::Missing(_)) && hint.is_none() {
            hint = Some("'nanoflow doctor' tells what is missing".to_string());
        }
        self.report.failed += 1;
        self.places.insert(
            id,
            Place::Finished {
                action: None,
                passes: false,
            },
        );
        if !matches!(
            failed,
            Failed::Interrupted | Failed::Store(_) | Failed::Missing(_)
        ) {
            let failure = Failure {
                run: self.options.run.clone(),
                key: key.clone(),
                message: message.clone(),
            };
            self.lines.push(StateLine::Failed {
                stage: name.clone(),
                failure,
            });
        }
        self.events.emit(&Event::StageFinished {
            stage: name,
            outcome: Outcome::Failed,
            seconds,
            key: key.map(|key| key.to_string()),
            message: Some(message),
            hint,
            failure: kind.and_then(|kind| {
                serde_json::to_value(kind)
                    .ok()?
                    .as_str()
                    .map(str::to_string)
            }),
        });
        if !self.options.keep_going {
            self.stopping = true;
        }
    }

    fn write_state(&mut self) -> Result<(), RunError> {
        let lines = std::mem::take(&mut self.lines);
        Ok(self.state.append(lines)?)
    }

    /// Looks up what past runs measured of all that may run now, and puts the queue in order by it.
    fn prioritise(&mut self) {
        let open: Vec<StageId> = self
            .order
            .iter()
            .copied()
            .filter(|id| !matches!(self.places.get(id), Some(Place::Finished { .. })))
            .collect();
        for id in &open {
            let history = self.state.history(&self.project.flow.stage(*id).name);
            let last = history.and_then(|history| history.last());
            if let Some(action) = last.and_then(|good| self.project.store.action(&good.key)) {
                let past = Past {
                    seconds: action.measured.seconds,
                    peak_memory_bytes: action.measured.peak_memory_bytes,
                };
                self.past.insert(*id, past);
            }
        }
        let graph = &self.project.graph;
        let ranks = priority::ranks(&open, |id| graph.downstream(id), &self.past);
        self.queue.rank(ranks);
    }

    fn execute_queue(&mut self) -> Result<(), RunError> {
        self.prioritise();
        let driven = self.drive();
        if let Some(committer) = self.committer.take() {
            committer.finish()?;
            self.committed(self.waiting.len());
        }
        driven
    }

    /// So many of the waiting results are recorded now.
    fn committed(&mut self, count: usize) {
        for _ in 0..count.min(self.waiting.len()) {
            let Some((id, action, line)) = self.waiting.pop_front() else {
                return;
            };
            self.lines.extend(line);
            if self.project.flow.stage(id).checkpoint {
                if let Some(resolved) = self.resolved.get(&id) {
                    drop_checkpoint(self.project, resolved);
                }
            }
            self.recorded.push(action);
        }
    }

    /// Adds what this run recorded to the memo.
    fn index(&mut self) -> Result<(), RunError> {
        // After a small change of a large flow it is not worth opening; the next run that opens it adds what it lacks.
        if self.recorded.is_empty() || self.options.part.is_some() {
            return Ok(());
        }
        let memo = self.project.store.memo()?;
        memo.insert_all(&self.project.store, &self.recorded);
        memo.flush();
        Ok(())
    }

    /// One stage's work is over: keeps what came of it and looks at what waited for it.
    fn done(&mut self, id: StageId, done: Done) -> Result<(), RunError> {
        let Some(resolved) = self.resolved.get(&id).cloned() else {
            return Ok(());
        };
        let sharing = self.sharing.remove(&resolved.key).unwrap_or_default();
        for told in &done.reached {
            self.events.emit(&Event::StageReached {
                stage: self.name(id),
                what: told.what.clone(),
                path: told.path.clone(),
                hint: told.advice.clone(),
            });
        }
        match done.result {
            Ok(fresh) => {
                let action = fresh.action.clone();
                self.project.store.adopt(&action);
                if let Some(committer) = &self.committer {
                    committer.give(fresh);
                }
                if let Err(error) = self.restore(id, &action) {
                    let failed = match error {
                        RestoreError::Damaged(fault) => Failed::stage(fault.to_string()),
                        RestoreError::Io { path, source } => {
                            Failed::Store(StoreError::io(path, source))
                        }
                    };
                    self.finish_failed(id, Some(resolved.key.clone()), failed, done.seconds);
                    self.waiting.push_back((id, action, None));
                } else {
                    let line = self.finish_good(
                        id,
                        &resolved,
                        action.clone(),
                        Outcome::Executed,
                        done.seconds,
                    );
                    self.waiting.push_back((id, action, line));
                }
            }
            Err(Failed::Damaged(from)) if !self.order.contains(&from) => {
                return Err(RunError::Around);
            }
            Err(Failed::Damaged(from)) if self.remade.insert(from) => {
                // Its result is gone: that stage runs again, then this one is looked at anew.
                if let Some(lost) = self.resolved.get(&from) {
                    self.project.store.drop_action(&lost.key);
                }
                self.places.insert(id, Place::Waiting);
                self.make_again(from);
            }
            Err(failed) => self.finish_failed(id, Some(resolved.key.clone()), failed, done.seconds),
        }
        let waiting: Vec<StageId> = sharing
            .into_iter()
            .chain(self.project.graph.downstream(id))
            .chain(std::iter::once(id))
            .collect();
        for next in waiting {
            if matches!(self.places.get(&next), Some(Place::Shares)) {
                self.places.insert(next, Place::Waiting);
            }
            if self.places.contains_key(&next) {
                self.settle_down(next)?;
            }
        }
        Ok(())
    }

    /// Settles a stage and, if it was found in the cache, what waits for it.
    fn settle_down(&mut self, id: StageId) -> Result<(), RunError> {
        let mut stack = vec![id];
        while let Some(id) = stack.pop() {
            let waited = matches!(self.places.get(&id), Some(Place::Waiting));
            self.settle(id)?;
            if waited && matches!(self.places.get(&id), Some(Place::Finished { .. })) {
                stack.extend(
                    self.project
                        .graph
                        .downstream(id)
                        .filter(|next| self.places.contains_key(next)),
                );
            }
        }
        Ok(())
    }

    fn make_again(&mut self, id: StageId) {
        // It was counted when it was found; it will be counted as executed.
        if matches!(
            self.places.get(&id),
            Some(Place::Finished {
                action: Some(_),
                ..
            })
        ) {
            self.report.cached = self.report.cached.saturating_sub(1);
        }
        self.places.insert(id, Place::Queued);
        self.queue.push(id);
    }

    /// If every stage is fresh now, keeps what was seen on the way.
    fn keep_snapshot(&self) {
        let quiet = RunReport {
            executed: self.report.executed,
            cached: self.report.cached,
            ..RunReport::default()
        };
        let settled: Vec<Settled<'_>> = self
            .order
            .iter()
            .filter_map(|id| {
                let Some(Place::Finished {
                    action: Some(action),
                    ..
                }) = self.places.get(id)
                else {
                    return None;
                };
                Some(Settled {
                    id: *id,
                    resolved: self.resolved.get(id)?,
                    action,
                })
            })
            .collect();
        if quiet != self.report || settled.len() != self.order.len() {
            return;
        }
        if let Some(part) = &self.options.part {
            snapshot::record_part(self.project, self.state, &part.previous, &settled);
        } else if let Some(question) = &self.options.question {
            snapshot::record(self.project, self.state, question, &settled);
        }
    }

    /// Tells of every stage that was not reached.
    fn skip_rest(&mut self) {
        for id in self.order.clone() {
            if matches!(self.places.get(&id), Some(Place::Finished { .. })) {
                continue;
            }
            let blocked: Vec<String> = self
                .project
                .graph
                .upstream(id)
                .filter(|from| {
                    !matches!(
                        self.places.get(from),
                        Some(Place::Finished {
                            action: Some(_),
                            passes: true
                        })
                    )
                })
                .map(|from| self.name(from))
                .collect();
            let message = match blocked.first() {
                Some(from) => format!("'{from}' did not pass"),
                None if self.report.signal.is_some() => "the run was interrupted".to_string(),
                None => "the run stopped at the first failure (-k goes on)".to_string(),
            };
            self.report.skipped += 1;
            self.events.emit(&Event::StageFinished {
                stage: self.name(id),
                outcome: Outcome::Skipped,
                seconds: 0.0,
                key: None,
                message: Some(message),
                hint: None,
                failure: None,
            });
        }
    }
}

/// Logs of a run.
pub fn log_path(project: &Project, run: &str, stage: &str) -> PathBuf {
    project
        .store
        .runs()
        .join(run)
        .join("logs")
        .join(format!("{stage}.log"))
}

/// Where each output of a stage lies for people.
pub fn artifacts_of(project: &Project, id: StageId) -> BTreeMap<String, PathBuf> {
    let stage = project.flow.stage(id);
    let folder = project.store.artifacts(&stage.name);
    stage
        .outputs
        .iter()
        .map(|(name, output)| (name.clone(), folder.join(&output.path)))
        .collect()
}
