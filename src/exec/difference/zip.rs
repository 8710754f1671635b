//! Zip archives, such as NumPy's `.npz`: the member that differs, and where in it if it is not compressed.

/// A member's name, how it is packed (0: not at all), its data as they lie in the file.
struct Member<'b> {
    name: String,
    method: u16,
    checksum: u32,
    data: &'b [u8],
}

/// `None` if one of them is no archive.
pub fn archive(old: &[u8], new: &[u8]) -> Option<String> {
    let (before, after) = (members(old)?, members(new)?);
    for (old, new) in before.iter().zip(&after) {
        let name = old.name.trim_end_matches(".npy");
        if old.name != new.name {
            return Some(format!(
                "in the order of its members: '{}', then '{}'",
                old.name, new.name
            ));
        }
        if old.checksum == new.checksum && old.data == new.data {
            continue;
        }
        if old.method != 0 || new.method != 0 {
            return Some(format!("in member '{}', which is compressed", old.name));
        }
        return Some(match super::tensors::npy(old.data, new.data) {
            Some(place) => format!("in array '{name}' {place}"),
            None => format!(
                "in member '{}' {}",
                old.name,
                super::first(old.data, new.data)
            ),
        });
    }
    if before.len() != after.len() {
        return Some(format!(
            "in the count of its members: {}, then {}",
            before.len(),
            after.len()
        ));
    }
    let place = super::bytes(old, new);
    Some(format!(
        "in dates or other words about its members, {place}"
    ))
}

fn number(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(width)?)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | usize::from(*byte)),
    )
}

/// The members in the order of the directory at the end of the archive (APPNOTE.TXT 4.3). Archives over 4 GiB are left out.
fn members(bytes: &[u8]) -> Option<Vec<Member<'_>>> {
    if !bytes.starts_with(b"PK\x03\x04") {
        return None;
    }
    // The end record is 22 bytes and a comment of at most 64 KiB.
    let from = bytes.len().saturating_sub(22 + 0xffff);
    let end = from
        + bytes
            .get(from..)?
            .windows(4)
            .rposition(|word| word == b"PK\x05\x06")?;
    let count = number(bytes, end + 10, 2)?;
    let mut at = number(bytes, end + 16, 4)?;
    let mut members = Vec::new();
    for _ in 0..count {
        if bytes.get(at..at + 4)? != b"PK\x01\x02" {
            return None;
        }
        let (packed, name_length) = (number(bytes, at + 20, 4)?, number(bytes, at + 28, 2)?);
        let local = number(bytes, at + 42, 4)?;
        let data = local + 30 + number(bytes, local + 26, 2)? + number(bytes, local + 28, 2)?;
        members.push(Member {
            name: String::from_utf8_lossy(bytes.get(at + 46..at + 46 + name_length)?).into_owned(),
            method: u16::try_from(number(bytes, at + 10, 2)?).ok()?,
            checksum: u32::try_from(number(bytes, at + 16, 4)?).ok()?,
            data: bytes.get(data..data.checked_add(packed)?)?,
        });
        at += 46 + name_length + number(bytes, at + 30, 2)? + number(bytes, at + 32, 2)?;
    }
    Some(members)
}

#[cfg(test)]
mod tests {
    use super::archive;

    /// An archive with one member that is not compressed.
    fn packed(name: &str, data: &[u8], checksum: u32) -> Vec<u8> {
        let size = (data.len() as u32).to_le_bytes();
        let length = (name.len() as u16).to_le_bytes();
        // After the signature: version, flags, method, time, date.
        let common = [20u8, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.extend(common);
        for field in [&checksum.to_le_bytes()[..], &size, &size, &length, &[0, 0]] {
            bytes.extend(field);
        }
        bytes.extend(name.as_bytes());
        bytes.extend(data);
        let directory = bytes.len() as u32;
        bytes.extend(b"PK\x01\x02\x14\x00");
        bytes.extend(common);
        for field in [&checksum.to_le_bytes()[..], &size, &size, &length, &[0; 16]] {
            bytes.extend(field);
        }
        bytes.extend(name.as_bytes());
        let length = bytes.len() as u32 - directory;
        bytes.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        bytes.extend(length.to_le_bytes());
        bytes.extend(directory.to_le_bytes());
        bytes.extend([0, 0]);
        bytes
    }

    #[test]
    fn the_array_and_its_index_are_told() {
        let array = |value: u8| {
            let head = "{'descr': '|i1', 'fortran_order': False, 'shape': (2, 3), }\n";
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((head.len() as u16).to_le_bytes());
            bytes.extend(head.as_bytes());
            bytes.extend([1, 2, 3, 4, 5, value]);
            packed("w.npy", &bytes, u32::from(value))
        };
        assert_eq!(
            archive(&array(6), &array(250)).expect("a place"),
            "in array 'w' at [1, 2]: 6, then -6"
        );
        let told = archive(&packed("t.txt", b"a\nb", 1), &packed("t.txt", b"a\nc", 2));
        assert_eq!(
            told.expect("a place"),
            "in member 't.txt' at line 2: 'b', then 'c'"
        );
        assert!(archive(b"PK\x03\x04", b"PK\x03\x04x").is_none());
    }
}
