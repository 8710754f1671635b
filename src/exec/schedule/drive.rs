//! The deciding loop of a run: starts what can be started, takes what comes, ends what a signal ends.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::events::Event;
use crate::flow::{Resources, StageId};

use super::super::attempt::{self, Attempt, Done};
use super::super::child::{Progress, Stop};
use super::super::resources::{machine_memory, Tokens};
use super::commit::Committer;
use super::priority;
use super::{Place, Run, RunError};

impl Run<'_> {
    /// Starts what can be started, takes what comes, until nothing runs and nothing can be started.
    pub(super) async fn drive(&mut self, drive: &mut Drive) -> Result<(), RunError> {
        let mut limits = self.project.flow.limits.clone();
        limits.memory = limits.memory.or_else(machine_memory);
        let mut tokens = Tokens::new(self.options.jobs, &limits);
        let (stop, stopped) = watch::channel(Stop::No);
        let (sender, mut receiver) = mpsc::unbounded_channel::<Message>();
        let committed = sender.clone();
        let committer = Committer::start(self.project.clone(), move |count| {
            let _ = committed.send(Message::Committed { count });
        });
        self.committer = Some(committer.map_err(RunError::Runtime)?);
        let mut signals = Signals::new().map_err(RunError::Runtime)?;
        loop {
            self.start_ready(drive, &mut tokens, &sender, &stopped);
            if drive.running == 0 {
                return Ok(());
            }
            tokio::select! {
                message = receiver.recv() => match message {
                    Some(Message::Progress { id, progress }) => self.told_progress(id, progress),
                    Some(Message::Done { id, done }) => {
                        drive.running -= 1;
                        tokens.give_back(&self.wants(id));
                        self.done(id, *done)?;
                        self.write_state()?;
                    }
                    Some(Message::Committed { count }) => {
                        self.committed(count);
                        self.write_state()?;
                    }
                    None => return Ok(()),
                },
                signal = signals.next() => {
                    let again = self.report.signal.replace(signal).is_some();
                    self.stopping = true;
                    let _ = stop.send(if again { Stop::Kill } else { Stop::Ask });
                    drive.deadline = Some(tokio::time::Instant::now() + GRACE);
                }
                () = at(drive.deadline) => {
                    drive.deadline = None;
                    let _ = stop.send(Stop::Kill);
                }
            }
        }
    }

    fn start_ready(
        &mut self,
        drive: &mut Drive,
        tokens: &mut Tokens,
        sender: &mpsc::UnboundedSender<Message>,
        stopped: &watch::Receiver<Stop>,
    ) {
        while !self.stopping && !tokens.full() {
            let (project, past) = (self.project.clone(), &self.past);
            let wants = |id| priority::wants(&project.flow.stage(id).resources, past.get(&id));
            let Some(id) = self.queue.take(|id| tokens.fits(&wants(id))) else {
                return;
            };
            let want = wants(id);
            self.warn(id, tokens);
            let Some(resolved) = self.resolved.get(&id).cloned() else {
                continue;
            };
            tokens.take(&want);
            drive.running += 1;
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
                record: true,
            };
            let (sender, stopped) = (sender.clone(), stopped.clone());
            tokio::spawn(async move {
                let progress = {
                    let sender = sender.clone();
                    move |progress| {
                        let _ = sender.send(Message::Progress { id, progress });
                    }
                };
                let done = attempt::run(attempt, stopped, progress).await;
                let _ = sender.send(Message::Done {
                    id,
                    done: Box::new(done),
                });
            });
        }
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

#[derive(Default)]
pub(super) struct Drive {
    running: usize,
    /// When what was asked to stop is killed.
    deadline: Option<tokio::time::Instant>,
}

async fn at(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

enum Message {
    Progress {
        id: StageId,
        progress: Progress,
    },
    Done {
        id: StageId,
        done: Box<Done>,
    },
    /// So many more results are recorded.
    Committed {
        count: usize,
    },
}

/// Signals that end a run.
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Signals> {
        use tokio::signal::unix::{signal, SignalKind};
        crate::signals::handled_by_run();
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    pub(super) async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
            _ = self.hangup.recv() => 1,
        }
    }
}
