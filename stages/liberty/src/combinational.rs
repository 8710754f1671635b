//! Characterises cells without memory.

use std::collections::{BTreeMap, BTreeSet};

use crate::bench::{Accuracy, Bench, Run, Stimulus};
use crate::circuit::POWER;
use crate::corner::{MAX_TRANSITION, MIN_LOAD};
use crate::hidden;
use crate::library::{Arc, Edge, Input, Output, Sense, Table};
use crate::logic::Logic;
use crate::measure::{integral, Wave};
use crate::spice::Waves;
use crate::LibertyError;

/// Transition and loads of the first look at an arc: the transition in ns, the loads in pF.
const PROBE_SLEW: f64 = 0.1;
const PROBE_LOADS: [f64; 2] = [0.002, 0.02];

/// Values of all inputs, bit by bit.
pub type State = u32;

/// Input, output and values of the inputs (the moving one 0) such that the output follows the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Path {
    input: usize,
    output: usize,
    sense: Sense,
    state: State,
}

/// The moment and the window of one ramp in a run.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// Start of the ramp, its middle, and the end of the window.
    pub start: f64,
    pub middle: f64,
    pub end: f64,
    pub rising: bool,
}

pub fn bit(state: State, input: usize) -> bool {
    state >> input & 1 == 1
}

/// Value of an output in a state of the inputs.
pub fn value(logic: &Logic, output: usize, state: State) -> bool {
    let input = |name: &str| {
        let number = logic.inputs.iter().position(|input| input == name);
        number.is_some_and(|number| bit(state, number))
    };
    logic
        .functions
        .get(output)
        .is_some_and(|function| function.evaluate(&input))
}

/// All ways in which one input alone moves an output.
fn paths(logic: &Logic) -> Vec<Path> {
    let mut paths = Vec::new();
    for output in 0..logic.outputs.len() {
        for input in 0..logic.inputs.len() {
            for state in (0..1 << logic.inputs.len()).filter(|state| !bit(*state, input)) {
                let (low, high) = (
                    value(logic, output, state),
                    value(logic, output, state | 1 << input),
                );
                if low != high {
                    let sense = if high {
                        Sense::Positive
                    } else {
                        Sense::Negative
                    };
                    paths.push(Path {
                        input,
                        output,
                        sense,
                        state,
                    });
                }
            }
        }
    }
    paths
}

/// How many outputs move on a path.
fn moving(logic: &Logic, path: Path) -> usize {
    let moves = |output: &usize| {
        value(logic, *output, path.state) != value(logic, *output, path.state | 1 << path.input)
    };
    (0..logic.outputs.len()).filter(moves).count()
}

/// A run in which one input ramps up and down with each of the transitions, and its events in order.
pub fn toggles(
    logic: &Logic,
    input: usize,
    state: State,
    slews: &[f64],
    loads: Vec<f64>,
    settle: f64,
) -> (Run, Vec<Event>) {
    let mut stimuli: Vec<Stimulus> = (0..logic.inputs.len())
        .map(|input| Stimulus::constant(bit(state, input)))
        .collect();
    let mut events = Vec::new();
    let mut now = 0.2;
    for slew in slews {
        for rising in [true, false] {
            let end = now + crate::corner::ramp(*slew) + settle;
            if let Some(stimulus) = stimuli.get_mut(input) {
                let middle = stimulus.ramp(now, *slew, rising);
                events.push(Event {
                    start: now,
                    middle,
                    end,
                    rising,
                });
            }
            now = end;
        }
    }
    (
        Run {
            stimuli,
            loads,
            length: now,
        },
        events,
    )
}

/// What one event shows at one output.
struct Seen {
    delay: f64,
    slew: f64,
    /// Energy from the supply less what the loads account for, in equal parts for each output that moves, pJ.
    energy: f64,
}

/// The simulated vectors of one run.
pub struct Vectors {
    pub time: Vec<f64>,
    pub supply: Vec<f64>,
}

pub fn vectors(bench: &Bench, waves: &Waves) -> Result<Vectors, LibertyError> {
    Ok(Vectors {
        time: waves
            .vector("time")?
            .into_iter()
            .map(|seconds| seconds * 1e9)
            .collect(),
        // mA, so that the product with V is mW and with ns pJ.
        supply: bench
            .current(waves, POWER)?
            .into_iter()
            .map(|amperes| amperes * 1e3)
            .collect(),
    })
}

