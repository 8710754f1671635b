//! One stage: what it runs, its parameters, outputs, gates and resources.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::super::fault::{Fault, Span};
use super::super::quote::Language;
use super::super::template::Scope;
use super::super::yaml::{Key, Kind, Node};
use super::super::{Body, Gate, Output, Resources, Stage, Template};
use super::{Checker, Fields};

impl Checker<'_> {
    pub(super) fn stage(
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
        let sandbox = fields
            .get("sandbox")
            .map(|(_, node)| self.sandbox(node))
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
            sandbox,
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
        if self.partial && given.is_empty() {
            return (nothing, key.span);
        }
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
        let flow = &self.flow.params;
        let scope = Scope {
            flow: Some(flow),
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
                    None if self.partial => return None,
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
            match super::whole(node) {
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
}
