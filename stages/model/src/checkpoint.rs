//! Weights as `safetensors` with GPT-2's names and shapes.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

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

/// How weights are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightType {
    #[default]
    F32,
    /// bfloat16: half the size, 8 bits of precision.
    Bf16,
}

impl Gpt {
    /// Writes `model.safetensors`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        self.save_as(path, WeightType::F32)
    }

    /// Writes `model.safetensors` with weights of a type.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_as(&self, path: &Path, kind: WeightType) -> Result<(), ModelError> {
        let mut tensors = Vec::new();
        for segment in &self.table.segments {
            let values = &self.parameters[segment.range.clone()];
            let (dtype, bytes) = match kind {
                WeightType::F32 => (Dtype::F32, f32_bytes(values)),
                WeightType::Bf16 => {
                    let halves = values.iter().map(|&value| half::bf16::from_f32(value));
                    let bytes = halves.flat_map(half::bf16::to_le_bytes).collect();
                    (Dtype::BF16, bytes)
                }
            };
            // Layers that share their weights are written once each, so that other programs find all of them.
            let copies = match segment.name.strip_prefix("transformer.h.0.") {
                Some(part) if self.config.share_layers => (0..self.config.layers)
                    .map(|layer| format!("transformer.h.{layer}.{part}"))
                    .collect(),
                _ => vec![segment.name.clone()],
            };
            for name in copies {
                tensors.push((name, dtype, segment.shape.clone(), bytes.clone()));
            }
        }
        write_tensors(path, &tensors, Some(("format", "pt")))
    }

    /// Reads weights of the shape that `config` tells. Names without GPT-2's `transformer.` and other float types do too.
    ///
    /// # Errors
    /// When the file cannot be read, or a tensor is missing, misshapen or not finite.
    pub fn load(config: ModelConfig, path: &Path) -> Result<Self, ModelError> {
        let bytes = std::fs::read(path).map_err(|error| ModelError::io(path, error))?;
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|error| ModelError::file(path, format!("not a safetensors file: {error}")))?;
        let table = ParameterTable::new(&config);
        let mut parameters = Vec::with_capacity(table.total);
        for segment in &table.segments {
            let short = segment.name.trim_start_matches("transformer.");
            let tensor = tensors
                .tensor(&segment.name)
                .or_else(|_| tensors.tensor(short))
                .map_err(|_| {
                    ModelError::tensor(&segment.name, format!("missing in {}", path.display()))
                })?;
            parameters.extend(values_of(&tensor, &segment.name, &segment.shape)?);
        }
        Ok(Self {
            config,
            table,
            parameters,
        })
    }
}

fn values_of(tensor: &TensorView, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
    if tensor.shape() != shape {
        return Err(ModelError::tensor(
            name,
            format!(
                "shape {:?}, but the model configuration asks for {shape:?}",
                tensor.shape()
            ),
        ));
    }
    let data = tensor.data();
    let pairs = || {
        data.chunks_exact(2)
            .map(|b| u16::from_le_bytes([b[0], b[1]]))
    };
    let values: Vec<f32> = match tensor.dtype() {
        Dtype::F32 => data
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        Dtype::BF16 => pairs()
            .map(|bits| half::bf16::from_bits(bits).to_f32())
            .collect(),
        Dtype::F16 => pairs()
            .map(|bits| half::f16::from_bits(bits).to_f32())
            .collect(),
        other => {
            return Err(ModelError::tensor(
                name,
                format!("has the type {other:?}; F32, F16 and BF16 can be read"),
            ))
        }
    };
    if values.iter().any(|value| !value.is_finite()) {
        return Err(ModelError::tensor(
            name,
            "holds numbers that are not finite",
        ));
    }
    Ok(values)
}
