//! Parquet files that pyarrow wrote (`golden/make.py`), through the stage.

use std::path::{Path, PathBuf};

use nanoflow_sdk::testing::run;
use serde_json::json;

const OUTPUTS: [(&str, &str); 3] = [
    ("train", "train.bin"),
    ("val", "val.bin"),
    ("tokenizer", "tokenizer.json"),
];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// What the stage says when it refuses a file.
fn refusal(file: &Path, column: &str) -> String {
    let params = json!({ "column": column });
    let stage = nanoflow_stage_corpus::stage();
    let error = run(stage, params, &[("text", file)], &OUTPUTS, 1)
        .err()
        .expect("refused");
    format!("{} {}", error.message, error.hint.unwrap_or_default())
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_build_without_parquet_tells_the_way_out() {
    let said = refusal(&golden("stories-snappy.parquet"), "story");
    assert!(
        said.contains("--features parquet") && said.contains(".jsonl"),
        "{said}"
    );
}

#[cfg(feature = "parquet")]
mod reading {
    use std::collections::BTreeSet;

    use nanoflow_model::Tokenizer;

    use super::*;

    /// The documents of both parts.
    fn documents(file: &Path) -> BTreeSet<String> {
        let params =
            json!({ "column": "story", "tokenizer": "characters", "validation_fraction": 0.2 });
        let stage = nanoflow_stage_corpus::stage();
        let done = run(stage, params, &[("text", file)], &OUTPUTS, 1).expect("runs");
        let tokenizer = Tokenizer::load(done.output("tokenizer")).expect("tokenizer");
        let mut documents = BTreeSet::new();
        for part in ["train", "val"] {
            let bytes = std::fs::read(done.output(part)).expect("tokens");
            let tokens: Vec<u16> = bytes
                .chunks_exact(2)
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
                .collect();
            let stories = tokens
                .split(|&token| token == tokenizer.end_of_text())
                .map(|story| tokenizer.decode(story).expect("decodes"));
            documents.extend(stories.filter(|story| !story.is_empty()));
        }
        documents
    }

    #[test]
    fn every_row_with_text_is_a_document() {
        let expected: BTreeSet<String> = (0..160)
            .filter(|row| *row != 7)
            .map(|row: i64| {
                format!(
                    "Story {row}.\nOnce there was a fox of {} years – größer als je. 🦊",
                    row * row
                )
            })
            .collect();
        for compression in ["snappy", "gzip", "none"] {
            let file = golden(&format!("stories-{compression}.parquet"));
            assert_eq!(documents(&file), expected, "{compression}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let snappy = golden("stories-snappy.parquet");
        for (column, words) in [
            ("text", "no text in a column 'text' (there are: "),
            ("id", "no text in a column 'id'"),
        ] {
            let said = refusal(&snappy, column);
            assert!(said.contains(words) && said.contains("story"), "{said}");
        }
        let said = refusal(&golden("stories-zstd.parquet"), "story");
        assert!(
            said.contains("stories-zstd.parquet") && said.contains("snappy, gzip or not at all"),
            "{said}"
        );
        let folder = tempfile::tempdir().expect("a folder");
        let bytes = std::fs::read(&snappy).expect("a file");
        for (name, content) in [
            ("words.parquet", &b"no such file"[..]),
            ("empty.parquet", b""),
            ("half.parquet", &bytes[..bytes.len() / 2]),
            ("tail.parquet", &bytes[bytes.len() / 2..]),
        ] {
            let file = folder.path().join(name);
            std::fs::write(&file, content).expect("written");
            assert!(refusal(&file, "story").contains(name));
        }
    }
}
