//! Softmax of attention, and what is lost at the head: cross-entropy, whole and in pieces, and distillation.

use super::pointwise::{sum_in_lanes, sum_of, LANES};
use super::{dot, exponential, widest};

/// Softmax of row t over its first t + 1 columns, the rest 0. `scores` is T × T.
pub fn softmax_causal(scores: &mut [f32], positions: usize) {
    widest(
        #[inline(always)]
        || {
            for (position, row) in scores.chunks_exact_mut(positions).enumerate() {
                softmax(row, position + 1);
            }
        },
    );
}

/// Softmax over the first `seen` columns, the rest 0: whole vectors in place, then what is left of `seen` as one more vector in
/// registers.
#[inline(always)]
fn softmax(row: &mut [f32], seen: usize) {
    let (whole, rest) = row.split_at_mut(seen / LANES * LANES);
    let left = seen % LANES;
    let mut tail = [0.0; LANES];
    match rest.first_chunk::<LANES>() {
        Some(chunk) => tail = *chunk,
        None => tail[..left].copy_from_slice(&rest[..left]),
    }
    for (index, value) in tail.iter_mut().enumerate() {
        *value = if index < left {
            *value
        } else {
            f32::NEG_INFINITY
        };
    }
    let mut lanes = largest_in_lanes(whole.chunks_exact(LANES));
    for (lane, &value) in lanes.iter_mut().zip(&tail) {
        *lane = larger(value, *lane);
    }
    let largest = across(lanes, larger);
    let mut lanes = [0.0f32; LANES];
    for chunk in whole.chunks_exact_mut(LANES) {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *value = exponential(*value - largest);
            *lane += *value;
        }
    }
    for (index, value) in tail.iter_mut().enumerate() {
        let power = exponential(*value - largest);
        *value = if index < left { power } else { 0.0 };
    }
    // In the order of `sum_of`.
    let inverse = 1.0 / (lanes.iter().sum::<f32>() + tail.iter().sum::<f32>());
    for value in whole {
        *value *= inverse;
    }
    for value in &mut tail {
        *value *= inverse;
    }
    match rest.split_first_chunk_mut::<LANES>() {
        Some((chunk, future)) => {
            *chunk = tail;
            future.fill(0.0);
        }
        None => rest.copy_from_slice(&tail[..rest.len()]),
    }
}

/// Turns d_probabilities into d_scores in place: p·(dp - Σ p·dp), 0 past the diagonal.
pub fn softmax_causal_backward(gradient: &mut [f32], probabilities: &[f32], positions: usize) {
    widest(
        #[inline(always)]
        || {
            let rows = gradient
                .chunks_exact_mut(positions)
                .zip(probabilities.chunks_exact(positions));
            for (position, (d, p)) in rows.enumerate() {
                let (seen, future) = d.split_at_mut(position + 1);
                let slope = dot(seen, &p[..=position]);
                for (d, &p) in seen.iter_mut().zip(p) {
                    *d = p * (*d - slope);
                }
                future.fill(0.0);
            }
        },
    );
}

/// Sum over rows of the cross-entropies in nats, each also put into `losses`; `logits` become
/// `scale·(softmax - onehot)`, their gradient, unless `scale` is 0.
///
/// # Panics
/// If a target is past the vocabulary (the callers check token files when they read them).
#[must_use]
pub fn cross_entropy(
    logits: &mut [f32],
    targets: &[u16],
    vocabulary: usize,
    scale: f32,
    losses: &mut [f32],
) -> f64 {
    let mut total = 0.0;
    widest(
        #[inline(always)]
        || {
            let rows = logits.chunks_exact_mut(vocabulary).zip(targets);
            for ((row, &target), loss) in rows.zip(losses.iter_mut()) {
                let wanted = row[target as usize];
                let largest = largest_of(row);
                if scale == 0.0 {
                    let sum = sum_of(row, |value| exponential(value - largest));
                    *loss = sum.ln() - (wanted - largest);
                    total += f64::from(*loss);
                    continue;
                }
                for value in row.iter_mut() {
                    *value = exponential(*value - largest);
                }
                let sum = sum_of(row, |value| value);
                *loss = sum.ln() - (wanted - largest);
                total += f64::from(*loss);
                let factor = scale / sum;
                for value in row.iter_mut() {
                    *value *= factor;
                }
                row[target as usize] -= scale;
            }
        },
    );
    total
}

/// Σ eˣ over the columns of one row that were seen so far, as e^largest · sum.
#[derive(Debug, Clone, Copy)]
pub struct LogSum {
    largest: f32,
    sum: f32,
}

impl LogSum {
    /// Of no columns.
    pub const EMPTY: Self = Self {
        largest: f32::NEG_INFINITY,
        sum: 0.0,
    };

    /// Takes in `columns` more columns of each row.
    pub fn add_columns(rows: &mut [Self], values: &[f32], columns: usize) {
        widest(
            #[inline(always)]
            || {
                for (known, row) in rows.iter_mut().zip(values.chunks_exact(columns)) {
                    let largest = largest_of(row).max(known.largest);
                    let before = known.sum * exponential(known.largest - largest);
                    let (lanes, rest) = sum_in_lanes(row, |value| exponential(value - largest));
                    let sum = before + rest + across(lanes, |a, b| a + b);
                    *known = Self { largest, sum };
                }
            },
        );
    }

