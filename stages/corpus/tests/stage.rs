//! The stage as the orchestrator runs it.

use std::path::Path;

use nanoflow_model::Tokenizer;
use nanoflow_sdk::testing::run;
use serde_json::json;

const OUTPUTS: [(&str, &str); 4] = [
    ("train", "train.bin"),
    ("val", "val.bin"),
    ("tokenizer", "tokenizer.json"),
    ("text", "text.txt"),
];

fn tokens(path: &Path) -> Vec<u16> {
    let bytes = std::fs::read(path).expect("tokens");
    bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

#[test]
fn stories_become_token_files_that_decode_to_them() {
    let params = json!({ "bytes": 200_000, "vocabulary": 400, "validation_fraction": 0.1 });
    let one = run(
        nanoflow_stage_corpus::stage(),
        params.clone(),
        &[],
        &OUTPUTS,
        1,
    )
    .expect("runs");
    let two = run(nanoflow_stage_corpus::stage(), params, &[], &OUTPUTS, 2).expect("runs");
    for (name, _) in OUTPUTS {
        let (first, second) = (
            std::fs::read(one.output(name)),
            std::fs::read(two.output(name)),
        );
        assert_eq!(
            first.expect("read"),
            second.expect("read"),
            "{name} depends on the number of threads"
        );
    }
    let tokenizer = Tokenizer::load(one.output("tokenizer")).expect("tokenizer");
    assert_eq!(tokenizer.vocabulary(), 400);
    let text = std::fs::read_to_string(one.output("text")).expect("text");
    let train = tokens(one.output("train"));
    let stories: Vec<String> = train
        .split(|&token| token == tokenizer.end_of_text())
        .map(|story| tokenizer.decode(story).expect("decodes"))
        .filter(|story| !story.is_empty())
        .collect();
    assert_eq!(stories.join("\n<|endoftext|>\n"), text);
    for story in tokens(one.output("val")).split(|&token| token == tokenizer.end_of_text()) {
        let story = tokenizer.decode(story).expect("decodes");
        assert!(
            story.is_empty() || !stories.contains(&story),
            "in both parts: {story}"
        );
    }
}

#[test]
fn a_text_of_ones_own_and_bad_ones() {
    let folder = tempfile::tempdir().expect("folder");
    let book = folder.path().join("book.txt");
    let text: String = (0..400)
        .map(|index| format!("Line {index} of a book about {}.\n\n", index % 13))
        .collect();
    std::fs::write(&book, &text).expect("written");
    let stage = nanoflow_stage_corpus::stage();
    let params = json!({ "vocabulary": 300 });
    let done = run(stage, params.clone(), &[("text", &book)], &OUTPUTS, 2).expect("runs");
    assert!(std::fs::read_to_string(done.output("text"))
        .expect("text")
        .starts_with("Line 0"));
    let of_folder = run(
        stage,
        params.clone(),
        &[("text", folder.path())],
        &OUTPUTS,
        2,
    )
    .expect("runs");
    assert_eq!(tokens(done.output("val")), tokens(of_folder.output("val")));
    let gpt2 = run(
        stage,
        json!({ "tokenizer": "gpt2" }),
        &[("text", &book)],
        &OUTPUTS,
        2,
    )
    .expect("runs");
    assert!(tokens(gpt2.output("train")).ends_with(&[50256]));

    for (content, words) in [
        (&b""[..], "no text"),
        (b"\n \n", "no text"),
        (b"ok\nbad \xff\xfe", "line 2: not UTF-8"),
    ] {
        std::fs::write(&book, content).expect("written");
        let error = run(stage, params.clone(), &[("text", &book)], &OUTPUTS, 1)
            .err()
            .expect("refused");
        assert!(
            error.message.contains(words) && error.hint.is_some(),
            "{error}"
        );
    }
    std::fs::write(&book, "x").expect("written");
    assert!(run(stage, params.clone(), &[("text", &book)], &OUTPUTS, 1).is_err());
    for params in [
        json!({ "vocabulary": 70_000 }),
        json!({ "vocabulary": 10 }),
        json!({ "validation_fraction": 1.0 }),
        json!({ "vocabluary": 3 }),
        json!({ "bytes": 3 }),
    ] {
        let error = run(stage, params, &[], &OUTPUTS, 1).err().expect("refused");
        assert!(error.hint.is_some(), "{error}");
    }
}
