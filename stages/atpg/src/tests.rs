//! Against two independent judges: every input pattern tried on small random circuits, and Icarus on shifted patterns.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use nanoflow_netlist::liberty::Library;
use nanoflow_netlist::{Cell, Direction, NetId, Netlist};
use nanoflow_sdk::testing;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{json, Value};

use crate::circuit::Circuit;
use crate::faults::{self, FaultList, Site};
use crate::generate::{generate, Settings, Status};
use crate::stage;

const LIBRARY: &str = r#"library (small) {
  cell (inv) { area : 3; pin (A) { direction : input; } pin (Y) { direction : output; function : "!A"; } }
  cell (buf) { area : 3; pin (A) { direction : input; } pin (X) { direction : output; function : "A"; } }
  cell (nand2) { area : 3; pin (A) { direction : input; } pin (B) { direction : input; } pin (Y) { direction : output; function : "!(A&B)"; } }
  cell (xor2) { area : 3; pin (A) { direction : input; } pin (B) { direction : input; } pin (X) { direction : output; function : "(A&!B)|(!A&B)"; } }
  cell (a21oi) { area : 3; pin (A1) { direction : input; } pin (A2) { direction : input; } pin (B1) { direction : input; }
    pin (Y) { direction : output; function : "!((A1&A2)|B1)"; } }
  cell (mux2) { area : 3; pin (A0) { direction : input; } pin (A1) { direction : input; } pin (S) { direction : input; }
    pin (X) { direction : output; function : "(A0&!S)|(A1&S)"; } }
  cell (ha) { area : 3; pin (A) { direction : input; } pin (B) { direction : input; }
    pin (COUT) { direction : output; function : "A&B"; } pin (SUM) { direction : output; function : "A^B"; } }
  cell (tie) { area : 3; pin (HI) { direction : output; function : "1"; } pin (LO) { direction : output; function : "0"; } }
  cell (latch) { area : 3; latch (IQ, IQ_N) { enable : "G"; data_in : "D"; } pin (G) { direction : input; } pin (D) { direction : input; }
    pin (Q) { direction : output; function : "IQ"; } }
  cell (sff) { area : 26; ff (IQ, IQ_N) { clocked_on : "CLK"; next_state : "(D&!SCE) | (SCD&SCE)"; }
    pin (CLK) { direction : input; clock : true; } pin (D) { direction : input; } pin (SCD) { direction : input; } pin (SCE) { direction : input; }
    pin (Q) { direction : output; function : "IQ"; } pin (Q_N) { direction : output; function : "IQ_N"; } }
}"#;

fn library() -> Library {
    nanoflow_netlist::liberty::read(LIBRARY, Path::new("small.lib")).expect("a library")
}

/// Gates of random kinds on random nets, `inputs` ports, every net without a reader an output port. With `bits` > 0 that
/// many flip-flops in a chain.
fn random_netlist(random: &mut ChaCha8Rng, inputs: usize, gates: usize, bits: usize) -> Netlist {
    let mut netlist = Netlist::new("random");
    let mut nets: Vec<NetId> = Vec::new();
    let input = |netlist: &mut Netlist, name: &str| {
        netlist
            .add_port(name, Direction::Input)
            .expect("a new port")
    };
    for i in 0..inputs {
        nets.push(input(&mut netlist, &format!("i{i}")));
    }
    let scan = (bits > 0).then(|| {
        (
            input(&mut netlist, "clk"),
            input(&mut netlist, "se"),
            input(&mut netlist, "si"),
        )
    });
    let stored: Vec<NetId> = (0..bits).map(|i| netlist.net(&format!("q{i}"))).collect();
    nets.extend(&stored);
    for i in 0..gates {
        let pins: &[&str] = match random.random_range(0..8) {
            0 => &["inv", "A", "Y"],
            1 | 2 => &["nand2", "A", "B", "Y"],
            3 => &["xor2", "A", "B", "X"],
            4 => &["a21oi", "A1", "A2", "B1", "Y"],
            5 => &["mux2", "A0", "A1", "S", "X"],
            6 => &["ha", "A", "B", "COUT", "SUM"],
            _ => &["tie", "HI"],
        };
        let outputs = if pins[0] == "ha" { 2 } else { 1 };
        let mut connected = Vec::new();
        for (place, pin) in pins[1..].iter().enumerate() {
            let net = if place + outputs < pins.len() - 1 {
                // Recent nets more often, so that the circuit is deep and reconverges.
                let from = nets.len().saturating_sub(12);
                nets[random.random_range(from..nets.len())]
            } else {
                netlist.net(&format!("n{i}{pin}"))
            };
            connected.push(((*pin).to_string(), net));
        }
        let made: Vec<NetId> = connected
            .iter()
            .rev()
            .take(outputs)
            .map(|(_, net)| *net)
            .collect();
        nets.extend(made);
        netlist.add_cell(Cell {
            name: format!("g{i}"),
            kind: pins[0].to_string(),
            pins: connected,
        });
    }
    if let Some((clock, enable, first)) = scan {
        let mut previous = first;
        for (i, &net) in stored.iter().enumerate() {
            let data = nets[nets.len() - 1 - random.random_range(0..gates.min(nets.len()))];
            let pin = |name: &str, net| (name.to_string(), net);
            let pins = vec![
                pin("CLK", clock),
                pin("D", data),
                pin("SCD", previous),
                pin("SCE", enable),
                pin("Q", net),
            ];
            netlist.add_cell(Cell {
                name: format!("f{i}"),
                kind: "sff".into(),
                pins,
            });
            previous = net;
        }
        let out = netlist
            .add_port("so", Direction::Output)
            .expect("a new port");
        let pins = vec![("A".to_string(), previous), ("X".to_string(), out)];
        netlist.add_cell(Cell {
            name: "so_buffer".into(),
            kind: "buf".into(),
            pins,
        });
    }
    open_nets_become_ports(&mut netlist);
    netlist
}

