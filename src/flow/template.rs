//! Templates in `flow.yaml` and in wrappers: Jinja by `minijinja`, with what is put in quoted for where it stands.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};

use super::fault::{Fault, Span};
use super::quote::{self, Language};

thread_local! {
    /// Made once for each thread: a flow has thousands of templates.
    static ENVIRONMENT: Environment<'static> = environment();
    /// Values that the template being rendered has put in so far.
    static SLOTS: std::cell::RefCell<quote::Slots> = std::cell::RefCell::default();
}

/// Steps that rendering one template may take: an endless loop ends, with a message.
const MOST_STEPS: u64 = 1_000_000;
/// Longest `{{ … }}` or `{% … %}`. Jinja's reader goes one call deeper with each word of an expression.
const LONGEST_CODE: usize = 1000;
const MOST_BRANCHES: usize = 200;

/// Why a template is too much to be read or rendered in little time and memory.
fn too_much(text: &str) -> Option<String> {
    let mut rest = text;
    let mut branches = 0;
    while let Some(at) = rest.find('{') {
        let end = match rest.as_bytes().get(at + 1) {
            Some(b'{') => "}}",
            Some(b'%') => "%}",
            _ => {
                rest = &rest[at + 1..];
                continue;
            }
        };
        let code = &rest[at + 2..];
        let length = code.find(end).unwrap_or(code.len());
        let code = &code[..length];
        if length > LONGEST_CODE {
            return Some(format!(
                "an expression of {length} bytes; at most {LONGEST_CODE} are read"
            ));
        }
        branches += usize::from(code.contains("elif"));
        if branches > MOST_BRANCHES {
            return Some(format!("more than {MOST_BRANCHES} 'elif'"));
        }
        let dense: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        if dense.contains("]*") || dense.contains("*[") {
            return Some("a list cannot be repeated with '*'".to_string());
        }
        let wide = ["indent", "slice", "batch"];
        let digits = dense.split(|c: char| !c.is_ascii_digit()).map(str::len);
        if wide.iter().any(|word| dense.contains(word)) && digits.max() > Some(5) {
            return Some("a width of more than 99999".to_string());
        }
        rest = &rest[at + 2 + length..];
    }
    None
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_keep_trailing_newline(true);
    environment.set_fuel(Some(MOST_STEPS));
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(|out, _state, value| {
        if value.is_undefined() {
            return Err(minijinja::Error::from(minijinja::ErrorKind::UndefinedError));
        }
        let mark = SLOTS.with_borrow_mut(|slots| slots.put(value));
        out.write_str(&mark).map_err(|_| {
            minijinja::Error::new(
                minijinja::ErrorKind::WriteFailure,
                "the text could not be written",
            )
        })
    });
    environment
}

/// Text that may hold `{{ … }}`, where it stands, and the names it uses.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    pub text: String,
    pub span: Span,
    /// Dotted names such as `params.steps`, as far as they can be told without running it.
    pub names: BTreeSet<String>,
    /// Nothing to put in.
    pub literal: bool,
}

/// What templates can name.
#[derive(Debug, Clone, Default)]
pub struct Scope<'a> {
    pub params: Option<&'a BTreeMap<String, serde_json::Value>>,
    pub flow: Option<&'a BTreeMap<String, serde_json::Value>>,
    pub inputs: BTreeMap<String, Paths>,
    pub outputs: BTreeMap<String, String>,
    /// `{{ resources.cpu }}`. In a key it stands for itself, as the number of threads is not part of a key.
    pub cpu: Option<usize>,
}

/// Paths of one input, and whether they are a list even if there is one.
#[derive(Debug, Clone, Default)]
pub struct Paths {
    pub many: bool,
    pub paths: Vec<String>,
}

impl Paths {
    /// Paths that stand for those that are not known yet.
    pub fn sample(input: &str) -> Paths {
        Paths {
            many: true,
            paths: vec![format!("inputs/{input}/sample")],
        }
    }
}

/// The words a template may begin a name with.
pub const ROOTS: [&str; 5] = ["params", "flow", "inputs", "outputs", "resources"];

