//! Runs Verilog of the accelerator, RTL or netlist, in Verilator or Icarus, and compares every logit and every memory write
//! with the golden vectors and with the instruction-level machine.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::machine::{trace_of, Effect, Machine, MachineStep};
use crate::program::Program;
use crate::{AccelError, Golden, Hardware};

mod log;

/// The test bench's text; `@NAMES@` in it are filled in by [`bench`].
const BENCH: &str = include_str!("simulate/nanoflow_bench.v");
const MAIN: &str = include_str!("simulate/main.cpp");
const CLOCK: &str = include_str!("simulate/clock.v");

/// The model's inner loops are worth optimising, the rest costs more time to compile than it saves.
const OPTIMISATION: &str = "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O0";
/// Lines of the script that the bench has room for: a constant, so that a second run need not compile it again.
const SCRIPT_LINES: usize = 1024;

/// Which simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Simulator {
    /// Two-valued, compiled: fast.
    #[default]
    Verilator,
    /// Four-valued, interpreted: finds what depends on unknown values.
    Icarus,
}

/// What to simulate and how.
#[derive(Debug, Clone)]
pub struct Simulation<'a> {
    /// Verilog files of the design with all its cells; absolute paths.
    pub verilog: Vec<PathBuf>,
    /// Name of the top module.
    pub top: String,
    /// Ports beyond the accelerator's own, as they stand in an instance, such as `, .scan_enable(1'b0)`; outputs may be left out.
    pub extra_ports: String,
    pub hardware: Hardware,
    pub program: &'a Program,
    pub golden: &'a Golden,
    pub simulator: Simulator,
    /// Tokens of all prompts to simulate, from the first on.
    pub max_tokens: usize,
    /// Cycles from a memory request to its answer, drawn at random between these; 1…200.
    pub latency: (u32, u32),
    /// Probability in 1/256 that a handshake is held back for a cycle.
    pub stall: u32,
    /// Simulate one more token in the mode that gives only the largest logit's index.
    pub argmax: bool,
    /// A directory for generated files; removed by the caller.
    pub scratch: &'a Path,
    /// Threads for compiling.
    pub threads: usize,
}

/// What the simulation measured.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Outcome {
    /// Tokens simulated.
    pub tokens: usize,
    /// Values compared: logits and memory writes.
    pub compared: usize,
    /// Values that differ.
    pub mismatches: usize,
    /// Clock cycles of each token.
    pub cycles: Vec<u64>,
    /// The first difference: token, layer and operation, value.
    pub first_difference: Option<String>,
}

impl Outcome {
    /// Writes the outcome as JSON.
    ///
    /// # Errors
    /// [`AccelError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), AccelError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| AccelError::file(path, error.to_string()))?;
        std::fs::write(path, text + "\n").map_err(|error| AccelError::io(path, error))
    }

    /// Mean clock cycles of a token.
    #[must_use]
    pub fn cycles_per_token(&self) -> f64 {
        self.cycles.iter().sum::<u64>() as f64 / self.cycles.len().max(1) as f64
    }
}

/// The test bench for a program's memory and a script of `steps` lines.
#[must_use]
pub fn bench(
    top: &str,
    hardware: &Hardware,
    words: usize,
    steps: usize,
    entry: u32,
    extra_ports: &str,
) -> String {
    BENCH
        .replace("@TOP@", top)
        .replace("@LANES@", &hardware.lanes.to_string())
        .replace("@ADDRESS_BITS@", &hardware.address_bits.to_string())
        .replace("@WORDS@", &words.to_string())
        .replace("@STEPS@", &steps.to_string())
        .replace("@ENTRY@", &entry.to_string())
        .replace("@EXTRA_PORTS@", extra_ports)
}

/// Pseudo-random bytes for memory that nothing has written yet.
fn noise() -> impl FnMut() -> u8 {
    let mut state = 0x9e37_79b9u32;
    move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    }
}

/// A token of the script, with what is expected of it.
struct Expected {
    name: String,
    argmax: bool,
    logits: Vec<i16>,
    best: u16,
    position: u64,
    machine: MachineStep,
}

