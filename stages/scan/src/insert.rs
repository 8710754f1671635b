use nanoflow_netlist::liberty::Library;
use nanoflow_netlist::{Cell, CellId, Direction, NetId, Netlist};
use nanoflow_sdk::StageError;
use serde::{Deserialize, Serialize};

use crate::cells::{scan_cells, ScanCell};
use crate::Params;

/// The chain from `scan_in` to `scan_out`; `chain.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    pub clock: String,
    pub scan_enable: String,
    pub scan_in: String,
    pub scan_out: String,
    /// First cell after `scan_in` first.
    pub cells: Vec<ChainCell>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainCell {
    pub instance: String,
    pub cell: String,
    /// Net of the stored bit.
    pub net: String,
}

/// Puts scan cells in and stitches them.
///
/// # Errors
/// A flip-flop without scan cell, a latch, a cell that the library lacks, two clocks, a port name that is taken.
pub fn insert(
    netlist: &mut Netlist,
    library: &Library,
    params: &Params,
) -> Result<Chain, StageError> {
    let flip_flops = flip_flops(netlist, library)?;
    let (order, clock) = chain_order(netlist, &flip_flops)?;
    let port = |netlist: &mut Netlist, name: &str, direction| {
        netlist.add_port(name, direction).map_err(|error| {
            StageError::input(error.to_string())
                .hint("name another port by the stage's parameters scan-in, scan-out, scan-enable")
        })
    };
    let scan_enable = port(netlist, &params.scan_enable, Direction::Input)?;
    let scan_in = port(netlist, &params.scan_in, Direction::Input)?;
    let scan_out = port(netlist, &params.scan_out, Direction::Output)?;

    let mut previous = scan_in;
    let mut cells = Vec::with_capacity(order.len());
    for (id, scan) in order {
        // A flip-flop whose output is open still is a link of the chain.
        let open = netlist.cells[id.index()].pin(&scan.output).is_none();
        let net = if open {
            let name = netlist.free_name(&format!(
                "{}.{}",
                netlist.cells[id.index()].name,
                scan.output
            ));
            netlist.net(&name)
        } else {
            netlist.cells[id.index()]
                .pin(&scan.output)
                .unwrap_or(previous)
        };
        let cell = &mut netlist.cells[id.index()];
        if open {
            cell.pins.push((scan.output.clone(), net));
        }
        cell.kind.clone_from(&scan.kind);
        cell.pins.push((scan.scan_in.clone(), previous));
        cell.pins.push((scan.scan_enable.clone(), scan_enable));
        let (instance, kind) = (cell.name.clone(), cell.kind.clone());
        cells.push(ChainCell {
            instance,
            cell: kind,
            net: netlist.net_name(net).to_string(),
        });
        previous = net;
    }
    drive_scan_out(netlist, library, params, previous, scan_out)?;
    Ok(Chain {
        clock: netlist.net_name(clock).to_string(),
        scan_enable: params.scan_enable.clone(),
        scan_in: params.scan_in.clone(),
        scan_out: params.scan_out.clone(),
        cells,
    })
}

fn flip_flops(netlist: &Netlist, library: &Library) -> Result<Vec<(CellId, ScanCell)>, StageError> {
    let scan = scan_cells(library);
    let mut found = Vec::new();
    for (index, cell) in netlist.cells.iter().enumerate() {
        let kind = library.cell(&cell.kind).map_err(|error| {
            StageError::input(format!("instance '{}': {error}", cell.name))
                .hint("map the netlist to this library's cells first")
        })?;
        if kind.latch {
            let message = format!(
                "instance '{}' is a latch ({}); a scan chain takes flip-flops only",
                cell.name, cell.kind
            );
            return Err(StageError::design(message)
                .hint("remove the latch from the RTL: assign in every branch"));
        }
        if kind.test_cell.is_some() {
            return Err(StageError::input(format!(
                "instance '{}' is a scan cell already ({})",
                cell.name, cell.kind
            )));
        }
        if kind.flip_flop.is_some() {
            let scan = scan.get(&cell.kind).ok_or_else(|| {
                StageError::design(format!("instance '{}': library '{}' has no scan cell for {}", cell.name, library.name, cell.kind))
                    .hint("add the scan cell to the Liberty file (`cells` of stage liberty), or keep synthesis from using the flip-flop")
            })?;
            found.push((CellId(index as u32), scan.clone()));
        }
    }
    if found.is_empty() {
        return Err(StageError::design(format!(
            "module '{}' has no flip-flop to scan",
            netlist.name
        )));
    }
    Ok(found)
}

