//! The state of a run on disk, so that an interrupted one goes on to the same bits.

use std::path::Path;

use nanoflow_model::checkpoint::{f32_bytes, write_tensors};
use nanoflow_model::optimizer::Moments;
use nanoflow_model::ModelError;
use safetensors::{Dtype, SafeTensors};

use crate::curve::Curve;

const FILE: &str = "training.safetensors";
const FORMAT: &str = "nanoflow_training";

/// Everything that the next step depends on.
pub struct Snapshot {
    pub parameters: Vec<f32>,
    pub moments: Moments,
    pub best: Option<(f64, Vec<f32>)>,
    pub curve: Curve,
}

impl Snapshot {
    /// Writes it beside the old one and swaps them, so that a kill at any moment leaves a whole one.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        let Moments {
            first,
            second,
            step,
        } = &self.moments;
        let mut tensors = Vec::new();
        for (name, values) in [
            ("parameters", &self.parameters),
            ("first", first),
            ("second", second),
        ] {
            tensors.push((
                name.to_string(),
                Dtype::F32,
                vec![values.len()],
                f32_bytes(values),
            ));
        }
        let mut best_loss = None;
        if let Some((loss, values)) = &self.best {
            best_loss = Some(loss.to_bits());
            tensors.push((
                "best".to_string(),
                Dtype::F32,
                vec![values.len()],
                f32_bytes(values),
            ));
        }
        let header =
            serde_json::json!({ "step": step, "best_loss": best_loss, "curve": self.curve })
                .to_string();
        let io = |source| ModelError::Io {
            path: folder.to_path_buf(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(io)?;
        let fresh = folder.join("training.new");
        write_tensors(&fresh, &tensors, Some((FORMAT, &header)))?;
        std::fs::rename(&fresh, folder.join(FILE)).map_err(io)
    }

    /// The last snapshot, if there is a whole one for a model of `total` parameters. Anything else is as none.
    #[must_use]
    pub fn load(folder: &Path, total: usize) -> Option<Self> {
        let bytes = std::fs::read(folder.join(FILE)).ok()?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes).ok()?;
        let header: serde_json::Value =
            serde_json::from_str(metadata.metadata().as_ref()?.get(FORMAT)?).ok()?;
        let tensors = SafeTensors::deserialize(&bytes).ok()?;
        let values = |name: &str| -> Option<Vec<f32>> {
            let view = tensors.tensor(name).ok()?;
            let values: Vec<f32> = view
                .data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect();
            (values.len() == total).then_some(values)
        };
        let best = match header["best_loss"].as_u64() {
            Some(bits) => Some((f64::from_bits(bits), values("best")?)),
            None => None,
        };
        Some(Self {
            parameters: values("parameters")?,
            moments: Moments {
                first: values("first")?,
                second: values("second")?,
                step: header["step"].as_u64()?,
            },
            best,
            curve: serde_json::from_value(header["curve"].clone()).ok()?,
        })
    }
}
