//! Verilog of the library's cells from their Liberty functions: no delays, no power pins, quick to simulate.

use std::collections::BTreeSet;
use std::fmt::Write;

use nanoflow_netlist::liberty::{FlipFlop, Library, LibraryCell};
use nanoflow_netlist::Netlist;
use nanoflow_sdk::StageError;

/// A model of every kind of cell that the netlist uses.
///
/// # Errors
/// A cell that the library lacks, a latch, or a flip-flop whose clock is no plain pin.
pub fn write(netlist: &Netlist, library: &Library) -> Result<String, StageError> {
    let kinds: BTreeSet<&str> = netlist
        .cells
        .iter()
        .map(|cell| cell.kind.as_str())
        .collect();
    let mut text = String::new();
    for kind in kinds {
        let cell = library.cell(kind).map_err(|error| {
            StageError::input(error.to_string())
                .hint("simulate with the Liberty file that the netlist was mapped to")
        })?;
        model(&mut text, cell)?;
    }
    Ok(text)
}

fn model(text: &mut String, cell: &LibraryCell) -> Result<(), StageError> {
    if cell.latch {
        return Err(StageError::design(format!(
            "cell '{}' is a latch, for which there is no model",
            cell.name
        )));
    }
    let pin = |name: &str| name.to_string();
    let inputs: Vec<&str> = cell.inputs().map(|pin| pin.name.as_str()).collect();
    let outputs: Vec<&str> = cell.outputs().map(|pin| pin.name.as_str()).collect();
    let ports: Vec<String> = inputs
        .iter()
        .map(|name| format!("input {name}"))
        .chain(outputs.iter().map(|name| format!("output {name}")))
        .collect();
    // Writing to a string does not fail.
    let _ = writeln!(text, "module {}({});", cell.name, ports.join(", "));
    if let Some(flip_flop) = &cell.flip_flop {
        state(text, cell, flip_flop)?;
    }
    for output in cell.outputs() {
        if let Some(function) = &output.function {
            let _ = writeln!(
                text,
                "  assign {} = {};",
                output.name,
                function.verilog(&pin)
            );
        }
    }
    text.push_str("endmodule\n");
    Ok(())
}

fn state(text: &mut String, cell: &LibraryCell, flip_flop: &FlipFlop) -> Result<(), StageError> {
    use nanoflow_netlist::function::Function;
    let pin = |name: &str| name.to_string();
    let edge = match &flip_flop.clocked_on {
        Function::Pin(clock) => format!("posedge {clock}"),
        Function::Not(inner) => match inner.as_ref() {
            Function::Pin(clock) => format!("negedge {clock}"),
            _ => return Err(no_model(cell, "its clock is no plain pin")),
        },
        _ => return Err(no_model(cell, "its clock is no plain pin")),
    };
    if flip_flop.clear.is_some() || flip_flop.preset.is_some() {
        return Err(no_model(cell, "it clears or sets without a clock"));
    }
    let state = &flip_flop.state;
    let _ = writeln!(
        text,
        "  reg {state};\n  always @({edge}) {state} <= {};",
        flip_flop.next_state.verilog(&pin)
    );
    if let Some(inverse) = &flip_flop.inverse {
        let _ = writeln!(text, "  wire {inverse} = ~{state};");
    }
    Ok(())
}

fn no_model(cell: &LibraryCell, why: &str) -> StageError {
    StageError::design(format!(
        "flip-flop '{}' has no simulation model: {why}",
        cell.name
    ))
}
