//! The power grid: met1 rails on every row edge, met4 and met5 straps, and the vias between them.
//!
//! Every shape keeps the rules of `docs/rules/periphery` by construction: pads as wide as the straps and so high that
//! each cut has its enclosure (via.5a, via2.5, via3.5: 0.085, 0.085, 0.090 µm), straps not wider than 3 µm so
//! that the spacing of huge metal does not apply, and cuts at the pitch of the technology's via rules.

use nanoflow_layout::def::{
    Design, Pin, PinPort, Placement, SpecialNet, SpecialWire, Use, WireItem,
};
use nanoflow_layout::lef::{PinDirection, Via};
use nanoflow_layout::{Dbu, Orient, Point, Rect};

use crate::core::Core;

/// Strap width and distance of one strap to the next of the same net, by the width of the core, as
/// OpenROAD-flow-scripts has them for sky130hd (3.0 instead of 3.2, see above).
fn strap_style(core_width: Dbu) -> (Dbu, Dbu) {
    if core_width < 150_000 {
        (1600, 27_600)
    } else {
        (3000, 74_520)
    }
}

const RAIL_WIDTH: Dbu = 480;
/// Straps lie on the router's lattice: met4 on tracks, met5 on rows.
const LATTICE_X: (Dbu, Dbu) = (230, 920);
const LATTICE_Y: (Dbu, Dbu) = (170, 340);

/// VGND first: it is on the lower edge of the first row.
const SUPPLIES: [(&str, Use); 2] = [("VGND", Use::Ground), ("VPWR", Use::Power)];

/// Middles of the straps over `low..high`, ground and power in turn, beginning with ground.
fn strap_middles(low: Dbu, high: Dbu, pitch: Dbu, lattice: (Dbu, Dbu)) -> Vec<Dbu> {
    let pairs = ((high - low) / pitch).max(1);
    let distance = (high - low) / (2 * pairs);
    (0..2 * pairs)
        .map(|index| {
            let middle = low + distance / 2 + index * distance;
            (middle - lattice.0 + lattice.1 / 2) / lattice.1 * lattice.1 + lattice.0
        })
        .collect()
}

/// An array of one row of cuts under a strap.
fn array(
    name: &str,
    layers: [&str; 3],
    half: [(Dbu, Dbu); 2],
    cut: Dbu,
    pitch: Dbu,
    room: Dbu,
) -> Via {
    let count = (room - cut) / pitch + 1;
    let first = -(count - 1) * pitch / 2;
    let around = |(x, y): (Dbu, Dbu)| Rect::around(Point::default(), x, y);
    let mut shapes = vec![(layers[0].to_string(), around(half[0]))];
    for index in 0..count {
        let middle = Point::new(first + index * pitch, 0);
        shapes.push((
            layers[1].to_string(),
            Rect::around(middle, cut / 2, cut / 2),
        ));
    }
    shapes.push((layers[2].to_string(), around(half[1])));
    Via {
        name: name.to_string(),
        shapes,
    }
}

fn vias(width: Dbu) -> [Via; 4] {
    let half = width / 2;
    [
        array(
            "rail_met2",
            ["met1", "via", "met2"],
            [(half, 160), (half, 185)],
            150,
            320,
            width - 2 * 85,
        ),
        array(
            "rail_met3",
            ["met2", "via2", "met3"],
            [(half, 185), (half, 190)],
            200,
            400,
            width - 2 * 90,
        ),
        array(
            "rail_met4",
            ["met3", "via3", "met4"],
            [(half, 190), (half, 190)],
            200,
            400,
            width - 2 * 90,
        ),
        array(
            "strap_met5",
            ["met4", "via4", "met5"],
            [(half, 590), (half, half)],
            800,
            1600,
            width - 2 * 310,
        ),
    ]
}

