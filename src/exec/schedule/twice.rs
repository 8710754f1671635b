//! `--twice`: every good stage runs again, and the bytes are compared.

use tokio::sync::watch;

use crate::events::Event;

use super::super::attempt::{self, Attempt};
use super::super::child::Stop;
use super::super::resources::Tokens;
use super::drive::Signals;
use super::{Run, RunError};

impl Run<'_> {
    /// `--twice`: runs every good stage again, keeps nothing, compares.
    pub(super) fn second_pass(&mut self) -> Result<(), RunError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(RunError::Runtime)?;
        for id in self.order.clone() {
            let (Some(action), Some(resolved)) =
                (self.action_of(id), self.resolved.get(&id).cloned())
            else {
                continue;
            };
            let attempt = Attempt {
                project: self.project.clone(),
                id,
                resolved: resolved.clone(),
                run: self.options.run.clone(),
                threads: Tokens::new(self.options.jobs, &self.project.flow.limits)
                    .threads(&self.project.flow.stage(id).resources),
                record: false,
            };
            let (stop, stopped) = watch::channel(Stop::No);
            let result = runtime.block_on(async {
                let mut signals = Signals::new().map_err(RunError::Runtime)?;
                let work = attempt::compare(attempt, action, stopped);
                tokio::pin!(work);
                loop {
                    tokio::select! {
                        result = &mut work => return Ok::<_, RunError>(result),
                        signal = signals.next() => {
                            self.report.signal = Some(signal);
                            let _ = stop.send(Stop::Kill);
                        }
                    }
                }
            })?;
            if self.report.signal.is_some() {
                return Ok(());
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
