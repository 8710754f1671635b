//! A cell on the test bench: sources on its inputs, loads on its outputs, one simulator process for many runs.

use std::fmt::Write;
use std::path::Path;

use crate::circuit::{Circuit, POWER};
use crate::corner::{ramp, Corner};
use crate::models::Models;
use crate::spice::{self, Waves};
use crate::LibertyError;

/// Value of an input over time: start value and ramps (start in ns, full duration in ns, final value).
#[derive(Debug, Clone, Default)]
pub struct Stimulus {
    pub start: bool,
    pub ramps: Vec<(f64, f64, bool)>,
}

impl Stimulus {
    pub fn constant(value: bool) -> Self {
        Self {
            start: value,
            ramps: Vec::new(),
        }
    }

    /// Adds a ramp to `value` whose 20–80 % transition is `slew`; returns the time at which it is half way.
    pub fn ramp(&mut self, at: f64, slew: f64, value: bool) -> f64 {
        let duration = ramp(slew);
        self.ramps.push((at, duration, value));
        at + duration / 2.0
    }

    fn points(&self, volts: f64) -> String {
        let level = |value: bool| if value { volts } else { 0.0 };
        let mut text = format!("0 {}", level(self.start));
        let mut now = self.start;
        for (at, duration, value) in &self.ramps {
            let _ = write!(
                text,
                " {at:.6}n {} {:.6}n {}",
                level(now),
                at + duration,
                level(*value)
            );
            now = *value;
        }
        if self.ramps.is_empty() {
            let _ = write!(text, " 1 {}", level(self.start));
        }
        text
    }
}

/// One simulation: a stimulus for each input, a load (pF) for each output, a length (ns).
#[derive(Debug, Clone, Default)]
pub struct Run {
    pub stimuli: Vec<Stimulus>,
    pub loads: Vec<f64>,
    /// 0 asks for the operating point alone.
    pub length: f64,
}

/// How closely a simulation follows its waves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accuracy {
    /// Delays as they are written into the library.
    Delays,
    /// Delays that are only compared with each other, in two thirds of the time.
    Comparison,
}

impl Accuracy {
    /// How far the simulator trusts itself beyond its estimate of the truncation error. With 1 the estimate is taken at its word: at
    /// the simulator's default of 7 mean delays come out 5 % short.
    fn trust(self) -> u32 {
        match self {
            Self::Delays => 1,
            Self::Comparison => 4,
        }
    }
}

/// What stays the same over a cell's runs.
pub struct Bench<'a> {
    pub cell: &'a str,
    pub circuit: &'a Circuit,
    pub inputs: &'a [String],
    pub outputs: &'a [String],
    pub models: &'a Models,
    pub corner: Corner,
    pub program: &'a Path,
    pub folder: &'a Path,
}

impl Bench<'_> {
    /// Simulates all runs in one process.
    pub fn simulate(&self, runs: &[Run], accuracy: Accuracy) -> Result<Vec<Waves>, LibertyError> {
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let what = format!("cell '{}'", self.cell);
        let waves = spice::run(
            self.program,
            &what,
            self.folder,
            &self.deck(runs, accuracy)?,
            runs.len(),
        );
        // Hundreds of raw files add up; what is left after a failure helps to find its reason.
        if waves.is_ok() {
            std::fs::remove_dir_all(self.folder)
                .map_err(|error| LibertyError::io(self.folder, error))?;
        }
        waves
    }

    pub fn node(&self, pin: &str) -> Result<String, LibertyError> {
        let net = self.circuit.net(pin);
        let net = net.ok_or_else(|| {
            LibertyError::cell(
                self.cell,
                format!("no shape is labelled '{pin}' in its layout"),
            )
        })?;
        Ok(self.circuit.node(net))
    }

    pub fn voltage(&self, waves: &Waves, pin: &str) -> Result<Vec<f64>, LibertyError> {
        waves.vector(&format!("v({})", self.node(pin)?))
    }

    /// Current that a pin, or the supply, draws from its source.
    pub fn current(&self, waves: &Waves, pin: &str) -> Result<Vec<f64>, LibertyError> {
        // SPICE counts a source's current into its positive end.
        Ok(waves
            .vector(&format!("i(vs{})", self.node(pin)?))?
            .into_iter()
            .map(|current| -current)
            .collect())
    }

    fn deck(&self, runs: &[Run], accuracy: Accuracy) -> Result<String, LibertyError> {
        let mut bins = Vec::new();
        for transistor in &self.circuit.transistors {
            bins.push(self.models.bin(transistor)?);
        }
        bins.sort_unstable();
        bins.dedup();
        let mut text = format!("* {}\n", self.cell);
        // Loads are below a femtofarad, so charge is counted finer than usual.
        let _ = writeln!(
            text,
            ".options temp={} gmin=1e-15 chgtol=1e-16 trtol={}",
            self.corner.celsius,
            accuracy.trust()
        );
        for bin in bins {
            text.push_str(&self.models.card(bin).1);
        }
        let name = |transistor: &_| {
            self.models
                .bin(transistor)
                .map(|bin| self.models.card(bin).0)
                .unwrap_or_default()
        };
        text.push_str(&self.circuit.spice(name));
        let power = self.node(POWER)?;
        let _ = writeln!(text, "vs{power} {power} 0 {}", self.corner.volts);
        let mut saved = format!("i(vs{power})");
        for pin in self.inputs {
            let node = self.node(pin)?;
            let _ = writeln!(text, "vs{node} {node} 0 pwl(0 0 1 0)");
            let _ = write!(saved, " v({node}) i(vs{node})");
        }
        for pin in self.outputs {
            let node = self.node(pin)?;
            let _ = writeln!(text, "cl{node} {node} 0 1f");
            let _ = write!(saved, " v({node})");
        }
        // By default ngspice spins on two threads for a handful of transistors, ten times slower; OMP_NUM_THREADS does not reach it.
        text.push_str(".control\nset filetype=binary\nset num_threads=1\n");
        let _ = writeln!(text, "save {saved}");
        for (number, run) in runs.iter().enumerate() {
            self.commands(&mut text, number, run)?;
        }
        text.push_str("quit 0\n.endc\n.end\n");
        Ok(text)
    }

    /// The control lines of one run.
    fn commands(&self, text: &mut String, number: usize, run: &Run) -> Result<(), LibertyError> {
        for (pin, stimulus) in self.inputs.iter().zip(&run.stimuli) {
            let _ = writeln!(
                text,
                "alter @vs{}[pwl] = [ {} ]",
                self.node(pin)?,
                stimulus.points(self.corner.volts)
            );
        }
        for (pin, load) in self.outputs.iter().zip(&run.loads) {
            let _ = writeln!(text, "alter cl{} = {load:.6}p", self.node(pin)?);
        }
        if run.length > 0.0 {
            // The step is set by the truncation error; the given one only bounds it from above.
            let _ = writeln!(
                text,
                "tran {:.4}n {:.4}n",
                (run.length / 50.0).min(0.5),
                run.length
            );
        } else {
            text.push_str("op\n");
        }
        let _ = writeln!(text, "write r{number}.raw\ndestroy all");
        Ok(())
    }
}