    /// ln Σ eˣ - `value`: the cross-entropy of a row whose target has that logit.
    #[must_use]
    pub fn above(self, value: f32) -> f32 {
        self.sum.ln() - (value - self.largest)
    }
}

/// As [`cross_entropy`] with a teacher: sum over rows of (1 - weight)·cross-entropy + weight·τ²·KL(teacher ‖ student), both at
/// temperature τ; `logits` become `scale` times the gradient.
#[must_use]
pub fn distillation(
    logits: &mut [f32],
    teacher: &[f32],
    targets: &[u16],
    vocabulary: usize,
    (scale, weight, temperature): (f32, f32, f32),
) -> f64 {
    let mut total = 0.0;
    let mut buffers = [0; 3].map(|_| vec![0.0f32; vocabulary]);
    let [plain, soft, wanted] = &mut buffers;
    let rows = logits
        .chunks_exact_mut(vocabulary)
        .zip(teacher.chunks_exact(vocabulary));
    for ((row, teacher), &target) in rows.zip(targets) {
        log_softmax(plain, row, 1.0);
        log_softmax(soft, row, temperature);
        log_softmax(wanted, teacher, temperature);
        let mut divergence = 0.0;
        for ((own, wish), (logit, plain)) in
            soft.iter().zip(&*wanted).zip(row.iter_mut().zip(&*plain))
        {
            let (probability, teacher) = (own.exp(), wish.exp());
            divergence += teacher * (wish - own);
            *logit = scale
                * ((1.0 - weight) * plain.exp() + weight * temperature * (probability - teacher));
        }
        row[target as usize] -= scale * (1.0 - weight);
        total += f64::from((1.0 - weight) * -plain[target as usize])
            + f64::from(weight * temperature * temperature * divergence);
    }
    total
}

/// target = log softmax(source / temperature).
fn log_softmax(target: &mut [f32], source: &[f32], temperature: f32) {
    let largest = largest_of(source);
    let sum: f32 = source
        .iter()
        .map(|value| ((value - largest) / temperature).exp())
        .sum();
    let shift = sum.ln();
    for (target, value) in target.iter_mut().zip(source) {
        *target = (value - largest) / temperature - shift;
    }
}

/// In lanes, so that it vectorises.
#[inline(always)]
fn largest_of(values: &[f32]) -> f32 {
    let chunks = values.chunks_exact(LANES);
    let rest = chunks
        .remainder()
        .iter()
        .fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    across(largest_in_lanes(chunks), larger).max(rest)
}

#[inline(always)]
fn largest_in_lanes(chunks: std::slice::ChunksExact<f32>) -> [f32; LANES] {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(value, *lane);
        }
    }
    lanes
}

/// The second one unless the first is larger: one instruction, other than [`f32::max`].
#[inline(always)]
fn larger(value: f32, than: f32) -> f32 {
    if value > than {
        value
    } else {
        than
    }
}

/// Joins the lanes, half with half: four steps instead of fifteen that wait for each other.
#[inline(always)]
fn across(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        for (low, &high) in low.iter_mut().zip(&*high) {
            *low = join(*low, high);
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_sees_what_causality_leaves_at_every_length() {
        for positions in [1, 7, 16, 37, 64] {
            // Past the diagonal stands what another product left there, here no numbers.
            let mut scores = vec![f32::NAN; positions * positions];
            for row in 0..positions {
                for column in 0..=row {
                    scores[row * positions + column] = (row * 31 + column * 17) as f32 % 7.0 - 3.0;
                }
            }
            let given = scores.clone();
            softmax_causal(&mut scores, positions);
            for (row, (values, given)) in scores
                .chunks(positions)
                .zip(given.chunks(positions))
                .enumerate()
            {
                let sum: f64 = given[..=row].iter().map(|&x| f64::from(x).exp()).sum();
                for (column, &value) in values.iter().enumerate() {
                    if column > row {
                        assert_eq!(value, 0.0, "{row} {column}");
                        continue;
                    }
                    let expected = f64::from(given[column]).exp() / sum;
                    assert!((f64::from(value) - expected).abs() < 1e-6, "{row} {column}");
                }
            }
        }
    }

    #[test]
    fn cross_entropy_is_the_same_in_panels() {
        let (rows, columns) = (5, 100);
        let logits: Vec<f32> = (0..rows * columns)
            .map(|index| (index * 7919 % 1000) as f32 * 0.04 - 20.0)
            .collect();
        let targets = [0u16, 31, 32, 64, 99];
        let mut whole = [0.0; 5];
        let _ = cross_entropy(&mut logits.clone(), &targets, columns, 0.0, &mut whole);
        let mut sums = [LogSum::EMPTY; 5];
        for start in (0..columns).step_by(32) {
            let end = columns.min(start + 32);
            let panel: Vec<f32> = logits
                .chunks(columns)
                .flat_map(|row| &row[start..end])
                .copied()
                .collect();
            LogSum::add_columns(&mut sums, &panel, end - start);
        }
        for (row, (sum, loss)) in sums.iter().zip(whole).enumerate() {
            let found = sum.above(logits[row * columns + targets[row] as usize]);
            assert!((found - loss).abs() < 1e-5 * loss.abs(), "{found} {loss}");
        }
    }
}
