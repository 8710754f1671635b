//! nanoflow: an incremental, content-addressed build system for flows.
//!
//! `flow`, `graph`, `key` and `gate` are pure; `store` and `exec` do the work; `events` is what happens in a run; `report` reads;
//! `cli` parses and prints. See `docs/architecture.md`.

pub mod cli;
pub mod events;
pub mod exec;
pub mod flow;
pub mod gate;
pub mod graph;
pub mod key;
pub mod plugins;
pub mod report;
pub mod signals;
pub mod store;
