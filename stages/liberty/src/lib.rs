//! Stage `liberty`: the timing, power and capacitance of the cells that the flow uses, measured with ngspice.
//!
//! Transistors, their diffusions and the wires inside a cell are taken from the cell's layout ([`extract`]), what it computes from its
//! functional Verilog ([`logic`]); both are checked against each other. The transistor models are the foundry's. A PDK that brings a
//! Liberty for the corner is believed instead.

mod bench;
mod cells;
mod circuit;
mod combinational;
mod constraints;
mod corner;
mod error;
mod extract;
mod grid;
mod hidden;
mod junction;
mod library;
mod logic;
mod measure;
mod models;
mod reference;
mod resistance;
mod sequential;
mod spice;
mod table;
mod wires;
mod write;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use nanoflow_sdk::{Context, Stage, StageError, Tool};
use serde::Deserialize;

use cells::Source;
use corner::Corner;
pub use error::LibertyError;
use library::Cell;
use reference::Reference;

/// Prefix of every cell of the library; names in the parameters may leave it out.
const PREFIX: &str = "sky130_fd_sc_hd__";

/// Parameters of the stage.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Cells to characterise.
    pub cells: Vec<String>,
    /// Cells that a layout needs and no signal passes.
    pub physical: Vec<String>,
    /// Process corner: `tt`, `ss` or `ff`.
    pub corner: String,
    /// Input transitions of the tables, ns, ascending.
    pub slews: Vec<f64>,
    /// Number of loads of the tables.
    pub loads: usize,
    /// Transitions of the setup and hold tables, ns, ascending.
    pub constraint_slews: Vec<f64>,
}

/// The cells of the shipped flow: what synthesis maps to (`tool-wrappers/yosys/cells.txt`), the clock tree's buffers, the scan flip-flop.
const CELLS: &str = "inv_1 inv_2 inv_4 inv_8 buf_1 buf_2 buf_4 buf_8 buf_16 clkbuf_1 clkbuf_2 clkbuf_4 clkbuf_8 clkbuf_16 \
    nand2_1 nand2_2 nand3_1 nand4_1 nand2b_1 nor2_1 nor2_2 nor3_1 nor2b_1 and2_1 and3_1 or2_1 or3_1 \
    a21oi_1 a21o_1 o21ai_1 o21a_1 a22oi_1 a22o_1 o22ai_1 a31oi_1 o31ai_1 a211oi_1 o211ai_1 a221oi_1 o221ai_1 \
    xor2_1 xnor2_1 mux2_1 maj3_1 fa_1 ha_1 dfxtp_1 sdfxtp_1 conb_1";
const PHYSICAL: &str =
    "fill_1 fill_2 fill_4 fill_8 decap_3 decap_4 decap_6 decap_8 decap_12 tapvpwrvgnd_1 diode_2";

impl Default for Params {
    fn default() -> Self {
        let words = |text: &str| text.split_whitespace().map(str::to_string).collect();
        Self {
            cells: words(CELLS),
            physical: words(PHYSICAL),
            corner: "tt".into(),
            slews: vec![0.01, 0.0531, 0.1225, 0.2823, 0.6507, 1.5],
            loads: 5,
            constraint_slews: vec![0.01, 0.5, 1.5],
        }
    }
}

/// The stage `liberty`.
pub struct Liberty;

#[must_use]
pub fn stage() -> &'static dyn Stage {
    &Liberty
}

impl Stage for Liberty {
    fn id(&self) -> &'static str {
        "liberty"
    }

    fn about(&self) -> &'static str {
        "characterises the cells that the flow uses with ngspice into a Liberty file"
    }

    fn tools(&self) -> &'static [Tool] {
        &[Tool {
            program: "ngspice",
            version_args: &["--version"],
            apt: "ngspice",
        }]
    }

    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let params: Params = ctx.params()?;
        let corner = Corner::find(&params.corner)?;
        let pdk = ctx.input("pdk")?.to_path_buf();
        let output = ctx.output(corner.process)?.to_path_buf();
        let published = pdk.join(format!("liberty/{PREFIX}{}.lib", corner.name));
        if published.is_file() {
            return take(ctx, &published, &output);
        }
        let slews = ascending("slews", &params.slews)?;
        let constraint_slews = ascending("constraint_slews", &params.constraint_slews)?;
        let reference = read_reference(ctx)?;
        let source = Source {
            slews,
            constraint_slews,
            loads: params.loads.clamp(2, 16),
            ..Source::read(&pdk, corner)?
        };
        let cells = characterise(ctx, &source, &params)?;
        let text = write::library(
            corner,
            &source.slews,
            source.loads,
            &source.constraint_slews,
            &cells,
        );
        write_file(&output, &text)?;
        ctx.metric("cells", cells.len() as f64, "cells");
        ctx.metric(
            "arcs",
            cells.iter().map(Cell::arcs).sum::<usize>() as f64,
            "arcs",
        );
        let deviations = reference.map(|reference| {
            cells
                .iter()
                .filter_map(|cell| reference.compare(cell))
                .collect::<Vec<_>>()
        });
        if let Some(worst) = deviations.as_deref().and_then(table::worst) {
            ctx.metric("worst_mean_deviation", worst, "");
        }
        if let Some(path) = ctx.optional_output("table") {
            write_file(
                path,
                &table::csv(&cells, deviations.as_deref().unwrap_or_default()),
            )?;
        }
        Ok(())
    }
}

