//! Capacitance of a diffusion that belongs to no transistor: an antenna diode's.

use crate::circuit::Junction;
use crate::corner::Corner;
use crate::models::Models;
use crate::LibertyError;

/// One part of a junction: its capacitance at no voltage, built-in potential (V) and grading.
struct Part {
    capacitance: f64,
    built_in: f64,
    grading: f64,
}

impl Part {
    /// Mean over reverse voltages from 0 to `volts`: C = C0·(1 + V/PB)^-MJ, integrated.
    fn mean(&self, volts: f64) -> f64 {
        let rest = 1.0 - self.grading;
        let powers = (1.0 + volts / self.built_in).powf(rest) - 1.0;
        self.capacitance * self.built_in / (volts * rest) * powers
    }
}

/// Capacitance in pF of a junction, mean over the supply range, as BSIM4 has it at the corner's temperature.
pub fn capacitance(
    models: &Models,
    corner: Corner,
    junction: &Junction,
) -> Result<f64, LibertyError> {
    let parameter = |name: &str| models.parameter(junction.channel, name);
    let warmer = corner.celsius - parameter("tnom")?;
    let part = |names: [&str; 5], size: f64| -> Result<Part, LibertyError> {
        let [capacitance, by_heat, built_in, falls, grading] = names;
        Ok(Part {
            capacitance: size * parameter(capacitance)? * (1.0 + parameter(by_heat)? * warmer),
            built_in: parameter(built_in)? - parameter(falls)? * warmer,
            grading: parameter(grading)?,
        })
    };
    let bottom = part(["cjs", "tcj", "pbs", "tpb", "mjs"], junction.area * 1e-18)?;
    let edge = part(
        ["cjsws", "tcjsw", "pbsws", "tpbsw", "mjsws"],
        junction.perimeter * 1e-9,
    )?;
    Ok((bottom.mean(corner.volts) + edge.mean(corner.volts)) * 1e12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_that_of_the_curve() {
        let part = Part {
            capacitance: 2.0,
            built_in: 0.7,
            grading: 0.4,
        };
        let steps = 10_000;
        let curve = |step: i32| {
            let volts = 1.8 * (f64::from(step) + 0.5) / f64::from(steps);
            2.0 * (1.0 + volts / 0.7).powf(-0.4)
        };
        let sum: f64 = (0..steps).map(curve).sum();
        assert!((part.mean(1.8) - sum / f64::from(steps)).abs() < 1e-6);
    }
}