fn see(
    bench: &Bench,
    logic: &Logic,
    waves: &Waves,
    path: Path,
    event: &Event,
    load: f64,
) -> Result<Seen, LibertyError> {
    let Vectors { time, supply } = vectors(bench, waves)?;
    let output = bench
        .outputs
        .get(path.output)
        .map(String::as_str)
        .unwrap_or_default();
    let value = bench.voltage(waves, output)?;
    let volts = bench.corner.volts;
    let wave = Wave {
        time: &time,
        value: &value,
        volts,
    };
    let rising = event.rising == (path.sense == Sense::Positive);
    let transition = wave.transition(rising, event.start, event.end).ok_or_else(|| {
        let input = bench.inputs.get(path.input).map(String::as_str).unwrap_or_default();
        let word = if rising { "rise" } else { "fall" };
        LibertyError::cell(bench.cell, format!("'{output}' does not {word} after '{input}' in simulation, though its function says so"))
    })?;
    let charges = [load, MIN_LOAD].map(|load| load * volts * volts);
    let total = volts * integral(&time, &supply, event.start, event.end);
    Ok(Seen {
        delay: transition.at - event.middle,
        slew: transition.slew,
        energy: energy(logic, path, event.rising, charges, total),
    })
}

/// What a library says of an edge of one output for which the supply gave `total` and whose load takes
/// `charge` (CV²) to rise, those of other outputs `least`, pJ.
///
/// The supply charges the loads of all outputs that rise, this one's and the others' of the smallest size; what is left is the cell's
/// own, in equal parts for each output that moves. A timing tool adds CV²/2 for either edge of a net, where the supply gives all of
/// it to the rising one and nothing to the falling.
fn energy(
    logic: &Logic,
    path: Path,
    input_rises: bool,
    [charge, least]: [f64; 2],
    total: f64,
) -> f64 {
    let (before, after) = match input_rises {
        true => (path.state, path.state | 1 << path.input),
        false => (path.state | 1 << path.input, path.state),
    };
    let rises = |output: usize| !value(logic, output, before) && value(logic, output, after);
    let others = (0..logic.outputs.len()).filter(|output| *output != path.output && rises(*output));
    let own_charge = if rises(path.output) { charge } else { 0.0 };
    let drawn = own_charge + others.count() as f64 * least;
    (total - drawn) / moving(logic, path) as f64 + own_charge - charge / 2.0
}

/// Linear fit of an output's transition over load, for one path and direction.
#[derive(Clone, Copy)]
struct Drive {
    base: f64,
    slope: f64,
}

/// The slowest path for each input, output, sense and direction of the output.
type Worst = BTreeMap<(usize, usize, Sense, bool), Path>;

/// Looks at every path once: which states are slowest in each direction, and how strong each output is.
fn probe(
    bench: &Bench,
    logic: &Logic,
    paths: &[Path],
) -> Result<(Worst, Vec<Drive>), LibertyError> {
    let strength = strengths(bench);
    let mut runs = Vec::new();
    let mut plans = Vec::new();
    for path in paths {
        for probe_load in PROBE_LOADS {
            let load = probe_load * strength.get(path.output).copied().unwrap_or(1.0);
            let loads = (0..logic.outputs.len())
                .map(|output| {
                    if output == path.output {
                        load
                    } else {
                        MIN_LOAD
                    }
                })
                .collect();
            let (run, events) = toggles(logic, path.input, path.state, &[PROBE_SLEW], loads, 3.0);
            runs.push(run);
            plans.push((*path, load, events));
        }
    }
    let waves = bench.simulate(&runs, Accuracy::Delays)?;
    let mut worst: BTreeMap<(usize, usize, Sense, bool), (f64, Path)> = BTreeMap::new();
    let mut drives = vec![
        Drive {
            base: 0.0,
            slope: 0.0
        };
        logic.outputs.len()
    ];
    for (pair, waves) in plans.chunks(2).zip(waves.chunks(2)) {
        let ([(path, small, events), (_, large, _)], [with_small, with_large]) = (pair, waves)
        else {
            continue;
        };
        for event in events {
            let (a, b) = (
                see(bench, logic, with_small, *path, event, *small)?,
                see(bench, logic, with_large, *path, event, *large)?,
            );
            let slope = (b.slew - a.slew) / (large - small);
            if let Some(drive) = drives
                .get_mut(path.output)
                .filter(|drive| slope > drive.slope)
            {
                *drive = Drive {
                    base: a.slew - slope * small,
                    slope,
                };
            }
            let rising = event.rising == (path.sense == Sense::Positive);
            let key = (path.input, path.output, path.sense, rising);
            let delay = a.delay + b.delay;
            let slot = worst.entry(key).or_insert((delay, *path));
            if delay > slot.0 {
                *slot = (delay, *path);
            }
        }
    }
    Ok((
        worst
            .into_iter()
            .map(|(key, (_, path))| (key, path))
            .collect(),
        drives,
    ))
}

