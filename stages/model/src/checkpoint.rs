//! Weights as `safetensors` with GPT-2's names and shapes.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, TensorView};

use crate::parameters::ParameterTable;
use crate::{Gpt, ModelConfig, ModelError};

/// Writes tensors in the order of their names, with metadata; the same bytes for the same content.
///
/// # Errors
/// When the file cannot be written.
pub fn write_tensors(
    path: &Path,
    tensors: &[(String, Dtype, Vec<usize>, Vec<u8>)],
    metadata: Option<(&str, &str)>,
) -> Result<(), ModelError> {
    let mut views = BTreeMap::new();
    for (name, dtype, shape, bytes) in tensors {
        let view = TensorView::new(*dtype, shape.clone(), bytes)
            .map_err(|error| ModelError::tensor(name.clone(), error))?;
        views.insert(name.clone(), view);
    }
    let metadata =
        metadata.map(|(key, value)| [(key.to_string(), value.to_string())].into_iter().collect());
    let bytes =
        safetensors::serialize(views, metadata).map_err(|error| ModelError::file(path, error))?;
    std::fs::write(path, bytes).map_err(|error| ModelError::io(path, error))
}

/// Little-endian bytes of f32 values.
#[must_use]
pub fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

impl Gpt {
    /// Writes `model.safetensors`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        let tensors: Vec<_> = self
            .table
            .segments
            .iter()
            .map(|segment| {
                let bytes = f32_bytes(&self.parameters[segment.range.clone()]);
                (
                    segment.name.clone(),
                    Dtype::F32,
                    segment.shape.clone(),
                    bytes,
                )
            })
            .collect();
        write_tensors(path, &tensors, Some(("format", "pt")))
    }

    /// Reads weights of the shape that `config` tells. Names without GPT-2's `transformer.` and other float types do too.
    ///
    /// # Errors
    /// When the file cannot be read, or a tensor is missing, misshapen or not finite.
    pub fn load(config: ModelConfig, path: &Path) -> Result<Self, ModelError> {
        // candle's loader names no file when there is none.
        std::fs::metadata(path).map_err(|error| ModelError::io(path, error))?;
        let tensors = candle_core::safetensors::load(path, &Device::Cpu)
            .map_err(|error| ModelError::file(path, format!("not a safetensors file: {error}")))?;
        let table = ParameterTable::new(&config);
        let mut parameters = Vec::with_capacity(table.total);
        for segment in &table.segments {
            let short = segment.name.trim_start_matches("transformer.");
            let tensor = tensors
                .get(&segment.name)
                .or_else(|| tensors.get(short))
                .ok_or_else(|| {
                    ModelError::tensor(&segment.name, format!("missing in {}", path.display()))
                })?;
            parameters.extend(values_of(tensor, &segment.name, &segment.shape)?);
        }
        Ok(Self {
            config,
            table,
            parameters,
        })
    }
}

fn values_of(tensor: &Tensor, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
    if tensor.dims() != shape {
        return Err(ModelError::tensor(
            name,
            format!(
                "shape {:?}, but the model configuration asks for {shape:?}",
                tensor.dims()
            ),
        ));
    }
    let values = tensor
        .to_dtype(DType::F32)?
        .flatten_all()?
        .to_vec1::<f32>()?;
    if values.iter().any(|value| !value.is_finite()) {
        return Err(ModelError::tensor(
            name,
            "holds numbers that are not finite",
        ));
    }
    Ok(values)
}
