//! Patterns as a STIL file (IEEE 1450-1999, scan structures of 1450.1): a chain test, then load, capture, unload for each.

use std::fmt::Write;

use nanoflow_netlist::Netlist;

use crate::chain::Chain;
use crate::circuit::{Circuit, Sink, Source};
use crate::generate::Pattern;
use crate::simulate::Simulator;

/// What one pattern does to the pins.
struct Applied {
    /// Bits into `scan_in` in the order of shifting.
    load: String,
    /// Input ports without clock, in the order of the group `_pi`.
    inputs: String,
    /// Expected output ports before the capturing edge, in the order of the group `_po`.
    outputs: String,
    /// Expected bits out of `scan_out` in the order of shifting, after the capture.
    unload: String,
}

/// The whole file; the same text for the same tests.
pub(crate) fn write(
    netlist: &Netlist,
    circuit: &Circuit,
    chain: &Chain,
    patterns: &[Pattern],
) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = header(&mut text, netlist, circuit, chain);
    let _ = procedures(&mut text, chain);
    let _ = pattern_block(&mut text, circuit, chain, patterns);
    text
}

fn input_names<'a>(netlist: &'a Netlist, circuit: &Circuit, chain: &Chain) -> Vec<&'a str> {
    input_places(circuit, chain)
        .filter_map(|place| match circuit.sources[place].0 {
            Source::Port(net) => Some(netlist.net_name(net)),
            Source::State(_) => None,
        })
        .collect()
}

/// Places of the input ports but the clock.
fn input_places<'a>(circuit: &'a Circuit, chain: &'a Chain) -> impl Iterator<Item = usize> + 'a {
    (0..circuit.sources.len()).filter(|&place| {
        place != chain.clock && matches!(circuit.sources[place].0, Source::Port(_))
    })
}

fn output_names<'a>(netlist: &'a Netlist, circuit: &Circuit) -> Vec<&'a str> {
    circuit
        .sinks
        .iter()
        .filter_map(|(sink, _)| match sink {
            Sink::Port(net) => Some(netlist.net_name(*net)),
            Sink::Next(_) => None,
        })
        .collect()
}

/// A group as a sum of quoted names, a few to a line.
fn sum(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let lines: Vec<String> = quoted.chunks(8).map(|line| line.join(" + ")).collect();
    lines.join(" +\n    ")
}

fn header(
    text: &mut String,
    netlist: &Netlist,
    circuit: &Circuit,
    chain: &Chain,
) -> std::fmt::Result {
    let (inputs, outputs) = (
        input_names(netlist, circuit, chain),
        output_names(netlist, circuit),
    );
    let file = &chain.file;
    writeln!(text, "STIL 1.0 {{ Design 2005; }}")?;
    writeln!(
        text,
        "Header {{ Title \"stuck-at tests of {}\"; }}",
        netlist.name
    )?;
    writeln!(text, "Signals {{\n  \"{}\" In;", file.clock)?;
    for name in &inputs {
        let scan = if *name == file.scan_in {
            " { ScanIn; }"
        } else {
            ";"
        };
        writeln!(text, "  \"{name}\" In{scan}")?;
    }
    for name in &outputs {
        let scan = if *name == file.scan_out {
            " { ScanOut; }"
        } else {
            ";"
        };
        writeln!(text, "  \"{name}\" Out{scan}")?;
    }
    writeln!(text, "}}\nSignalGroups {{")?;
    writeln!(text, "  \"_pi\" = '{}';", sum(&inputs))?;
    writeln!(text, "  \"_po\" = '{}';", sum(&outputs))?;
    writeln!(text, "  \"_si\" = '\"{}\"' {{ ScanIn; }}", file.scan_in)?;
    writeln!(
        text,
        "  \"_so\" = '\"{}\"' {{ ScanOut; }}\n}}",
        file.scan_out
    )?;
    writeln!(text, "ScanStructures {{\n  ScanChain \"chain\" {{")?;
    writeln!(
        text,
        "    ScanLength {};\n    ScanIn \"{}\";",
        chain.order.len(),
        file.scan_in
    )?;
    writeln!(
        text,
        "    ScanOut \"{}\";\n    ScanEnable \"{}\";\n    ScanMasterClock \"{}\";",
        file.scan_out, file.scan_enable, file.clock
    )?;
    writeln!(text, "    ScanCells")?;
    for &place in &chain.order {
        writeln!(
            text,
            "      \"{}\"",
            netlist.cells[circuit.flip_flops[place].cell].name
        )?;
    }
    writeln!(text, "    ;\n  }}\n}}")?;
    writeln!(
        text,
        "Timing {{\n  WaveformTable \"test\" {{\n    Period '100ns';\n    Waveforms {{"
    )?;
    writeln!(
        text,
        "      \"{}\" {{ P {{ '0ns' D; '50ns' U; '80ns' D; }} 0 {{ '0ns' D; }} }}",
        file.clock
    )?;
    writeln!(text, "      \"_pi\" {{ 01 {{ '0ns' D/U; }} }}")?;
    writeln!(
        text,
        "      \"_po\" {{ LHX {{ '0ns' X; '40ns' L/H/X; }} }}\n    }}\n  }}\n}}"
    )?;
    writeln!(
        text,
        "PatternBurst \"tests\" {{ PatList {{ \"tests\"; }} }}"
    )?;
    writeln!(text, "PatternExec {{ PatternBurst \"tests\"; }}")
}