/// The flip-flops in the order of the chain, and their one clock net.
fn chain_order(
    netlist: &Netlist,
    found: &[(CellId, ScanCell)],
) -> Result<(Vec<(CellId, ScanCell)>, NetId), StageError> {
    let mut clock: Option<(NetId, CellId)> = None;
    for (id, scan) in found {
        let cell = &netlist.cells[id.index()];
        let net = cell.pin(&scan.clock).ok_or_else(|| {
            StageError::design(format!(
                "pin '{}' of flip-flop '{}' is open",
                scan.clock, cell.name
            ))
        })?;
        match clock {
            None => clock = Some((net, *id)),
            Some((first, other)) if first != net => {
                return Err(StageError::design(format!(
                    "two clocks: '{}' at '{}' and '{}' at '{}'; one chain has one clock",
                    netlist.net_name(first),
                    netlist.cells[other.index()].name,
                    netlist.net_name(net),
                    cell.name
                )));
            }
            Some(_) => {}
        }
    }
    let mut order = found.to_vec();
    order.sort_by_cached_key(|(id, scan)| {
        let cell = &netlist.cells[id.index()];
        let stored = cell
            .pin(&scan.output)
            .map_or(cell.name.as_str(), |net| netlist.net_name(net));
        (natural(stored), cell.name.clone())
    });
    match clock {
        Some((net, _)) => Ok((order, net)),
        None => Err(StageError::design("there is no flip-flop to scan")),
    }
}

fn drive_scan_out(
    netlist: &mut Netlist,
    library: &Library,
    params: &Params,
    from: NetId,
    to: NetId,
) -> Result<(), StageError> {
    let suffix = format!("__{}", params.buffer);
    let kind = library
        .cells
        .values()
        .find(|cell| cell.name == params.buffer || cell.name.ends_with(&suffix))
        .ok_or_else(|| {
            StageError::input(format!(
                "library '{}' has no cell '{}' to drive scan_out",
                library.name, params.buffer
            ))
            .hint("name a buffer of the library by the stage's parameter 'buffer'")
        })?;
    let pins: Vec<_> = kind
        .inputs()
        .map(|pin| pin.name.clone())
        .chain(kind.outputs().map(|pin| pin.name.clone()))
        .collect();
    let [input, output] = pins.as_slice() else {
        return Err(StageError::input(format!(
            "cell '{}' is no buffer: it has pins {}",
            kind.name,
            pins.join(", ")
        )));
    };
    let mut name = format!("{}_buffer", params.scan_out);
    while netlist.cells.iter().any(|cell| cell.name == name) {
        name.push('_');
    }
    netlist.add_cell(Cell {
        name,
        kind: kind.name.clone(),
        pins: vec![(input.clone(), from), (output.clone(), to)],
    });
    Ok(())
}

/// A key by which `a[2]` comes before `a[10]`.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text_end = rest
            .find(|character: char| character.is_ascii_digit())
            .unwrap_or(rest.len());
        let (text, tail) = rest.split_at(text_end);
        let digits_end = tail
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(tail.len());
        let (digits, tail) = tail.split_at(digits_end);
        parts.push((text.to_string(), digits.parse().unwrap_or(0)));
        rest = tail;
    }
    parts
}
