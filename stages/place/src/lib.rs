//! Placement.

pub mod detail;
mod field;
pub mod global;
pub mod legal;
pub mod problem;
