//! A run: stages settled from the cache, the rest executed as their inputs and the tokens allow.
//!
//! What can be settled from the cache is settled first, in order and without any other thread; only if something is left to execute
//! others are started. All decisions are made in one place, by one thread; the others only do one stage's work and report.

mod commit;
mod drive;
mod ends;
mod priority;
mod settle;
mod signals;
mod twice;
mod workers;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::events::{Event, Events, Outcome};
use crate::flow::StageId;
use crate::key::ActionKey;
use crate::store::{Action, Memo, RestoreError, State, StateLine, StoreError};

use super::attempt::Done;
use super::plan::Resolved;
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
