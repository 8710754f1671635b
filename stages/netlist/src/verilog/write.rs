use std::collections::BTreeSet;
use std::fmt::Write;

use crate::{Direction, Netlist};

/// Words of Verilog-2005 that cannot be plain names (IEEE 1364-2005, annex B; those a netlist's names could meet).
const KEYWORDS: &[&str] = &[
    "always",
    "and",
    "assign",
    "begin",
    "buf",
    "bufif0",
    "bufif1",
    "case",
    "cell",
    "config",
    "default",
    "design",
    "disable",
    "edge",
    "else",
    "end",
    "endmodule",
    "event",
    "for",
    "force",
    "forever",
    "fork",
    "function",
    "generate",
    "genvar",
    "if",
    "initial",
    "inout",
    "input",
    "instance",
    "integer",
    "join",
    "large",
    "library",
    "medium",
    "module",
    "nand",
    "negedge",
    "nor",
    "not",
    "or",
    "output",
    "parameter",
    "posedge",
    "primitive",
    "pulldown",
    "pullup",
    "real",
    "reg",
    "release",
    "repeat",
    "scalared",
    "signed",
    "small",
    "strong0",
    "strong1",
    "supply0",
    "supply1",
    "table",
    "task",
    "time",
    "tri",
    "use",
    "vectored",
    "wait",
    "wand",
    "weak0",
    "weak1",
    "while",
    "wire",
    "wor",
    "xnor",
    "xor",
];

/// A name as Verilog wants it, escaped where it must be.
pub(crate) fn name(plain: &str) -> String {
    let mut characters = plain.chars();
    let starts = characters
        .next()
        .is_some_and(|character| character.is_ascii_alphabetic() || character == '_');
    let simple = starts
        && characters
            .all(|character| character.is_ascii_alphanumeric() || "_$".contains(character));
    if simple && !KEYWORDS.contains(&plain) {
        plain.to_string()
    } else {
        format!("\\{plain} ")
    }
}

pub(super) fn write(netlist: &Netlist) -> String {
    let mut text = String::new();
    let ports: Vec<String> = netlist.ports.iter().map(|port| name(&port.name)).collect();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "module {}({});",
        name(&netlist.name),
        ports.join(", ")
    );
    // Bits of a vector port are written as `a[3]`; any other name with brackets is one escaped name.
    let mut vector_bits = BTreeSet::new();
    let mut declared = BTreeSet::new();
    for port in &netlist.ports {
        let direction = match port.direction {
            Direction::Input => "input",
            Direction::Output => "output",
            Direction::Inout => "inout",
        };
        let range = port
            .range
            .map_or(String::new(), |(left, right)| format!("[{left}:{right}] "));
        let _ = writeln!(text, "  {direction} {range}{};", name(&port.name));
        declared.extend(port.bits.iter().copied());
        if port.range.is_some() {
            vector_bits.extend(port.bits.iter().copied());
        }
    }
    let used: BTreeSet<_> = netlist
        .cells
        .iter()
        .flat_map(|cell| cell.pins.iter().map(|(_, net)| *net))
        .collect();
    for net in used.difference(&declared) {
        if netlist.nets[net.index()].constant.is_none() {
            let _ = writeln!(text, "  wire {};", name(netlist.net_name(*net)));
        }
    }
    let shown = |net: crate::NetId| {
        let plain = netlist.net_name(net);
        if netlist.nets[net.index()].constant.is_some() {
            return plain.to_string();
        }
        match plain.rsplit_once('[') {
            Some((base, bit)) if vector_bits.contains(&net) => format!("{}[{bit}", name(base)),
            _ => name(plain),
        }
    };
    for cell in &netlist.cells {
        let pins: Vec<String> = cell
            .pins
            .iter()
            .map(|(pin, net)| format!(".{}({})", name(pin), shown(*net)))
            .collect();
        let _ = writeln!(
            text,
            "  {} {}({});",
            name(&cell.kind),
            name(&cell.name),
            pins.join(", ")
        );
    }
    text.push_str("endmodule\n");
    text
}
