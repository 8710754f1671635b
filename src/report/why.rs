//! Why a stage would run: the typed difference of today's pre-image and that of its last result, followed upstream to the
//! file, parameter or tool at the root.

use std::collections::{HashMap, HashSet};

use serde_json::Value as Json;

use crate::exec::{resolve, Plan, Problem, Project, Resolved, StagedFrom, Verdict};
use crate::flow::{SourceKind, StageId};
use crate::key::{difference, ActionKey, Preimage, Reason, ReasonKind};
use crate::store::{Good, State};

/// Answers for one state of the flow; each stage is looked at once.
pub struct Explainer<'a> {
    project: &'a Project,
    state: &'a State,
    plan: &'a Plan,
    known: HashMap<StageId, Vec<Reason>>,
}

impl<'a> Explainer<'a> {
    pub fn new(project: &'a Project, state: &'a State, plan: &'a Plan) -> Self {
        Explainer {
            project,
            state,
            plan,
            known: HashMap::new(),
        }
    }

    /// Every reason for running the stage; none exactly if its result for today's content is there.
    pub fn reasons(&mut self, id: StageId) -> Vec<Reason> {
        // Upstream first, so that a deep flow needs no deep stack.
        for upstream in self.project.graph.closure(&[id]) {
            if !self.known.contains_key(&upstream) {
                let reasons = self.find(upstream);
                self.known.insert(upstream, reasons);
            }
        }
        self.known.get(&id).cloned().unwrap_or_default()
    }

    fn find(&self, id: StageId) -> Vec<Reason> {
        if matches!(self.plan.get(&id), Some(Verdict::Fresh { .. })) {
            return Vec::new();
        }
        let name = &self.project.flow.stage(id).name;
        let history = self.state.history(name);
        let mut reasons = Vec::new();
        if history.is_some_and(|history| history.invalidated) {
            reasons.push(Reason::new(
                ReasonKind::Invalidated,
                name,
                Json::Null,
                Json::Null,
            ));
        }
        if let Some(failure) = history.and_then(|history| history.failure.as_ref()) {
            let message = Json::from(failure.message.as_str());
            reasons.push(Reason::new(
                ReasonKind::FailedLastTime,
                name,
                Json::Null,
                message,
            ));
        }
        let last = history.and_then(|history| history.last());
        match last.and_then(|good| Some((good, self.project.store.action(&good.key)?))) {
            Some((good, action)) => {
                self.own(id, good, &action.preimage, &mut reasons);
                self.upstream(id, &mut reasons);
            }
            None => {
                if reasons.is_empty() {
                    reasons.push(Reason::new(
                        ReasonKind::NeverRan,
                        name,
                        Json::Null,
                        Json::Null,
                    ));
                }
                self.missing_tool(id, None, &mut reasons);
            }
        }
        if reasons.is_empty() {
            let lost = Json::from("its result is gone from the cache");
            reasons.push(Reason::new(ReasonKind::NeverRan, name, Json::Null, lost));
        }
        distinct(reasons)
    }

    /// Differences from the last result, with inputs that are not known yet taken as they were.
    fn own(&self, id: StageId, good: &Good, old: &Preimage, reasons: &mut Vec<Reason>) {
        let resolved = match self.plan.get(&id) {
            Some(Verdict::Run { resolved } | Verdict::Fresh { resolved, .. }) => {
                Some(Resolved::clone(resolved))
            }
            Some(Verdict::Problem(_)) => {
                self.missing_tool(id, Some(old), reasons);
                None
            }
            _ => resolve(self.project, id, &|from| self.action(from), Some(old))
                .ok()
                .flatten(),
        };
        if let Some(resolved) = resolved {
            reasons.extend(self.compare(id, good, old, &resolved, &mut HashSet::new()));
        }
    }

    fn action(&self, id: StageId) -> Option<std::sync::Arc<crate::store::Action>> {
        match self.plan.get(&id) {
            Some(Verdict::Fresh { action, .. }) => Some(action.clone()),
            _ => None,
        }
    }

    fn missing_tool(&self, id: StageId, old: Option<&Preimage>, reasons: &mut Vec<Reason>) {
        use crate::key::Runs;
        match self.plan.get(&id) {
            Some(Verdict::Problem(Problem::Missing(missing))) => {
                let version = old.and_then(|old| match &old.runs {
                    Runs::Plugin { tools, .. } | Runs::Wrapper { tools, .. } => tools
                        .get(&missing.program)
                        .map(|tool| Json::from(tool.version.as_str())),
                    _ => None,
                });
                reasons.push(Reason::new(
                    ReasonKind::ToolChanged,
                    &missing.program,
                    version.unwrap_or(Json::Null),
                    Json::Null,
                ));
            }
            Some(Verdict::Problem(Problem::Input(message))) => {
                reasons.push(Reason::new(
                    ReasonKind::InputChanged,
                    message,
                    Json::Null,
                    Json::Null,
                ));
            }
            _ => {}
        }
    }

