//! The numeric kernels: matrix product, LayerNorm, GELU, softmax, dropout; each forward and backward, on one thread.

mod matrix;
mod pointwise;

pub use matrix::{multiply, Matrix, MatrixMut};
pub use pointwise::{
    add_bias, add_into, column_sums, cross_entropy, dropout, exponential, gelu, gelu_backward,
    layer_norm, layer_norm_backward, softmax_causal, softmax_causal_backward, NormStatistics,
};
