//! Characterises D flip-flops, with and without a scan multiplexer.

use crate::bench::{Accuracy, Bench, Run, Stimulus};
use crate::combinational::{
    bit, capacitance, load_axis, strengths, vectors, Event, State, Vectors,
};
use crate::constraints;
use crate::corner::{ramp, MAX_TRANSITION, MIN_LOAD};
use crate::library::{Arc, Edge, Input, Output, PinEnergy, ScanRole, Sense, Table};
use crate::logic::{FlipFlop, Logic};
use crate::measure::{integral, Transition, Wave};
use crate::spice::Waves;
use crate::LibertyError;

/// Transition of inputs that are not measured, ns.
pub const QUIET_SLEW: f64 = 0.05;
/// Time that a flip-flop is given to settle beyond the ramps, ns.
const SETTLE: f64 = 1.2;

/// A data input, the values of the others (itself 0) such that the next state follows it, and whether it is inverted.
pub type Data = (usize, State, bool);

/// A flip-flop's pins by what they do.
pub struct Pins {
    clock: usize,
    data: Vec<Data>,
}

fn pins(cell: &str, logic: &Logic, flip_flop: &FlipFlop) -> Result<Pins, LibertyError> {
    let position = |name: &str| logic.inputs.iter().position(|input| input == name);
    let clock = position(&flip_flop.clock)
        .ok_or_else(|| LibertyError::cell(cell, "its clock is no input"))?;
    let value = |state: State| {
        flip_flop
            .next
            .evaluate(&|name| position(name).is_some_and(|input| bit(state, input)))
    };
    let mut data = Vec::new();
    for input in (0..logic.inputs.len()).filter(|input| *input != clock) {
        let follows = (0..1 << logic.inputs.len()).find(|state: &State| {
            !bit(*state, input)
                && !bit(*state, clock)
                && value(*state) != value(*state | 1 << input)
        });
        let state = follows.ok_or_else(|| {
            LibertyError::cell(
                cell,
                format!("its next state never depends on '{}'", logic.inputs[input]),
            )
        })?;
        data.push((input, state, value(state)));
    }
    Ok(Pins { clock, data })
}

/// Writes the stimuli of a flip-flop cycle by cycle.
pub struct Script {
    stimuli: Vec<Stimulus>,
    clock: usize,
    data: usize,
    inverted: bool,
    pub now: f64,
}

impl Script {
    /// Clock low, data such that the next state is `next`.
    pub fn new(logic: &Logic, pins: &Pins, data: Data, next: bool) -> Self {
        let (data, state, inverted) = data;
        let start = |input: usize| {
            if input == data {
                next != inverted
            } else {
                bit(state, input)
            }
        };
        let stimuli = (0..logic.inputs.len())
            .map(|input| Stimulus::constant(start(input)))
            .collect();
        Self {
            stimuli,
            clock: pins.clock,
            data,
            inverted,
            now: 0.5,
        }
    }

    pub fn ramp(&mut self, input: usize, at: f64, slew: f64, value: bool) -> f64 {
        self.stimuli
            .get_mut(input)
            .map_or(at, |stimulus| stimulus.ramp(at, slew, value))
    }

    /// The data input goes so that the next state becomes `next`, then time to settle.
    pub fn data(&mut self, slew: f64, next: bool) -> Event {
        let (start, rising) = (self.now, next != self.inverted);
        let middle = self.ramp(self.data, start, slew, rising);
        self.now = start + ramp(slew) + SETTLE;
        Event {
            start,
            middle,
            end: self.now,
            rising,
        }
    }

    /// One edge of the clock and `wait` more.
    pub fn clock(&mut self, slew: f64, rising: bool, wait: f64) -> Event {
        let start = self.now;
        let middle = self.ramp(self.clock, start, slew, rising);
        self.now = start + ramp(slew) + wait;
        Event {
            start,
            middle,
            end: self.now,
            rising,
        }
    }

    pub fn pulse(&mut self) {
        self.clock(QUIET_SLEW, true, SETTLE);
        self.clock(QUIET_SLEW, false, SETTLE);
    }

    pub fn run(self, loads: Vec<f64>) -> Run {
        Run {
            stimuli: self.stimuli,
            loads,
            length: self.now,
        }
    }
}

pub fn transition(
    bench: &Bench,
    waves: &Waves,
    time: &[f64],
    rising: bool,
    event: &Event,
) -> Result<Option<Transition>, LibertyError> {
    let output = bench
        .outputs
        .first()
        .map(String::as_str)
        .unwrap_or_default();
    let value = bench.voltage(waves, output)?;
    Ok(Wave {
        time,
        value: &value,
        volts: bench.corner.volts,
    }
    .transition(rising, event.start, event.end))
}

