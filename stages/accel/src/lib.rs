//! Integer model, instruction set and program of the accelerator core.
mod error;
pub mod fixed;
mod int_model;
mod quant;

pub use error::AccelError;
pub use int_model::*;
pub use quant::*;
