//! Reads another Liberty file and tells how far our cells are from its.

use std::collections::BTreeMap;

use crate::library::{Cell, OutputEnergy, PinEnergy, Sense, Table};
use crate::measure::interpolate;

/// A Liberty group: its words, simple attributes, complex attributes and groups inside.
#[derive(Debug, Default)]
struct Group {
    kind: String,
    name: String,
    attributes: BTreeMap<String, String>,
    lists: BTreeMap<String, Vec<f64>>,
    groups: Vec<Group>,
}

/// Tokens of Liberty text: words, quoted texts and single signs; comments and line joints are skipped.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skip = if first.is_whitespace() || first == '\\' {
            first.len_utf8()
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '"' {
            let end = rest[1..].find('"').map_or(rest.len(), |end| end + 2);
            tokens.push(rest[1..end.saturating_sub(1).max(1)].to_string());
            end
        } else if "(){};:,".contains(first) {
            tokens.push(first.to_string());
            1
        } else {
            let end = rest
                .find(|c: char| c.is_whitespace() || "(){};:,\"\\".contains(c))
                .unwrap_or(rest.len());
            tokens.push(rest[..end].to_string());
            end
        };
        rest = rest.get(skip..).unwrap_or_default();
    }
    tokens
}

/// Reads the statements of a group up to its closing brace.
fn statements(tokens: &mut std::iter::Peekable<std::vec::IntoIter<String>>, group: &mut Group) {
    while let Some(word) = tokens.next() {
        match (word.as_str(), tokens.peek().map(String::as_str)) {
            ("}", _) => return,
            (_, Some(":")) => {
                tokens.next();
                if let Some(value) = tokens.next() {
                    group.attributes.insert(word, value);
                }
            }
            (_, Some("(")) => {
                tokens.next();
                let arguments: Vec<String> = tokens
                    .by_ref()
                    .take_while(|token| token != ")")
                    .filter(|token| token != ",")
                    .collect();
                if tokens.peek().map(String::as_str) == Some("{") {
                    tokens.next();
                    let name = arguments.first().cloned().unwrap_or_default();
                    let mut inner = Group {
                        kind: word,
                        name,
                        ..Group::default()
                    };
                    statements(tokens, &mut inner);
                    group.groups.push(inner);
                } else {
                    let values = arguments
                        .iter()
                        .flat_map(|text| text.split(','))
                        .filter_map(|text| text.trim().parse().ok());
                    group.lists.insert(word, values.collect());
                }
            }
            _ => {}
        }
    }
}

impl Group {
    fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Group> {
        self.groups.iter().filter(move |group| group.kind == kind)
    }

    fn attribute(&self, name: &str) -> &str {
        self.attributes
            .get(name)
            .map(String::as_str)
            .unwrap_or_default()
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.attribute(name).parse().ok()
    }

    fn table(&self, kind: &str) -> Option<Table> {
        let group = self.of(kind).next()?;
        let (rows, columns, values) = (
            group.lists.get("index_1")?,
            group.lists.get("index_2")?,
            group.lists.get("values")?,
        );
        Some(Table {
            rows: rows.clone(),
            columns: columns.clone(),
            values: values
                .chunks(columns.len().max(1))
                .map(<[f64]>::to_vec)
                .collect(),
        })
    }
}

impl Group {
    /// Of a cell: energy of an input pin's own edges, if it has any.
    fn pin_energy(&self, name: &str) -> Option<PinEnergy> {
        let power = self.of("pin").find(|pin| pin.name == name)?;
        let power = power.of("internal_power").next()?;
        let table = |kind: &str| {
            let group = power.of(kind).next()?;
            let values = group.lists.get("values")?;
            Some(Table {
                rows: group.lists.get("index_1")?.clone(),
                columns: vec![0.0],
                values: values.iter().map(|value| vec![*value]).collect(),
            })
        };
        Some(PinEnergy {
            rise: table("rise_power")?,
            fall: table("fall_power")?,
        })
    }
}

/// Another library, by cell name.
pub struct Reference {
    cells: BTreeMap<String, Group>,
}

