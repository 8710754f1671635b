//! The training loop.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nanoflow_model::backward::{Pass, Teacher, Workspace};
use nanoflow_model::config::TrainingConfig;
use nanoflow_model::data::Batch;
use nanoflow_model::inference::Buffers;
use nanoflow_model::loss::thread_pool;
use nanoflow_model::network::Network;
use nanoflow_model::optimizer::{learning_rate, AdamW};
use nanoflow_model::parameters::ParameterTable;
use nanoflow_model::quant::rounded_weights;
use nanoflow_model::{Gpt, ModelConfig, ModelError};
use nanoflow_sdk::{Context, StageError};
use rayon::prelude::*;

use crate::curve::{Curve, Point};
use crate::extras::Extras;
use crate::snapshot::Snapshot;

/// One training run.
pub struct Session {
    config: Arc<ModelConfig>,
    table: Arc<ParameterTable>,
    settings: TrainingConfig,
    seed: u64,
    pool: Arc<rayon::ThreadPool>,
    /// All parameters, flat.
    parameters: Vec<f32>,
    optimizer: AdamW,
    workspace: Workspace,
    curve: Curve,
    best: Option<(f64, Vec<f32>)>,
    extras: Extras,
    saved: Instant,
}

/// A run writes its state at every look at the validation loss, and after this time.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(60);

