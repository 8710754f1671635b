//! The whole program, run as people run it, on small flows.

mod common;

mod commands;

mod crash;
mod disk;
mod explain;
mod faults;
mod foreign;
mod glance;
mod incremental;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod killed;
mod output;
mod pages;
mod programs;
mod quoting;
mod results;
mod sandbox;
mod signals;
mod why;
