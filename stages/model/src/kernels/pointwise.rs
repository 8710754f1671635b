//! Everything that is not a matrix product. Loops are plain and run in the widest instructions of the machine ([`widest`]).

use std::f32::consts::{FRAC_1_SQRT_2, LN_2, LOG2_E};

use super::widest;
use crate::config::LAYER_NORM_EPSILON;

/// Sums in 16 lanes and then across them: fast, and the same order on every machine.
pub(super) const LANES: usize = 16;

#[inline(always)]
pub(super) fn sum_of(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let (lanes, rest) = sum_in_lanes(values, term);
    lanes.iter().sum::<f32>() + rest
}

/// The lanes' sums, and that of the values which fill no vector.
#[inline(always)]
pub(super) fn sum_in_lanes(values: &[f32], term: impl Fn(f32) -> f32) -> ([f32; LANES], f32) {
    let mut lanes = [0.0f32; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|&value| term(value)).sum();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += term(value);
        }
    }
    (lanes, rest)
}

/// Σ left[i]·right[i], in lanes.
#[inline(always)]
#[must_use]
pub fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (left_chunks, right_chunks) = (left.chunks_exact(LANES), right.chunks_exact(LANES));
    let rest: f32 = left_chunks
        .remainder()
        .iter()
        .zip(right_chunks.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in left_chunks.zip(right_chunks) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// eˣ by range reduction and a polynomial of degree 6 (relative error below 3·10⁻⁷); vectorises, no library call.
#[inline(always)]
#[must_use]
pub fn exponential(x: f32) -> f32 {
    const ROUNDS: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let scaled = x * LOG2_E;
    // Adding and taking away 1.5·2²³ rounds to the nearest integer, which then also stands in the lowest bits of the sum.
    let shifted = scaled + ROUNDS;
    let whole = shifted - ROUNDS;
    let r = (x - whole * 0.693_359_4) - whole * (LN_2 - 0.693_359_4);
    let mut p = 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    p * f32::from_bits(shifted.to_bits().wrapping_sub(ROUNDS.to_bits() - 127) << 23)
}

/// Φ(x) and φ(x), the normal distribution and density: Abramowitz and Stegun 7.1.26, |error| < 1.5·10⁻⁷ in erf.
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    let z = x.abs() * FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let gauss = exponential(-z * z);
    let mut p = 1.061_405_4;
    p = p * t - 1.453_152_1;
    p = p * t + 1.421_413_8;
    p = p * t - 0.284_496_72;
    p = p * t + 0.254_829_6;
    let tail = 0.5 * p * t * gauss; // 1 - Φ(|x|)
    let phi = if x >= 0.0 { 1.0 - tail } else { tail };
    (phi, gauss * 0.398_942_3)
}

/// x·Φ(x), the exact GELU, and its slope.
#[inline(always)]
fn gelu_at(x: f32) -> (f32, f32) {
    let (phi, density) = normal(x);
    (x * phi, phi + x * density)
}

/// The GELU with tanh that GPT-2 was trained with, x·σ(2u) with u = √(2/π)·(x + 0.044715·x³), and its slope.
#[inline(always)]
fn gelu_tanh_at(x: f32) -> (f32, f32) {
    const TWICE: f32 = 2.0 * 0.797_884_6;
    let square = x * x;
    let sigma = 1.0 / (1.0 + exponential(-TWICE * x * (1.0 + 0.044_715 * square)));
    let inner = TWICE * (1.0 + 3.0 * 0.044_715 * square);
    (x * sigma, sigma + x * sigma * (1.0 - sigma) * inner)
}

/// target[i] = x·Φ(x), the exact GELU, and values[i] = x becomes the slope there.
pub fn gelu(target: &mut [f32], values: &mut [f32]) {
    widest(
        #[inline(always)]
        || {
            for (y, x) in target.iter_mut().zip(values.iter_mut()) {
                (*y, *x) = gelu_at(*x);
            }
        },
    );
}

