//! The exported model on disk: `model.npz` with the arrays and `manifest.json` with shapes, limits and digests.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::npz::{npz_bytes, read_npz, Array, Arrays, Values};
use crate::{AccelError, QuantLayer, QuantLinear, QuantModel, QuantNorm};

/// Version of the pair of files.
pub const EXPORT_FORMAT: u32 = 1;

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    pub vocab: usize,
    pub block: usize,
    pub width: usize,
    pub hidden: usize,
    pub head_dim: usize,
    /// Heads left in each layer.
    pub heads: Vec<usize>,
    pub arrays: Vec<ManifestArray>,
}

/// One array of the archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestArray {
    pub name: String,
    /// NumPy's name of the type.
    pub dtype: String,
    pub shape: Vec<usize>,
    /// BLAKE3 of the little-endian values.
    pub digest: String,
}

/// Writes the model; NumPy opens the archive.
///
/// Arrays: `token`, `position` (int16, in units of `residual_scale`), `residual_scale`, `logit_scale`, `norm.*`, `head.*`, and for
/// each layer `layer0.norm1.*`, `layer0.q.*` … Matrices have `weight` (int8), `bias` (int32, in units of input scale · row scale)
/// and `scale` (float32, one a row); norms have `gamma`, `beta`, `scale`, `rms_max`.
///
/// # Errors
/// [`AccelError::Model`] when the model contradicts itself, [`AccelError::Io`] when a file cannot be written.
pub fn write_npz(model: &QuantModel, npz: &Path, manifest: &Path) -> Result<(), AccelError> {
    model.validate()?;
    let arrays = to_arrays(model)?;
    let dims = model.dims();
    let text = Manifest {
        format: EXPORT_FORMAT,
        vocab: dims.vocab,
        block: dims.block,
        width: dims.width,
        hidden: dims.hidden,
        head_dim: dims.head_dim,
        heads: dims.heads,
        arrays: arrays
            .iter()
            .map(|(name, array)| describe(name, array))
            .collect(),
    };
    let text = serde_json::to_string_pretty(&text)
        .map_err(|error| AccelError::file(manifest, error.to_string()))?;
    std::fs::write(npz, npz_bytes(&arrays)?).map_err(|error| AccelError::io(npz, error))?;
    std::fs::write(manifest, text + "\n").map_err(|error| AccelError::io(manifest, error))
}

/// Reads what [`write_npz`] wrote and checks it against the manifest.
///
/// # Errors
/// [`AccelError::File`] that names the file and the array at fault.
pub fn read_model(npz: &Path, manifest: &Path) -> Result<QuantModel, AccelError> {
    let text =
        std::fs::read_to_string(manifest).map_err(|error| AccelError::io(manifest, error))?;
    let parsed: Manifest = serde_json::from_str(&text)
        .map_err(|error| AccelError::file(manifest, error.to_string()))?;
    if parsed.format != EXPORT_FORMAT {
        return Err(AccelError::file(
            manifest,
            format!("format {}, expected {EXPORT_FORMAT}", parsed.format),
        ));
    }
    let mut arrays = read_npz(npz)?;
    for expected in &parsed.arrays {
        let found = arrays.get(&expected.name).ok_or_else(|| {
            AccelError::file(
                npz,
                format!("array '{}' of the manifest is missing", expected.name),
            )
        })?;
        if describe(&expected.name, found) != *expected {
            return Err(AccelError::file(
                npz,
                format!("array '{}' is not the one of the manifest", expected.name),
            ));
        }
    }
    let model =
        from_arrays(&mut arrays, &parsed).map_err(|message| AccelError::file(npz, message))?;
    model
        .validate()
        .map_err(|error| AccelError::file(npz, error.to_string()))?;
    Ok(model)
}

fn describe(name: &str, array: &Array) -> ManifestArray {
    ManifestArray {
        name: name.to_string(),
        dtype: array.values.descr().to_string(),
        shape: array.shape.clone(),
        digest: format!("b3:{}", blake3::hash(&array.values.bytes()).to_hex()),
    }
}

