//! GDSII stream format: reader and writer.
//!
//! Bytes that were read are the bytes that are written: a structure that nobody changed is copied record for record, so
//! library cells stay byte-identical to the library's. What we write ourselves carries one fixed date, so the same
//! layout gives the same file. Format: Calma GDSII Stream Format Manual, release 6.0.

mod read;
mod record;
#[cfg(test)]
mod tests;
mod write;

use std::path::PathBuf;

use crate::geom::{Point, Rect};

/// Layer and datatype of a shape, or layer and text type of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerSpec {
    pub layer: i16,
    pub datatype: i16,
}

impl LayerSpec {
    #[must_use]
    pub const fn new(layer: i16, datatype: i16) -> Self {
        Self { layer, datatype }
    }
}

/// A whole GDSII library.
#[derive(Debug, Clone, PartialEq)]
pub struct Library {
    pub name: String,
    /// Size of a database unit in user units (0.001 when the user unit is a micrometre).
    pub user_unit: f64,
    /// Size of a database unit in metres (1e-9 for one nanometre).
    pub meters: f64,
    pub structures: Vec<Structure>,
}

/// A cell: a named list of elements.
#[derive(Debug, Clone, PartialEq)]
pub struct Structure {
    name: String,
    elements: Vec<Element>,
    /// The records from BGNSTR to ENDSTR as they were read; gone once the structure is changed.
    raw: Option<Vec<u8>>,
}

/// One drawn thing, with its properties (attribute number, value).
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    pub kind: ElementKind,
    pub properties: Vec<(i16, String)>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ElementKind {
    /// A polygon; the closing point of the file is left out.
    Boundary {
        layer: LayerSpec,
        points: Vec<Point>,
    },
    Path {
        layer: LayerSpec,
        width: i32,
        ends: PathEnds,
        points: Vec<Point>,
    },
    Reference {
        structure: String,
        transform: Strans,
        origin: Point,
    },
    /// `columns` × `rows` copies; `column_step` and `row_step` are the distances from one copy to the next.
    Array {
        structure: String,
        transform: Strans,
        origin: Point,
        columns: u16,
        rows: u16,
        column_step: Point,
        row_step: Point,
    },
    Text {
        layer: LayerSpec,
        position: Point,
        text: String,
        presentation: u16,
        transform: Strans,
    },
    /// A GDSII BOX or NODE: kept when read, no part of the mask.
    Marker {
        node: bool,
        layer: LayerSpec,
        points: Vec<Point>,
    },
}

/// How a path ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathEnds {
    Flush,
    Round,
    /// Half the width beyond the last point.
    Square,
    /// By these lengths at the first and last point.
    Extended(i32, i32),
}

/// Mirror about x, then magnify, then turn counter-clockwise, as GDSII orders them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strans {
    pub mirror_x: bool,
    pub magnification: f64,
    pub angle_degrees: f64,
}

impl Default for Strans {
    fn default() -> Self {
        Self {
            mirror_x: false,
            magnification: 1.0,
            angle_degrees: 0.0,
        }
    }
}