/// How far a cell is from its counterpart.
#[derive(Debug, Clone, Default)]
pub struct Deviation {
    pub cell: String,
    /// Mean of ours and of theirs over all points of their tables that ours cover, ns.
    pub delay: [f64; 2],
    pub transition: [f64; 2],
    /// Mean input capacitance, pF.
    pub capacitance: [f64; 2],
    /// Mean leakage, nW.
    pub leakage: [f64; 2],
    /// Mean energy of a transition with its input's part, pJ, at loads up to [`ENERGY_LOADS`] of their greatest.
    pub energy: [f64; 2],
    /// Mean setup and hold times, ns.
    pub setup: [f64; 2],
    pub hold: [f64; 2],
}

/// Beyond this part of the greatest load, internal energy is a small difference of two large numbers in the published library, and
/// wrong: its rising edges end before the load is charged.
pub const ENERGY_LOADS: f64 = 0.1;

/// Ours over theirs less one.
pub fn relative([ours, theirs]: [f64; 2]) -> Option<f64> {
    (theirs != 0.0).then(|| ours / theirs - 1.0)
}

impl Reference {
    /// Reads the cells of a library; text that is no Liberty gives none.
    pub fn parse(text: &str) -> Self {
        let mut root = Group::default();
        statements(&mut tokens(text).into_iter().peekable(), &mut root);
        let mut cells = BTreeMap::new();
        for library in root.groups {
            cells.extend(
                library
                    .groups
                    .into_iter()
                    .filter(|group| group.kind == "cell")
                    .map(|cell| (cell.name.clone(), cell)),
            );
        }
        Self { cells }
    }

    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Compares one cell; `None` when the reference lacks it.
    pub fn compare(&self, cell: &Cell) -> Option<Deviation> {
        let theirs = self.cells.get(&cell.name)?;
        let mut sums = Sums::default();
        for output in &cell.outputs {
            let Some(pin) = theirs.of("pin").find(|pin| pin.name == output.name) else {
                continue;
            };
            for arc in &output.arcs {
                let sense = match arc.sense {
                    Sense::Positive => "positive_unate",
                    Sense::Negative => "negative_unate",
                    Sense::None => "non_unate",
                };
                let same = |group: &&Group| {
                    group.attribute("related_pin") == arc.related
                        && group.attribute("timing_sense") == sense
                };
                let Some(timing) = pin.of("timing").find(same) else {
                    continue;
                };
                for (edge, name) in [(&arc.rise, "rise"), (&arc.fall, "fall")] {
                    sums.delay
                        .add(&edge.delay, timing.table(&format!("cell_{name}")));
                    sums.transition.add(
                        &edge.transition,
                        timing.table(&format!("{name}_transition")),
                    );
                }
            }
            // What a cell of several outputs takes the published library splits among them by their loads, each library its own way.
            let alone = cell.outputs.len() == 1;
            for energy in output.energies().into_iter().filter(|_| alone) {
                let same = |group: &&Group| group.attribute("related_pin") == energy.related;
                if let Some(power) = pin.of("internal_power").find(same) {
                    let own = cell.inputs.iter().find(|pin| pin.name == energy.related);
                    let own = own.and_then(|pin| pin.energy.as_ref());
                    sums.energy(
                        &energy,
                        own,
                        power,
                        theirs.pin_energy(&energy.related).as_ref(),
                    );
                }
            }
        }
        for input in &cell.inputs {
            let Some(pin) = theirs.of("pin").find(|pin| pin.name == input.name) else {
                continue;
            };
            if let Some(capacitance) = pin.number("capacitance") {
                sums.capacitance.pair(
                    (input.rise_capacitance + input.fall_capacitance) / 2.0,
                    capacitance,
                );
            }
            for constraint in &input.constraints {
                let kind = if constraint.hold {
                    "hold_rising"
                } else {
                    "setup_rising"
                };
                let Some(timing) = pin
                    .of("timing")
                    .find(|group| group.attribute("timing_type") == kind)
                else {
                    continue;
                };
                let sum = if constraint.hold {
                    &mut sums.hold
                } else {
                    &mut sums.setup
                };
                sum.add(&constraint.rise, timing.table("rise_constraint"));
                sum.add(&constraint.fall, timing.table("fall_constraint"));
            }
        }
        if let Some(leakage) = theirs
            .number("cell_leakage_power")
            .filter(|_| !cell.leakage.is_empty())
        {
            let ours = cell.leakage.iter().map(|(_, power)| power).sum::<f64>()
                / cell.leakage.len() as f64;
            sums.leakage.pair(ours, leakage);
        }
        Some(sums.finish(&cell.name))
    }
}

