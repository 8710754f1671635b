//! Counts lines of C, and those of them that are neither blank nor comment.

use nanoflow_sdk::{Context, Stage, StageError};

struct Count;

impl Stage for Count {
    fn id(&self) -> &'static str {
        "count-lines"
    }
    fn about(&self) -> &'static str {
        "lines of C, of code among them"
    }
    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let mut rows = Vec::new();
        let mut total = 0;
        for path in ctx.inputs("sources")? {
            let text = std::fs::read_to_string(path).map_err(|error| StageError::io(path, &error))?;
            let code = code_lines(&text);
            total += code;
            let file = path.file_name().map(|name| name.to_string_lossy().into_owned());
            rows.push(serde_json::json!({ "file": file, "lines": text.lines().count(), "code": code }));
        }
        let output = ctx.output("table")?;
        let text = serde_json::to_string_pretty(&rows).map_err(|error| StageError::internal(error.to_string()))?;
        std::fs::write(output, text).map_err(|error| StageError::io(output, &error))?;
        ctx.metric("code_lines", total as f64, "");
        Ok(())
    }
}

fn code_lines(text: &str) -> usize {
    let mut comment = false;
    let mut count = 0;
    for line in text.lines().map(str::trim) {
        let begins = line.starts_with("/*");
        let blank = line.is_empty() || line.starts_with("//") || begins || comment;
        comment = (comment || begins) && !line.contains("*/");
        count += usize::from(!blank);
    }
    count
}

fn main() -> std::process::ExitCode {
    nanoflow_sdk::main(&Count)
}