impl Strans {
    /// A placement without magnification.
    #[must_use]
    pub const fn new(mirror_x: bool, angle_degrees: f64) -> Self {
        Self {
            mirror_x,
            magnification: 1.0,
            angle_degrees,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum GdsError {
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The bytes are no GDSII, or use a part of it that is not supported.
    #[error("{}GDSII byte {offset}: {what}", file.as_ref().map(|f| format!("{}: ", f.display())).unwrap_or_default())]
    Format {
        file: Option<PathBuf>,
        offset: usize,
        what: String,
    },
    /// Something that the format cannot hold.
    #[error("structure '{structure}' cannot be written as GDSII: {what}")]
    Unwritable { structure: String, what: String },
    #[error("structure '{structure}': {what}")]
    Shape { structure: String, what: String },
}

impl Library {
    /// An empty library with database units of 1 nm and user units of 1 µm.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            user_unit: 0.001,
            meters: 1e-9,
            structures: Vec::new(),
        }
    }

    /// The structure of that name. Linear; make a map for many look-ups.
    #[must_use]
    pub fn structure(&self, name: &str) -> Option<&Structure> {
        self.structures
            .iter()
            .find(|structure| structure.name == name)
    }
}

impl Structure {
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            elements: Vec::new(),
            raw: None,
        }
    }
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    #[must_use]
    pub fn elements(&self) -> &[Element] {
        &self.elements
    }
    /// Gives write access; from now on the structure is written from its elements, no longer copied.
    pub fn elements_mut(&mut self) -> &mut Vec<Element> {
        self.raw = None;
        &mut self.elements
    }
    /// The records as they were read, if the structure was read and not changed.
    #[must_use]
    pub fn raw(&self) -> Option<&[u8]> {
        self.raw.as_deref()
    }
    pub fn push(&mut self, kind: ElementKind) {
        self.elements_mut().push(Element {
            kind,
            properties: Vec::new(),
        });
    }
    pub fn rect(&mut self, layer: LayerSpec, rect: Rect) {
        let (a, b) = (
            Point {
                x: rect.x0,
                y: rect.y0,
            },
            Point {
                x: rect.x1,
                y: rect.y1,
            },
        );
        let points = vec![a, Point { x: a.x, y: b.y }, b, Point { x: b.x, y: a.y }];
        self.push(ElementKind::Boundary { layer, points });
    }
    pub fn text(&mut self, layer: LayerSpec, position: Point, text: impl Into<String>) {
        let (presentation, transform) = (0, Strans::default());
        self.push(ElementKind::Text {
            layer,
            position,
            text: text.into(),
            presentation,
            transform,
        });
    }
    pub fn reference(&mut self, structure: impl Into<String>, transform: Strans, origin: Point) {
        self.push(ElementKind::Reference {
            structure: structure.into(),
            transform,
            origin,
        });
    }

    /// The structure's own shapes on a layer as rectangles that may touch but do not overlap within one shape;
    /// references are not followed.
    ///
    /// # Errors
    /// When a shape is no rectilinear polygon or path.
    pub fn rects(&self, wanted: LayerSpec) -> Result<Vec<Rect>, GdsError> {
        let mut out = Vec::new();
        for element in &self.elements {
            match &element.kind {
                ElementKind::Boundary { layer, points } if *layer == wanted => {
                    out.extend(
                        polygon_rects(points)
                            .ok_or_else(|| self.not_rectilinear("boundary", points))?,
                    );
                }
                ElementKind::Path {
                    layer,
                    width,
                    ends,
                    points,
                } if *layer == wanted => {
                    out.extend(
                        path_rects(*width, *ends, points)
                            .ok_or_else(|| self.not_rectilinear("path", points))?,
                    );
                }
                _ => {}
            }
        }
        Ok(out)
    }

    fn not_rectilinear(&self, what: &str, points: &[Point]) -> GdsError {
        let at = points
            .first()
            .map_or_else(String::new, |p| format!(" at ({}, {})", p.x, p.y));
        GdsError::Shape {
            structure: self.name.clone(),
            what: format!("{what}{at} has edges that are not along x or y"),
        }
    }
}

/// Cuts a rectilinear polygon into horizontal slabs. `None` when an edge is neither along x nor along y.
#[must_use]
pub fn polygon_rects(points: &[Point]) -> Option<Vec<Rect>> {
    let mut verticals: Vec<(i32, i32, i32)> = Vec::new();
    for (k, a) in points.iter().enumerate() {
        let b = points.get(k + 1).or_else(|| points.first())?;
        if a.x == b.x {
            if a.y != b.y {
                verticals.push((a.x, a.y.min(b.y), a.y.max(b.y)));
            }
        } else if a.y != b.y {
            return None;
        }
    }
    verticals.sort_unstable();
    let mut ys: Vec<i32> = points.iter().map(|p| p.y).collect();
    ys.sort_unstable();
    ys.dedup();
    let mut out: Vec<Rect> = Vec::new();
    for (&y0, &y1) in ys.iter().zip(ys.iter().skip(1)) {
        let crossing: Vec<i32> = verticals
            .iter()
            .filter(|v| v.1 <= y0 && v.2 >= y1)
            .map(|v| v.0)
            .collect();
        for pair in crossing.chunks(2) {
            let [x0, x1] = *pair else { return None };
            // Slabs of equal width on top of each other become one rectangle.
            match out
                .iter_mut()
                .rev()
                .find(|r| r.x0 == x0 && r.x1 == x1 && r.y1 == y0)
            {
                Some(below) => below.y1 = y1,
                None if x0 < x1 => out.push(Rect { x0, y0, x1, y1 }),
                None => {}
            }
        }
    }
    Some(out)
}

fn path_rects(width: i32, ends: PathEnds, points: &[Point]) -> Option<Vec<Rect>> {
    let half = width.abs() / 2;
    let (first, last) = match ends {
        PathEnds::Flush => (0, 0),
        PathEnds::Square => (half, half),
        PathEnds::Extended(first, last) => (first, last),
        PathEnds::Round => return None,
    };
    let segments = points.len().checked_sub(1)?;
    let mut out = Vec::new();
    for (k, (a, b)) in points.iter().zip(points.iter().skip(1)).enumerate() {
        // Inner corners are square, so both segments reach half a width beyond the corner.
        let before = if k == 0 { first } else { half };
        let after = if k + 1 == segments { last } else { half };
        let (dx, dy) = ((b.x - a.x).signum(), (b.y - a.y).signum());
        if (dx == 0) == (dy == 0) {
            return None;
        }
        let (p, q) = (
            Point {
                x: a.x - dx * before,
                y: a.y - dy * before,
            },
            Point {
                x: b.x + dx * after,
                y: b.y + dy * after,
            },
        );
        let (wx, wy) = (dy.abs() * half, dx.abs() * half);
        out.push(Rect {
            x0: p.x.min(q.x) - wx,
            y0: p.y.min(q.y) - wy,
            x1: p.x.max(q.x) + wx,
            y1: p.y.max(q.y) + wy,
        });
    }
    Some(out)
}
