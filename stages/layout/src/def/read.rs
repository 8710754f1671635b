//! The DEF reader: the subset that the layout stages and OpenROAD write. Sections it does not know are skipped.

use std::collections::HashMap;

use super::{
    Component, Design, Net, Pin, PinPort, Placement, Row, SpecialNet, SpecialWire, Terminal,
    Tracks, Use, WidthRule, Wire, WireItem,
};
use crate::lef::{PinDirection, Via};
use crate::words::Words;
use crate::{Dbu, LayoutError, Orient, Point, Rect};

type Result<T> = std::result::Result<T, LayoutError>;

pub(super) fn parse(file: &str, text: &str) -> Result<Design> {
    let mut reader = Reader {
        words: Words::new(file, text),
        design: Design::default(),
        components: HashMap::new(),
        pins: HashMap::new(),
    };
    while let Some(word) = reader.words.next() {
        match word {
            "DESIGN" => reader.design.name = reader.named_statement()?,
            "UNITS" => reader.units()?,
            "DIEAREA" => reader.die()?,
            "ROW" => reader.row()?,
            "TRACKS" => reader.tracks()?,
            "VIAS" => reader.section("VIAS", Reader::via)?,
            "NONDEFAULTRULES" => reader.section("NONDEFAULTRULES", Reader::width_rule)?,
            "COMPONENTS" => reader.section("COMPONENTS", Reader::component)?,
            "PINS" => reader.section("PINS", Reader::pin)?,
            "SPECIALNETS" => reader.section("SPECIALNETS", Reader::special_net)?,
            "NETS" => reader.section("NETS", Reader::net)?,
            "PROPERTYDEFINITIONS" => reader.skip_section("PROPERTYDEFINITIONS")?,
            "REGIONS" | "BLOCKAGES" | "SLOTS" | "FILLS" | "SCANCHAINS" | "GROUPS" | "STYLES"
            | "PINPROPERTIES" => reader.skip_section(word)?,
            "END" => {
                if reader.words.word()? == "DESIGN" {
                    return Ok(reader.design);
                }
            }
            _ => reader.words.skip_statement()?,
        }
    }
    Err(reader.words.fault("the file ends before 'END DESIGN'"))
}

struct Reader<'a> {
    words: Words<'a>,
    design: Design,
    components: HashMap<String, usize>,
    pins: HashMap<String, usize>,
}

/// Removes the backslashes that protect characters in a name.
fn unescape(word: &str) -> String {
    if !word.contains('\\') {
        return word.to_string();
    }
    let mut name = String::with_capacity(word.len());
    let mut letters = word.chars();
    while let Some(letter) = letters.next() {
        name.push(if letter == '\\' {
            letters.next().unwrap_or('\\')
        } else {
            letter
        });
    }
    name
}

