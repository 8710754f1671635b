//! The numeric kernels: matrix product, LayerNorm, GELU, softmax, dropout; each forward and backward, on one thread.

mod matrix;
mod pointwise;
mod wide;

pub use matrix::{multiply, multiply_into, Matrix, MatrixMut};
pub use pointwise::{
    add_bias, add_into, column_sums, cross_entropy, distillation, dot, dropout, exponential, gelu,
    gelu_tanh, layer_norm, layer_norm_backward, multiply_elements, scale, softmax_causal,
    softmax_causal_backward, NormStatistics,
};
pub(crate) use wide::widest;
