//! The DEF writer.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::{Result, Write};

use super::{Component, Design, Net, Pin, Placement, SpecialNet, Terminal, Use, WireItem};
use crate::lef::PinDirection;
use crate::{Orient, Rect};

pub(super) fn text(design: &Design) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write_design(design, &mut out);
    out
}

/// A name as one word that no reader takes for punctuation.
fn escape(name: &str) -> Cow<'_, str> {
    let special = |letter: char| matches!(letter, '\\' | '"' | '#' | ';' | '(' | ')' | '+' | '*');
    if !name.contains(special) && !matches!(name, "-" | "PIN") {
        return Cow::Borrowed(name);
    }
    let mut word = String::with_capacity(name.len() + 4);
    for (index, letter) in name.chars().enumerate() {
        if special(letter) || (index == 0 && matches!(name, "-" | "PIN")) {
            word.push('\\');
        }
        word.push(letter);
    }
    Cow::Owned(word)
}

fn write_design(design: &Design, out: &mut String) -> Result {
    writeln!(
        out,
        "VERSION 5.8 ;\nDIVIDERCHAR \"/\" ;\nBUSBITCHARS \"[]\" ;"
    )?;
    writeln!(
        out,
        "DESIGN {} ;\nUNITS DISTANCE MICRONS 1000 ;",
        escape(&design.name)
    )?;
    property_definitions(design, out)?;
    writeln!(out, "DIEAREA {} ;", corners(&design.die))?;
    for row in &design.rows {
        let (name, site, origin) = (escape(&row.name), escape(&row.site), row.origin);
        writeln!(
            out,
            "ROW {name} {site} {} {} {} DO {} BY 1 STEP {} 0 ;",
            origin.x,
            origin.y,
            row.orient.name(),
            row.count,
            row.step
        )?;
    }
    for tracks in &design.tracks {
        let axis = if tracks.vertical { "X" } else { "Y" };
        writeln!(
            out,
            "TRACKS {axis} {} DO {} STEP {} LAYER {} ;",
            tracks.start, tracks.count, tracks.step, tracks.layer
        )?;
    }
    vias(design, out)?;
    if !design.rules.is_empty() {
        writeln!(out, "NONDEFAULTRULES {} ;", design.rules.len())?;
        for rule in &design.rules {
            write!(out, "- {}", escape(&rule.name))?;
            for (layer, width) in &rule.layers {
                write!(out, " + LAYER {layer} WIDTH {width}")?;
            }
            writeln!(out, " ;")?;
        }
        writeln!(out, "END NONDEFAULTRULES")?;
    }
    writeln!(out, "COMPONENTS {} ;", design.components.len())?;
    for component in &design.components {
        write_component(component, out)?;
    }
    writeln!(out, "END COMPONENTS\nPINS {} ;", design.pins.len())?;
    for pin in &design.pins {
        write_pin(pin, out)?;
    }
    writeln!(out, "END PINS")?;
    if !design.special_nets.is_empty() {
        writeln!(out, "SPECIALNETS {} ;", design.special_nets.len())?;
        for net in &design.special_nets {
            write_special_net(net, out)?;
        }
        writeln!(out, "END SPECIALNETS")?;
    }
    writeln!(out, "NETS {} ;", design.nets.len())?;
    for net in &design.nets {
        write_net(design, net, out)?;
    }
    writeln!(out, "END NETS\nEND DESIGN")
}

fn corners(rect: &Rect) -> String {
    format!("( {} {} ) ( {} {} )", rect.x0, rect.y0, rect.x1, rect.y1)
}

fn property_definitions(design: &Design, out: &mut String) -> Result {
    let components: BTreeSet<&str> = design
        .components
        .iter()
        .flat_map(|item| &item.properties)
        .map(|(name, _)| name.as_str())
        .collect();
    let nets: BTreeSet<&str> = design
        .nets
        .iter()
        .flat_map(|item| &item.properties)
        .map(|(name, _)| name.as_str())
        .collect();
    if components.is_empty() && nets.is_empty() {
        return Ok(());
    }
    writeln!(out, "PROPERTYDEFINITIONS")?;
    for name in components {
        writeln!(out, "  COMPONENT {} STRING ;", escape(name))?;
    }
    for name in nets {
        writeln!(out, "  NET {} STRING ;", escape(name))?;
    }
    writeln!(out, "END PROPERTYDEFINITIONS")
}

fn properties(list: &[(String, String)], out: &mut String) -> Result {
    for (name, value) in list {
        write!(
            out,
            " + PROPERTY {} \"{}\"",
            escape(name),
            value.replace('"', "'")
        )?;
    }
    Ok(())
}

