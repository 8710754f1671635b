//! The programs that simulations of the core are built with.

use nanoflow_sdk::Tool;

pub const VERILATOR: Tool = Tool {
    program: "verilator",
    version_args: &["--version"],
    apt: "verilator",
};

pub const CXX: Tool = Tool {
    program: "g++",
    version_args: &["--version"],
    apt: "g++",
};

/// Verilator builds the model by the makefile that it wrote.
pub const MAKE: Tool = Tool {
    program: "make",
    version_args: &["--version"],
    apt: "make",
};
