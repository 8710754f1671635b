//! From waiting to known: a stage's result is found in the cache, or it is queued to run.

use std::sync::Arc;

use crate::events::Outcome;
use crate::flow::StageId;
use crate::store::{Action, RestoreError, StoreError};

use super::super::plan::{lookup, resolve, Resolved};
use super::{Place, Run, RunError};

impl Run<'_> {
    /// If all that a stage waits for is there, finds its result or queues it.
    pub(super) fn settle(&mut self, id: StageId) -> Result<(), RunError> {
        if !matches!(self.places.get(&id), Some(Place::Waiting)) {
            return Ok(());
        }
        let ready = self.project.graph.upstream(id).all(|from| {
            matches!(
                self.places.get(&from),
                Some(Place::Finished {
                    action: Some(_),
                    passes: true
                })
            )
        });
        if !ready {
            return Ok(());
        }
        let resolved = match resolve(self.project, id, &|from| self.action_of(from), None) {
            Ok(Some(resolved)) => Arc::new(resolved),
            Ok(None) => return Ok(()),
            Err(problem) => {
                self.problem(id, problem);
                return Ok(());
            }
        };
        let name = self.name(id);
        let invalidated = self
            .state
            .history(&name)
            .is_some_and(|history| history.invalidated);
        let again = invalidated || self.options.forced.contains(&id) || self.remade.contains(&id);
        self.resolved.insert(id, resolved.clone());
        if !again {
            if let Some(action) = lookup(self.project, self.state, id, &resolved) {
                return self.found(id, &resolved, action);
            }
            if let Some(sharing) = self.sharing.get_mut(&resolved.key) {
                sharing.push(id);
                self.places.insert(id, Place::Shares);
                return Ok(());
            }
        }
        self.sharing.entry(resolved.key.clone()).or_default();
        self.places.insert(id, Place::Queued);
        self.queue.push(id);
        Ok(())
    }

    /// A result that was there already.
    pub(super) fn found(
        &mut self,
        id: StageId,
        resolved: &Resolved,
        action: Arc<Action>,
    ) -> Result<(), RunError> {
        if self.project.store.action(&resolved.key).is_none() {
            // Content that was expected and is there: from now on it is known under this key too.
            self.project.store.record(Action::clone(&action))?;
        }
        match self.restore(id, &action) {
            Ok(()) => {}
            Err(RestoreError::Damaged(_)) => {
                self.project.store.drop_action(&resolved.key);
                return self.settle(id);
            }
            Err(RestoreError::Io { path, source }) => {
                return Err(StoreError::io(path, source).into())
            }
        }
        let line = self.finish_good(id, resolved, action, Outcome::Cached, 0.0);
        self.lines.extend(line);
        Ok(())
    }

    /// Settles a stage and, if it was found in the cache, what waits for it.
    pub(super) fn settle_down(&mut self, id: StageId) -> Result<(), RunError> {
        let mut stack = vec![id];
        while let Some(id) = stack.pop() {
            let waited = matches!(self.places.get(&id), Some(Place::Waiting));
            self.settle(id)?;
            if waited && matches!(self.places.get(&id), Some(Place::Finished { .. })) {
                stack.extend(
                    self.project
                        .graph
                        .downstream(id)
                        .filter(|next| self.places.contains_key(next)),
                );
            }
        }
        Ok(())
    }

    pub(super) fn make_again(&mut self, id: StageId) {
        // It was counted when it was found; it will be counted as executed.
        if matches!(
            self.places.get(&id),
            Some(Place::Finished {
                action: Some(_),
                ..
            })
        ) {
            self.report.cached = self.report.cached.saturating_sub(1);
        }
        self.places.insert(id, Place::Queued);
        self.queue.push(id);
    }
}