impl Reader<'_> {
    fn name(&mut self) -> Result<String> {
        Ok(unescape(self.words.word()?))
    }
    fn named_statement(&mut self) -> Result<String> {
        let name = self.name()?;
        self.words.skip_statement()?;
        Ok(name)
    }
    fn skip_section(&mut self, name: &str) -> Result<()> {
        loop {
            if self.words.word()? == "END" && self.words.word()? == name {
                return Ok(());
            }
        }
    }
    /// `NAME count ; - item … ; END NAME`
    fn section(&mut self, name: &str, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.words.skip_statement()?;
        loop {
            match self.words.word()? {
                "-" => item(self)?,
                "END" => return self.words.expect(name),
                word => {
                    return Err(self
                        .words
                        .fault(&format!("expected '-' or 'END {name}', found '{word}'")))
                }
            }
        }
    }
    fn units(&mut self) -> Result<()> {
        self.words.expect("DISTANCE")?;
        self.words.expect("MICRONS")?;
        let units = self.words.integer()?;
        if units != 1000 {
            return Err(self.words.fault(&format!(
                "UNITS must be 1000 for each micrometre, not {units}"
            )));
        }
        self.words.expect(";")
    }
    /// `( x y )`; `*` repeats the coordinate of the point before.
    fn point(&mut self, before: Option<Point>) -> Result<(Point, Option<Dbu>)> {
        self.words.expect("(")?;
        self.point_after_bracket(before)
    }
    fn point_after_bracket(&mut self, before: Option<Point>) -> Result<(Point, Option<Dbu>)> {
        let coordinate = |this: &mut Self, old: Option<Dbu>| -> Result<Dbu> {
            match this.words.word()? {
                "*" => old.ok_or_else(|| this.words.fault("'*' without a point before it")),
                word => this.words.parse_integer(word),
            }
        };
        let x = coordinate(self, before.map(|point| point.x))?;
        let y = coordinate(self, before.map(|point| point.y))?;
        let extension = if self.words.peek() == Some(")") {
            None
        } else {
            Some(self.words.integer()?)
        };
        self.words.expect(")")?;
        Ok((Point::new(x, y), extension))
    }
    fn rect(&mut self) -> Result<Rect> {
        let (low, _) = self.point(None)?;
        let (high, _) = self.point(Some(low))?;
        Ok(Rect::new(low.x, low.y, high.x, high.y))
    }
    fn orient(&mut self) -> Result<Orient> {
        let word = self.words.word()?;
        Orient::parse(word).ok_or_else(|| self.words.fault(&format!("'{word}' is no orientation")))
    }
    fn die(&mut self) -> Result<()> {
        let (first, _) = self.point(None)?;
        let mut die = Rect::new(first.x, first.y, first.x, first.y);
        let mut last = first;
        while self.words.peek() == Some("(") {
            (last, _) = self.point(Some(last))?;
            die = die.union(&Rect::new(last.x, last.y, last.x, last.y));
        }
        self.design.die = die;
        self.words.expect(";")
    }
    fn row(&mut self) -> Result<()> {
        let (name, site) = (self.name()?, self.name()?);
        let origin = Point::new(self.words.integer()?, self.words.integer()?);
        let orient = self.orient()?;
        let mut row = Row {
            name,
            site,
            origin,
            orient,
            count: 1,
            step: 0,
        };
        if self.words.peek() == Some("DO") {
            self.words.next();
            row.count = self.words.integer()?;
            self.words.expect("BY")?;
            self.words.integer()?;
            if self.words.peek() == Some("STEP") {
                self.words.next();
                row.step = self.words.integer()?;
                self.words.integer()?;
            }
        }
        self.design.rows.push(row);
        self.words.skip_statement()
    }
    fn tracks(&mut self) -> Result<()> {
        let vertical = match self.words.word()? {
            "X" => true,
            "Y" => false,
            word => {
                return Err(self
                    .words
                    .fault(&format!("expected X or Y, found '{word}'")))
            }
        };
        let start = self.words.integer()?;
        self.words.expect("DO")?;
        let count = self.words.integer()?;
        self.words.expect("STEP")?;
        let step = self.words.integer()?;
        loop {
            match self.words.word()? {
                ";" => return Ok(()),
                "LAYER" | "MASK" => {}
                layer => self.design.tracks.push(Tracks {
                    vertical,
                    start,
                    count,
                    step,
                    layer: layer.to_string(),
                }),
            }
        }
    }
    fn via(&mut self) -> Result<()> {
        let mut via = Via {
            name: self.name()?,
            shapes: Vec::new(),
        };
        let mut generated = Generated::default();
        loop {
            match self.words.word()? {
                ";" => break,
                "RECT" => {
                    let layer = self.words.word()?.to_string();
                    let rect = self.rect()?;
                    via.shapes.push((layer, rect));
                }
                "VIARULE" => generated.rule = true,
                "CUTSIZE" => generated.cut_size = (self.words.integer()?, self.words.integer()?),
                "CUTSPACING" => generated.spacing = (self.words.integer()?, self.words.integer()?),
                "ROWCOL" => {
                    let rows = self.words.integer()?;
                    generated.columns_rows = (self.words.integer()?, rows);
                }
                "LAYERS" => {
                    for layer in &mut generated.layers {
                        *layer = self.words.word()?.to_string();
                    }
                }
                "ENCLOSURE" => {
                    for value in &mut generated.enclosure {
                        *value = self.words.integer()?;
                    }
                }
                _ => {}
            }
        }
        if generated.rule {
            generated.expand(&mut via);
        }
        self.design.vias.push(via);
        Ok(())
    }
    fn width_rule(&mut self) -> Result<()> {
        let mut rule = WidthRule {
            name: self.name()?,
            layers: Vec::new(),
        };
        loop {
            match self.words.word()? {
                ";" => break,
                "LAYER" => rule.layers.push((self.words.word()?.to_string(), 0)),
                "WIDTH" => {
                    let width = self.words.integer()?;
                    if let Some(last) = rule.layers.last_mut() {
                        last.1 = width;
                    }
                }
                _ => {}
            }
        }
        self.design.rules.push(rule);
        Ok(())
    }
    fn property(&mut self) -> Result<(String, String)> {
        let name = self.name()?;
        Ok((name, self.words.word()?.trim_matches('"').to_string()))
    }
    fn component(&mut self) -> Result<()> {
        let (name, cell) = (self.name()?, self.name()?);
        let mut component = Component {
            name,
            cell,
            placement: None,
            source: None,
            properties: Vec::new(),
        };
        loop {
            match self.words.word()? {
                ";" => break,
                "SOURCE" => component.source = Some(self.words.word()?.to_string()),
                word @ ("PLACED" | "FIXED" | "COVER") => {
                    component.placement = Some(self.placement(word != "PLACED")?)
                }
                "PROPERTY" => component.properties.push(self.property()?),
                _ => {}
            }
        }
        if self
            .components
            .insert(component.name.clone(), self.design.components.len())
            .is_some()
        {
            return Err(self
                .words
                .fault(&format!("component '{}' is there twice", component.name)));
        }
        self.design.components.push(component);
        Ok(())
    }
    fn placement(&mut self, fixed: bool) -> Result<Placement> {
        let (at, _) = self.point(None)?;
        Ok(Placement {
            at,
            orient: self.orient()?,
            fixed,
        })
    }
    fn pin(&mut self) -> Result<()> {
        let name = self.name()?;
        let mut pin = Pin {
            net: name.clone(),
            name,
            direction: PinDirection::Inout,
            use_: Use::Signal,
            special: false,
            ports: Vec::new(),
        };
        let mut port = PinPort {
            shapes: Vec::new(),
            placement: None,
        };
        loop {
            match self.words.word()? {
                ";" => break,
                "NET" => pin.net = self.name()?,
                "SPECIAL" => pin.special = true,
                "DIRECTION" => {
                    pin.direction = match self.words.word()? {
                        "INPUT" => PinDirection::Input,
                        "OUTPUT" => PinDirection::Output,
                        _ => PinDirection::Inout,
                    };
                }
                "USE" => pin.use_ = Use::parse(self.words.word()?),
                "PORT" if !port.shapes.is_empty() => {
                    let next = PinPort {
                        shapes: Vec::new(),
                        placement: None,
                    };
                    pin.ports.push(std::mem::replace(&mut port, next));
                }
                "LAYER" => {
                    let layer = self.words.word()?.to_string();
                    let rect = self.rect()?;
                    port.shapes.push((layer, rect));
                }
                word @ ("PLACED" | "FIXED" | "COVER") => {
                    port.placement = Some(self.placement(word != "PLACED")?)
                }
                _ => {}
            }
        }
        if !port.shapes.is_empty() || port.placement.is_some() {
            pin.ports.push(port);
        }
        if self
            .pins
            .insert(pin.name.clone(), self.design.pins.len())
            .is_some()
        {
            return Err(self
                .words
                .fault(&format!("pin '{}' is there twice", pin.name)));
        }
        self.design.pins.push(pin);
        Ok(())
    }
    fn special_net(&mut self) -> Result<()> {
        let mut net = SpecialNet {
            name: self.name()?,
            ..SpecialNet::default()
        };
        let mut shape = None;
        loop {
            match self.words.word()? {
                ";" => break,
                "(" => {
                    net.connections.push((self.name()?, self.name()?));
                    self.words.expect(")")?;
                }
                "USE" => net.use_ = Use::parse(self.words.word()?),
                "SHAPE" => shape = Some(self.words.word()?.to_string()),
                "RECT" => {
                    // A free rectangle is kept as a wire along its longer side.
                    let layer = self.words.word()?.to_string();
                    let rect = self.rect()?;
                    net.wires.push(rect_as_wire(layer, rect, shape.take()));
                }
                "ROUTED" | "FIXED" | "COVER" => loop {
                    let wire = self.special_wire()?;
                    net.wires.push(wire);
                    if self.words.peek() != Some("NEW") {
                        break;
                    }
                    self.words.next();
                },
                _ => {}
            }
        }
        self.design.special_nets.push(net);
        Ok(())
    }
    fn special_wire(&mut self) -> Result<SpecialWire> {
        let layer = self.words.word()?.to_string();
        let width = self.words.integer()?;
        let mut wire = SpecialWire {
            layer,
            width,
            shape: None,
            items: Vec::new(),
        };
        while self.words.peek() == Some("+") {
            // '+ SHAPE x' and '+ STYLE n' belong to the path; anything else begins the next attribute of the net.
            self.words.next();
            match self.words.peek() {
                Some("SHAPE") => {
                    self.words.next();
                    wire.shape = Some(self.words.word()?.to_string());
                }
                Some("STYLE") => {
                    self.words.next();
                    self.words.next();
                }
                _ => return Ok(wire),
            }
        }
        wire.items = self.path()?;
        Ok(wire)
    }
    /// Points, vias and patches up to `NEW`, `+` or `;`.
    fn path(&mut self) -> Result<Vec<WireItem>> {
        let mut items = Vec::new();
        let mut last = None;
        loop {
            match self.words.peek() {
                None | Some("NEW" | "+" | ";") => return Ok(items),
                Some("(") => {
                    let (at, extension) = self.point(last)?;
                    last = Some(at);
                    items.push(WireItem::Point { at, extension });
                }
                Some("RECT") => {
                    self.words.next();
                    self.words.expect("(")?;
                    let corners = [
                        self.words.integer()?,
                        self.words.integer()?,
                        self.words.integer()?,
                        self.words.integer()?,
                    ];
                    self.words.expect(")")?;
                    items.push(WireItem::Patch(Rect::new(
                        corners[0], corners[1], corners[2], corners[3],
                    )));
                }
                Some("DO") => {
                    let at = last.ok_or_else(|| self.words.fault("DO without a point"))?;
                    self.via_array(&mut items, at)?;
                }
                Some("VIRTUAL") => return Err(self.words.fault("VIRTUAL wires are not read")),
                Some("MASK") => {
                    self.words.next();
                    self.words.next();
                }
                Some(_) => {
                    let name = self.name()?;
                    let orient = self.words.peek().and_then(Orient::parse);
                    if orient.is_some() {
                        self.words.next();
                    }
                    items.push(WireItem::Via {
                        name,
                        orient: orient.unwrap_or_default(),
                    });
                }
            }
        }
    }
    /// `DO n BY m STEP dx dy` after a via: it is repeated as points of its own.
    fn via_array(&mut self, items: &mut Vec<WireItem>, at: Point) -> Result<()> {
        self.words.expect("DO")?;
        let columns = self.words.integer()?;
        self.words.expect("BY")?;
        let rows = self.words.integer()?;
        self.words.expect("STEP")?;
        let (dx, dy) = (self.words.integer()?, self.words.integer()?);
        let Some(via) = items.pop() else {
            return Ok(());
        };
        if i64::from(columns) * i64::from(rows) > 1_000_000 {
            return Err(self.words.fault("the array has too many vias"));
        }
        for row in 0..rows {
            for column in 0..columns {
                items.push(WireItem::point(at.x + column * dx, at.y + row * dy));
                items.push(via.clone());
            }
        }
        Ok(())
    }
    fn net(&mut self) -> Result<()> {
        let mut net = Net {
            name: self.name()?,
            ..Net::default()
        };
        loop {
            match self.words.word()? {
                ";" => break,
                "(" => {
                    let terminal = self.terminal(&net.name)?;
                    net.terminals.push(terminal);
                }
                "USE" => net.use_ = Use::parse(self.words.word()?),
                "PROPERTY" => net.properties.push(self.property()?),
                "ROUTED" | "FIXED" | "COVER" | "NOSHIELD" => loop {
                    let wire = self.wire()?;
                    net.wires.push(wire);
                    if self.words.peek() != Some("NEW") {
                        break;
                    }
                    self.words.next();
                },
                _ => {}
            }
        }
        self.design.nets.push(net);
        Ok(())
    }
    fn terminal(&mut self, net: &str) -> Result<Terminal> {
        // A component that is itself called PIN is written with a backslash.
        let owner = self.words.word()?;
        let pin = self.name()?;
        self.words.skip_to_bracket()?;
        if owner == "PIN" {
            let index = self.pins.get(&pin).copied();
            return index.map(Terminal::Port).ok_or_else(|| {
                self.words
                    .fault(&format!("net '{net}': the design has no pin '{pin}'"))
            });
        }
        let owner = unescape(owner);
        let component = self.components.get(&owner).copied();
        let component = component.ok_or_else(|| {
            self.words.fault(&format!(
                "net '{net}': the design has no component '{owner}'"
            ))
        })?;
        Ok(Terminal::Pin { component, pin })
    }
    fn wire(&mut self) -> Result<Wire> {
        let layer = self.words.word()?.to_string();
        let mut wire = Wire {
            layer,
            rule: None,
            items: Vec::new(),
        };
        loop {
            match self.words.peek() {
                Some("TAPER") => {
                    self.words.next();
                }
                Some("TAPERRULE") => {
                    self.words.next();
                    wire.rule = Some(self.name()?);
                }
                Some("STYLE") => {
                    self.words.next();
                    self.words.next();
                }
                _ => break,
            }
        }
        wire.items = self.path()?;
        Ok(wire)
    }
}