/// Measures all arcs, capacitances and constraints of a flip-flop with one output.
pub fn characterise(
    bench: &Bench,
    logic: &Logic,
    flip_flop: &FlipFlop,
    slews: &[f64],
    load_count: usize,
    constraint_slews: &[f64],
) -> Result<(Vec<Input>, Vec<Output>), LibertyError> {
    if logic.outputs.len() != 1 {
        return Err(LibertyError::cell(
            bench.cell,
            "flip-flops with one output only are characterised",
        ));
    }
    let pins = pins(bench.cell, logic, flip_flop)?;
    let drive = drive(bench, logic, &pins)?;
    let axis = load_axis((MAX_TRANSITION - drive.0) / drive.1, load_count);
    let (arc, clock_capacitance, clock_energy) = arcs(bench, logic, &pins, slews, &axis, drive)?;
    let (mut inputs, mut before) = (Vec::new(), None);
    let data_pins = data_pins(bench, logic, &pins, slews)?;
    for (number, name) in logic.inputs.iter().enumerate() {
        let found = pins
            .data
            .iter()
            .zip(&data_pins)
            .find(|((input, ..), _)| *input == number);
        let mut input = Input {
            name: name.clone(),
            ..Input::default()
        };
        match found {
            None => {
                (input.rise_capacitance, input.fall_capacitance) = clock_capacitance;
                (input.is_clock, input.energy) = (true, Some(clock_energy.clone()));
            }
            Some((data, pin)) => {
                input.rise_capacitance = pin.rise_capacitance;
                input.fall_capacitance = pin.fall_capacitance;
                input.energy = Some(pin.energy.clone());
                let found = constraints::measure(
                    bench,
                    logic,
                    &pins,
                    *data,
                    constraint_slews,
                    before.as_ref(),
                )?;
                input.constraints = found.constraints(&flip_flop.clock, constraint_slews);
                before = Some(found);
                input.role = (pins.data.len() == 3).then(|| role(name));
            }
        }
        inputs.push(input);
    }
    let output = Output {
        name: logic.outputs.first().cloned().unwrap_or_default(),
        function: logic
            .functions
            .first()
            .map(ToString::to_string)
            .unwrap_or_default(),
        max_capacitance: axis.last().copied().unwrap_or(0.0),
        arcs: vec![arc],
    };
    Ok((inputs, vec![output]))
}

/// The library's names of scan pins.
fn role(pin: &str) -> ScanRole {
    match pin {
        "SCD" => ScanRole::ScanIn,
        "SCE" => ScanRole::ScanEnable,
        _ => ScanRole::Data,
    }
}

/// Output transition over load: its value at no load and its slope, of the slower direction.
fn drive(bench: &Bench, logic: &Logic, pins: &Pins) -> Result<(f64, f64), LibertyError> {
    let strength = strengths(bench).first().copied().unwrap_or(1.0);
    let loads = [0.002 * strength, 0.02 * strength];
    let mut runs = Vec::new();
    let mut events = Vec::new();
    for load in loads {
        let mut script = Script::new(logic, pins, pins.data[0], false);
        script.pulse();
        events.clear();
        for next in [true, false] {
            script.data(QUIET_SLEW, next);
            events.push((next, script.clock(QUIET_SLEW, true, SETTLE)));
            script.clock(QUIET_SLEW, false, SETTLE);
        }
        runs.push(script.run(vec![load]));
    }
    let waves = bench.simulate(&runs, Accuracy::Delays)?;
    let mut best = (0.0, 0.0);
    for (next, event) in &events {
        let mut slew = [0.0; 2];
        for (slot, waves) in slew.iter_mut().zip(&waves) {
            let Vectors { time, .. } = vectors(bench, waves)?;
            *slot = transition(bench, waves, &time, *next, event)?
                .ok_or_else(|| deaf(bench.cell))?
                .slew;
        }
        let slope = (slew[1] - slew[0]) / (loads[1] - loads[0]);
        if slope > best.1 {
            best = (slew[0] - slope * loads[0], slope);
        }
    }
    Ok(best)
}

pub fn deaf(cell: &str) -> LibertyError {
    LibertyError::cell(
        cell,
        "its output does not follow its data after a clock edge in simulation",
    )
}

