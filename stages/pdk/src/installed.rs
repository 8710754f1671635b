//! Using a PDK that is installed already (open_pdks layout: `sky130A/libs.ref`, `sky130A/libs.tech`).

use std::path::{Path, PathBuf};

use crate::models::{self, CORNERS, DEVICES};
use crate::{write_file, PdkError, LIBRARY};

/// Timing corners whose Liberty is taken along: typical, slow, fast.
const LIBERTY: [&str; 3] = ["tt_025C_1v80", "ss_100C_1v60", "ff_n40C_1v95"];

/// Copies what the flow uses out of an installed PDK; returns the number of cells.
pub fn copy(root: &Path, output: &Path) -> Result<usize, PdkError> {
    let nested = root.join("sky130A");
    let base = if nested.is_dir() {
        nested
    } else {
        root.to_path_buf()
    };
    let cells = base.join("libs.ref").join(LIBRARY);
    let find = |candidates: &[String]| find(root, &cells, candidates);
    let lef = read(&find(&[format!("lef/{LIBRARY}.lef")])?)?;
    let count = String::from_utf8_lossy(&lef)
        .lines()
        .filter(|line| line.trim_start().starts_with("MACRO "))
        .count();
    write_file(&output.join(format!("{LIBRARY}.lef")), &lef)?;
    let plain = [
        (
            format!("{LIBRARY}.tlef"),
            vec![
                format!("techlef/{LIBRARY}__nom.tlef"),
                format!("techlef/{LIBRARY}.tlef"),
            ],
        ),
        (format!("{LIBRARY}.gds"), vec![format!("gds/{LIBRARY}.gds")]),
        (
            format!("{LIBRARY}.cdl"),
            vec![
                format!("cdl/{LIBRARY}.cdl"),
                format!("spice/{LIBRARY}.spice"),
            ],
        ),
        (format!("{LIBRARY}.v"), vec![format!("verilog/{LIBRARY}.v")]),
        (
            "primitives.v".to_string(),
            vec!["verilog/primitives.v".to_string()],
        ),
    ];
    for (name, candidates) in plain {
        write_file(&output.join(name), &read(&find(&candidates)?)?)?;
    }
    copy_models(root, &base, output)?;
    for corner in LIBERTY {
        let name = format!("{LIBRARY}__{corner}.lib");
        let path = cells.join("lib").join(&name);
        if path.is_file() {
            write_file(&output.join("liberty").join(name), &read(&path)?)?;
        }
    }
    write_file(&output.join("VERSION"), version(&base).as_bytes())?;
    Ok(count)
}

/// The transistor cards, if the installation has them where open_pdks puts them. With a Liberty at hand nothing needs them.
fn copy_models(root: &Path, base: &Path, output: &Path) -> Result<(), PdkError> {
    let folder = base.join("libs.ref/sky130_fd_pr/spice");
    for corner in CORNERS {
        let mut text = models::heading(corner);
        for device in DEVICES {
            let path = find(root, &folder, &[format!("{device}__{corner}.pm3.spice")])?;
            text.push_str(&models::cards(
                &path.display().to_string(),
                &String::from_utf8_lossy(&read(&path)?),
            )?);
        }
        write_file(
            &output.join(format!("models/{corner}.spice")),
            text.as_bytes(),
        )?;
    }
    Ok(())
}

/// The first candidate below `folder` that exists.
fn find(root: &Path, folder: &Path, candidates: &[String]) -> Result<PathBuf, PdkError> {
    candidates
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            let first = candidates
                .first()
                .map(|name| folder.join(name))
                .unwrap_or_else(|| folder.to_path_buf());
            let missing = first
                .strip_prefix(root)
                .unwrap_or(&first)
                .display()
                .to_string();
            PdkError::Installed {
                root: root.to_path_buf(),
                missing,
            }
        })
}

fn read(path: &Path) -> Result<Vec<u8>, PdkError> {
    std::fs::read(path).map_err(|error| PdkError::io(path, error))
}

/// Name and revision as open_pdks records them; the place of the installation is left out on purpose.
fn version(base: &Path) -> String {
    let mut text = format!("name: sky130A\nsource: installed PDK\nlibrary: {LIBRARY}\n");
    if let Ok(sources) = std::fs::read_to_string(base.join("SOURCES")) {
        for line in sources
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            text.push_str(&format!("revision: {line}\n"));
        }
    }
    text.push_str("licence of sky130_fd_sc_hd: Apache-2.0\nlicence of sky130_fd_pr: Apache-2.0\n");
    text
}
