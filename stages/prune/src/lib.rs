//! Stage `prune`: removes attention heads of a quantised model, those that matter least over all layers.
//!
//! Input: `model` (of stage smoothquant); `calib` (tokens of the training part) for the criteria `taylor` and `measured`; `trained`
//! and `config` (the model before quantisation) for `taylor`; or `heads`, the table of an earlier pruning whose heads are removed
//! again. Outputs: `model`, and optionally `heads`, a table of all heads.

mod importance;

use std::fmt::Write as _;

use nanoflow_model::quant::HeadNorm;
use nanoflow_model::QuantizedGpt;
use nanoflow_sdk::{Context, Stage, StageError};
use serde::{Deserialize, Serialize};

/// What tells how much a head matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Criterion {
    /// L2 norm of its Q, K, V and O weights.
    #[default]
    L2,
    /// First-order Taylor expansion of the loss on calibration data (Michel et al. 2019).
    Taylor,
    /// The loss on calibration data without it; the heads go one by one.
    Measured,
}

/// Parameters of the stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Share of all heads to remove, rounded to whole heads.
    pub ratio: f64,
    pub criterion: Criterion,
    /// Sequences of one block each to calibrate with.
    pub sequences: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            ratio: 0.2,
            criterion: Criterion::L2,
            sequences: 128,
        }
    }
}

/// The stage.
pub struct Prune;

/// The stage, to be registered.
#[must_use]
pub fn stage() -> &'static dyn Stage {
    &Prune
}

impl Stage for Prune {
    fn id(&self) -> &'static str {
        "prune"
    }

    fn about(&self) -> &'static str {
        "removes the attention heads that matter least"
    }

    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let params: Params = ctx.params()?;
        if !(0.0..=1.0).contains(&params.ratio) {
            return Err(StageError::input(format!(
                "params: ratio {} is not between 0 and 1",
                params.ratio
            ))
            .hint("use a value such as 0.2"));
        }
        if params.sequences == 0 {
            return Err(StageError::input("params: sequences is 0").hint("use a value such as 128"));
        }
        let mut model = QuantizedGpt::load(ctx.input("model")?)?;
        let mut heads = model.head_norms();
        let count = (params.ratio * heads.len() as f64).round() as usize;
        let scores = importance::scores(ctx, &params, &model, count)?;
        mark(&mut heads, &scores, count);
        let removed: Vec<(usize, usize)> = heads
            .iter()
            .filter(|head| head.removed)
            .map(|head| (head.layer, head.head))
            .collect();
        model.remove_heads(&removed)?;
        model.save(ctx.output("model")?)?;
        if let Some(path) = ctx.optional_output("heads") {
            std::fs::write(path, table(&heads, &scores))
                .map_err(|error| StageError::io(path, &error))?;
        }
        ctx.metric("heads", heads.len() as f64, "heads");
        ctx.metric("heads_removed", removed.len() as f64, "heads");
        ctx.metric("parameters", model.parameters() as f64, "parameters");
        Ok(())
    }
}

/// Marks the `count` heads with the smallest scores; of equal ones the first.
fn mark(heads: &mut [HeadNorm], scores: &[f64], count: usize) {
    let mut order: Vec<usize> = (0..heads.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(a.cmp(&b)));
    for &index in &order[..count.min(order.len())] {
        heads[index].removed = true;
    }
}

fn table(heads: &[HeadNorm], scores: &[f64]) -> String {
    let mut text = String::from("layer,head,l2_norm,score,removed\n");
    for (head, score) in heads.iter().zip(scores) {
        let _ = writeln!(
            text,
            "{},{},{:.6},{score:.6},{}",
            head.layer, head.head, head.norm, head.removed
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_fifth_goes_over_all_layers() {
        let norms = [5.0, 1.0, 4.0, 3.0, 2.0, 9.0, 8.0, 7.0, 1.5, 6.0];
        let mut heads: Vec<HeadNorm> = norms
            .iter()
            .enumerate()
            .map(|(index, &norm)| HeadNorm {
                layer: index / 5,
                head: index % 5,
                norm,
                removed: false,
            })
            .collect();
        mark(&mut heads, &norms, 2);
        let removed: Vec<_> = heads
            .iter()
            .filter(|head| head.removed)
            .map(|head| (head.layer, head.head))
            .collect();
        assert_eq!(removed, [(0, 1), (1, 3)]);
        assert!(table(&heads, &norms).starts_with(
            "layer,head,l2_norm,score,removed\n0,0,5.000000,5.000000,false\n0,1,1.000000,1.000000,true\n"
        ));
    }
}
