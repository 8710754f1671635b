//! The Verilog netlist of the layout: every component that carries a signal; no taps and fillers, no supplies.

use nanoflow_layout::def::{Design, Terminal};
use nanoflow_layout::lef::PinDirection;
use nanoflow_netlist::{Cell, Direction, NetId, Netlist, Port};

/// Builds the netlist.
#[must_use]
pub fn netlist(design: &Design) -> Netlist {
    let mut netlist = Netlist::new(&design.name);
    ports(design, &mut netlist);
    let mut pins: Vec<Vec<(String, NetId)>> = vec![Vec::new(); design.components.len()];
    for net in &design.nets {
        let id = netlist.net(&net.name);
        for terminal in &net.terminals {
            if let Terminal::Pin { component, pin } = terminal {
                pins[*component].push((pin.clone(), id));
            }
        }
    }
    for (component, mut pins) in design.components.iter().zip(pins) {
        if !pins.is_empty() {
            pins.sort();
            netlist.add_cell(Cell {
                name: component.name.clone(),
                kind: component.cell.clone(),
                pins,
            });
        }
    }
    netlist
}

/// Ports with names like `a[3]` that follow each other become vectors.
fn ports(design: &Design, netlist: &mut Netlist) {
    for pin in design.pins.iter().filter(|pin| !pin.special) {
        let direction = match pin.direction {
            PinDirection::Input => Direction::Input,
            PinDirection::Output => Direction::Output,
            PinDirection::Inout => Direction::Inout,
        };
        let net = netlist.net(&pin.net);
        let Some((base, index)) = bit(&pin.name) else {
            netlist.ports.push(Port {
                name: pin.name.clone(),
                direction,
                range: None,
                bits: vec![net],
            });
            continue;
        };
        match netlist.ports.last_mut() {
            Some(Port {
                name,
                direction: same,
                range: Some((left, right)),
                bits,
            }) if name == base && *same == direction && follows(*left, *right, index) => {
                *right = index;
                bits.push(net);
            }
            _ => {
                let range = Some((index, index));
                netlist.ports.push(Port {
                    name: base.to_string(),
                    direction,
                    range,
                    bits: vec![net],
                });
            }
        }
    }
}

/// The next bit of a vector that goes from `left` to `right` so far.
fn follows(left: i64, right: i64, index: i64) -> bool {
    match right - left {
        0 => (index - right).abs() == 1,
        up if up > 0 => index == right + 1,
        _ => index == right - 1,
    }
}

fn bit(name: &str) -> Option<(&str, i64)> {
    let (base, index) = name.strip_suffix(']')?.split_once('[')?;
    Some((base, index.parse().ok()?))
}
