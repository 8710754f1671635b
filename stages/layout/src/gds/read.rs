//! Reading a stream of records into a [`Library`].

use std::path::Path;

use super::record as tag;
use super::{Element, ElementKind, GdsError, LayerSpec, Library, PathEnds, Strans, Structure};
use crate::geom::Point;

impl Library {
    /// # Errors
    /// When the file cannot be read or is no GDSII; the message names the byte.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, GdsError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| GdsError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        Self::parse(&bytes).map_err(|error| match error {
            GdsError::Format { offset, what, .. } => GdsError::Format {
                file: Some(path.to_path_buf()),
                offset,
                what,
            },
            other => other,
        })
    }

    /// # Errors
    /// [`GdsError::Format`] with the offset of the record at fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, GdsError> {
        Reader { bytes, next: 0 }.library()
    }
}

struct Record<'a> {
    /// Offset of the record's first byte.
    offset: usize,
    kind: u8,
    data: &'a [u8],
}

struct Reader<'a> {
    bytes: &'a [u8],
    next: usize,
}

fn fault<T>(offset: usize, what: impl Into<String>) -> Result<T, GdsError> {
    Err(GdsError::Format {
        file: None,
        offset,
        what: what.into(),
    })
}

impl<'a> Record<'a> {
    fn int2(&self) -> Result<i16, GdsError> {
        match *self.data {
            [a, b] => Ok(i16::from_be_bytes([a, b])),
            _ => fault(
                self.offset,
                format!("record {:#04x} must hold one 2-byte integer", self.kind),
            ),
        }
    }
    fn int2_pair(&self) -> Result<(u16, u16), GdsError> {
        match *self.data {
            [a, b, c, d] => Ok((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))),
            _ => fault(
                self.offset,
                format!("record {:#04x} must hold two 2-byte integers", self.kind),
            ),
        }
    }
    fn int4s(&self) -> Result<Vec<i32>, GdsError> {
        if self.data.len() % 4 != 0 {
            return fault(
                self.offset,
                format!(
                    "record {:#04x} does not hold whole 4-byte integers",
                    self.kind
                ),
            );
        }
        Ok(self
            .data
            .chunks_exact(4)
            .map(|c| i32::from_be_bytes([c[0], c[1], c[2], c[3]]))
            .collect())
    }
    fn int4(&self) -> Result<i32, GdsError> {
        match *self.int4s()? {
            [value] => Ok(value),
            _ => fault(
                self.offset,
                format!("record {:#04x} must hold one 4-byte integer", self.kind),
            ),
        }
    }
    fn points(&self) -> Result<Vec<Point>, GdsError> {
        let numbers = self.int4s()?;
        if numbers.len() % 2 != 0 {
            return fault(self.offset, "XY holds an odd count of numbers");
        }
        Ok(numbers
            .chunks_exact(2)
            .map(|c| Point { x: c[0], y: c[1] })
            .collect())
    }
    fn reals(&self) -> Result<Vec<f64>, GdsError> {
        if self.data.len() % 8 != 0 {
            return fault(
                self.offset,
                format!("record {:#04x} does not hold whole 8-byte reals", self.kind),
            );
        }
        let real = |c: &[u8]| {
            tag::decode_real(c.iter().fold(0, |bits, &byte| bits << 8 | u64::from(byte)))
        };
        Ok(self.data.chunks_exact(8).map(real).collect())
    }
    fn real(&self) -> Result<f64, GdsError> {
        match *self.reals()? {
            [value] => Ok(value),
            _ => fault(
                self.offset,
                format!("record {:#04x} must hold one 8-byte real", self.kind),
            ),
        }
    }
    fn string(&self) -> Result<String, GdsError> {
        let end = self
            .data
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last + 1);
        match self.data.get(..end).map(std::str::from_utf8) {
            Some(Ok(text)) => Ok(text.to_string()),
            _ => fault(
                self.offset,
                format!("the text of record {:#04x} is no ASCII", self.kind),
            ),
        }
    }
}

