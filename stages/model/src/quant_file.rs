//! The quantised model as a self-contained `safetensors` file: tensors, and everything else as JSON in its header.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{f32_bytes, write_tensors};
use crate::quant::{QuantizedLinear, QuantizedNorm};
use crate::{ModelError, QuantizedGpt};

const FORMAT: &str = "nanoflow_quantized";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    model: QuantizedGpt,
}

/// A tensor of the model, to be written or filled.
enum Slot<'a> {
    Real(&'a mut Vec<f32>, Vec<usize>),
    Code(&'a mut Vec<i8>, Vec<usize>),
}

fn visit_linear<'a>(
    name: &str,
    linear: &'a mut QuantizedLinear,
    slots: &mut Vec<(String, Slot<'a>)>,
) {
    let (rows, columns) = (linear.rows, linear.columns);
    slots.push((
        format!("{name}.weight"),
        Slot::Code(&mut linear.weight, vec![rows, columns]),
    ));
    slots.push((
        format!("{name}.scale"),
        Slot::Real(&mut linear.scale, vec![rows]),
    ));
    slots.push((
        format!("{name}.bias"),
        Slot::Real(&mut linear.bias, vec![rows]),
    ));
}

fn visit_norm<'a>(
    name: &str,
    norm: &'a mut QuantizedNorm,
    width: usize,
    slots: &mut Vec<(String, Slot<'a>)>,
) {
    slots.push((
        format!("{name}.gamma"),
        Slot::Real(&mut norm.gamma, vec![width]),
    ));
    slots.push((
        format!("{name}.beta"),
        Slot::Real(&mut norm.beta, vec![width]),
    ));
}

/// All tensors with their names and the shapes that the header asks for.
fn visit(model: &mut QuantizedGpt) -> Vec<(String, Slot<'_>)> {
    let (width, vocabulary) = (model.width, model.vocabulary);
    let mut slots = vec![
        (
            "token".to_string(),
            Slot::Real(&mut model.token, vec![vocabulary, width]),
        ),
        (
            "position".to_string(),
            Slot::Real(&mut model.position, vec![model.block, width]),
        ),
    ];
    for (index, layer) in model.layers.iter_mut().enumerate() {
        let name = |part: &str| format!("layers.{index}.{part}");
        visit_norm(&name("norm1"), &mut layer.norm1, width, &mut slots);
        for (part, linear) in [
            ("q", &mut layer.q),
            ("k", &mut layer.k),
            ("v", &mut layer.v),
            ("o", &mut layer.o),
            ("up", &mut layer.up),
            ("down", &mut layer.down),
        ] {
            visit_linear(&name(part), linear, &mut slots);
        }
        let inner = layer.heads * model.head_width;
        slots.push((
            name("mix_mean"),
            Slot::Real(&mut layer.mix_mean, vec![inner]),
        ));
        visit_norm(&name("norm2"), &mut layer.norm2, width, &mut slots);
    }
    visit_norm("norm", &mut model.norm, width, &mut slots);
    visit_linear("head", &mut model.head, &mut slots);
    slots
}

/// Gives the matrices the shapes that follow from the header.
fn shape(model: &mut QuantizedGpt) {
    let width = model.width;
    let set = |linear: &mut QuantizedLinear, rows: usize, columns: usize| {
        linear.rows = rows;
        linear.columns = columns;
    };
    for layer in &mut model.layers {
        let inner = layer.heads * model.head_width;
        for matrix in [&mut layer.q, &mut layer.k, &mut layer.v] {
            set(matrix, inner, width);
        }
        set(&mut layer.o, width, inner);
        set(&mut layer.up, 4 * width, width);
        set(&mut layer.down, width, 4 * width);
    }
    set(&mut model.head, model.vocabulary, width);
}

impl QuantizedGpt {
    /// Writes the model.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        let mut copy = self.clone();
        let header = serde_json::to_string(&Header {
            version: VERSION,
            model: self.clone(),
        })
        .map_err(|error| ModelError::file(path, error))?;
        let tensors: Vec<_> = visit(&mut copy)
            .into_iter()
            .map(|(name, slot)| match slot {
                Slot::Real(values, shape) => (name, Dtype::F32, shape, f32_bytes(values)),
                Slot::Code(codes, shape) => (
                    name,
                    Dtype::I8,
                    shape,
                    codes.iter().map(|&code| code as u8).collect(),
                ),
            })
            .collect();
        write_tensors(path, &tensors, Some((FORMAT, &header)))
    }

    /// Reads a model.
    ///
    /// # Errors
    /// When the file cannot be read, is no quantised model, or a tensor is missing, misshapen or not finite.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let bytes = std::fs::read(path).map_err(|error| ModelError::io(path, error))?;
        let fault = |problem: String| ModelError::file(path, problem);
        let (_, metadata) = SafeTensors::read_metadata(&bytes)
            .map_err(|error| fault(format!("not a safetensors file: {error}")))?;
        let header = metadata
            .metadata()
            .as_ref()
            .and_then(|metadata| metadata.get(FORMAT))
            .ok_or_else(|| {
                fault("not a quantised model; stages smoothquant and prune write them".into())
            })?;
        let header: Header =
            serde_json::from_str(header).map_err(|error| fault(error.to_string()))?;
        if header.version != VERSION {
            return Err(fault(format!(
                "format version {} is not {VERSION}; run the stage that wrote it again",
                header.version
            )));
        }
        let mut model = header.model;
        model.check().map_err(fault)?;
        shape(&mut model);
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| fault(error.to_string()))?;
        for (name, slot) in visit(&mut model) {
            fill(&tensors, &name, slot)?;
        }
        Ok(model)
    }

    /// Header values that no model can have.
    fn check(&self) -> Result<(), String> {
        let sizes = [self.vocabulary, self.block, self.width, self.head_width];
        if sizes.contains(&0) || sizes.iter().any(|&size| size > 1 << 20) {
            return Err("a size in the header is 0 or too large".into());
        }
        if self
            .layers
            .iter()
            .any(|layer| layer.heads * self.head_width > self.width)
        {
            return Err("a layer has more heads than fit its width".into());
        }
        let mut scales = vec![self.residual_scale, self.logit_scale, self.norm.scale];
        for layer in &self.layers {
            scales.extend([
                layer.q_scale,
                layer.k_scale,
                layer.v_scale,
                layer.mix_scale,
                layer.gelu_scale,
            ]);
            scales.extend([layer.norm1.scale, layer.norm2.scale]);
        }
        if scales
            .iter()
            .any(|scale| !(scale.is_finite() && *scale > 0.0))
        {
            return Err("a scale in the header is not a positive number".into());
        }
        Ok(())
    }
}

fn fill(tensors: &SafeTensors, name: &str, slot: Slot) -> Result<(), ModelError> {
    let view = tensors
        .tensor(name)
        .map_err(|error| ModelError::tensor(name, error))?;
    let (dtype, shape) = match &slot {
        Slot::Real(_, shape) => (Dtype::F32, shape),
        Slot::Code(_, shape) => (Dtype::I8, shape),
    };
    if view.dtype() != dtype || view.shape() != shape.as_slice() {
        return Err(ModelError::tensor(
            name,
            format!(
                "is {:?} {:?}, expected {dtype:?} {shape:?}",
                view.dtype(),
                view.shape()
            ),
        ));
    }
    match slot {
        Slot::Code(codes, _) => *codes = view.data().iter().map(|&byte| byte as i8).collect(),
        Slot::Real(values, _) => {
            *values = view
                .data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect();
            if values.iter().any(|value| !value.is_finite()) {
                return Err(ModelError::tensor(
                    name,
                    "holds numbers that are not finite",
                ));
            }
        }
    }
    Ok(())
}
