//! How stages end: well, not, or not at all; and what is told and noted of it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use crate::events::{Event, Outcome};
use crate::flow::StageId;
use crate::gate::judge;
use crate::key::ActionKey;
use crate::store::{Action, Failure, Good, RestoreError, StateLine};

use super::super::plan::Resolved;
use super::super::programs::Problem;
use super::super::work::Failed;
use super::{Place, Run};

impl Run<'_> {
    pub(super) fn restore(&self, id: StageId, action: &Action) -> Result<(), RestoreError> {
        let stage = self.project.flow.stage(id);
        let folder = self.project.store.artifacts(&stage.name);
        for (name, output) in &stage.outputs {
            if let Some(record) = action.outputs.get(name) {
                self.project
                    .store
                    .restore(record, &folder.join(&output.path))?;
            }
        }
        Ok(())
    }

    /// Tells of a good end and judges it. Returns what is to be noted once the result is recorded.
    pub(super) fn finish_good(
        &mut self,
        id: StageId,
        resolved: &Resolved,
        action: Arc<Action>,
        outcome: Outcome,
        seconds: f64,
    ) -> Option<StateLine> {
        let stage = self.project.flow.stage(id);
        match outcome {
            Outcome::Executed => self.report.executed += 1,
            _ => self.report.cached += 1,
        }
        let good = Good {
            key: action.key.clone(),
            run: if outcome == Outcome::Executed {
                self.options.run.clone()
            } else {
                action.run.clone()
            },
            template: resolved.template.clone(),
            upstream: resolved.upstream.clone(),
        };
        let history = self.state.history(&stage.name);
        let same = history.is_some_and(|history| {
            history.failure.is_none()
                && !history.invalidated
                && history.last().is_some_and(|last| *last == good)
        });
        let line = (!same).then(|| {
            self.drop_old_artifacts(id);
            StateLine::Good {
                stage: stage.name.clone(),
                good,
            }
        });
        self.events.emit(&Event::StageFinished {
            stage: stage.name.clone(),
            outcome,
            seconds,
            key: Some(action.key.to_string()),
            message: None,
            hint: None,
            failure: None,
        });
        let failed = judge(&stage.gates, &action.metrics);
        let mut passes = true;
        for gate in failed {
            passes &= gate.continues;
            self.report.gates_failed += 1;
            self.events.emit(&Event::GateFailed {
                stage: stage.name.clone(),
                metric: gate.metric.clone(),
                value: gate.value.clone(),
                min: gate.min,
                max: gate.max,
                message: gate.tell(),
            });
        }
        self.places.insert(
            id,
            Place::Finished {
                action: Some(action),
                passes,
            },
        );
        line
    }

    /// Removes what the stage's last result showed under names that are not declared any more.
    pub(super) fn drop_old_artifacts(&self, id: StageId) {
        let stage = self.project.flow.stage(id);
        let last = self
            .state
            .history(&stage.name)
            .and_then(|history| history.last());
        let Some(action) = last.and_then(|good| self.project.store.action(&good.key)) else {
            return;
        };
        let folder = self.project.store.artifacts(&stage.name);
        let keep: BTreeSet<PathBuf> = stage
            .outputs
            .values()
            .map(|output| folder.join(&output.path))
            .collect();
        for place in action.preimage.outputs.values() {
            let old = folder.join(place.path.trim_end_matches('/'));
            // What lies at or inside an output of today was put right when that was restored.
            if !keep.iter().any(|path| old.starts_with(path)) {
                crate::store::remove_but(&old, &keep);
                // Folders in which nothing else lies go too.
                for parent in old.ancestors().skip(1) {
                    if !parent.starts_with(&folder) || std::fs::remove_dir(parent).is_err() {
                        break;
                    }
                }
            }
        }
    }

    pub(super) fn problem(&mut self, id: StageId, problem: Problem) {
        let failed = match problem {
            Problem::Missing(missing) => Failed::Missing(missing),
            Problem::Input(message) => Failed::stage(message),
        };
        self.finish_failed(id, None, failed, 0.0);
    }

    pub(super) fn finish_failed(
        &mut self,
        id: StageId,
        key: Option<ActionKey>,
        failed: Failed,
        seconds: f64,
    ) {
        let name = self.name(id);
        let (message, mut hint, kind) = match &failed {
            Failed::Stage {
                message,
                hint,
                kind,
            } => (message.clone(), hint.clone(), *kind),
            Failed::Missing(missing) => (missing.message.clone(), missing.hint.clone(), None),
            Failed::Store(error) => (error.to_string(), Some(error.advice().to_string()), None),
            other => (other.to_string(), None, None),
        };
        match &failed {
            Failed::Missing(_) => self.report.tool_missing = true,
            Failed::Store(_) => self.report.store_failed = true,
            Failed::Interrupted => {}
            _ => self.report.stage_failed = true,
        }
        if matches!(failed, Failed::Missing(_)) && hint.is_none() {
            hint = Some("'nanoflow doctor' tells what is missing".to_string());
        }
        self.report.failed += 1;
        self.places.insert(
            id,
            Place::Finished {
                action: None,
                passes: false,
            },
        );
        if !matches!(
            failed,
            Failed::Interrupted | Failed::Store(_) | Failed::Missing(_)
        ) {
            let failure = Failure {
                run: self.options.run.clone(),
                key: key.clone(),
                message: message.clone(),
            };
            self.lines.push(StateLine::Failed {
                stage: name.clone(),
                failure,
            });
        }
        self.events.emit(&Event::StageFinished {
            stage: name,
            outcome: Outcome::Failed,
            seconds,
            key: key.map(|key| key.to_string()),
            message: Some(message),
            hint,
            failure: kind.and_then(|kind| {
                serde_json::to_value(kind)
                    .ok()?
                    .as_str()
                    .map(str::to_string)
            }),
        });
        if !self.options.keep_going {
            self.stopping = true;
        }
    }

    /// Tells of every stage that was not reached.
    pub(super) fn skip_rest(&mut self) {
        for id in self.order.clone() {
            if matches!(self.places.get(&id), Some(Place::Finished { .. })) {
                continue;
            }
            let blocked: Vec<String> = self
                .project
                .graph
                .upstream(id)
                .filter(|from| {
                    !matches!(
                        self.places.get(from),
                        Some(Place::Finished {
                            action: Some(_),
                            passes: true
                        })
                    )
                })
                .map(|from| self.name(from))
                .collect();
            let message = match blocked.first() {
                Some(from) => format!("'{from}' did not pass"),
                None if self.report.signal.is_some() => "the run was interrupted".to_string(),
                None => "the run stopped at the first failure (-k goes on)".to_string(),
            };
            self.report.skipped += 1;
            self.events.emit(&Event::StageFinished {
                stage: self.name(id),
                outcome: Outcome::Skipped,
                seconds: 0.0,
                key: None,
                message: Some(message),
                hint: None,
                failure: None,
            });
        }
    }
}
