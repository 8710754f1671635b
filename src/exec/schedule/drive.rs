//! The deciding loop of a run: starts what can be started, takes what comes, ends what a signal ends.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{unbounded_channel, UnboundedReceiver};
use tokio::time::Instant;

use crate::events::Event;
use crate::flow::{Resources, StageId};

use super::super::attempt::{Attempt, Done};
use super::super::child::Progress;
use super::super::resources::{machine_memory, Tokens};
use super::super::stop::{Stop, Stopper};
use super::commit::Committer;
use super::priority;
use super::signals::{runtime, Signals};
use super::workers::Workers;
use super::{Place, Run, RunError};

impl Run<'_> {
    /// Starts what can be started, takes what comes, until nothing runs and nothing can be started.
    pub(super) fn drive(&mut self) -> Result<(), RunError> {
        let mut limits = self.project.flow.limits.clone();
        limits.memory = limits.memory.or_else(machine_memory);
        let runtime = runtime().map_err(RunError::Runtime)?;
        let (sender, receiver) = unbounded_channel::<Message>();
        let committed = sender.clone();
        let committer = Committer::start(self.project.clone(), move |count| {
            let _ = committed.send(Message::Committed { count });
        });
        self.committer = Some(committer.map_err(RunError::Runtime)?);
        let stopper = Arc::new(Stopper::new().map_err(RunError::Runtime)?);
        let mut drive = Drive {
            tokens: Tokens::new(self.options.jobs, &limits),
            workers: Workers::new(stopper.clone(), sender),
            stopper,
            keeping: HashSet::new(),
            deadline: None,
            receiver,
        };
        let driven = runtime.block_on(self.go_on(&mut drive));
        if driven.is_err() {
            drive.stopper.raise(Stop::Kill);
        }
        drive.workers.finish();
        self.project.keeper.finish();
        driven
    }

    async fn go_on(&mut self, drive: &mut Drive) -> Result<(), RunError> {
        let mut signals = Signals::listen().map_err(RunError::Runtime)?;
        loop {
            self.start_ready(drive)?;
            if drive.workers.busy() == 0 {
                return Ok(());
            }
            let mut next = drive.next(&mut signals).await;
            // What came meanwhile is taken in the same go.
            while let Some(message) = next {
                self.take(drive, message)?;
                next = drive.receiver.try_recv().ok();
            }
            self.write_state()?;
        }
    }

    fn take(&mut self, drive: &mut Drive, message: Message) -> Result<(), RunError> {
        match message {
            Message::Progress { id, progress } => self.told_progress(id, progress),
            // One stage at a time means that nothing else happens meanwhile, either.
            Message::Ended { id } => {
                let jobs = self.options.jobs;
                if jobs > 1 && drive.keeping.len() < jobs && drive.keeping.insert(id) {
                    drive.tokens.give_back(&self.wants(id));
                }
            }
            Message::Done { id, worker, done } => {
                drive.workers.rests(worker);
                if !drive.keeping.remove(&id) {
                    drive.tokens.give_back(&self.wants(id));
                }
                self.done(id, *done)?;
            }
            Message::Committed { count } => self.committed(count),
            Message::Signal(signal) => {
                let again = self.report.signal.replace(signal).is_some();
                self.stopping = true;
                drive
                    .stopper
                    .raise(if again { Stop::Kill } else { Stop::Ask });
                drive.deadline = Some(Instant::now() + GRACE);
            }
        }
        Ok(())
    }

    fn start_ready(&mut self, drive: &mut Drive) -> Result<(), RunError> {
        while !self.stopping && !drive.tokens.full() {
            let (project, past) = (self.project.clone(), &self.past);
            let wants = |id| priority::wants(&project.flow.stage(id).resources, past.get(&id));
            let tokens = &mut drive.tokens;
            let Some(id) = self.queue.take(|id| tokens.fits(&wants(id))) else {
                return Ok(());
            };
            let want = wants(id);
            self.warn(id, tokens);
            let Some(resolved) = self.resolved.get(&id).cloned() else {
                continue;
            };
            tokens.take(&want);
            self.places.insert(id, Place::Running);
            self.events.emit(&Event::StageStarted {
                stage: self.name(id),
                key: resolved.key.to_string(),
            });
            let attempt = Attempt {
                project: self.project.clone(),
                id,
                resolved,
                run: self.options.run.clone(),
                threads: tokens.threads(&want),
            };
            drive.workers.give(attempt).map_err(RunError::Runtime)?;
        }
        Ok(())
    }

    /// The tokens of a stage; the same as long as the run goes on.
    fn wants(&self, id: StageId) -> Resources {
        let asked = &self.project.flow.stage(id).resources;
        priority::wants(asked, self.past.get(&id))
    }

    /// Says before a stage starts that it asks for more than there is.
    fn warn(&mut self, id: StageId, tokens: &Tokens) {
        let asked = &self.project.flow.stage(id).resources;
        let past = self.past.get(&id);
        let told = priority::does_not_fit(asked, past, tokens.cpu(), tokens.limits());
        if !told.is_empty() {
            self.events.emit(&Event::StageWarning {
                stage: self.name(id),
                message: format!("{}; it runs alone", told.join(", ")),
            });
        }
    }

    fn told_progress(&mut self, id: StageId, progress: Progress) {
        let Progress {
            done,
            total,
            unit,
            note,
        } = progress;
        self.events.emit(&Event::StageProgress {
            stage: self.name(id),
            done,
            total,
            unit,
            note,
        });
    }
}

/// How long a stage that was asked to stop may take.
const GRACE: Duration = Duration::from_millis(1500);

struct Drive {
    tokens: Tokens,
    workers: Workers,
    stopper: Arc<Stopper>,
    /// Stages that have ended and given back their tokens, and whose results are being kept.
    keeping: HashSet<StageId>,
    /// When what was asked to stop is killed.
    deadline: Option<Instant>,
    receiver: UnboundedReceiver<Message>,
}

impl Drive {
    /// Waits for what comes next; `None` if that was the deadline.
    async fn next(&mut self, signals: &mut Signals) -> Option<Message> {
        tokio::select! {
            biased;
            signal = signals.next() => Some(Message::Signal(signal)),
            () = passed(self.deadline) => {
                self.deadline = None;
                self.stopper.raise(Stop::Kill);
                None
            }
            message = self.receiver.recv() => message,
        }
    }
}

/// When the deadline has passed; never if there is none.
async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// What the deciding thread is told by the others.
pub(super) enum Message {
    Progress {
        id: StageId,
        progress: Progress,
    },
    /// The stage needs no tokens any more.
    Ended {
        id: StageId,
    },
    /// A worker has nothing to do any more.
    Done {
        id: StageId,
        worker: usize,
        done: Box<Done>,
    },
    /// So many more results are recorded.
    Committed {
        count: usize,
    },
    Signal(i32),
}