impl Simulation<'_> {
    /// Runs and compares.
    ///
    /// # Errors
    /// [`AccelError::Tool`] when a simulator is missing, cannot compile the files or ends before the last token;
    /// differences are no error but part of the outcome.
    pub fn run(&self) -> Result<Outcome, AccelError> {
        check_lanes(self.program, &self.hardware)?;
        let (script, expected) = match expectations(
            self.program,
            self.golden,
            &self.hardware,
            self.max_tokens,
            self.argmax,
        ) {
            Ok(both) => both,
            Err(difference) => return Ok(difference),
        };
        let memory = self.program.memory(noise());
        let words = memory.len() / self.hardware.lanes;
        write(
            self.scratch,
            "memory.hex",
            &hex_words(&memory, self.hardware.lanes),
        )?;
        write(self.scratch, "script.hex", &script_text(&script))?;
        let entry = self.program.info.entry;
        let text = bench(
            &self.top,
            &self.hardware,
            words,
            script.len().max(SCRIPT_LINES),
            entry,
            &self.extra_ports,
        );
        write(self.scratch, "nanoflow_bench.v", &text)?;
        let cycles = 40 * words as u64 * u64::from(self.latency.1 + 4) * 256
            / u64::from(257 - self.stall.min(255));
        let mut arguments: Vec<String> = vec![
            "+memory=memory.hex".into(),
            "+script=script.hex".into(),
            "+log=log.txt".into(),
            format!("+latency_min={}", self.latency.0.max(1)),
            format!(
                "+latency_max={}",
                self.latency.1.clamp(self.latency.0.max(1), 200)
            ),
            format!("+stall={}", self.stall.min(255)),
            format!("+limit={}", cycles.clamp(1_000_000, 2_000_000_000)),
        ];
        match self.simulator {
            Simulator::Verilator => {
                self.build_verilator()?;
                run(self.scratch, "./obj_dir/Vnanoflow_bench", &arguments)?;
            }
            Simulator::Icarus => {
                write(self.scratch, "clock.v", CLOCK)?;
                let mut command = vec![
                    "-g2005",
                    "-o",
                    "bench.vvp",
                    "-s",
                    "nanoflow_clock",
                    "clock.v",
                    "nanoflow_bench.v",
                ];
                let files = self.file_names()?;
                command.extend(files.iter().map(String::as_str));
                tool("iverilog", "iverilog", self.scratch, &command)?;
                arguments.insert(0, "bench.vvp".into());
                arguments.insert(0, "-N".into());
                run(self.scratch, "vvp", &arguments)?;
            }
        }
        read_log(self.scratch, self.program, &expected)
    }

    fn file_names(&self) -> Result<Vec<String>, AccelError> {
        let names = self.verilog.iter().map(|path| {
            let path = std::path::absolute(path).map_err(|error| AccelError::io(path, error))?;
            let text = path.to_str().map(ToString::to_string);
            text.ok_or_else(|| AccelError::file(&path, "simulators need a path in UTF-8"))
        });
        names.collect()
    }

    fn build_verilator(&self) -> Result<(), AccelError> {
        write(self.scratch, "main.cpp", MAIN)?;
        let threads = self.threads.max(1).to_string();
        let mut command = vec![
            "--cc",
            "--exe",
            "--build",
            "-O3",
            "-Wno-fatal",
            "-Wno-lint",
            "-Wno-style",
            "--x-assign",
            "0",
        ];
        command.extend([
            "--x-initial",
            "unique",
            "-MAKEFLAGS",
            OPTIMISATION,
            "-j",
            &threads,
            "--top-module",
            "nanoflow_bench",
        ]);
        command.extend(["--Mdir", "obj_dir", "main.cpp", "nanoflow_bench.v"]);
        let files = self.file_names()?;
        command.extend(files.iter().map(String::as_str));
        tool("verilator", "verilator", self.scratch, &command)
    }
}

/// The C++ of the core, compiled with g++ and run on the same script.
#[derive(Debug, Clone)]
pub struct CppSimulation<'a> {
    /// Directory with the C++ files.
    pub cpp: &'a Path,
    pub hardware: Hardware,
    pub program: &'a Program,
    pub golden: &'a Golden,
    pub max_tokens: usize,
    pub scratch: &'a Path,
}

