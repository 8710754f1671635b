//! Arrays of numbers: safetensors (a length, a JSON header, the data) and NumPy's `.npy`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// A safetensors file: its tensors, its metadata, the data. `None` if it is none.
fn read(bytes: &[u8]) -> Option<(BTreeMap<String, Tensor>, Value, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (header, data) =
        rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    if header.first() != Some(&b'{') {
        return None;
    }
    let mut header: BTreeMap<String, Value> = serde_json::from_slice(header).ok()?;
    let metadata = header.remove("__metadata__").unwrap_or_default();
    let tensors = header
        .into_iter()
        .map(|(name, value)| Some((name, serde_json::from_value(value).ok()?)))
        .collect::<Option<_>>()?;
    Some((tensors, metadata, data))
}

/// `None` if one of them is no safetensors file.
pub fn safetensors(old: &[u8], new: &[u8]) -> Option<String> {
    let (before, old_metadata, old_data) = read(old)?;
    let (after, new_metadata, new_data) = read(new)?;
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (old, new) = match (before.get(name), after.get(name)) {
            (Some(old), Some(new)) => (old, new),
            (Some(_), None) => {
                return Some(format!(
                    "in tensor '{name}', which is not there the second time"
                ))
            }
            _ => {
                return Some(format!(
                    "in tensor '{name}', which is there only the second time"
                ))
            }
        };
        if (&old.dtype, &old.shape) != (&new.dtype, &new.shape) {
            let kind = |tensor: &Tensor| format!("{} {:?}", tensor.dtype, tensor.shape);
            return Some(format!(
                "in tensor '{name}': {}, then {}",
                kind(old),
                kind(new)
            ));
        }
        let old_values = old_data.get(old.data_offsets.0..old.data_offsets.1)?;
        let new_values = new_data.get(new.data_offsets.0..new.data_offsets.1)?;
        if let Some(place) = element(&old.dtype, &old.shape, old_values, new_values) {
            return Some(format!("in tensor '{name}' {place}"));
        }
    }
    if old_metadata != new_metadata {
        let text = |value: Value| value.to_string().into_bytes();
        let place = super::json::document(&text(old_metadata), &text(new_metadata));
        return Some(
            format!("in the metadata {}", place.unwrap_or_default())
                .trim_end()
                .to_string(),
        );
    }
    Some("in the order of its tensors".to_string())
}

/// `None` if one of them is no `.npy` file.
pub fn npy(old: &[u8], new: &[u8]) -> Option<String> {
    let (old_head, old_data) = npy_parts(old)?;
    let (new_head, new_data) = npy_parts(new)?;
    if old_head != new_head {
        return Some(format!(
            "in its header: {}, then {}",
            old_head.trim(),
            new_head.trim()
        ));
    }
    let dtype = quoted_after(old_head, "'descr'")?;
    let shape = shape_of(old_head)?;
    let dtype = match dtype {
        "<f4" => "F32",
        "<f8" => "F64",
        "<f2" => "F16",
        "|i1" => "I8",
        "<i2" => "I16",
        "<i4" => "I32",
        "<i8" => "I64",
        "|u1" => "U8",
        "<u2" => "U16",
        "<u4" => "U32",
        "<u8" => "U64",
        "|b1" => "BOOL",
        _ => return None,
    };
    // Columns first: the flat index is all that can be told simply.
    let shape = if old_head.contains("'fortran_order': True") {
        Vec::new()
    } else {
        shape
    };
    element(dtype, &shape, old_data, new_data)
}

/// Header and data.
fn npy_parts(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(b"\x93NUMPY")?;
    let (version, rest) = rest.split_first_chunk::<2>()?;
    let (length, rest) = match version[0] {
        1 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        _ => {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            (usize::try_from(u32::from_le_bytes(*length)).ok()?, rest)
        }
    };
    let (head, data) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(head).ok()?, data))
}

fn quoted_after<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.split_once(key)?.1.split('\'').nth(1)
}

fn shape_of(head: &str) -> Option<Vec<usize>> {
    let inside = head
        .split_once("'shape'")?
        .1
        .split_once('(')?
        .1
        .split_once(')')?
        .0;
    let numbers = inside
        .split(',')
        .map(str::trim)
        .filter(|number| !number.is_empty());
    numbers.map(|number| number.parse().ok()).collect()
}