/// Rough strength of each output: width of its n-channel transistors over that of a smallest gate's.
pub fn strengths(bench: &Bench) -> Vec<f64> {
    let smallest = 650.0;
    let strength = |pin: &String| {
        let net = bench.circuit.net(pin)?;
        let on_net = bench.circuit.transistors.iter().filter(|one| {
            one.channel == crate::circuit::Channel::N
                && (one.drain.net == net || one.source.net == net)
        });
        Some(
            (on_net
                .map(|one| one.width * one.fingers as f64)
                .sum::<f64>()
                / smallest)
                .max(0.5),
        )
    };
    bench
        .outputs
        .iter()
        .map(|pin| strength(pin).unwrap_or(1.0))
        .collect()
}

/// Geometric steps from the smallest load to the largest.
pub fn load_axis(largest: f64, count: usize) -> Vec<f64> {
    let steps = count.max(2) - 1;
    let ratio = (largest / MIN_LOAD).powf(1.0 / steps as f64);
    // Rounded, so that the axis is written as it was simulated.
    (0..=steps)
        .map(|step| (MIN_LOAD * ratio.powi(step as i32) * 1e7).round() / 1e7)
        .collect()
}

/// Measures all arcs and input capacitances of a cell.
pub fn characterise(
    bench: &Bench,
    logic: &Logic,
    slews: &[f64],
    load_count: usize,
) -> Result<(Vec<Input>, Vec<Output>), LibertyError> {
    let paths = paths(logic);
    let (worst, drives) = probe(bench, logic, &paths)?;
    let largest: Vec<f64> = drives
        .iter()
        .map(|drive| ((MAX_TRANSITION - drive.base) / drive.slope).max(4.0 * MIN_LOAD))
        .collect();
    let axes: Vec<Vec<f64>> = largest
        .iter()
        .map(|largest| load_axis(*largest, load_count))
        .collect();
    let chosen: BTreeSet<Path> = worst.values().copied().collect();
    let mut runs = Vec::new();
    let mut plans = Vec::new();
    for path in &chosen {
        let (Some(axis), Some(drive)) = (axes.get(path.output), drives.get(path.output)) else {
            continue;
        };
        for load in axis {
            let loads = (0..logic.outputs.len())
                .map(|output| {
                    if output == path.output {
                        *load
                    } else {
                        MIN_LOAD
                    }
                })
                .collect();
            let settle = 1.0 + 4.5 * (drive.base + drive.slope * load);
            let (run, events) = toggles(logic, path.input, path.state, slews, loads, settle);
            runs.push(run);
            plans.push((*path, *load, events));
        }
    }
    let waves = bench.simulate(&runs, Accuracy::Delays)?;
    let hidden = hidden::energies(bench, logic, slews)?;
    let mut arcs: BTreeMap<(usize, usize, Sense), Arc> = BTreeMap::new();
    let mut charges: BTreeMap<(usize, bool), Vec<f64>> = BTreeMap::new();
    for ((path, load, events), waves) in plans.iter().zip(&waves) {
        let axis = axes.get(path.output).map(Vec::as_slice).unwrap_or_default();
        let column = axis.iter().position(|other| other == load).unwrap_or(0);
        let related = logic.inputs.get(path.input).cloned().unwrap_or_default();
        for (number, event) in events.iter().enumerate() {
            let rising = event.rising == (path.sense == Sense::Positive);
            if worst.get(&(path.input, path.output, path.sense, rising)) != Some(path) {
                continue;
            }
            let seen = see(bench, logic, waves, *path, event, *load)?;
            let arc = arcs
                .entry((path.output, path.input, path.sense))
                .or_insert_with(|| {
                    let edge = || Edge {
                        delay: Table::new(slews, axis),
                        transition: Table::new(slews, axis),
                        energy: Table::new(slews, axis),
                    };
                    Arc {
                        related: related.clone(),
                        sense: path.sense,
                        rise: edge(),
                        fall: edge(),
                    }
                });
            let edge = if rising { &mut arc.rise } else { &mut arc.fall };
            let row = number / 2;
            edge.delay.set(row, column, seen.delay);
            edge.transition.set(row, column, seen.slew);
            // An input's own energy counts once, whatever the number of outputs that move.
            let own = hidden.get(path.input).and_then(Option::as_ref);
            let own = own.zip(slews.get(row)).map_or(0.0, |(own, slew)| {
                own.read(event.rising, *slew) / moving(logic, *path) as f64
            });
            edge.energy.set(row, column, seen.energy - own);
            if column == 0 && slews.get(row).is_some_and(|slew| (0.1..1.0).contains(slew)) {
                charges
                    .entry((path.input, event.rising))
                    .or_default()
                    .push(capacitance(bench, waves, &related, event)?);
            }
        }
    }
    let inputs = logic.inputs.iter().enumerate().map(|(number, name)| {
        let mean = |rising: bool| {
            let values = charges
                .get(&(number, rising))
                .map(Vec::as_slice)
                .unwrap_or_default();
            values.iter().sum::<f64>() / values.len().max(1) as f64
        };
        Input {
            name: name.clone(),
            rise_capacitance: mean(true),
            fall_capacitance: mean(false),
            energy: hidden.get(number).cloned().flatten(),
            ..Input::default()
        }
    });
    let outputs = logic
        .outputs
        .iter()
        .zip(&logic.functions)
        .zip(axes)
        .enumerate()
        .map(|(number, ((name, function), axis))| Output {
            name: name.clone(),
            function: function.to_string(),
            max_capacitance: axis.last().copied().unwrap_or(0.0),
            arcs: arcs
                .iter()
                .filter(|((output, ..), _)| *output == number)
                .map(|(_, arc)| arc.clone())
                .collect(),
        });
    Ok((inputs.collect(), outputs.collect()))
}