impl CppSimulation<'_> {
    /// Compiles, runs and compares; cycles are 0.
    ///
    /// # Errors
    /// As [`Simulation::run`].
    pub fn run(&self) -> Result<Outcome, AccelError> {
        check_lanes(self.program, &self.hardware)?;
        let (script, expected) = match expectations(
            self.program,
            self.golden,
            &self.hardware,
            self.max_tokens,
            true,
        ) {
            Ok(both) => both,
            Err(difference) => return Ok(difference),
        };
        let memory = self.program.memory(noise());
        let image = self.scratch.join("memory.bin");
        std::fs::write(&image, &memory).map_err(|error| AccelError::io(&image, error))?;
        write(self.scratch, "script.hex", &script_text(&script))?;
        let cpp = std::path::absolute(self.cpp).map_err(|error| AccelError::io(self.cpp, error))?;
        let file = |name: &str| cpp.join(name).to_string_lossy().into_owned();
        let (core, bench) = (file("nanoflow_core.cpp"), file("nanoflow_tb.cpp"));
        let command = [
            "-O2",
            "-std=c++11",
            "-Wno-unknown-pragmas",
            "-o",
            "nanoflow_tb",
            &core,
            &bench,
        ];
        tool("g++", "g++", self.scratch, &command)?;
        let words = (memory.len() / self.hardware.lanes).to_string();
        let entry = self.program.info.entry.to_string();
        let arguments = [
            "memory.bin".to_string(),
            words,
            "script.hex".into(),
            "log.txt".into(),
            entry,
        ];
        run(self.scratch, "./nanoflow_tb", &arguments)?;
        read_log(self.scratch, self.program, &expected)
    }
}

/// The script and what it should give. Where already the program, carried out by the instruction-level machine, does not give
/// the golden vectors, that difference is the outcome.
fn expectations(
    program: &Program,
    golden: &Golden,
    hardware: &Hardware,
    max_tokens: usize,
    argmax: bool,
) -> Result<(Vec<u32>, Vec<Expected>), Outcome> {
    let mut machine = Machine::new(program, hardware, noise());
    let mut script = Vec::new();
    let mut all = Vec::new();
    let steps = golden
        .prompts
        .iter()
        .enumerate()
        .flat_map(|(prompt, steps)| {
            steps
                .steps
                .iter()
                .enumerate()
                .map(move |(position, step)| (prompt, position, step, false))
        });
    let first = golden
        .prompts
        .iter()
        .flat_map(|prompt| prompt.steps.first())
        .take(usize::from(argmax));
    let argmax = first.map(|step| (0, 0, step, true));
    for (prompt, position, step, argmax) in steps.take(max_tokens).chain(argmax) {
        if position == 0 {
            machine.clear();
        }
        let name = format!("prompt {prompt}, token {position}");
        let fault = |error: &dyn std::fmt::Display| Outcome {
            tokens: all.len(),
            mismatches: 1,
            first_difference: Some(format!("{name}: {error}")),
            ..Outcome::default()
        };
        let found = machine.step(step.token).map_err(|error| fault(&error))?;
        if let Some(difference) = program_difference(program, &found, step) {
            return Err(fault(&difference));
        }
        script
            .push(u32::from(step.token) | u32::from(position == 0) << 16 | u32::from(argmax) << 17);
        let logits = if argmax {
            vec![step.best as i16]
        } else {
            step.logits.clone()
        };
        let position = position as u64 + 1;
        all.push(Expected {
            name,
            argmax,
            logits,
            best: step.best,
            position,
            machine: found,
        });
    }
    script.push(u32::MAX);
    Ok((script, all))
}

/// The first operation whose values on the machine are not the golden ones.
fn program_difference(
    program: &Program,
    found: &MachineStep,
    golden: &crate::GoldenStep,
) -> Option<String> {
    let trace = trace_of(program, &found.effects);
    for expected in &golden.trace {
        let values = trace
            .iter()
            .find(|entry| entry.name == expected.name)
            .map_or(&[][..], |entry| &entry.values);
        for (index, &value) in expected.values.iter().enumerate() {
            match values.get(index) {
                Some(&found) if found == value => {}
                found => return Some(program_text(&expected.name, index, value, found)),
            }
        }
    }
    let logits = golden.logits.iter().enumerate();
    let mut wrong = logits.filter(|(index, value)| found.logits.get(*index) != Some(value));
    wrong
        .next()
        .map(|(index, &value)| program_text("logits", index, value, found.logits.get(index)))
}

