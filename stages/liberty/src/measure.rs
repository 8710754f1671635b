//! Numbers out of simulated waveforms. Times in ns, voltages in V, charges in pC (mA·ns), energies in pJ.

use crate::corner::{DELAY_THRESHOLD, SLEW_HIGH, SLEW_LOW};

/// A voltage over time.
pub struct Wave<'a> {
    pub time: &'a [f64],
    pub value: &'a [f64],
    pub volts: f64,
}

/// One output transition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transition {
    /// When it crosses the delay threshold.
    pub at: f64,
    /// Duration between the slew thresholds.
    pub slew: f64,
}

impl Wave<'_> {
    /// Times at which the wave crosses `level` in the direction of `rising` within the window.
    ///
    /// The simulator's points lie far apart where its error estimate allows it, so the crossing is found on the cubic through the four
    /// points around it: with straight lines transitions come out 2 % too long.
    pub fn crossings(&self, level: f64, rising: bool, from: f64, to: f64) -> Vec<f64> {
        let first = self
            .time
            .partition_point(|time| *time < from)
            .saturating_sub(1);
        let mut found = Vec::new();
        for at in first..self.time.len().saturating_sub(1) {
            let (Some([t0, t1]), Some([v0, v1])) =
                (self.time.get(at..at + 2), self.value.get(at..at + 2))
            else {
                break;
            };
            if *t0 > to {
                break;
            }
            let crosses = if rising {
                *v0 < level && *v1 >= level
            } else {
                *v0 > level && *v1 <= level
            };
            if crosses {
                let crossing = self.crossing(at, level, rising, *t0, *t1);
                if (from..=to).contains(&crossing) {
                    found.push(crossing);
                }
            }
        }
        found
    }

    /// Bisection on the cubic through the points around interval `at`; the ends of the interval bound it.
    fn crossing(&self, at: usize, level: f64, rising: bool, mut low: f64, mut high: f64) -> f64 {
        let around = at.saturating_sub(1)..(at + 3).min(self.time.len());
        let (Some(times), Some(values)) = (self.time.get(around.clone()), self.value.get(around))
        else {
            return low;
        };
        for _ in 0..40 {
            let middle = (low + high) / 2.0;
            if (polynomial(times, values, middle) < level) == rising {
                low = middle;
            } else {
                high = middle;
            }
        }
        (low + high) / 2.0
    }

    /// The transition of the window: it ends with the last crossing of the far slew threshold's first arrival.
    pub fn transition(&self, rising: bool, from: f64, to: f64) -> Option<Transition> {
        let (near, far) = if rising {
            (SLEW_LOW, SLEW_HIGH)
        } else {
            (SLEW_HIGH, SLEW_LOW)
        };
        let at = *self
            .crossings(DELAY_THRESHOLD * self.volts, rising, from, to)
            .last()?;
        // Around the delay threshold: the last near crossing before it, the first far crossing after it.
        let start = *self.crossings(near * self.volts, rising, from, at).last()?;
        let end = *self.crossings(far * self.volts, rising, at, to).first()?;
        Some(Transition {
            at,
            slew: end - start,
        })
    }
}

/// Lagrange's polynomial through a few points.
fn polynomial(xs: &[f64], ys: &[f64], x: f64) -> f64 {
    let mut sum = 0.0;
    for (i, (xi, yi)) in xs.iter().zip(ys).enumerate() {
        let others = xs.iter().enumerate().filter(|(j, _)| *j != i);
        sum += yi * others.map(|(_, xj)| (x - xj) / (xi - xj)).product::<f64>();
    }
    sum
}

/// Linear interpolation in ascending `xs`; constant beyond the ends.
pub fn interpolate(xs: &[f64], ys: &[f64], x: f64) -> f64 {
    let after = xs.partition_point(|other| *other < x);
    let get = |values: &[f64], at: usize| values.get(at).copied().unwrap_or(0.0);
    if after == 0 {
        return get(ys, 0);
    }
    if after >= xs.len() {
        return ys.last().copied().unwrap_or(0.0);
    }
    let (x0, x1) = (get(xs, after - 1), get(xs, after));
    let (y0, y1) = (get(ys, after - 1), get(ys, after));
    if x1 == x0 {
        y1
    } else {
        y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    }
}

/// Integral of `value` over time from `from` to `to`, by trapezoids.
pub fn integral(time: &[f64], value: &[f64], from: f64, to: f64) -> f64 {
    let mut sum = 0.0;
    let (mut last_time, mut last_value) = (from, interpolate(time, value, from));
    for (t, v) in time
        .iter()
        .zip(value)
        .filter(|(t, _)| **t > from && **t < to)
    {
        sum += (t - last_time) * (v + last_value) / 2.0;
        (last_time, last_value) = (*t, *v);
    }
    sum + (to - last_time) * (interpolate(time, value, to) + last_value) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_has_its_known_delay_and_slew() {
        let time: Vec<f64> = (0..30).map(|step| f64::from(step) * 0.1).collect();
        let value: Vec<f64> = time.iter().map(|t| 1.8 - 0.6 * t).collect();
        let transition = Wave {
            time: &time,
            value: &value,
            volts: 1.8,
        }
        .transition(false, 0.0, 9.0)
        .unwrap();
        assert!((transition.at - 1.5).abs() < 1e-9 && (transition.slew - 1.8).abs() < 1e-9);
        assert!(Wave {
            time: &time,
            value: &value,
            volts: 1.8
        }
        .transition(true, 0.0, 9.0)
        .is_none());
    }

    #[test]
    fn few_points_of_an_exponential_give_its_slew() {
        // Points as sparse as the simulator's: eight over the transition.
        let time: Vec<f64> = (0..20).map(|step| f64::from(step) * 0.25).collect();
        let value: Vec<f64> = time.iter().map(|t| 1.0 - (-t).exp()).collect();
        let transition = Wave {
            time: &time,
            value: &value,
            volts: 1.0,
        }
        .transition(true, 0.0, 9.0)
        .unwrap();
        assert!(
            (transition.at - 2f64.ln()).abs() < 2e-3,
            "{}",
            transition.at
        );
        assert!(
            (transition.slew - 4f64.ln()).abs() < 5e-3,
            "{}",
            transition.slew
        );
    }

    #[test]
    fn a_glitch_before_the_transition_does_not_count() {
        let value: Vec<f64> = [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.0].to_vec();
        let time: Vec<f64> = (0..9).map(f64::from).collect();
        let transition = Wave {
            time: &time,
            value: &value,
            volts: 1.0,
        }
        .transition(true, 0.0, 9.0)
        .unwrap();
        assert!(
            transition.at > 5.0 && transition.at < 6.5,
            "{}",
            transition.at
        );
    }

    #[test]
    fn integrals_cut_trapezoids_at_the_window() {
        let (time, value) = ([0.0, 2.0, 4.0], [0.0, 2.0, 2.0]);
        assert!((integral(&time, &value, 1.0, 3.0) - (1.5 + 2.0)).abs() < 1e-12);
    }
}