fn vias(design: &Design, out: &mut String) -> Result {
    if design.vias.is_empty() {
        return Ok(());
    }
    writeln!(out, "VIAS {} ;", design.vias.len())?;
    for via in &design.vias {
        write!(out, "- {}", escape(&via.name))?;
        for (layer, rect) in &via.shapes {
            write!(out, "\n  + RECT {layer} {}", corners(rect))?;
        }
        writeln!(out, " ;")?;
    }
    writeln!(out, "END VIAS")
}

fn write_placement(placement: Option<Placement>, out: &mut String) -> Result {
    let Some(placement) = placement else {
        return Ok(());
    };
    let word = if placement.fixed { "FIXED" } else { "PLACED" };
    write!(
        out,
        " + {word} ( {} {} ) {}",
        placement.at.x,
        placement.at.y,
        placement.orient.name()
    )
}

fn write_component(component: &Component, out: &mut String) -> Result {
    write!(
        out,
        "- {} {}",
        escape(&component.name),
        escape(&component.cell)
    )?;
    if let Some(source) = &component.source {
        write!(out, " + SOURCE {source}")?;
    }
    write_placement(component.placement, out)?;
    properties(&component.properties, out)?;
    writeln!(out, " ;")
}

fn write_pin(pin: &Pin, out: &mut String) -> Result {
    write!(out, "- {} + NET {}", escape(&pin.name), escape(&pin.net))?;
    if pin.special {
        write!(out, " + SPECIAL")?;
    }
    let direction = match pin.direction {
        PinDirection::Input => "INPUT",
        PinDirection::Output => "OUTPUT",
        PinDirection::Inout => "INOUT",
    };
    write!(out, " + DIRECTION {direction} + USE {}", pin.use_.name())?;
    for port in &pin.ports {
        write!(out, "\n  + PORT")?;
        for (layer, rect) in &port.shapes {
            write!(out, " + LAYER {layer} {}", corners(rect))?;
        }
        write_placement(port.placement, out)?;
    }
    writeln!(out, " ;")
}

fn items(list: &[WireItem], out: &mut String) -> Result {
    for item in list {
        match item {
            WireItem::Point {
                at,
                extension: None,
            } => write!(out, " ( {} {} )", at.x, at.y)?,
            WireItem::Point {
                at,
                extension: Some(extension),
            } => write!(out, " ( {} {} {extension} )", at.x, at.y)?,
            WireItem::Via {
                name,
                orient: Orient::N,
            } => write!(out, " {}", escape(name))?,
            WireItem::Via { name, orient } => write!(out, " {} {}", escape(name), orient.name())?,
            WireItem::Patch(rect) => write!(
                out,
                " RECT ( {} {} {} {} )",
                rect.x0, rect.y0, rect.x1, rect.y1
            )?,
        }
    }
    Ok(())
}

fn write_use(use_: Use, out: &mut String) -> Result {
    write!(out, " + USE {}", use_.name())
}

fn write_special_net(net: &SpecialNet, out: &mut String) -> Result {
    write!(out, "- {}", escape(&net.name))?;
    for (component, pin) in &net.connections {
        // `*` and `PIN` are meant as such here.
        let owner = if matches!(component.as_str(), "*" | "PIN") {
            Cow::Borrowed(component.as_str())
        } else {
            escape(component)
        };
        write!(out, " ( {owner} {} )", escape(pin))?;
    }
    for (index, wire) in net.wires.iter().enumerate() {
        write!(
            out,
            "\n  {} {} {}",
            if index == 0 { "+ ROUTED" } else { "  NEW" },
            wire.layer,
            wire.width
        )?;
        if let Some(shape) = &wire.shape {
            write!(out, " + SHAPE {shape}")?;
        }
        items(&wire.items, out)?;
    }
    if !net.wires.is_empty() {
        write!(out, "\n ")?;
    }
    write_use(net.use_, out)?;
    writeln!(out, " ;")
}

fn write_net(design: &Design, net: &Net, out: &mut String) -> Result {
    write!(out, "- {}", escape(&net.name))?;
    for terminal in &net.terminals {
        match terminal {
            Terminal::Port(index) => {
                if let Some(pin) = design.pins.get(*index) {
                    write!(out, " ( PIN {} )", escape(&pin.name))?;
                }
            }
            Terminal::Pin { component, pin } => {
                if let Some(component) = design.components.get(*component) {
                    write!(out, " ( {} {} )", escape(&component.name), escape(pin))?;
                }
            }
        }
    }
    write_use(net.use_, out)?;
    properties(&net.properties, out)?;
    for (index, wire) in net.wires.iter().enumerate() {
        write!(
            out,
            "\n  {} {}",
            if index == 0 { "+ ROUTED" } else { "  NEW" },
            wire.layer
        )?;
        if let Some(rule) = &wire.rule {
            write!(out, " TAPERRULE {}", escape(rule))?;
        }
        items(&wire.items, out)?;
    }
    writeln!(out, " ;")
}