/// Index and values of the first element that differs.
fn element(dtype: &str, shape: &[usize], old: &[u8], new: &[u8]) -> Option<String> {
    let width = width(dtype)?;
    let place = old.iter().zip(new).position(|(a, b)| a != b);
    let Some(place) = place else {
        return (old.len() != new.len())
            .then(|| format!("in its length: {} bytes, then {}", old.len(), new.len()));
    };
    let flat = place / width;
    let value = |bytes: &[u8]| {
        let bytes = bytes.get(flat * width..(flat + 1) * width);
        bytes.map_or_else(|| "nothing".to_string(), |bytes| show(dtype, bytes))
    };
    Some(format!(
        "at {:?}: {}, then {}",
        index(flat, shape),
        value(old),
        value(new)
    ))
}

fn width(dtype: &str) -> Option<usize> {
    Some(match dtype {
        "BOOL" | "I8" | "U8" | "F8_E4M3" | "F8_E5M2" => 1,
        "I16" | "U16" | "F16" | "BF16" => 2,
        "I32" | "U32" | "F32" => 4,
        "I64" | "U64" | "F64" => 8,
        _ => return None,
    })
}

/// The index in rows of `shape`; the flat one if the shape does not tell.
fn index(flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut rest = flat;
    let mut index = Vec::new();
    for length in shape.iter().rev() {
        if *length == 0 {
            return vec![flat];
        }
        index.push(rest % length);
        rest /= length;
    }
    if rest > 0 || index.is_empty() {
        return vec![flat];
    }
    index.reverse();
    index
}

fn show(dtype: &str, bytes: &[u8]) -> String {
    let mut wide = [0u8; 8];
    for (to, from) in wide.iter_mut().zip(bytes) {
        *to = *from;
    }
    let bits = u64::from_le_bytes(wide);
    let low = bits as u32;
    match dtype {
        "F32" => f32::from_bits(low).to_string(),
        "BF16" => f32::from_bits(low << 16).to_string(),
        "F64" => f64::from_bits(bits).to_string(),
        "I8" => (bits as i8).to_string(),
        "I16" => (bits as i16).to_string(),
        "I32" => (bits as i32).to_string(),
        "I64" => (bits as i64).to_string(),
        "F16" | "F8_E4M3" | "F8_E5M2" => format!("{bits:#x}"),
        _ => bits.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    const HEADER: &str = r#"{"a":{"dtype":"I16","shape":[2],"data_offsets":[0,4]},"w.q":{"dtype":"F32","shape":[2,3],"data_offsets":[4,28]}}"#;

    fn data(values: [f32; 6]) -> Vec<u8> {
        let mut bytes = vec![1, 0, 2, 0];
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    }

    #[test]
    fn the_tensor_and_its_index_are_told() {
        let old = file(HEADER, &data([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
        let new = file(HEADER, &data([0.0, 1.0, 2.0, 3.0, 4.5, 5.0]));
        assert_eq!(
            safetensors(&old, &new).expect("a place"),
            "in tensor 'w.q' at [1, 1]: 4, then 4.5"
        );
        let other = file(&HEADER.replace("[2,3]", "[3,2]"), &data([0.0; 6]));
        assert_eq!(
            safetensors(&old, &other).expect("a place"),
            "in tensor 'w.q': F32 [2, 3], then F32 [3, 2]"
        );
        let named = file(&HEADER.replace("w.q", "w.k"), &data([0.0; 6]));
        assert!(safetensors(&old, &named)
            .expect("a place")
            .contains("'w.k', which is there only"));
        let told = file(
            &HEADER.replacen('{', r#"{"__metadata__":{"t":"1"},"#, 1),
            &data([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        );
        assert!(safetensors(&old, &told)
            .expect("a place")
            .starts_with("in the metadata"));
        assert!(safetensors(b"12345678{", &new).is_none());
    }

    #[test]
    fn arrays_of_numpy() {
        let array = |values: [i32; 4], order: &str| {
            let head = format!("{{'descr': '<i4', 'fortran_order': {order}, 'shape': (2, 2), }}\n");
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((head.len() as u16).to_le_bytes());
            bytes.extend(head.as_bytes());
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            bytes
        };
        let (old, new) = (array([1, 2, 3, 4], "False"), array([1, 2, -3, 4], "False"));
        assert_eq!(npy(&old, &new).expect("a place"), "at [1, 0]: 3, then -3");
        let (old, new) = (array([1, 2, 3, 4], "True"), array([1, 2, -3, 4], "True"));
        assert_eq!(npy(&old, &new).expect("a place"), "at [2]: 3, then -3");
    }
}
