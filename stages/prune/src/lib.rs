//! Stage `prune`: removes the attention heads with the smallest weights of a quantised model, over all layers.
//!
//! Input: `model` (of stage smoothquant). Outputs: `model`, and optionally `heads`, a table of all heads.

use std::fmt::Write as _;

use nanoflow_model::quant::HeadNorm;
use nanoflow_model::QuantizedGpt;
use nanoflow_sdk::{Context, Stage, StageError};
use serde::{Deserialize, Serialize};

/// Parameters of the stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Share of all heads to remove, rounded to whole heads.
    pub ratio: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { ratio: 0.2 }
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
        "removes the attention heads with the smallest weights"
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
        let mut model = QuantizedGpt::load(ctx.input("model")?)?;
        let heads = choose(model.head_norms(), params.ratio);
        let removed: Vec<(usize, usize)> = heads
            .iter()
            .filter(|head| head.removed)
            .map(|head| (head.layer, head.head))
            .collect();
        model.remove_heads(&removed)?;
        model.save(ctx.output("model")?)?;
        if let Some(path) = ctx.optional_output("heads") {
            std::fs::write(path, table(&heads)).map_err(|error| StageError::io(path, &error))?;
        }
        ctx.metric("heads", heads.len() as f64, "heads");
        ctx.metric("heads_removed", removed.len() as f64, "heads");
        ctx.metric("parameters", model.parameters() as f64, "parameters");
        Ok(())
    }
}

/// Marks the `ratio` of heads with the smallest norms; of equal ones the first.
fn choose(mut heads: Vec<HeadNorm>, ratio: f64) -> Vec<HeadNorm> {
    let count = (ratio * heads.len() as f64).round() as usize;
    let mut order: Vec<usize> = (0..heads.len()).collect();
    order.sort_by(|&a, &b| heads[a].norm.total_cmp(&heads[b].norm).then(a.cmp(&b)));
    for &index in &order[..count.min(order.len())] {
        heads[index].removed = true;
    }
    heads
}

fn table(heads: &[HeadNorm]) -> String {
    let mut text = String::from("layer,head,l2_norm,removed\n");
    for head in heads {
        let _ = writeln!(
            text,
            "{},{},{:.6},{}",
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
        let heads = norms
            .iter()
            .enumerate()
            .map(|(index, &norm)| HeadNorm {
                layer: index / 5,
                head: index % 5,
                norm,
                removed: false,
            })
            .collect();
        let chosen = choose(heads, 0.2);
        let removed: Vec<_> = chosen
            .iter()
            .filter(|head| head.removed)
            .map(|head| (head.layer, head.head))
            .collect();
        assert_eq!(removed, [(0, 1), (1, 3)]);
        assert!(table(&chosen)
            .starts_with("layer,head,l2_norm,removed\n0,0,5.000000,false\n0,1,1.000000,true\n"));
    }
}
