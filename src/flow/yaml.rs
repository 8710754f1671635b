//! YAML text → a tree whose every node knows its line and column.
//!
//! Anchored nodes are shared, never copied, and the size that a tree would have if every alias were written out is
//! bounded, so a "billion laughs" file costs no more than its own length.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::fault::{Fault, Span, MOST_FAULTS};

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 64;
/// Largest tree after writing out all aliases, in nodes beyond those that stand in the file.
const MAX_ALIASED: u64 = 1_000_000;
/// Largest file that is read, in bytes.
pub const MAX_BYTES: usize = 16 << 20;
/// Most nodes that are read.
const MAX_NODES: usize = 2_000_000;

/// One node of the tree.
#[derive(Debug, Clone)]
pub struct Node {
    pub span: Span,
    pub kind: Kind,
    /// Nodes below and including this one, aliases written out.
    pub(super) size: u64,
}

#[derive(Debug, Clone)]
pub enum Kind {
    /// Text as written; `plain` when it stood without quotes, so that it may be a number, a boolean or null.
    Scalar {
        text: String,
        plain: bool,
    },
    Sequence(Vec<Arc<Node>>),
    Mapping(Vec<(Key, Arc<Node>)>),
}

/// A key of a mapping and where it stands.
#[derive(Debug, Clone)]
pub struct Key {
    pub text: String,
    pub span: Span,
}

impl Node {
    /// The mapping's entries, if it is one.
    pub fn as_mapping(&self) -> Option<&[(Key, Arc<Node>)]> {
        match &self.kind {
            Kind::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// Whether the node says nothing: `~`, `null` or an empty value.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if is_null(text))
    }

    /// The text of a scalar that is not null.
    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// What the node is, for messages.
    pub fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar { text, plain: true } => match resolve(text) {
                serde_json::Value::Null => "nothing",
                serde_json::Value::Bool(_) => "a boolean",
                serde_json::Value::Number(_) => "a number",
                _ => "text",
            },
            Kind::Scalar { .. } => "text",
            Kind::Sequence(_) => "a list",
            Kind::Mapping(_) => "a mapping",
        }
    }

    /// The node as a JSON value, with YAML's core schema for plain scalars.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.kind {
            Kind::Scalar { text, plain: true } => resolve(text),
            Kind::Scalar { text, plain: false } => serde_json::Value::String(text.clone()),
            Kind::Sequence(items) => items.iter().map(|item| item.to_json()).collect(),
            Kind::Mapping(entries) => serde_json::Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.text.clone(), value.to_json()))
                    .collect(),
            ),
        }
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// A plain scalar by YAML 1.2's core schema. Numbers that JSON cannot hold (`.inf`, `.nan`) stay text.
pub fn resolve(text: &str) -> serde_json::Value {
    use serde_json::Value;
    if is_null(text) {
        return Value::Null;
    }
    match text {
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return Value::String(text.to_string());
    }
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let radix = if let Some(hex) = digits.strip_prefix("0x") {
        i64::from_str_radix(hex, 16).ok()
    } else if let Some(octal) = digits.strip_prefix("0o") {
        i64::from_str_radix(octal, 8).ok()
    } else {
        None
    };
    if let Some(value) = radix {
        return Value::from(if negative { -value } else { value });
    }
    let decimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if decimal {
        // `007` is text in no schema, but a number with leading zeros loses them: keep it as text, as serde_yaml does.
        if digits.len() > 1 && digits.starts_with('0') {
            return Value::String(text.to_string());
        }
        if let Ok(value) = text.trim_start_matches('+').parse::<i64>() {
            return Value::from(value);
        }
        if let Ok(value) = digits.parse::<u64>() {
            if !negative {
                return Value::from(value);
            }
        }
    }
    let looks_like_float = digits.bytes().any(|b| b.is_ascii_digit())
        && digits
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+'));
    if looks_like_float {
        if let Some(number) = text
            .trim_start_matches('+')
            .parse::<f64>()
            .ok()
            .and_then(serde_json::Number::from_f64)
        {
            return Value::Number(number);
        }
    }
    Value::String(text.to_string())
}

/// A mapping or sequence that is not complete yet.
struct Open {
    span: Span,
    anchor: usize,
    items: Vec<Arc<Node>>,
    is_mapping: bool,
}

