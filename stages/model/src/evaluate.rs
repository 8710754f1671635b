//! Perplexity over a whole token file, for any model that gives logits.

use std::cell::Cell;

use rayon::prelude::*;

use crate::inference::Buffers;
use crate::kernels::cross_entropy;
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

    /// Cross-entropies in nats of the tokens `window[1..]` of each window, each after what stands before it.
    ///
    /// # Errors
    /// When a window does not fit the model.
    fn losses(&self, windows: &[&[u16]]) -> Result<Vec<f32>, ModelError> {
        let mut result = Vec::new();
        for window in windows {
            let (inputs, targets) = (&window[..window.len() - 1], &window[1..]);
            check_targets(targets, self.vocabulary())?;
            let mut logits = self.logits(inputs)?;
            let start = result.len();
            result.resize(start + targets.len(), 0.0);
            let losses = &mut result[start..];
            let _ = cross_entropy(&mut logits, targets, self.vocabulary(), 0.0, losses);
        }
        Ok(result)
    }
}

fn check_targets(targets: &[u16], vocabulary: usize) -> Result<(), ModelError> {
    match targets.iter().find(|&&token| token as usize >= vocabulary) {
        Some(token) => Err(ModelError::Data(format!(
            "token {token} is past the model's vocabulary"
        ))),
        None => Ok(()),
    }
}

thread_local! {
    /// Buffers of the last evaluation on this thread.
    static SPARE: Cell<Option<Buffers>> = const { Cell::new(None) };
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

    /// Windows of one length run together: larger matrix products.
    fn losses(&self, windows: &[&[u16]]) -> Result<Vec<f32>, ModelError> {
        let network = self.network();
        let mut result = Vec::new();
        for group in windows.chunk_by(|left, right| left.len() == right.len()) {
            let positions = group[0].len() - 1;
            let (mut inputs, mut targets) = (Vec::new(), Vec::new());
            for window in group {
                self.config.check_tokens(&window[..positions])?;
                check_targets(&window[1..], self.config.vocabulary)?;
                inputs.extend_from_slice(&window[..positions]);
                targets.extend_from_slice(&window[1..]);
            }
            let start = result.len();
            result.resize(start + targets.len(), 0.0);
            // The buffers stay with the thread: making them anew costs a fifth of the time.
            let rows = inputs.len();
            let mut buffers = SPARE
                .take()
                .filter(|buffers| buffers.fits(&self.config, rows, positions))
                .unwrap_or_else(|| Buffers::new(&self.config, rows, positions));
            network.losses(&inputs, &targets, &mut buffers, &mut result[start..]);
            SPARE.set(Some(buffers));
        }
        Ok(result)
    }
}

/// Sums over the predicted tokens of one document.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Document {
    pub tokens: usize,
    pub nats: f64,
}

/// Sums over the predicted tokens of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Tokens that were predicted: all but the first.
    pub tokens: usize,
    /// Sum of their cross-entropies in nats.
    pub nats: f64,
    /// Bytes of text behind them.
    pub bytes: u64,
    /// The same sums for each document, in their order.
    pub documents: Vec<Document>,
}

/// 97.5 % point of the normal distribution: what a 95 % interval reaches to both sides, in standard errors.
const STANDARD_ERRORS: f64 = 1.96;

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

    /// Standard error of the loss, documents being what is drawn at random (a ratio estimator: sums of nats over sums of
    /// tokens). None with fewer than two documents.
    #[must_use]
    pub fn standard_error(&self) -> Option<f64> {
        let loss = self.loss();
        let deviations = self
            .documents
            .iter()
            .map(|document| document.nats - loss * document.tokens as f64);
        standard_error(deviations, self.tokens)
    }

    /// 95 % interval of the perplexity over documents.
    #[must_use]
    pub fn interval(&self) -> Option<(f64, f64)> {
        let reach = STANDARD_ERRORS * self.standard_error()?;
        Some(((self.loss() - reach).exp(), (self.loss() + reach).exp()))
    }

    /// How much larger, in percent, the perplexity is than that of `reference` on the same documents, with a 95 % interval
    /// of the paired difference (None when the documents are not the same).
    #[must_use]
    pub fn increase_percent(&self, reference: &Self) -> (f64, Option<(f64, f64)>) {
        let percent = |difference: f64| 100.0 * difference.exp_m1();
        let difference = self.loss() - reference.loss();
        let same = self.documents.len() == reference.documents.len()
            && self
                .documents
                .iter()
                .zip(&reference.documents)
                .all(|(own, other)| own.tokens == other.tokens);
        let deviations = self
            .documents
            .iter()
            .zip(&reference.documents)
            .map(|(own, other)| own.nats - other.nats - difference * own.tokens as f64);
        let interval = standard_error(deviations, self.tokens)
            .filter(|_| same)
            .map(|error| {
                let reach = STANDARD_ERRORS * error;
                (percent(difference - reach), percent(difference + reach))
            });
        (percent(difference), interval)
    }
}

/// Of a sum of `deviations` (which sum up to 0) over `tokens`.
fn standard_error(deviations: impl Iterator<Item = f64>, tokens: usize) -> Option<f64> {
    let (mut count, mut squares) = (0.0, 0.0);
    for deviation in deviations {
        count += 1.0;
        squares += deviation * deviation;
    }
    (count >= 2.0).then(|| (squares * count / (count - 1.0)).sqrt() / tokens as f64)
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
    let mut losses = Vec::with_capacity(tokens.len() - 1);
    let side_by_side = (LOGITS / (block * model.vocabulary())).clamp(1, 4);
    // In groups, so that progress can be told from this thread.
    let mut done = 0;
    for group in windows.chunks(64) {
        let found: Vec<Vec<f32>> = pool.install(|| {
            group
                .par_chunks(side_by_side)
                .map(|windows| model.losses(windows))
                .collect::<Result<_, _>>()
        })?;
        losses.extend(found.into_iter().flatten());
        done += group.len();
        finished(done, windows.len());
    }
    summarize(&tokens[1..], &losses, byte_lengths)
}

/// A model gets several windows at once as long as their logits are not more than this.
const LOGITS: usize = 1 << 24;

/// Sums over documents and over all. The token that ends a document is the one with no bytes.
fn summarize(
    targets: &[u16],
    losses: &[f32],
    byte_lengths: &[u32],
) -> Result<Evaluation, ModelError> {
    let mut documents = vec![Document::default()];
    let mut bytes = 0;
    for (&token, &loss) in targets.iter().zip(losses) {
        if let Some(document) = documents.last_mut() {
            document.tokens += 1;
            document.nats += f64::from(loss);
        }
        match byte_lengths.get(token as usize) {
            Some(0) => documents.push(Document::default()),
            Some(&length) => bytes += u64::from(length),
            None => {}
        }
    }
    documents.retain(|document| document.tokens > 0);
    let nats: f64 = documents.iter().map(|document| document.nats).sum();
    if !nats.is_finite() {
        return Err(ModelError::Diverged(
            "the model gives logits that are no finite numbers".into(),
        ));
    }
    Ok(Evaluation {
        tokens: targets.len(),
        nats,
        bytes,
        documents,
    })
}