/// From clock to output, with the clock's own capacitance and energy.
fn arcs(
    bench: &Bench,
    logic: &Logic,
    pins: &Pins,
    slews: &[f64],
    axis: &[f64],
    drive: (f64, f64),
) -> Result<(Arc, (f64, f64), PinEnergy), LibertyError> {
    let data = pins.data[0];
    // First the clock alone: data and state are 0.
    let mut script = Script::new(logic, pins, data, false);
    script.pulse();
    let idle: Vec<(Event, Event)> = slews
        .iter()
        .map(|slew| {
            (
                script.clock(*slew, true, SETTLE),
                script.clock(*slew, false, SETTLE),
            )
        })
        .collect();
    let mut runs = vec![script.run(vec![MIN_LOAD])];
    let mut plans = Vec::new();
    for load in axis {
        let mut script = Script::new(logic, pins, data, false);
        script.pulse();
        let mut events = Vec::new();
        for slew in slews {
            for next in [true, false] {
                script.data(QUIET_SLEW, next);
                events.push(script.clock(*slew, true, SETTLE + 4.5 * (drive.0 + drive.1 * load)));
                script.clock(QUIET_SLEW, false, SETTLE);
            }
        }
        runs.push(script.run(vec![*load]));
        plans.push((*load, events));
    }
    let waves = bench.simulate(&runs, Accuracy::Delays)?;
    let volts = bench.corner.volts;
    let clock = logic
        .inputs
        .get(pins.clock)
        .map(String::as_str)
        .unwrap_or_default();
    let mut energies = PinEnergy::new(slews);
    let mut capacitances = (0.0, 0.0);
    let middle = slews.len() / 2;
    if let Some(first) = waves.first() {
        let Vectors { time, supply } = vectors(bench, first)?;
        for (row, (rise, fall)) in idle.iter().enumerate() {
            for (table, edge) in [(&mut energies.rise, rise), (&mut energies.fall, fall)] {
                let charge = integral(&time, &supply, edge.start, edge.end);
                table.set(row, 0, volts * charge);
            }
            if row == middle {
                capacitances = (
                    capacitance(bench, first, clock, rise)?,
                    capacitance(bench, first, clock, fall)?,
                );
            }
        }
    }
    let edge = || Edge {
        delay: Table::new(slews, axis),
        transition: Table::new(slews, axis),
        energy: Table::new(slews, axis),
    };
    let mut arc = Arc {
        related: clock.to_string(),
        sense: Sense::None,
        rise: edge(),
        fall: edge(),
    };
    for (column, ((load, events), waves)) in plans.iter().zip(waves.iter().skip(1)).enumerate() {
        let Vectors { time, supply } = vectors(bench, waves)?;
        for (number, event) in events.iter().enumerate() {
            let (row, rising) = (number / 2, number % 2 == 0);
            let seen =
                transition(bench, waves, &time, rising, event)?.ok_or_else(|| deaf(bench.cell))?;
            let own = slews
                .get(row)
                .map_or(0.0, |slew| energies.read(true, *slew));
            let edge = if rising { &mut arc.rise } else { &mut arc.fall };
            edge.delay.set(row, column, seen.at - event.middle);
            edge.transition.set(row, column, seen.slew);
            let energy = volts * integral(&time, &supply, event.start, event.end);
            edge.energy
                .set(row, column, energy - own - load * volts * volts / 2.0);
        }
    }
    Ok((arc, capacitances, energies))
}

/// What a data input is to what drives it.
struct DataPin {
    rise_capacitance: f64,
    fall_capacitance: f64,
    energy: PinEnergy,
}

/// Capacitance of each data input at low clock, and its energy: the mean of low and high clock, measured at the shortest and the
/// longest transition.
fn data_pins(
    bench: &Bench,
    logic: &Logic,
    pins: &Pins,
    slews: &[f64],
) -> Result<Vec<DataPin>, LibertyError> {
    const SLEW: f64 = 0.3;
    let ends = crate::hidden::ends(slews);
    let mut runs = Vec::new();
    let mut plans = Vec::new();
    for data in &pins.data {
        let mut script = Script::new(logic, pins, *data, data.2);
        // The state must be known, or it hangs between 0 and 1 where the simulation starts.
        script.pulse();
        // From 0 up and down again, whether the input is inverted or not.
        let both = |script: &mut Script, slew: f64| {
            (script.data(slew, !data.2), script.data(slew, data.2))
        };
        let edges = both(&mut script, SLEW);
        let mut by_slew: Vec<(usize, (Event, Event))> = Vec::new();
        for clock in [false, true] {
            if clock {
                script.clock(QUIET_SLEW, true, SETTLE);
            }
            for (row, slew) in ends.iter().enumerate() {
                by_slew.push((row, both(&mut script, *slew)));
            }
        }
        runs.push(script.run(vec![MIN_LOAD]));
        plans.push((data, edges, by_slew));
    }
    let waves = bench.simulate(&runs, Accuracy::Delays)?;
    let mut found = Vec::new();
    for (waves, (data, (rise, fall), by_slew)) in waves.iter().zip(&plans) {
        let name = logic.inputs.get(data.0).map(String::as_str);
        let name = name.unwrap_or_default();
        let Vectors { time, supply } = vectors(bench, waves)?;
        let half = |event: &Event| {
            bench.corner.volts * integral(&time, &supply, event.start, event.end) / 2.0
        };
        let mut energy = PinEnergy::new(&ends);
        for (row, (rise, fall)) in by_slew {
            energy.rise.add(*row, 0, half(rise));
            energy.fall.add(*row, 0, half(fall));
        }
        found.push(DataPin {
            rise_capacitance: capacitance(bench, waves, name, rise)?,
            fall_capacitance: capacitance(bench, waves, name, fall)?,
            energy: energy.at(slews),
        });
    }
    Ok(found)
}
