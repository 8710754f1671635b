//! Integer model, instruction set and program of the accelerator core.
mod error;
mod exchange;
pub mod fixed;
mod golden;
mod int_model;
pub mod npz;
mod quant;

pub use error::AccelError;
pub use exchange::*;
pub use golden::*;
pub use int_model::*;
pub use quant::*;
