//! Which scan cell stands for which flip-flop.

use std::collections::BTreeMap;

use nanoflow_netlist::liberty::{FlipFlop, Library, LibraryCell};

/// A scan cell and the pins that scan adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScanCell {
    pub kind: String,
    pub scan_in: String,
    pub scan_enable: String,
    /// The output that feeds the next cell of the chain.
    pub output: String,
    /// Clock pin.
    pub clock: String,
}

/// The part of a cell's name after the last underscore: its drive strength.
fn drive(name: &str) -> &str {
    name.rsplit('_').next().unwrap_or("")
}

/// Two flip-flops do the same: same clock edge, data, clear and preset.
fn same(left: &FlipFlop, right: &FlipFlop) -> bool {
    left.clocked_on == right.clocked_on
        && left.next_state == right.next_state
        && left.clear == right.clear
        && left.preset == right.preset
}

/// Output pins with the functions they have, for comparing two cells.
fn outputs(cell: &LibraryCell) -> BTreeMap<String, String> {
    let Some(flip_flop) = &cell.flip_flop else {
        return BTreeMap::new();
    };
    let shown = |name: &str| match name {
        name if name == flip_flop.state => "state".to_string(),
        name if Some(name) == flip_flop.inverse.as_deref() => "inverse".to_string(),
        other => other.to_string(),
    };
    cell.outputs()
        .filter_map(|pin| Some((pin.name.clone(), pin.function.as_ref()?.verilog(&shown))))
        .collect()
}

fn scan_cell(cell: &LibraryCell) -> Option<ScanCell> {
    let test = cell.test_cell.as_ref()?;
    let pin = |kind: &str| {
        test.signal_types
            .iter()
            .find(|(_, found)| *found == kind)
            .map(|(name, _)| name.clone())
    };
    let state = &cell.flip_flop.as_ref()?.state;
    let is_state =
        |function: &nanoflow_netlist::function::Function| function.pins() == [state.as_str()];
    // The true output; a cell with only the inverted one would turn the chain's bits over.
    let output = cell.outputs().find(|pin| {
        matches!(&pin.function, Some(function @ nanoflow_netlist::function::Function::Pin(_)) if is_state(function))
    })?;
    let clock = cell.inputs().find(|pin| pin.clock)?;
    Some(ScanCell {
        kind: cell.name.clone(),
        scan_in: pin("test_scan_in")?,
        scan_enable: pin("test_scan_enable")?,
        output: output.name.clone(),
        clock: clock.name.clone(),
    })
}

/// The scan cell of every flip-flop kind that has one, and of scan cells themselves.
pub(crate) fn scan_cells(library: &Library) -> BTreeMap<String, ScanCell> {
    let mut found = BTreeMap::new();
    for cell in library.cells.values() {
        let Some(flip_flop) = &cell.flip_flop else {
            continue;
        };
        if cell.test_cell.is_some() {
            continue;
        }
        let matching = library.cells.values().filter(|candidate| {
            let test = candidate
                .test_cell
                .as_ref()
                .and_then(|test| test.flip_flop.as_ref());
            test.is_some_and(|test| same(test, flip_flop))
                && drive(&candidate.name) == drive(&cell.name)
                && outputs(candidate) == outputs(cell)
        });
        if let Some(scan) = matching
            .min_by(|left, right| left.area.total_cmp(&right.area))
            .and_then(scan_cell)
        {
            found.insert(cell.name.clone(), scan);
        }
    }
    found
}
