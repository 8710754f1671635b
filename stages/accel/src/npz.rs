//! `.npz` archives as NumPy's `savez` writes them: a zip of uncompressed `.npy` files. Only what models need: int8, int16, int32
//! and float32 in C order.

use std::collections::BTreeMap;
use std::path::Path;

use crate::AccelError;

/// The numbers of an array.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    F32(Vec<f32>),
}

/// An array with its shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Values,
}

impl Values {
    /// NumPy's name of the type.
    #[must_use]
    pub fn descr(&self) -> &'static str {
        match self {
            Values::I8(_) => "|i1",
            Values::I16(_) => "<i2",
            Values::I32(_) => "<i4",
            Values::F32(_) => "<f4",
        }
    }

    /// Count of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Values::I8(values) => values.len(),
            Values::I16(values) => values.len(),
            Values::I32(values) => values.len(),
            Values::F32(values) => values.len(),
        }
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Little-endian bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Values::I8(values) => values.iter().map(|&value| value as u8).collect(),
            Values::I16(values) => values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
            Values::I32(values) => values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
            Values::F32(values) => values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        }
    }

    fn parse(descr: &str, bytes: &[u8]) -> Option<Self> {
        let pairs = || {
            bytes
                .chunks_exact(2)
                .map(|b| i16::from_le_bytes([b[0], b[1]]))
        };
        let quads = || bytes.chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]);
        Some(match descr {
            "|i1" => Values::I8(bytes.iter().map(|&byte| byte as i8).collect()),
            "<i2" => Values::I16(pairs().collect()),
            "<i4" => Values::I32(quads().map(i32::from_le_bytes).collect()),
            "<f4" => Values::F32(quads().map(f32::from_le_bytes).collect()),
            _ => return None,
        })
    }

    fn size(descr: &str) -> Option<usize> {
        match descr {
            "|i1" => Some(1),
            "<i2" => Some(2),
            "<i4" | "<f4" => Some(4),
            _ => None,
        }
    }
}

/// Named arrays, in order of their names.
pub type Arrays = BTreeMap<String, Array>;

/// Bytes of an archive with these arrays; the same arrays give the same bytes.
///
/// # Errors
/// [`AccelError::Model`] when an archive of more than 4 GiB would be needed.
pub fn npz_bytes(arrays: &Arrays) -> Result<Vec<u8>, AccelError> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for (name, array) in arrays {
        let data = npy_bytes(array);
        let name = format!("{name}.npy");
        let too_big = |_| {
            AccelError::Model(format!(
                "{name}: an archive of more than 4 GiB is not supported"
            ))
        };
        let offset = u32::try_from(out.len()).map_err(too_big)?;
        let size = u32::try_from(data.len()).map_err(too_big)?;
        // Version 2.0, no flags, stored, 1980-01-01 00:00, then checksum and sizes: equal in both headers.
        let mut common = Vec::new();
        for half in [20u16, 0, 0, 0, 0x21] {
            common.extend(half.to_le_bytes());
        }
        for word in [crc32fast::hash(&data), size, size] {
            common.extend(word.to_le_bytes());
        }
        common.extend((name.len() as u16).to_le_bytes());
        common.extend(0u16.to_le_bytes());
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(&data);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        // Comment length, disk, internal attributes, external attributes.
        directory.extend([0u8; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = u32::try_from(out.len())
        .map_err(|_| AccelError::Model("archive of more than 4 GiB".into()))?;
    let count = arrays.len() as u16;
    out.extend(&directory);
    out.extend(b"PK\x05\x06\x00\x00\x00\x00");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0u8; 2]);
    Ok(out)
}

fn npy_bytes(array: &Array) -> Vec<u8> {
    let dims: Vec<String> = array.shape.iter().map(ToString::to_string).collect();
    let shape = match dims.as_slice() {
        [] => "()".to_string(),
        [one] => format!("({one},)"),
        many => format!("({})", many.join(", ")),
    };
    let mut header = format!(
        "{{'descr': '{}', 'fortran_order': False, 'shape': {shape}, }}",
        array.values.descr()
    );
    // Magic, version, length and header together are a multiple of 64 and end with a line feed.
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((header.len() as u16).to_le_bytes());
    out.extend(header.as_bytes());
    out.extend(array.values.bytes());
    out
}

/// Reads an archive.
///
/// # Errors
/// [`AccelError::Io`], or [`AccelError::File`] that names the member at fault.
pub fn read_npz(path: &Path) -> Result<Arrays, AccelError> {
    let bytes = std::fs::read(path).map_err(|error| AccelError::io(path, error))?;
    parse_npz(&bytes).map_err(|message| AccelError::file(path, message))
}

