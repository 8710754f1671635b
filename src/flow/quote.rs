//! Quoting of what templates put in, for the language of the file and for the place in it.
//!
//! Rendering leaves a mark where each value goes. [`fill`] then reads the text as the language does and writes each value
//! for where its mark stands: bare, inside quotes, in a comment. So `"{{ params.x }}"` and `{{ params.x }}` both come
//! out right, with the same value, whatever is in it.

use minijinja::value::{Value, ValueKind};

/// Language of the text around a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// An argument of a list: nothing to quote.
    Raw,
    Shell,
    Tcl,
    Yosys,
    Json,
    Yaml,
    Python,
    Ruby,
    Verilog,
}

impl Language {
    /// The language of a file by its name; text that no rule is known for takes values as they are.
    pub fn of_file(name: &str) -> Language {
        match name
            .rsplit('.')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase()
            .as_str()
        {
            "sh" | "bash" => Language::Shell,
            "tcl" | "sdc" | "upf" => Language::Tcl,
            "ys" => Language::Yosys,
            "json" => Language::Json,
            "yaml" | "yml" => Language::Yaml,
            "py" => Language::Python,
            "rb" | "lydrc" | "lylvs" | "drc" | "lvs" | "lym" => Language::Ruby,
            "v" | "sv" | "vh" | "svh" => Language::Verilog,
            _ => Language::Raw,
        }
    }
}

/// The values put in while a template is rendered.
#[derive(Debug, Default)]
pub struct Slots(Vec<Slot>);

#[derive(Debug, Clone)]
enum Slot {
    /// Numbers, booleans, null: written as the language spells them.
    Plain(serde_json::Value),
    Text(String),
    /// Put in without quotes (`| safe`).
    Safe(String),
    List(Vec<String>),
}

const OPEN: char = '\u{F8F0}';
const CLOSE: char = '\u{F8F1}';

impl Slots {
    /// Keeps a value and gives the mark that stands for it.
    pub fn put(&mut self, value: &Value) -> String {
        let slot = if value.is_safe() {
            Slot::Safe(value.to_string())
        } else {
            match value.kind() {
                ValueKind::Seq | ValueKind::Iterable => Slot::List(
                    value
                        .try_iter()
                        .map(|items| items.map(|item| item.to_string()).collect())
                        .unwrap_or_default(),
                ),
                ValueKind::String => Slot::Text(value.to_string()),
                _ => match serde_json::to_value(value) {
                    Ok(
                        json @ (serde_json::Value::Number(_)
                        | serde_json::Value::Bool(_)
                        | serde_json::Value::Null),
                    ) => Slot::Plain(json),
                    Ok(json) => Slot::Text(json.to_string()),
                    Err(_) => Slot::Text(value.to_string()),
                },
            }
        };
        self.0.push(slot);
        format!("{OPEN}{}{CLOSE}", self.0.len() - 1)
    }
}

/// Where a mark stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Bare,
    Single,
    Double,
    Comment,
    /// A here-document whose end word is quoted: nothing is special in it.
    Literal,
    /// A here-document in which `$`, backquote and backslash are special.
    HereDocument,
    /// Inside `{…}` of Tcl, where nothing is substituted.
    Braces,
}

