//! What is told about a flow and its cache. Reads, never writes.

mod diff;
mod junit;
mod page;
mod state;
mod why;
mod words;

pub use diff::{results, Results, RunDifference, StageDifference};
pub use junit::{Junit, LogTail};
pub use page::{render, Page};
pub use state::{held_back, running, states, Running, StageState, StageStatus};
pub use why::Explainer;
pub use words::{cause, details, headline, tell};
