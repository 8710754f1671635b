//! Layout streams (GDSII): records of a length, a kind, a type and data, in which elements lie in cells.

/// Kinds of records (Calma, "GDS II Stream Format", release 6.0).
mod kind {
    pub const HEADER: u8 = 0x00;
    pub const BEGIN_LIBRARY: u8 = 0x01;
    pub const BEGIN_CELL: u8 = 0x05;
    pub const CELL_NAME: u8 = 0x06;
    pub const END_CELL: u8 = 0x07;
    pub const LAYER: u8 = 0x0d;
    pub const DATA_TYPE: u8 = 0x0e;
    pub const END_ELEMENT: u8 = 0x11;
    pub const REFERENCE_NAME: u8 = 0x12;
    pub const TEXT_TYPE: u8 = 0x16;
    pub const BOX_TYPE: u8 = 0x2e;
}

/// A record outside all elements, or a whole element.
struct Item<'b> {
    bytes: &'b [u8],
    cell: String,
    what: String,
}

/// `None` if one of them is no layout stream.
pub fn stream(old: &[u8], new: &[u8]) -> Option<String> {
    let start = [0, 6, kind::HEADER, 2];
    if !old.starts_with(&start) || !new.starts_with(&start) {
        return None;
    }
    let (mut before, mut after) = (Items::new(old), Items::new(new));
    loop {
        match (before.next(), after.next()) {
            (Some(old), Some(new)) if old.bytes == new.bytes => {}
            (Some(old), Some(new)) => {
                let same = old.cell == new.cell && old.what == new.what;
                let then = match same {
                    true => String::new(),
                    false => format!(", then {}{}", in_cell(&new.cell), new.what),
                };
                return Some(format!("in {}{}{then}", in_cell(&old.cell), old.what));
            }
            (Some(old), None) => {
                return Some(format!(
                    "in {}{}, with which it ends the second time",
                    in_cell(&old.cell),
                    old.what
                ))
            }
            (None, Some(new)) => {
                return Some(format!(
                    "in {}{}, which is there only the second time",
                    in_cell(&new.cell),
                    new.what
                ))
            }
            (None, None) => return None,
        }
    }
}

fn in_cell(cell: &str) -> String {
    if cell.is_empty() {
        return String::new();
    }
    format!("cell '{cell}', ")
}

struct Items<'b> {
    rest: &'b [u8],
    cell: String,
    /// Elements of the cell so far.
    elements: usize,
}

impl<'b> Items<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        Items {
            rest: bytes,
            cell: String::new(),
            elements: 0,
        }
    }
}

/// The record at the start: its kind, its data, its length. `None` at the end or where it is cut short.
fn record(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (head, _) = bytes.split_first_chunk::<4>()?;
    let length = usize::from(u16::from_be_bytes([head[0], head[1]]));
    Some((head[2], bytes.get(4..length)?, length))
}

fn name(data: &[u8]) -> String {
    String::from_utf8_lossy(data)
        .trim_end_matches('\0')
        .to_string()
}

fn first_number(data: &[u8]) -> Option<i16> {
    data.first_chunk::<2>()
        .map(|bytes| i16::from_be_bytes(*bytes))
}

fn element_word(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0x08 => "boundary",
        0x09 => "path",
        0x0a => "reference",
        0x0b => "array of references",
        0x0c => "text",
        0x15 => "node",
        0x2d => "box",
        _ => return None,
    })
}

impl<'b> Iterator for Items<'b> {
    type Item = Item<'b>;