fn rect_as_wire(layer: String, rect: Rect, shape: Option<String>) -> SpecialWire {
    let middle = rect.center();
    let (width, from, to) = if rect.width() >= rect.height() {
        (
            rect.height(),
            Point::new(rect.x0, middle.y),
            Point::new(rect.x1, middle.y),
        )
    } else {
        (
            rect.width(),
            Point::new(middle.x, rect.y0),
            Point::new(middle.x, rect.y1),
        )
    };
    let items = vec![
        WireItem::Point {
            at: from,
            extension: None,
        },
        WireItem::Point {
            at: to,
            extension: None,
        },
    ];
    SpecialWire {
        layer,
        width,
        shape,
        items,
    }
}

/// A via given by `VIARULE`, turned into its shapes.
#[derive(Default)]
struct Generated {
    rule: bool,
    cut_size: (Dbu, Dbu),
    spacing: (Dbu, Dbu),
    /// Bottom, cut, top.
    layers: [String; 3],
    /// Bottom x, y, top x, y.
    enclosure: [Dbu; 4],
    columns_rows: (Dbu, Dbu),
}

impl Generated {
    fn expand(&self, via: &mut Via) {
        let (columns, rows) = (
            self.columns_rows.0.clamp(1, 1000),
            self.columns_rows.1.clamp(1, 1000),
        );
        let (pitch_x, pitch_y) = (
            self.cut_size.0 + self.spacing.0,
            self.cut_size.1 + self.spacing.1,
        );
        let (width, height) = (
            columns * pitch_x - self.spacing.0,
            rows * pitch_y - self.spacing.1,
        );
        let cuts = Rect {
            x0: -width / 2,
            y0: -height / 2,
            x1: -width / 2 + width,
            y1: -height / 2 + height,
        };
        let [bottom_x, bottom_y, top_x, top_y] = self.enclosure;
        let metal = |x: Dbu, y: Dbu| Rect {
            x0: cuts.x0 - x,
            y0: cuts.y0 - y,
            x1: cuts.x1 + x,
            y1: cuts.y1 + y,
        };
        via.shapes
            .push((self.layers[0].clone(), metal(bottom_x, bottom_y)));
        for row in 0..rows {
            for column in 0..columns {
                let (x, y) = (cuts.x0 + column * pitch_x, cuts.y0 + row * pitch_y);
                via.shapes.push((
                    self.layers[1].clone(),
                    Rect::new(x, y, x + self.cut_size.0, y + self.cut_size.1),
                ));
            }
        }
        via.shapes
            .push((self.layers[2].clone(), metal(top_x, top_y)));
    }
}
