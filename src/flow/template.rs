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

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_keep_trailing_newline(true);
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
            template.render(scope.value()).map_err(|error| tell(&error))
        })?;
        let slots = SLOTS.take();
        quote::fill(&text, &slots, language)
    }
}

impl Scope<'_> {
    fn value(&self) -> Value {
        let empty = BTreeMap::new();
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
            params => Value::from_serialize(self.params.unwrap_or(&empty)),
            flow => Value::from_serialize(self.flow.unwrap_or(&empty)),
            inputs => paths,
            outputs => &self.outputs,
            resources => BTreeMap::from([("cpu", cpu)]),
        }
    }

    /// Tells of each name in `template` that does not exist.
    pub fn check(&self, template: &Template, stage: &str, faults: &mut Vec<Fault>) {
        let empty = BTreeMap::new();
        for name in &template.names {
            let mut words = name.split('.');
            let (root, member) = (words.next().unwrap_or_default(), words.next());
            let known: Vec<&str> = match root {
                "params" => self
                    .params
                    .unwrap_or(&empty)
                    .keys()
                    .map(String::as_str)
                    .collect(),
                "flow" => self
                    .flow
                    .unwrap_or(&empty)
                    .keys()
                    .map(String::as_str)
                    .collect(),
                "inputs" => self.inputs.keys().map(String::as_str).collect(),
                "outputs" => self.outputs.keys().map(String::as_str).collect(),
                "resources" => vec!["cpu"],
                "range" | "dict" | "namespace" | "debug" | "lipsum" | "cycler" | "joiner" => {
                    continue
                }
                _ => {
                    faults.push(
                        Fault::new(
                            template.span,
                            format!(
                                "stage '{stage}': the template names '{name}', which is undefined"
                            ),
                        )
                        .at_word(name)
                        .suggest(root, ROOTS)
                        .or_hint("templates know params, flow, inputs, outputs and resources"),
                    );
                    continue;
                }
            };
            if let Some(member) = member {
                if !known.contains(&member) {
                    let candidates: Vec<String> =
                        known.iter().map(|word| format!("{root}.{word}")).collect();
                    faults.push(
                        Fault::new(
                            template.span,
                            format!(
                                "stage '{stage}': the template names '{name}', which is undefined"
                            ),
                        )
                        .at_word(name)
                        .suggest(name, candidates.iter().map(String::as_str)),
                    );
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