/// Reads the one document of a file. Faults that leave the tree usable (a key given twice) are added to `faults`; `None`
/// means that there is no tree.
pub fn parse(text: &str, faults: &mut Vec<Fault>) -> Option<Arc<Node>> {
    if text.len() > MAX_BYTES {
        faults.push(Fault::new(
            Span::START,
            format!(
                "the file has {} bytes; at most {MAX_BYTES} are read",
                text.len()
            ),
        ));
        return None;
    }
    let mut builder = Builder {
        anchors: HashMap::new(),
        open: Vec::new(),
        root: None,
        aliased: 0,
    };
    let mut documents = 0;
    let mut nodes = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(pair) => pair,
            Err(error) => {
                let mark = error.marker();
                let span = Span::new(mark.line(), mark.col() + 1, 1);
                faults.push(Fault::new(span, format!("not YAML: {}", error.info())));
                return None;
            }
        };
        let length = if span.start.line() == span.end.line() {
            span.end.col().saturating_sub(span.start.col())
        } else {
            1
        };
        let span = Span::new(span.start.line(), span.start.col() + 1, length.max(1));
        if matches!(event, Event::DocumentStart(_)) {
            documents += 1;
            if documents > 1 {
                faults.push(Fault::new(
                    span,
                    "a second YAML document; a flow is one document",
                ));
                return builder.root;
            }
            continue;
        }
        nodes += 1;
        if nodes > MAX_NODES {
            faults.push(Fault::new(
                span,
                format!("the file has more than {MAX_NODES} nodes"),
            ));
            return None;
        }
        if let Err(fault) = builder.event(event, span, faults) {
            faults.push(fault);
            return None;
        }
    }
    builder.root
}

struct Builder {
    anchors: HashMap<usize, Arc<Node>>,
    open: Vec<Open>,
    root: Option<Arc<Node>>,
    /// Nodes that aliases have added so far.
    aliased: u64,
}

impl Builder {
    fn event(
        &mut self,
        event: Event<'_>,
        span: Span,
        faults: &mut Vec<Fault>,
    ) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                // An explicit `!!str` keeps text that looks like a number.
                let tagged_text = tag.is_some_and(|tag| tag.suffix.ends_with("str"));
                let plain = style == ScalarStyle::Plain && !tagged_text;
                self.finish(
                    Node {
                        span,
                        kind: Kind::Scalar {
                            text: text.into_owned(),
                            plain,
                        },
                        size: 1,
                    },
                    anchor,
                );
            }
            Event::SequenceStart(anchor, _) => self.start(span, anchor, false)?,
            Event::MappingStart(anchor, _) => self.start(span, anchor, true)?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let node = close(open.span, open.items, open.is_mapping, faults)?;
                    self.finish(node, open.anchor);
                }
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(Fault::new(span, "an alias inside the node that it names"));
                };
                self.aliased = self.aliased.saturating_add(node.size);
                if self.aliased > MAX_ALIASED {
                    return Err(Fault::new(
                        span,
                        format!("aliases that write out to more than {MAX_ALIASED} nodes"),
                    ));
                }
                self.place(node);
            }
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, span: Span, anchor: usize, is_mapping: bool) -> Result<(), Fault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Fault::new(
                span,
                format!("nested more than {MAX_DEPTH} deep"),
            ));
        }
        self.open.push(Open {
            span,
            anchor,
            items: Vec::new(),
            is_mapping,
        });
        Ok(())
    }

    fn finish(&mut self, node: Node, anchor: usize) {
        let node = Arc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.place(node);
    }

    fn place(&mut self, node: Arc<Node>) {
        match self.open.last_mut() {
            Some(open) => open.items.push(node),
            None => self.root = Some(node),
        }
    }
}

