//! How much each head matters: the smaller a score, the sooner the head goes.

use nanoflow_model::backward::{Pass, Workspace};
use nanoflow_model::data::{read_tokens, Batch};
use nanoflow_model::evaluate::evaluate;
use nanoflow_model::loss::thread_pool;
use nanoflow_model::quant::HeadNorm;
use nanoflow_model::quant_forward::FakeQuantized;
use nanoflow_model::{Gpt, ModelConfig, QuantizedGpt};
use nanoflow_sdk::{Context, StageError};

use crate::{Criterion, Params};

/// One score for each head of `model`, in the order of layers and heads.
///
/// # Errors
/// When an input that the criterion needs is missing or does not fit.
pub fn scores(
    ctx: &Context,
    params: &Params,
    model: &QuantizedGpt,
    count: usize,
) -> Result<Vec<f64>, StageError> {
    if let Some(path) = ctx.optional_input("heads") {
        let text = std::fs::read_to_string(path).map_err(|error| StageError::io(path, &error))?;
        return of_table(&text, &model.head_norms()).ok_or_else(|| {
            StageError::input(format!("{}: not the heads of this model", path.display()))
                .hint("give the output 'heads' of stage prune of a model of the same shape")
        });
    }
    match params.criterion {
        Criterion::L2 => Ok(model.head_norms().iter().map(|head| head.norm).collect()),
        Criterion::Taylor => taylor(ctx, params, model),
        Criterion::Measured => measured(ctx, params, model, count),
    }
}

/// -1 for each head that the table says was removed, so that the same ones go again.
fn of_table(text: &str, heads: &[HeadNorm]) -> Option<Vec<f64>> {
    let lines: Vec<&str> = text.lines().skip(1).collect();
    let fits = |(line, head): (&&str, &HeadNorm)| {
        line.starts_with(&format!("{},{},", head.layer, head.head))
    };
    (lines.len() == heads.len() && lines.iter().zip(heads).all(fits)).then(|| {
        lines
            .iter()
            .map(|line| if line.ends_with(",true") { -1.0 } else { 1.0 })
            .collect()
    })
}

fn calibration(ctx: &Context, params: &Params, shape: &ModelConfig) -> Result<Batch, StageError> {
    let tokens = read_tokens(ctx.input("calib")?, shape)?;
    Ok(Batch::even(&tokens, shape.block, params.sequences))
}

fn taylor(ctx: &Context, params: &Params, model: &QuantizedGpt) -> Result<Vec<f64>, StageError> {
    let config = ModelConfig::load_hub_json(ctx.input("config")?)?;
    let trained = Gpt::load(config, ctx.input("trained")?)?;
    let config = &trained.config;
    let heads = model.head_norms().len();
    if heads != config.layers * config.heads {
        return Err(StageError::input(format!(
            "the quantised model has {heads} heads, the trained one {}",
            config.layers * config.heads
        ))
        .hint("the inputs 'trained' and 'config' must be those that stage smoothquant had"));
    }
    let batch = calibration(ctx, params, config)?;
    let mut workspace = Workspace::new(config, &trained.table, params.sequences, params.sequences);
    let pass = Pass {
        scale: 1.0,
        ..Pass::default()
    };
    let pool = thread_pool(ctx.threads())?;
    let network = trained.network();
    let _ = pool.install(|| workspace.run(&network, &batch, pass));
    Ok(workspace.head_importance())
}

/// Removes one head after the other, each time the one without which the loss is lowest. Those that stay score the loss
/// without them in the last round, the removed ones are below in the order of their going.
fn measured(
    ctx: &Context,
    params: &Params,
    model: &QuantizedGpt,
    count: usize,
) -> Result<Vec<f64>, StageError> {
    let batch = calibration(ctx, params, &model.shape())?;
    let pool = thread_pool(ctx.threads())?;
    let heads: Vec<(usize, usize)> = model
        .head_norms()
        .iter()
        .map(|head| (head.layer, head.head))
        .collect();
    let mut scores = vec![f64::INFINITY; heads.len()];
    let mut removed: Vec<(usize, usize)> = Vec::new();
    for round in 0..count.min(heads.len()) {
        let mut best: Option<(f64, usize)> = None;
        for (index, &head) in heads.iter().enumerate() {
            if removed.contains(&head) {
                continue;
            }
            let mut without = model.clone();
            without.remove_heads(&[removed.as_slice(), &[head]].concat())?;
            let network = FakeQuantized::new(&without);
            let loss = evaluate(&network, &batch.inputs, &[], &pool, &|_, _| {})?.loss();
            scores[index] = loss;
            if best.is_none_or(|(lowest, _)| loss < lowest) {
                best = Some((loss, index));
            }
        }
        if let Some((loss, index)) = best {
            eprintln!(
                "without layer {} head {}: loss {loss:.4}",
                heads[index].0, heads[index].1
            );
            scores[index] = round as f64 - count as f64;
            removed.push(heads[index]);
        }
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_removes_the_same_heads_and_no_other_model_s() {
        let head = |head| HeadNorm {
            layer: 0,
            head,
            norm: 1.0,
            removed: false,
        };
        let heads = [head(0), head(1)];
        let text = "layer,head,l2_norm,score,removed\n0,0,5.0,5.0,true\n0,1,1.0,1.0,false\n";
        assert_eq!(of_table(text, &heads), Some(vec![-1.0, 1.0]));
        assert_eq!(of_table(text, &[head(0)]), None);
        assert_eq!(of_table(text, &[head(0), head(2)]), None);
    }
}