/// A PDK's own Liberty is used as it is.
fn take(ctx: &mut Context, published: &Path, output: &Path) -> Result<(), StageError> {
    let text =
        std::fs::read_to_string(published).map_err(|error| LibertyError::io(published, error))?;
    write_file(output, &text)?;
    let cells = text
        .lines()
        .filter(|line| line.trim_start().starts_with("cell ("))
        .count();
    let arcs = text
        .lines()
        .filter(|line| line.trim_start().starts_with("timing_sense"))
        .count();
    ctx.metric("cells", cells as f64, "cells");
    ctx.metric("arcs", arcs as f64, "arcs");
    if let Some(path) = ctx.optional_output("table") {
        write_file(path, &table::csv(&[], &[]))?;
    }
    Ok(())
}

fn read_reference(ctx: &Context) -> Result<Option<Reference>, LibertyError> {
    let Some(path) = ctx.optional_input("reference") else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(path).map_err(|error| LibertyError::io(path, error))?;
    let reference = Reference::parse(&text);
    if reference.is_empty() {
        let file = path.display().to_string();
        return Err(LibertyError::File {
            file,
            reason: "no Liberty library with cells".into(),
        });
    }
    Ok(Some(reference))
}

fn ascending(name: &'static str, values: &[f64]) -> Result<Vec<f64>, LibertyError> {
    let fine = values.len() >= 2
        && values
            .iter()
            .all(|value| value.is_finite() && *value >= 0.001 && *value <= 10.0)
        && values.windows(2).all(|pair| pair[0] < pair[1]);
    if fine {
        return Ok(values.to_vec());
    }
    Err(LibertyError::Parameter {
        name,
        reason: "two or more ascending transitions from 0.001 to 10 ns are expected".into(),
    })
}

/// All cells, several at a time, in the order of their names whatever the number of threads.
fn characterise(
    ctx: &mut Context,
    source: &Source,
    params: &Params,
) -> Result<Vec<Cell>, StageError> {
    let full = |name: &String| {
        if name.starts_with(PREFIX) {
            name.clone()
        } else {
            format!("{PREFIX}{name}")
        }
    };
    let mut names: Vec<String> = params.cells.iter().map(full).collect();
    names.sort();
    names.dedup();
    let program = spice::program()?;
    let scratch: PathBuf = ctx.scratch().to_path_buf();
    let mut order: Vec<usize> = (0..names.len()).collect();
    // Flip-flops take longest: first, so that no thread is left alone with one at the end.
    order.sort_by_key(|number| {
        (
            !names.get(*number).is_some_and(|name| name.contains("df")),
            *number,
        )
    });
    let next = AtomicUsize::new(0);
    let mut done: Vec<Option<Cell>> = vec![None; names.len()];
    std::thread::scope(|scope| -> Result<(), LibertyError> {
        let (sender, results) = mpsc::channel();
        for _ in 0..ctx.threads().min(names.len()) {
            let sender = sender.clone();
            let (next, order, names, program, scratch) =
                (&next, &order, &names, &program, &scratch);
            scope.spawn(move || {
                while let Some(number) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Some(name) = names.get(*number) else {
                        return;
                    };
                    let result = source.characterise(name, program, &scratch.join(name));
                    let failed = result.is_err();
                    if failed {
                        // The other threads finish their cell and take no more.
                        next.store(order.len(), Ordering::Relaxed);
                    }
                    if sender.send((*number, result)).is_err() || failed {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut count = 0;
        for (number, result) in results {
            let cell = result?;
            count += 1;
            ctx.progress(
                count,
                names.len() as u64,
                "cell",
                cell.name.trim_start_matches(PREFIX),
            );
            if let Some(slot) = done.get_mut(number) {
                *slot = Some(cell);
            }
        }
        Ok(())
    })?;
    let mut cells: Vec<Cell> = done.into_iter().flatten().collect();
    for name in params.physical.iter().map(full) {
        if !names.contains(&name) {
            cells.push(source.physical(&name)?);
        }
    }
    cells.sort_by(|a, b| a.name.cmp(&b.name));
    cells.dedup_by(|a, b| a.name == b.name);
    Ok(cells)
}

fn write_file(path: &Path, text: &str) -> Result<(), LibertyError> {
    std::fs::write(path, text).map_err(|error| LibertyError::io(path, error))
}

#[cfg(test)]
mod tests;
