//! Verilog netlists, Liberty libraries, logic and fault simulation.
//!
//! - [`verilog`]: structural Verilog as synthesis writes it, to and from a flat [`Netlist`];
//! - [`liberty`]: the cells of a Liberty file: pins, functions, flip-flops, delay tables;
//! - [`function`]: the Boolean functions of Liberty, evaluated for 64 patterns at a time.

mod error;
pub mod function;
pub mod liberty;
mod netlist;
pub mod verilog;

pub use error::{Error, Place};
pub use netlist::{Cell, CellId, Direction, Net, NetId, Netlist, Port};
