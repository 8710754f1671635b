//! Sampling text from a model.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::evaluate::LanguageModel;
use crate::ModelError;

/// How tokens are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the largest.
    pub temperature: f32,
    /// Draws from this many of the largest logits only; 0 from all.
    pub top_k: usize,
    pub seed: u64,
}

/// Continues `prompt` by `count` tokens and returns prompt and continuation.
///
/// # Errors
/// When the prompt is empty or the model refuses it.
pub fn generate(
    model: &dyn LanguageModel,
    prompt: &[u16],
    count: usize,
    sampling: Sampling,
) -> Result<Vec<u16>, ModelError> {
    let mut rng = ChaCha8Rng::seed_from_u64(sampling.seed);
    let mut tokens = prompt.to_vec();
    for _ in 0..count {
        let context = &tokens[tokens.len().saturating_sub(model.block())..];
        let logits = model.logits(context)?;
        let last = &logits[logits.len() - model.vocabulary()..];
        tokens.push(draw(last, sampling, &mut rng));
    }
    Ok(tokens)
}

fn draw(logits: &[f32], sampling: Sampling, rng: &mut ChaCha8Rng) -> u16 {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    if sampling.temperature <= 0.0 {
        return order[0] as u16;
    }
    let kept = if sampling.top_k == 0 {
        order.len()
    } else {
        sampling.top_k.min(order.len())
    };
    let largest = logits[order[0]];
    let weights: Vec<f64> = order[..kept]
        .iter()
        .map(|&index| f64::from((logits[index] - largest) / sampling.temperature).exp())
        .collect();
    let mut point = rng.random::<f64>() * weights.iter().sum::<f64>();
    for (&index, weight) in order.iter().zip(&weights) {
        point -= weight;
        if point <= 0.0 {
            return index as u16;
        }
    }
    order[kept - 1] as u16
}
