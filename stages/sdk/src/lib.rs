//! Stage protocol 1: what a stage plugin of nanoflow depends on, and all it depends on.
//!
//! A stage is a program. It is given the path of a `request.json` ([`Request`]), reads its inputs, writes the
//! outputs named there and, if it has numbers to tell, `metrics.json` ([`Metric`]) in its work directory, prints
//! progress as JSON lines on standard output ([`Progress`]), logs to standard error and exits 0 or not. When it fails it
//! may leave `result.json` ([`Outcome`]) to say which kind of failure it was.
//!
//! In Rust, implement [`Stage`] and call [`main`] from a binary of your own, or register the stage with nanoflow.

mod context;
mod error;
mod protocol;
mod run;
pub mod testing;

pub use context::Context;
pub use error::{Failure, StageError};
pub use protocol::{Metric, Metrics, Outcome, Paths, Progress, Request, Resources, PROTOCOL};
pub use run::{main, run_request};

/// An external program that a stage calls. Its version and the digest of its binary are part of the action key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool {
    /// Name looked up on `PATH`, such as `ngspice`.
    pub program: &'static str,
    /// Arguments that make it print its version.
    pub version_args: &'static [&'static str],
    /// Debian package that brings it.
    pub apt: &'static str,
}

/// One stage of a flow.
pub trait Stage: Sync {
    /// The word that stands after `uses:` in `flow.yaml`.
    fn id(&self) -> &'static str;
    /// One line for people.
    fn about(&self) -> &'static str;
    /// External programs that it needs.
    fn tools(&self) -> &'static [Tool] {
        &[]
    }
    /// Does the work. Everything it needs is in `ctx`; it must write every output that was asked for.
    ///
    /// # Errors
    /// A [`StageError`], whose [`Failure`] kind tells whose fault it is.
    fn run(&self, ctx: &mut Context) -> Result<(), StageError>;
}
