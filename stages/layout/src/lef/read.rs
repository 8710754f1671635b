//! The LEF reader. Statements that this project has no use for are skipped.

use super::{
    Direction, Layer, LayerKind, Macro, Pin, PinDirection, PinUse, Site, Tech, Via, ViaRule,
};
use crate::words::Words;
use crate::{Dbu, LayoutError, Point, Rect};

type Result<T> = std::result::Result<T, LayoutError>;

pub(super) fn parse(tech: &mut Tech, file: &str, text: &str) -> Result<()> {
    let mut words = Words::new(file, text);
    while let Some(word) = words.next() {
        match word {
            "END" => {
                if words.word()? == "LIBRARY" {
                    return Ok(());
                }
            }
            "UNITS" | "PROPERTYDEFINITIONS" => skip_block(&mut words, word)?,
            "MANUFACTURINGGRID" => {
                tech.grid = words.microns()?;
                words.expect(";")?;
            }
            "SITE" => {
                let site = site(&mut words)?;
                tech.sites.retain(|old| old.name != site.name);
                tech.sites.push(site);
            }
            "LAYER" => {
                let layer = layer(&mut words)?;
                tech.layers.retain(|old| old.name != layer.name);
                tech.layers.push(layer);
            }
            "VIA" => {
                let via = via(&mut words)?;
                tech.vias.retain(|old| old.name != via.name);
                tech.vias.push(via);
            }
            "VIARULE" => {
                if let Some(rule) = via_rule(&mut words)? {
                    tech.via_rules.push(rule);
                }
            }
            "MACRO" => {
                let cell = cell(&mut words)?;
                tech.macros.insert(cell.name.clone(), cell);
            }
            "NONDEFAULTRULE" | "SPACING" | "NOISETABLE" | "ARRAY" => skip_named(&mut words, word)?,
            ";" => {}
            _ => words.skip_statement()?,
        }
    }
    Ok(())
}

/// Skips to `END name`.
fn skip_block(words: &mut Words, name: &str) -> Result<()> {
    loop {
        if words.word()? == "END" && words.word()? == name {
            return Ok(());
        }
    }
}

fn skip_named(words: &mut Words, keyword: &str) -> Result<()> {
    if keyword == "SPACING" {
        return skip_block(words, "SPACING");
    }
    let name = words.word()?;
    skip_block(words, name)
}

fn rect(words: &mut Words) -> Result<Rect> {
    if words.peek() == Some("MASK") {
        words.next();
        words.integer()?;
    }
    let rect = Rect::new(
        words.microns()?,
        words.microns()?,
        words.microns()?,
        words.microns()?,
    );
    words.expect(";")?;
    Ok(rect)
}

fn site(words: &mut Words) -> Result<Site> {
    let name = words.word()?.to_string();
    let (mut width, mut height) = (0, 0);
    loop {
        match words.word()? {
            "END" => {
                words.expect(&name)?;
                return Ok(Site {
                    name,
                    width,
                    height,
                });
            }
            "SIZE" => {
                (width, height) = size(words)?;
                words.expect(";")?;
            }
            _ => words.skip_statement()?,
        }
    }
}

fn size(words: &mut Words) -> Result<(Dbu, Dbu)> {
    let width = words.microns()?;
    words.expect("BY")?;
    Ok((width, words.microns()?))
}

/// One or two lengths up to the semicolon.
fn pair(words: &mut Words) -> Result<(Dbu, Dbu)> {
    let first = words.microns()?;
    if words.peek() == Some(";") {
        words.next();
        return Ok((first, first));
    }
    let second = words.microns()?;
    words.skip_statement()?;
    Ok((first, second))
}

fn area(words: &mut Words) -> Result<i64> {
    let value = (words.number()? * 1e6).round() as i64;
    words.skip_statement()?;
    Ok(value)
}

