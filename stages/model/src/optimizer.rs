//! AdamW with decay on matrices only, gradient clipping, and the learning rate's schedule.

use rayon::prelude::*;

use crate::config::TrainingConfig;
use crate::kernels::widest;
use crate::parameters::ParameterTable;
use crate::ModelError;

/// The two running means of AdamW, parallel to the flat parameter array.
#[derive(Debug, Clone, Default)]
pub struct Moments {
    pub first: Vec<f32>,
    pub second: Vec<f32>,
    /// Steps taken.
    pub step: u64,
}

/// AdamW (Loshchilov and Hutter 2019) on the flat parameter array: one pass over memory for a step.
pub struct AdamW {
    pub moments: Moments,
    /// (range, decays) of every tensor.
    pieces: Vec<(std::ops::Range<usize>, bool)>,
    heads: HeadGroups,
    settings: TrainingConfig,
}

/// The learning rate at `step` (from 0): linear warm-up, then a cosine down to the minimum at the last step.
#[must_use]
pub fn learning_rate(settings: &TrainingConfig, step: u64) -> f32 {
    let (high, low) = (
        f64::from(settings.learning_rate),
        f64::from(settings.minimum_learning_rate),
    );
    if step < settings.warmup_steps {
        return (high * (step + 1) as f64 / settings.warmup_steps as f64) as f32;
    }
    let span = settings.steps.saturating_sub(settings.warmup_steps).max(1);
    let ratio = ((step - settings.warmup_steps) as f64 / span as f64).min(1.0);
    (low + 0.5 * (1.0 + (std::f64::consts::PI * ratio).cos()) * (high - low)) as f32
}

/// L2 norm in a fixed order of summation.
#[must_use]
pub fn norm(values: &[f32]) -> f64 {
    let pieces: Vec<f64> = values
        .par_chunks(1 << 14)
        .map(|piece| {
            let mut lanes = [0.0f64; 8];
            for chunk in piece.chunks(8) {
                for (lane, &value) in lanes.iter_mut().zip(chunk) {
                    *lane += f64::from(value) * f64::from(value);
                }
            }
            lanes.iter().sum()
        })
        .collect();
    pieces.iter().sum::<f64>().sqrt()
}

impl AdamW {
    #[must_use]
    pub fn new(table: &ParameterTable, heads: usize, settings: TrainingConfig) -> Self {
        let moments = Moments {
            first: vec![0.0; table.total],
            second: vec![0.0; table.total],
            step: 0,
        };
        let mut pieces = Vec::new();
        for segment in &table.segments {
            let mut start = segment.range.start;
            while start < segment.range.end {
                let end = (start + (1 << 14)).min(segment.range.end);
                pieces.push((start..end, segment.decay));
                start = end;
            }
        }
        Self {
            moments,
            pieces,
            heads: HeadGroups::new(table, heads),
            settings,
        }
    }

    /// One step: `parameters` move against `gradient`. Returns the gradient's L2 norm.
    ///
    /// # Errors
    /// [`ModelError::Diverged`] when the gradient is no finite number; nothing has moved then.
    pub fn step(&mut self, parameters: &mut [f32], gradient: &[f32]) -> Result<f64, ModelError> {
        let norm = norm(gradient);
        if !norm.is_finite() {
            return Err(ModelError::Diverged(
                "the gradient is no finite number any more".into(),
            ));
        }
        let settings = &self.settings;
        let rate = learning_rate(settings, self.moments.step);
        self.moments.step += 1;
        let step = self.moments.step.min(1 << 30) as i32;
        let clip = f64::from(settings.clip);
        let factors = Factors {
            gradient: if clip > 0.0 && norm > clip {
                (clip / norm) as f32
            } else {
                1.0
            },
            beta1: settings.beta1,
            beta2: settings.beta2,
            rate: rate / (1.0 - settings.beta1.powi(step)),
            second: 1.0 / (1.0 - settings.beta2.powi(step)),
            decay: 1.0 - rate * settings.weight_decay,
        };
        let mut work = Vec::with_capacity(self.pieces.len());
        let (mut rest_of_parameters, mut first, mut second) = (
            &mut parameters[..],
            self.moments.first.as_mut_slice(),
            self.moments.second.as_mut_slice(),
        );
        for (range, decays) in &self.pieces {
            let (piece, rest) = rest_of_parameters.split_at_mut(range.len());
            let (first_piece, first_rest) = first.split_at_mut(range.len());
            let (second_piece, second_rest) = second.split_at_mut(range.len());
            (rest_of_parameters, first, second) = (rest, first_rest, second_rest);
            let factors = Factors {
                decay: if *decays { factors.decay } else { 1.0 },
                ..factors
            };
            work.push((
                piece,
                first_piece,
                second_piece,
                &gradient[range.clone()],
                factors,
            ));
        }
        work.into_par_iter()
            .for_each(|(parameters, first, second, gradient, factors)| {
                factors.apply(parameters, first, second, gradient);
            });
        if settings.head_sparsity > 0.0 {
            self.heads.shrink(parameters, rate * settings.head_sparsity);
        }
        Ok(norm)
    }
}

