//! Why a stage would run: the typed difference of today's pre-image and that of its last result, followed upstream to the
//! file, parameter or tool at the root.

use std::cell::RefCell;
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
    /// Place of each stage in the graph's order.
    position: Vec<usize>,
    /// Why a stage's result of today is another one than that of a key.
    roots: RefCell<HashMap<(StageId, ActionKey), Vec<Reason>>>,
}

/// One thing in which today's stage differs from an earlier result.
enum Difference {
    Root(Reason),
    /// Another stage's output changed: the reasons for that are the reasons for this.
    Output {
        stage: StageId,
        old: Option<ActionKey>,
        via: String,
        reason: Reason,
    },
}

/// The earlier results of other stages that these differences lead to.
fn leads_to(found: &[Difference]) -> impl Iterator<Item = (StageId, ActionKey)> + '_ {
    found.iter().filter_map(|difference| match difference {
        Difference::Output {
            stage,
            old: Some(old),
            ..
        } => Some((*stage, old.clone())),
        _ => None,
    })
}

impl<'a> Explainer<'a> {
    pub fn new(project: &'a Project, state: &'a State, plan: &'a Plan) -> Self {
        let mut position = vec![0; project.flow.stages.len()];
        for (place, id) in project.graph.order().iter().enumerate() {
            position[id.0] = place;
        }
        Explainer {
            project,
            state,
            plan,
            known: HashMap::new(),
            position,
            roots: RefCell::new(HashMap::new()),
        }
    }

    /// Every reason for running the stage; none exactly if its result for today's content is there.
    pub fn reasons(&mut self, id: StageId) -> Vec<Reason> {
        if !self.known.contains_key(&id) {
            let ready = |this: &Self| {
                let mut upstream = this.project.graph.upstream(id);
                upstream.all(|from| this.known.contains_key(&from))
            };
            // Upstream first, so that a deep flow needs no deep stack. Who asks for all stages in order has them already.
            let order = if ready(self) {
                vec![id]
            } else {
                self.project.graph.closure(&[id])
            };
            for upstream in order {
                if !self.known.contains_key(&upstream) {
                    let reasons = self.find(upstream);
                    self.known.insert(upstream, reasons);
                }
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
                // What else changed can be told if only the program to start is missing.
                resolve(self.project, id, &|from| self.action(from), Some(old))
                    .ok()
                    .flatten()
            }
            _ => resolve(self.project, id, &|from| self.action(from), Some(old))
                .ok()
                .flatten(),
        };
        if let Some(resolved) = resolved {
            reasons.extend(self.compare(id, good, old, &resolved));
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
    fn compare(&self, id: StageId, good: &Good, old: &Preimage, new: &Resolved) -> Vec<Reason> {
        let found = self.differences(id, good, old, new);
        self.follow(&found);
        self.joined(found)
    }

    /// Learns the roots of all that these differences lead to. No recursion: a flow may be deep.
    fn follow(&self, found: &[Difference]) {
        let mut pending = Vec::new();
        let mut seen = HashSet::new();
        let mut stack: Vec<(StageId, ActionKey)> = leads_to(found).collect();
        while let Some(pair) = stack.pop() {
            if self.roots.borrow().contains_key(&pair) || !seen.insert(pair.clone()) {
                continue;
            }
            let found = self.since(pair.0, &pair.1);
            stack.extend(leads_to(&found));
            pending.push((pair, found));
        }
        // Upstream first.
        pending.sort_by_key(|((id, _), _)| self.position[id.0]);
        for (pair, found) in pending {
            let reasons = distinct(self.joined(found));
            self.roots.borrow_mut().insert(pair, reasons);
        }
    }

    /// Reasons, with the known roots of changed outputs in their place.
    fn joined(&self, found: Vec<Difference>) -> Vec<Reason> {
        let known = self.roots.borrow();
        let mut reasons = Vec::new();
        for difference in found {
            let (stage, old, via, mut reason) = match difference {
                Difference::Root(reason) => {
                    reasons.push(reason);
                    continue;
                }
                Difference::Output {
                    stage,
                    old,
                    via,
                    reason,
                } => (stage, old, via, reason),
            };
            match old
                .and_then(|old| known.get(&(stage, old)))
                .filter(|roots| !roots.is_empty())
            {
                Some(roots) => reasons.extend(roots.iter().cloned().map(|mut root| {
                    root.via.push(via.clone());
                    root
                })),
                None => {
                    reason.path = None;
                    reason.via = via.into();
                    reasons.push(reason);
                }
            }
        }
        reasons
    }

    fn differences(
        &self,
        id: StageId,
        good: &Good,
        old: &Preimage,
        new: &Resolved,
    ) -> Vec<Difference> {
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
                    found.push(Difference::Root(reason));
                }
                ReasonKind::ParamChanged
                    if template_changed
                        && reason.subject.starts_with("flow.")
                        && (reason.old.is_null() || reason.new.is_null()) => {}
                ReasonKind::InputChanged | ReasonKind::InputAdded | ReasonKind::InputRemoved => {
                    found.push(self.input(id, good, new, reason));
                }
                _ => found.push(Difference::Root(reason)),
            }
        }
        if found.is_empty() && template_changed && *old != new.preimage {
            let (old, new) = (
                template_json(good.template.as_deref()),
                template_json(new.template.as_deref()),
            );
            found.push(Difference::Root(Reason::new(
                ReasonKind::CommandChanged,
                "run",
                old,
                new,
            )));
        }
        found
    }

    fn input(&self, id: StageId, good: &Good, new: &Resolved, mut reason: Reason) -> Difference {
        let staged = reason.path.clone().unwrap_or_default();
        let part = new
            .staged
            .iter()
            .find(|part| part.input == reason.subject && part.path == staged);
        match part.map(|part| &part.from) {
            Some(StagedFrom::Source(path)) => {
                reason.path = Some(crate::store::show_path(path));
                Difference::Root(reason)
            }
            Some(StagedFrom::Output { stage, output, .. }) => {
                let via = format!("{}.{output}", self.project.flow.stage(*stage).name);
                Difference::Output {
                    stage: *stage,
                    old: good.upstream.get(&via).cloned(),
                    via,
                    reason,
                }
            }
            // Gone from the flow: its path below the flow's folder is what it was staged under.
            None => {
                let prefix = format!("inputs/{}/", reason.subject);
                let inner = staged.strip_prefix(&prefix).unwrap_or(&staged).to_string();
                let single = self.single_source(id, &reason.subject);
                reason.path = Some(single.unwrap_or(inner));
                Difference::Root(reason)
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

    /// In what a stage of today differs from its result of the key `old`.
    fn since(&self, id: StageId, old: &ActionKey) -> Vec<Difference> {
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
        self.differences(id, &good, &action.preimage, resolved)
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
                let roots = self.known.get(stage).map(Vec::as_slice).unwrap_or_default();
                let rooted = roots.iter().any(|root| {
                    !matches!(
                        root.kind,
                        ReasonKind::NeverRan
                            | ReasonKind::Invalidated
                            | ReasonKind::FailedLastTime
                            | ReasonKind::UpstreamWillRun
                    )
                });
                let roots = roots.iter();
                for root in roots.filter(|root| root.kind != ReasonKind::UpstreamWillRun) {
                    let mut root = root.clone();
                    root.via.push(via.clone());
                    reasons.push(root);
                }
                if !rooted {
                    let mut reason =
                        Reason::new(ReasonKind::UpstreamWillRun, name, Json::Null, Json::Null);
                    reason.via = via.into();
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
