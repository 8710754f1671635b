//! Integer model, instruction set and program of the accelerator core.
mod assemble;
mod error;
mod exchange;
pub mod fixed;
mod golden;
mod int_model;
pub mod isa;
mod machine;
pub mod npz;
pub mod simulate;
mod program;
mod quant;

pub use assemble::assemble;
pub use error::AccelError;
pub use exchange::*;
pub use golden::*;
pub use int_model::*;
pub use isa::Hardware;
pub use machine::*;
pub use program::*;
pub use quant::*;