/// As [`gelu`], in the form with tanh that GPT-2 was trained with.
pub fn gelu_tanh(target: &mut [f32], values: &mut [f32]) {
    widest(
        #[inline(always)]
        || {
            for (y, x) in target.iter_mut().zip(values.iter_mut()) {
                (*y, *x) = gelu_tanh_at(*x);
            }
        },
    );
}

/// Each row of `values` becomes the GELU, exact or with tanh, of itself plus `bias`.
pub fn activate(values: &mut [f32], bias: &[f32], is_exact: bool) {
    widest(
        #[inline(always)]
        || {
            for row in values.chunks_exact_mut(bias.len()) {
                let row = row.iter_mut().zip(bias);
                if is_exact {
                    row.for_each(|(x, b)| *x = gelu_at(*x + b).0);
                } else {
                    row.for_each(|(x, b)| *x = gelu_tanh_at(*x + b).0);
                }
            }
        },
    );
}

/// target[i] *= factors[i].
pub fn multiply_elements(target: &mut [f32], factors: &[f32]) {
    widest(
        #[inline(always)]
        || {
            for (t, &f) in target.iter_mut().zip(factors) {
                *t *= f;
            }
        },
    );
}

/// target += source.
pub fn add_into(target: &mut [f32], source: &[f32]) {
    widest(
        #[inline(always)]
        || {
            for (t, &s) in target.iter_mut().zip(source) {
                *t += s;
            }
        },
    );
}

/// target *= factor.
pub fn scale(target: &mut [f32], factor: f32) {
    widest(
        #[inline(always)]
        || {
            for value in target.iter_mut() {
                *value *= factor;
            }
        },
    );
}

/// Puts `bias` into every row of `target`, so that a product can be added to it.
pub fn add_bias(target: &mut [f32], bias: &[f32]) {
    for row in target.chunks_exact_mut(bias.len()) {
        row.copy_from_slice(bias);
    }
}

/// Adds `bias` to every row of `target`.
pub fn add_to_rows(target: &mut [f32], bias: &[f32]) {
    widest(
        #[inline(always)]
        || {
            for row in target.chunks_exact_mut(bias.len()) {
                for (value, &b) in row.iter_mut().zip(bias) {
                    *value += b;
                }
            }
        },
    );
}

/// sums[c] += Σ_r matrix[r, c]: the gradient of a bias.
pub fn column_sums(sums: &mut [f32], matrix: &[f32]) {
    widest(
        #[inline(always)]
        || {
            for row in matrix.chunks_exact(sums.len()) {
                for (sum, &value) in sums.iter_mut().zip(row) {
                    *sum += value;
                }
            }
        },
    );
}

/// Mean and 1/deviation of one row, kept for the backward pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct NormStatistics {
    pub mean: f32,
    pub inverse: f32,
}

/// LayerNorm of each row: (x - mean)·inverse·weight + bias.
pub fn layer_norm(
    target: &mut [f32],
    statistics: &mut [NormStatistics],
    source: &[f32],
    weight: &[f32],
    bias: &[f32],
) {
    let width = weight.len();
    widest(
        #[inline(always)]
        || {
            let rows = source
                .chunks_exact(width)
                .zip(target.chunks_exact_mut(width))
                .zip(statistics.iter_mut());
            for ((x, y), kept) in rows {
                let mean = sum_of(x, |value| value) / width as f32;
                let variance = sum_of(x, |value| (value - mean) * (value - mean)) / width as f32;
                let inverse = 1.0 / (variance + LAYER_NORM_EPSILON).sqrt();
                *kept = NormStatistics { mean, inverse };
                for (((y, &x), &w), &b) in y.iter_mut().zip(x).zip(weight).zip(bias) {
                    *y = (x - mean) * inverse * w + b;
                }
            }
        },
    );
}

