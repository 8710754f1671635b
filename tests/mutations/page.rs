//! The table of `docs/testing.md`.

use std::path::PathBuf;

const BEGIN: &str = "<!-- faults: written by tests/mutations.rs -->\n";
const END: &str = "<!-- end of faults -->\n";

/// One fault on the page.
pub struct Row {
    pub guarantee: String,
    pub fault: String,
    /// Those that failed.
    pub tests: Vec<String>,
}

fn path() -> PathBuf {
    super::root().join("docs/testing.md")
}

pub fn read() -> String {
    std::fs::read_to_string(path()).expect("docs/testing.md")
}

/// The parts of the page before, in and after the table.
fn parts(text: &str) -> (&str, &str, &str) {
    let (before, rest) = text.split_once(BEGIN).expect("the table's begin");
    let (table, after) = rest.split_once(END).expect("the table's end");
    (before, table, after)
}

pub fn rows(text: &str) -> Vec<Row> {
    let (_, table, _) = parts(text);
    table
        .lines()
        .skip(2)
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let cell = |at: usize| cells.get(at).copied().unwrap_or_default().to_string();
            let tests = cell(2);
            let tests = tests.split(", ").map(|test| test.trim_matches('`'));
            Row {
                guarantee: cell(0),
                fault: cell(1),
                tests: tests
                    .filter(|test| !test.is_empty())
                    .map(str::to_string)
                    .collect(),
            }
        })
        .collect()
}

pub fn write(rows: &[Row]) {
    let text = read();
    let (before, _, after) = parts(&text);
    let mut table = "| guarantee | fault put in | tests that fail |\n|---|---|---|\n".to_string();
    for row in rows {
        let tests: Vec<String> = row.tests.iter().map(|test| format!("`{test}`")).collect();
        table += &format!(
            "| {} | {} | {} |\n",
            row.guarantee,
            row.fault,
            tests.join(", ")
        );
    }
    let page = format!("{before}{BEGIN}{table}{END}{after}");
    std::fs::write(path(), page).expect("docs/testing.md");
}
