//! Energy of an input that moves while no output does.
//!
//! Timing tools add an input pin's energy for each of its edges, whatever the outputs do, so that an arc's energy is what the
//! moving output takes beyond it.

use crate::bench::{Accuracy, Bench};
use crate::combinational::{bit, toggles, value, vectors, State};
use crate::corner::MIN_LOAD;
use crate::library::PinEnergy;
use crate::logic::Logic;
use crate::measure::integral;
use crate::LibertyError;

/// Time after a ramp, ns: the nodes inside a cell carry no load.
const SETTLE: f64 = 0.8;

/// Energies of every input over `slews`, mean over all states in which no output follows it; `None` where an output always
/// does. Measured at the shortest and the longest transition: what a cell draws in between lies on a line.
pub fn energies(
    bench: &Bench,
    logic: &Logic,
    slews: &[f64],
) -> Result<Vec<Option<PinEnergy>>, LibertyError> {
    let ends = ends(slews);
    let mut runs = Vec::new();
    let mut plans = Vec::new();
    for input in 0..logic.inputs.len() {
        for state in quiet_states(logic, input) {
            let loads = vec![MIN_LOAD; logic.outputs.len()];
            let (run, events) = toggles(logic, input, state, &ends, loads, SETTLE);
            runs.push(run);
            plans.push((input, events));
        }
    }
    let waves = bench.simulate(&runs, Accuracy::Delays)?;
    let mut found: Vec<Option<PinEnergy>> = vec![None; logic.inputs.len()];
    for ((input, events), waves) in plans.iter().zip(&waves) {
        let Some(slot) = found.get_mut(*input) else {
            continue;
        };
        let states = plans.iter().filter(|(other, _)| other == input).count() as f64;
        let seen = vectors(bench, waves)?;
        let energy = slot.get_or_insert_with(|| PinEnergy::new(&ends));
        for (number, event) in events.iter().enumerate() {
            let charge = integral(&seen.time, &seen.supply, event.start, event.end);
            let table = if event.rising {
                &mut energy.rise
            } else {
                &mut energy.fall
            };
            table.add(number / 2, 0, bench.corner.volts * charge / states);
        }
    }
    let whole = |energy: Option<PinEnergy>| energy.map(|energy| energy.at(slews));
    Ok(found.into_iter().map(whole).collect())
}

/// The shortest and the longest transition.
pub fn ends(slews: &[f64]) -> Vec<f64> {
    match slews {
        [first, .., last] => vec![*first, *last],
        _ => slews.to_vec(),
    }
}

/// States of the other inputs, the moving one 0, in which no output depends on `input`.
fn quiet_states(logic: &Logic, input: usize) -> Vec<State> {
    let quiet = |state: &State| {
        (0..logic.outputs.len())
            .all(|output| value(logic, output, *state) == value(logic, output, *state | 1 << input))
    };
    (0..1 << logic.inputs.len())
        .filter(|state: &State| !bit(*state, input))
        .filter(quiet)
        .collect()
}
