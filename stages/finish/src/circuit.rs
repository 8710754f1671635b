//! The netlist for LVS: one `.SUBCKT` with every instance that has devices or signals, its supplies connected.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use nanoflow_layout::def::{Design, Terminal};
use nanoflow_sdk::StageError;

/// A cell of the library's netlist: the order of its pins, and whether it has any device.
struct Subcircuit {
    pins: Vec<String>,
    has_devices: bool,
}

/// Reads the headers of all subcircuits of a SPICE text.
fn subcircuits(text: &str) -> BTreeMap<String, Subcircuit> {
    let mut found = BTreeMap::new();
    let mut current: Option<(String, Subcircuit)> = None;
    let mut in_header = false;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else { continue };
        if first.eq_ignore_ascii_case(".subckt") {
            let name = words.next().unwrap_or_default().to_string();
            current = Some((
                name,
                Subcircuit {
                    pins: words.map(str::to_string).collect(),
                    has_devices: false,
                },
            ));
            in_header = true;
        } else if first.eq_ignore_ascii_case(".ends") {
            found.extend(current.take());
        } else if let (Some(rest), true) = (line.strip_prefix('+'), in_header) {
            if let Some((_, cell)) = &mut current {
                cell.pins
                    .extend(rest.split_whitespace().map(str::to_string));
            }
        } else if !first.starts_with('*') && !first.starts_with('+') {
            in_header = false;
            if let Some((_, cell)) = &mut current {
                cell.has_devices = true;
            }
        }
    }
    found
}

/// The name of each net in the SPICE file: SPICE knows no difference of case and no white space, `=` or `'`.
fn names<'a>(nets: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut taken = BTreeSet::new();
    nets.map(|net| {
        let plain: String = net
            .chars()
            .map(|letter| {
                if letter.is_ascii_alphanumeric() || "_[].$<>!/".contains(letter) {
                    letter
                } else {
                    '_'
                }
            })
            .collect();
        let mut name = plain.clone();
        let mut count = 0;
        while !taken.insert(name.to_ascii_lowercase()) {
            count += 1;
            name = format!("{plain}__{count}");
        }
        name
    })
    .collect()
}

/// The top-level netlist. `library` is the text of the cells' CDL.
///
/// # Errors
/// When a cell is not in the library.
pub fn circuit(design: &Design, library: &str) -> Result<String, StageError> {
    let cells = subcircuits(library);
    // Ports first: they keep their names.
    let port_nets: BTreeSet<&str> = design.pins.iter().map(|pin| pin.net.as_str()).collect();
    let mut order: Vec<usize> = (0..design.nets.len()).collect();
    order.sort_by_key(|&net| !port_nets.contains(design.nets[net].name.as_str()));
    let listed = names(
        design
            .special_nets
            .iter()
            .map(|net| net.name.as_str())
            .chain(order.iter().map(|&net| design.nets[net].name.as_str())),
    );
    let supplies = design.special_nets.len();
    let mut net_name = vec![String::new(); design.nets.len()];
    for (place, &net) in order.iter().enumerate() {
        net_name[net].clone_from(&listed[supplies + place]);
    }
    // Supply of a pin that is connected in all components.
    let mut global: BTreeMap<&str, &str> = BTreeMap::new();
    for (net, name) in design.special_nets.iter().zip(&listed) {
        for (component, pin) in &net.connections {
            if component == "*" {
                global.insert(pin, name);
            }
        }
    }
    let mut connected: Vec<BTreeMap<&str, usize>> = vec![BTreeMap::new(); design.components.len()];
    for (index, net) in design.nets.iter().enumerate() {
        for terminal in &net.terminals {
            if let Terminal::Pin { component, pin } = terminal {
                connected[*component].insert(pin, index);
            }
        }
    }
    let by_net: BTreeMap<&str, &str> = design
        .nets
        .iter()
        .zip(&net_name)
        .map(|(net, name)| (net.name.as_str(), name.as_str()))
        .chain(
            design
                .special_nets
                .iter()
                .zip(&listed)
                .map(|(net, name)| (net.name.as_str(), name.as_str())),
        )
        .collect();
    let mut out =
        String::from("* Netlist of the layout for LVS. Cells: library sky130_fd_sc_hd.\n");
    let ports: Vec<&str> = design
        .pins
        .iter()
        .map(|pin| by_net.get(pin.net.as_str()).copied().unwrap_or(&pin.name))
        .collect();
    line(
        &mut out,
        &format!(".SUBCKT {}", design.name),
        ports.into_iter(),
    );
    let mut open = 0;
    let instances = names(
        design
            .components
            .iter()
            .map(|component| component.name.as_str()),
    );
    for ((component, nets), instance) in design.components.iter().zip(&connected).zip(&instances) {
        let cell = cells.get(&component.cell).ok_or_else(|| {
            StageError::input(format!("the PDK's CDL has no cell '{}'", component.cell))
        })?;
        if !cell.has_devices && nets.is_empty() {
            continue;
        }
        let pins: Vec<String> = cell
            .pins
            .iter()
            .map(
                |pin| match (nets.get(pin.as_str()), global.get(pin.as_str())) {
                    (Some(&net), _) => net_name[net].clone(),
                    (None, Some(supply)) => (*supply).to_string(),
                    (None, None) => {
                        open += 1;
                        format!("open__{open}")
                    }
                },
            )
            .collect();
        line(
            &mut out,
            &format!("X{instance}"),
            pins.iter()
                .map(String::as_str)
                .chain([component.cell.as_str()]),
        );
    }
    let _ = writeln!(out, ".ENDS {}", design.name);
    Ok(out)
}

/// One statement, broken into lines of at most about 120 letters.
fn line<'a>(out: &mut String, head: &str, words: impl Iterator<Item = &'a str>) {
    out.push_str(head);
    let mut length = head.len();
    for word in words {
        if length + word.len() > 118 {
            out.push_str("\n+");
            length = 1;
        }
        out.push(' ');
        out.push_str(word);
        length += word.len() + 1;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read() {
        let cells = subcircuits(".SUBCKT inv A VGND\n+ VPWR Y\n*.PININFO A:I\nM1 Y A VGND VNB n\n.ENDS inv\n.subckt fill VGND\n* nothing\n.ends\n");
        assert_eq!(cells["inv"].pins, ["A", "VGND", "VPWR", "Y"]);
        assert!(cells["inv"].has_devices && !cells["fill"].has_devices);
    }

    #[test]
    fn names_differ_for_spice() {
        assert_eq!(
            names(["a", "A", "b=c", "w[3]"].into_iter()),
            ["a", "A__1", "b_c", "w[3]"]
        );
    }
}
