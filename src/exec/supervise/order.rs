//! What to start, as bytes on the way from nanoflow to a stage's guard.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::super::sandbox::Confine;

/// A program with all that it gets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Order {
    pub argv: Vec<OsString>,
    pub env: Vec<(OsString, OsString)>,
    pub dir: PathBuf,
    pub confine: Option<Confine>,
}

/// Sections: flags, argv, names of variables, their values, folder, readable, writable, inputs. Each is a list of words that end
/// with a NUL, which none of them can hold. Before them stand the length of all that follows and that of each.
const SECTIONS: usize = 8;

impl Order {
    pub fn to_bytes(&self) -> Vec<u8> {
        let confine = self.confine.clone().unwrap_or_default();
        let flags = [
            (self.confine.is_some(), "confine"),
            (confine.enforce, "enforce"),
            (confine.network, "network"),
        ];
        let flags = flags.iter().filter(|(set, _)| *set);
        let paths = |paths: &[PathBuf]| words(paths.iter().map(|path| path.as_os_str()));
        let sections: [Vec<u8>; SECTIONS] = [
            words(flags.map(|(_, word)| OsStr::new(*word))),
            words(self.argv.iter().map(OsString::as_os_str)),
            words(self.env.iter().map(|(name, _)| name.as_os_str())),
            words(self.env.iter().map(|(_, value)| value.as_os_str())),
            paths(std::slice::from_ref(&self.dir)),
            paths(&confine.read),
            paths(&confine.write),
            paths(std::slice::from_ref(&confine.inputs)),
        ];
        let mut bytes = vec![0; 8];
        for section in &sections {
            bytes.extend((section.len() as u64).to_le_bytes());
        }
        bytes.extend(sections.concat());
        let total = (bytes.len() - 8) as u64;
        if let Some(place) = bytes.get_mut(..8) {
            place.copy_from_slice(&total.to_le_bytes());
        }
        bytes
    }

    /// # Errors
    /// The other end went away.
    pub fn read(from: &mut impl Read) -> std::io::Result<Order> {
        let mut total = [0u8; 8];
        from.read_exact(&mut total)?;
        let total = u64::from_le_bytes(total);
        // Room for most, so that it comes in one piece.
        let mut whole = Vec::with_capacity(usize::try_from(total).unwrap_or(0).min(1 << 20));
        from.by_ref().take(total).read_to_end(&mut whole)?;
        let cut = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let (lengths, mut rest) = whole.split_at_checked(SECTIONS * 8).ok_or_else(cut)?;
        let mut sections = lengths.chunks_exact(8).map(|length| {
            let length = length.try_into().map_or(0, u64::from_le_bytes);
            let length = usize::try_from(length).map_err(|_| cut())?;
            let (section, after) = rest.split_at_checked(length).ok_or_else(cut)?;
            rest = after;
            Ok::<_, std::io::Error>(unwords(section))
        });
        let mut next = || sections.next().unwrap_or(Ok(Vec::new()));
        let (flags, argv, names, values) = (next()?, next()?, next()?, next()?);
        let (dir, read, write, inputs) = (next()?, next()?, next()?, next()?);
        let paths = |words: Vec<OsString>| words.into_iter().map(PathBuf::from).collect();
        let one = |words: Vec<OsString>| words.into_iter().next().unwrap_or_default().into();
        let has = |word: &str| flags.iter().any(|flag| flag == word);
        Ok(Order {
            argv,
            env: names.into_iter().zip(values).collect(),
            dir: one(dir),
            confine: has("confine").then(|| Confine {
                enforce: has("enforce"),
                network: has("network"),
                read: paths(read),
                write: paths(write),
                inputs: one(inputs),
            }),
        })
    }
}

fn words<'a>(words: impl Iterator<Item = &'a OsStr>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in words {
        bytes.extend_from_slice(word.as_bytes());
        bytes.push(0);
    }
    bytes
}

fn unwords(bytes: &[u8]) -> Vec<OsString> {
    bytes
        .split_inclusive(|byte| *byte == 0)
        .map(|word| OsString::from_vec(word.strip_suffix(&[0]).unwrap_or(word).to_vec()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_arrives() {
        let order = Order {
            argv: vec![
                "sh".into(),
                OsString::new(),
                OsString::from_vec(b"\xff\n'".to_vec()),
            ],
            env: vec![("A".into(), "1=2".into()), ("B".into(), OsString::new())],
            dir: "/a b".into(),
            confine: Some(Confine {
                enforce: true,
                network: false,
                read: vec!["/r".into(), "/s".into()],
                write: vec!["/w".into()],
                inputs: "/w/inputs".into(),
            }),
        };
        let bytes = order.to_bytes();
        assert_eq!(Order::read(&mut bytes.as_slice()).expect("an order"), order);
        let free = Order {
            confine: None,
            ..order
        };
        assert_eq!(
            Order::read(&mut free.to_bytes().as_slice()).expect("an order"),
            free
        );
        assert!(Order::read(&mut &bytes[..bytes.len() - 1]).is_err());
    }
}