fn open_nets_become_ports(netlist: &mut Netlist) {
    let library = library();
    let mut read = vec![false; netlist.nets.len()];
    for cell in &netlist.cells {
        let kind = library.cell(&cell.kind).expect("a known cell");
        for (pin, net) in &cell.pins {
            read[net.index()] |= kind
                .pin(pin)
                .is_some_and(|pin| pin.direction == Direction::Input);
        }
    }
    let ports: Vec<NetId> = netlist
        .ports
        .iter()
        .flat_map(|port| port.bits.clone())
        .collect();
    for net in (0..read.len()).filter(|&net| !read[net]) {
        let id = NetId(net as u32);
        if !ports.contains(&id) {
            let name = netlist.net_name(id).to_string();
            netlist.ports.push(nanoflow_netlist::Port {
                name,
                direction: Direction::Output,
                range: None,
                bits: vec![id],
            });
        }
    }
}

/// Where a fault is, by names alone, for a judge that shares no code with the stage.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    name: &'a str,
    stuck: bool,
}

/// Values of all nets of a combinational netlist for 64 patterns, cell by cell as the library says; the
/// cells stand in topological order.
fn evaluate(
    netlist: &Netlist,
    library: &Library,
    inputs: &BTreeMap<NetId, u64>,
    fault: Option<Place>,
) -> Vec<u64> {
    let word = |stuck: bool| if stuck { u64::MAX } else { 0 };
    let forced = |name: &str| {
        fault
            .filter(|fault| fault.name == name)
            .map(|fault| word(fault.stuck))
    };
    let mut values = vec![0; netlist.nets.len()];
    for (&net, &value) in inputs {
        values[net.index()] = forced(netlist.net_name(net)).unwrap_or(value);
    }
    for cell in &netlist.cells {
        for pin in library.cell(&cell.kind).expect("a known cell").outputs() {
            let Some(net) = cell.pin(&pin.name) else {
                continue;
            };
            let of = |name: &str| {
                let net = cell.pin(name).expect("a connected pin");
                forced(&format!("{}/{name}", cell.name)).unwrap_or(values[net.index()])
            };
            let value = pin.function.as_ref().expect("a function").evaluate(&of);
            values[net.index()] = forced(&format!("{}/{}", cell.name, pin.name)).unwrap_or(value);
        }
    }
    values
}

