//! The numeric kernels: matrix product, LayerNorm, GELU, softmax, dropout; each forward and backward, on one thread.

mod matrix;
mod pointwise;
mod softmax;
mod wide;

pub use matrix::{multiply, multiply_into, Matrix, MatrixMut};
pub use pointwise::{
    activate, add_bias, add_into, add_to_rows, column_sums, dot, dropout, exponential, gelu,
    gelu_tanh, layer_norm, layer_norm_backward, multiply_elements, scale, NormStatistics,
};
pub use softmax::{cross_entropy, distillation, softmax_causal, softmax_causal_backward, LogSum};
pub(crate) use wide::widest;
