//! Structural Verilog: one flat module of library cells, as synthesis writes it and as the layout stages read it.
//!
//! Read: ANSI and non-ANSI ports, vectors, escaped names, instances with named pins, concatenations, bit and part selects,
//! sized constants, `assign` between nets. Not read: behaviour, parameters, several modules that instantiate each other.

mod lexer;
mod read;
mod write;

use std::path::Path;

use crate::{error, Error, Netlist};

/// Reads the module `top` of a file, or its only module.
///
/// # Errors
/// When the file cannot be read or its text is not structural Verilog; the message names file and line.
pub fn read_file(path: &Path, top: Option<&str>) -> Result<Netlist, Error> {
    read(&error::read(path)?, path, top)
}

/// Reads a text; `path` is for messages.
///
/// # Errors
/// As [`read_file`].
pub fn read(text: &str, path: &Path, top: Option<&str>) -> Result<Netlist, Error> {
    read::read(text, path, top)
}

/// The netlist as Verilog, the same bytes for the same netlist.
#[must_use]
pub fn write(netlist: &Netlist) -> String {
    write::write(netlist)
}

#[cfg(test)]
mod tests;
