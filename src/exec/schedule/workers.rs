//! Threads that each do one stage's work at a time: all that waits for disks and processes, off the deciding thread.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedSender;

use super::super::attempt::{self, Attempt, Done};
use super::super::stop::Stopper;
use super::super::work::Failed;
use super::drive::Message;

/// As many threads as stages ever ran at the same time.
pub(super) struct Workers {
    stopper: Arc<Stopper>,
    told: UnboundedSender<Message>,
    workers: Vec<(Sender<Attempt>, JoinHandle<()>)>,
    resting: Vec<usize>,
}

impl Workers {
    pub(super) fn new(stopper: Arc<Stopper>, told: UnboundedSender<Message>) -> Workers {
        Workers {
            stopper,
            told,
            workers: Vec::new(),
            resting: Vec::new(),
        }
    }

    /// How many have something to do.
    pub(super) fn busy(&self) -> usize {
        self.workers.len() - self.resting.len()
    }

    /// Has a worker do it; the end is told as [`Message::Done`].
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn give(&mut self, attempt: Attempt) -> std::io::Result<()> {
        let number = match self.resting.pop() {
            Some(number) => number,
            None => self.hire()?,
        };
        let sent = self
            .workers
            .get(number)
            .map(|(sender, _)| sender.send(attempt));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(std::io::Error::other("a thread ended early")),
        }
    }

    fn hire(&mut self) -> std::io::Result<usize> {
        let number = self.workers.len();
        let (sender, receiver) = channel();
        let (stopper, told) = (self.stopper.clone(), self.told.clone());
        let thread = std::thread::Builder::new()
            .name(format!("worker {number}"))
            .spawn(move || work(number, &receiver, &stopper, &told))?;
        self.workers.push((sender, thread));
        Ok(number)
    }

    /// This one told that it is done.
    pub(super) fn rests(&mut self, number: usize) {
        self.resting.push(number);
    }

    /// Waits until all have ended.
    pub(super) fn finish(self) {
        for (sender, thread) in self.workers {
            drop(sender);
            let _ = thread.join();
        }
    }
}

fn work(
    number: usize,
    receiver: &Receiver<Attempt>,
    stop: &Stopper,
    told: &UnboundedSender<Message>,
) {
    for attempt in receiver {
        let (id, started) = (attempt.id, Instant::now());
        let progress = |progress| {
            let _ = told.send(Message::Progress { id, progress });
        };
        let ended = || {
            let _ = told.send(Message::Ended { id });
        };
        let run = || attempt::run(&attempt, stop, progress, ended);
        let done = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Done {
            result: Err(Failed::stage(
                "nanoflow itself is at fault: a thread panicked",
            )),
            seconds: started.elapsed().as_secs_f64(),
            reached: Vec::new(),
        });
        let _ = told.send(Message::Done {
            id,
            worker: number,
            done: Box::new(done),
        });
    }
}