impl TryFrom<String> for Template {
    type Error = String;
    fn try_from(text: String) -> Result<Template, String> {
        Template::new(&text, Span::START).map_err(|fault| fault.message)
    }
}

impl From<Template> for String {
    fn from(template: Template) -> String {
        template.text
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// The text is no Jinja template.
    pub fn new(text: &str, span: Span) -> Result<Template, Fault> {
        let literal = !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark));
        if literal {
            return Ok(Template {
                text: text.to_string(),
                span,
                names: BTreeSet::new(),
                literal,
            });
        }
        if let Some(message) = too_much(text) {
            return Err(Fault::new(span, format!("not a template: {message}")));
        }
        let names = ENVIRONMENT.with(|environment| {
            let template = environment
                .template_from_str(text)
                .map_err(|error| Fault::new(span, format!("not a template: {}", tell(&error))))?;
            Ok::<_, Fault>(template.undeclared_variables(true).into_iter().collect())
        })?;
        Ok(Template {
            text: text.to_string(),
            span,
            names,
            literal,
        })
    }

    /// Whether the template is exactly one `{{ … }}`, so that in an argument list it may stand for several arguments.
    pub fn sole_name(&self) -> Option<&str> {
        let inner = self.text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
        (!inner.contains("{{") && !inner.contains('|')).then(|| inner.trim())
    }

    /// Names of flow parameters used; `None` when it cannot be told, so that all of them count.
    pub fn flow_params(&self) -> Option<BTreeSet<&str>> {
        let mut used = BTreeSet::new();
        for name in &self.names {
            match name.strip_prefix("flow.") {
                Some(rest) => {
                    used.insert(rest.split('.').next().unwrap_or(rest));
                }
                None if name == "flow" => return None,
                None => {}
            }
        }
        Some(used)
    }

    pub fn uses_resources(&self) -> bool {
        self.names
            .iter()
            .any(|name| name.split('.').next() == Some("resources"))
    }

    /// Puts values in, quoted for `language`.
    ///
    /// # Errors
    /// A name is undefined or the template fails otherwise.
    pub fn render(&self, scope: &Scope<'_>, language: Language) -> Result<String, String> {
        if self.literal {
            return Ok(self.text.clone());
        }
        let text = ENVIRONMENT.with(|environment| {
            // What a template that failed left behind is not for this one.
            drop(SLOTS.take());
            let template = environment
                .template_from_str(&self.text)
                .map_err(|error| tell(&error))?;
            template
                .render(scope.value(&self.names))
                .map_err(|error| tell(&error))
        })?;
        let slots = SLOTS.take();
        quote::fill(&text, &slots, language)
    }
}

impl Template {
    /// Why the template can never be rendered, whatever the inputs are: it names a filter, test or function that does not exist, or,
    /// without looking at any input, a value that does not.
    pub fn never_renders(&self, scope: &Scope<'_>) -> Option<String> {
        use minijinja::ErrorKind;
        // `{{ a.b }}` is known to be right from its names alone.
        let simple = |part: &str| {
            part.split_once("}}").is_some_and(|(inner, _)| {
                inner
                    .trim()
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
            })
        };
        let marks = ["{%", "{#"].iter().any(|mark| self.text.contains(mark));
        if self.literal || (!marks && self.text.split("{{").skip(1).all(simple)) {
            return None;
        }
        let error = ENVIRONMENT.with(|environment| {
            drop(SLOTS.take());
            let template = environment.template_from_str(&self.text).ok()?;
            template.render(scope.value(&self.names)).err()
        });
        drop(SLOTS.take());
        let error = error?;
        let of_inputs = self
            .names
            .iter()
            .any(|name| name.split('.').next() == Some("inputs"));
        let sure = match error.kind() {
            ErrorKind::UnknownFilter
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownFunction
            | ErrorKind::OutOfFuel => true,
            ErrorKind::UndefinedError | ErrorKind::InvalidOperation => !of_inputs,
            _ => false,
        };
        sure.then(|| tell(&error))
    }
}

