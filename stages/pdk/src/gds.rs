//! Joins the GDSII files of single cells into one library, record by record.
//!
//! The bytes of each structure stay as they are, its dates too (the package carries one fixed date in all of them).

use std::collections::BTreeMap;

use crate::PdkError;

const HEADER: u8 = 0x00;
const BGNLIB: u8 = 0x01;
const LIBNAME: u8 = 0x02;
const UNITS: u8 = 0x03;
const ENDLIB: u8 = 0x04;
const BGNSTR: u8 = 0x05;
const STRNAME: u8 = 0x06;
const ENDSTR: u8 = 0x07;

/// One GDSII record: its type and its bytes with the header.
struct Record<'a> {
    kind: u8,
    bytes: &'a [u8],
}

impl Record<'_> {
    fn text(&self) -> String {
        let text = self.bytes.get(4..).unwrap_or_default();
        String::from_utf8_lossy(text)
            .trim_end_matches('\0')
            .to_string()
    }
}

/// Splits a file into records, up to `ENDLIB`.
fn records<'a>(file: &str, mut rest: &'a [u8]) -> Result<Vec<Record<'a>>, PdkError> {
    let mut records = Vec::new();
    loop {
        let (Some(&[high, low]), Some(&kind)) = (rest.first_chunk::<2>(), rest.get(2)) else {
            return Err(PdkError::content(
                file,
                "the GDSII stream ends before ENDLIB",
            ));
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some((bytes, after)) = (length >= 4)
            .then(|| rest.split_at_checked(length))
            .flatten()
        else {
            return Err(PdkError::content(
                file,
                format!("a GDSII record has the impossible length {length}"),
            ));
        };
        records.push(Record { kind, bytes });
        if kind == ENDLIB {
            return Ok(records);
        }
        rest = after;
    }
}

/// Joins libraries (file name, bytes) into one named `library`; structures come in order of their names.
///
/// A structure that several files bring is taken from the file named after it, else from the first.
pub fn merge(library: &str, files: &[(&str, &[u8])]) -> Result<Vec<u8>, PdkError> {
    let mut structures: BTreeMap<String, (bool, Vec<u8>)> = BTreeMap::new();
    let mut head: Option<[Vec<u8>; 3]> = None;
    for (file, bytes) in files {
        let records = records(file, bytes)?;
        let this_head = [HEADER, BGNLIB, UNITS].map(|kind| {
            records
                .iter()
                .find(|record| record.kind == kind)
                .map(|record| record.bytes.to_vec())
                .unwrap_or_default()
        });
        match &head {
            None => head = Some(this_head),
            Some([_, _, units]) if *units == this_head[2] => {}
            Some(_) => {
                return Err(PdkError::content(
                    *file,
                    "its GDSII units differ from the other cells'",
                ))
            }
        }
        let stem = file
            .rsplit('/')
            .next()
            .unwrap_or(file)
            .trim_end_matches(".gds");
        let mut open: Option<(String, Vec<u8>)> = None;
        for record in &records {
            if record.kind == BGNSTR {
                open = Some((String::new(), Vec::new()));
            }
            let Some((name, bytes)) = open.as_mut() else {
                continue;
            };
            bytes.extend_from_slice(record.bytes);
            if record.kind == STRNAME {
                *name = record.text();
            }
            if record.kind == ENDSTR {
                if let Some((name, bytes)) = open.take() {
                    let own = name == stem;
                    let slot = structures
                        .entry(name)
                        .or_insert_with(|| (own, bytes.clone()));
                    if own && !slot.0 {
                        *slot = (true, bytes);
                    }
                }
            }
        }
    }
    let [header, begin, units] =
        head.ok_or_else(|| PdkError::content(library, "no GDSII file in the package"))?;
    let mut output = header;
    output.extend_from_slice(&begin);
    output.extend_from_slice(&text_record(LIBNAME, library));
    output.extend_from_slice(&units);
    for (_, bytes) in structures.values() {
        output.extend_from_slice(bytes);
    }
    output.extend_from_slice(&[0, 4, ENDLIB, 0]);
    Ok(output)
}

/// A record that holds text (data type 6), padded to an even length.
fn text_record(kind: u8, text: &str) -> Vec<u8> {
    let mut body = text.as_bytes().to_vec();
    if body.len() % 2 == 1 {
        body.push(0);
    }
    let length = u16::try_from(body.len() + 4)
        .unwrap_or(u16::MAX)
        .to_be_bytes();
    let mut record = vec![length[0], length[1], kind, 6];
    record.extend_from_slice(&body);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(name: &str, structures: &[(&str, u8)]) -> Vec<u8> {
        let mut bytes = vec![0, 6, HEADER, 2, 0, 3, 0, 4, BGNLIB, 2];
        bytes.extend(text_record(LIBNAME, name));
        bytes.extend([0, 4, UNITS, 5]);
        for (name, mark) in structures {
            bytes.extend([0, 6, BGNSTR, 2, 0, *mark]);
            bytes.extend(text_record(STRNAME, name));
            bytes.extend([0, 4, ENDSTR, 0]);
        }
        bytes.extend([0, 4, ENDLIB, 0, 0, 0]);
        bytes
    }

    #[test]
    fn a_cell_is_taken_from_its_own_file() {
        let mixed = library("m", &[("bb", 9), ("m", 1)]);
        let own = library("bb", &[("bb", 2)]);
        let merged = merge("all", &[("cells/m.gds", &mixed), ("cells/bb.gds", &own)]).unwrap();
        assert_eq!(merged, {
            let mut expected = library("all", &[("bb", 2), ("m", 1)]);
            expected.truncate(expected.len() - 2);
            expected
        });
    }

    #[test]
    fn damaged_streams_are_named() {
        let whole = library("m", &[("m", 1)]);
        for length in 0..whole.len() - 2 {
            let error = merge("all", &[("cells/m.gds", &whole[..length])])
                .unwrap_err()
                .to_string();
            assert!(error.contains("cells/m.gds"), "{length}: {error}");
        }
    }
}