impl Session {
    /// # Errors
    /// When there are no threads or no memory.
    pub fn new(
        start: Gpt,
        settings: &TrainingConfig,
        seed: u64,
        threads: usize,
        extras: Extras,
    ) -> Result<Self, ModelError> {
        let mut start = start;
        let heads = start.config.heads;
        start
            .table
            .silence_heads(&mut start.parameters, heads, &extras.silent_heads);
        let optimizer = AdamW::new(&start.table, start.config.heads, settings.clone());
        let (batch, shards) = (settings.batch, settings.shards);
        let workspace = Workspace::new(&start.config, &start.table, batch, shards);
        Ok(Self {
            config: Arc::new(start.config),
            table: Arc::new(start.table),
            settings: settings.clone(),
            seed,
            pool: thread_pool(threads)?,
            parameters: start.parameters,
            optimizer,
            workspace,
            curve: Curve::default(),
            best: None,
            extras,
            saved: Instant::now(),
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
            self.restore(snapshot);
            eprintln!("continues at step {}", self.optimizer.moments.step);
        }
        let started = Instant::now();
        let first = self.optimizer.moments.step;
        let mut loss = f64::NAN;
        while self.optimizer.moments.step < self.settings.steps {
            loss = self.advance(train, validation, checkpoint.as_deref())?;
            let step = self.optimizer.moments.step;
            let elapsed = started.elapsed().as_secs_f64();
            let done = (step - first) as f64;
            let left = elapsed / done * (self.settings.steps - step) as f64;
            let rate = done * self.tokens_per_step() as f64 / elapsed;
            let note = format!(
                "loss {loss:.3}, {rate:.0} tokens/s, {} left",
                in_words(left)
            );
            ctx.progress(step, self.settings.steps, "step", &note);
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
        let is_due = step % self.settings.evaluate_every == 0 && !has_looked;
        if is_due {
            self.evaluate(train, validation)?;
        }
        if let Some(folder) = checkpoint.filter(|_| step > 0) {
            if is_due || self.saved.elapsed() > SNAPSHOT_EVERY {
                self.snapshot().save(folder)?;
                self.saved = Instant::now();
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

    /// The mean gradient of all micro-batches, then one step of the optimiser. Returns the mean loss.
    fn step(&mut self, train: &[u16], step: u64) -> Result<f64, ModelError> {
        let parts = self.settings.accumulation as u64;
        let tokens = (self.tokens_per_step()) as f64;
        let pool = self.pool.clone();
        let network = Network {
            config: &self.config,
            table: &self.table,
            parameters: seen_parameters(&self.table, &self.parameters, &self.settings),
        };
        let teacher = self.extras.teacher.as_ref();
        let teacher = teacher.map(|(model, settings)| (model.network(), settings));
        let workspace = &mut self.workspace;
        let mut total = 0.0;
        for part in 0..parts {
            let draw = step * parts + part;
            let (block, batch) = (self.config.block, self.settings.batch);
            let batch = Batch::random(train, block, batch, self.seed, draw);
            let pass = Pass {
                scale: (1.0 / tokens) as f32,
                dropout: self.settings.dropout,
                head_dropout: self.settings.head_dropout,
                teacher: teacher.as_ref().map(|(network, settings)| Teacher {
                    network,
                    weight: settings.weight,
                    temperature: settings.temperature,
                }),
                seed: (self.seed ^ 0x5eed)
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    .wrapping_add(draw << 16),
                accumulate: part > 0,
            };
            total += match &self.extras.accelerator {
                None => pool.install(|| workspace.run(&network, &batch, pass)),
                Some(accelerator) => {
                    let shape = (&*self.config, &*self.table);
                    let (loss, gradient) =
                        accelerator.gradient(&network.parameters, shape, &batch)?;
                    workspace.add(&gradient, (1.0 / parts as f64) as f32, part > 0);
                    loss * batch.targets.len() as f64
                }
            };
        }
        let loss = total / tokens;
        if !loss.is_finite() {
            return Err(ModelError::Diverged(format!(
                "the loss is {loss} at step {step}"
            )));
        }
        let (parameters, gradient) = (&mut self.parameters, &self.workspace.gradient);
        pool.install(|| self.optimizer.step(parameters, gradient))?;
        let (heads, silent) = (self.config.heads, &self.extras.silent_heads);
        self.table.silence_heads(parameters, heads, silent);
        Ok(loss)
    }

    /// Losses on fixed windows of both parts; keeps the parameters if the validation loss is the lowest so far.
    fn evaluate(&mut self, train: &[u16], validation: &[u16]) -> Result<(), ModelError> {
        let model = Gpt {
            config: (*self.config).clone(),
            table: (*self.table).clone(),
            parameters: seen_parameters(&self.table, &self.parameters, &self.settings).into_owned(),
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
            self.best = Some((validation_loss, self.parameters.clone()));
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
                .map(|(inputs, targets)| {
                    let mut losses = vec![0.0; targets.len()];
                    let mut buffers = Buffers::new(&self.config, inputs.len(), block);
                    network.losses(inputs, targets, &mut buffers, &mut losses);
                    losses.iter().map(|&loss| f64::from(loss)).sum::<f64>()
                })
                .collect()
        });
        sums.iter().sum::<f64>() / batch.targets.len() as f64
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            parameters: self.parameters.clone(),
            moments: self.optimizer.moments.clone(),
            best: self.best.clone(),
            curve: self.curve.clone(),
        }
    }

    fn restore(&mut self, snapshot: Snapshot) {
        self.parameters = snapshot.parameters;
        self.optimizer.moments = snapshot.moments;
        self.best = snapshot.best;
        self.curve = snapshot.curve;
    }
}

/// What the forward pass computes with: the parameters, or their rounded form in quantisation-aware training.
fn seen_parameters<'a>(
    table: &ParameterTable,
    parameters: &'a [f32],
    settings: &TrainingConfig,
) -> Cow<'a, [f32]> {
    match settings.weight_bits {
        0 => Cow::Borrowed(parameters),
        bits => Cow::Owned(rounded_weights(table, parameters, bits)),
    }
}

/// A time that is easy to read.
fn in_words(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
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
            activation: Default::default(),
            share_layers: false,
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
        Session::new(Gpt::new(config, 1), &settings, 1, 2, Extras::default()).expect("session")
    }

    fn tokens() -> Vec<u16> {
        (0..3000u32)
            .map(|index| (index % 7 * index % 50) as u16)
            .collect()
    }