impl<'a> Reader<'a> {
    fn record(&mut self) -> Result<Record<'a>, GdsError> {
        let offset = self.next;
        let head = self.bytes.get(offset..offset + 4);
        let Some(&[high, low, kind, _]) = head else {
            return fault(offset, "the file ends before ENDLIB");
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length < 4 {
            return fault(offset, format!("record length {length} is less than 4"));
        }
        let Some(data) = self.bytes.get(offset + 4..offset + length) else {
            return fault(
                offset,
                format!("record {kind:#04x} of {length} bytes is cut off"),
            );
        };
        self.next = offset + length;
        Ok(Record { offset, kind, data })
    }

    fn expect(&mut self, kind: u8, name: &str) -> Result<Record<'a>, GdsError> {
        let record = self.record()?;
        if record.kind == kind {
            return Ok(record);
        }
        fault(
            record.offset,
            format!("expected {name}, found record {:#04x}", record.kind),
        )
    }

    fn library(mut self) -> Result<Library, GdsError> {
        self.expect(tag::HEADER, "HEADER")?;
        self.expect(tag::BGNLIB, "BGNLIB")?;
        let mut library = Library::new("");
        loop {
            let record = self.record()?;
            match record.kind {
                tag::LIBNAME => library.name = record.string()?,
                tag::UNITS => match *record.reals()? {
                    [user, meters] if user > 0.0 && meters > 0.0 => {
                        (library.user_unit, library.meters) = (user, meters)
                    }
                    _ => return fault(record.offset, "UNITS must hold two positive reals"),
                },
                tag::BGNSTR => library.structures.push(self.structure(record.offset)?),
                tag::ENDLIB => return Ok(library),
                // Generations, attribute tables and other fonts say nothing about shapes.
                0x1f | 0x20 | 0x22 | 0x23 | 0x32 | 0x36..=0x3b => {}
                kind => {
                    return fault(
                        record.offset,
                        format!("record {kind:#04x} does not belong here"),
                    )
                }
            }
        }
    }

    fn structure(&mut self, begin: usize) -> Result<Structure, GdsError> {
        let name = self.expect(tag::STRNAME, "STRNAME")?.string()?;
        let mut elements = Vec::new();
        loop {
            let record = self.record()?;
            match record.kind {
                tag::ENDSTR => break,
                tag::BOUNDARY
                | tag::PATH
                | tag::SREF
                | tag::AREF
                | tag::TEXT
                | tag::BOX
                | tag::NODE => {
                    elements.push(
                        self.element(&record)
                            .map_err(|error| in_structure(error, &name))?,
                    );
                }
                0x34 => {} // STRCLASS
                kind => {
                    return fault(
                        record.offset,
                        format!("record {kind:#04x} does not belong in structure '{name}'"),
                    )
                }
            }
        }
        let raw = self.bytes.get(begin..self.next).map(<[u8]>::to_vec);
        Ok(Structure {
            name,
            elements,
            raw,
        })
    }

    fn element(&mut self, begin: &Record) -> Result<Element, GdsError> {
        let mut fields = Fields::default();
        let mut properties = Vec::new();
        let mut attribute = 0;
        loop {
            let record = self.record()?;
            match record.kind {
                tag::ENDEL => break,
                tag::LAYER => fields.layer = Some(record.int2()?),
                tag::DATATYPE | tag::TEXTTYPE | tag::BOXTYPE | tag::NODETYPE => {
                    fields.datatype = record.int2()?
                }
                tag::WIDTH => fields.width = record.int4()?,
                tag::PATHTYPE => fields.path_type = record.int2()?,
                tag::BGNEXTN => fields.extension.0 = record.int4()?,
                tag::ENDEXTN => fields.extension.1 = record.int4()?,
                tag::XY => fields.points = record.points()?,
                tag::SNAME | tag::STRING => fields.text = record.string()?,
                tag::COLROW => fields.columns_rows = record.int2_pair()?,
                tag::PRESENTATION => fields.presentation = record.int2()? as u16,
                tag::STRANS => fields.transform.mirror_x = record.int2()? < 0,
                tag::MAG => fields.transform.magnification = record.real()?,
                tag::ANGLE => fields.transform.angle_degrees = record.real()?,
                tag::PROPATTR => attribute = record.int2()?,
                tag::PROPVALUE => properties.push((attribute, record.string()?)),
                0x26 | 0x2f => {} // ELFLAGS, PLEX
                kind => {
                    return fault(
                        record.offset,
                        format!("record {kind:#04x} does not belong in an element"),
                    )
                }
            }
        }
        match fields.kind(begin.kind) {
            Ok(kind) => Ok(Element { kind, properties }),
            Err(what) => fault(begin.offset, what),
        }
    }
}