/// Writes the kept values where their marks stand.
///
/// # Errors
/// A value cannot be written where it stands, such as a line break in a comment.
pub fn fill(text: &str, slots: &Slots, language: Language) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut reader = Reader::new(language);
    let mut rest = text;
    while let Some(start) = rest.find(OPEN) {
        let (before, after) = rest.split_at(start);
        out.push_str(before);
        reader.read(before);
        let after = &after[OPEN.len_utf8()..];
        let slot = after.find(CLOSE).and_then(|end| {
            let slot = after[..end]
                .parse::<usize>()
                .ok()
                .and_then(|index| slots.0.get(index))?;
            Some((slot, end))
        });
        match slot {
            Some((slot, end)) => {
                if reader.in_backquotes() {
                    allowed_in_backquotes(slot)?;
                }
                let written = write(slot, language, reader.place())?;
                reader.read_value();
                out.push_str(&written);
                rest = &after[end + CLOSE.len_utf8()..];
            }
            None => {
                out.push(OPEN);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn write(slot: &Slot, language: Language, place: Place) -> Result<String, String> {
    match slot {
        Slot::Safe(text) => Ok(text.clone()),
        Slot::Plain(value) => Ok(match (value, language) {
            (serde_json::Value::Bool(true), Language::Python) => "True".to_string(),
            (serde_json::Value::Bool(false), Language::Python) => "False".to_string(),
            (serde_json::Value::Null, Language::Python) => "None".to_string(),
            (serde_json::Value::Null, Language::Ruby) => "nil".to_string(),
            (serde_json::Value::Bool(on), Language::Tcl | Language::Verilog) => {
                u8::from(*on).to_string()
            }
            (value, _) => value.to_string(),
        }),
        Slot::Text(text) => quote(text, language, place),
        Slot::List(items) => {
            let quoted: Result<Vec<String>, String> = items
                .iter()
                .map(|item| quote(item, language, place))
                .collect();
            let separator = match language {
                Language::Python | Language::Ruby | Language::Json | Language::Yaml
                    if place == Place::Bare =>
                {
                    ", "
                }
                _ => " ",
            };
            let joined = quoted?.join(separator);
            Ok(match language {
                Language::Python | Language::Ruby | Language::Json | Language::Yaml
                    if place == Place::Bare =>
                {
                    format!("[{joined}]")
                }
                _ => joined,
            })
        }
    }
}

/// `text` as `language` must spell it at `place`.
fn quote(text: &str, language: Language, place: Place) -> Result<String, String> {
    if text.contains('\0') {
        return Err(format!("a NUL character in {text:?} cannot be passed on"));
    }
    if place == Place::Comment {
        return if text.contains(['\n', '\r']) {
            Err(format!(
                "a line break in {text:?} would end the comment it stands in"
            ))
        } else {
            Ok(text.to_string())
        };
    }
    match language {
        Language::Raw => Ok(text.to_string()),
        Language::Shell => Ok(shell(text, place)),
        Language::Tcl => tcl(text, place),
        Language::Yosys => yosys(text, place),
        Language::Json | Language::Yaml => Ok(match place {
            Place::Single => text.replace('\'', "''"),
            place => wrap(&escape(text, json_escape), '"', place == Place::Double),
        }),
        Language::Python | Language::Ruby => {
            let ruby = language == Language::Ruby;
            Ok(match place {
                Place::Single if ruby => text.replace('\\', "\\\\").replace('\'', "\\'"),
                Place::Single => escape(text, |c| {
                    if c == '\'' {
                        Some("\\'".into())
                    } else {
                        script_escape(c, false)
                    }
                }),
                place => wrap(
                    &escape(text, |c| script_escape(c, ruby)),
                    '"',
                    place == Place::Double,
                ),
            })
        }
        Language::Verilog => Ok(wrap(
            &escape(text, verilog_escape),
            '"',
            place == Place::Double,
        )),
    }
}

fn wrap(text: &str, mark: char, inside: bool) -> String {
    if inside {
        text.to_string()
    } else {
        format!("{mark}{text}{mark}")
    }
}

fn escape(text: &str, special: impl Fn(char) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match special(c) {
            Some(written) => out.push_str(&written),
            None => out.push(c),
        }
    }
    out
}

/// Text as it may stand in XML and HTML; characters that XML has no way to write are replaced.
pub fn markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            c if c < ' ' || ('\u{fffe}'..='\u{ffff}').contains(&c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn shell(text: &str, place: Place) -> String {
    match place {
        Place::Double | Place::HereDocument => escape(text, |c| match c {
            '"' if place == Place::HereDocument => None,
            '"' | '\\' | '$' | '`' => Some(format!("\\{c}")),
            _ => None,
        }),
        Place::Single => text.replace('\'', "'\\''"),
        Place::Literal => text.to_string(),
        _ => {
            if is_plain_word(text) {
                text.to_string()
            } else {
                format!("'{}'", text.replace('\'', "'\\''"))
            }
        }
    }
}

/// Whether the shell takes the text as one word without quotes.
fn is_plain_word(text: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_./=+,@%:-".contains(c);
    !text.is_empty() && text.chars().all(safe)
}

/// Between backquotes the shell takes quoting apart twice, and in double quotes shells differ in how.
fn allowed_in_backquotes(slot: &Slot) -> Result<(), String> {
    let plain = |text: &String| match is_plain_word(text) {
        true => Ok(()),
        false => Err(format!(
            "{text:?} cannot be put between backquotes; write $(…) instead of `…`"
        )),
    };
    match slot {
        Slot::Plain(_) | Slot::Safe(_) => Ok(()),
        Slot::Text(text) => plain(text),
        Slot::List(items) => items.iter().try_for_each(plain),
    }
}

/// Tcl: inside double quotes and bare, `\` keeps every special character from being read; in braces nothing can be quoted.
fn tcl(text: &str, place: Place) -> Result<String, String> {
    if place == Place::Braces {
        return if text.contains(['{', '}', '\\']) {
            Err(format!(
                "{text:?} cannot be put inside braces of Tcl; write \"{{{{ … }}}}\" instead"
            ))
        } else {
            Ok(text.to_string())
        };
    }
    let escaped = escape(text, |c| match c {
        '\\' | '"' | '$' | '[' | ']' | '{' | '}' | ';' => Some(format!("\\{c}")),
        '\n' => Some("\\n".into()),
        '\r' => Some("\\r".into()),
        '\t' => Some("\\t".into()),
        _ => None,
    });
    Ok(wrap(&escaped, '"', place == Place::Double))
}

/// Yosys scripts: a double-quoted word has no escape for its own quote in all versions, and a line is a command.
fn yosys(text: &str, place: Place) -> Result<String, String> {
    if text.contains(['"', '\n', '\r']) {
        return Err(format!(
            "{text:?} cannot be written in a Yosys script: it holds a quote or a line break"
        ));
    }
    // Only file names have their quotes taken off by Yosys; a module's name must stand bare.
    let simple = |c: char| c.is_ascii_alphanumeric() || "_./:+=@%-".contains(c);
    if place == Place::Bare && !text.is_empty() && text.chars().all(simple) {
        return Ok(text.to_string());
    }
    Ok(wrap(text, '"', place == Place::Double))
}

fn json_escape(c: char) -> Option<String> {
    match c {
        '"' => Some("\\\"".into()),
        '\\' => Some("\\\\".into()),
        '\n' => Some("\\n".into()),
        '\r' => Some("\\r".into()),
        '\t' => Some("\\t".into()),
        c if (c as u32) < 0x20
            || (0x7f..=0x9f).contains(&(c as u32))
            || c == '\u{2028}'
            || c == '\u{2029}'
            || c == '\u{feff}' =>
        {
            Some(format!("\\u{:04x}", c as u32))
        }
        _ => None,
    }
}

/// Python and Ruby; in Ruby's double quotes `#{`, `#$` and `#@` would be read.
fn script_escape(c: char, ruby: bool) -> Option<String> {
    match c {
        '"' => Some("\\\"".into()),
        '\\' => Some("\\\\".into()),
        '\n' => Some("\\n".into()),
        '\r' => Some("\\r".into()),
        '\t' => Some("\\t".into()),
        '#' if ruby => Some("\\#".into()),
        c if (c as u32) < 0x20 || c as u32 == 0x7f => Some(format!("\\x{:02x}", c as u32)),
        _ => None,
    }
}

fn verilog_escape(c: char) -> Option<String> {
    match c {
        '"' => Some("\\\"".into()),
        '\\' => Some("\\\\".into()),
        '\n' => Some("\\n".into()),
        '\t' => Some("\\t".into()),
        c if (c as u32) < 0x20 => Some(format!("\\{:03o}", c as u32)),
        _ => None,
    }
}

/// Reads text up to a mark and knows where that mark stands.
struct Reader {
    language: Language,
    /// Innermost last.
    stack: Vec<Frame>,
    /// The character before, for `#` at the start of a word and for escapes.
    previous: char,
    /// End words of here-documents that begin after this line, and whether they are quoted.
    pending: Vec<(String, bool)>,
    line: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Frame {
    Quotes(Place),
    /// `$(…)` or `(…)` of the shell.
    Parenthesis,
    /// Between two backquotes of the shell.
    Backquotes,
    Here {
        word: String,
        literal: bool,
    },
}

impl Reader {
    fn new(language: Language) -> Self {
        Reader {
            language,
            stack: Vec::new(),
            previous: '\n',
            pending: Vec::new(),
            line: String::new(),
        }
    }

    fn place(&self) -> Place {
        match self.stack.last() {
            Some(Frame::Quotes(place)) => *place,
            Some(Frame::Here { literal: true, .. }) => Place::Literal,
            Some(Frame::Here { literal: false, .. }) => Place::HereDocument,
            _ => Place::Bare,
        }
    }

    /// A value was written: what follows is no start of a word.
    fn read_value(&mut self) {
        self.previous = 'x';
        self.line.push('\u{FFFC}');
    }

    fn read(&mut self, text: &str) {
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if c == '\n' {
                self.end_of_line();
                self.previous = '\n';
                continue;
            }
            self.line.push(c);
            let next = chars.peek().copied();
            let place = self.place();
            let escapes = match place {
                Place::Bare | Place::HereDocument => {
                    matches!(self.language, Language::Shell | Language::Tcl)
                }
                Place::Double => !matches!(self.language, Language::Raw | Language::Yosys),
                Place::Single => matches!(self.language, Language::Python | Language::Ruby),
                Place::Braces => true,
                _ => false,
            };
            if c == '\\' && escapes {
                if let Some(skipped) = chars.next() {
                    self.line.push(skipped);
                    if skipped == '\n' {
                        self.line.clear();
                    }
                }
                self.previous = 'x';
                continue;
            }
            self.step(c, next, place);
            self.previous = c;
        }
    }

    fn in_backquotes(&self) -> bool {
        self.stack.contains(&Frame::Backquotes)
    }

    /// A backquote begins a command or ends the one that it stands in, with whatever is open in that.
    fn backquote(&mut self) {
        let open = self
            .stack
            .iter()
            .position(|frame| *frame == Frame::Backquotes);
        match open {
            Some(position) => self.stack.truncate(position),
            None => self.stack.push(Frame::Backquotes),
        }
    }

    fn step(&mut self, c: char, next: Option<char>, place: Place) {
        let shell = self.language == Language::Shell;
        let expands = matches!(place, Place::Bare | Place::Double | Place::HereDocument);
        if shell && c == '`' && expands {
            self.backquote();
            return;
        }
        match place {
            Place::Comment | Place::Literal => {}
            Place::HereDocument => {
                if c == '(' && self.previous == '$' {
                    self.stack.push(Frame::Parenthesis);
                }
            }
            Place::Single => {
                if c == '\'' {
                    self.stack.pop();
                }
            }
            Place::Double => {
                if c == '"' {
                    self.stack.pop();
                } else if shell && c == '(' && self.previous == '$' {
                    self.stack.push(Frame::Parenthesis);
                }
            }
            Place::Braces => match c {
                '{' => self.stack.push(Frame::Quotes(Place::Braces)),
                '}' => {
                    self.stack.pop();
                }
                _ => {}
            },
            Place::Bare => self.step_bare(c, next),
        }
    }

    fn step_bare(&mut self, c: char, next: Option<char>) {
        let word_start =
            self.previous.is_whitespace() || matches!(self.previous, ';' | '(' | '&' | '|');
        match (self.language, c) {
            (Language::Raw, _) => {}
            (Language::Tcl, '"') if !word_start && self.previous != '[' && self.previous != '{' => {
            }
            (_, '"') => self.stack.push(Frame::Quotes(Place::Double)),
            (Language::Shell | Language::Python | Language::Ruby, '\'') => {
                self.stack.push(Frame::Quotes(Place::Single));
            }
            (Language::Yaml, '\'') if word_start || matches!(self.previous, '[' | '{' | ',') => {
                self.stack.push(Frame::Quotes(Place::Single));
            }
            (Language::Shell, '(') => self.stack.push(Frame::Parenthesis),
            (Language::Shell, ')') if self.stack.last() == Some(&Frame::Parenthesis) => {
                self.stack.pop();
            }
            (
                Language::Shell
                | Language::Yaml
                | Language::Python
                | Language::Ruby
                | Language::Yosys
                | Language::Tcl,
                '#',
            ) if word_start || self.language == Language::Python => {
                self.stack.push(Frame::Quotes(Place::Comment));
            }
            (Language::Verilog, '/') if next == Some('/') => {
                self.stack.push(Frame::Quotes(Place::Comment))
            }
            _ => {}
        }
    }

    fn end_of_line(&mut self) {
        if self.place() == Place::Comment {
            self.stack.pop();
        }
        let line = std::mem::take(&mut self.line);
        if self.language != Language::Shell {
            return;
        }
        if let Some(Frame::Here { word, .. }) = self.stack.last() {
            if line.trim_start_matches('\t') == word {
                self.stack.pop();
                self.next_here();
            }
            return;
        }
        if self.place() == Place::Bare {
            self.pending = here_words(&line);
            self.next_here();
        }
    }

    fn next_here(&mut self) {
        if !self.pending.is_empty() {
            let (word, literal) = self.pending.remove(0);
            self.stack.push(Frame::Here { word, literal });
        }
    }
}

/// The end words of the here-documents that a line of shell begins.
fn here_words(line: &str) -> Vec<(String, bool)> {
    let mut words = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find("<<") {
        let after = &rest[at + 2..];
        if let Some(here_string) = after.strip_prefix('<') {
            rest = here_string;
            continue;
        }
        let after = after
            .strip_prefix('-')
            .unwrap_or(after)
            .trim_start_matches([' ', '\t']);
        let quoted = after.starts_with(['\'', '"', '\\']);
        let word: String = after
            .trim_start_matches(['\'', '"', '\\'])
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        // `1 << 2` is arithmetic.
        if word.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            words.push((word, quoted));
        }
        rest = after;
    }
    words
}
