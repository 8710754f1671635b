//! The GPT of the shipped flow: configuration, forward and backward pass, optimiser, tokenisers, token files,
//! and the quantised (W8A8) model in floating point.
//!
//! Shapes in comments use nanoGPT's letters: B sequences, T positions, E width, H heads, D = E / H, V vocabulary.
//! Everything here gives the same bits for the same input, whatever the number of threads.

pub mod backward;
pub mod checkpoint;
pub mod config;
pub mod data;
mod error;
pub mod evaluate;
pub mod generate;
pub mod gpt;
pub mod inference;
pub mod kernels;
pub mod loss;
pub mod network;
pub mod optimizer;
pub mod parameters;
pub mod quant;
pub mod quant_file;
pub mod quant_forward;
pub mod report;
pub mod smooth;
pub mod stock;
pub mod tokenizer;

pub use config::ModelConfig;
pub use error::ModelError;
pub use gpt::Gpt;
pub use quant::QuantizedGpt;
pub use tokenizer::Tokenizer;
