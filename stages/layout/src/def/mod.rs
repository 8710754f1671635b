//! DEF: the design between the layout stages, with all its connectivity, placement and wiring.
//!
//! [`Design::to_text`] is canonical: same design, same bytes; no date, no path. What is written is read
//! back as the same [`Design`].

mod names;
mod read;
mod write;

use std::path::Path;

use crate::lef::{PinDirection, Via};
use crate::{Dbu, LayoutError, Orient, Point, Rect};

pub use names::Names;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Design {
    pub name: String,
    pub die: Rect,
    pub rows: Vec<Row>,
    pub tracks: Vec<Tracks>,
    /// Vias that the technology LEF does not have, such as arrays of the power grid.
    pub vias: Vec<Via>,
    /// Widths other than the layers' own, used by name in [`Wire::rule`].
    pub rules: Vec<WidthRule>,
    pub components: Vec<Component>,
    pub pins: Vec<Pin>,
    pub special_nets: Vec<SpecialNet>,
    pub nets: Vec<Net>,
}

/// `count` sites side by side from `origin`.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub name: String,
    pub site: String,
    pub origin: Point,
    pub orient: Orient,
    pub count: i32,
    pub step: Dbu,
}

/// Tracks of a layer at `start + k · step` for k in 0..count.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracks {
    /// True: the positions are x, the wires run vertically.
    pub vertical: bool,
    pub start: Dbu,
    pub count: i32,
    pub step: Dbu,
    pub layer: String,
}

/// `NONDEFAULTRULES`: a width by layer.
#[derive(Debug, Clone, PartialEq)]
pub struct WidthRule {
    pub name: String,
    pub layers: Vec<(String, Dbu)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    pub name: String,
    /// The LEF macro.
    pub cell: String,
    pub placement: Option<Placement>,
    /// Why it is there: `NETLIST` (or nothing) from the netlist, `DIST` physical only (taps, fillers), `TIMING` added by
    /// place, cts or route.
    pub source: Option<String>,
    pub properties: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Lower left corner of the oriented outline.
    pub at: Point,
    pub orient: Orient,
    /// Later stages must not move it.
    pub fixed: bool,
}

/// Purpose of a net or pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Use {
    #[default]
    Signal,
    Clock,
    Power,
    Ground,
    Scan,
    Reset,
}

impl Use {
    const ALL: [(Use, &'static str); 6] = [
        (Use::Signal, "SIGNAL"),
        (Use::Clock, "CLOCK"),
        (Use::Power, "POWER"),
        (Use::Ground, "GROUND"),
        (Use::Scan, "SCAN"),
        (Use::Reset, "RESET"),
    ];
    fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(use_, _)| *use_ == self)
            .map_or("SIGNAL", |(_, name)| name)
    }
    fn parse(word: &str) -> Self {
        Self::ALL
            .iter()
            .find(|(_, name)| *name == word)
            .map_or(Use::Signal, |(use_, _)| *use_)
    }
}

/// A port of the design.
#[derive(Debug, Clone, PartialEq)]
pub struct Pin {
    pub name: String,
    pub net: String,
    pub direction: PinDirection,
    pub use_: Use,
    /// Belongs to a special net (a supply).
    pub special: bool,
    /// Its places; a supply pin may have many.
    pub ports: Vec<PinPort>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PinPort {
    /// By layer name, around `placement.at`, before orientation.
    pub shapes: Vec<(String, Rect)>,
    pub placement: Option<Placement>,
}

impl PinPort {
    /// The shapes in the design's coordinates.
    pub fn placed_shapes(&self) -> impl Iterator<Item = (&str, Rect)> + '_ {
        self.placement.into_iter().flat_map(move |placement| {
            let transform = crate::Transform {
                orient: placement.orient,
                offset: placement.at,
            };
            self.shapes
                .iter()
                .map(move |(layer, rect)| (layer.as_str(), transform.rect(*rect)))
        })
    }
}

