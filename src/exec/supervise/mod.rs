//! `nanoflow __supervise FLOW`: the processes between nanoflow and its stages, so that no process of a stage outlives it.
//!
//! ```text
//! nanoflow ── keeper (one for a run) ── guard (one for a stage) ── the stage's process ── …
//! ```
//!
//! A guard is the reaper of everything that its stage starts, so a process that goes into the background, changes its session or
//! loses its parent stays below it; when the stage's own process has ended, whatever it left behind is killed. Should a guard
//! itself be killed, its stage comes to the keeper, which kills it. Guard and keeper both see nanoflow's end as the end of a
//! socket, and end with all that is below them. Guards are forked, not started anew: that costs a tenth.

mod fds;
mod guard;
mod keeper;
mod launch;
mod order;
mod processes;

use serde::{Deserialize, Serialize};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::sandbox::Reached;

pub use keeper::{main, Keeper};
pub use order::Order;

/// How a stage's process ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// Why it could not be started.
    pub start_error: Option<String>,
    pub cpu_seconds: f64,
    /// Of the largest process.
    pub peak_memory_bytes: u64,
    /// Processes that it left behind and that were killed.
    pub killed: usize,
    /// What it reached for beyond what it may.
    pub reached: Vec<Reached>,
    /// Its system calls were judged: `reached` is all that there is.
    pub watched: bool,
}

impl Ended {
    pub fn good(&self) -> bool {
        self.code == Some(0) && self.start_error.is_none()
    }

    /// How it ended, in words.
    pub fn tell(&self) -> String {
        if let Some(error) = &self.start_error {
            return format!("could not be started: {error}");
        }
        match (self.code, self.signal) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => {
                let name = Signal::try_from(signal)
                    .map_or_else(|_| signal.to_string(), |signal| signal.to_string());
                format!("killed by {name}")
            }
            _ => "its guard was killed".to_string(),
        }
    }
}

/// Ends of children, to be read instead of handled.
fn child_signals() -> std::io::Result<SignalFd> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    signals.thread_block()?;
    Ok(SignalFd::with_flags(
        &signals,
        SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
    )?)
}
