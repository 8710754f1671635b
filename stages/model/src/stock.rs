//! The network in candle's own differentiable operations, nothing fused: what runs on a CUDA device, and what the hand-written
//! passes are checked against.

use candle_core::{Device, Result, Tensor, Var, D};

use crate::config::Activation;
use crate::data::Batch;
use crate::parameters::ParameterTable;
use crate::{ModelConfig, ModelError};

/// A CUDA device that training runs on.
pub struct Accelerator {
    device: Device,
}

impl Accelerator {
    /// The first CUDA device.
    ///
    /// # Errors
    /// When there is none, or this program was built without the feature `cuda`.
    pub fn cuda() -> std::result::Result<Self, ModelError> {
        Device::new_cuda(0)
            .map(|device| Self { device })
            .map_err(|error| ModelError::Unavailable(format!("no CUDA device: {error}")))
    }

    /// The processor, through the same operations.
    #[must_use]
    pub fn processor() -> Self {
        Self {
            device: Device::Cpu,
        }
    }

    /// Mean loss and gradient of a batch.
    ///
    /// # Errors
    /// What candle and the device say.
    pub fn gradient(
        &self,
        parameters: &[f32],
        (config, table): (&ModelConfig, &ParameterTable),
        batch: &Batch,
    ) -> std::result::Result<(f64, Vec<f32>), ModelError> {
        let values = Tensor::from_slice(parameters, parameters.len(), &self.device)?;
        let variable = Var::from_tensor(&values)?;
        let loss = loss(variable.as_tensor(), config, table, batch)?;
        let gradients = loss.backward()?;
        let Some(gradient) = gradients.get(variable.as_tensor()) else {
            return Err(ModelError::Data("candle gave no gradient".into()));
        };
        let value = f64::from(loss.to_scalar::<f32>()?);
        Ok((value, gradient.to_vec1::<f32>()?))
    }
}

/// The flat parameters as named tensors.
struct Parameters<'a> {
    flat: &'a Tensor,
    table: &'a ParameterTable,
    share_layers: bool,
}

impl Parameters<'_> {
    fn get(&self, name: &str) -> Result<Tensor> {
        let found = self
            .table
            .segments
            .iter()
            .find(|segment| segment.name == name);
        let Some(segment) = found else {
            candle_core::bail!("no tensor '{name}'")
        };
        self.flat
            .narrow(0, segment.range.start, segment.range.len())?
            .reshape(segment.shape.clone())
    }

    fn of_layer(&self, layer: usize, part: &str) -> String {
        let layer = if self.share_layers { 0 } else { layer };
        format!("transformer.h.{layer}.{part}")
    }

    fn norm(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let scaled = centred.broadcast_div(&(variance + 1e-5)?.sqrt()?)?;
        scaled
            .broadcast_mul(&self.get(&format!("{name}.weight"))?)?
            .broadcast_add(&self.get(&format!("{name}.bias"))?)
    }

    fn linear(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        x.broadcast_matmul(&self.get(&format!("{name}.weight"))?)?
            .broadcast_add(&self.get(&format!("{name}.bias"))?)
    }
}

/// Not candle's own, which has no gradient for all devices.
fn softmax(x: &Tensor) -> Result<Tensor> {
    let e = x
        .broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?
        .exp()?;
    e.broadcast_div(&e.sum_keepdim(D::Minus1)?)
}

fn ids(tokens: &[u16], device: &Device) -> Result<Tensor> {
    let ids: Vec<u32> = tokens.iter().map(|&token| u32::from(token)).collect();
    Tensor::new(ids, device)
}

/// Mean cross-entropy of a batch as a function of the flat parameters, on their device.
///
/// # Errors
/// What candle says.
pub fn loss(
    flat: &Tensor,
    config: &ModelConfig,
    table: &ParameterTable,
    batch: &Batch,
) -> Result<Tensor> {
    let parameters = Parameters {
        flat,
        table,
        share_layers: config.share_layers,
    };
    let (block, width, device) = (config.block, config.width, flat.device());
    let sequences = batch.inputs.len() / block;
    let embedding = parameters.get("transformer.wte.weight")?;
    let mut x = embedding
        .index_select(&ids(&batch.inputs, device)?, 0)?
        .reshape((sequences, block, width))?
        .broadcast_add(&parameters.get("transformer.wpe.weight")?)?;
    let mask: Vec<f32> = (0..block * block)
        .map(|i| if i % block > i / block { -1e9 } else { 0.0 })
        .collect();
    let mask = Tensor::from_vec(mask, (block, block), device)?;
    for layer in 0..config.layers {
        let name = |part: &str| parameters.of_layer(layer, part);
        let normal = parameters.norm(&x, &name("ln_1"))?;
        let mixed = attention(
            &parameters.linear(&normal, &name("attn.c_attn"))?,
            config,
            &mask,
        )?;
        x = (x + parameters.linear(&mixed, &name("attn.c_proj"))?)?;
        let normal = parameters.norm(&x, &name("ln_2"))?;
        let up = parameters.linear(&normal, &name("mlp.c_fc"))?;
        let activated = match config.activation {
            Activation::Gelu => up.gelu_erf()?,
            Activation::GeluTanh => up.gelu()?,
        };
        x = (x + parameters.linear(&activated, &name("mlp.c_proj"))?)?;
    }
    let normal = parameters.norm(&x, "transformer.ln_f")?;
    let logits = normal
        .broadcast_matmul(&embedding.t()?)?
        .reshape((sequences * block, config.vocabulary))?;
    let logits = logits.broadcast_sub(&logits.max_keepdim(1)?.detach())?;
    let wanted = logits
        .gather(&ids(&batch.targets, device)?.unsqueeze(1)?, 1)?
        .squeeze(1)?;
    (logits.exp()?.sum(1)?.log()? - wanted)?.mean_all()
}

fn attention(qkv: &Tensor, config: &ModelConfig, mask: &Tensor) -> Result<Tensor> {
    let (sequences, block, _) = qkv.dims3()?;
    let part = |index: usize| {
        qkv.narrow(2, index * config.width, config.width)?
            .reshape((sequences, block, config.heads, config.head_width()))?
            .transpose(1, 2)?
            .contiguous()
    };
    let scale = (config.head_width() as f64).sqrt();
    let scores = (part(0)?.matmul(&part(1)?.t()?)? / scale)?;
    softmax(&scores.broadcast_add(mask)?)?
        .matmul(&part(2)?)?
        .transpose(1, 2)?
        .reshape((sequences, block, config.width))
}