fn layer(words: &mut Words) -> Result<Layer> {
    let name = words.word()?.to_string();
    let mut layer = Layer::new(&name);
    loop {
        match words.word()? {
            "END" => {
                words.expect(&name)?;
                return Ok(layer);
            }
            "TYPE" => {
                layer.kind = match words.word()? {
                    "ROUTING" => LayerKind::Routing,
                    "CUT" => LayerKind::Cut,
                    "MASTERSLICE" => LayerKind::Masterslice,
                    _ => LayerKind::Other,
                };
                words.skip_statement()?;
            }
            "DIRECTION" => {
                layer.direction = match words.word()? {
                    "HORIZONTAL" => Some(Direction::Horizontal),
                    "VERTICAL" => Some(Direction::Vertical),
                    _ => None,
                };
                words.skip_statement()?;
            }
            "PITCH" => layer.pitch = pair(words)?,
            "OFFSET" => layer.offset = pair(words)?,
            "WIDTH" => layer.width = pair(words)?.0,
            "SPACING" => {
                let space = words.microns()?;
                if words.peek() == Some(";") {
                    layer.spacing.push((0, space));
                }
                words.skip_statement()?;
            }
            "SPACINGTABLE" => spacing_table(words, &mut layer)?,
            "AREA" => layer.area = area(words)?,
            "MINENCLOSEDAREA" => layer.enclosed_area = area(words)?,
            "THICKNESS" => layer.thickness = pair(words)?.0,
            "ENCLOSURE" => enclosure(words, &mut layer)?,
            "RESISTANCE" => {
                if words.peek() == Some("RPERSQ") {
                    words.next();
                }
                layer.resistance = words.number()?;
                words.skip_statement()?;
            }
            "ANTENNADIFFSIDEAREARATIO" => layer.antenna_side_area = piecewise(words)?,
            "ANTENNADIFFAREARATIO" => layer.antenna_area = piecewise(words)?,
            ";" => {}
            _ => words.skip_statement()?,
        }
    }
}

fn enclosure(words: &mut Words, layer: &mut Layer) -> Result<()> {
    match words.word()? {
        "BELOW" => layer.enclosure_below = pair(words)?,
        "ABOVE" => layer.enclosure_above = pair(words)?,
        first => {
            // Without BELOW or ABOVE it holds for both.
            let first: f64 = first
                .parse()
                .map_err(|_| words.fault("expected BELOW, ABOVE or a number"))?;
            let both = ((first * 1000.0).round() as Dbu, words.microns()?);
            (layer.enclosure_below, layer.enclosure_above) = (both, both);
            words.skip_statement()?;
        }
    }
    Ok(())
}

/// `PARALLELRUNLENGTH a b … WIDTH w s s …`: the spacing at the longest run is kept, which is the strictest.
fn spacing_table(words: &mut Words, layer: &mut Layer) -> Result<()> {
    let mut width: Option<(Dbu, Dbu)> = None;
    let mut in_rows = false;
    loop {
        match words.word()? {
            ";" => break,
            "WIDTH" => {
                in_rows = true;
                layer.spacing.extend(width.take());
                width = Some((words.microns()?, 0));
            }
            word if in_rows => {
                let value: f64 = word
                    .parse()
                    .map_err(|_| words.fault("expected a spacing"))?;
                if let Some((_, space)) = &mut width {
                    *space = (*space).max((value * 1000.0).round() as Dbu);
                }
            }
            _ => {}
        }
    }
    layer.spacing.extend(width);
    Ok(())
}

/// `PWL ( ( d r ) ( d r ) … ) ;` or one number.
fn piecewise(words: &mut Words) -> Result<Vec<(f64, f64)>> {
    let mut numbers = Vec::new();
    loop {
        match words.word()? {
            ";" => break,
            "PWL" | "(" | ")" => {}
            word => {
                numbers.push(
                    word.parse::<f64>()
                        .map_err(|_| words.fault("expected a number"))?,
                );
            }
        }
    }
    Ok(match numbers.as_slice() {
        [one] => vec![(0.0, *one)],
        many => many
            .chunks_exact(2)
            .map(|pair| (pair[0], pair[1]))
            .collect(),
    })
}

fn via(words: &mut Words) -> Result<Via> {
    let name = words.word()?.to_string();
    let mut via = Via {
        name,
        shapes: Vec::new(),
    };
    let mut layer = String::new();
    loop {
        match words.word()? {
            "END" => {
                words.expect(&via.name.clone())?;
                return Ok(via);
            }
            "LAYER" => {
                layer = words.word()?.to_string();
                words.skip_statement()?;
            }
            "RECT" => via.shapes.push((layer.clone(), rect(words)?)),
            "DEFAULT" | "TOPOFSTACKONLY" | ";" => {}
            _ => words.skip_statement()?,
        }
    }
}

