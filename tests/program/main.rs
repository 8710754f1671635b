//! The whole program, run as people run it, on small flows.

mod common;

mod commands;
mod content;
mod contract;
mod crash;
mod disk;
mod durable;
mod explain;
mod faults;
mod foreign;
mod glance;
mod keys;
mod killed;
mod output;
mod pages;
mod programs;
mod property;
mod quoting;
mod results;
mod sandbox;
mod scratch;
mod signals;
mod walls;
mod why;
