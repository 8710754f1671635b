//! The tree of a flow file → a [`Flow`], with every fault that can be told without looking at other files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value as Json;

use super::fault::{Fault, Span, MOST_FAULTS};
use super::quote::Language;
use super::template::{Paths, Scope};
use super::yaml::{Key, Kind, Node};
use super::{
    parse_bytes, Body, Flow, Gate, Input, Limits, Output, Plugin, Resources, Source, SourceKind,
    Stage, StageId, Template,
};

const TOP_KEYS: [&str; 10] = [
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
];
const STAGE_KEYS: [&str; 13] = [
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
    "checkpoint",
    "platform",
];

/// Checks the whole tree. The flow is usable only when no fault was added.
pub fn check(root: &Arc<Node>, faults: &mut Vec<Fault>) -> Flow {
    let mut checker = Checker {
        faults,
        flow: Flow::default(),
        names: HashMap::new(),
    };
    checker.top(root);
    checker.flow
}

struct Checker<'a> {
    faults: &'a mut Vec<Fault>,
    flow: Flow,
    /// Every stage name and alias.
    names: HashMap<String, StageId>,
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
        if let Some((_, node)) = fields.get("version") {
            if node.to_json() != 1 {
                let shown = node.as_text().unwrap_or(node.describe()).to_string();
                self.fault(
                    Fault::new(
                        node.span,
                        format!("unknown version {shown}; this nanoflow reads version 1"),
                    )
                    .hint("write 'version: 1'"),
                );
                return;
            }
        }
        if let Some((_, node)) = fields.get("name") {
            self.flow.name = self.text(node, "'name'");
        }
        if let Some((_, node)) = fields.get("params") {
            let params = self.mapping(node, "'params'");
            self.flow.params = params
                .iter()
                .map(|(key, node)| (key.text.clone(), node.to_json()))
                .collect();
        }
        for (word, volatile) in [("env", false), ("env-volatile", true)] {
            if let Some((_, node)) = fields.get(word) {
                let names = self.variables(node, word);
                if volatile {
                    self.flow.env_volatile = names;
                } else {
                    self.flow.env = names;
                }
            }
        }
        if let Some((_, node)) = fields.get("limits") {
            self.limits(node);
        }
        if let Some((_, node)) = fields.get("plugins") {
            for (key, node) in self.mapping(node, "'plugins'") {
                if let Some(path) = self.text(node, &format!("plugin '{}'", key.text)) {
                    self.flow.plugins.insert(
                        key.text.clone(),
                        Plugin {
                            path,
                            span: node.span,
                        },
                    );
                }
            }
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
            for (key, profile) in self.mapping(node, "'profiles'") {
                let known: Vec<&str> = TOP_KEYS
                    .iter()
                    .copied()
                    .filter(|key| *key != "profiles")
                    .collect();
                self.fields(profile, &format!("profile '{}'", key.text), &known);
            }
        }
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
        let bytes = node.as_text().and_then(parse_bytes);
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
            match node.to_json().as_u64() {
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

    fn stage(
        &mut self,
        key: &Key,
        node: &Node,
        fields: &Fields<'_>,
        aliases: Vec<String>,
    ) -> Stage {
        let name = key.text.clone();
        let (body, body_span) = self.body(key, fields);
        let params = fields
            .get("params")
            .map(|(_, node)| self.params(&name, node))
            .unwrap_or_default();
        let outputs = fields
            .get("outputs")
            .map(|(_, node)| self.outputs(&name, node))
            .unwrap_or_default();
        let gates = fields
            .get("gates")
            .map(|(_, node)| self.gates(node))
            .unwrap_or_default();
        let resources = fields
            .get("resources")
            .map(|(_, node)| self.resources(node))
            .unwrap_or_default();
        if let Some((_, node)) = fields.get("about") {
            self.text(node, "'about'");
        }
        let _ = node;
        Stage {
            name,
            span: key.span,
            aliases,
            body,
            body_span,
            params,
            inputs: BTreeMap::new(),
            outputs,
            gates,
            resources,
            network: self.boolean(fields.get("network"), "'network'"),
            checkpoint: self.boolean(fields.get("checkpoint"), "'checkpoint'"),
            platform: self.boolean(fields.get("platform"), "'platform'"),
        }
    }

    fn body(&mut self, key: &Key, fields: &Fields<'_>) -> (Body, Span) {
        let given: Vec<&(&Key, &Arc<Node>)> = ["uses", "wrapper", "run"]
            .iter()
            .filter_map(|word| fields.get(word))
            .collect();
        let nothing = Body::Argv(Vec::new());
        let [(word, node)] = given.as_slice() else {
            let fault = match given.get(1) {
                None => Fault::new(
                    key.span,
                    format!(
                        "stage '{}' has none of 'uses', 'wrapper' and 'run'",
                        key.text
                    ),
                )
                .hint("give exactly one of them"),
                Some((second, _)) => Fault::new(
                    second.span,
                    format!(
                        "stage '{}' has {}; exactly one of 'uses', 'wrapper' and 'run' is allowed",
                        key.text,
                        given
                            .iter()
                            .map(|(key, _)| format!("'{}'", key.text))
                            .collect::<Vec<_>>()
                            .join(" and ")
                    ),
                ),
            };
            self.fault(fault);
            return (nothing, key.span);
        };
        let body = match (word.text.as_str(), &node.kind) {
            ("run", Kind::Sequence(items)) => {
                if items.is_empty() {
                    let fault = Fault::new(
                        node.span,
                        format!("'run' of stage '{}' is an empty list", key.text),
                    );
                    self.fault(fault);
                }
                let mut words = Vec::new();
                for item in items {
                    if let Some(text) = self.text(item, "each word of 'run'") {
                        words.extend(self.template(&text, item.span));
                    }
                }
                Body::Argv(words)
            }
            ("run", _) => match self.text(node, "'run'") {
                Some(text) if text.trim().is_empty() => {
                    let fault =
                        Fault::new(node.span, format!("'run' of stage '{}' is empty", key.text));
                    self.fault(fault);
                    nothing
                }
                Some(text) => self.template(&text, node.span).map_or(nothing, Body::Shell),
                None => nothing,
            },
            ("uses", _) => self.text(node, "'uses'").map_or(nothing, Body::Uses),
            _ => match self.text(node, "'wrapper'") {
                Some(name)
                    if name
                        .split('/')
                        .any(|part| part.is_empty() || part == "." || part == "..") =>
                {
                    let fault = Fault::new(node.span, format!("'{name}' is no name of a wrapper"))
                        .hint(
                            "a wrapper named 'tool/step' is tool-wrappers/tool/step/wrapper.yaml",
                        );
                    self.fault(fault);
                    nothing
                }
                Some(name) => Body::Wrapper(name),
                None => nothing,
            },
        };
        (body, node.span)
    }

    fn template(&mut self, text: &str, span: Span) -> Option<Template> {
        Template::new(text, span)
            .map_err(|fault| self.fault(fault))
            .ok()
    }

    /// A stage's parameters. Text in them may be a template that names flow parameters; one that is nothing but
    /// `{{ flow.x }}` keeps the parameter's type.
    fn params(&mut self, stage: &str, node: &Node) -> BTreeMap<String, Json> {
        let mut params = BTreeMap::new();
        for (key, node) in self.mapping(node, &format!("'params' of stage '{stage}'")) {
            let value = self.param(stage, node);
            params.insert(key.text.clone(), value);
        }
        params
    }

    fn param(&mut self, stage: &str, node: &Node) -> Json {
        match &node.kind {
            Kind::Sequence(items) => items.iter().map(|item| self.param(stage, item)).collect(),
            Kind::Mapping(entries) => Json::Object(
                entries
                    .iter()
                    .map(|(key, node)| (key.text.clone(), self.param(stage, node)))
                    .collect(),
            ),
            Kind::Scalar { text, .. } if text.contains("{{") || text.contains("{%") => {
                let text = text.clone();
                self.param_template(stage, &text, node.span)
            }
            Kind::Scalar { .. } => node.to_json(),
        }
    }

    fn param_template(&mut self, stage: &str, text: &str, span: Span) -> Json {
        let Some(template) = self.template(text, span) else {
            return Json::Null;
        };
        let flow = self.flow.params.clone();
        let scope = Scope {
            flow: Some(&flow),
            ..Scope::default()
        };
        let before = self.faults.len();
        scope.check(&template, stage, self.faults);
        if self.faults.len() > before {
            return Json::Null;
        }
        if let Some(value) = template
            .sole_name()
            .and_then(|name| name.strip_prefix("flow."))
            .and_then(|name| flow.get(name))
        {
            return value.clone();
        }
        match template.render(&scope, Language::Raw) {
            Ok(text) => Json::String(text),
            Err(message) => {
                self.fault(Fault::new(span, format!("stage '{stage}': {message}")));
                Json::Null
            }
        }
    }

    fn outputs(&mut self, stage: &str, node: &Node) -> BTreeMap<String, Output> {
        let mut outputs: BTreeMap<String, Output> = BTreeMap::new();
        // Paths in order, to find the same path or one inside another.
        let mut paths: Vec<(String, String, Span)> = Vec::new();
        for (key, node) in self.mapping(node, &format!("'outputs' of stage '{stage}'")) {
            self.name(key, "an output");
            if let Some(output) = self.output(&key.text, node) {
                paths.push((format!("{}/", output.path), key.text.clone(), output.span));
                outputs.insert(key.text.clone(), output);
            }
        }
        paths.sort();
        let mut outer: Option<&(String, String, Span)> = None;
        for entry in &paths {
            match outer {
                Some((path, name, span)) if entry.0.starts_with(path.as_str()) => {
                    let (at, this, other) = if entry.2 >= *span {
                        (entry.2, &entry.1, name)
                    } else {
                        (*span, name, &entry.1)
                    };
                    let relation = if entry.0 == *path {
                        "name the same file"
                    } else {
                        "lie one inside the other"
                    };
                    self.faults.push(Fault::new(
                        at,
                        format!(
                            "outputs '{other}' and '{this}' of stage '{stage}' {relation}: '{}'",
                            entry.0.trim_end_matches('/')
                        ),
                    ));
                }
                _ => outer = Some(entry),
            }
        }
        outputs
    }

    fn output(&mut self, name: &str, node: &Node) -> Option<Output> {
        let (path_node, digest) = match node.as_mapping() {
            None => (node, None),
            Some(_) => {
                let fields = self.fields(node, &format!("output '{name}'"), &["path", "digest"]);
                let digest = fields.get("digest").and_then(|(_, node)| self.digest(node));
                match fields.get("path") {
                    Some((_, path)) => (&***path, digest),
                    None => {
                        self.fault(Fault::new(
                            node.span,
                            format!("output '{name}' has no 'path'"),
                        ));
                        return None;
                    }
                }
            }
        };
        let span = path_node.span;
        let written = self.text(path_node, &format!("output '{name}'"))?;
        let directory = written.ends_with('/');
        let parts: Vec<&str> = written
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        let outside = written.starts_with('/') || parts.contains(&"..");
        if outside {
            self.fault(
                Fault::new(
                    span,
                    format!("output '{name}' is outside the work directory: '{written}'"),
                )
                .hint("outputs are relative to the stage's own work directory"),
            );
            return None;
        }
        let reserved = matches!(
            parts.first(),
            Some(&("inputs" | "request.json" | "result.json" | ".home" | ".tmp"))
        );
        if parts.is_empty() || reserved || written.contains('\0') {
            self.fault(
                Fault::new(span, format!("output '{name}' cannot be at '{written}'"))
                    .hint("name a file, or a directory with a trailing '/'; inputs, request.json and result.json are nanoflow's own"),
            );
            return None;
        }
        Some(Output {
            path: parts.join("/"),
            directory,
            digest,
            span,
        })
    }

    fn digest(&mut self, node: &Node) -> Option<String> {
        let text = self.text(node, "'digest'")?;
        let valid = text.strip_prefix("b3:").is_some_and(|hex| {
            hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        });
        if !valid {
            self.fault(
                Fault::new(node.span, format!("'{text}' is no digest")).hint(
                    "write b3: and 64 hexadecimal digits, as 'nanoflow show STAGE' prints them",
                ),
            );
            return None;
        }
        Some(text)
    }

    fn gates(&mut self, node: &Node) -> Vec<Gate> {
        let Kind::Sequence(items) = &node.kind else {
            if !node.is_null() {
                self.fault(Fault::new(
                    node.span,
                    format!("'gates' must be a list, not {}", node.describe()),
                ));
            }
            return Vec::new();
        };
        let mut gates = Vec::new();
        for item in items {
            let fields = self.fields(item, "a gate", &["metric", "min", "max", "on-fail"]);
            let min = fields
                .get("min")
                .and_then(|(_, node)| self.number(node, "'min'"));
            let max = fields
                .get("max")
                .and_then(|(_, node)| self.number(node, "'max'"));
            if !fields.contains_key("min") && !fields.contains_key("max") {
                self.fault(Fault::new(item.span, "a gate needs 'min' or 'max' or both"));
            }
            let continue_on_fail = match fields
                .get("on-fail")
                .map(|(_, node)| (node.span, node.as_text()))
            {
                None => false,
                Some((_, Some("stop"))) => false,
                Some((_, Some("continue"))) => true,
                Some((span, text)) => {
                    let text = text.unwrap_or_default().to_string();
                    self.fault(
                        Fault::new(
                            span,
                            format!("'on-fail' must be 'stop' or 'continue', not '{text}'"),
                        )
                        .suggest(&text, ["stop", "continue"]),
                    );
                    false
                }
            };
            match fields.get("metric") {
                Some((_, node)) => {
                    if let Some(metric) = self.text(node, "'metric'") {
                        gates.push(Gate {
                            metric,
                            min,
                            max,
                            continue_on_fail,
                            span: item.span,
                        });
                    }
                }
                None => self.fault(Fault::new(item.span, "a gate needs a 'metric'")),
            }
        }
        gates
    }

    fn resources(&mut self, node: &Node) -> Resources {
        let fields = self.fields(node, "'resources'", &["cpu", "memory", "licenses"]);
        let mut resources = Resources::default();
        if let Some((_, node)) = fields.get("cpu") {
            match node.to_json().as_u64() {
                Some(count @ 1..=100_000) => resources.cpu = Some(count as usize),
                _ => {
                    let fault = Fault::new(
                        node.span,
                        format!(
                            "'cpu' must be a whole number of at least 1, not {}",
                            node.describe()
                        ),
                    );
                    self.fault(fault);
                }
            }
        }
        resources.memory = fields
            .get("memory")
            .and_then(|(_, node)| self.bytes(node, "'memory'"));
        if let Some((_, node)) = fields.get("licenses") {
            resources.licenses = self.licenses(node);
        }
        resources
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
                if outputs.contains_key(output) {
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
                .map(|name| (name.clone(), Paths::default()))
                .collect(),
            outputs: stage
                .outputs
                .iter()
                .map(|(name, output)| (name.clone(), output.path.clone()))
                .collect(),
            cpu: Some(1),
        };
        match &stage.body {
            Body::Shell(template) => scope.check(template, &stage.name, self.faults),
            Body::Argv(words) => words
                .iter()
                .for_each(|word| scope.check(word, &stage.name, self.faults)),
            _ => {}
        }
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
