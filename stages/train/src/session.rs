//! The training loop.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{Device, Tensor, Var};
use nanoflow_model::config::TrainingConfig;
use nanoflow_model::data::Batch;
use nanoflow_model::loss::{thread_pool, BatchLoss};
use nanoflow_model::optimizer::{learning_rate, AdamW};
use nanoflow_model::parameters::ParameterTable;
use nanoflow_model::{Gpt, ModelConfig, ModelError};
use nanoflow_sdk::{Context, StageError};
use rayon::prelude::*;

use crate::curve::{Curve, Point};
use crate::snapshot::Snapshot;

/// One training run.
pub struct Session {
    config: Arc<ModelConfig>,
    table: Arc<ParameterTable>,
    settings: TrainingConfig,
    seed: u64,
    pool: Arc<rayon::ThreadPool>,
    /// All parameters, flat.
    parameters: Var,
    optimizer: AdamW,
    curve: Curve,
    best: Option<(f64, Vec<f32>)>,
}

impl Session {
    /// # Errors
    /// When there are no threads or no memory.
    pub fn new(
        start: Gpt,
        settings: &TrainingConfig,
        seed: u64,
        threads: usize,
    ) -> Result<Self, ModelError> {
        let optimizer = AdamW::new(&start.table, start.config.heads, settings.clone());
        let length = start.parameters.len();
        Ok(Self {
            config: Arc::new(start.config),
            table: Arc::new(start.table),
            settings: settings.clone(),
            seed,
            pool: thread_pool(threads)?,
            parameters: Var::from_vec(start.parameters, length, &Device::Cpu)?,
            optimizer,
            curve: Curve::default(),
            best: None,
        })
    }

    /// Trains to the end and returns the model with the lowest validation loss, and the curve.
    ///
    /// # Errors
    /// When the loss is no finite number any more, or a snapshot cannot be written.
    pub fn train(
        &mut self,
        ctx: &mut Context,
        train: &[u16],
        validation: &[u16],
    ) -> Result<(Gpt, Curve), StageError> {
        let checkpoint = ctx.checkpoint().map(Path::to_path_buf);
        if let Some(snapshot) = checkpoint
            .as_deref()
            .and_then(|folder| Snapshot::load(folder, self.table.total))
        {
            self.restore(snapshot)?;
            eprintln!("continues at step {}", self.optimizer.moments.step);
        }
        let started = Instant::now();
        let first = self.optimizer.moments.step;
        let mut loss = f64::NAN;
        while self.optimizer.moments.step < self.settings.steps {
            loss = self.advance(train, validation, checkpoint.as_deref())?;
            let step = self.optimizer.moments.step;
            let rate = ((step - first) as usize * self.tokens_per_step()) as f64
                / started.elapsed().as_secs_f64();
            ctx.progress(
                step,
                self.settings.steps,
                "step",
                &format!("loss {loss:.3}, {rate:.0} tokens/s"),
            );
        }
        let seconds = started.elapsed().as_secs_f64();
        self.evaluate(train, validation)?;
        self.report(ctx, loss, first, seconds);
        let Some((_, parameters)) = self.best.take() else {
            return Err(StageError::internal("no validation loss was measured"));
        };
        let model = Gpt {
            config: (*self.config).clone(),
            table: (*self.table).clone(),
            parameters,
        };
        Ok((model, std::mem::take(&mut self.curve)))
    }

    /// One step, with the look at both parts and the snapshot that are due before it. Returns the batch's loss.
    fn advance(
        &mut self,
        train: &[u16],
        validation: &[u16],
        checkpoint: Option<&Path>,
    ) -> Result<f64, ModelError> {
        let step = self.optimizer.moments.step;
        // A run that was just restored has looked already.
        let has_looked = self
            .curve
            .points
            .last()
            .is_some_and(|point| point.step == step);
        if step % self.settings.evaluate_every == 0 && !has_looked {
            self.evaluate(train, validation)?;
            if let Some(folder) = checkpoint.filter(|_| step > 0) {
                self.snapshot()?.save(folder)?;
            }
        }
        let loss = self.step(train, step)?;
        self.curve.losses.push(loss as f32);
        Ok(loss)
    }

