//! Integer model, instruction set and program of the accelerator core.
mod error;
mod quant;

pub use error::AccelError;
pub use quant::*;
