//! The transistor cards of the PDK, by channel and size.

use crate::circuit::{Channel, Transistor};
use crate::LibertyError;

/// One size range of a transistor model.
struct Bin {
    channel: Channel,
    /// Ranges in metres: length from, to, width from, to.
    range: [f64; 4],
    lines: Vec<String>,
}

/// All cards of one process corner.
pub struct Models {
    bins: Vec<Bin>,
}

impl Models {
    /// Reads a file of `.model` cards as stage `pdk` writes it.
    pub fn parse(text: &str) -> Result<Self, LibertyError> {
        let mut bins: Vec<Bin> = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('*')) {
            if let Some(rest) = line.strip_prefix(".model ") {
                let channel = match rest.split_whitespace().nth(1) {
                    Some("nmos") => Channel::N,
                    Some("pmos") => Channel::P,
                    other => {
                        return Err(LibertyError::Model(format!(
                            "'{line}': '{}' is no transistor",
                            other.unwrap_or("")
                        )))
                    }
                };
                bins.push(Bin {
                    channel,
                    range: [f64::NAN; 4],
                    lines: Vec::new(),
                });
            } else if let Some(bin) = bins.last_mut() {
                if line.contains("lmin") {
                    bin.range = range(line)
                        .ok_or_else(|| LibertyError::Model(format!("size range '{line}'")))?;
                } else {
                    bin.lines.push(line.to_string());
                }
            }
        }
        if bins.is_empty() {
            return Err(LibertyError::Model("no .model card in the file".into()));
        }
        Ok(Self { bins })
    }

    /// Number of the bin for a transistor.
    pub fn bin(&self, transistor: &Transistor) -> Result<usize, LibertyError> {
        let (length, width) = (transistor.length * 1e-9, transistor.width * 1e-9);
        // Half a tenth of a nanometre keeps a size that stands exactly on a border on the side the foundry means.
        let inside = |bin: &Bin| {
            let [length_from, length_to, width_from, width_to] = bin.range;
            let tiny = 5e-11;
            bin.channel == transistor.channel
                && (length_from - tiny..length_to - tiny).contains(&length)
                && (width_from - tiny..width_to - tiny).contains(&width)
        };
        self.bins.iter().position(inside).ok_or_else(|| {
            LibertyError::Model(format!(
                "none for a {:?} transistor of {:.3} µm × {:.3} µm",
                transistor.channel,
                width * 1e6,
                length * 1e6
            ))
        })
    }

    /// Name and SPICE text of a bin.
    pub fn card(&self, bin: usize) -> (String, String) {
        let Some(found) = self.bins.get(bin) else {
            return (String::new(), String::new());
        };
        let name = format!("bin{bin}");
        let kind = if found.channel == Channel::N {
            "nmos"
        } else {
            "pmos"
        };
        (
            name.clone(),
            format!(".model {name} {kind}\n{}\n", found.lines.join("\n")),
        )
    }

    /// A parameter of the first card of a channel, for estimates without a simulation.
    pub fn parameter(&self, channel: Channel, name: &str) -> Result<f64, LibertyError> {
        let lines = self
            .bins
            .iter()
            .filter(|bin| bin.channel == channel)
            .flat_map(|bin| &bin.lines);
        let value = lines
            .filter_map(|line| assignments(line).find(|(key, _)| *key == name))
            .map(|(_, value)| value)
            .next();
        value.ok_or_else(|| LibertyError::Model(format!("no parameter '{name}'")))
    }
}

/// `name = number` pairs of a line.
fn assignments(line: &str) -> impl Iterator<Item = (&str, f64)> {
    let words: Vec<&str> = line
        .split(|character: char| character.is_whitespace() || character == '=' || character == '+')
        .filter(|word| !word.is_empty())
        .collect();
    // A plus sign in an exponent splits a number; such pairs are dropped here and never asked for.
    (0..words.len().saturating_sub(1))
        .filter_map(move |at| Some((*words.get(at)?, words.get(at + 1)?.parse().ok()?)))
}

fn range(line: &str) -> Option<[f64; 4]> {
    let value = |name: &str| {
        let rest = line.split_once(name)?.1.trim_start().strip_prefix('=')?;
        rest.split_whitespace().next()?.parse::<f64>().ok()
    };
    Some([
        value("lmin")?,
        value("lmax")?,
        value("wmin")?,
        value("wmax")?,
    ])
}
