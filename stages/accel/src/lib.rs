//! Integer model, instruction set and program of the accelerator core; `ISA.md` beside this crate describes them.
mod assemble;
mod error;
mod exchange;
pub mod fixed;
mod golden;
mod int_model;
pub mod isa;
mod machine;
pub mod npz;
mod program;
mod quant;
pub mod simulate;
pub mod tools;

pub use assemble::assemble;
pub use error::AccelError;
pub use exchange::*;
pub use golden::*;
pub use int_model::*;
pub use isa::Hardware;
pub use machine::*;
pub use program::*;
pub use quant::*;
