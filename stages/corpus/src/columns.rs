//! Text from the named column of `.jsonl` and `.parquet` files.

use std::path::Path;

use nanoflow_sdk::StageError;

/// One document for each line: the string under `column` of the line's JSON object.
///
/// # Errors
/// When a line is no JSON object or has no string of that name.
pub fn read_jsonl(path: &Path, text: &str, column: &str) -> Result<Vec<String>, StageError> {
    let mut documents = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let place = format!("{}: line {}", path.display(), number + 1);
        let value: serde_json::Value = serde_json::from_str(line).map_err(|error| {
            StageError::input(format!("{place}: not JSON: {error}"))
                .hint("a .jsonl file has one JSON object on each line")
        })?;
        match value.get(column) {
            Some(serde_json::Value::String(text)) => documents.push(text.clone()),
            _ => {
                let object = value.as_object();
                let names = object.map(|object| object.keys().cloned().collect::<Vec<_>>());
                return Err(no_column(&place, column, &names.unwrap_or_default()));
            }
        }
    }
    Ok(documents)
}

fn no_column(place: &str, column: &str, names: &[String]) -> StageError {
    StageError::input(format!(
        "{place}: no text in a column '{column}' (there are: {})",
        names.join(", ")
    ))
    .hint("name the right one as the parameter 'column' of stage corpus")
}

/// One document for each row: the string in `column`.
///
/// # Errors
/// When the file is no Parquet file or has no column of text of that name.
#[cfg(feature = "parquet")]
pub fn read_parquet(path: &Path, column: &str) -> Result<Vec<String>, StageError> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    let place = path.display().to_string();
    let fault = |error: parquet::errors::ParquetError| {
        StageError::input(format!("{place}: {error}"))
            .hint("check that it is a Parquet file compressed with snappy, gzip or not at all")
    };
    let file = std::fs::File::open(path).map_err(|error| StageError::io(path, &error))?;
    let reader = SerializedFileReader::new(file).map_err(fault)?;
    let mut documents = Vec::new();
    for row in reader.get_row_iter(None).map_err(fault)? {
        let row = row.map_err(fault)?;
        let found = row.get_column_iter().find(|(name, _)| *name == column);
        match found {
            Some((_, Field::Str(text))) => documents.push(text.clone()),
            Some((_, Field::Null)) => {}
            _ => {
                let names: Vec<_> = row
                    .get_column_iter()
                    .map(|(name, _)| name.clone())
                    .collect();
                return Err(no_column(&place, column, &names));
            }
        }
    }
    Ok(documents)
}

/// Without the feature `parquet` such files are refused with a way out.
///
/// # Errors
/// Always.
#[cfg(not(feature = "parquet"))]
pub fn read_parquet(path: &Path, _column: &str) -> Result<Vec<String>, StageError> {
    Err(StageError::input(format!(
        "{}: this nanoflow was built without Parquet",
        path.display()
    ))
    .hint(
        "build it with 'cargo build --release --features parquet', or convert the file to .jsonl",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_json_give_the_named_column() {
        let path = Path::new("stories.jsonl");
        let text = "{\"story\": \"one\\ntwo\", \"id\": 1}\n\n{\"story\": \"three\"}\n";
        let read = read_jsonl(path, text, "story").expect("reads");
        assert_eq!(read, ["one\ntwo", "three"]);
        let error = read_jsonl(path, text, "text").expect_err("no column");
        assert!(
            error.message.contains("line 1") && error.message.contains("story"),
            "{error}"
        );
        let error = read_jsonl(path, "{\"a\": \"b\"}\nno\n", "a").expect_err("no JSON");
        assert!(error.message.contains("stories.jsonl: line 2"), "{error}");
    }
}