fn parse_npz(bytes: &[u8]) -> Result<Arrays, String> {
    let end = (0..bytes.len().saturating_sub(21))
        .rev()
        .find(|&at| bytes[at..].starts_with(b"PK\x05\x06"))
        .ok_or("this is no .npz archive (no zip directory at its end)")?;
    let count = half(bytes, end + 10)?;
    let mut at = word(bytes, end + 16)?;
    let mut arrays = Arrays::new();
    for _ in 0..count {
        if !bytes
            .get(at..)
            .unwrap_or_default()
            .starts_with(b"PK\x01\x02")
        {
            return Err("the zip directory is damaged".into());
        }
        let (method, checksum, size) = (
            half(bytes, at + 10)?,
            word(bytes, at + 16)?,
            word(bytes, at + 24)?,
        );
        let lengths = (
            half(bytes, at + 28)?,
            half(bytes, at + 30)?,
            half(bytes, at + 32)?,
        );
        let offset = word(bytes, at + 42)?;
        let name = bytes
            .get(at + 46..at + 46 + lengths.0)
            .ok_or("the zip directory is cut off")?;
        let name = String::from_utf8_lossy(name)
            .trim_end_matches(".npy")
            .to_string();
        at += 46 + lengths.0 + lengths.1 + lengths.2;
        if method != 0 {
            return Err(format!(
                "'{name}' is compressed; write it with numpy.savez, not savez_compressed"
            ));
        }
        let start = offset + 30 + half(bytes, offset + 26)? + half(bytes, offset + 28)?;
        let data = bytes
            .get(start..start + size)
            .ok_or_else(|| format!("'{name}' is cut off"))?;
        if crc32fast::hash(data) as usize != checksum {
            return Err(format!("'{name}' is damaged (checksum)"));
        }
        let array = parse_npy(data).map_err(|message| format!("'{name}': {message}"))?;
        arrays.insert(name, array);
    }
    Ok(arrays)
}

fn half(bytes: &[u8], at: usize) -> Result<usize, String> {
    let pair = bytes.get(at..at + 2).ok_or("the archive is cut off")?;
    Ok(usize::from(u16::from_le_bytes([pair[0], pair[1]])))
}

fn word(bytes: &[u8], at: usize) -> Result<usize, String> {
    Ok(half(bytes, at)? | half(bytes, at + 2)? << 16)
}

fn parse_npy(data: &[u8]) -> Result<Array, String> {
    if !data.starts_with(b"\x93NUMPY") {
        return Err("no NumPy array".into());
    }
    let (length, start) = if data.get(6) == Some(&1) {
        (half(data, 8)?, 10)
    } else {
        (word(data, 8)?, 12)
    };
    let header = data
        .get(start..start + length)
        .ok_or("the header is cut off")?;
    let header = String::from_utf8_lossy(header);
    let field = |key: &str| {
        header
            .split_once(key)
            .map(|(_, rest)| rest.trim_start_matches([' ', ':']))
    };
    let descr = field("'descr'")
        .and_then(|rest| rest.split('\'').nth(1))
        .ok_or("the header has no 'descr'")?;
    if field("'fortran_order'").is_none_or(|rest| !rest.starts_with("False")) {
        return Err("only C order is supported".into());
    }
    let shape = field("'shape'")
        .and_then(|rest| rest.strip_prefix('('))
        .and_then(|rest| rest.split(')').next());
    let shape = shape.ok_or("the header has no 'shape'")?;
    let shape = shape
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::parse::<usize>);
    let shape = shape
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| "the header's 'shape' cannot be read")?;
    let size =
        Values::size(descr).ok_or_else(|| format!("type '{descr}' is none of i1, i2, i4, f4"))?;
    let count = shape
        .iter()
        .try_fold(size, |product, &dim| product.checked_mul(dim))
        .ok_or("the shape is too big")?;
    let body = data
        .get(start + length..start + length + count)
        .ok_or("fewer values than the shape asks for")?;
    let values = Values::parse(descr, body).ok_or("unknown type")?;
    Ok(Array { shape, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Arrays {
        let mut arrays = Arrays::new();
        arrays.insert(
            "a".into(),
            Array {
                shape: vec![2, 3],
                values: Values::I8(vec![-128, 1, 2, 3, 4, 127]),
            },
        );
        arrays.insert(
            "b.scale".into(),
            Array {
                shape: vec![],
                values: Values::F32(vec![0.25]),
            },
        );
        arrays.insert(
            "c".into(),
            Array {
                shape: vec![0, 4],
                values: Values::I32(vec![]),
            },
        );
        arrays.insert(
            "d".into(),
            Array {
                shape: vec![2],
                values: Values::I16(vec![-5, 300]),
            },
        );
        arrays
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(parse_npz(&npz_bytes(&sample()).unwrap()).unwrap(), sample());
    }

    #[test]
    fn archives_cut_at_any_byte_are_refused() {
        let bytes = npz_bytes(&sample()).unwrap();
        for length in 0..bytes.len() {
            assert!(parse_npz(&bytes[..length]).is_err(), "{length}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            // Damage may be harmless (dates); it must never panic.
            let _ = parse_npz(&damaged);
        }
    }

    #[test]
    fn numpy_opens_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npz");
        std::fs::write(&path, npz_bytes(&sample()).unwrap()).unwrap();
        let script = "import sys,numpy as n; z=n.load(sys.argv[1]); print(z['a'].tolist(), z['b.scale'], z['c'].shape, z['d'].dtype)";
        match duct::cmd!("python3", "-c", script, &path)
            .stderr_null()
            .read()
        {
            Ok(text) => assert_eq!(text, "[[-128, 1, 2], [3, 4, 127]] 0.25 (0, 4) int16"),
            Err(_) => eprintln!("skipped: no python3 with numpy"),
        }
    }
}