    /// The difference of two pre-images of a stage, with changed outputs of other stages followed to their roots.
    fn compare(
        &self,
        id: StageId,
        good: &Good,
        old: &Preimage,
        new: &Resolved,
        seen: &mut HashSet<ActionKey>,
    ) -> Vec<Reason> {
        let template_changed = good.template != new.template;
        let mut found = Vec::new();
        for mut reason in difference(old, &new.preimage) {
            match reason.kind {
                ReasonKind::CommandChanged if good.template.is_some() && new.template.is_some() => {
                    // A value that was put in changed: the parameter tells of that.
                    if !template_changed {
                        continue;
                    }
                    reason.old = template_json(good.template.as_deref());
                    reason.new = template_json(new.template.as_deref());
                    found.push(reason);
                }
                ReasonKind::ParamChanged
                    if template_changed
                        && reason.subject.starts_with("flow.")
                        && (reason.old.is_null() || reason.new.is_null()) => {}
                ReasonKind::InputChanged | ReasonKind::InputAdded | ReasonKind::InputRemoved => {
                    self.input(id, good, new, reason, seen, &mut found);
                }
                _ => found.push(reason),
            }
        }
        if found.is_empty() && template_changed && *old != new.preimage {
            let (old, new) = (
                template_json(good.template.as_deref()),
                template_json(new.template.as_deref()),
            );
            found.push(Reason::new(ReasonKind::CommandChanged, "run", old, new));
        }
        found
    }

    fn input(
        &self,
        id: StageId,
        good: &Good,
        new: &Resolved,
        mut reason: Reason,
        seen: &mut HashSet<ActionKey>,
        found: &mut Vec<Reason>,
    ) {
        let staged = reason.path.clone().unwrap_or_default();
        let part = new
            .staged
            .iter()
            .find(|part| part.input == reason.subject && part.path == staged);
        match part.map(|part| &part.from) {
            Some(StagedFrom::Source(path)) => {
                reason.path = Some(crate::store::show_path(path));
                found.push(reason);
            }
            Some(StagedFrom::Output { stage, output, .. }) => {
                let via = format!("{}.{output}", self.project.flow.stage(*stage).name);
                let roots = match good.upstream.get(&via) {
                    Some(old) => self.roots(*stage, old, seen),
                    None => Vec::new(),
                };
                if roots.is_empty() {
                    reason.path = None;
                    reason.via = vec![via];
                    found.push(reason);
                } else {
                    found.extend(roots.into_iter().map(|mut root| {
                        root.via.push(via.clone());
                        root
                    }));
                }
            }
            // Gone from the flow: its path below the flow's folder is what it was staged under.
            None => {
                let prefix = format!("inputs/{}/", reason.subject);
                let inner = staged.strip_prefix(&prefix).unwrap_or(&staged).to_string();
                let single = self.single_source(id, &reason.subject);
                reason.path = Some(single.unwrap_or(inner));
                found.push(reason);
            }
        }
    }

    fn single_source(&self, id: StageId, input: &str) -> Option<String> {
        let input = self.project.flow.stage(id).inputs.get(input)?;
        match input.sources.as_slice() {
            [source] if !input.many => match &source.kind {
                SourceKind::Path(path) => Some(path.clone()),
                _ => None,
            },
            _ => None,
        }
    }

    /// Why a stage's result is another one than that of the key `old`.
    fn roots(&self, id: StageId, old: &ActionKey, seen: &mut HashSet<ActionKey>) -> Vec<Reason> {
        if !seen.insert(old.clone()) {
            return Vec::new();
        }
        let Some(Verdict::Fresh { resolved, .. } | Verdict::Run { resolved }) = self.plan.get(&id)
        else {
            return Vec::new();
        };
        let name = &self.project.flow.stage(id).name;
        let Some(action) = self.project.store.action(old) else {
            return Vec::new();
        };
        let history = self.state.history(name);
        let good = history
            .and_then(|history| history.good.iter().find(|good| good.key == *old))
            .cloned();
        let good = good.unwrap_or_else(|| Good {
            key: old.clone(),
            run: action.run.clone(),
            template: resolved.template.clone(),
            upstream: resolved.upstream.clone(),
        });
        self.compare(id, &good, &action.preimage, resolved, seen)
    }