fn to_arrays(model: &QuantModel) -> Result<Arrays, AccelError> {
    let mut arrays = Arrays::new();
    let scalar = |value: f32| Array {
        shape: vec![],
        values: Values::F32(vec![value]),
    };
    let table = |values: &[f32], rows: usize, name: &str| {
        let mut centred = values.to_vec();
        crate::centre_rows(&mut centred, model.width);
        let values = crate::int_model::to_int16(&centred, model.residual_scale, name)?;
        Ok::<_, AccelError>(Array {
            shape: vec![rows, model.width],
            values: Values::I16(values),
        })
    };
    arrays.insert(
        "token".into(),
        table(&model.token, model.vocab, "token table")?,
    );
    arrays.insert(
        "position".into(),
        table(&model.position, model.block, "position table")?,
    );
    arrays.insert("residual_scale".into(), scalar(model.residual_scale));
    arrays.insert("logit_scale".into(), scalar(model.logit_scale));
    put_norm(&mut arrays, "norm", &model.norm);
    put_linear(&mut arrays, "head", &model.head, model.norm.scale);
    for (index, layer) in model.layers.iter().enumerate() {
        let name = |part: &str| format!("layer{index}.{part}");
        put_norm(&mut arrays, &name("norm1"), &layer.norm1);
        put_norm(&mut arrays, &name("norm2"), &layer.norm2);
        for (part, linear) in [("q", &layer.q), ("k", &layer.k), ("v", &layer.v)] {
            put_linear(&mut arrays, &name(part), linear, layer.norm1.scale);
        }
        put_linear(&mut arrays, &name("o"), &layer.o, mix_scale(layer));
        put_linear(&mut arrays, &name("up"), &layer.up, layer.norm2.scale);
        put_linear(&mut arrays, &name("down"), &layer.down, layer.gelu_scale);
        let scales = [
            layer.q_scale,
            layer.k_scale,
            layer.v_scale,
            layer.mix_scale,
            layer.gelu_scale,
        ];
        for (part, value) in SCALES.into_iter().zip(scales) {
            arrays.insert(name(part), scalar(value));
        }
    }
    Ok(arrays)
}

const SCALES: [&str; 5] = ["q_scale", "k_scale", "v_scale", "mix_scale", "gelu_scale"];

/// Without heads there is no weighted sum, and its scale is free.
fn mix_scale(layer: &QuantLayer) -> f32 {
    if layer.heads == 0 {
        1.0
    } else {
        layer.mix_scale
    }
}

fn put_norm(arrays: &mut Arrays, name: &str, norm: &QuantNorm) {
    let vector = |values: &[f32]| Array {
        shape: vec![values.len()],
        values: Values::F32(values.to_vec()),
    };
    arrays.insert(format!("{name}.gamma"), vector(&norm.gamma));
    arrays.insert(format!("{name}.beta"), vector(&norm.beta));
    arrays.insert(
        format!("{name}.scale"),
        Array {
            shape: vec![],
            values: Values::F32(vec![norm.scale]),
        },
    );
    arrays.insert(
        format!("{name}.rms_max"),
        Array {
            shape: vec![],
            values: Values::F32(vec![norm.rms_max]),
        },
    );
}

fn put_linear(arrays: &mut Arrays, name: &str, linear: &QuantLinear, input_scale: f32) {
    let (rows, cols) = (linear.rows, linear.cols);
    let bias = linear.bias_steps(f64::from(input_scale));
    let arrays_of = [
        (
            "weight",
            vec![rows, cols],
            Values::I8(linear.weight.clone()),
        ),
        ("bias", vec![rows], Values::I32(bias)),
        ("scale", vec![rows], Values::F32(linear.scale.clone())),
    ];
    for (part, shape, values) in arrays_of {
        arrays.insert(format!("{name}.{part}"), Array { shape, values });
    }
}

fn from_arrays(arrays: &mut Arrays, manifest: &Manifest) -> Result<QuantModel, String> {
    let residual_scale = take_scalar(arrays, "residual_scale")?;
    let logit_scale = take_scalar(arrays, "logit_scale")?;
    let real = |values: Vec<i16>| {
        values
            .into_iter()
            .map(|value| f32::from(value) * residual_scale)
            .collect()
    };
    let norm = take_norm(arrays, "norm")?;
    let layers = manifest.heads.iter().enumerate().map(|(index, &heads)| {
        let name = |part: &str| format!("layer{index}.{part}");
        let norm1 = take_norm(arrays, &name("norm1"))?;
        let norm2 = take_norm(arrays, &name("norm2"))?;
        let mut scales = [0.0f32; 5];
        for (part, value) in SCALES.into_iter().zip(&mut scales) {
            *value = take_scalar(arrays, &name(part))?;
        }
        let [q_scale, k_scale, v_scale, mix_scale, gelu_scale] = scales;
        let mix = if heads == 0 { 1.0 } else { mix_scale };
        Ok(QuantLayer {
            heads,
            head_dim: manifest.head_dim,
            q: take_linear(arrays, &name("q"), norm1.scale)?,
            k: take_linear(arrays, &name("k"), norm1.scale)?,
            v: take_linear(arrays, &name("v"), norm1.scale)?,
            q_scale,
            k_scale,
            v_scale,
            mix_scale,
            o: take_linear(arrays, &name("o"), mix)?,
            up: take_linear(arrays, &name("up"), norm2.scale)?,
            gelu_scale,
            down: take_linear(arrays, &name("down"), gelu_scale)?,
            norm1,
            norm2,
        })
    });
    let layers = layers.collect::<Result<Vec<_>, String>>()?;
    Ok(QuantModel {
        vocab: manifest.vocab,
        block: manifest.block,
        width: manifest.width,
        token: real(take_i16(arrays, "token")?),
        position: real(take_i16(arrays, "position")?),
        residual_scale,
        layers,
        head: take_linear(arrays, "head", norm.scale)?,
        norm,
        logit_scale,
    })
}

