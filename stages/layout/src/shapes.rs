//! The rectangles that wiring stands for, from the paths and vias of DEF.

use crate::def::{Design, SpecialWire, Wire, WireItem};
use crate::lef::Tech;
use crate::{Dbu, LayoutError, Point, Rect, Transform};

/// One rectangle on a layer of the technology.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape<'a> {
    pub layer: &'a str,
    pub rect: Rect,
}

/// What a path is made of, in order: for SPEF and for geometry alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element<'a> {
    /// A straight wire between two points.
    Segment {
        layer: &'a str,
        from: Point,
        to: Point,
        rect: Rect,
    },
    /// A via that joins `below` and `above` at a point.
    Via {
        name: &'a str,
        at: Point,
        below: &'a str,
        above: &'a str,
        shapes: Vec<(&'a str, Rect)>,
    },
    /// Extra metal at a point.
    Patch { layer: &'a str, rect: Rect },
}

/// All elements of a regular wire.
///
/// # Errors
/// When a via, layer or rule is unknown, or a segment is neither horizontal nor vertical.
pub fn elements<'a>(
    design: &'a Design,
    tech: &'a Tech,
    net: &str,
    wire: &'a Wire,
) -> Result<Vec<Element<'a>>, LayoutError> {
    let width_of = |layer: &str| design.wire_width(tech, wire.rule.as_deref(), layer);
    walk(design, tech, net, &wire.layer, &wire.items, &width_of, true)
}

/// All elements of a special wire (its ends are not extended).
///
/// # Errors
/// As [`elements`].
pub fn special_elements<'a>(
    design: &'a Design,
    tech: &'a Tech,
    net: &str,
    wire: &'a SpecialWire,
) -> Result<Vec<Element<'a>>, LayoutError> {
    walk(
        design,
        tech,
        net,
        &wire.layer,
        &wire.items,
        &|_| Some(wire.width),
        false,
    )
}

fn walk<'a>(
    design: &'a Design,
    tech: &'a Tech,
    net: &str,
    layer: &'a str,
    items: &'a [WireItem],
    width_of: &dyn Fn(&str) -> Option<Dbu>,
    extend: bool,
) -> Result<Vec<Element<'a>>, LayoutError> {
    let mut layer = layer;
    let mut found = Vec::new();
    let mut last: Option<(Point, Option<Dbu>)> = None;
    for item in items {
        match item {
            WireItem::Point { at, extension } => {
                if let Some((from, before)) = last {
                    let width = width_of(layer).ok_or_else(|| missing(net, "layer", layer))?;
                    let half = width / 2;
                    let end = |extension: Option<Dbu>| {
                        if extend {
                            extension.unwrap_or(half)
                        } else {
                            extension.unwrap_or(0)
                        }
                    };
                    let rect = segment(from, end(before), *at, end(*extension), half);
                    let rect = rect.ok_or_else(|| LayoutError::Missing(format!("net '{net}': the wire from ({}, {}) to ({}, {}) is neither horizontal nor vertical", from.x, from.y, at.x, at.y)))?;
                    // A via array repeats points without metal between them (width 0).
                    if width > 0 && (from != *at || extend) {
                        found.push(Element::Segment {
                            layer,
                            from,
                            to: *at,
                            rect,
                        });
                    }
                }
                last = Some((*at, *extension));
            }
            WireItem::Via { name, orient } => {
                let via = design
                    .via(tech, name)
                    .ok_or_else(|| missing(net, "via", name))?;
                let (at, _) = last.ok_or_else(|| missing(net, "point before via", name))?;
                let transform = Transform {
                    orient: *orient,
                    offset: at,
                };
                let shapes: Vec<(&str, Rect)> = via
                    .shapes
                    .iter()
                    .map(|(layer, rect)| (layer.as_str(), transform.rect(*rect)))
                    .collect();
                let (below, above) = via_ends(tech, &shapes)
                    .ok_or_else(|| missing(net, "two metals in via", name))?;
                found.push(Element::Via {
                    name,
                    at,
                    below,
                    above,
                    shapes,
                });
                layer = if layer == below { above } else { below };
            }
            WireItem::Patch(rect) => {
                let (at, _) =
                    last.ok_or_else(|| missing(net, "point before a RECT on layer", layer))?;
                found.push(Element::Patch {
                    layer,
                    rect: rect.shift(at),
                });
            }
        }
    }
    Ok(found)
}

fn missing(net: &str, what: &str, name: &str) -> LayoutError {
    LayoutError::Missing(format!("net '{net}': there is no {what} '{name}'"))
}

fn segment(
    from: Point,
    extension_from: Dbu,
    to: Point,
    extension_to: Dbu,
    half: Dbu,
) -> Option<Rect> {
    if from.y == to.y {
        let (low, high) = if from.x <= to.x {
            ((from.x, extension_from), (to.x, extension_to))
        } else {
            ((to.x, extension_to), (from.x, extension_from))
        };
        Some(Rect {
            x0: low.0 - low.1,
            y0: from.y - half,
            x1: high.0 + high.1,
            y1: from.y + half,
        })
    } else if from.x == to.x {
        let (low, high) = if from.y <= to.y {
            ((from.y, extension_from), (to.y, extension_to))
        } else {
            ((to.y, extension_to), (from.y, extension_from))
        };
        Some(Rect {
            x0: from.x - half,
            y0: low.0 - low.1,
            x1: from.x + half,
            y1: high.0 + high.1,
        })
    } else {
        None
    }
}

/// Lowest and highest layer of a via.
fn via_ends<'a>(tech: &Tech, shapes: &[(&'a str, Rect)]) -> Option<(&'a str, &'a str)> {
    let place = |name: &str| tech.layer_index(name);
    let low = shapes
        .iter()
        .filter(|shape| place(shape.0).is_some())
        .min_by_key(|shape| place(shape.0))?
        .0;
    let high = shapes
        .iter()
        .filter(|shape| place(shape.0).is_some())
        .max_by_key(|shape| place(shape.0))?
        .0;
    (low != high).then_some((low, high))
}

/// Rectangles of a list of elements.
#[must_use]
pub fn flatten<'a>(elements: &[Element<'a>]) -> Vec<Shape<'a>> {
    let mut shapes = Vec::new();
    for element in elements {
        match element {
            Element::Segment { layer, rect, .. } | Element::Patch { layer, rect } => {
                shapes.push(Shape { layer, rect: *rect })
            }
            Element::Via { shapes: list, .. } => shapes.extend(
                list.iter()
                    .map(|(layer, rect)| Shape { layer, rect: *rect }),
            ),
        }
    }
    shapes
}

/// All rectangles of a net's wiring.
///
/// # Errors
/// As [`elements`].
pub fn net_shapes<'a>(
    design: &'a Design,
    tech: &'a Tech,
    net: &'a crate::def::Net,
) -> Result<Vec<Shape<'a>>, LayoutError> {
    let mut shapes = Vec::new();
    for wire in &net.wires {
        shapes.extend(flatten(&elements(design, tech, &net.name, wire)?));
    }
    Ok(shapes)
}

/// All rectangles of a supply's wiring.
///
/// # Errors
/// As [`elements`].
pub fn special_net_shapes<'a>(
    design: &'a Design,
    tech: &'a Tech,
    net: &'a crate::def::SpecialNet,
) -> Result<Vec<Shape<'a>>, LayoutError> {
    let mut shapes = Vec::new();
    for wire in &net.wires {
        shapes.extend(flatten(&special_elements(design, tech, &net.name, wire)?));
    }
    Ok(shapes)
}