/// Draws the grid into the design and makes the pins of the two supplies.
pub fn draw(core: &Core, design: &mut Design) {
    let area = core.area;
    let (width, pitch) = strap_style(area.width());
    design.vias.extend(vias(width));
    let columns = strap_middles(area.x0, area.x1, pitch, LATTICE_X);
    let rows = strap_middles(area.y0, area.y1, pitch, LATTICE_Y);
    for (supply, (name, use_)) in SUPPLIES.into_iter().enumerate() {
        let own = |index: usize| index % 2 == supply;
        let mut wires = Vec::new();
        let mut pin = Pin {
            name: name.into(),
            net: name.into(),
            direction: PinDirection::Inout,
            use_,
            special: true,
            ports: Vec::new(),
        };
        let rails = (0..=core.rows).filter(|row| own(*row as usize));
        let rails: Vec<Dbu> = rails.map(|row| area.y0 + row * core.row_height).collect();
        for &y in &rails {
            wires.push(wire(
                "met1",
                RAIL_WIDTH,
                "FOLLOWPIN",
                Point::new(area.x0, y),
                Point::new(area.x1, y),
            ));
        }
        let ends = (area.y0 - RAIL_WIDTH / 2, area.y1 + RAIL_WIDTH / 2);
        let own_columns: Vec<Dbu> = pick(&columns, supply);
        let own_rows: Vec<Dbu> = pick(&rows, supply);
        for &x in &own_columns {
            wires.push(wire(
                "met4",
                width,
                "STRIPE",
                Point::new(x, ends.0),
                Point::new(x, ends.1),
            ));
            pin.ports.push(port(
                "met4",
                Rect::new(x - width / 2, ends.0, x + width / 2, ends.1),
            ));
        }
        for &y in &own_rows {
            wires.push(wire(
                "met5",
                width,
                "STRIPE",
                Point::new(area.x0, y),
                Point::new(area.x1, y),
            ));
            pin.ports.push(port(
                "met5",
                Rect::new(area.x0, y - width / 2, area.x1, y + width / 2),
            ));
        }
        for &x in &own_columns {
            for &y in &rails {
                for (layer, via) in [
                    ("met1", "rail_met2"),
                    ("met2", "rail_met3"),
                    ("met3", "rail_met4"),
                ] {
                    wires.push(via_at(layer, via, Point::new(x, y)));
                }
            }
            for &y in &own_rows {
                wires.push(via_at("met4", "strap_met5", Point::new(x, y)));
            }
        }
        let connections = match use_ {
            Use::Ground => ["VGND", "VNB"],
            _ => ["VPWR", "VPB"],
        };
        let mut connections: Vec<(String, String)> = connections
            .iter()
            .map(|pin| ("*".to_string(), (*pin).to_string()))
            .collect();
        connections.push(("PIN".into(), name.into()));
        design.special_nets.push(SpecialNet {
            name: name.into(),
            use_,
            connections,
            wires,
        });
        design.pins.push(pin);
    }
}

fn pick(all: &[Dbu], supply: usize) -> Vec<Dbu> {
    all.iter()
        .copied()
        .enumerate()
        .filter(|(index, _)| index % 2 == supply)
        .map(|(_, value)| value)
        .collect()
}

fn wire(layer: &str, width: Dbu, shape: &str, from: Point, to: Point) -> SpecialWire {
    let items = vec![WireItem::point(from.x, from.y), WireItem::point(to.x, to.y)];
    SpecialWire {
        layer: layer.into(),
        width,
        shape: Some(shape.into()),
        items,
    }
}

fn via_at(layer: &str, via: &str, at: Point) -> SpecialWire {
    let items = vec![WireItem::point(at.x, at.y), WireItem::via(via)];
    SpecialWire {
        layer: layer.into(),
        width: 0,
        shape: Some("STRIPE".into()),
        items,
    }
}

/// A pin that is the rectangle.
fn port(layer: &str, rect: Rect) -> PinPort {
    let at = rect.center();
    let shape = rect.shift(Point::new(-at.x, -at.y));
    PinPort {
        shapes: vec![(layer.into(), shape)],
        placement: Some(Placement {
            at,
            orient: Orient::N,
            fixed: true,
        }),
    }
}
