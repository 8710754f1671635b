//! TinyStories (Eldan and Li 2023, licence CDLA-Sharing-1.0 on the hub), fetched with `curl` where there is a network.

use std::ffi::OsString;

use nanoflow_model::tokenizer::END_OF_TEXT;
use nanoflow_sdk::{Context, StageError};

/// The validation file of the set (19 MB) is plenty for small models, and one revision never changes.
const ADDRESS: &str =
    "https://huggingface.co/datasets/roneneldan/TinyStories/resolve/f54c09fd23315a6f9c86f9dc80f725de7d8f9c64/TinyStories-valid.txt";

/// At most `bytes` bytes of stories.
pub fn fetch(ctx: &mut Context, bytes: usize) -> Result<Vec<String>, StageError> {
    let target = ctx.scratch().join("tinystories.txt");
    let without = "install curl, or use 'source: stories'";
    let curl = which::which("curl")
        .map_err(|error| StageError::tool(format!("curl: {error}")).hint(without))?;
    let options = [
        "--fail",
        "--location",
        "--silent",
        "--show-error",
        "--max-time",
        "600",
        "--retry",
        "2",
    ];
    let arguments = options.iter().map(OsString::from).chain([
        "--output".into(),
        target.clone().into(),
        ADDRESS.into(),
    ]);
    let output = duct::cmd(curl, arguments)
        .dir(ctx.scratch())
        .stdout_null()
        .stderr_capture()
        .unchecked()
        .run()
        .map_err(|error| StageError::tool(format!("curl: {error}")).hint(without))?;
    if !output.status.success() {
        return Err(StageError::tool(format!(
            "TinyStories could not be fetched: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))
        .hint("this stage needs 'network: true' and a network; without one use 'source: stories' or the input 'text'"));
    }
    let mut documents = Vec::new();
    let mut total = 0;
    let text = std::fs::read_to_string(&target).map_err(|error| StageError::io(&target, &error))?;
    for story in text
        .split(END_OF_TEXT)
        .map(str::trim)
        .filter(|story| !story.is_empty())
    {
        total += story.len();
        if total > bytes {
            break;
        }
        documents.push(story.to_string());
    }
    Ok(documents)
}
