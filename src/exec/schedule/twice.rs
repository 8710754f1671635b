//! `--twice`: every good stage runs again, and the bytes are compared.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::events::Event;

use super::super::attempt::{self, Attempt};
use super::super::resources::Tokens;
use super::super::stop::{Stop, Stopper};
use super::signals::{runtime, Signals};
use super::{Run, RunError};

impl Run<'_> {
    /// `--twice`: runs every good stage again, keeps nothing, compares.
    pub(super) fn second_pass(&mut self) -> Result<(), RunError> {
        let stopper = Arc::new(Stopper::new().map_err(RunError::Runtime)?);
        let runtime = runtime().map_err(RunError::Runtime)?;
        let compared = runtime.block_on(self.compare_all(&stopper));
        self.project.keeper.finish();
        compared
    }

    async fn compare_all(&mut self, stopper: &Arc<Stopper>) -> Result<(), RunError> {
        let mut signals = Signals::listen().map_err(RunError::Runtime)?;
        let limits = &self.project.flow.limits;
        let tokens = Tokens::new(self.options.jobs, limits);
        for id in self.order.clone() {
            let (Some(action), Some(resolved)) =
                (self.action_of(id), self.resolved.get(&id).cloned())
            else {
                continue;
            };
            let attempt = Attempt {
                project: self.project.clone(),
                id,
                resolved,
                run: self.options.run.clone(),
                threads: tokens.threads(&self.project.flow.stage(id).resources),
            };
            let stop = stopper.clone();
            let mut comparing = spawn_blocking(move || attempt::compare(&attempt, &action, &stop));
            let result = loop {
                tokio::select! {
                    signal = signals.next() => {
                        self.report.signal = self.report.signal.or(Some(signal));
                        stopper.raise(Stop::Kill);
                    }
                    compared = &mut comparing => break compared,
                }
            };
            let result = result.map_err(|error| RunError::Runtime(error.into()))?;
            if stopper.level() != Stop::No {
                break;
            }
            let stage = self.name(id);
            match result {
                Ok(differences) => {
                    for (output, place) in differences {
                        self.report.stage_failed = true;
                        self.events.emit(&Event::StageDiffers {
                            stage: stage.clone(),
                            output,
                            place,
                        });
                    }
                }
                Err(failed) => {
                    self.report.stage_failed = true;
                    self.events.emit(&Event::StageDiffers {
                        stage,
                        output: String::new(),
                        place: format!("the second time it failed: {failed}"),
                    });
                }
            }
        }
        Ok(())
    }
}
