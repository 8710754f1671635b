//! Stage `corpus`: text to token files.
//!
//! Input `text` (optional): text files, `.jsonl` or `.parquet` files with a named column, or folders of them. Without it the stage writes synthetic stories of its own, or fetches
//! TinyStories when asked. Outputs `train` and `val` (little-endian 16-bit tokens, as nanoGPT's `train.bin`),
//! `tokenizer` (tokenizer.json), and optionally `text` (the training text itself).

mod columns;
mod documents;
mod plots;
mod stories;
mod tiny_stories;
mod words;

use nanoflow_model::data::write_tokens;
use nanoflow_model::tokenizer::TokenizerKind;
use nanoflow_model::{ModelError, Tokenizer};
use nanoflow_sdk::{Context, Stage, StageError};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Where the text comes from when the flow gives no input `text`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Synthetic stories, made here.
    Stories,
    /// The data set TinyStories from the Hugging Face hub; the stage needs `network: true`.
    TinyStories,
}

/// Parameters of the stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    pub source: Source,
    /// Text to make or to fetch at most, in bytes.
    pub bytes: usize,
    pub seed: u64,
    /// Share of the documents (or of the text, if there are few) that is kept for validation.
    pub validation_fraction: f64,
    pub tokenizer: TokenizerKind,
    /// Tokens of a trained tokeniser; must be the model's.
    pub vocabulary: usize,
    /// The column of `.jsonl` and `.parquet` files that holds the text.
    pub column: String,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            source: Source::Stories,
            bytes: 4_000_000,
            seed: 1337,
            validation_fraction: 0.05,
            tokenizer: TokenizerKind::Bpe,
            vocabulary: 512,
            column: "text".into(),
        }
    }
}

/// The stage.
pub struct Corpus;

/// The stage, to be registered.
#[must_use]
pub fn stage() -> &'static dyn Stage {
    &Corpus
}

impl Stage for Corpus {
    fn id(&self) -> &'static str {
        "corpus"
    }

    fn about(&self) -> &'static str {
        "text files, TinyStories or synthetic stories to token files"
    }

    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let params: Params = ctx.params()?;
        check(&params)?;
        let documents = if ctx.optional_input("text").is_some() {
            documents::read_documents(ctx.inputs("text")?, &params.column)?
        } else {
            match params.source {
                Source::Stories => stories::stories(params.seed, params.bytes),
                Source::TinyStories => tiny_stories::fetch(ctx, params.bytes)?,
            }
        };
        let parts = documents::split(documents, params.validation_fraction)?;
        let pool = nanoflow_model::loss::thread_pool(ctx.threads())?;
        let tokenizer = match params.tokenizer {
            TokenizerKind::Gpt2 => Tokenizer::gpt2(),
            TokenizerKind::Bpe => {
                let train: Vec<&str> = parts.train.iter().map(String::as_str).collect();
                pool.install(|| Tokenizer::train(&train, params.vocabulary))?
            }
            // Of both parts: a character that only the validation part has must be a token too.
            TokenizerKind::Characters => {
                let all = parts.train.iter().chain(&parts.validation);
                Tokenizer::characters(&all.map(String::as_str).collect::<Vec<_>>())?
            }
        };
        tokenizer.save(ctx.output("tokenizer")?)?;
        for (name, documents) in [("train", &parts.train), ("val", &parts.validation)] {
            let tokens = pool.install(|| encode(&tokenizer, documents))?;
            write_tokens(ctx.output(name)?, &tokens)?;
            let bytes: usize = documents.iter().map(String::len).sum();
            ctx.metric(&format!("{name}_tokens"), tokens.len() as f64, "tokens");
            ctx.metric(
                &format!("{name}_documents"),
                documents.len() as f64,
                "documents",
            );
            ctx.metric(&format!("{name}_bytes"), bytes as f64, "bytes");
            if name == "train" {
                ctx.metric(
                    "bytes_per_token",
                    bytes as f64 / tokens.len() as f64,
                    "bytes",
                );
            }
        }
        ctx.metric("vocabulary", tokenizer.vocabulary() as f64, "tokens");
        if let Some(path) = ctx.optional_output("text") {
            let text = parts
                .train
                .join(&format!("\n{}\n", nanoflow_model::tokenizer::END_OF_TEXT));
            std::fs::write(path, text).map_err(|error| StageError::io(path, &error))?;
        }
        Ok(())
    }
}

fn check(params: &Params) -> Result<(), StageError> {
    if !(params.validation_fraction > 0.0 && params.validation_fraction < 1.0) {
        return Err(StageError::input(format!(
            "params: validation_fraction {} is not between 0 and 1",
            params.validation_fraction
        ))
        .hint("use a value such as 0.05"));
    }
    if !(10_000..=2_000_000_000).contains(&params.bytes) {
        return Err(StageError::input(format!(
            "params: bytes {} is not between 10000 and 2000000000",
            params.bytes
        ))
        .hint("use a value such as 4000000"));
    }
    Ok(())
}

/// All documents, each followed by end-of-text, in their order.
fn encode(tokenizer: &Tokenizer, documents: &[String]) -> Result<Vec<u16>, ModelError> {
    let encoded: Vec<Vec<u16>> = documents
        .par_iter()
        .map(|document| tokenizer.encode(document))
        .collect::<Result<_, _>>()?;
    let mut tokens = Vec::new();
    for document in encoded {
        tokens.extend(document);
        tokens.push(tokenizer.end_of_text());
    }
    Ok(tokens)
}
