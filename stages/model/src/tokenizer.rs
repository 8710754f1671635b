//! Tokenisers: byte-level BPE trained on the corpus, GPT-2's own, or single characters.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tokenizers::models::bpe::{BpeTrainer, BPE};
use tokenizers::models::TrainerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::AddedToken;

use crate::ModelError;

/// Text of the token that ends a document.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// Which tokeniser to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenizerKind {
    /// Byte-level BPE trained on the corpus.
    Bpe,
    /// GPT-2's byte-level BPE of 50,257 tokens.
    Gpt2,
    /// One token for each character of the corpus, as in nanoGPT's character-level recipe, and one for the end of text.
    Characters,
}

/// A tokeniser with an end-of-text token.
pub struct Tokenizer {
    inner: Inner,
    end_of_text: u16,
    vocabulary: usize,
}

enum Inner {
    Trained(Box<tokenizers::Tokenizer>),
    Gpt2(&'static tiktoken_rs::CoreBPE),
    /// In ascending order; a character's token is its place.
    Characters(Vec<char>),
}

/// `tokenizer.json` of a tokeniser that needs no table of its own.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    nanoflow_tokenizer: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    characters: String,
}

impl Tokenizer {
    /// GPT-2's tokeniser; its table is part of this program.
    #[must_use]
    pub fn gpt2() -> Self {
        Self {
            inner: Inner::Gpt2(tiktoken_rs::r50k_base_singleton()),
            end_of_text: 50256,
            vocabulary: 50257,
        }
    }

    /// One token for each character of `documents`; the last token is end-of-text.
    ///
    /// # Errors
    /// When there is no text, or there are more characters than fit 16 bits.
    pub fn characters(documents: &[&str]) -> Result<Self, ModelError> {
        let all: BTreeSet<char> = documents.iter().flat_map(|text| text.chars()).collect();
        Self::of_characters(all.into_iter().collect()).map_err(ModelError::Data)
    }

