//! Perplexity over a whole token file, for any model that gives logits.

use rayon::prelude::*;

use crate::{Gpt, ModelError};

/// What evaluation and sampling need of a model.
pub trait LanguageModel: Sync {
    /// Longest sequence it takes.
    fn block(&self) -> usize;
    fn vocabulary(&self) -> usize;
    /// Logits of every position of one sequence, T × V.
    ///
    /// # Errors
    /// When the sequence does not fit the model.
    fn logits(&self, tokens: &[u16]) -> Result<Vec<f32>, ModelError>;
}

impl LanguageModel for Gpt {
    fn block(&self) -> usize {
        self.config.block
    }
    fn vocabulary(&self) -> usize {
        self.config.vocabulary
    }
    fn logits(&self, tokens: &[u16]) -> Result<Vec<f32>, ModelError> {
        Gpt::logits(self, tokens)
    }
}

/// Sums over the predicted tokens of a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// Tokens that were predicted: all but the first.
    pub tokens: usize,
    /// Sum of their cross-entropies in nats.
    pub nats: f64,
    /// Bytes of text behind them.
    pub bytes: u64,
}

impl Evaluation {
    /// Mean cross-entropy a token, in nats.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.nats / self.tokens as f64
    }
    /// e to the loss.
    #[must_use]
    pub fn perplexity(&self) -> f64 {
        self.loss().exp()
    }
    /// Comparable between tokenisers.
    #[must_use]
    pub fn bits_per_byte(&self) -> f64 {
        self.nats / std::f64::consts::LN_2 / self.bytes as f64
    }
}

/// Predicts every token but the first once: windows of a whole block, side by side, each with the context inside its
/// window. All variants of a model are measured on the same windows. `byte_lengths` tells the bytes behind each token.
///
/// # Errors
/// When there are fewer than two tokens, the model refuses them, or a logit is no finite number.
pub fn evaluate(
    model: &dyn LanguageModel,
    tokens: &[u16],
    byte_lengths: &[u32],
    pool: &rayon::ThreadPool,
    finished: &(dyn Fn(usize, usize) + Sync),
) -> Result<Evaluation, ModelError> {
    if tokens.len() < 2 {
        return Err(ModelError::Data("fewer than two tokens to evaluate".into()));
    }
    let block = model.block();
    let windows: Vec<&[u16]> = (0..tokens.len() - 1)
        .step_by(block)
        .map(|start| &tokens[start..tokens.len().min(start + block + 1)])
        .collect();
    let mut nats = 0.0;
    // In groups, so that progress can be told from this thread.
    let mut done = 0;
    for group in windows.chunks(64) {
        let losses: Vec<f64> = pool.install(|| {
            group
                .par_iter()
                .map(|window| window_loss(model, window))
                .collect::<Result<_, _>>()
        })?;
        nats += losses.iter().sum::<f64>();
        done += group.len();
        finished(done, windows.len());
    }
    let bytes = tokens[1..]
        .iter()
        .map(|&token| {
            byte_lengths
                .get(token as usize)
                .copied()
                .map_or(0, u64::from)
        })
        .sum();
    Ok(Evaluation {
        tokens: tokens.len() - 1,
        nats,
        bytes,
    })
}

/// Sum of the cross-entropies of `window[1..]`, each after what stands before it.
fn window_loss(model: &dyn LanguageModel, window: &[u16]) -> Result<f64, ModelError> {
    let inputs = &window[..window.len() - 1];
    let logits = model.logits(inputs)?;
    let mut total = 0.0;
    for (row, &target) in logits.chunks_exact(model.vocabulary()).zip(&window[1..]) {
        let Some(&wanted) = row.get(target as usize) else {
            return Err(ModelError::Data(format!(
                "token {target} is past the model's vocabulary"
            )));
        };
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = row
            .iter()
            .map(|&logit| f64::from(logit - largest).exp())
            .sum();
        total += sum.ln() - f64::from(wanted - largest);
    }
    if !total.is_finite() {
        return Err(ModelError::Diverged(
            "the model gives logits that are no finite numbers".into(),
        ));
    }
    Ok(total)
}
