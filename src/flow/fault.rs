//! What is wrong in a flow file, and where.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A place in the flow file: line and column count from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub line: u32,
    pub column: u32,
    pub length: u32,
}

impl Default for Span {
    fn default() -> Span {
        Span::START
    }
}

impl Span {
    pub const START: Span = Span {
        line: 1,
        column: 1,
        length: 1,
    };

    pub fn new(line: usize, column: usize, length: usize) -> Self {
        let narrow = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        Span {
            line: narrow(line.max(1)),
            column: narrow(column),
            length: narrow(length),
        }
    }
}

/// One thing that is wrong, with the words at fault and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub span: Span,
    pub message: String,
    pub hint: Option<String>,
    /// The words at fault, where they stand somewhere in the text at `span`.
    word: Option<String>,
}

impl Fault {
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Fault {
            span,
            message: message.into(),
            hint: None,
            word: None,
        }
    }

    /// Points at these words inside the text at the fault's place.
    #[must_use]
    pub fn at_word(mut self, word: &str) -> Self {
        self.word = Some(word.to_string());
        self
    }

    /// The same fault of something larger, which is named in front.
    #[must_use]
    pub fn of(mut self, whole: &str) -> Self {
        self.message = format!("{whole}: {}", self.message);
        self
    }

    /// The same fault told at another place, where its words do not stand.
    #[must_use]
    pub fn moved_to(mut self, span: Span) -> Self {
        self.span = span;
        self.word = None;
        self
    }

    /// Moves to the words at fault, if they are found in the lines that begin at the fault's place.
    fn located(&self, lines: &[&str]) -> Fault {
        let Some(word) = &self.word else {
            return self.clone();
        };
        let first = self.span.line as usize;
        for (offset, line) in lines.iter().skip(first - 1).take(200).enumerate() {
            let from = if offset == 0 {
                self.span.column as usize - 1
            } else {
                0
            };
            let start = line
                .char_indices()
                .nth(from)
                .map_or(line.len(), |(at, _)| at);
            if let Some(at) = line.get(start..).and_then(|rest| rest.find(word.as_str())) {
                let column = line[..start + at].chars().count() + 1;
                let span = Span::new(first + offset, column, word.chars().count());
                return Fault {
                    span,
                    ..self.clone()
                };
            }
        }
        self.clone()
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds `did you mean 'x'?` when some candidate is near.
    #[must_use]
    pub fn suggest<'a>(self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(word, candidates) {
            Some(near) => self.hint(format!("did you mean '{near}'?")),
            None => self,
        }
    }
}

/// Suggestions that are looked for in one process; a file with more faults gets none for the rest, so that all of them are told
/// within two seconds.
static SUGGESTIONS: AtomicUsize = AtomicUsize::new(0);
const MOST_SUGGESTIONS: usize = 100;

/// Whether it is still worth looking for suggestions.
pub fn may_suggest() -> bool {
    SUGGESTIONS.load(Ordering::Relaxed) < MOST_SUGGESTIONS
}

/// The candidate that a slip of the fingers makes of `word`, if there is one. At most 2,000 candidates are looked at, so
/// that a large flow with many faults is told about in time.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 200 || SUGGESTIONS.fetch_add(1, Ordering::Relaxed) >= MOST_SUGGESTIONS {
        return None;
    }
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .take(2000)
        .filter(|candidate| candidate.len() <= 200)
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= allowed
                || (word.len() >= 3 && (candidate.starts_with(word) || word.starts_with(candidate)))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// All faults of one file, with its text so that the words at fault can be shown.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", render(file, text, faults))]
pub struct FlowFaults {
    /// The file's name as people know it, such as `flow.yaml`.
    pub file: String,
    pub text: String,
    pub faults: Vec<Fault>,
}

/// Faults shown at most; more are counted.
const SHOWN: usize = 200;
/// Faults kept at most.
pub const MOST_FAULTS: usize = 1000;

/// `flow.yaml:3:5: error: …`, the line, a mark under the words, and the hint; ordered by place.
fn render(file: &str, text: &str, faults: &[Fault]) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut ordered: Vec<Fault> = faults.iter().map(|fault| fault.located(&lines)).collect();
    ordered.sort_by_key(|fault| fault.span);
    ordered.dedup();
    let mut out = String::new();
    for fault in ordered.iter().take(SHOWN) {
        let Span {
            line,
            column,
            length,
        } = fault.span;
        let _ = writeln!(out, "{file}:{line}:{column}: error: {}", fault.message);
        if let Some(source) = lines.get(line as usize - 1) {
            render_source(&mut out, source, line, column as usize, length as usize);
        }
        if let Some(hint) = &fault.hint {
            let _ = writeln!(out, "  hint: {hint}");
        }
    }
    if ordered.len() > SHOWN {
        let _ = writeln!(out, "… and {} more", ordered.len() - SHOWN);
    }
    let count = ordered.len();
    let _ = write!(
        out,
        "{count} {} in {file}",
        if count == 1 { "fault" } else { "faults" }
    );
    out
}

/// The line at fault, cut to what fits a screen, and carets under the words.
fn render_source(out: &mut String, source: &str, line: u32, column: usize, length: usize) {
    const WIDTH: usize = 100;
    let first = column.saturating_sub(1);
    let start = first.saturating_sub(WIDTH / 2);
    let shown: String = source
        .chars()
        .skip(start)
        .take(WIDTH)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let number = line.to_string();
    let _ = writeln!(out, "  {number} | {shown}");
    let marks = length.clamp(1, WIDTH.saturating_sub(first - start).max(1));
    let _ = writeln!(
        out,
        "  {} | {}{}",
        " ".repeat(number.len()),
        " ".repeat(first - start),
        "^".repeat(marks)
    );
}
