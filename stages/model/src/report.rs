//! `eval.json`: what was measured of one variant of a model, and what it is compared with.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::evaluate::{Document, Evaluation};
use crate::{Gpt, ModelError, QuantizedGpt};

/// Size of a variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Size {
    /// Weights and biases of everything, the tied token embedding once.
    pub parameters: usize,
    /// Without the token and position embeddings.
    pub non_embedding_parameters: usize,
    /// Of the file that holds the weights.
    pub file_bytes: u64,
}

impl Size {
    /// Of a model in floating point in a file.
    #[must_use]
    pub fn of(model: &Gpt, file: &Path) -> Self {
        let embeddings = model.table.token_embedding.len() + model.table.position_embedding.len();
        Self::new(model.parameters.len(), embeddings, file)
    }

    /// Of a quantised model in a file.
    #[must_use]
    pub fn of_quantized(model: &QuantizedGpt, file: &Path) -> Self {
        let embeddings = model.token.len() + model.position.len();
        Self::new(model.parameters(), embeddings, file)
    }

    fn new(parameters: usize, embeddings: usize, file: &Path) -> Self {
        Self {
            parameters,
            non_embedding_parameters: parameters - embeddings,
            file_bytes: std::fs::metadata(file).map_or(0, |metadata| metadata.len()),
        }
    }
}

/// How much larger the perplexity is than that of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub reference_perplexity: f64,
    pub increase_percent: f64,
    /// 95 % interval of the paired difference over documents; null when the documents are not the same.
    pub interval_percent: Option<(f64, f64)>,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `fp32`, `w8a8` or `integer`.
    pub arithmetic: String,
    #[serde(flatten)]
    pub size: Size,
    pub perplexity: f64,
    /// 95 % interval over documents.
    pub perplexity_interval: Option<(f64, f64)>,
    pub loss_nats: f64,
    pub bits_per_byte: f64,
    pub tokens: usize,
    pub bytes: u64,
    pub comparison: Option<Comparison>,
    /// (predicted tokens, sum of their cross-entropies in nats) of each document.
    pub documents: Vec<(usize, f64)>,
}

impl Report {
    /// Of a measurement, compared with an earlier report if there is one.
    #[must_use]
    pub fn new(
        arithmetic: &str,
        size: Size,
        result: &Evaluation,
        reference: Option<&Self>,
    ) -> Self {
        let comparison = reference.map(|reference| {
            let (increase_percent, interval_percent) =
                result.increase_percent(&reference.evaluation());
            Comparison {
                reference_perplexity: reference.perplexity,
                increase_percent,
                interval_percent,
            }
        });
        let documents = result.documents.iter();
        Self {
            arithmetic: arithmetic.into(),
            size,
            perplexity: result.perplexity(),
            perplexity_interval: result.interval(),
            loss_nats: result.loss(),
            bits_per_byte: result.bits_per_byte(),
            tokens: result.tokens,
            bytes: result.bytes,
            comparison,
            documents: documents.map(|one| (one.tokens, one.nats)).collect(),
        }
    }

    /// The measurement behind the report.
    #[must_use]
    pub fn evaluation(&self) -> Evaluation {
        let documents: Vec<Document> = self
            .documents
            .iter()
            .map(|&(tokens, nats)| Document { tokens, nats })
            .collect();
        Evaluation {
            tokens: self.tokens,
            nats: self.loss_nats * self.tokens as f64,
            bytes: self.bytes,
            documents,
        }
    }

    /// (name, value, unit) of everything that gates may look at.
    #[must_use]
    pub fn metrics(&self) -> Vec<(&'static str, f64, &'static str)> {
        let mut metrics = vec![
            ("parameters", self.size.parameters as f64, "parameters"),
            (
                "non_embedding_parameters",
                self.size.non_embedding_parameters as f64,
                "parameters",
            ),
            ("file_bytes", self.size.file_bytes as f64, "bytes"),
            ("perplexity", self.perplexity, ""),
            ("loss", self.loss_nats, "nats"),
            ("tokens", self.tokens as f64, "tokens"),
        ];
        if self.bytes > 0 {
            metrics.push(("bits_per_byte", self.bits_per_byte, "bits"));
        }
        if let Some((low, high)) = self.perplexity_interval {
            metrics.push(("perplexity_low", low, ""));
            metrics.push(("perplexity_high", high, ""));
        }
        if let Some(comparison) = self.comparison {
            metrics.push((
                "perplexity_increase_percent",
                comparison.increase_percent,
                "%",
            ));
        }
        metrics
    }

    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read or is no such report.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let text = std::fs::read_to_string(path).map_err(|error| ModelError::io(path, error))?;
        serde_json::from_str(&text).map_err(|error| {
            ModelError::file(path, format!("not a report of stage evaluate: {error}"))
        })
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        let value =
            serde_json::to_string_pretty(self).map_err(|error| ModelError::file(path, error))?;
        std::fs::write(path, value + "\n").map_err(|error| ModelError::io(path, error))
    }
}