    fn next(&mut self) -> Option<Item<'b>> {
        let (first, data, length) = record(self.rest)?;
        let mut what = match first {
            kind::HEADER => "the header".to_string(),
            kind::BEGIN_LIBRARY => "the dates of the library".to_string(),
            kind::END_CELL => "the end of the cell".to_string(),
            _ => format!("a record of kind {first:#04x}"),
        };
        let mut length = length;
        if first == kind::BEGIN_CELL {
            // The name follows the dates; it says where these are.
            let named = self.rest.get(length..).and_then(record);
            self.cell = named
                .filter(|(kind, ..)| *kind == kind::CELL_NAME)
                .map(|(_, data, _)| name(data))
                .unwrap_or_default();
            self.elements = 0;
            what = "its dates".to_string();
        } else if first == kind::CELL_NAME {
            self.cell = name(data);
            what = "its name".to_string();
        } else if let Some(word) = element_word(first) {
            self.elements += 1;
            let (end, place) = element(self.rest);
            length = end;
            what = format!("element {} ({word}{place})", self.elements);
        }
        let (bytes, rest) = self.rest.split_at_checked(length.max(4))?;
        self.rest = rest;
        let item = Item {
            bytes,
            cell: self.cell.clone(),
            what,
        };
        if first == kind::END_CELL {
            self.cell.clear();
        }
        Some(item)
    }
}

/// Length of the element at the start, and on which layer it lies or to which cell it refers.
fn element(bytes: &[u8]) -> (usize, String) {
    let (mut at, mut layer, mut purpose, mut cell) = (0, None, None, None);
    while let Some((kind, data, length)) = bytes.get(at..).and_then(record) {
        at += length.max(4);
        match kind {
            kind::LAYER => layer = first_number(data),
            kind::DATA_TYPE | kind::TEXT_TYPE | kind::BOX_TYPE => purpose = first_number(data),
            kind::REFERENCE_NAME => cell = Some(name(data)),
            kind::END_ELEMENT => break,
            _ => {}
        }
    }
    let place = match (cell, layer, purpose) {
        (Some(cell), ..) => format!(" to '{cell}'"),
        (None, Some(layer), purpose) => format!(" on layer {layer}/{}", purpose.unwrap_or(0)),
        _ => String::new(),
    };
    (at, place)
}

#[cfg(test)]
mod tests {
    use super::stream;

    fn record(kind: u8, data_type: u8, data: &[u8]) -> Vec<u8> {
        let mut bytes = ((data.len() + 4) as u16).to_be_bytes().to_vec();
        bytes.extend([kind, data_type]);
        bytes.extend(data);
        bytes
    }

    /// A library with one cell: a boundary, and a reference to another cell.
    fn library(dates: u8, corner: u8, cell: &[u8]) -> Vec<u8> {
        [
            record(0x00, 2, &[2, 88]),
            record(0x01, 2, &[dates; 24]),
            record(0x02, 6, b"LIB\0"),
            record(0x05, 2, &[0; 24]),
            record(0x06, 6, b"TOP\0"),
            record(0x08, 0, &[]),
            record(0x0d, 2, &[0, 68]),
            record(0x0e, 2, &[0, 20]),
            record(0x10, 3, &[0, 0, 0, corner]),
            record(0x11, 0, &[]),
            record(0x0a, 0, &[]),
            record(0x12, 6, cell),
            record(0x11, 0, &[]),
            record(0x07, 0, &[]),
            record(0x04, 0, &[]),
        ]
        .concat()
    }

    #[test]
    fn the_cell_and_the_layer_are_told() {
        let old = library(0, 1, b"INV1");
        let told = |new: &[u8]| stream(&old, new).expect("a place");
        assert_eq!(
            told(&library(0, 2, b"INV1")),
            "in cell 'TOP', element 1 (boundary on layer 68/20)"
        );
        assert_eq!(
            told(&library(0, 1, b"INV2")),
            "in cell 'TOP', element 2 (reference to 'INV1'), then cell 'TOP', element 2 (reference to 'INV2')"
        );
        assert_eq!(told(&library(7, 1, b"INV1")), "in the dates of the library");
        let cut = &old[..old.len() - 4];
        assert!(
            told(cut).ends_with("with which it ends the second time"),
            "{}",
            told(cut)
        );
        assert!(stream(b"\0\x06\x01\x02", &old).is_none());
    }
}