    fn of_characters(characters: Vec<char>) -> Result<Self, String> {
        let end_of_text = u16::try_from(characters.len())
            .map_err(|_| format!("{} characters do not fit 16 bits", characters.len()))?;
        if characters.is_empty() || characters.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err("a tokeniser of characters needs them in ascending order".into());
        }
        Ok(Self {
            vocabulary: characters.len() + 1,
            inner: Inner::Characters(characters),
            end_of_text,
        })
    }

    /// Trains a byte-level BPE of at most `vocabulary` tokens: end-of-text, 256 bytes, and merges.
    ///
    /// # Errors
    /// When the vocabulary cannot hold the bytes or does not fit 16 bits, or there is no text.
    pub fn train(documents: &[&str], vocabulary: usize) -> Result<Self, ModelError> {
        if !(257..=65536).contains(&vocabulary) {
            return Err(ModelError::Data(format!(
                "a vocabulary of {vocabulary} is not between 257 (all bytes and the end of text) and 65536"
            )));
        }
        let mut trainer: TrainerWrapper = BpeTrainer::builder()
            .vocab_size(vocabulary)
            .show_progress(false)
            .special_tokens(vec![AddedToken::from(END_OF_TEXT, true)])
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build()
            .into();
        let mut tokenizer = tokenizers::Tokenizer::new(BPE::default());
        tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
        tokenizer.with_decoder(Some(ByteLevel::new(false, true, true)));
        tokenizer
            .train(&mut trainer, documents.iter())
            .map_err(|error| {
                ModelError::Data(format!("the tokeniser could not be trained: {error}"))
            })?;
        Self::from_trained(tokenizer).map_err(ModelError::Data)
    }

    fn from_trained(tokenizer: tokenizers::Tokenizer) -> Result<Self, String> {
        let end = tokenizer
            .token_to_id(END_OF_TEXT)
            .ok_or(format!("it has no token '{END_OF_TEXT}'"))?;
        let end_of_text =
            u16::try_from(end).map_err(|_| "its tokens do not fit 16 bits".to_string())?;
        let vocabulary = tokenizer.get_vocab_size(true);
        if vocabulary > 65536 {
            return Err(format!("its {vocabulary} tokens do not fit 16 bits"));
        }
        Ok(Self {
            inner: Inner::Trained(Box::new(tokenizer)),
            end_of_text,
            vocabulary,
        })
    }

    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// When the file cannot be read or holds no tokeniser with an end-of-text token.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let text = std::fs::read_to_string(path).map_err(|error| ModelError::io(path, error))?;
        if let Ok(named) = serde_json::from_str::<Named>(&text) {
            return match named.nanoflow_tokenizer.as_str() {
                "gpt2" => Ok(Self::gpt2()),
                "characters" => Self::of_characters(named.characters.chars().collect())
                    .map_err(|problem| ModelError::file(path, problem)),
                other => Err(ModelError::file(
                    path,
                    format!("unknown tokeniser '{other}'"),
                )),
            };
        }
        let tokenizer = tokenizers::Tokenizer::from_bytes(text.as_bytes())
            .map_err(|error| ModelError::file(path, format!("not a tokeniser: {error}")))?;
        Self::from_trained(tokenizer).map_err(|problem| ModelError::file(path, problem))
    }

    /// Writes `tokenizer.json`, in the format of Hugging Face's `tokenizers`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        let text = match &self.inner {
            Inner::Trained(tokenizer) => tokenizer
                .to_string(true)
                .map_err(|error| ModelError::file(path, error))?,
            Inner::Gpt2(_) => "{ \"nanoflow_tokenizer\": \"gpt2\" }\n".to_string(),
            Inner::Characters(characters) => {
                let named = Named {
                    nanoflow_tokenizer: "characters".into(),
                    characters: characters.iter().collect(),
                };
                serde_json::to_string_pretty(&named)
                    .map_err(|error| ModelError::file(path, error))?
                    + "\n"
            }
        };
        std::fs::write(path, text).map_err(|error| ModelError::io(path, error))
    }

    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    #[must_use]
    pub fn end_of_text(&self) -> u16 {
        self.end_of_text
    }

    /// Tokens of one document, without end-of-text. Text that looks like a special token stays text.
    ///
    /// # Errors
    /// When the tokeniser refuses the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u16>, ModelError> {
        match &self.inner {
            Inner::Trained(tokenizer) => {
                let encoding = tokenizer.encode_fast(text, false).map_err(|error| {
                    ModelError::Data(format!("the text could not be encoded: {error}"))
                })?;
                Ok(encoding.get_ids().iter().map(|&id| id as u16).collect())
            }
            Inner::Gpt2(tokenizer) => Ok(tokenizer
                .encode_ordinary(text)
                .iter()
                .map(|&id| id as u16)
                .collect()),
            Inner::Characters(characters) => text
                .chars()
                .map(|letter| {
                    let place = characters.binary_search(&letter).map_err(|_| {
                        ModelError::Data(format!(
                            "the character {letter:?} is not among the {} that the tokeniser was made from",
                            characters.len()
                        ))
                    })?;
                    Ok(place as u16)
                })
                .collect(),
        }
    }

    /// Text of tokens; bytes that are no UTF-8 become replacement characters. End-of-text becomes nothing.
    ///
    /// # Errors
    /// When a token is not of this tokeniser.
    pub fn decode(&self, tokens: &[u16]) -> Result<String, ModelError> {
        let fault =
            |error: String| ModelError::Data(format!("the tokens could not be decoded: {error}"));
        match &self.inner {
            Inner::Trained(tokenizer) => {
                let ids: Vec<u32> = tokens.iter().map(|&token| u32::from(token)).collect();
                tokenizer
                    .decode(&ids, true)
                    .map_err(|error| fault(error.to_string()))
            }
            Inner::Gpt2(tokenizer) => {
                let ids: Vec<_> = tokens
                    .iter()
                    .filter(|&&token| token != 50256)
                    .map(|&token| u32::from(token))
                    .collect();
                let bytes = tokenizer
                    .decode_bytes(&ids)
                    .map_err(|error| fault(error.to_string()))?;
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
            Inner::Characters(characters) => tokens
                .iter()
                .filter(|&&token| token != self.end_of_text)
                .map(|&token| {
                    let letter = characters.get(usize::from(token)).copied();
                    letter.ok_or_else(|| fault(format!("there is no token {token}")))
                })
                .collect(),
        }
    }

    /// Bytes of text behind each token, 0 for end-of-text; what bits per byte are counted with.
    ///
    /// # Errors
    /// When the tokeniser has a hole in its table.
    pub fn byte_lengths(&self) -> Result<Vec<u32>, ModelError> {
        (0..self.vocabulary)
            .map(|id| {
                if id == usize::from(self.end_of_text) {
                    return Ok(0);
                }
                match &self.inner {
                    // Byte-level BPE writes every byte of a token as one character.
                    Inner::Trained(tokenizer) => tokenizer
                        .id_to_token(id as u32)
                        .map(|token| token.chars().count() as u32)
                        .ok_or(ModelError::Data(format!("the tokeniser has no token {id}"))),
                    Inner::Gpt2(tokenizer) => tokenizer
                        .decode_bytes(&[id as u32])
                        .map(|bytes| bytes.len() as u32)
                        .map_err(|error| ModelError::Data(format!("token {id}: {error}"))),
                    Inner::Characters(characters) => Ok(characters[id].len_utf8() as u32),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TORTURE: &str =
        "  Tabs\tand\r\nlines, don't 12345 ÄÖ 漢字 🙂\u{200d} <|endoftext|> end  ";

    #[test]
    fn a_trained_tokenizer_gives_back_any_text() {
        let tokenizer =
            Tokenizer::train(&["the cat and the hat", "the cat sat"], 270).expect("trains");
        let tokens = tokenizer.encode("the cat sat").expect("encodes");
        assert!(tokens.len() < "the cat sat".len());
        let plain = TORTURE.replace(END_OF_TEXT, "");
        assert_eq!(
            tokenizer
                .decode(&tokenizer.encode(&plain).expect("encodes"))
                .expect("decodes"),
            plain
        );
        let lengths = tokenizer.byte_lengths().expect("lengths");
        let total: u32 = tokens.iter().map(|&token| lengths[token as usize]).sum();
        assert_eq!(total as usize, "the cat sat".len());
    }

    #[test]
    fn gpt2_tokens_are_those_of_openai() {
        let tokenizer = Tokenizer::gpt2();
        // From OpenAI's own `tiktoken`: get_encoding("gpt2").encode("Hello world, don't!").
        assert_eq!(
            tokenizer.encode("Hello world, don't!").expect("encodes"),
            [15496, 995, 11, 836, 470, 0]
        );
        assert_eq!(
            tokenizer
                .decode(&tokenizer.encode(TORTURE).expect("encodes"))
                .expect("decodes"),
            TORTURE
        );
    }

    #[test]
    fn characters_are_tokens_in_order_and_survive_the_file() {
        let tokenizer = Tokenizer::characters(&["hello\n", "wörld"]).expect("made");
        // \n d e h l o r w ö
        assert_eq!((tokenizer.vocabulary(), tokenizer.end_of_text()), (10, 9));
        assert_eq!(tokenizer.encode("wö\n").expect("encodes"), [7, 8, 0]);
        assert_eq!(tokenizer.byte_lengths().expect("lengths")[7..], [1, 2, 0]);
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("tokenizer.json");
        tokenizer.save(&path).expect("saved");
        let again = Tokenizer::load(&path).expect("loaded");
        assert_eq!(again.decode(&[3, 2, 9, 4]).expect("decodes"), "hel");
        let error = again.encode("hex").expect_err("no x").to_string();
        assert!(error.contains("'x'"), "{error}");
        assert!(again.decode(&[10]).is_err());
        assert!(Tokenizer::characters(&[]).is_err());
    }

    #[test]
    fn a_vocabulary_that_cannot_be_is_refused() {
        assert!(Tokenizer::train(&["text"], 100).is_err());
        assert!(Tokenizer::train(&["text"], 70000).is_err());
    }
}
