//! The accelerator's fixed-point arithmetic: one operation, [`Requant`], and tables of it.
//!
//! `>>` is an arithmetic shift (floor) everywhere. Every language of the project computes exactly this.

use crate::AccelError;

/// `y = (((a·m) >> 15) + b) >> s`: the only thing the scalar unit computes.
///
/// `a` has at most 24 bits (accumulators as many as the hardware has), `m` is a fraction of 2¹⁵, `b` has 24 bits and holds offset
/// and rounding, `s` is 0…15. int16 and wider elements enter as `a = x·2⁸`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Requant {
    pub m: i16,
    pub b: i32,
    pub s: u8,
}

/// Largest offset of a [`Requant`].
pub const OFFSET_LIMIT: i32 = (1 << 23) - 1;

impl Requant {
    /// The scaled value before saturation.
    #[must_use]
    pub fn scale(self, a: i32) -> i32 {
        self.scale_by(a, self.m)
    }

    /// The same with another multiplier, for multipliers that are computed at run time.
    #[must_use]
    pub fn scale_by(self, a: i32, m: i16) -> i32 {
        let product = (i64::from(a) * i64::from(m)) >> 15;
        ((product + i64::from(self.b)) >> self.s) as i32
    }

    /// The requantisation nearest to `y = ratio·a + offset`, rounding to nearest, with as many fraction bits as fit.
    ///
    /// # Errors
    /// A message when |ratio| ≥ 1 or the offset is too large for `b`; `what` names the value.
    pub fn fit(ratio: f64, offset: f64, what: &str) -> Result<Self, AccelError> {
        (0..=15u8).rev().find_map(|s| Self::with_shift(ratio, offset, s)).ok_or_else(|| {
            AccelError::Model(format!(
                "{what}: scale ratio {ratio:.4} and offset {offset:.1} do not fit; the output scale is too small for its input"
            ))
        })
    }

    /// As [`Requant::fit`], with a given shift; `None` where multiplier or offset do not fit.
    #[must_use]
    pub fn with_shift(ratio: f64, offset: f64, s: u8) -> Option<Self> {
        let unit = f64::from(1u32 << s);
        let m = (ratio * unit * 32768.0).round();
        // Half a step rounds to nearest; another half unit makes up for the floor of the product.
        let b = (offset * unit + unit / 2.0 + if s > 0 { 0.5 } else { 0.0 }).floor();
        let fits = m.abs() <= 32767.0 && b.abs() <= f64::from(OFFSET_LIMIT);
        fits.then_some(Self {
            m: m as i16,
            b: b as i32,
            s,
        })
    }
}

/// Clamps to int8.
#[must_use]
pub fn saturate8(value: i32) -> i8 {
    value.clamp(-128, 127) as i8
}

/// Clamps to int16.
#[must_use]
pub fn saturate16(value: i32) -> i16 {
    value.clamp(-32768, 32767) as i16
}

/// Keeps 24 bits, as the register that sums and compares does.
#[must_use]
pub fn wrap24(value: i32) -> i32 {
    (value << 8) >> 8
}

/// Entries of a table: sign, coarse or fine, nine bits.
pub const TABLE_ENTRIES: usize = 2048;

/// Index of an int16 into a table: −512…511 one by one, the others in steps of 64.
#[must_use]
pub fn table_index(value: i16) -> usize {
    let bits = value as u16;
    let sign = usize::from(bits >> 15);
    if (-512..512).contains(&value) {
        sign << 10 | usize::from(bits & 511)
    } else {
        sign << 10 | 1 << 9 | usize::from(bits >> 6 & 511)
    }
}

/// First value with this index, and how many share it.
fn table_range(index: usize) -> (i32, i32) {
    let low = (index & 511) as i32;
    match (index >> 10 & 1, index >> 9 & 1) {
        (0, 0) => (low, 1),
        (_, 0) => (low - 512, 1),
        (0, _) => (low * 64, 64),
        (_, _) => (low * 64 - 32768, 64),
    }
}

/// A function of an int16 as straight pieces, one [`Requant`] an index.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table(Vec<Requant>);