    fn report(&self, ctx: &mut Context, loss: f64, first: u64, seconds: f64) {
        let steps = self.settings.steps.saturating_sub(first);
        ctx.metric("train_loss", loss, "nats");
        if let Some((best, _)) = &self.best {
            ctx.metric("val_loss", *best, "nats");
        }
        ctx.metric("steps", self.settings.steps as f64, "steps");
        ctx.metric(
            "tokens_per_second",
            (steps as usize * self.tokens_per_step()) as f64 / seconds.max(1e-9),
            "tokens/s",
        );
        ctx.metric("train_seconds", seconds, "s");
    }

    fn tokens_per_step(&self) -> usize {
        self.settings.batch * self.settings.accumulation * self.config.block
    }

    /// Gradients of all micro-batches, averaged, then one step of the optimiser. Returns the mean loss.
    fn step(&mut self, train: &[u16], step: u64) -> Result<f64, ModelError> {
        let mut total = 0.0;
        let mut sum: Option<Tensor> = None;
        for part in 0..self.settings.accumulation as u64 {
            let draw = step * self.settings.accumulation as u64 + part;
            let batch = Batch::random(
                train,
                self.config.block,
                self.settings.batch,
                self.seed,
                draw,
            );
            let (loss, gradient) = self.gradient(batch, draw)?;
            total += loss;
            sum = Some(match sum {
                None => gradient,
                Some(sum) => (sum + gradient)?,
            });
        }
        let parts = self.settings.accumulation as f64;
        let loss = total / parts;
        let Some(mut gradient) = sum.filter(|_| loss.is_finite()) else {
            return Err(ModelError::Diverged(format!(
                "the loss is {loss} at step {step}"
            )));
        };
        if parts > 1.0 {
            gradient = (gradient / parts)?;
        }
        let pool = self.pool.clone();
        pool.install(|| self.optimizer.step(&self.parameters, &gradient))?;
        Ok(loss)
    }

    /// Loss and gradient of one micro-batch through candle's backward pass.
    fn gradient(&self, batch: Batch, draw: u64) -> Result<(f64, Tensor), ModelError> {
        let seed = (self.seed ^ 0x5eed)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(draw << 16);
        let operation = BatchLoss::new(
            self.config.clone(),
            self.table.clone(),
            batch,
            (self.settings.shards, self.settings.dropout, seed),
            self.pool.clone(),
        );
        let loss = self.parameters.as_tensor().apply_op1(operation)?;
        let mut gradients = loss.backward()?;
        let Some(gradient) = gradients.remove(self.parameters.as_tensor()) else {
            return Err(ModelError::Data("candle gave no gradient".into()));
        };
        Ok((f64::from(loss.to_scalar::<f32>()?), gradient))
    }

    /// Losses on fixed windows of both parts; keeps the parameters if the validation loss is the lowest so far.
    fn evaluate(&mut self, train: &[u16], validation: &[u16]) -> Result<(), ModelError> {
        let parameters = self.parameters.as_tensor().to_vec1::<f32>()?;
        let model = Gpt {
            config: (*self.config).clone(),
            table: (*self.table).clone(),
            parameters,
        };
        let losses = [train, validation].map(|tokens| self.fixed_loss(&model, tokens));
        let step = self.optimizer.moments.step;
        let [train_loss, validation_loss] = losses;
        if !validation_loss.is_finite() {
            return Err(ModelError::Diverged(format!(
                "the validation loss is {validation_loss} at step {step}"
            )));
        }
        let rate = learning_rate(&self.settings, step);
        eprintln!("step {step}: train loss {train_loss:.4}, validation loss {validation_loss:.4}");
        self.curve.points.push(Point {
            step,
            train_loss,
            validation_loss,
            rate,
        });
        if self
            .best
            .as_ref()
            .is_none_or(|(best, _)| validation_loss < *best)
        {
            self.best = Some((validation_loss, model.parameters));
        }
        Ok(())
    }