/// Whether some input pattern shows the fault at an output port; all are tried.
fn detectable(netlist: &Netlist, library: &Library, fault: Place) -> bool {
    let inputs: Vec<NetId> = netlist
        .ports
        .iter()
        .filter(|port| port.direction == Direction::Input)
        .flat_map(|port| port.bits.clone())
        .collect();
    (0..(1_u64 << inputs.len()).div_ceil(64)).any(|block| {
        let given: BTreeMap<NetId, u64> = inputs
            .iter()
            .enumerate()
            .map(|(i, &net)| {
                (
                    net,
                    (0..64).fold(0, |word, k| word | ((block * 64 + k) >> i & 1) << k),
                )
            })
            .collect();
        let good = evaluate(netlist, library, &given, None);
        let bad = evaluate(netlist, library, &given, Some(fault));
        let outputs = netlist
            .ports
            .iter()
            .filter(|port| port.direction == Direction::Output);
        outputs.flat_map(|port| &port.bits).any(|net| {
            // A fault of the port alone does not touch the net.
            let stuck = if fault.stuck { u64::MAX } else { 0 };
            let seen = if fault.name == netlist.net_name(*net) {
                stuck
            } else {
                bad[net.index()]
            };
            good[net.index()] != seen
        })
    })
}

fn settings(random_words: usize) -> Settings {
    Settings {
        seed: 3,
        random_words,
        idle_words: 4,
        conflicts: 100_000,
    }
}

#[test]
fn random_circuits_agree_with_trying_every_pattern() {
    let library = library();
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let (mut detected, mut redundant) = (0, 0);
    for round in 0..30 {
        let netlist = random_netlist(&mut random, 7, 25, 0);
        let circuit = Circuit::new(&netlist, &library).expect("a circuit");
        let list = faults::list(&circuit, &netlist);
        // Every third circuit by the solver alone.
        let words = if round % 3 == 0 { 0 } else { 4 };
        let tests = generate(&circuit, &list, &settings(words), &mut |_, _, _| {}).expect("tests");
        for (class, status) in list.classes.iter().zip(&tests.status) {
            // Each member: classes must be right too.
            for &number in class {
                let fault = &list.faults[number];
                let truth = detectable(
                    &netlist,
                    &library,
                    Place {
                        name: &fault.name,
                        stuck: fault.stuck,
                    },
                );
                let expected = if truth {
                    Status::Detected
                } else {
                    Status::Redundant
                };
                assert_eq!(
                    *status, expected,
                    "round {round}: {} stuck at {}",
                    fault.name, fault.stuck
                );
                detected += usize::from(truth);
                redundant += usize::from(!truth);
            }
        }
    }
    assert!(
        detected > 1000 && redundant > 100,
        "{detected} detected, {redundant} redundant: too few to say anything"
    );
}

#[test]
fn kept_patterns_detect_all_that_was_detected() {
    let library = library();
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let netlist = random_netlist(&mut random, 12, 120, 0);
    let circuit = Circuit::new(&netlist, &library).expect("a circuit");
    let list = faults::list(&circuit, &netlist);
    let tests = generate(&circuit, &list, &settings(20), &mut |_, _, _| {}).expect("tests");
    assert!(
        tests.patterns.len() < 64,
        "{} patterns",
        tests.patterns.len()
    );
    let words = |place: usize| {
        tests
            .patterns
            .iter()
            .enumerate()
            .fold(0, |word, (k, pattern)| {
                word | u64::from(pattern[place]) << k
            })
    };
    let given: BTreeMap<NetId, u64> = circuit
        .sources
        .iter()
        .enumerate()
        .map(|(place, &(_, signal))| (NetId(signal as u32), words(place)))
        .collect();
    let valid = (1_u64 << tests.patterns.len()) - 1;
    let good = evaluate(&netlist, &library, &given, None);
    let outputs: Vec<NetId> = netlist
        .ports
        .iter()
        .filter(|port| port.direction == Direction::Output)
        .flat_map(|port| port.bits.clone())
        .collect();
    for (class, _) in list
        .classes
        .iter()
        .zip(&tests.status)
        .filter(|(_, status)| **status == Status::Detected)
    {
        let fault = &list.faults[class[0]];
        if matches!(fault.site, Site::Port(_)) {
            continue;
        }
        let bad = evaluate(
            &netlist,
            &library,
            &given,
            Some(Place {
                name: &fault.name,
                stuck: fault.stuck,
            }),
        );
        let seen = outputs
            .iter()
            .any(|net| (good[net.index()] ^ bad[net.index()]) & valid != 0);
        assert!(seen, "{} stuck at {}", fault.name, fault.stuck);
    }
}