fn procedures(text: &mut String, chain: &Chain) -> std::fmt::Result {
    let file = &chain.file;
    writeln!(text, "Procedures {{")?;
    writeln!(text, "  \"load_unload\" {{\n    W \"test\";")?;
    writeln!(
        text,
        "    C {{ \"{}\" = 0; \"{}\" = 1; }}",
        file.clock, file.scan_enable
    )?;
    writeln!(
        text,
        "    Shift {{ V {{ \"{}\" = P; \"_si\" = #; \"_so\" = #; }} }}\n  }}",
        file.clock
    )?;
    writeln!(text, "  \"capture\" {{\n    W \"test\";")?;
    writeln!(
        text,
        "    V {{ \"{}\" = P; \"_pi\" = #; \"_po\" = #; }}\n  }}\n}}",
        file.clock
    )
}

fn pattern_block(
    text: &mut String,
    circuit: &Circuit,
    chain: &Chain,
    patterns: &[Pattern],
) -> std::fmt::Result {
    writeln!(text, "Pattern \"tests\" {{\n  W \"test\";")?;
    // 0011 through the whole chain: every link holds, passes 0 and 1 and both edges.
    let flush: String = (0..chain.order.len())
        .map(|i| if i % 4 < 2 { '0' } else { '1' })
        .collect();
    writeln!(
        text,
        "  \"chain\": Call \"load_unload\" {{ \"_si\" = {flush}; }}"
    )?;
    let mut expected: String = flush
        .chars()
        .map(|bit| if bit == '0' { 'L' } else { 'H' })
        .collect();
    for (number, applied) in apply(circuit, chain, patterns).iter().enumerate() {
        writeln!(text, "  \"pattern {number}\": Call \"load_unload\" {{ \"_so\" = {expected}; \"_si\" = {}; }}", applied.load)?;
        writeln!(
            text,
            "  Call \"capture\" {{ \"_pi\" = {}; \"_po\" = {}; }}",
            applied.inputs, applied.outputs
        )?;
        expected.clone_from(&applied.unload);
    }
    writeln!(
        text,
        "  \"end\": Call \"load_unload\" {{ \"_so\" = {expected}; \"_si\" = {flush}; }}\n}}"
    )
}

/// The fault-free response to every pattern.
fn apply(circuit: &Circuit, chain: &Chain, patterns: &[Pattern]) -> Vec<Applied> {
    let mut state_place = vec![0; circuit.flip_flops.len()];
    for (place, (source, _)) in circuit.sources.iter().enumerate() {
        if let Source::State(bit) = source {
            state_place[*bit] = place;
        }
    }
    let inputs: Vec<usize> = input_places(circuit, chain).collect();
    let mut simulator = Simulator::new(circuit);
    let mut applied = Vec::with_capacity(patterns.len());
    for pattern in patterns {
        let words: Vec<u64> = pattern.iter().map(|&bit| u64::from(bit)).collect();
        simulator.load(&words);
        let value = |signal: usize| simulator.good(signal) & 1 == 1;
        let seen = |signal: usize| if value(signal) { 'H' } else { 'L' };
        let given = |bit: bool| if bit { '1' } else { '0' };
        applied.push(Applied {
            // What goes in first ends in the last cell.
            load: chain
                .order
                .iter()
                .rev()
                .map(|&bit| given(pattern[state_place[bit]]))
                .collect(),
            inputs: inputs.iter().map(|&place| given(pattern[place])).collect(),
            outputs: circuit
                .sinks
                .iter()
                .filter(|(sink, _)| matches!(sink, Sink::Port(_)))
                .map(|&(_, signal)| seen(signal))
                .collect(),
            unload: chain
                .order
                .iter()
                .rev()
                .map(|&bit| seen(circuit.flip_flops[bit].next))
                .collect(),
        });
    }
    applied
}
