//! From the Verilog netlist to the components, pins and nets of a DEF design.

use std::collections::BTreeMap;

use nanoflow_layout::def::{Component, Design, Names, Net, Pin, Terminal, Use};
use nanoflow_layout::lef::{PinDirection, Tech};
use nanoflow_layout::LayoutError;
use nanoflow_netlist::liberty::Library;
use nanoflow_netlist::{Direction, NetId, Netlist};

const TIE_CELL: &str = "sky130_fd_sc_hd__conb_1";
/// Inputs that one tie cell holds; it is a resistor, so more would cost nothing but wire.
const TIES_EACH: usize = 8;

/// Builds the design's connectivity. Constants get tie cells.
///
/// # Errors
/// When a cell or pin is unknown to the LEF files, or two ports are one net.
pub fn import(netlist: &Netlist, tech: &Tech, library: &Library) -> Result<Design, LayoutError> {
    let mut design = Design {
        name: netlist.name.clone(),
        ..Design::default()
    };
    let mut nets: Vec<Net> = netlist
        .nets
        .iter()
        .map(|net| Net {
            name: net.name.clone(),
            ..Net::default()
        })
        .collect();
    for cell in &netlist.cells {
        let component = design.components.len();
        let master = tech.cell(&cell.kind)?;
        let timing = library.cells.get(&cell.kind);
        for (pin, net) in &cell.pins {
            if master.pin(pin).is_none() {
                return Err(LayoutError::Missing(format!(
                    "instance '{}': cell '{}' has no pin '{pin}' in the LEF files",
                    cell.name, cell.kind
                )));
            }
            let net = &mut nets[net.index()];
            net.terminals.push(Terminal::Pin {
                component,
                pin: pin.clone(),
            });
            if timing
                .and_then(|cell| cell.pin(pin))
                .is_some_and(|pin| pin.clock)
            {
                net.use_ = Use::Clock;
            }
        }
        design
            .components
            .push(component_of(&cell.name, &cell.kind, None));
    }
    ports(netlist, &mut design, &mut nets)?;
    design.nets = nets;
    ties(netlist, &mut design);
    design.nets.retain(|net| !net.terminals.is_empty());
    Ok(design)
}

fn component_of(name: &str, cell: &str, source: Option<&str>) -> Component {
    Component {
        name: name.into(),
        cell: cell.into(),
        placement: None,
        source: source.map(str::to_string),
        properties: Vec::new(),
    }
}

/// Pins of the design, each on its net. A wire has one name in the layout, so two ports cannot share a net.
fn ports(netlist: &Netlist, design: &mut Design, nets: &mut [Net]) -> Result<(), LayoutError> {
    let mut port_of: BTreeMap<NetId, String> = BTreeMap::new();
    for port in &netlist.ports {
        for (place, net) in port.bits.iter().enumerate() {
            let name = match port.range {
                None => port.name.clone(),
                Some((left, right)) => {
                    let step = if left >= right { -1 } else { 1 };
                    format!("{}[{}]", port.name, left + step * place as i64)
                }
            };
            if let Some(other) = port_of.insert(*net, name.clone()) {
                return Err(LayoutError::Missing(format!(
                    "ports '{other}' and '{name}' are one net without a cell between them; put a buffer there"
                )));
            }
            let net = &mut nets[net.index()];
            net.terminals.insert(0, Terminal::Port(design.pins.len()));
            let direction = match port.direction {
                Direction::Input => PinDirection::Input,
                Direction::Output => PinDirection::Output,
                Direction::Inout => PinDirection::Inout,
            };
            let ports = Vec::new();
            design.pins.push(Pin {
                name,
                net: net.name.clone(),
                direction,
                use_: net.use_,
                special: false,
                ports,
            });
        }
    }
    Ok(())
}

/// Replaces constant nets by nets of tie cells.
fn ties(netlist: &Netlist, design: &mut Design) {
    let mut names = Names::of(design);
    for index in 0..netlist.nets.len() {
        let Some(value) = netlist.nets[index].constant else {
            continue;
        };
        let sinks = std::mem::take(&mut design.nets[index].terminals);
        for group in sinks.chunks(TIES_EACH) {
            let component = design.components.len();
            let name = names.free(&format!("tie_{component}"));
            design
                .components
                .push(component_of(&name, TIE_CELL, Some("TIMING")));
            let pin = if value { "HI" } else { "LO" };
            let mut terminals = group.to_vec();
            terminals.push(Terminal::Pin {
                component,
                pin: pin.into(),
            });
            design.nets.push(Net {
                name: names.free(&format!("{name}_net")),
                terminals,
                ..Net::default()
            });
        }
    }
}
