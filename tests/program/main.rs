//! The whole program, run as people run it, on small flows.

mod common;

mod crash;
mod faults;
mod incremental;
mod pages;
mod programs;
mod quoting;
mod results;
mod signals;
mod why;
