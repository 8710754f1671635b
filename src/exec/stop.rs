//! How running stages hear that they are to stop: a level that only rises, and files that become readable when it does.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// How hard a running stage is to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    No,
    Ask,
    Kill,
}

/// Two pipes, of which nothing is ever read: the end of one is the message.
struct Pipes {
    level: Stop,
    ask: Option<OwnedFd>,
    kill: Option<OwnedFd>,
}

/// Tells all running stages at once.
pub struct Stopper {
    pipes: Mutex<Pipes>,
    asked: OwnedFd,
    killed: OwnedFd,
}

impl Stopper {
    /// # Errors
    /// There are no descriptors left.
    pub fn new() -> std::io::Result<Stopper> {
        let (asked, ask) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        let (killed, kill) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        Ok(Stopper {
            pipes: Mutex::new(Pipes {
                level: Stop::No,
                ask: Some(ask),
                kill: Some(kill),
            }),
            asked,
            killed,
        })
    }

    fn pipes(&self) -> std::sync::MutexGuard<'_, Pipes> {
        self.pipes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn raise(&self, level: Stop) {
        let mut pipes = self.pipes();
        pipes.level = pipes.level.max(level);
        if pipes.level >= Stop::Ask {
            pipes.ask = None;
        }
        if pipes.level >= Stop::Kill {
            pipes.kill = None;
        }
    }

    pub fn level(&self) -> Stop {
        self.pipes().level
    }

    /// What ends (`POLLHUP`) once the level is above this one; `None` if there is none above.
    pub fn above(&self, heard: Stop) -> Option<BorrowedFd<'_>> {
        match heard {
            Stop::No => Some(self.asked.as_fd()),
            Stop::Ask => Some(self.killed.as_fd()),
            Stop::Kill => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{poll, PollFd, PollFlags, PollTimeout};

    #[test]
    fn each_level_is_heard_once() {
        let stopper = Stopper::new().expect("pipes");
        let heard = |level| {
            let file = stopper.above(level).expect("a level above");
            let mut files = [PollFd::new(file, PollFlags::POLLIN)];
            poll(&mut files, PollTimeout::ZERO).expect("poll") > 0
        };
        assert!(!heard(Stop::No));
        stopper.raise(Stop::Ask);
        assert!(heard(Stop::No) && !heard(Stop::Ask));
        stopper.raise(Stop::Kill);
        stopper.raise(Stop::Ask);
        assert!(heard(Stop::Ask));
        assert_eq!(stopper.level(), Stop::Kill);
        assert!(stopper.above(Stop::Kill).is_none());
    }
}