    fn bits(session: &Session) -> Vec<u32> {
        session
            .parameters
            .iter()
            .map(|value| value.to_bits())
            .collect()
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
                second.restore(snapshot);
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

    /// A chain in which three tokens can follow each, and noise decides which.
    fn chain(count: u64, seed: u64) -> Vec<u16> {
        let mut token = 0;
        let mut state = seed;
        (0..count)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                token = (3 * token + (state >> 33) % 3) % 40;
                token as u16
            })
            .collect()
    }

    /// Trains on the chain and gives back the session.
    fn trained(settings: TrainingConfig, tokens: &[u16], extras: Extras) -> Session {
        let config = ModelConfig {
            vocabulary: 40,
            block: 8,
            layers: 1,
            heads: 2,
            width: 16,
            activation: Default::default(),
            share_layers: false,
        };
        let start = Gpt::new(config, 1);
        let mut session = Session::new(start, &settings, 1, 2, extras).expect("session");
        for step in 0..settings.steps {
            let _ = session.step(tokens, step).expect("a step");
        }
        session
    }

    fn settings(steps: u64) -> TrainingConfig {
        TrainingConfig {
            steps,
            batch: 8,
            warmup_steps: 10,
            learning_rate: 1e-2,
            minimum_learning_rate: 1e-3,
            evaluate_sequences: 200,
            ..TrainingConfig::default()
        }
    }

    fn model(session: &Session, parameters: Vec<f32>) -> Gpt {
        Gpt {
            config: (*session.config).clone(),
            table: (*session.table).clone(),
            parameters,
        }
    }

    #[test]
    fn a_teacher_helps_a_student_that_has_little_data() {
        let teacher = trained(settings(300), &chain(20_000, 1), Extras::default());
        let few = chain(150, 2);
        let alone = trained(settings(200), &few, Extras::default());
        let extras = Extras {
            teacher: Some((
                model(&teacher, teacher.parameters.clone()),
                crate::extras::Distillation {
                    weight: 0.9,
                    temperature: 1.0,
                },
            )),
            ..Extras::default()
        };
        let taught = trained(settings(200), &few, extras);
        let validation = chain(4000, 3);
        let loss = |session: &Session| {
            session.fixed_loss(&model(session, session.parameters.clone()), &validation)
        };
        let losses = [&teacher, &alone, &taught].map(loss);
        assert!(
            losses[0] < losses[2] && losses[2] < losses[1] - 0.1,
            "{losses:?}"
        );
    }

    #[test]
    fn training_with_few_bits_pays_when_few_bits_are_left() {
        let tokens = chain(20_000, 1);
        let plain = trained(settings(300), &tokens, Extras::default());
        let aware = TrainingConfig {
            weight_bits: 2,
            ..settings(300)
        };
        let aware = trained(aware, &tokens, Extras::default());
        // Above ln 3, the noise that nothing can predict.
        let excess_at = |session: &Session, bits| {
            let rounded = rounded_weights(&session.table, &session.parameters, bits);
            session.fixed_loss(&model(session, rounded), &tokens) - 3f64.ln()
        };
        let (ever, trained_for) = (excess_at(&plain, 2), excess_at(&aware, 2));
        assert!(
            trained_for < 0.8 * ever,
            "with 2 bits: {ever} trained as ever, {trained_for} trained with 2 bits"
        );
        let eight = excess_at(&plain, 8);
        assert!(
            eight < 0.5 * ever,
            "with 8 bits there is little to gain: {eight} {ever}"
        );
    }

    #[test]
    fn silent_heads_stay_silent() {
        let extras = Extras {
            silent_heads: vec![(0, 1)],
            ..Extras::default()
        };
        let session = trained(settings(5), &chain(2000, 1), extras);
        let block = &session.table.blocks[0];
        let projection = &session.parameters[block.projection.weight.clone()];
        assert!(projection[8 * 16..].iter().all(|&value| value == 0.0));
        assert!(projection[..8 * 16].iter().all(|&value| value != 0.0));
        for row in session.parameters[block.qkv.weight.clone()].chunks(48) {
            assert!(row
                .iter()
                .enumerate()
                .all(|(column, &value)| (value == 0.0) == (column % 16 >= 8)));
        }
    }

    #[test]
    fn times_are_told_in_words() {
        assert_eq!(in_words(59.4), "59 s");
        assert_eq!(in_words(61.0), "1 min 1 s");
        assert_eq!(in_words(7320.0), "2 h 2 min");
    }

    #[test]
    fn candle_s_operations_train_the_same_model() {
        let tokens = chain(2000, 1);
        let ours = trained(settings(12), &tokens, Extras::default());
        let extras = Extras {
            accelerator: Some(nanoflow_model::stock::Accelerator::processor()),
            ..Extras::default()
        };
        let theirs = trained(settings(12), &tokens, extras);
        let far = ours
            .parameters
            .iter()
            .zip(&theirs.parameters)
            .fold(0.0f32, |far, (a, b)| far.max((a - b).abs()));
        // Keys' biases have gradients of rounding noise, which Adam turns into steps of up to the learning rate.
        let silent = ours.table.blocks[0].qkv.bias.clone();
        let same = ours.parameters[silent.end..]
            .iter()
            .zip(&theirs.parameters[silent.end..])
            .fold(0.0f32, |far, (a, b)| far.max((a - b).abs()));
        assert!(same < 1e-3 && far < 0.2, "{same} {far}");
    }
}
