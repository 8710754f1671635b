//! The scan chain that the patterns are shifted through.

use std::collections::{BTreeMap, BTreeSet};

use nanoflow_netlist::Netlist;
use nanoflow_sdk::StageError;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use crate::circuit::{Circuit, Source};
use crate::simulate::Simulator;

/// The part of `chain.json` that is needed here.
#[derive(Debug, Deserialize)]
pub(crate) struct ChainFile {
    pub clock: String,
    pub scan_enable: String,
    pub scan_in: String,
    pub scan_out: String,
    cells: Vec<ChainCell>,
}

#[derive(Debug, Deserialize)]
struct ChainCell {
    instance: String,
}

/// The chain in terms of the circuit.
#[derive(Debug)]
pub(crate) struct Chain {
    pub file: ChainFile,
    /// Places in [`Circuit::flip_flops`], the one after `scan_in` first.
    pub order: Vec<usize>,
    /// Place in [`Circuit::sources`].
    pub clock: usize,
}

/// Reads `chain.json` and finds the order in the gates, which placement may have changed.
///
/// # Errors
/// Names that the netlist lacks, flip-flops outside the chain, a chain that breaks off or does not shift.
pub(crate) fn read(text: &str, netlist: &Netlist, circuit: &Circuit) -> Result<Chain, StageError> {
    let file: ChainFile =
        serde_json::from_str(text).map_err(|error| StageError::input(error.to_string()))?;
    let port = |name: &str| {
        let found = circuit
            .sources
            .iter()
            .position(|&(source, _)| match source {
                Source::Port(net) => netlist.net_name(net) == name,
                Source::State(_) => false,
            });
        found.ok_or_else(|| {
            StageError::input(format!(
                "module '{}' has no input port '{name}'",
                netlist.name
            ))
        })
    };
    let (clock, scan_enable, scan_in) = (
        port(&file.clock)?,
        port(&file.scan_enable)?,
        port(&file.scan_in)?,
    );
    check_members(&file, netlist, circuit)?;
    let order = shift_order(&file, scan_enable, scan_in, netlist, circuit)?;
    Ok(Chain { order, clock, file })
}

/// The list and the netlist have the same flip-flops.
fn check_members(file: &ChainFile, netlist: &Netlist, circuit: &Circuit) -> Result<(), StageError> {
    let mut listed: BTreeSet<&str> = BTreeSet::new();
    for cell in &file.cells {
        if !listed.insert(&cell.instance) {
            return Err(StageError::input(format!(
                "the chain names '{}' twice",
                cell.instance
            )));
        }
    }
    for bit in &circuit.flip_flops {
        let name = netlist.cells[bit.cell].name.as_str();
        if !listed.remove(name) {
            return Err(
                StageError::design(format!("flip-flop '{name}' is not in the scan chain"))
                    .hint("run stage 'scan' on this netlist first"),
            );
        }
    }
    match listed.first() {
        None => Ok(()),
        Some(name) => Err(StageError::input(format!(
            "the chain names '{name}', which is no flip-flop of the netlist"
        ))),
    }
}

/// What follows what when scan is enabled: 64 random values tell the stored bits apart (two of a thousand bits are the
/// same once in 10¹³ times), and each bit's next value says which one it takes.
fn shift_order(
    file: &ChainFile,
    scan_enable: usize,
    scan_in: usize,
    netlist: &Netlist,
    circuit: &Circuit,
) -> Result<Vec<usize>, StageError> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut words: Vec<u64> = circuit.sources.iter().map(|_| random.random()).collect();
    words[scan_enable] = u64::MAX;
    let mut simulator = Simulator::new(circuit);
    simulator.load(&words);
    let followers: BTreeMap<u64, usize> = circuit
        .flip_flops
        .iter()
        .enumerate()
        .map(|(place, bit)| (simulator.good(bit.next), place))
        .collect();
    let mut order = Vec::with_capacity(circuit.flip_flops.len());
    let mut at = words[scan_in];
    while let Some(&place) = followers.get(&at) {
        if order.len() == circuit.flip_flops.len() {
            break;
        }
        order.push(place);
        at = simulator.good(circuit.flip_flops[place].state);
    }
    let linked: BTreeSet<usize> = order.iter().copied().collect();
    if let Some(left) = (0..circuit.flip_flops.len()).find(|place| !linked.contains(place)) {
        let last = order.last().map_or(file.scan_in.as_str(), |&place| {
            &netlist.cells[circuit.flip_flops[place].cell].name
        });
        return Err(StageError::design(format!(
            "with '{}' on, the scan chain breaks off after {} of {} bits, behind '{last}'; '{}' is not reached",
            file.scan_enable,
            linked.len(),
            circuit.flip_flops.len(),
            netlist.cells[circuit.flip_flops[left].cell].name
        )));
    }
    let out = netlist
        .find_net(&file.scan_out)
        .map(|net| simulator.good(net.index()));
    if out != Some(at) {
        return Err(StageError::design(format!(
            "port '{}' does not show the last bit of the chain",
            file.scan_out
        )));
    }
    Ok(order)
}
