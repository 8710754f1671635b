//! Loss and gradient of a whole batch as one operation of candle.
//!
//! candle's own backward pass is several times slower for small models (each gradient is an addition onto a fresh zero
//! tensor, each batched product one call), so the whole network is one `CustomOp1` on the flat parameter array with
//! its own tested gradient: terms of one's own around it can be ordinary candle operations. Training without such terms
//! uses [`Workspace`] directly.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};

use crate::backward::{Pass, Workspace};
use crate::data::Batch;
use crate::network::Network;
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
        let tokens = self.batch.inputs.len();
        let sequences = tokens / self.config.block;
        let mut workspace = Workspace::new(&self.config, &self.table, sequences, self.shards);
        let pass = Pass {
            scale: 1.0 / tokens as f32,
            dropout: self.dropout,
            seed: self.seed,
            accumulate: false,
            ..Pass::default()
        };
        let sum = self
            .pool
            .install(|| workspace.run(&network, &self.batch, pass));
        (sum / tokens as f64, workspace.gradient)
    }
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