fn program_text(name: &str, index: usize, expected: i16, found: Option<&i16>) -> String {
    let found = found.map_or("nothing".to_string(), ToString::to_string);
    format!("{name}, value {index}: expected {expected}, the program gives {found} (the program is not that of these golden vectors)")
}

/// Describes one effect, for a message.
fn describe(program: &Program, effects: &[Effect], index: usize) -> String {
    let Some(effect) = effects.get(index) else {
        return "after the last result".into();
    };
    let name = program
        .info
        .operations
        .get(effect.operation)
        .map_or("", |operation| operation.name.as_str());
    let name = if name.is_empty() {
        "a temporary value of"
    } else {
        name
    };
    let start = effects
        .iter()
        .position(|other| other.operation == effect.operation)
        .unwrap_or(index);
    let next = effects[index..].iter().find_map(|other| {
        let operation = program.info.operations.get(other.operation)?;
        (!operation.name.is_empty()).then_some(operation.name.as_str())
    });
    match (name, next) {
        ("a temporary value of", Some(next)) => {
            format!("a temporary value before {next}, value {}", index - start)
        }
        _ => format!("{name}, value {}", index - start),
    }
}

fn check_lanes(program: &Program, hardware: &Hardware) -> Result<(), AccelError> {
    let (lanes, have) = (program.info.lanes, hardware.lanes);
    if lanes == have {
        return Ok(());
    }
    Err(AccelError::Program(format!(
        "program.bin is for {lanes} lanes, the hardware has {have}"
    )))
}

fn write(dir: &Path, name: &str, text: &str) -> Result<(), AccelError> {
    let path = dir.join(name);
    std::fs::write(&path, text).map_err(|error| AccelError::io(&path, error))
}

fn read_log(dir: &Path, program: &Program, expected: &[Expected]) -> Result<Outcome, AccelError> {
    let path = dir.join("log.txt");
    let text = std::fs::read_to_string(&path).map_err(|error| AccelError::io(&path, error))?;
    log::compare(program, expected, &text)
}

fn script_text(script: &[u32]) -> String {
    script
        .iter()
        .fold(String::new(), |text, line| text + &format!("{line:08x}\n"))
}

fn hex_words(memory: &[u8], lanes: usize) -> String {
    let mut text = String::with_capacity(memory.len() * 2 + memory.len() / lanes);
    for word in memory.chunks(lanes) {
        for byte in word.iter().rev() {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
    }
    text
}

/// Runs a tool and keeps its messages for the error.
fn tool(program: &str, package: &str, dir: &Path, arguments: &[&str]) -> Result<(), AccelError> {
    let found = which::which(program).map_err(|_| {
        AccelError::Tool(format!(
            "'{program}' is not installed; install it: apt-get install {package}"
        ))
    })?;
    let output = duct::cmd(found, arguments)
        .dir(dir)
        .stderr_to_stdout()
        .stdout_capture()
        .unchecked()
        .run();
    let output = output.map_err(|error| AccelError::Tool(format!("{program}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    eprintln!("{text}");
    let cause = text
        .lines()
        .find(|line| line.contains("rror"))
        .unwrap_or("it says nothing");
    Err(AccelError::Tool(format!("{program} failed: {cause}")))
}

fn run(dir: &Path, program: &str, arguments: &[String]) -> Result<(), AccelError> {
    let path = if program.starts_with("./") {
        dir.join(program)
    } else {
        which::which(program)
            .map_err(|_| AccelError::Tool(format!("'{program}' is not installed")))?
    };
    let output = duct::cmd(&path, arguments)
        .dir(dir)
        .stderr_to_stdout()
        .stdout_capture()
        .unchecked()
        .run();
    let output = output.map_err(|error| AccelError::Tool(format!("{}: {error}", program)))?;
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stdout));
        return Err(AccelError::Tool(format!(
            "{}: the simulation failed with {}",
            program, output.status
        )));
    }
    Ok(())
}