    /// Reasons of stages upstream that will run.
    fn upstream(&self, id: StageId, reasons: &mut Vec<Reason>) {
        let mut will_run = Vec::new();
        for input in self.project.flow.stage(id).inputs.values() {
            for source in &input.sources {
                let SourceKind::Output { stage, output } = &source.kind else {
                    continue;
                };
                if matches!(self.plan.get(stage), Some(Verdict::Fresh { .. })) {
                    continue;
                }
                let name = &self.project.flow.stage(*stage).name;
                let via = format!("{name}.{output}");
                let roots = self.known.get(stage).cloned().unwrap_or_default();
                let rooted = roots.iter().any(|root| {
                    !matches!(
                        root.kind,
                        ReasonKind::NeverRan
                            | ReasonKind::Invalidated
                            | ReasonKind::FailedLastTime
                            | ReasonKind::UpstreamWillRun
                    )
                });
                for mut root in roots
                    .into_iter()
                    .filter(|root| root.kind != ReasonKind::UpstreamWillRun)
                {
                    root.via.push(via.clone());
                    reasons.push(root);
                }
                if !rooted {
                    let mut reason =
                        Reason::new(ReasonKind::UpstreamWillRun, name, Json::Null, Json::Null);
                    reason.via = vec![via];
                    will_run.push(reason);
                }
            }
        }
        reasons.extend(will_run);
    }
}

fn template_json(template: Option<&str>) -> Json {
    match template {
        None => Json::Null,
        Some(text) if text.starts_with("[\"") => {
            serde_json::from_str(text).unwrap_or_else(|_| Json::from(text))
        }
        Some(text) => Json::from(text),
    }
}

/// One reason for each root; the way that was found first stands.
fn distinct(reasons: Vec<Reason>) -> Vec<Reason> {
    let mut seen = HashSet::new();
    reasons
        .into_iter()
        .filter(|reason| {
            let root = reason
                .via
                .first()
                .map(|via| via.split('.').next().unwrap_or_default().to_string());
            seen.insert((
                reason.kind,
                reason.subject.clone(),
                reason.path.clone(),
                root,
            ))
        })
        .collect()
}

/// A reason in words.
pub fn tell(reason: &Reason) -> String {
    let short = |value: &Json| match value {
        Json::Null => "nothing".to_string(),
        Json::String(text) if text.starts_with("b3:") => text.chars().take(15).collect(),
        Json::String(text) if text.chars().count() > 100 => {
            format!("{}…", text.chars().take(100).collect::<String>())
        }
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let change = format!("{} → {}", short(&reason.old), short(&reason.new));
    let path = reason
        .path
        .as_ref()
        .map(|path| format!(" ({path})"))
        .unwrap_or_default();
    let subject = &reason.subject;
    let text = match reason.kind {
        ReasonKind::NeverRan if !reason.new.is_null() => {
            format!("'{subject}' must be made again: {}", short(&reason.new))
        }
        ReasonKind::NeverRan => format!("'{subject}' never ran"),
        ReasonKind::InputChanged => format!("input '{subject}'{path} changed: {change}"),
        ReasonKind::InputAdded => format!("input '{subject}'{path} is new"),
        ReasonKind::InputRemoved => format!("input '{subject}'{path} is gone"),
        ReasonKind::ParamChanged => format!("parameter '{subject}' changed: {change}"),
        ReasonKind::CommandChanged => format!("the command changed: {change}"),
        ReasonKind::PluginChanged => format!("'{subject}'{path} changed: {change}"),
        ReasonKind::ToolChanged if reason.new.is_null() => {
            format!("the tool '{subject}' is missing")
        }
        ReasonKind::ToolChanged => format!("the tool '{subject}' changed: {change}"),
        ReasonKind::EnvChanged => format!("variable '{subject}' changed: {change}"),
        ReasonKind::OutputsChanged => format!("output '{subject}' changed: {change}"),
        ReasonKind::Invalidated => format!("'{subject}' was invalidated"),
        ReasonKind::FailedLastTime => {
            format!("'{subject}' failed last time: {}", short(&reason.new))
        }
        ReasonKind::UpstreamWillRun => format!("'{subject}' will run before it"),
    };
    if reason.via.is_empty() || reason.kind == ReasonKind::UpstreamWillRun {
        text
    } else {
        format!("{text}, via {}", reason.via.join(" → "))
    }
}
