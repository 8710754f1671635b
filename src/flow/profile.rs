//! Profiles and `--set`: what is laid over the file before it is checked.

use std::sync::Arc;

use super::fault::{Fault, Span};
use super::yaml::{deep_merge, mapping, Kind, Node};

const BODIES: [&str; 3] = ["uses", "wrapper", "run"];

/// Lays the profile of this name over the rest of the file.
///
/// # Errors
/// There is no such profile.
pub fn apply(root: &Arc<Node>, name: &str) -> Result<Arc<Node>, Fault> {
    let profiles = get(root, "profiles");
    let known: Vec<&str> = profiles
        .and_then(|node| node.as_mapping())
        .map(|entries| entries.iter().map(|(key, _)| key.text.as_str()).collect())
        .unwrap_or_default();
    let Some(profile) = profiles.and_then(|node| get(node, name)) else {
        let span = profiles.map_or(Span::START, |node| node.span);
        return Err(Fault::new(span, format!("there is no profile '{name}'")).suggest(name, known));
    };
    if profile.is_null() {
        return Ok(root.clone());
    }
    Ok(deep_merge(&without_replaced_bodies(root, profile), profile))
}

/// Where the profile gives a stage another way to run, the old way and the parameters meant for it must go first: two ways
/// in one stage are a fault.
fn without_replaced_bodies(root: &Arc<Node>, profile: &Arc<Node>) -> Arc<Node> {
    let Some(changed) = get(profile, "stages").and_then(|node| node.as_mapping()) else {
        return root.clone();
    };
    let Some(stages) = get(root, "stages").and_then(|node| node.as_mapping()) else {
        return root.clone();
    };
    let kept = stages
        .iter()
        .map(|(key, stage)| {
            let over = changed
                .iter()
                .find(|(name, _)| name.text == key.text)
                .map(|(_, node)| node);
            let body = over.and_then(|over| BODIES.iter().find(|body| get(over, body).is_some()));
            match body {
                Some(body) if get(stage, body).is_none() => {
                    let drop = |word: &str| BODIES.contains(&word) || word == "params";
                    (key.clone(), filter(stage, |word| !drop(word)))
                }
                _ => (key.clone(), stage.clone()),
            }
        })
        .collect();
    let stages_node = Node {
        kind: Kind::Mapping(kept),
        ..(**get(root, "stages").unwrap_or(root)).clone()
    };
    let entries = root.as_mapping().unwrap_or_default();
    let entries = entries
        .iter()
        .map(|(key, value)| {
            let value = if key.text == "stages" {
                Arc::new(stages_node.clone())
            } else {
                value.clone()
            };
            (key.clone(), value)
        })
        .collect();
    Arc::new(Node {
        kind: Kind::Mapping(entries),
        ..(**root).clone()
    })
}

fn filter(node: &Arc<Node>, keep: impl Fn(&str) -> bool) -> Arc<Node> {
    match node.as_mapping() {
        Some(entries) => {
            let kept = entries
                .iter()
                .filter(|(key, _)| keep(&key.text))
                .cloned()
                .collect();
            Arc::new(Node {
                kind: Kind::Mapping(kept),
                ..(**node).clone()
            })
        }
        None => node.clone(),
    }
}

/// Lays one `--set stage.param=value` over the file; `flow.param` sets one of the flow's own parameters. The value is YAML.
///
/// # Errors
/// The setting has not that form, or names no stage.
pub fn set(root: &Arc<Node>, setting: &str, faults: &mut Vec<Fault>) -> Result<Arc<Node>, Fault> {
    let wrong = |message: String| {
        Fault::new(Span::START, message)
            .hint("write --set stage.param=value, such as --set train.steps=100")
    };
    let (name, value) = setting
        .split_once('=')
        .ok_or_else(|| wrong(format!("--set {setting}: there is no '='")))?;
    let (stage, param) = name
        .split_once('.')
        .ok_or_else(|| wrong(format!("--set {setting}: '{name}' is not stage.param")))?;
    if stage.is_empty() || param.is_empty() {
        return Err(wrong(format!(
            "--set {setting}: '{name}' is not stage.param"
        )));
    }
    // Faults in the value have their place on the command line, not in the file.
    let mut own = Vec::new();
    let parsed = super::yaml::parse(value, &mut own);
    if let Some(fault) = own.into_iter().next() {
        let message = format!("--set {setting}: the value: {}", fault.message);
        return Err(Fault::new(Span::START, message)
            .hint("quotes make it text, such as --set 'train.note=\"a: b\"'"));
    }
    let node = match parsed {
        Some(node) => relocate(&node),
        None => Node::clone(
            &*super::yaml::parse("''", faults).ok_or_else(|| wrong(format!("--set {setting}")))?,
        ),
    };
    let mut leaf = node;
    for word in param.rsplit('.') {
        leaf = mapping(Span::START, vec![(word.to_string(), leaf)]);
    }
    let params = mapping(Span::START, vec![("params".to_string(), leaf)]);
    let stages = get(root, "stages")
        .and_then(|node| node.as_mapping())
        .unwrap_or_default();
    let real = stages
        .iter()
        .find(|(key, body)| key.text == stage || has_alias(body, stage));
    let over = match real {
        Some((key, _)) => {
            let stage = mapping(Span::START, vec![(key.text.clone(), params)]);
            mapping(Span::START, vec![("stages".to_string(), stage)])
        }
        None if stage == "flow" => params,
        None => {
            let known = stages.iter().map(|(key, _)| key.text.as_str());
            return Err(Fault::new(
                Span::START,
                format!("--set {setting}: there is no stage '{stage}'"),
            )
            .suggest(stage, known));
        }
    };
    Ok(deep_merge(root, &Arc::new(over)))
}

fn has_alias(stage: &Node, name: &str) -> bool {
    let aliases = stage
        .as_mapping()
        .and_then(|entries| entries.iter().find(|(key, _)| key.text == "aliases"));
    match aliases.map(|(_, node)| &node.kind) {
        Some(Kind::Sequence(items)) => items.iter().any(|item| item.as_text() == Some(name)),
        Some(Kind::Scalar { text, .. }) => text == name,
        _ => false,
    }
}

/// A value from the command line has no place in the file.
fn relocate(node: &Node) -> Node {
    Node {
        span: Span::START,
        ..node.clone()
    }
}

fn get<'a>(node: &'a Arc<Node>, key: &str) -> Option<&'a Arc<Node>> {
    node.as_mapping()?
        .iter()
        .find(|(candidate, _)| candidate.text == key)
        .map(|(_, value)| value)
}
