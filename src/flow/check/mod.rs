//! The tree of a flow file → a [`Flow`], with every fault that can be told without looking at other files.

mod profile;
mod sandbox;
mod stage;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value as Json;

use super::fault::{Fault, Span, MOST_FAULTS};
use super::template::{Paths, Scope};
use super::yaml::{Key, Kind, Node};
use super::{parse_bytes, Body, Flow, Input, Limits, Plugin, Source, SourceKind, StageId};

const TOP_KEYS: [&str; 11] = [
    "version",
    "name",
    "params",
    "env",
    "env-volatile",
    "stages",
    "groups",
    "profiles",
    "limits",
    "plugins",
    "sandbox",
];
const STAGE_KEYS: [&str; 14] = [
    "uses",
    "wrapper",
    "run",
    "about",
    "params",
    "inputs",
    "outputs",
    "aliases",
    "gates",
    "resources",
    "network",
    "sandbox",
    "checkpoint",
    "platform",
];

/// Checks the whole tree. The flow is usable only when no fault was added.
pub fn check(root: &Arc<Node>, faults: &mut Vec<Fault>) -> Flow {
    let mut checker = Checker {
        faults,
        flow: Flow::default(),
        names: HashMap::new(),
        partial: false,
        more_outputs: BTreeSet::new(),
    };
    checker.top(root);
    let flow = checker.flow;
    // What is wrong with a profile that is selected is wrong with the flow, too.
    let mut told = HashSet::new();
    faults.retain(|fault| told.insert((fault.span, fault.message.clone())));
    flow
}

/// A whole number that is not negative, `2.0` as well as `2`.
fn whole(node: &Node) -> Option<u64> {
    let value = node.to_json();
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as u64)
    })
}

struct Checker<'a> {
    faults: &'a mut Vec<Fault>,
    flow: Flow,
    /// Every stage name and alias.
    names: HashMap<String, StageId>,
    /// What is looked at is laid over something else: what it does not say stands there.
    partial: bool,
    /// Outputs that profiles add.
    more_outputs: BTreeSet<(StageId, String)>,
}

/// The mapping's values by key.
type Fields<'n> = HashMap<&'n str, (&'n Key, &'n Arc<Node>)>;

