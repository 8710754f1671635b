//! The scan chain as it is in the gates, found by walking from `scan_in`.

use std::collections::BTreeMap;

use nanoflow_netlist::function::Function;
use nanoflow_netlist::liberty::Library;
use nanoflow_netlist::{CellId, NetId, Netlist};
use nanoflow_sdk::StageError;

/// Instances of the chain's flip-flops, the one after `scan_in` first.
///
/// # Errors
/// Names the net at which the chain breaks off, forks or closes on itself.
pub fn trace(
    netlist: &Netlist,
    library: &Library,
    scan_in: &str,
    scan_out: &str,
) -> Result<Vec<String>, StageError> {
    let port = |name: &str| {
        netlist
            .ports
            .iter()
            .find(|port| port.name == name)
            .and_then(|port| port.bits.first().copied())
            .ok_or_else(|| {
                StageError::design(format!("module '{}' has no port '{name}'", netlist.name))
            })
    };
    let (mut at, end) = (port(scan_in)?, port(scan_out)?);
    let steps = steps(netlist, library);
    let mut found = Vec::new();
    let mut walked = vec![false; netlist.nets.len()];
    while at != end {
        let name = netlist.net_name(at);
        if std::mem::replace(&mut walked[at.index()], true) {
            return Err(StageError::design(format!(
                "the scan chain closes on itself at net '{name}'"
            )));
        }
        let next = match steps.get(&at).map(Vec::as_slice).unwrap_or_default() {
            [] => {
                return Err(StageError::design(format!(
                    "the scan chain breaks off at net '{name}'"
                )))
            }
            [next] => *next,
            nexts => follow_to_link(netlist, &steps, nexts, end)?,
        };
        if let Some(cell) = next.link {
            found.push(netlist.cells[cell.index()].name.clone());
        }
        at = next.to;
    }
    Ok(found)
}

/// One step along the chain: through a scan flip-flop (`link`) or through a buffer.
#[derive(Clone, Copy)]
struct Step {
    link: Option<CellId>,
    to: NetId,
}

type Steps = BTreeMap<NetId, Vec<Step>>;

fn steps(netlist: &Netlist, library: &Library) -> Steps {
    let mut found = Steps::new();
    for (index, cell) in netlist.cells.iter().enumerate() {
        let Some(kind) = library.cells.get(&cell.kind) else {
            continue;
        };
        let scan_pin = kind.test_cell.as_ref().and_then(|test| {
            test.signal_types
                .iter()
                .find(|(_, kind)| *kind == "test_scan_in")
                .map(|(pin, _)| pin.as_str())
        });
        // A buffer: one input, and one output that repeats it.
        let buffer_pin = || match (
            kind.inputs().next(),
            kind.outputs().next().and_then(|pin| pin.function.as_ref()),
        ) {
            (Some(input), Some(Function::Pin(name)))
                if kind.pins.len() == 2 && *name == input.name =>
            {
                Some(input.name.as_str())
            }
            _ => None,
        };
        let state = kind
            .flip_flop
            .as_ref()
            .map(|flip_flop| flip_flop.state.as_str());
        let is_true_output = |function: Option<&Function>| matches!(function, Some(Function::Pin(name)) if state.is_none_or(|state| state == name));
        let Some(from) = scan_pin.or_else(buffer_pin).and_then(|pin| cell.pin(pin)) else {
            continue;
        };
        let output = kind
            .outputs()
            .find(|pin| is_true_output(pin.function.as_ref()));
        if let Some(to) = output.and_then(|pin| cell.pin(&pin.name)) {
            let link = scan_pin.map(|_| CellId(index as u32));
            found.entry(from).or_default().push(Step { link, to });
        }
    }
    found
}

/// Of several ways on from a net, the one that leads to a link or to the end through buffers; a stored bit feeds logic by buffers too.
fn follow_to_link(
    netlist: &Netlist,
    steps: &Steps,
    nexts: &[Step],
    end: NetId,
) -> Result<Step, StageError> {
    let limit = netlist.nets.len();
    let mut leading = nexts
        .iter()
        .filter(|step| step.link.is_some() || leads(steps, step.to, end, limit));
    match (leading.next(), leading.next()) {
        (Some(step), None) => Ok(*step),
        (first, _) => {
            let what = if first.is_some() {
                "forks"
            } else {
                "breaks off"
            };
            let names: Vec<&str> = nexts.iter().map(|step| netlist.net_name(step.to)).collect();
            Err(StageError::design(format!(
                "the scan chain {what} before the nets '{}'",
                names.join("', '")
            )))
        }
    }
}

fn leads(steps: &Steps, from: NetId, end: NetId, limit: usize) -> bool {
    let mut queue = vec![from];
    let mut visited = 0;
    while let Some(net) = queue.pop() {
        if net == end {
            return true;
        }
        visited += 1;
        if visited > limit {
            return false;
        }
        for step in steps.get(&net).into_iter().flatten() {
            if step.link.is_some() {
                return true;
            }
            queue.push(step.to);
        }
    }
    false
}