impl Table {
    /// Tabulates `f`. Below ±512 the result is exactly the rounded function; elsewhere chords over 64 steps.
    ///
    /// # Errors
    /// A message when a piece is too steep or too high for the format.
    pub fn tabulate(what: &str, f: impl Fn(f64) -> f64) -> Result<Self, AccelError> {
        let entries = (0..TABLE_ENTRIES).map(|index| {
            let (start, count) = table_range(index);
            if count == 1 {
                return Ok(Requant {
                    m: 0,
                    b: f(f64::from(start)).round() as i32,
                    s: 0,
                });
            }
            let (low, high) = (f(f64::from(start)), f(f64::from(start + count)));
            let slope = (high - low) / f64::from(count);
            // Elements enter times 2⁸.
            let steepness = slope / 256.0;
            (0..=15u8)
                .rev()
                .find_map(|s| {
                    let piece = Requant::with_shift(steepness, 0.0, s)?;
                    let unit = f64::from(1u32 << s);
                    let exact = f64::from(start) * f64::from(piece.m) / 128.0;
                    let b = (low * unit - exact + unit / 2.0 + 0.5).floor();
                    (b.abs() <= f64::from(OFFSET_LIMIT)).then_some(Requant {
                        b: b as i32,
                        ..piece
                    })
                })
                .ok_or_else(|| {
                    AccelError::Model(format!("{what}: table entry {index} is too steep"))
                })
        });
        entries.collect::<Result<Vec<_>, _>>().map(Self)
    }

    /// The function's value, before saturation.
    #[must_use]
    pub fn look_up(&self, value: i16) -> i32 {
        self.0[table_index(value)].scale(i32::from(value) << 8)
    }

    /// The entries in order of the index.
    #[must_use]
    pub fn entries(&self) -> &[Requant] {
        &self.0
    }
}

/// Gaussian error linear unit, with the error function by its series or continued fraction (to about 1e-15).
#[must_use]
pub fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + error_function(x / std::f64::consts::SQRT_2))
}

/// Maclaurin series below 3, complement by Lentz's continued fraction above (Abramowitz & Stegun 7.1.5, 7.1.14).
fn error_function(x: f64) -> f64 {
    if x < 0.0 {
        return -error_function(-x);
    }
    if x < 3.0 {
        let mut term = x;
        let mut sum = x;
        for n in 1..60 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return sum * 2.0 / std::f64::consts::PI.sqrt();
    }
    if x > 6.0 {
        return 1.0;
    }
    let mut fraction = 0.0;
    for n in (1..60).rev() {
        fraction = f64::from(n) / 2.0 / (x + fraction);
    }
    1.0 - (-x * x).exp() / std::f64::consts::PI.sqrt() / (x + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_the_index_of_a_range_that_holds_it() {
        for value in i16::MIN..=i16::MAX {
            let (start, count) = table_range(table_index(value));
            assert!(
                (start..start + count).contains(&i32::from(value)),
                "{value}"
            );
        }
    }

    #[test]
    fn fit_rounds_to_nearest() {
        let requant = Requant::fit(0.0371, -4.25, "test").unwrap();
        for a in -3000..3000 {
            let exact = 0.0371 * f64::from(a) - 4.25;
            let error = f64::from(requant.scale(a)) - exact;
            assert!(error.abs() < 0.51, "{a}: {error}");
        }
        assert!(Requant::fit(1.5, 0.0, "test").is_err());
    }

    #[test]
    fn a_table_follows_its_function() {
        let table = Table::tabulate("gelu", |x| gelu(x / 256.0) * 20.0).unwrap();
        for value in i16::MIN..=i16::MAX {
            let exact = gelu(f64::from(value) / 256.0) * 20.0;
            let error = f64::from(table.look_up(value)) - exact;
            assert!(error.abs() < 0.6, "{value}: {error}");
        }
    }

    #[test]
    fn gelu_at_known_points() {
        // 0.5·x·erfc(−x/√2) computed with 30 digits.
        for (x, y) in [
            (0.0, 0.0),
            (1.0, 0.841_344_746_068_543),
            (-1.0, -0.158_655_253_931_457),
            (5.0, 4.999_998_566_742_8),
        ] {
            assert!((gelu(x) - y).abs() < 1e-12, "{x}: {}", gelu(x));
        }
    }
}