fn in_structure(error: GdsError, name: &str) -> GdsError {
    match error {
        GdsError::Format { file, offset, what } => GdsError::Format {
            file,
            offset,
            what: format!("structure '{name}': {what}"),
        },
        other => other,
    }
}

/// What the records of one element said.
#[derive(Default)]
struct Fields {
    layer: Option<i16>,
    datatype: i16,
    width: i32,
    path_type: i16,
    extension: (i32, i32),
    points: Vec<Point>,
    text: String,
    columns_rows: (u16, u16),
    presentation: u16,
    transform: Strans,
}

impl Fields {
    fn kind(mut self, kind: u8) -> Result<ElementKind, String> {
        let origin = *self.points.first().ok_or("an element has no XY")?;
        if matches!(kind, tag::SREF | tag::AREF) {
            return self.placement(kind, origin);
        }
        let layer = LayerSpec {
            layer: self.layer.ok_or("an element has no LAYER")?,
            datatype: self.datatype,
        };
        Ok(match kind {
            tag::BOUNDARY => {
                if self.points.len() < 4 || self.points.last() != Some(&origin) {
                    return Err(
                        "a BOUNDARY needs at least 4 points, the last equal to the first".into(),
                    );
                }
                self.points.pop();
                ElementKind::Boundary {
                    layer,
                    points: self.points,
                }
            }
            tag::PATH => {
                let ends = match self.path_type {
                    0 => PathEnds::Flush,
                    1 => PathEnds::Round,
                    2 => PathEnds::Square,
                    4 => PathEnds::Extended(self.extension.0, self.extension.1),
                    other => return Err(format!("PATHTYPE {other} is not defined")),
                };
                ElementKind::Path {
                    layer,
                    width: self.width,
                    ends,
                    points: self.points,
                }
            }
            tag::TEXT => ElementKind::Text {
                layer,
                position: origin,
                text: self.text,
                presentation: self.presentation,
                transform: self.transform,
            },
            _ => ElementKind::Marker {
                node: kind == tag::NODE,
                layer,
                points: self.points,
            },
        })
    }

    fn placement(self, kind: u8, origin: Point) -> Result<ElementKind, String> {
        let (structure, transform) = (self.text, self.transform);
        if kind == tag::SREF {
            return Ok(ElementKind::Reference {
                structure,
                transform,
                origin,
            });
        }
        let (columns, rows) = self.columns_rows;
        let [_, along, up] = self.points[..] else {
            return Err("an AREF needs three points".into());
        };
        if columns == 0 || rows == 0 {
            return Err("an AREF needs at least one column and one row".into());
        }
        let step = |far: Point, count: u16| {
            let (dx, dy) = (far.x - origin.x, far.y - origin.y);
            let count = i32::from(count);
            (dx % count == 0 && dy % count == 0).then(|| Point {
                x: dx / count,
                y: dy / count,
            })
        };
        let message = "the extent of an AREF is no whole multiple of its count";
        let column_step = step(along, columns).ok_or(message)?;
        let row_step = step(up, rows).ok_or(message)?;
        Ok(ElementKind::Array {
            structure,
            transform,
            origin,
            columns,
            rows,
            column_step,
            row_step,
        })
    }
}
