//! Bringing stages up to date: planning, child processes, resources, the run itself.

mod allowed;
mod attempt;
mod child;
mod difference;
mod plan;
mod programs;
mod project;
mod resources;
mod sandbox;
mod schedule;
pub mod snapshot;
mod sources;
mod stop;
pub mod supervise;
mod tools;
pub mod watch;
mod work;
mod wrapper;

pub use plan::{plan, resolve, Plan, Resolved, Staged, StagedFrom, Verdict};
pub use programs::Problem;
pub use project::{LoadError, Overrides, Project};
pub use schedule::{artifacts_of, log_path, run, RunError, RunOptions, RunReport, Surroundings};
pub use tools::{Get, Missing, Tools};
pub use wrapper::{ToolNeed, Wrapper};