impl Scope<'_> {
    /// The values that a template which uses these names can see.
    fn value(&self, names: &BTreeSet<String>) -> Value {
        let empty = BTreeMap::new();
        // Of many parameters a template uses few; all count if it names their whole.
        let used = |root: &str, values: Option<&BTreeMap<String, serde_json::Value>>| {
            let mut picked = BTreeMap::new();
            for name in names {
                let Some(rest) = name.strip_prefix(root) else {
                    continue;
                };
                if rest.is_empty() {
                    return Value::from_serialize(values.unwrap_or(&empty));
                }
                let member = rest
                    .strip_prefix('.')
                    .and_then(|rest| rest.split('.').next());
                if let Some((key, value)) = member.and_then(|member| values?.get_key_value(member))
                {
                    picked.insert(key.as_str(), value);
                }
            }
            Value::from_serialize(picked)
        };
        let paths: BTreeMap<&str, Value> = self
            .inputs
            .iter()
            .map(|(name, paths)| {
                let value = match paths.paths.as_slice() {
                    [one] if !paths.many => Value::from(one.as_str()),
                    many => Value::from_iter(many.iter().map(String::as_str)),
                };
                (name.as_str(), value)
            })
            .collect();
        let cpu = match self.cpu {
            Some(count) => Value::from(count),
            None => Value::from_safe_string("{{ resources.cpu }}".to_string()),
        };
        minijinja::context! {
            params => used("params", self.params),
            flow => used("flow", self.flow),
            inputs => paths,
            outputs => &self.outputs,
            resources => BTreeMap::from([("cpu", cpu)]),
        }
    }

    /// Tells of each name in a template of this stage that does not exist.
    pub fn check(&self, template: &Template, stage: &str, faults: &mut Vec<Fault>) {
        let mut found = Vec::new();
        self.check_names(template, &mut found);
        let whole = format!("stage '{stage}'");
        faults.extend(found.into_iter().map(|fault| fault.of(&whole)));
    }

    /// Tells of each name in `template` that does not exist.
    pub fn check_names(&self, template: &Template, faults: &mut Vec<Fault>) {
        let empty = BTreeMap::new();
        // `params.x.y is defined` and `default(…)` are questions.
        let asks = ["defined", "default"]
            .iter()
            .any(|word| template.text.contains(word));
        for name in &template.names {
            let mut words = name.split('.');
            let (root, member) = (words.next().unwrap_or_default(), words.next());
            let undefined = || {
                Fault::new(
                    template.span,
                    format!("the template names '{name}', which is undefined"),
                )
                .at_word(name)
            };
            let values = match root {
                "params" => Some(self.params.unwrap_or(&empty)),
                "flow" => Some(self.flow.unwrap_or(&empty)),
                _ => None,
            };
            let known: Vec<&str> = match (root, values) {
                (_, Some(values)) => values.keys().map(String::as_str).collect(),
                ("inputs", _) => self.inputs.keys().map(String::as_str).collect(),
                ("outputs", _) => self.outputs.keys().map(String::as_str).collect(),
                ("resources", _) => vec!["cpu"],
                ("range" | "dict" | "namespace" | "debug" | "lipsum" | "cycler" | "joiner", _) => {
                    continue
                }
                _ => {
                    faults.push(
                        undefined()
                            .suggest(root, ROOTS)
                            .or_hint("templates know params, flow, inputs, outputs and resources"),
                    );
                    continue;
                }
            };
            let Some(member) = member else { continue };
            if !known.contains(&member) {
                let candidates: Vec<String> =
                    known.iter().map(|word| format!("{root}.{word}")).collect();
                faults.push(undefined().suggest(name, candidates.iter().map(String::as_str)));
            } else if let Some(value) = values
                .and_then(|values| values.get(member))
                .filter(|_| !asks)
            {
                // Further words name members of that value.
                let mut at = Some(value);
                for word in words {
                    at = at.and_then(|value| value.get(word));
                }
                if at.is_none() {
                    faults.push(undefined());
                }
            }
        }
    }
}

impl Fault {
    fn or_hint(self, hint: &str) -> Fault {
        if self.hint.is_some() {
            self
        } else {
            self.hint(hint)
        }
    }
}

/// Minijinja's error in one line.
fn tell(error: &minijinja::Error) -> String {
    let mut text = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    if let Some(line) = error.line() {
        text.push_str(&format!(" (line {line} of the template)"));
    }
    text
}