    fn fixed_loss(&self, model: &Gpt, tokens: &[u16]) -> f64 {
        let block = self.config.block;
        let batch = Batch::even(tokens, block, self.settings.evaluate_sequences);
        let network = model.network();
        let sums: Vec<f64> = self.pool.install(|| {
            let pairs: Vec<_> = batch
                .inputs
                .chunks(4 * block)
                .zip(batch.targets.chunks(4 * block))
                .collect();
            pairs
                .into_par_iter()
                .map(|(inputs, targets)| network.loss_sum(inputs, targets, block))
                .collect()
        });
        sums.iter().sum::<f64>() / batch.targets.len() as f64
    }

    fn snapshot(&self) -> Result<Snapshot, ModelError> {
        Ok(Snapshot {
            parameters: self.parameters.as_tensor().to_vec1::<f32>()?,
            moments: self.optimizer.moments.clone(),
            best: self.best.clone(),
            curve: self.curve.clone(),
        })
    }

    fn restore(&mut self, snapshot: Snapshot) -> Result<(), ModelError> {
        let length = snapshot.parameters.len();
        self.parameters = Var::from_vec(snapshot.parameters, length, &Device::Cpu)?;
        self.optimizer.moments = snapshot.moments;
        self.best = snapshot.best;
        self.curve = snapshot.curve;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        let config = ModelConfig {
            vocabulary: 50,
            block: 8,
            layers: 1,
            heads: 2,
            width: 16,
        };
        let settings = TrainingConfig {
            steps: 20,
            batch: 4,
            accumulation: 2,
            warmup_steps: 4,
            dropout: 0.1,
            evaluate_every: 5,
            evaluate_sequences: 8,
            ..TrainingConfig::default()
        };
        Session::new(Gpt::new(config, 1), &settings, 1, 2).expect("session")
    }

    fn tokens() -> Vec<u16> {
        (0..3000u32)
            .map(|index| (index % 7 * index % 50) as u16)
            .collect()
    }

    fn bits(session: &Session) -> Vec<u32> {
        let values = session
            .parameters
            .as_tensor()
            .to_vec1::<f32>()
            .expect("values");
        values.iter().map(|value| value.to_bits()).collect()
    }

    /// Steps until `until`; snapshots into `folder`.
    fn advance(session: &mut Session, until: u64, folder: Option<&Path>) {
        let tokens = tokens();
        while session.optimizer.moments.step < until {
            session.advance(&tokens, &tokens, folder).expect("a step");
        }
    }

    #[test]
    fn a_run_killed_at_any_step_ends_with_the_same_bits() {
        let mut whole = session();
        advance(&mut whole, 20, None);
        for killed_at in [1, 6, 10, 19] {
            let folder = tempfile::tempdir().expect("folder");
            let mut first = session();
            advance(&mut first, killed_at, Some(folder.path()));
            drop(first);
            let mut second = session();
            if let Some(snapshot) = Snapshot::load(folder.path(), second.table.total) {
                second.restore(snapshot).expect("restored");
                assert!(killed_at > 5);
            }
            advance(&mut second, 20, Some(folder.path()));
            assert_eq!(bits(&second), bits(&whole), "killed at {killed_at}");
            assert_eq!(second.curve, whole.curve, "killed at {killed_at}");
        }
    }

    #[test]
    fn a_damaged_snapshot_is_as_none() {
        let folder = tempfile::tempdir().expect("folder");
        let mut session = session();
        advance(&mut session, 6, Some(folder.path()));
        let file = folder.path().join("training.safetensors");
        let bytes = std::fs::read(&file).expect("a snapshot");
        for length in (0..bytes.len()).step_by(97) {
            std::fs::write(&file, &bytes[..length]).expect("cut");
            assert!(
                Snapshot::load(folder.path(), session.table.total).is_none(),
                "cut at {length}"
            );
        }
        std::fs::write(&file, &bytes).expect("whole");
        assert!(Snapshot::load(folder.path(), session.table.total).is_some());
        assert!(Snapshot::load(folder.path(), session.table.total + 1).is_none());
    }
}
