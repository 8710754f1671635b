//! Liberty libraries: what synthesis, scan, test generation, buffering and simulation need of them.
//!
//! Units are the file's own; [`Library::capacitance_unit_pf`] and [`Library::time_unit_ns`] convert them. Read after the Liberty
//! User Guide: groups `library`, `cell`, `pin`, `timing`, `ff`, `latch`, `test_cell`, and two-dimensional delay tables.

mod parse;
mod table;

use std::collections::BTreeMap;
use std::path::Path;

pub use parse::{Attribute, Group};
pub use table::Table;

use crate::function::Function;
use crate::{error, Direction, Error};

#[derive(Debug, Clone, Default)]
pub struct Library {
    pub name: String,
    /// Size of the file's capacitance unit in picofarad.
    pub capacitance_unit_pf: f64,
    /// Size of the file's time unit in nanoseconds.
    pub time_unit_ns: f64,
    pub default_max_transition: Option<f64>,
    pub cells: BTreeMap<String, LibraryCell>,
}

#[derive(Debug, Clone, Default)]
pub struct LibraryCell {
    pub name: String,
    /// Area in square microns.
    pub area: f64,
    pub dont_use: bool,
    pub pins: Vec<LibraryPin>,
    pub flip_flop: Option<FlipFlop>,
    pub latch: bool,
    /// The flip-flop without its scan inputs, where this is a scan cell.
    pub test_cell: Option<TestCell>,
    /// Mean leakage power in the library's unit, where it is given.
    pub leakage: Option<f64>,
}

#[derive(Debug, Clone)]
pub struct LibraryPin {
    pub name: String,
    pub direction: Direction,
    /// Input capacitance in the library's unit.
    pub capacitance: f64,
    pub max_capacitance: Option<f64>,
    pub max_transition: Option<f64>,
    pub function: Option<Function>,
    pub clock: bool,
    pub timing: Vec<Timing>,
}

/// `ff (IQ, IQ_N) { clocked_on : "CLK"; next_state : "D"; }`
#[derive(Debug, Clone)]
pub struct FlipFlop {
    /// Names of the state and its inverse, as outputs' functions use them.
    pub state: String,
    pub inverse: Option<String>,
    pub clocked_on: Function,
    pub next_state: Function,
    pub clear: Option<Function>,
    pub preset: Option<Function>,
}

/// `test_cell`: the function with scan off, and what its pins are for.
#[derive(Debug, Clone)]
pub struct TestCell {
    pub flip_flop: Option<FlipFlop>,
    /// Pin name → `signal_type`, such as `test_scan_in`, `test_scan_enable`, `test_scan_out`.
    pub signal_types: BTreeMap<String, String>,
}

/// One `timing` group of an output (a delay) or an input (a constraint).
#[derive(Debug, Clone, Default)]
pub struct Timing {
    pub related_pin: String,
    /// `positive_unate`, `negative_unate` or `non_unate`.
    pub sense: Option<String>,
    /// `combinational`, `rising_edge`, `setup_rising`, `hold_rising` …
    pub kind: Option<String>,
    pub when: Option<String>,
    /// Tables by name: `cell_rise`, `cell_fall`, `rise_transition`, `fall_transition`, `rise_constraint`, `fall_constraint`.
    pub tables: BTreeMap<String, Table>,
}

impl LibraryCell {
    #[must_use]
    pub fn pin(&self, name: &str) -> Option<&LibraryPin> {
        self.pins.iter().find(|pin| pin.name == name)
    }
    pub fn inputs(&self) -> impl Iterator<Item = &LibraryPin> {
        self.pins
            .iter()
            .filter(|pin| pin.direction == Direction::Input)
    }
    pub fn outputs(&self) -> impl Iterator<Item = &LibraryPin> {
        self.pins
            .iter()
            .filter(|pin| pin.direction == Direction::Output)
    }
}

impl Library {
    /// The cell of this name.
    ///
    /// # Errors
    /// When the library has none; the message says which library.
    pub fn cell(&self, name: &str) -> Result<&LibraryCell, Error> {
        self.cells
            .get(name)
            .ok_or_else(|| Error::Netlist(format!("library '{}' has no cell '{name}'", self.name)))
    }
}

/// Reads a Liberty file.
///
/// # Errors
/// When it cannot be read or is not Liberty; the message names file and line.
pub fn read_file(path: &Path) -> Result<Library, Error> {
    read(&error::read(path)?, path)
}

/// Reads a text; `path` is for messages.
///
/// # Errors
/// As [`read_file`].
pub fn read(text: &str, path: &Path) -> Result<Library, Error> {
    let root = parse::parse(text, path)?;
    if root.kind != "library" {
        return Err(Error::syntax(
            path,
            root.line,
            format!("a Liberty file starts with 'library', not '{}'", root.kind),
        ));
    }
    let context = Context {
        path,
        templates: templates(&root),
    };
    let mut library = Library {
        name: root.arguments.first().cloned().unwrap_or_default(),
        capacitance_unit_pf: capacitance_unit(&root),
        time_unit_ns: root.text("time_unit").map_or(1.0, unit_of_time),
        default_max_transition: root.number("default_max_transition"),
        cells: BTreeMap::new(),
    };
    for group in root.groups.iter().filter(|group| group.kind == "cell") {
        let cell = context.cell(group)?;
        library.cells.insert(cell.name.clone(), cell);
    }
    Ok(library)
}

/// `capacitive_load_unit (1, pf)`; Liberty's default is 1 pF.
fn capacitance_unit(root: &Group) -> f64 {
    let Some(values) = root.values("capacitive_load_unit") else {
        return 1.0;
    };
    let size: f64 = values
        .first()
        .and_then(|value| value.parse().ok())
        .unwrap_or(1.0);
    match values
        .get(1)
        .map(|unit| unit.to_ascii_lowercase())
        .as_deref()
    {
        Some("ff") => size * 1e-3,
        _ => size,
    }
}

