//! The whole program, run as people run it, on small flows.

mod common;

mod commands;

mod crash;
mod explain;
mod faults;
mod foreign;
mod glance;
mod incremental;
mod output;
mod pages;
mod programs;
mod quoting;
mod results;
mod signals;
mod why;