/// Capacitance of an input over the first half of a ramp, pF.
pub fn capacitance(
    bench: &Bench,
    waves: &Waves,
    pin: &str,
    event: &Event,
) -> Result<f64, LibertyError> {
    let time: Vec<f64> = waves
        .vector("time")?
        .into_iter()
        .map(|seconds| seconds * 1e9)
        .collect();
    let current: Vec<f64> = bench
        .current(waves, pin)?
        .into_iter()
        .map(|amperes| amperes * 1e3)
        .collect();
    let charge = integral(&time, &current, event.start, event.middle);
    Ok((charge / (bench.corner.volts / 2.0)).abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_ADDER: &str =
        "module ha (COUT, SUM, A, B);\n output COUT; output SUM; input A; input B;\n \
                              and a (COUT, A, B);\n xor x (SUM, A, B);\nendmodule\n";

    #[test]
    fn loads_of_all_outputs_are_taken_off_once() {
        let logic = crate::logic::read(HALF_ADDER, "ha").unwrap();
        let (own, least) = (0.01, 0.002);
        // With B = 1 both outputs follow A, in opposite directions.
        let path = |output: usize, sense: Sense| Path {
            input: 0,
            output,
            sense,
            state: 0b10,
        };
        for charge in [0.002, 0.5] {
            let charges = [charge, least];
            let carry = path(0, Sense::Positive);
            let sum = path(1, Sense::Negative);
            // COUT rises and SUM falls: the supply charges COUT's load alone.
            let found = energy(&logic, carry, true, charges, charge + 2.0 * own);
            assert!((found - own - charge / 2.0).abs() < 1e-12, "{found}");
            let found = energy(&logic, sum, true, charges, least + 2.0 * own);
            assert!((found - own + charge / 2.0).abs() < 1e-12, "{found}");
            // And back: SUM's alone.
            let found = energy(&logic, carry, false, charges, least + 2.0 * own);
            assert!((found - own + charge / 2.0).abs() < 1e-12, "{found}");
            let found = energy(&logic, sum, false, charges, charge + 2.0 * own);
            assert!((found - own - charge / 2.0).abs() < 1e-12, "{found}");
        }
        // With B = 0 SUM moves alone.
        let alone = Path {
            input: 0,
            output: 1,
            sense: Sense::Positive,
            state: 0,
        };
        let found = energy(&logic, alone, true, [0.5, least], 0.5 + own);
        assert!((found - own - 0.25).abs() < 1e-12, "{found}");
    }
}
