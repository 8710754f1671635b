//! `--twice`: every good stage runs again, and the bytes are compared.

use std::sync::{Arc, Mutex, PoisonError};

use crate::events::Event;

use super::super::attempt::{self, Attempt};
use super::super::resources::Tokens;
use super::super::stop::{Stop, Stopper};
use super::signals::Signals;
use super::{Run, RunError};

impl Run<'_> {
    /// `--twice`: runs every good stage again, keeps nothing, compares.
    pub(super) fn second_pass(&mut self) -> Result<(), RunError> {
        let stopper = Arc::new(Stopper::new().map_err(RunError::Runtime)?);
        let signal = Arc::new(Mutex::new(None));
        let (stop, heard) = (stopper.clone(), signal.clone());
        let signals = Signals::start(move |signal| {
            *heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(signal);
            stop.raise(Stop::Kill);
        })
        .map_err(RunError::Runtime)?;
        self.compare_all(&stopper);
        drop(signals);
        self.project.keeper.finish();
        let signal = *signal.lock().unwrap_or_else(PoisonError::into_inner);
        self.report.signal = self.report.signal.or(signal);
        Ok(())
    }

    fn compare_all(&mut self, stopper: &Stopper) {
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
            let result = attempt::compare(&attempt, &action, stopper);
            if stopper.level() != Stop::No {
                return;
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
    }
}