fn take(arrays: &mut Arrays, name: &str) -> Result<Array, String> {
    arrays
        .remove(name)
        .ok_or_else(|| format!("array '{name}' is missing"))
}

fn take_f32(arrays: &mut Arrays, name: &str) -> Result<Vec<f32>, String> {
    match take(arrays, name)?.values {
        Values::F32(values) => Ok(values),
        other => Err(format!("array '{name}' is {}, expected <f4", other.descr())),
    }
}

fn take_i16(arrays: &mut Arrays, name: &str) -> Result<Vec<i16>, String> {
    match take(arrays, name)?.values {
        Values::I16(values) => Ok(values),
        other => Err(format!("array '{name}' is {}, expected <i2", other.descr())),
    }
}

fn take_scalar(arrays: &mut Arrays, name: &str) -> Result<f32, String> {
    match take_f32(arrays, name)?.as_slice() {
        [value] => Ok(*value),
        values => Err(format!(
            "array '{name}' has {} values, expected 1",
            values.len()
        )),
    }
}

fn take_norm(arrays: &mut Arrays, name: &str) -> Result<QuantNorm, String> {
    Ok(QuantNorm {
        gamma: take_f32(arrays, &format!("{name}.gamma"))?,
        beta: take_f32(arrays, &format!("{name}.beta"))?,
        scale: take_scalar(arrays, &format!("{name}.scale"))?,
        rms_max: take_scalar(arrays, &format!("{name}.rms_max"))?,
    })
}

fn take_linear(arrays: &mut Arrays, name: &str, input_scale: f32) -> Result<QuantLinear, String> {
    let weight = take(arrays, &format!("{name}.weight"))?;
    let bias = take(arrays, &format!("{name}.bias"))?;
    let scale = take_f32(arrays, &format!("{name}.scale"))?;
    let (&[rows, cols], Values::I8(weight), Values::I32(bias)) =
        (&weight.shape[..], weight.values, bias.values)
    else {
        return Err(format!(
            "'{name}' needs a 2-dimensional int8 'weight' and an int32 'bias'"
        ));
    };
    let step = |scale: f32| f64::from(input_scale) * f64::from(scale);
    let bias = bias
        .iter()
        .zip(&scale)
        .map(|(&bias, &scale)| (f64::from(bias) * step(scale)) as f32)
        .collect();
    Ok(QuantLinear {
        rows,
        cols,
        weight,
        scale,
        bias,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dims, IntModel};

    #[test]
    fn a_model_survives_the_disk_bit_for_bit() {
        let dims = Dims {
            vocab: 20,
            block: 8,
            width: 24,
            hidden: 40,
            head_dim: 6,
            heads: vec![2, 0],
        };
        let model = QuantModel::random(7, &dims);
        let dir = tempfile::tempdir().unwrap();
        let (npz, manifest) = (
            dir.path().join("model.npz"),
            dir.path().join("manifest.json"),
        );
        write_npz(&model, &npz, &manifest).unwrap();
        let back = read_model(&npz, &manifest).unwrap();
        assert_eq!(
            IntModel::from_quant(&back).unwrap(),
            IntModel::from_quant(&model).unwrap()
        );
        let again = dir.path().join("again.npz");
        write_npz(&back, &again, &manifest).unwrap();
        assert_eq!(std::fs::read(&npz).unwrap(), std::fs::read(&again).unwrap());

        let mut text = std::fs::read_to_string(&manifest).unwrap();
        text = text.replacen("b3:", "b3:0", 1);
        std::fs::write(&manifest, text).unwrap();
        assert!(read_model(&npz, &manifest)
            .unwrap_err()
            .to_string()
            .contains("'head.bias'"));
    }
}