impl Pin {
    /// All shapes in the design's coordinates.
    pub fn placed_shapes(&self) -> impl Iterator<Item = (&str, Rect)> + '_ {
        self.ports.iter().flat_map(PinPort::placed_shapes)
    }
    /// Where the pin stands, if it is placed.
    #[must_use]
    pub fn location(&self) -> Option<Point> {
        self.ports
            .iter()
            .find_map(|port| port.placement)
            .map(|placement| placement.at)
    }
}

/// What a net is connected to; indices into [`Design::components`] and [`Design::pins`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Terminal {
    Port(usize),
    Pin { component: usize, pin: String },
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Net {
    pub name: String,
    pub use_: Use,
    pub terminals: Vec<Terminal>,
    pub wires: Vec<Wire>,
    pub properties: Vec<(String, String)>,
}

/// One path of regular wiring.
#[derive(Debug, Clone, PartialEq)]
pub struct Wire {
    /// Layer at the start; a via changes it.
    pub layer: String,
    /// A [`WidthRule`]; the layer's width without one.
    pub rule: Option<String>,
    pub items: Vec<WireItem>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum WireItem {
    /// To this point; the extension past the end is half the wire width when `None`.
    Point { at: Point, extension: Option<Dbu> },
    /// At the last point.
    Via { name: String, orient: Orient },
    /// A rectangle of metal on the current layer, relative to the last point (a patch).
    Patch(Rect),
}

impl WireItem {
    #[must_use]
    pub fn point(x: Dbu, y: Dbu) -> Self {
        WireItem::Point {
            at: Point::new(x, y),
            extension: None,
        }
    }
    #[must_use]
    pub fn via(name: &str) -> Self {
        WireItem::Via {
            name: name.to_string(),
            orient: Orient::N,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpecialNet {
    pub name: String,
    pub use_: Use,
    /// (component or `*` for all or `PIN`, pin name).
    pub connections: Vec<(String, String)>,
    pub wires: Vec<SpecialWire>,
}

/// One path of special wiring: no extension past its ends.
#[derive(Debug, Clone, PartialEq)]
pub struct SpecialWire {
    pub layer: String,
    /// 0 for a path that only places a via.
    pub width: Dbu,
    /// Such as `STRIPE`, `FOLLOWPIN`.
    pub shape: Option<String>,
    pub items: Vec<WireItem>,
}

impl Design {
    /// # Errors
    /// When the file cannot be read or is not DEF.
    pub fn load(path: &Path) -> Result<Self, LayoutError> {
        let text = std::fs::read_to_string(path).map_err(|source| LayoutError::io(path, source))?;
        Self::parse(&path.display().to_string(), &text)
    }
    /// Reads a DEF text; `file` is for messages.
    ///
    /// # Errors
    /// When the text is not DEF, or names a component or pin that it does not have.
    pub fn parse(file: &str, text: &str) -> Result<Self, LayoutError> {
        read::parse(file, text)
    }
    #[must_use]
    pub fn to_text(&self) -> String {
        write::text(self)
    }
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), LayoutError> {
        std::fs::write(path, self.to_text()).map_err(|source| LayoutError::io(path, source))
    }
    /// The width that a net's wire has on a layer.
    #[must_use]
    pub fn wire_width(
        &self,
        tech: &crate::lef::Tech,
        rule: Option<&str>,
        layer: &str,
    ) -> Option<Dbu> {
        rule.and_then(|name| self.rules.iter().find(|rule| rule.name == name))
            .and_then(|rule| rule.layers.iter().find(|(name, _)| name == layer))
            .map(|(_, width)| *width)
            .or_else(|| tech.layer(layer).map(|layer| layer.width))
    }
    /// A via of the design or the technology.
    #[must_use]
    pub fn via<'a>(&'a self, tech: &'a crate::lef::Tech, name: &str) -> Option<&'a Via> {
        self.vias
            .iter()
            .find(|via| via.name == name)
            .or_else(|| tech.via(name))
    }
}

#[cfg(test)]
mod tests;