/// Runs the stage on a netlist with scan.
fn run(netlist: &str, chain: &Value) -> Result<(Value, String), String> {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let (library, verilog) = (write("s.lib", LIBRARY), write("n.v", netlist));
    let chain = write("chain.json", &chain.to_string());
    let inputs: [(&str, &Path); 3] = [
        ("liberty", &library),
        ("netlist", &verilog),
        ("chain", &chain),
    ];
    let outputs = [("patterns", "patterns.stil"), ("report", "atpg.json")];
    let done = testing::run(stage(), json!({}), &inputs, &outputs, 1)
        .map_err(|error| error.to_string())?;
    let text = |name: &str| std::fs::read_to_string(done.output(name)).expect("an output");
    Ok((
        serde_json::from_str(&text("report")).expect("JSON"),
        text("patterns"),
    ))
}

fn chain_of(bits: usize) -> Value {
    let cells: Vec<Value> = (0..bits)
        .map(|i| json!({ "instance": format!("f{i}") }))
        .collect();
    json!({ "clock": "clk", "scan_enable": "se", "scan_in": "si", "scan_out": "so", "cells": cells })
}

/// The names of a signal group of a STIL file.
fn group<'a>(stil: &'a str, name: &str) -> Vec<&'a str> {
    let start = stil.find(&format!("\"{name}\" = '")).expect("the group") + name.len() + 6;
    let end = start + stil[start..].find('\'').expect("its end");
    stil[start..end].split('"').skip(1).step_by(2).collect()
}

/// The values given to a group in a line of the pattern block.
fn given<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let start = line.find(&format!("\"{name}\" = "))? + name.len() + 5;
    line[start..].split(';').next()
}

/// A test bench that plays a STIL file on module `top` and prints the number of wrong bits.
fn bench(stil: &str, top: &str) -> String {
    let (inputs, outputs) = (group(stil, "_pi"), group(stil, "_po"));
    let mut text = format!("module bench_{top};\n  reg clk = 0;\n  integer wrong = 0;\n");
    inputs
        .iter()
        .for_each(|name| writeln!(text, "  reg {name} = 0;").expect("a string"));
    outputs
        .iter()
        .for_each(|name| writeln!(text, "  wire {name};").expect("a string"));
    let ports: Vec<String> = inputs
        .iter()
        .chain(&outputs)
        .chain(&["clk"])
        .map(|name| format!(".{name}({name})"))
        .collect();
    writeln!(text, "  {top} dut ({});", ports.join(", ")).expect("a string");
    writeln!(text, "  task shift(input bit_in, input expected, input check);\n    begin si = bit_in; #1; if (check && so !== expected) wrong = wrong + 1; #1 clk = 1; #1 clk = 0; end\n  endtask\n  initial begin").expect("a string");
    for line in stil.lines().filter(|line| line.contains("Call")) {
        if let Some(load) = given(line, "_si") {
            writeln!(text, "    se = 1;").expect("a string");
            let expected = given(line, "_so").unwrap_or("");
            for (i, bit) in load.chars().enumerate() {
                let seen = expected.chars().nth(i);
                let (value, check) = (u8::from(seen == Some('H')), u8::from(seen.is_some()));
                writeln!(text, "    shift({bit}, {value}, {check});").expect("a string");
            }
        } else {
            let values = given(line, "_pi").expect("inputs");
            inputs
                .iter()
                .zip(values.chars())
                .for_each(|(name, bit)| writeln!(text, "    {name} = {bit};").expect("a string"));
            writeln!(text, "    #1;").expect("a string");
            let seen = given(line, "_po").expect("outputs");
            for (name, value) in outputs.iter().zip(seen.chars()) {
                writeln!(
                    text,
                    "    if ({name} !== {}) wrong = wrong + 1;",
                    u8::from(value == 'H')
                )
                .expect("a string");
            }
            writeln!(text, "    #1 clk = 1; #1 clk = 0;").expect("a string");
        }
    }
    writeln!(
        text,
        "    $display(\"{top} %0d\", wrong);\n  end\nendmodule"
    )
    .expect("a string");
    text
}

fn replace(cell: &mut Cell, which: impl Fn(&str, NetId) -> bool, by: NetId) {
    for (name, connected) in &mut cell.pins {
        if which(name, *connected) {
            *connected = by;
        }
    }
}

fn add_port_buffer(netlist: &mut Netlist, from: NetId, port: NetId) {
    let pins = vec![("A".to_string(), from), ("X".to_string(), port)];
    netlist.add_cell(Cell {
        name: "fault_port".into(),
        kind: "buf".into(),
        pins,
    });
}

