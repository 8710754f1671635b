//! Results reach the disk in the background, those of about the same time together, while the next stages run.

use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::store::{Fresh, StoreError, Unsynced};

use super::super::Project;

/// How long a result waits for others to share its sync. A process that is killed loses at most the results of this time: those
/// that took long do not wait long.
fn patience(fresh: &Fresh) -> Duration {
    match fresh.action.measured.seconds {
        0.0..1.0 => Duration::from_millis(400),
        _ => Duration::from_millis(100),
    }
}

/// The thread that records results.
pub(super) struct Committer {
    sender: Sender<Fresh>,
    thread: JoinHandle<Result<(), StoreError>>,
}

impl Committer {
    /// Starts it. After each group `told` hears how many results are recorded now, in the order in which they were given.
    pub(super) fn start(
        project: Arc<Project>,
        told: impl FnMut(usize) + Send + 'static,
    ) -> std::io::Result<Committer> {
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name("commit".to_string())
            .spawn(move || work(&project, &receiver, told))?;
        Ok(Committer { sender, thread })
    }

    pub(super) fn give(&self, fresh: Fresh) {
        // If the thread ended early, its error is told when it is waited for.
        let _ = self.sender.send(fresh);
    }

    /// Waits until all is on the disk.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        let Committer { sender, thread } = self;
        drop(sender);
        thread
            .join()
            .unwrap_or_else(|_| Err(StoreError::Other("a thread ended early".to_string())))
    }
}

fn work(
    project: &Project,
    receiver: &Receiver<Fresh>,
    mut told: impl FnMut(usize),
) -> Result<(), StoreError> {
    let mut unsynced = Unsynced::default();
    while let Ok(first) = receiver.recv() {
        let mut end = Instant::now() + patience(&first);
        let mut group = vec![first];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match receiver.recv_timeout(left) {
                Ok(fresh) => {
                    end = end.min(Instant::now() + patience(&fresh));
                    group.push(fresh);
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        let count = group.len();
        // The actions of the group before are synced with the objects of this one.
        unsynced = project.store.commit(group, unsynced)?;
        told(count);
    }
    project.store.sync(unsynced)
}
