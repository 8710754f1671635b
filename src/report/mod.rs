//! What is told about a flow and its cache. Reads, never writes.

mod state;
mod why;

pub use state::{states, StageState, StageStatus};
pub use why::{tell, Explainer};