/// Makes a node of a complete sequence or mapping: pairs keys with values, resolves `<<` and tells of keys given twice.
fn close(
    span: Span,
    items: Vec<Arc<Node>>,
    is_mapping: bool,
    faults: &mut Vec<Fault>,
) -> Result<Node, Fault> {
    let size = items
        .iter()
        .fold(1u64, |sum, item| sum.saturating_add(item.size));
    if !is_mapping {
        return Ok(Node {
            span,
            kind: Kind::Sequence(items),
            size,
        });
    }
    let mut entries: Vec<(Key, Arc<Node>)> = Vec::with_capacity(items.len() / 2);
    let mut merges: Vec<(Span, Arc<Node>)> = Vec::new();
    let twice = repeated_keys(&items, faults)?;
    let mut pairs = items.into_iter();
    let mut position = 0;
    while let (Some(key), Some(value)) = (pairs.next(), pairs.next()) {
        position += 2;
        if twice.contains(&(position - 2)) {
            continue;
        }
        let Node { span, kind, .. } = Arc::unwrap_or_clone(key);
        match kind {
            Kind::Scalar { text, plain: true } if text == "<<" => merges.push((span, value)),
            Kind::Scalar { text, .. } => entries.push((Key { text, span }, value)),
            _ => {}
        }
    }
    if !merges.is_empty() {
        merge(&mut entries, merges, faults);
    }
    Ok(Node {
        span,
        kind: Kind::Mapping(entries),
        size,
    })
}

/// Positions of keys that stood before, each told as a fault.
fn repeated_keys(items: &[Arc<Node>], faults: &mut Vec<Fault>) -> Result<HashSet<usize>, Fault> {
    let mut seen: HashMap<&str, Span> = HashMap::with_capacity(items.len() / 2);
    let mut repeated = HashSet::new();
    for (position, key) in items.iter().enumerate().step_by(2) {
        let Kind::Scalar { text, .. } = &key.kind else {
            return Err(Fault::new(
                key.span,
                format!("{} as a key; keys are words", key.describe()),
            )
            .hint("put quotes around text that holds '{{ … }}'"));
        };
        if let Some(first) = seen.insert(text, key.span) {
            repeated.insert(position);
            if faults.len() < MOST_FAULTS {
                faults.push(
                    Fault::new(key.span, format!("the key '{text}' is given twice"))
                        .hint(format!("it stands first in line {}", first.line)),
                );
            }
        }
    }
    Ok(repeated)
}

/// `<<: *a` or `<<: [*a, *b]`: what stands in the mapping wins, then the earlier of the merged ones.
fn merge(
    entries: &mut Vec<(Key, Arc<Node>)>,
    merges: Vec<(Span, Arc<Node>)>,
    faults: &mut Vec<Fault>,
) {
    let mut present: HashSet<String> = entries.iter().map(|(key, _)| key.text.clone()).collect();
    for (span, value) in merges {
        let sources = match &value.kind {
            Kind::Sequence(items) => items.clone(),
            _ => vec![value],
        };
        for source in sources {
            match source.as_mapping() {
                Some(merged) => {
                    for (key, value) in merged {
                        if present.insert(key.text.clone()) {
                            entries.push((key.clone(), value.clone()));
                        }
                    }
                }
                None => faults.push(Fault::new(
                    span,
                    format!(
                        "a merge key '<<' needs a mapping or a list of mappings, not {}",
                        source.describe()
                    ),
                )),
            }
        }
    }
}

/// Merges `over` into `base`, mapping by mapping; anything else replaces. Spans stay those of the winner.
pub fn deep_merge(base: &Arc<Node>, over: &Arc<Node>) -> Arc<Node> {
    let (Some(lower), Some(upper)) = (base.as_mapping(), over.as_mapping()) else {
        return over.clone();
    };
    let mut entries = lower.to_vec();
    let index: HashMap<String, usize> = entries
        .iter()
        .enumerate()
        .map(|(position, (key, _))| (key.text.clone(), position))
        .collect();
    for (key, value) in upper {
        match index
            .get(&key.text)
            .and_then(|position| entries.get_mut(*position))
        {
            Some(entry) => entry.1 = deep_merge(&entry.1, value),
            None => entries.push((key.clone(), value.clone())),
        }
    }
    Arc::new(Node {
        span: base.span,
        kind: Kind::Mapping(entries),
        size: base.size.saturating_add(over.size),
    })
}

/// A mapping made by hand, for `--set`.
pub fn mapping(span: Span, entries: Vec<(String, Node)>) -> Node {
    let size = entries
        .iter()
        .fold(1u64, |sum, (_, node)| sum.saturating_add(node.size));
    let entries = entries
        .into_iter()
        .map(|(text, node)| (Key { text, span }, Arc::new(node)))
        .collect();
    Node {
        span,
        kind: Kind::Mapping(entries),
        size,
    }
}