impl Checker<'_> {
    fn fault(&mut self, fault: Fault) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(fault);
        }
    }

    fn mapping<'n>(&mut self, node: &'n Node, what: &str) -> &'n [(Key, Arc<Node>)] {
        if node.is_null() {
            return &[];
        }
        match node.as_mapping() {
            Some(entries) => entries,
            None => {
                self.fault(Fault::new(
                    node.span,
                    format!("{what} must be a mapping, not {}", node.describe()),
                ));
                &[]
            }
        }
    }

    fn fields<'n>(&mut self, node: &'n Node, what: &str, known: &[&str]) -> Fields<'n> {
        let mut fields = Fields::new();
        for (key, value) in self.mapping(node, what) {
            if known.contains(&key.text.as_str()) {
                fields.insert(&key.text, (key, value));
            } else if self.faults.len() < MOST_FAULTS {
                self.fault(
                    Fault::new(key.span, format!("unknown key '{}' in {what}", key.text))
                        .suggest(&key.text, known.iter().copied()),
                );
            }
        }
        fields
    }

    fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = node.as_text().map(str::to_string);
        if text.is_none() {
            let mut fault = Fault::new(
                node.span,
                format!("{what} must be text, not {}", node.describe()),
            );
            if matches!(node.kind, Kind::Mapping(_)) {
                fault = fault.hint("put quotes around text that begins with '{{'");
            }
            self.fault(fault);
        }
        text
    }

    /// One text or a list of texts.
    fn texts(&mut self, node: &Node, what: &str) -> Vec<(String, Span)> {
        match &node.kind {
            Kind::Sequence(items) => items
                .iter()
                .filter_map(|item| {
                    self.text(item, &format!("each of {what}"))
                        .map(|text| (text, item.span))
                })
                .collect(),
            _ if node.is_null() => Vec::new(),
            _ => self
                .text(node, what)
                .map(|text| (text, node.span))
                .into_iter()
                .collect(),
        }
    }

    fn boolean(&mut self, field: Option<&(&Key, &Arc<Node>)>, what: &str) -> bool {
        match field.map(|(_, node)| (node, node.to_json())) {
            None => false,
            Some((_, Json::Bool(on))) => on,
            Some((node, _)) => {
                let fault = Fault::new(
                    node.span,
                    format!("{what} must be true or false, not {}", node.describe()),
                );
                self.fault(fault);
                false
            }
        }
    }

    fn number(&mut self, node: &Node, what: &str) -> Option<f64> {
        let value = node.to_json().as_f64();
        if value.is_none() {
            self.fault(Fault::new(
                node.span,
                format!("{what} must be a number, not {}", node.describe()),
            ));
        }
        value
    }

    fn top(&mut self, root: &Arc<Node>) {
        let fields = self.fields(root, "the flow", &TOP_KEYS);
        if !self.frame(&fields) {
            return;
        }
        match fields.get("stages") {
            Some((_, node)) if !node.is_null() => self.stages(node),
            Some((key, _)) => {
                let fault =
                    Fault::new(key.span, "'stages' is empty; a flow has at least one stage");
                self.fault(fault);
            }
            None => {
                let fault = Fault::new(root.span, "the key 'stages' is missing")
                    .hint("write 'stages:' and below it a stage");
                self.fault(fault);
            }
        }
        if let Some((_, node)) = fields.get("groups") {
            self.groups(node);
        }
        if let Some((_, node)) = fields.get("profiles") {
            self.profiles(node);
        }
    }

    /// All but stages, groups and profiles. False if the file is of a version that is not known.
    fn frame(&mut self, fields: &Fields<'_>) -> bool {
        if let Some((_, node)) = fields.get("version") {
            if node.to_json().as_f64() != Some(1.0) {
                let shown = node.as_text().unwrap_or(node.describe()).to_string();
                self.fault(
                    Fault::new(
                        node.span,
                        format!("unknown version {shown}; this nanoflow reads version 1"),
                    )
                    .hint("write 'version: 1'"),
                );
                return false;
            }
        }
        if let Some((_, node)) = fields.get("name") {
            self.flow.name = self.text(node, "'name'");
        }
        if let Some((_, node)) = fields.get("params") {
            let params = self.mapping(node, "'params'");
            let params = params
                .iter()
                .map(|(key, node)| (key.text.clone(), node.to_json()));
            self.flow.params.extend(params);
        }
        for (word, volatile) in [("env", false), ("env-volatile", true)] {
            if let Some((_, node)) = fields.get(word) {
                let names = self.variables(node, word);
                if volatile {
                    self.flow.env_volatile.extend(names);
                } else {
                    self.flow.env.extend(names);
                }
            }
        }
        if let Some((_, node)) = fields.get("limits") {
            self.limits(node);
        }
        if let Some((_, node)) = fields.get("sandbox") {
            self.flow.sandbox = self.sandbox(node);
        }
        if let Some((_, node)) = fields.get("plugins") {
            for (key, node) in self.mapping(node, "'plugins'") {
                if let Some(path) = self.text(node, &format!("plugin '{}'", key.text)) {
                    let span = node.span;
                    let plugin = Plugin { path, span };
                    self.flow.plugins.insert(key.text.clone(), plugin);
                }
            }
        }
        true
    }

    fn variables(&mut self, node: &Node, word: &str) -> Vec<String> {
        let mut names = Vec::new();
        for (name, span) in self.texts(node, &format!("'{word}'")) {
            if name.is_empty() || name.contains(['=', '\0']) {
                self.fault(Fault::new(
                    span,
                    format!("'{name}' is no name of a variable"),
                ));
            } else if ["PATH", "HOME", "TMPDIR"].contains(&name.as_str()) {
                self.fault(
                    Fault::new(
                        span,
                        format!("{name} is always set by nanoflow and cannot stand in '{word}'"),
                    )
                    .hint("remove it"),
                );
            } else {
                names.push(name);
            }
        }
        names.sort();
        names.dedup();
        names
    }

    fn limits(&mut self, node: &Node) {
        let fields = self.fields(node, "'limits'", &["memory", "licenses"]);
        let memory = fields
            .get("memory")
            .and_then(|(_, node)| self.bytes(node, "'limits.memory'"));
        let licenses = fields
            .get("licenses")
            .map(|(_, node)| self.licenses(node))
            .unwrap_or_default();
        self.flow.limits = Limits { memory, licenses };
    }

    fn bytes(&mut self, node: &Node, what: &str) -> Option<u64> {
        // A plain number in any of YAML's spellings is bytes.
        let bytes = match node.to_json() {
            Json::Number(number) => number
                .as_f64()
                .filter(|bytes| (1.0..9e18).contains(bytes))
                .map(|bytes| bytes as u64),
            _ => node.as_text().and_then(parse_bytes),
        };
        if bytes.is_none() {
            self.fault(
                Fault::new(node.span, format!("{what} must be an amount of memory"))
                    .hint("write it like 2GiB or 512MiB"),
            );
        }
        bytes
    }

    fn licenses(&mut self, node: &Node) -> BTreeMap<String, u64> {
        let mut licenses = BTreeMap::new();
        for (key, node) in self.mapping(node, "'licenses'") {
            match whole(node) {
                Some(count) => {
                    licenses.insert(key.text.clone(), count);
                }
                None => {
                    let fault = Fault::new(
                        node.span,
                        format!("licence '{}' must be a whole number", key.text),
                    );
                    self.fault(fault);
                }
            }
        }
        licenses
    }

    fn stages(&mut self, node: &Node) {
        let entries = self.mapping(node, "'stages'");
        if entries.is_empty() && !node.is_null() {
            self.fault(Fault::new(
                node.span,
                "'stages' is empty; a flow has at least one stage",
            ));
        }
        let mut alias_spans: Vec<(String, Span, StageId)> = Vec::new();
        let mut bodies: Vec<(StageId, Fields<'_>)> = Vec::new();
        for (key, node) in entries {
            self.name(key, "a stage");
            let fields = self.fields(node, &format!("stage '{}'", key.text), &STAGE_KEYS);
            let id = StageId(self.flow.stages.len());
            self.names.insert(key.text.clone(), id);
            let mut aliases = Vec::new();
            if let Some((_, node)) = fields.get("aliases") {
                for (alias, span) in self.texts(node, "'aliases'") {
                    alias_spans.push((alias.clone(), span, id));
                    aliases.push(alias);
                }
            }
            let stage = self.stage(key, node, &fields, aliases);
            self.flow.stages.push(stage);
            bodies.push((id, fields));
        }
        for (alias, span, id) in alias_spans {
            self.alias(&alias, span, id);
        }
        for (id, fields) in bodies {
            if let Some((_, node)) = fields.get("inputs") {
                let inputs = self.inputs(id, node);
                self.flow.stages[id.0].inputs = inputs;
            }
            self.templates(id);
        }
    }

    fn name(&mut self, key: &Key, what: &str) {
        let name = &key.text;
        let bad = name.is_empty()
            || name.starts_with('-')
            || name.starts_with('~')
            || name.contains(['/', '.', '\\'])
            || name.chars().any(char::is_control)
            || name.trim() != name
            || name.len() > 120;
        if bad {
            self.fault(
                Fault::new(key.span, format!("'{name}' cannot name {what}"))
                    .hint("names have no '/', '.', '\\', control characters or outer blanks, do not begin with '-' or '~', and have at most 120 bytes"),
            );
        }
    }

    fn alias(&mut self, alias: &str, span: Span, id: StageId) {
        self.name(
            &Key {
                text: alias.to_string(),
                span,
            },
            "an alias",
        );
        let owner = self.flow.stages[id.0].name.clone();
        match self.names.get(alias).copied() {
            Some(other) if self.flow.stages[other.0].name == alias => {
                self.fault(Fault::new(
                    span,
                    format!("the alias '{alias}' of stage '{owner}' is also a stage"),
                ));
            }
            Some(other) => {
                let other = self.flow.stages[other.0].name.clone();
                self.fault(Fault::new(span, format!("the alias '{alias}' of stage '{owner}' is also an alias of stage '{other}'")));
            }
            None => {
                self.names.insert(alias.to_string(), id);
                self.flow.aliases.insert(alias.to_string(), id);
            }
        }
    }

    fn inputs(&mut self, id: StageId, node: &Node) -> BTreeMap<String, Input> {
        let stage = self.flow.stages[id.0].name.clone();
        let mut inputs = BTreeMap::new();
        for (key, node) in self.mapping(node, &format!("'inputs' of stage '{stage}'")) {
            self.name(key, "an input");
            let list = matches!(node.kind, Kind::Sequence(_));
            let mut sources = Vec::new();
            for (text, span) in self.texts(node, &format!("input '{}'", key.text)) {
                sources.extend(self.source(&stage, &key.text, &text, span));
            }
            if node.is_null() {
                self.fault(Fault::new(
                    key.span,
                    format!("input '{}' of stage '{stage}' names nothing", key.text),
                ));
            }
            let many = list
                || sources
                    .iter()
                    .any(|source| matches!(source.kind, SourceKind::Glob(_)));
            inputs.insert(
                key.text.clone(),
                Input {
                    many,
                    sources,
                    span: node.span,
                },
            );
        }
        inputs
    }

    fn source(&mut self, stage: &str, input: &str, text: &str, span: Span) -> Option<Source> {
        if text.is_empty() || text.contains('\0') {
            self.fault(Fault::new(
                span,
                format!("input '{input}' of stage '{stage}' is no path"),
            ));
            return None;
        }
        if let Some((head, output)) = text.split_once('.').filter(|_| !text.contains('/')) {
            if let Some(from) = self.names.get(head).copied() {
                let outputs = &self.flow.stages[from.0].outputs;
                let more = &self.more_outputs;
                if outputs.contains_key(output) || more.contains(&(from, output.to_string())) {
                    return Some(Source {
                        kind: SourceKind::Output {
                            stage: from,
                            output: output.to_string(),
                        },
                        span,
                    });
                }
                let known: Vec<String> = outputs
                    .keys()
                    .map(|name| format!("{head}.{name}"))
                    .collect();
                let mut fault = Fault::new(span, format!("stage '{head}' has no output '{output}', named by input '{input}' of stage '{stage}'"))
                    .suggest(text, known.iter().map(String::as_str));
                if fault.hint.is_none() && !known.is_empty() {
                    fault = fault.hint(format!("its outputs are {}", known.join(", ")));
                }
                self.fault(fault);
                return None;
            }
        }
        let kind = if text.contains(['*', '?', '[', '{']) {
            SourceKind::Glob(text.to_string())
        } else {
            SourceKind::Path(text.to_string())
        };
        Some(Source { kind, span })
    }

    /// Names in the stage's command must exist.
    fn templates(&mut self, id: StageId) {
        let stage = &self.flow.stages[id.0];
        let scope = Scope {
            params: Some(&stage.params),
            flow: Some(&self.flow.params),
            inputs: stage
                .inputs
                .keys()
                .map(|name| (name.clone(), Paths::sample(name)))
                .collect(),
            outputs: stage
                .outputs
                .iter()
                .map(|(name, output)| (name.clone(), output.path.clone()))
                .collect(),
            cpu: Some(1),
        };
        check_words(self.faults, &stage.body, &scope, &stage.name);
    }

    fn groups(&mut self, node: &Node) {
        let entries = self.mapping(node, "'groups'");
        let group_names: BTreeSet<&str> =
            entries.iter().map(|(key, _)| key.text.as_str()).collect();
        for (key, node) in entries {
            self.name(key, "a group");
            if let Some(id) = self.names.get(&key.text) {
                let is_stage = self.flow.stages[id.0].name == key.text;
                let what = if is_stage { "a stage" } else { "an alias" };
                let fault =
                    Fault::new(key.span, format!("the group '{}' is also {what}", key.text));
                self.fault(fault);
            }
            let mut members = Vec::new();
            for (name, span) in self.texts(node, &format!("group '{}'", key.text)) {
                match self.names.get(&name) {
                    Some(id) => members.push(*id),
                    None => {
                        let message = if group_names.contains(name.as_str()) {
                            format!(
                                "group '{}' names the group '{name}'; groups hold stages",
                                key.text
                            )
                        } else {
                            format!("group '{}' names '{name}', which is no stage", key.text)
                        };
                        let known: Vec<&str> = self
                            .flow
                            .stages
                            .iter()
                            .map(|stage| stage.name.as_str())
                            .collect();
                        let fault = Fault::new(span, message).suggest(&name, known);
                        self.faults.push(fault);
                    }
                }
            }
            members.sort();
            members.dedup();
            self.flow.groups.insert(key.text.clone(), members);
        }
    }
}

/// Names in a command must be those of the scope.
fn check_words(faults: &mut Vec<Fault>, body: &Body, scope: &Scope<'_>, stage: &str) {
    let words = match body {
        Body::Shell(template) => std::slice::from_ref(template),
        Body::Argv(words) => words,
        _ => &[],
    };
    for word in words {
        let before = faults.len();
        scope.check(word, stage, faults);
        if faults.len() > before {
            continue;
        }
        if let Some(message) = word.never_renders(scope) {
            let message = format!("stage '{stage}': {message}");
            faults.push(Fault::new(word.span, message));
        }
    }
}