fn unit_of_time(text: &str) -> f64 {
    let digits: String = text
        .chars()
        .take_while(|character| character.is_ascii_digit() || *character == '.')
        .collect();
    let size: f64 = digits.parse().unwrap_or(1.0);
    match text.trim_start_matches(|character: char| character.is_ascii_digit() || character == '.')
    {
        "ps" => size * 1e-3,
        "us" => size * 1e3,
        _ => size,
    }
}

type Templates = BTreeMap<String, (Vec<f64>, Vec<f64>)>;

fn templates(root: &Group) -> Templates {
    let is_template = |group: &&Group| group.kind == "lu_table_template";
    let named = root.groups.iter().filter(is_template).filter_map(|group| {
        let name = group.arguments.first()?.clone();
        Some((name, (group.numbers("index_1"), group.numbers("index_2"))))
    });
    named.collect()
}

struct Context<'a> {
    path: &'a Path,
    templates: Templates,
}

impl Context<'_> {
    fn cell(&self, group: &Group) -> Result<LibraryCell, Error> {
        let name = group
            .arguments
            .first()
            .cloned()
            .ok_or_else(|| self.fault(group, "a cell has no name"))?;
        let mut cell = LibraryCell {
            name,
            area: group.number("area").unwrap_or(0.0),
            dont_use: group.text("dont_use") == Some("true"),
            latch: group.groups.iter().any(|inner| inner.kind == "latch"),
            leakage: group.number("cell_leakage_power"),
            ..LibraryCell::default()
        };
        for inner in &group.groups {
            match inner.kind.as_str() {
                "pin" => {
                    for name in &inner.arguments {
                        cell.pins.push(self.pin(inner, name)?);
                    }
                }
                "ff" => cell.flip_flop = Some(self.flip_flop(inner)?),
                "test_cell" => cell.test_cell = Some(self.test_cell(inner)?),
                _ => {}
            }
        }
        Ok(cell)
    }

    fn fault(&self, group: &Group, message: impl Into<String>) -> Error {
        Error::syntax(self.path, group.line, message)
    }

    fn function(&self, group: &Group, name: &str) -> Result<Option<Function>, Error> {
        let Some(text) = group.text(name) else {
            return Ok(None);
        };
        Function::parse(text)
            .map(Some)
            .map_err(|error| self.fault(group, format!("{name}: {error}")))
    }

    fn pin(&self, group: &Group, name: &str) -> Result<LibraryPin, Error> {
        let direction = match group.text("direction") {
            Some("output") => Direction::Output,
            Some("inout") => Direction::Inout,
            // Pins of a test cell may leave it out; `internal` pins are none of the netlist's.
            _ => Direction::Input,
        };
        let timing = group.groups.iter().filter(|inner| inner.kind == "timing");
        Ok(LibraryPin {
            name: name.to_string(),
            direction,
            capacitance: group.number("capacitance").unwrap_or(0.0),
            max_capacitance: group.number("max_capacitance"),
            max_transition: group.number("max_transition"),
            function: self.function(group, "function")?,
            clock: group.text("clock") == Some("true"),
            timing: timing
                .map(|inner| self.timing(inner))
                .collect::<Result<_, _>>()?,
        })
    }

    fn timing(&self, group: &Group) -> Result<Timing, Error> {
        let mut timing = Timing {
            related_pin: group.text("related_pin").unwrap_or_default().to_string(),
            sense: group.text("timing_sense").map(str::to_string),
            kind: group.text("timing_type").map(str::to_string),
            when: group.text("when").map(str::to_string),
            tables: BTreeMap::new(),
        };
        for inner in &group.groups {
            let Some(values) = inner.values("values") else {
                continue;
            };
            let template = inner
                .arguments
                .first()
                .and_then(|name| self.templates.get(name));
            let index = |name: &str, default: Option<&Vec<f64>>| match inner.values(name) {
                Some(_) => inner.numbers(name),
                None => default.cloned().unwrap_or_default(),
            };
            let first = index("index_1", template.map(|template| &template.0));
            let second = index("index_2", template.map(|template| &template.1));
            let numbers = table::numbers(values).map_err(|message| self.fault(inner, message))?;
            let table =
                Table::new(first, second, numbers).map_err(|message| self.fault(inner, message))?;
            timing.tables.insert(inner.kind.clone(), table);
        }
        Ok(timing)
    }

    fn flip_flop(&self, group: &Group) -> Result<FlipFlop, Error> {
        let need = |name: &str| {
            self.function(group, name)?
                .ok_or_else(|| self.fault(group, format!("an ff needs '{name}'")))
        };
        Ok(FlipFlop {
            state: group
                .arguments
                .first()
                .cloned()
                .ok_or_else(|| self.fault(group, "an ff names no state"))?,
            inverse: group.arguments.get(1).cloned(),
            clocked_on: need("clocked_on")?,
            next_state: need("next_state")?,
            clear: self.function(group, "clear")?,
            preset: self.function(group, "preset")?,
        })
    }

    fn test_cell(&self, group: &Group) -> Result<TestCell, Error> {
        let mut test = TestCell {
            flip_flop: None,
            signal_types: BTreeMap::new(),
        };
        for inner in &group.groups {
            match (inner.kind.as_str(), inner.text("signal_type")) {
                ("ff", _) => test.flip_flop = Some(self.flip_flop(inner)?),
                ("pin", Some(kind)) => {
                    for name in &inner.arguments {
                        test.signal_types.insert(name.clone(), kind.to_string());
                    }
                }
                _ => {}
            }
        }
        Ok(test)
    }
}

#[cfg(test)]
mod tests;
