//! Writing a [`Library`] as a stream of records.

use std::path::Path;

use super::record as tag;
use super::{Element, ElementKind, GdsError, LayerSpec, Library, PathEnds, Strans, Structure};
use crate::geom::Point;

/// 1 January 2000, 0:00:00, as date of every library and structure that we write.
const DATE: [i16; 6] = [2000, 1, 1, 0, 0, 0];

/// The longest polygon of one XY record: 65,535 bytes less the head, 8 bytes a point.
const MOST_POINTS: usize = 8190;

impl Library {
    /// # Errors
    /// When the file cannot be written or GDSII cannot hold something in it.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), GdsError> {
        let path = path.as_ref();
        std::fs::write(path, self.to_bytes()?).map_err(|source| GdsError::Io {
            path: path.to_path_buf(),
            source,
        })
    }

    /// The same library gives the same bytes.
    ///
    /// # Errors
    /// [`GdsError::Unwritable`] for a polygon of more than 8,189 points, a text too long, a number out of range.
    pub fn to_bytes(&self) -> Result<Vec<u8>, GdsError> {
        let mut out = Writer::default();
        let result = out.library(self);
        result.map_err(|(structure, what)| GdsError::Unwritable { structure, what })?;
        Ok(out.bytes)
    }
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
}

type Outcome = Result<(), String>;

impl Writer {
    fn library(&mut self, library: &Library) -> Result<(), (String, String)> {
        let head = |writer: &mut Self| -> Outcome {
            writer.int2s(tag::HEADER, &[600])?;
            writer.dates(tag::BGNLIB)?;
            writer.string(tag::LIBNAME, &library.name)?;
            writer.reals(tag::UNITS, &[library.user_unit, library.meters])
        };
        head(self).map_err(|what| (library.name.clone(), what))?;
        for structure in &library.structures {
            match structure.raw() {
                Some(raw) => self.bytes.extend_from_slice(raw),
                None => self
                    .structure(structure)
                    .map_err(|what| (structure.name().to_string(), what))?,
            }
        }
        self.record(tag::ENDLIB, tag::NO_DATA, &[])
            .map_err(|what| (library.name.clone(), what))
    }

    fn structure(&mut self, structure: &Structure) -> Outcome {
        self.dates(tag::BGNSTR)?;
        self.string(tag::STRNAME, structure.name())?;
        structure
            .elements()
            .iter()
            .try_for_each(|element| self.element(element))?;
        self.record(tag::ENDSTR, tag::NO_DATA, &[])
    }

    fn element(&mut self, element: &Element) -> Outcome {
        match &element.kind {
            ElementKind::Boundary { layer, points } => {
                let [first, _, _, ..] = points[..] else {
                    return Err("a polygon of fewer than 3 points".into());
                };
                self.begin(tag::BOUNDARY)?;
                self.layer(*layer, tag::DATATYPE)?;
                let closed: Vec<Point> = points.iter().copied().chain([first]).collect();
                self.points(&closed)?;
            }
            ElementKind::Path {
                layer,
                width,
                ends,
                points,
            } => self.path(*layer, *width, *ends, points)?,
            ElementKind::Reference {
                structure,
                transform,
                origin,
            } => {
                self.begin(tag::SREF)?;
                self.string(tag::SNAME, structure)?;
                self.transform(*transform)?;
                self.points(&[*origin])?;
            }
            ElementKind::Array {
                structure,
                transform,
                origin,
                columns,
                rows,
                column_step,
                row_step,
            } => {
                self.begin(tag::AREF)?;
                self.string(tag::SNAME, structure)?;
                self.transform(*transform)?;
                self.record(
                    tag::COLROW,
                    tag::INT2,
                    &[columns.to_be_bytes(), rows.to_be_bytes()].concat(),
                )?;
                let far = |step: &Point, count: u16| Point {
                    x: origin.x + step.x * i32::from(count),
                    y: origin.y + step.y * i32::from(count),
                };
                self.points(&[*origin, far(column_step, *columns), far(row_step, *rows)])?;
            }
            ElementKind::Text {
                layer,
                position,
                text,
                presentation,
                transform,
            } => {
                self.begin(tag::TEXT)?;
                self.layer(*layer, tag::TEXTTYPE)?;
                if *presentation != 0 {
                    self.record(tag::PRESENTATION, tag::BITS, &presentation.to_be_bytes())?;
                }
                self.transform(*transform)?;
                self.points(&[*position])?;
                self.string(tag::STRING, text)?;
            }
            ElementKind::Marker {
                node,
                layer,
                points,
            } => {
                let (kind, datatype) = if *node {
                    (tag::NODE, tag::NODETYPE)
                } else {
                    (tag::BOX, tag::BOXTYPE)
                };
                self.begin(kind)?;
                self.layer(*layer, datatype)?;
                self.points(points)?;
            }
        }
        for (attribute, value) in &element.properties {
            self.int2s(tag::PROPATTR, &[*attribute])?;
            self.string(tag::PROPVALUE, value)?;
        }
        self.record(tag::ENDEL, tag::NO_DATA, &[])
    }

