//! Standard output: whole lines, and no panic when the reader has gone.

use std::io::Write;

/// Prints text as it is.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints bytes as they are.
pub fn print_bytes(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Prints one JSON object as a line.
pub fn print_json(value: &serde_json::Value) {
    print(&format!("{value}\n"));
}

/// A cell of a column as wide as its widest cell, and the gap behind it.
pub fn push_cell(out: &mut String, cell: &str, width: usize) {
    out.push_str(cell);
    let missing = width.saturating_sub(cell.chars().count());
    out.extend(std::iter::repeat_n(' ', missing + 2));
}

/// Columns of text, the last one as long as it likes.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let begin = out.len();
        for (cell, width) in row.iter().zip(&widths) {
            push_cell(&mut out, cell, *width);
        }
        out.truncate(begin + out[begin..].trim_end().len());
        out.push('\n');
    }
    out
}