/// The netlist with a fault put in: a pin or port on a constant.
fn with_fault(netlist: &Netlist, list: &FaultList, number: usize, module: &str) -> Netlist {
    let fault = &list.faults[number];
    let mut changed = netlist.clone();
    changed.name = module.to_string();
    let constant = changed.constant(fault.stuck);
    let loose = changed.net("fault_loose");
    let net = NetId(fault.signal as u32);
    match (&fault.site, fault.name.split_once('/')) {
        (Site::Port(_), _) => {
            // The port gets the constant; the gates keep the net, under another name.
            let inner = changed.net("fault_inner");
            for cell in &mut changed.cells {
                replace(cell, |_, connected| connected == net, inner);
            }
            add_port_buffer(&mut changed, constant, net);
        }
        (Site::Pin(_), Some((cell, pin))) => {
            for found in changed.cells.iter_mut().filter(|other| other.name == cell) {
                replace(found, |name, _| name == pin, constant);
            }
        }
        (_, driver) => {
            for cell in &mut changed.cells {
                let is_driver = |name: &str| driver == Some((cell.name.as_str(), name));
                let output = cell.pins.iter().position(|(name, _)| is_driver(name));
                replace(cell, |_, connected| connected == net, constant);
                if let Some(output) = output {
                    cell.pins[output].1 = loose;
                }
            }
            let is_output = |port: &nanoflow_netlist::Port| {
                port.direction == Direction::Output && port.bits.contains(&net)
            };
            if changed.ports.iter().any(is_output) {
                add_port_buffer(&mut changed, constant, net);
            }
        }
    }
    changed
}

const MODELS: &str = "module inv(input A, output Y); assign Y = ~A; endmodule
module buf_(input A, output X); assign X = A; endmodule
module nand2(input A, B, output Y); assign Y = ~(A & B); endmodule
module xor2(input A, B, output X); assign X = A ^ B; endmodule
module a21oi(input A1, A2, B1, output Y); assign Y = ~((A1 & A2) | B1); endmodule
module mux2(input A0, A1, S, output X); assign X = S ? A1 : A0; endmodule
module ha(input A, B, output COUT, SUM); assign {COUT, SUM} = A + B; endmodule
module tie(output HI, LO); assign HI = 1'b1, LO = 1'b0; endmodule
module sff(input CLK, D, SCD, SCE, output reg Q, output Q_N); always @(posedge CLK) Q <= SCE ? SCD : D; assign Q_N = ~Q; endmodule
";

#[test]
fn icarus_sees_each_injected_fault_and_none_without() {
    let (Ok(iverilog), Ok(vvp)) = (which::which("iverilog"), which::which("vvp")) else {
        eprintln!("skipped: iverilog is not installed");
        return;
    };
    let mut random = ChaCha8Rng::seed_from_u64(8);
    let netlist = random_netlist(&mut random, 6, 60, 12);
    let text = nanoflow_netlist::verilog::write(&netlist);
    let (report, stil) = run(&text, &chain_of(12)).expect("tests");
    assert_eq!(report["aborted"], 0);
    assert_eq!(report["chain_length"], 12);

    let netlist =
        nanoflow_netlist::verilog::read(&text, Path::new("n.v"), None).expect("a netlist");
    let circuit = Circuit::new(&netlist, &library()).expect("a circuit");
    let list = faults::list(&circuit, &netlist);
    let redundant: Vec<String> =
        serde_json::from_value(report["redundant_faults"].clone()).expect("names");
    let mut sample: Vec<usize> = list.by_chain.clone();
    sample.extend((0..60).map(|_| random.random_range(0..list.faults.len())));
    let mut source = MODELS.to_string() + &text.replace("buf ", "buf_ ") + &bench(&stil, "random");
    for &number in &sample {
        let module = format!("fault{number}");
        if source.contains(&format!("bench_{module};")) {
            continue;
        }
        let changed = with_fault(&netlist, &list, number, &module);
        source += &nanoflow_netlist::verilog::write(&changed).replace("buf ", "buf_ ");
        source += &bench(&stil, &module);
    }
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("all.v"), source).expect("a file");
    duct::cmd!(iverilog, "-g2005", "-o", "all.vvp", "all.v")
        .dir(dir.path())
        .run()
        .expect("Icarus compiles");
    let output = duct::cmd!(vvp, "-N", "all.vvp")
        .dir(dir.path())
        .read()
        .expect("Icarus runs");
    let wrong: BTreeMap<&str, u64> = output
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, count)| Some((name, count.parse().ok()?)))
        .collect();
    assert_eq!(
        wrong["random"], 0,
        "the fault-free gates differ from the patterns"
    );
    for &number in &sample {
        let fault = &list.faults[number];
        let name = format!("{} stuck-at-{}", fault.name, u8::from(fault.stuck));
        let seen = wrong[format!("fault{number}").as_str()] > 0;
        assert_eq!(seen, !redundant.contains(&name), "{name}");
    }
}

