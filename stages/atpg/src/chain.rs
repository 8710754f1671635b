//! The scan chain that the patterns are shifted through.

use std::collections::BTreeMap;

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
    /// Places in [`Circuit::sources`].
    pub clock: usize,
    pub scan_enable: usize,
    pub scan_in: usize,
}

/// Reads `chain.json` and checks it against the gates: with scan enabled each stored bit must move on by one.
///
/// # Errors
/// Names that the netlist lacks, flip-flops outside the chain, a chain that shifts otherwise.
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
    let places: BTreeMap<&str, usize> = circuit
        .flip_flops
        .iter()
        .enumerate()
        .map(|(place, bit)| (netlist.cells[bit.cell].name.as_str(), place))
        .collect();
    let mut order = Vec::with_capacity(file.cells.len());
    let mut linked = vec![false; circuit.flip_flops.len()];
    for cell in &file.cells {
        let place = *places.get(cell.instance.as_str()).ok_or_else(|| {
            StageError::input(format!(
                "the chain names '{}', which is no flip-flop of the netlist",
                cell.instance
            ))
        })?;
        if std::mem::replace(&mut linked[place], true) {
            return Err(StageError::input(format!(
                "the chain names '{}' twice",
                cell.instance
            )));
        }
        order.push(place);
    }
    if let Some(left) = linked.iter().position(|linked| !linked) {
        let name = &netlist.cells[circuit.flip_flops[left].cell].name;
        return Err(
            StageError::design(format!("flip-flop '{name}' is not in the scan chain"))
                .hint("run stage 'scan' on this netlist first"),
        );
    }
    let (clock, scan_enable, scan_in) = (
        port(&file.clock)?,
        port(&file.scan_enable)?,
        port(&file.scan_in)?,
    );
    let chain = Chain {
        order,
        clock,
        scan_enable,
        scan_in,
        file,
    };
    check_shift(&chain, netlist, circuit)?;
    Ok(chain)
}

/// Random states must shift by one place: 64 of them leave no room for chance.
fn check_shift(chain: &Chain, netlist: &Netlist, circuit: &Circuit) -> Result<(), StageError> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut words: Vec<u64> = circuit.sources.iter().map(|_| random.random()).collect();
    words[chain.scan_enable] = u64::MAX;
    let mut simulator = Simulator::new(circuit);
    simulator.load(&words);
    let mut previous = words[chain.scan_in];
    for &place in &chain.order {
        let bit = &circuit.flip_flops[place];
        if simulator.good(bit.next) != previous {
            let name = &netlist.cells[bit.cell].name;
            return Err(StageError::design(format!(
                "with '{}' on, flip-flop '{name}' does not take the bit before it in the chain",
                chain.file.scan_enable
            )));
        }
        previous = simulator.good(bit.state);
    }
    let out = netlist
        .find_net(&chain.file.scan_out)
        .map(|net| simulator.good(net.index()));
    if out != Some(previous) {
        return Err(StageError::design(format!(
            "port '{}' does not show the last bit of the chain",
            chain.file.scan_out
        )));
    }
    Ok(())
}
