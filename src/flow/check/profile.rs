//! Profiles, selected or not: what is wrong with one whichever others are laid over the flow with it.
//!
//! A profile says a part of a flow, and may lean on what another one adds. So names are good if the flow or any profile has them,
//! and nothing is missing that may stand elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::fault::Fault;
use super::super::template::{Paths, Scope};
use super::super::yaml::{Key, Kind, Node};
use super::super::{Body, Stage, StageId};
use super::{check_words, Checker, Fields, STAGE_KEYS, TOP_KEYS};

/// A stage as one profile says it.
struct Part<'n> {
    profile: &'n str,
    key: &'n Key,
    node: &'n Arc<Node>,
}

impl Checker<'_> {
    pub(super) fn profiles(&mut self, node: &Arc<Node>) {
        let known: Vec<&str> = TOP_KEYS
            .into_iter()
            .filter(|key| *key != "profiles")
            .collect();
        let mut profiles = Vec::new();
        for (key, profile) in self.mapping(node, "'profiles'") {
            let fields = self.fields(profile, &format!("profile '{}'", key.text), &known);
            profiles.push((key, fields));
        }
        if profiles.iter().all(|(_, fields)| fields.is_empty()) {
            return;
        }
        let (flow, names) = (self.flow.clone(), self.names.clone());
        self.partial = true;
        let mut parts: BTreeMap<StageId, Vec<Part<'_>>> = BTreeMap::new();
        for (key, fields) in &profiles {
            self.frame(fields);
            if let Some((_, node)) = fields.get("stages") {
                self.parts(&key.text, node, &mut parts);
            }
        }
        for (id, parts) in &parts {
            self.outputs_of(*id, parts);
        }
        for (id, parts) in &parts {
            self.stage_of(*id, parts);
        }
        for (_, fields) in &profiles {
            if let Some((_, node)) = fields.get("groups") {
                self.groups(node);
            }
        }
        self.partial = false;
        (self.flow, self.names) = (flow, names);
    }

    /// Finds the stage of each entry; those that only profiles have are added.
    fn parts<'n>(
        &mut self,
        profile: &'n str,
        node: &'n Arc<Node>,
        parts: &mut BTreeMap<StageId, Vec<Part<'n>>>,
    ) {
        if node.is_null() {
            let message = format!("'stages' of profile '{profile}' is empty");
            self.fault(Fault::new(node.span, message));
        }
        for (key, node) in self.mapping(node, "'stages'") {
            let id = match self.names.get(&key.text).copied() {
                Some(id) if self.flow.stages[id.0].name == key.text => id,
                Some(id) => {
                    let owner = &self.flow.stages[id.0].name;
                    let message = format!("'{}' is an alias of stage '{owner}'", key.text);
                    self.fault(Fault::new(key.span, message).hint("name the stage itself"));
                    continue;
                }
                None => {
                    self.name(key, "a stage");
                    let id = StageId(self.flow.stages.len());
                    self.flow.stages.push(Stage::named(&key.text, key.span));
                    self.names.insert(key.text.clone(), id);
                    id
                }
            };
            let part = Part { profile, key, node };
            parts.entry(id).or_default().push(part);
        }
    }

    /// Adds the outputs and aliases that profiles give a stage, so that references to them are good.
    fn outputs_of(&mut self, id: StageId, parts: &[Part<'_>]) {
        for part in parts {
            let fields = part.node.as_mapping().unwrap_or_default();
            for (word, value) in fields {
                if word.text == "aliases" {
                    let texts: Vec<&str> = match &value.kind {
                        Kind::Sequence(items) => {
                            items.iter().filter_map(|item| item.as_text()).collect()
                        }
                        _ => value.as_text().into_iter().collect(),
                    };
                    for alias in texts {
                        self.names.entry(alias.to_string()).or_insert(id);
                    }
                }
                for (output, _) in value.as_mapping().unwrap_or_default() {
                    if word.text == "outputs" {
                        self.more_outputs.insert((id, output.text.clone()));
                    }
                }
            }
        }
    }

    /// Checks what profiles say of one stage.
    fn stage_of(&mut self, id: StageId, parts: &[Part<'_>]) {
        let base = &self.flow.stages[id.0];
        let is_new = matches!(&base.body, Body::Argv(words) if words.is_empty());
        let mut whole = base.clone();
        let mut bodies = Vec::new();
        let mut has_body = !is_new;
        for part in parts {
            let Part { profile, key, node } = part;
            let name = &key.text;
            if node.is_null() {
                let message = format!("stage '{name}' of profile '{profile}' is empty");
                self.fault(Fault::new(key.span, message));
                has_body = true;
                continue;
            }
            let fields = self.fields(node, &format!("stage '{name}'"), &STAGE_KEYS);
            has_body |= ["uses", "wrapper", "run"]
                .iter()
                .any(|word| fields.contains_key(word));
            let aliases = self.aliases_of(id, &fields);
            let stage = self.stage(key, node, &fields, aliases);
            if let Some((_, node)) = fields.get("inputs") {
                whole.inputs.extend(self.inputs(id, node));
            }
            whole.params.extend(stage.params);
            whole.outputs.extend(stage.outputs);
            bodies.push(stage.body);
        }
        if let (false, Some(first)) = (has_body, parts.first()) {
            let name = &first.key.text;
            let stages = self.flow.stages.iter().map(|stage| stage.name.as_str());
            let others = stages.filter(|stage| stage != name);
            let message = format!(
                "profile '{}' changes the stage '{name}', which is not there",
                first.profile
            );
            let fault = Fault::new(first.key.span, message).suggest(name, others);
            self.fault(fault);
            return;
        }
        self.templates_of(&whole, &bodies);
    }

    fn aliases_of(&mut self, id: StageId, fields: &Fields<'_>) -> Vec<String> {
        let Some((_, node)) = fields.get("aliases") else {
            return Vec::new();
        };
        let mut aliases = Vec::new();
        for (alias, span) in self.texts(node, "'aliases'") {
            let text = alias.clone();
            self.name(&Key { text, span }, "an alias");
            let other = self.names.get(&alias).map(|id| &self.flow.stages[id.0]);
            if other.is_some_and(|other| other.name == alias) {
                let owner = &self.flow.stages[id.0].name;
                let message = format!("the alias '{alias}' of stage '{owner}' is also a stage");
                self.fault(Fault::new(span, message));
            }
            aliases.push(alias);
        }
        aliases
    }

    /// Names in commands must exist in the flow or in some profile.
    fn templates_of(&mut self, whole: &Stage, bodies: &[Body]) {
        let scope = Scope {
            params: Some(&whole.params),
            flow: Some(&self.flow.params),
            inputs: whole
                .inputs
                .keys()
                .map(|name| (name.clone(), Paths::sample(name)))
                .collect(),
            outputs: self.output_names(whole),
            cpu: Some(1),
        };
        for body in bodies {
            check_words(self.faults, body, &scope, &whole.name);
        }
    }

    fn output_names(&self, whole: &Stage) -> BTreeMap<String, String> {
        let own = whole.outputs.iter();
        let own = own.map(|(name, output)| (name.clone(), output.path.clone()));
        let id = self.names.get(&whole.name).copied().unwrap_or(StageId(0));
        // One whose path stands in another profile.
        let more = self
            .more_outputs
            .range((id, String::new())..(StageId(id.0 + 1), String::new()));
        let more = more.map(|(_, name)| (name.clone(), String::new()));
        more.chain(own).collect()
    }
}