fn via_rule(words: &mut Words) -> Result<Option<ViaRule>> {
    let name = words.word()?.to_string();
    let generate = words.peek() == Some("GENERATE");
    if !generate {
        skip_block(words, &name)?;
        return Ok(None);
    }
    let mut rule = ViaRule {
        name: name.clone(),
        metals: Vec::new(),
        cut: String::new(),
        cut_shape: Rect::default(),
        cut_pitch: (0, 0),
    };
    let mut layer = String::new();
    loop {
        match words.word()? {
            "END" => {
                words.expect(&name)?;
                return Ok(Some(rule));
            }
            "LAYER" => {
                layer = words.word()?.to_string();
                words.skip_statement()?;
            }
            "ENCLOSURE" => {
                let (x, y) = pair(words)?;
                rule.metals.push((layer.clone(), x, y));
            }
            "RECT" => {
                rule.cut_shape = rect(words)?;
                rule.cut.clone_from(&layer);
            }
            "SPACING" => {
                rule.cut_pitch = size(words)?;
                words.expect(";")?;
            }
            "GENERATE" | "DEFAULT" | ";" => {}
            _ => words.skip_statement()?,
        }
    }
}

fn cell(words: &mut Words) -> Result<Macro> {
    let name = words.word()?.to_string();
    let mut cell = Macro {
        name: name.clone(),
        class: String::new(),
        origin: Point::default(),
        width: 0,
        height: 0,
        site: None,
        pins: Vec::new(),
        obstructions: Vec::new(),
    };
    loop {
        match words.word()? {
            "END" => {
                words.expect(&name)?;
                return Ok(cell);
            }
            "CLASS" => cell.class = rest(words)?,
            "ORIGIN" => {
                cell.origin = Point::new(words.microns()?, words.microns()?);
                words.expect(";")?;
            }
            "SIZE" => {
                (cell.width, cell.height) = size(words)?;
                words.expect(";")?;
            }
            "SITE" => {
                cell.site = Some(words.word()?.to_string());
                words.skip_statement()?;
            }
            "PIN" => cell.pins.push(pin(words)?),
            "OBS" => shapes(words, &mut cell.obstructions)?,
            "DENSITY" => skip_to_end(words)?,
            ";" => {}
            _ => words.skip_statement()?,
        }
    }
}

fn skip_to_end(words: &mut Words) -> Result<()> {
    while words.word()? != "END" {}
    Ok(())
}

fn rest(words: &mut Words) -> Result<String> {
    let mut parts = Vec::new();
    loop {
        match words.word()? {
            ";" => return Ok(parts.join(" ")),
            word => parts.push(word),
        }
    }
}

fn pin(words: &mut Words) -> Result<Pin> {
    let name = words.word()?.to_string();
    let mut pin = Pin {
        name: name.clone(),
        direction: PinDirection::Inout,
        use_: PinUse::Signal,
        shapes: Vec::new(),
        gate_area: 0.0,
        diffusion_area: 0.0,
    };
    loop {
        match words.word()? {
            "END" => {
                words.expect(&name)?;
                return Ok(pin);
            }
            "DIRECTION" => {
                pin.direction = match words.word()? {
                    "INPUT" => PinDirection::Input,
                    "OUTPUT" => PinDirection::Output,
                    _ => PinDirection::Inout,
                };
                words.skip_statement()?;
            }
            "USE" => {
                pin.use_ = match words.word()? {
                    "POWER" => PinUse::Power,
                    "GROUND" => PinUse::Ground,
                    "CLOCK" => PinUse::Clock,
                    _ => PinUse::Signal,
                };
                words.skip_statement()?;
            }
            "PORT" => shapes(words, &mut pin.shapes)?,
            "ANTENNAGATEAREA" => {
                pin.gate_area += words.number()?;
                words.skip_statement()?;
            }
            "ANTENNADIFFAREA" => {
                pin.diffusion_area += words.number()?;
                words.skip_statement()?;
            }
            ";" => {}
            _ => words.skip_statement()?,
        }
    }
}

/// Geometry up to `END`. Polygons are kept as the rectangle around them: hd cells have none.
fn shapes(words: &mut Words, into: &mut Vec<(String, Rect)>) -> Result<()> {
    let mut layer = String::new();
    loop {
        match words.word()? {
            "END" => return Ok(()),
            "LAYER" => {
                layer = words.word()?.to_string();
                words.skip_statement()?;
            }
            "RECT" => into.push((layer.clone(), rect(words)?)),
            "POLYGON" => {
                let mut all: Option<Rect> = None;
                while words.peek() != Some(";") {
                    let (x, y) = (words.microns()?, words.microns()?);
                    let corner = Rect::new(x, y, x, y);
                    all = Some(all.map_or(corner, |rect| rect.union(&corner)));
                }
                words.expect(";")?;
                into.extend(all.map(|rect| (layer.clone(), rect)));
            }
            ";" => {}
            _ => words.skip_statement()?,
        }
    }
}