impl Table {
    /// Calls `visit` with row, column and value of every point that lies within `other`.
    fn each_within(&self, other: &Table, mut visit: impl FnMut(f64, f64, f64)) {
        let within = |axis: &[f64], value: f64| {
            // A point a thousandth outside is the same point written with fewer digits.
            axis.first().is_some_and(|first| value >= first * 0.999)
                && axis.last().is_some_and(|last| value <= last * 1.001)
        };
        for (slew, row) in self.rows.iter().zip(&self.values) {
            for (load, value) in self.columns.iter().zip(row) {
                if within(&other.rows, *slew) && within(&other.columns, *load) {
                    visit(*slew, *load, *value);
                }
            }
        }
    }
}

/// Running means of ours and theirs.
#[derive(Default)]
struct Sum {
    ours: f64,
    theirs: f64,
    count: usize,
}

impl Sum {
    fn pair(&mut self, ours: f64, theirs: f64) {
        self.ours += ours;
        self.theirs += theirs;
        self.count += 1;
    }

    /// All points of their table that lie within ours, as a timing tool would read them from ours.
    fn add(&mut self, ours: &Table, theirs: Option<Table>) {
        let Some(theirs) = theirs else { return };
        theirs.each_within(ours, |slew, load, value| {
            self.pair(read(ours, slew, load), value);
        });
    }

    fn mean(&self) -> [f64; 2] {
        let count = self.count.max(1) as f64;
        [self.ours / count, self.theirs / count]
    }
}

impl Sums {
    /// What both edges take in all, split between input and output as each library likes.
    fn energy(
        &mut self,
        ours: &OutputEnergy,
        our_pin: Option<&PinEnergy>,
        theirs: &Group,
        their_pin: Option<&PinEnergy>,
    ) {
        let edges = [("rise_power", &ours.rise), ("fall_power", &ours.fall)];
        for ((kind, ours), input_rises) in edges.into_iter().zip(ours.input_rises) {
            let Some(table) = theirs.table(kind) else {
                continue;
            };
            let greatest = table.columns.last().copied().unwrap_or(0.0) * ENERGY_LOADS;
            table.each_within(ours, |slew, load, value| {
                let own =
                    |pin: Option<&PinEnergy>| pin.map_or(0.0, |pin| pin.either(input_rises, slew));
                if load <= greatest {
                    self.energy.pair(
                        read(ours, slew, load) + own(our_pin),
                        value + own(their_pin),
                    );
                }
            });
        }
    }
}

/// Bilinear interpolation, as timing tools do it.
fn read(table: &Table, slew: f64, load: f64) -> f64 {
    let rows: Vec<f64> = table
        .values
        .iter()
        .map(|row| interpolate(&table.columns, row, load))
        .collect();
    interpolate(&table.rows, &rows, slew)
}

#[derive(Default)]
struct Sums {
    delay: Sum,
    transition: Sum,
    capacitance: Sum,
    leakage: Sum,
    energy: Sum,
    setup: Sum,
    hold: Sum,
}

impl Sums {
    fn finish(&self, cell: &str) -> Deviation {
        Deviation {
            cell: cell.to_string(),
            delay: self.delay.mean(),
            transition: self.transition.mean(),
            capacitance: self.capacitance.mean(),
            leakage: self.leakage.mean(),
            energy: self.energy.mean(),
            setup: self.setup.mean(),
            hold: self.hold.mean(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_comments_and_joined_lines_are_read() {
        let text = "library (l) {\n/* x { */ cell (\"a\") { area : 1.5; pin (A) { capacitance : 0.002; timing () {\n\
                    cell_rise (\"t\") { index_1 (\"1, 2\"); index_2 (\"3, 4\"); values (\"1, 2\", \\\n \"3, 4\"); } } } } }";
        let reference = Reference::parse(text);
        let cell = &reference.cells["a"];
        assert_eq!(cell.number("area"), Some(1.5));
        let pin = cell.of("pin").next().unwrap();
        let table = pin.of("timing").next().unwrap().table("cell_rise").unwrap();
        assert_eq!(table.values, [[1.0, 2.0], [3.0, 4.0]]);
        assert_eq!(read(&table, 1.5, 3.5), 2.5);
        assert!(Reference::parse("} ( {").is_empty());
    }
}