    fn path(&mut self, layer: LayerSpec, width: i32, ends: PathEnds, points: &[Point]) -> Outcome {
        self.begin(tag::PATH)?;
        self.layer(layer, tag::DATATYPE)?;
        let kind = match ends {
            PathEnds::Flush => 0,
            PathEnds::Round => 1,
            PathEnds::Square => 2,
            PathEnds::Extended(..) => 4,
        };
        self.int2s(tag::PATHTYPE, &[kind])?;
        self.record(tag::WIDTH, tag::INT4, &width.to_be_bytes())?;
        if let PathEnds::Extended(first, last) = ends {
            self.record(tag::BGNEXTN, tag::INT4, &first.to_be_bytes())?;
            self.record(tag::ENDEXTN, tag::INT4, &last.to_be_bytes())?;
        }
        self.points(points)
    }

    fn transform(&mut self, transform: Strans) -> Outcome {
        if transform == Strans::default() {
            return Ok(());
        }
        self.record(
            tag::STRANS,
            tag::BITS,
            &(u16::from(transform.mirror_x) << 15).to_be_bytes(),
        )?;
        if (transform.magnification - 1.0).abs() > 0.0 {
            self.reals(tag::MAG, &[transform.magnification])?;
        }
        if transform.angle_degrees.abs() > 0.0 {
            self.reals(tag::ANGLE, &[transform.angle_degrees])?;
        }
        Ok(())
    }

    fn begin(&mut self, kind: u8) -> Outcome {
        self.record(kind, tag::NO_DATA, &[])
    }
    fn layer(&mut self, layer: LayerSpec, datatype_record: u8) -> Outcome {
        self.int2s(tag::LAYER, &[layer.layer])?;
        self.int2s(datatype_record, &[layer.datatype])
    }
    fn dates(&mut self, kind: u8) -> Outcome {
        self.int2s(kind, &[DATE, DATE].concat())
    }
    fn points(&mut self, points: &[Point]) -> Outcome {
        if points.len() > MOST_POINTS {
            return Err(format!(
                "{} points, at most {MOST_POINTS} fit",
                points.len()
            ));
        }
        let data: Vec<u8> = points
            .iter()
            .flat_map(|p| [p.x.to_be_bytes(), p.y.to_be_bytes()].concat())
            .collect();
        self.record(tag::XY, tag::INT4, &data)
    }
    fn int2s(&mut self, kind: u8, values: &[i16]) -> Outcome {
        let data: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_be_bytes())
            .collect();
        self.record(kind, tag::INT2, &data)
    }
    fn reals(&mut self, kind: u8, values: &[f64]) -> Outcome {
        let mut data = Vec::new();
        for &value in values {
            let bits = tag::encode_real(value)
                .ok_or_else(|| format!("the number {value} is out of range"))?;
            data.extend_from_slice(&bits.to_be_bytes());
        }
        self.record(kind, tag::REAL8, &data)
    }
    fn string(&mut self, kind: u8, text: &str) -> Outcome {
        let mut data = text.as_bytes().to_vec();
        if data.len() % 2 == 1 {
            data.push(0);
        }
        self.record(kind, tag::ASCII, &data)
    }
    fn record(&mut self, kind: u8, data_type: u8, data: &[u8]) -> Outcome {
        let length = u16::try_from(data.len() + 4)
            .map_err(|_| format!("a record of {} bytes is too long", data.len()))?;
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(&[kind, data_type]);
        self.bytes.extend_from_slice(data);
        Ok(())
    }
}
