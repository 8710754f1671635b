//! Process corners, and the definitions that all measurements share.

use crate::LibertyError;

/// A process corner with its temperature and supply.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Corner {
    /// Name of the model file: `tt`, `ss` or `ff`.
    pub process: &'static str,
    /// As in the names of published libraries, such as `tt_025C_1v80`.
    pub name: &'static str,
    pub celsius: f64,
    pub volts: f64,
}

/// The three corners that the SkyWater PDK publishes for digital sign-off.
pub const CORNERS: [Corner; 3] = [
    Corner {
        process: "tt",
        name: "tt_025C_1v80",
        celsius: 25.0,
        volts: 1.80,
    },
    Corner {
        process: "ss",
        name: "ss_100C_1v60",
        celsius: 100.0,
        volts: 1.60,
    },
    Corner {
        process: "ff",
        name: "ff_n40C_1v95",
        celsius: -40.0,
        volts: 1.95,
    },
];

impl Corner {
    pub fn find(process: &str) -> Result<Self, LibertyError> {
        CORNERS
            .into_iter()
            .find(|corner| corner.process == process)
            .ok_or_else(|| LibertyError::Parameter {
                name: "corner",
                reason: format!("'{process}' is none of tt, ss, ff"),
            })
    }
}

/// Fractions of the supply at which delays and transitions are taken, as in the published library.
pub const DELAY_THRESHOLD: f64 = 0.5;
pub const SLEW_LOW: f64 = 0.2;
pub const SLEW_HIGH: f64 = 0.8;

/// Largest transition that the library allows, ns; loads reach up to where an output has it.
pub const MAX_TRANSITION: f64 = 1.5;
/// Smallest load of the tables, pF.
pub const MIN_LOAD: f64 = 0.0005;

/// Duration of a full ramp whose 20–80 % transition is `slew`.
pub fn ramp(slew: f64) -> f64 {
    slew / (SLEW_HIGH - SLEW_LOW)
}