#[derive(Clone, Copy)]
struct Factors {
    gradient: f32,
    beta1: f32,
    beta2: f32,
    rate: f32,
    second: f32,
    decay: f32,
}

impl Factors {
    fn apply(
        self,
        parameters: &mut [f32],
        first: &mut [f32],
        second: &mut [f32],
        gradient: &[f32],
    ) {
        const EPSILON: f32 = 1e-8;
        widest(
            #[inline(always)]
            || {
                let moments = first.iter_mut().zip(second.iter_mut());
                for ((parameter, (m, v)), &g) in parameters.iter_mut().zip(moments).zip(gradient) {
                    let g = g * self.gradient;
                    *m = self.beta1 * *m + (1.0 - self.beta1) * g;
                    *v = self.beta2 * *v + (1.0 - self.beta2) * g * g;
                    let update = self.rate * *m / ((*v * self.second).sqrt() + EPSILON);
                    *parameter = *parameter * self.decay - update;
                }
            },
        );
    }
}

/// The weights of each attention head as one group.
struct HeadGroups {
    /// (c_attn weight, c_proj weight) of each layer, as starts in the flat array.
    layers: Vec<(usize, usize)>,
    width: usize,
    heads: usize,
}

impl HeadGroups {
    fn new(table: &ParameterTable, heads: usize) -> Self {
        let layers = table
            .blocks
            .iter()
            .map(|block| (block.qkv.weight.start, block.projection.weight.start))
            .collect();
        Self {
            layers,
            width: table.final_norm.weight.len(),
            heads,
        }
    }

    /// Calls `visit` with each run of weights of one head: columns of c_attn, rows of c_proj.
    fn visit(
        &self,
        parameters: &mut [f32],
        layer: (usize, usize),
        head: usize,
        mut visit: impl FnMut(&mut [f32]),
    ) {
        let (width, columns) = (self.width, self.width / self.heads);
        for row in 0..width {
            for part in 0..3 {
                visit(
                    &mut parameters[layer.0 + row * 3 * width + part * width + head * columns..]
                        [..columns],
                );
            }
        }
        visit(&mut parameters[layer.1 + head * columns * width..][..columns * width]);
    }

    /// One proximal step of the group lasso: each head's weights shrink by `amount` in their common L2 norm, so that the
    /// heads that matter least fade to nothing and can be pruned at little cost.
    fn shrink(&self, parameters: &mut [f32], amount: f32) {
        for &layer in &self.layers {
            for head in 0..self.heads {
                let mut sum = 0.0f64;
                self.visit(parameters, layer, head, |run| {
                    sum += run
                        .iter()
                        .map(|&value| f64::from(value) * f64::from(value))
                        .sum::<f64>();
                });
                let factor = (1.0 - f64::from(amount) / sum.sqrt().max(1e-12)).max(0.0) as f32;
                self.visit(parameters, layer, head, |run| {
                    run.iter_mut().for_each(|value| *value *= factor)
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedule_warms_up_and_falls_to_the_floor() {
        let settings = TrainingConfig {
            steps: 1000,
            warmup_steps: 10,
            learning_rate: 1.0,
            minimum_learning_rate: 0.1,
            ..TrainingConfig::default()
        };
        assert!((learning_rate(&settings, 0) - 0.1).abs() < 1e-6);
        assert!((learning_rate(&settings, 10) - 1.0).abs() < 1e-6);
        assert!((learning_rate(&settings, 505) - 0.55).abs() < 1e-6);
        assert!((learning_rate(&settings, 1000) - 0.1).abs() < 1e-6);
    }
}
