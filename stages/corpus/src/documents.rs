//! Text into documents, and documents into training and validation parts.

use std::path::{Path, PathBuf};

use nanoflow_model::tokenizer::END_OF_TEXT;
use nanoflow_sdk::StageError;

use crate::columns;

/// Fewer documents than this are split by position instead of one by one.
const FEW: usize = 100;

/// Documents of a text: what stands between `<|endoftext|>` marks, without the white space around.
fn split_documents(text: &str) -> impl Iterator<Item = &str> {
    text.split(END_OF_TEXT)
        .map(str::trim)
        .filter(|document| !document.is_empty())
}

/// Reads files and folders (all files in them, in the order of their names) as documents; of `.jsonl` and `.parquet` files the
/// column of that name.
///
/// # Errors
/// When a path cannot be read, is no UTF-8 text, or there is no text at all.
pub fn read_documents(paths: &[PathBuf], column: &str) -> Result<Vec<String>, StageError> {
    let mut files = Vec::new();
    for path in paths {
        list_files(path, &mut files)?;
    }
    let mut documents = Vec::new();
    for file in &files {
        let extension = file.extension().and_then(|extension| extension.to_str());
        if extension == Some("parquet") {
            documents.extend(columns::read_parquet(file, column)?);
            continue;
        }
        let bytes = std::fs::read(file).map_err(|error| StageError::io(file, &error))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count();
            StageError::input(format!(
                "{}: line {}: not UTF-8 text",
                file.display(),
                line + 1
            ))
            .hint("give plain text files in UTF-8 as the input 'text'")
        })?;
        let text = text
            .strip_prefix('\u{feff}')
            .unwrap_or(&text)
            .replace("\r\n", "\n");
        if extension == Some("jsonl") {
            documents.extend(columns::read_jsonl(file, &text, column)?);
            continue;
        }
        documents.extend(split_documents(&text).map(str::to_string));
    }
    documents.retain(|document| !document.trim().is_empty());
    if documents.is_empty() {
        let names: Vec<_> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        return Err(StageError::input(format!("no text in {}", names.join(", ")))
            .hint("give text files that are not empty as the input 'text', or leave it out for the synthetic stories"));
    }
    Ok(documents)
}

fn list_files(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), StageError> {
    let metadata = std::fs::metadata(path).map_err(|error| StageError::io(path, &error))?;
    if !metadata.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).map_err(|error| StageError::io(path, &error))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(|error| StageError::io(path, &error))?.path());
    }
    paths.sort();
    paths.retain(|path| {
        !path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'))
    });
    paths.iter().try_for_each(|path| list_files(path, files))
}

/// Training and validation documents.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts {
    pub train: Vec<String>,
    pub validation: Vec<String>,
}

/// Many documents are drawn one by one by a digest of their content, so that equal ones land in the same part and the two
/// parts share none. Few (one book, say) are cut at a paragraph so that the end of the text is the validation part.
///
/// # Errors
/// When one of the parts would be empty.
pub fn split(documents: Vec<String>, fraction: f64) -> Result<Parts, StageError> {
    let parts = if documents.len() >= FEW {
        split_by_digest(documents, fraction)
    } else {
        split_by_place(&documents, fraction)
    };
    if parts.train.is_empty() || parts.validation.is_empty() {
        return Err(StageError::input(
            "the text is too small to be split into a training and a validation part",
        )
        .hint("give more text as the input 'text', or a larger 'validation_fraction'"));
    }
    Ok(parts)
}

fn split_by_digest(documents: Vec<String>, fraction: f64) -> Parts {
    let (mut train, mut validation) = (Vec::new(), Vec::new());
    for document in documents {
        let digest = blake3::hash(document.as_bytes());
        let mut first = [0; 4];
        first.copy_from_slice(&digest.as_bytes()[..4]);
        let place = f64::from(u32::from_le_bytes(first)) / 4_294_967_296.0;
        if place < fraction {
            &mut validation
        } else {
            &mut train
        }
        .push(document);
    }
    Parts { train, validation }
}

fn split_by_place(documents: &[String], fraction: f64) -> Parts {
    let total: usize = documents.iter().map(String::len).sum();
    let mut left = (total as f64 * (1.0 - fraction)) as usize;
    let (mut train, mut validation) = (Vec::new(), Vec::new());
    for document in documents {
        if document.len() <= left {
            left -= document.len();
            train.push(document.clone());
            continue;
        }
        let cut = if left == 0 {
            0
        } else {
            paragraph_near(document, left)
        };
        let (before, after) = document.split_at(cut);
        for (part, text) in [(&mut train, before), (&mut validation, after)] {
            if !text.trim().is_empty() {
                part.push(text.trim().to_string());
            }
        }
        left = 0;
    }
    Parts { train, validation }
}

/// The last end of a paragraph, else line, else word, else letter before `place`.
fn paragraph_near(text: &str, place: usize) -> usize {
    let mut place = place.min(text.len());
    while !text.is_char_boundary(place) {
        place -= 1;
    }
    let before = &text[..place];
    ["\n\n", "\n", " "]
        .iter()
        .find_map(|mark| before.rfind(mark))
        .unwrap_or(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_documents_land_in_the_same_part() {
        let mut documents: Vec<String> = (0..400).map(|index| format!("story {index}")).collect();
        documents.extend(documents.clone());
        let parts = split(documents, 0.25).expect("splits");
        assert!(parts
            .train
            .iter()
            .all(|story| !parts.validation.contains(story)));
        assert!(
            (120..280).contains(&parts.validation.len()),
            "{}",
            parts.validation.len()
        );
    }

    #[test]
    fn one_book_is_cut_at_a_paragraph() {
        let book = (0..50)
            .map(|index| format!("Paragraph {index}."))
            .collect::<Vec<_>>()
            .join("\n\n");
        let parts = split(vec![book], 0.1).expect("splits");
        assert!(
            parts.train[0].starts_with("Paragraph 0.")
                && parts.validation[0].ends_with("Paragraph 49.")
        );
        assert!(
            parts.validation[0].starts_with("Paragraph 4"),
            "{}",
            parts.validation[0]
        );
    }

    #[test]
    fn text_too_small_is_an_error() {
        assert!(split(vec!["a".into()], 0.1).is_err());
    }
}