/// A chain of two bits with `more` cells.
fn small(more: &str) -> String {
    format!(
        "module m(clk, se, si, so, a);\n  input clk, se, si, a;\n  output so;\n  wire q0, q1, n;\n\
         sff f0 (.CLK(clk), .D(a), .SCD(si), .SCE(se), .Q(q0));\n sff f1 (.CLK(clk), .D(n), .SCD(q0), .SCE(se), .Q(q1));\n\
         buf b (.A(q1), .X(so));\n {more}\nendmodule\n"
    )
}

#[test]
fn faults_in_the_input_are_named() {
    let inverter = "inv i (.A(q0), .Y(n));";
    let cases = [
        (
            small(""),
            chain_of(2),
            "net 'n' at instance 'f1' has no driver",
        ),
        (
            small("inv i (.A(q0), .Y(n)); inv j (.A(a), .Y(n));"),
            chain_of(2),
            "two drivers",
        ),
        (
            small("wire m; inv i (.A(m), .Y(n)); inv j (.A(n), .Y(m));"),
            chain_of(2),
            "loop of gates",
        ),
        (
            small("latch i (.D(q0), .G(a), .Q(n));"),
            chain_of(2),
            "is a latch",
        ),
        (
            small("other i (.A(q0), .Y(n));"),
            chain_of(2),
            "no cell 'other'",
        ),
        (
            small(inverter),
            chain_of(1),
            "'f1' is not in the scan chain",
        ),
        (small(inverter), chain_of(3), "names 'f2'"),
        (
            small(inverter).replace(".SCD(q0)", ".SCD(n)"),
            chain_of(2),
            "breaks off after 1 of 2 bits",
        ),
        (
            small(inverter).replace("b (.A(q1)", "b (.A(q0)"),
            chain_of(2),
            "does not show the last bit",
        ),
        (small(inverter), json!({}), "missing field"),
    ];
    for (netlist, chain, words) in cases {
        let error = run(&netlist, &chain).expect_err(words);
        assert!(error.contains(words), "{error} should say: {words}");
    }
    assert!(run(&small(inverter), &chain_of(2)).is_ok());
    // Placement may turn the chain round: the gates decide, not the list.
    let turned = small(inverter)
        .replace(".SCD(si)", ".SCD(q1)")
        .replace(".SCD(q0)", ".SCD(si)")
        .replace("b (.A(q1)", "b (.A(q0)");
    let (_, stil) = run(&turned, &chain_of(2)).expect("tests");
    assert!(stil.contains("\"f1\"\n      \"f0\""), "{stil}");
}

#[test]
fn faults_of_the_clock_tree_are_found_by_the_chain_test() {
    let netlist = small("wire ck; buf cb (.A(clk), .X(ck)); inv i (.A(q0), .Y(n));")
        .replace("f1 (.CLK(clk)", "f1 (.CLK(ck)");
    let (report, _) = run(&netlist, &chain_of(2)).expect("tests");
    // Both faults of the port, of two clock pins, and of the buffer's two pins.
    assert_eq!(report["detected_by_chain_test"], 10);
    assert_eq!(report["redundant"], 0);
    let two = netlist
        .replace("input clk, se", "input clk, other, se")
        .replace("module m(clk", "module m(clk, other")
        .replace("cb (.A(clk)", "cb (.A(other)");
    assert!(run(&two, &chain_of(2))
        .expect_err("two clocks")
        .contains("two clocks"));
}

#[test]
fn same_bytes_twice() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let text = nanoflow_netlist::verilog::write(&random_netlist(&mut random, 6, 60, 8));
    assert_eq!(run(&text, &chain_of(8)), run(&text, &chain_of(8)));
}
