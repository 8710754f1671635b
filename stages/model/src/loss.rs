//! Loss and gradient of a whole batch, shards side by side, as one operation of candle.
//!
//! candle's own backward pass is several times slower for small models (each gradient is an addition onto a fresh zero
//! tensor, each batched product one call), so the whole network is one `CustomOp1` on the flat parameter array with
//! its own tested gradient. Everything around it (distillation terms, penalties) can be ordinary candle operations.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
use rayon::prelude::*;

use crate::data::Batch;
use crate::gpt::{Dropout, Network, ShardResult};
use crate::kernels::add_into;
use crate::parameters::ParameterTable;
use crate::{ModelConfig, ModelError};

/// Mean cross-entropy of one batch as a function of the flat parameters.
pub struct BatchLoss {
    pub config: Arc<ModelConfig>,
    pub table: Arc<ParameterTable>,
    pub batch: Batch,
    /// Parts of the batch that are computed side by side; the sums depend on it.
    pub shards: usize,
    pub dropout: f32,
    pub seed: u64,
    pool: Arc<rayon::ThreadPool>,
    gradient: Mutex<Option<Vec<f32>>>,
}

impl BatchLoss {
    #[must_use]
    pub fn new(
        config: Arc<ModelConfig>,
        table: Arc<ParameterTable>,
        batch: Batch,
        (shards, dropout, seed): (usize, f32, u64),
        pool: Arc<rayon::ThreadPool>,
    ) -> Self {
        Self {
            config,
            table,
            batch,
            shards,
            dropout,
            seed,
            pool,
            gradient: Mutex::new(None),
        }
    }

    /// Mean loss and its gradient.
    #[must_use]
    pub fn evaluate(&self, parameters: &[f32]) -> (f64, Vec<f32>) {
        let network = Network {
            config: &self.config,
            table: &self.table,
            parameters: Cow::Borrowed(parameters),
        };
        let block = self.config.block;
        let sequences = self.batch.inputs.len() / block;
        let tokens = self.batch.inputs.len() as f64;
        let per_shard = sequences.div_ceil(self.shards).max(1) * block;
        let shards: Vec<_> = self
            .batch
            .inputs
            .chunks(per_shard)
            .zip(self.batch.targets.chunks(per_shard))
            .enumerate()
            .collect();
        self.pool.install(|| {
            let results: Vec<ShardResult> = shards
                .into_par_iter()
                .map(|(index, (inputs, targets))| {
                    let key = self
                        .seed
                        .wrapping_add(index as u64)
                        .wrapping_mul(0xd134_2543_de82_ef95);
                    network.gradient(
                        inputs,
                        targets,
                        (1.0 / tokens) as f32,
                        Dropout {
                            rate: self.dropout,
                            key,
                        },
                    )
                })
                .collect();
            let loss = results.iter().map(|result| result.loss_sum).sum::<f64>() / tokens;
            (loss, reduce(results))
        })
    }
}

/// Adds the shards' gradients in their order, in pieces side by side.
fn reduce(results: Vec<ShardResult>) -> Vec<f32> {
    let mut results = results.into_iter();
    let mut total = results
        .next()
        .map(|first| first.gradient)
        .unwrap_or_default();
    let rest: Vec<Vec<f32>> = results.map(|result| result.gradient).collect();
    const PIECE: usize = 1 << 14;
    total
        .par_chunks_mut(PIECE)
        .enumerate()
        .for_each(|(index, piece)| {
            for gradient in &rest {
                add_into(piece, &gradient[index * PIECE..][..piece.len()]);
            }
        });
    total
}

impl CustomOp1 for BatchLoss {
    fn name(&self) -> &'static str {
        "gpt-batch-loss"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let parameters = contiguous(storage, layout)?;
        if parameters.len() != self.table.total {
            candle_core::bail!(
                "{} parameters instead of {}",
                parameters.len(),
                self.table.total
            );
        }
        let (loss, gradient) = self.evaluate(parameters);
        if let Ok(mut kept) = self.gradient.lock() {
            *kept = Some(gradient);
        }
        Ok((CpuStorage::F32(vec![loss as f32]), Shape::from(())))
    }

    fn bwd(
        &self,
        argument: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let kept = self.gradient.lock().ok().and_then(|mut kept| kept.take());
        let Some(kept) = kept else {
            candle_core::bail!("backward before forward")
        };
        let kept = Tensor::from_vec(kept, argument.shape(), argument.device())?;
        let factor = f64::from(gradient.to_scalar::<f32>()?);
        if factor == 1.0 {
            return Ok(Some(kept));
        }
        Ok(Some((kept * factor)?))
    }
}

/// The values of a contiguous f32 tensor.
pub(crate) fn contiguous<'a>(
    storage: &'a CpuStorage,
    layout: &Layout,
) -> candle_core::Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("a contiguous tensor is needed")
    };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// Threads for the model's work; the results do not depend on their number.
///
/// # Errors
/// When the operating system gives no threads.
pub fn thread_pool(threads: usize) -> Result<Arc<rayon::ThreadPool>, ModelError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map(Arc::new)
        .map_err(|error| ModelError::Data(format!("no thread pool: {error}")))
}
