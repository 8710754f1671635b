//! Joins the functional Verilog of the cells and the user-defined primitives that they need.

use std::collections::BTreeSet;

use crate::wheel::Files;
use crate::PdkError;

/// Heading that gives the delay macro of the library a default and names the licence once.
fn heading(what: &str) -> String {
    format!(
        "// {what} of sky130_fd_sc_hd. Copyright 2020 The SkyWater PDK Authors.\n\
         // SPDX-License-Identifier: Apache-2.0\n`ifndef UNIT_DELAY\n`define UNIT_DELAY\n`endif\n"
    )
}

/// Module names of the cells defined in `text`.
fn modules(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("module "))
        .map(|rest| {
            rest.split(|character: char| character == '(' || character.is_whitespace())
                .next()
                .unwrap_or_default()
        })
}

/// The functional models of all cells (without their `include` lines) and the primitives that these named.
pub fn merge(files: &Files) -> Result<(String, String), PdkError> {
    let mut cells = heading("Functional models");
    let mut primitives = heading("User-defined primitives");
    let mut wanted = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for (path, bytes) in files
        .iter()
        .filter(|(path, _)| path.ends_with(".functional.v"))
    {
        let text = String::from_utf8_lossy(bytes);
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("`include ") {
                let name = name.trim().trim_matches('"');
                if let Some(name) = name.strip_prefix("../../models/") {
                    wanted.insert(format!("sky130_fd_sc_hd/models/{name}"));
                }
            }
        }
        if modules(&text).any(|name| !seen.insert(name.to_string())) {
            return Err(PdkError::content(
                path,
                "a module that another file defines too",
            ));
        }
        append(&mut cells, &text);
    }
    for path in &wanted {
        let bytes = files
            .get(path)
            .ok_or_else(|| PdkError::content(path, "included by a cell, not in the package"))?;
        append(&mut primitives, &String::from_utf8_lossy(bytes));
    }
    Ok((cells, primitives))
}

/// Adds a file's lines without its licence comment (the heading has it), its includes and runs of empty lines.
fn append(output: &mut String, text: &str) {
    let body = match text.find("*/") {
        Some(end) if text.trim_start().starts_with("/*") => &text[end + 2..],
        _ => text,
    };
    let mut blank = true;
    for line in body.lines().map(str::trim_end) {
        // "NO_PRIMITIVES" is never defined; its include would name a file that is not there.
        if line.starts_with("`include ") || (line.is_empty() && blank) {
            continue;
        }
        blank = line.is_empty();
        output.push_str(line);
        output.push('\n');
    }
}
