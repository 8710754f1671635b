//! What a stage may reach: its work directory, its tool, the system's libraries, and the network if it asks.
//!
//! Two walls stand one behind the other. Landlock is the kernel's: it holds whatever the stage does, but tells nobody what it
//! refused. A seccomp filter hands the system calls that name a path or open a socket to the stage's guard, which judges them by
//! the same rules and so knows which path was refused; it also covers what Landlock does not (sockets other than TCP, changing
//! modes and times). Where the kernel lacks one of the two the other stands alone. `docs/sandbox.md` says what neither catches.

mod caller;
mod calls;
mod confine;
mod filter;
mod judge;
mod landlock;
mod look;
mod scratch;
mod system;
mod tell;
mod watch;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use confine::{confine, Roots};
pub use filter::Mark;
pub use judge::Judge;
pub use scratch::Scratch;
pub use system::{private_folders, program_folders, System};
pub use tell::{advise, tell, told_in_log};
pub use watch::Watch;

/// What a stage may reach, sent to its guard with what to start. All paths are absolute and exist.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Confine {
    /// Refuse; otherwise only note.
    pub enforce: bool,
    pub network: bool,
    /// Files and folders beyond the system's that may be read and run.
    pub read: Vec<PathBuf>,
    /// Folders in which everything may be done.
    pub write: Vec<PathBuf>,
    /// Staged inputs: below one of `write`, but not to be changed.
    pub inputs: PathBuf,
}

/// What was done to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    Read,
    List,
    Execute,
    Write,
    /// Mode, owner, times, attributes.
    Change,
    /// A socket that leads out of the machine.
    Network,
    /// A socket of another program on this machine.
    Connect,
    /// Whether it is there, and its size and times.
    Look,
}

/// Something that a stage reached for and that is not its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reached {
    pub access: Access,
    /// Of what; for the network the kind of address.
    pub path: String,
    /// Programs try this in passing and go on without: it counts only if the stage fails.
    pub in_passing: bool,
}

/// The version of Landlock that the kernel has; 0 if none.
pub fn landlock_version() -> u32 {
    landlock::version()
}