/// Adds the gradient with respect to `source` to `d_source`, and those of weight and bias to theirs.
pub fn layer_norm_backward(
    d_source: &mut [f32],
    (d_weight, d_bias): (&mut [f32], &mut [f32]),
    d_target: &[f32],
    source: &[f32],
    statistics: &[NormStatistics],
    weight: &[f32],
) {
    let width = weight.len();
    let mut scaled = vec![0.0; width];
    let mut normal = vec![0.0; width];
    widest(
        #[inline(always)]
        || {
            let rows = d_source
                .chunks_exact_mut(width)
                .zip(d_target.chunks_exact(width))
                .zip(source.chunks_exact(width));
            for (((dx, dy), x), kept) in rows.zip(statistics) {
                let gradients = d_weight.iter_mut().zip(d_bias.iter_mut());
                let values = normal.iter_mut().zip(scaled.iter_mut());
                let given = dy.iter().zip(x).zip(weight);
                for (((dw, db), (n, s)), ((&dy, &x), &w)) in gradients.zip(values).zip(given) {
                    *n = (x - kept.mean) * kept.inverse;
                    *s = dy * w;
                    *dw += dy * *n;
                    *db += dy;
                }
                let mean = sum_of(&scaled, |value| value) / width as f32;
                let slope = dot(&scaled, &normal) / width as f32;
                for ((dx, &s), &n) in dx.iter_mut().zip(&scaled).zip(&normal) {
                    *dx += kept.inverse * (s - mean - n * slope);
                }
            }
        },
    );
}

/// Inverted dropout in place: element i is zeroed with probability `rate`, decided by a hash of (key, i) alone, so
/// that the backward pass finds the same elements and no order of work can change them. `values` begin at element `start`.
pub fn dropout(values: &mut [f32], rate: f32, key: u64, start: usize) {
    if rate <= 0.0 {
        return;
    }
    let limit = (f64::from(rate) * 4_294_967_296.0) as u32;
    let keep = 1.0 / (1.0 - rate);
    let (low, high) = (
        (key as u32).wrapping_add(start as u32),
        scramble((key >> 32) as u32),
    );
    widest(
        #[inline(always)]
        || {
            for (index, value) in values.iter_mut().enumerate() {
                let hash = scramble((index as u32).wrapping_add(low) ^ high);
                *value *= if hash < limit { 0.0 } else { keep };
            }
        },
    );
}

/// The finaliser of MurmurHash3 on 32 bits.
#[inline(always)]
fn scramble(mut value: u32) -> u32 {
    value ^= value >> 16;
    value = value.wrapping_mul(0x85eb_ca6b);
    value ^= value >> 13;
    value = value.wrapping_mul(0xc2b2_ae35);
    value ^ (value >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_close_to_the_library() {
        for i in -8000..8000 {
            let x = i as f32 * 0.01;
            let (ours, library) = (f64::from(exponential(x)), f64::from(x).exp());
            assert!(
                (ours / library - 1.0).abs() < 5e-7,
                "e^{x}: {ours} {library}"
            );
        }
    }

    #[test]
    fn gelu_at_known_points() {
        // x·Φ(x) with Φ from tables of the normal distribution.
        let mut source = [0.0, 1.0, -1.0, 2.0, -3.0];
        let mut target = [0.0; 5];
        gelu(&mut target, &mut source);
        for (ours, table) in
            target
                .iter()
                .zip([0.0, 0.841_344_7, -0.158_655_25, 1.954_499_7, -0.004_049_69])
        {
            assert!((ours - table).abs() < 1e-6, "{ours} {table}");
        }
    }

    #[test]
    fn dropout_keeps_the_mean_and_repeats() {
        let mut first = vec![1.0; 20000];
        dropout(&mut first, 0.2, 77, 0);
        let mut second = vec![1.0; 20000];
        let (head, tail) = second.split_at_mut(5000);
        dropout(tail, 0.2, 77, 5000);
        dropout(head, 0.2, 77, 0);
        assert_eq!(first, second);
        let mean = first.iter().sum::<f32>() / 20000.0;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!(first
            .iter()
            .all(|&value| value == 0.0 || (value - 1.25).abs() < 1e-6));
    }
}
