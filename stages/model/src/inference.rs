//! Forward pass when nothing has to be kept for a backward pass: losses and logits of whole sequences, on one thread.
//!
//! It computes what [`Network::forward`] does and writes much less: the residual stream stays in one place and takes the
//! products in, scores live in one T × T square, and the MLP's inner values and the logits exist only for some columns at a
//! time, few enough for the nearest large cache. Weights are packed once for each of those panels, so no more often than without.

use crate::config::Activation;
use crate::kernels::{
    activate, add_bias, add_to_rows, layer_norm, multiply, LogSum, Matrix, MatrixMut,
    NormStatistics,
};
use crate::network::{HeadShape, Network};
use crate::parameters::{BlockRanges, Pair};
use crate::ModelConfig;

/// Values of a panel: half a megabyte.
const PANEL: usize = 1 << 17;

/// What the pass writes to. N = B·T rows.
pub struct Buffers {
    positions: usize,
    /// N × E.
    residual: Vec<f32>,
    norm: Vec<f32>,
    statistics: Vec<NormStatistics>,
    /// N × 3E.
    qkv: Vec<f32>,
    /// T × T, of one head of one sequence.
    scores: Vec<f32>,
    /// N × E.
    attended: Vec<f32>,
    /// N × some columns of the MLP's inner values or of the logits.
    panel: Vec<f32>,
    sums: Vec<LogSum>,
    /// Logit of each row's target.
    wanted: Vec<f32>,
}

impl Buffers {
    /// `rows` is a multiple of `positions`.
    #[must_use]
    pub fn new(config: &ModelConfig, rows: usize, positions: usize) -> Self {
        let width = config.width;
        Self {
            positions,
            residual: vec![0.0; rows * width],
            norm: vec![0.0; rows * width],
            statistics: vec![NormStatistics::default(); rows],
            qkv: vec![0.0; rows * 3 * width],
            scores: vec![0.0; positions * positions],
            attended: vec![0.0; rows * width],
            panel: vec![0.0; panel_length(config, rows)],
            sums: vec![LogSum::EMPTY; rows],
            wanted: vec![0.0; rows],
        }
    }

    /// Whether these are buffers of that size.
    #[must_use]
    pub fn fits(&self, config: &ModelConfig, rows: usize, positions: usize) -> bool {
        (self.sums.len(), self.positions) == (rows, positions)
            && self.residual.len() == rows * config.width
            && self.panel.len() == panel_length(config, rows)
    }

    fn rows(&self) -> usize {
        self.sums.len()
    }
}

/// Columns of a panel: whole vectors, and enough of them for a product to be worth its packing.
fn panel_columns(rows: usize) -> usize {
    (PANEL / rows.max(1) / 64 * 64).max(64)
}

/// Values of the widest panel.
fn panel_length(config: &ModelConfig, rows: usize) -> usize {
    rows * panel_columns(rows).min(config.vocabulary.max(4 * config.width))
}

/// The panels (from, to) of `columns` columns.
fn panels(columns: usize, rows: usize) -> impl Iterator<Item = (usize, usize)> {
    let step = panel_columns(rows);
    (0..columns)
        .step_by(step)
        .map(move |start| (start, columns.min(start + step)))
}

impl Network<'_> {
    /// Cross-entropies in nats of whole sequences as long as `buffers` say, one after the other, as many rows as it has.
    ///
    /// # Panics
    /// If a token or target is past the vocabulary (the callers check them).
    pub fn losses(
        &self,
        tokens: &[u16],
        targets: &[u16],
        buffers: &mut Buffers,
        losses: &mut [f32],
    ) {
        self.last_norm(tokens, buffers);
        let rows = buffers.rows();
        buffers.sums.fill(LogSum::EMPTY);
        for (first, last) in panels(self.config.vocabulary, rows) {
            let columns = last - first;
            let logits = &mut buffers.panel[..rows * columns];
            self.logit_columns(logits, &buffers.norm, (first, last));
            LogSum::add_columns(&mut buffers.sums, logits, columns);
            let kept = buffers.wanted.iter_mut().zip(targets).enumerate();
            for (row, (wanted, &target)) in kept {
                if (first..last).contains(&(target as usize)) {
                    *wanted = logits[row * columns + target as usize - first];
                }
            }
        }
        let found = buffers.sums.iter().zip(&buffers.wanted);
        for (loss, (sum, wanted)) in losses.iter_mut().zip(found) {
            *loss = sum.above(*wanted);
        }
    }

    /// Logits of every position, N × V, of whole sequences as in [`Self::losses`].
    #[must_use]
    pub fn logits(&self, tokens: &[u16], buffers: &mut Buffers) -> Vec<f32> {
        self.last_norm(tokens, buffers);
        let vocabulary = self.config.vocabulary;
        let mut logits = vec![0.0; buffers.rows() * vocabulary];
        self.logit_columns(&mut logits, &buffers.norm, (0, vocabulary));
        logits
    }

    /// Logits of the tokens from `first` to `last`: rows · wteᵀ.
    fn logit_columns(&self, target: &mut [f32], norm: &[f32], (first, last): (usize, usize)) {
        let width = self.config.width;
        let rows = norm.len() / width;
        let embedding = &self.part(&self.table.token_embedding)[first * width..last * width];
        multiply(
            MatrixMut::new(target, rows, last - first),
            false,
            1.0,
            Matrix::new(norm, rows, width),
            Matrix::new(embedding, last - first, width).transposed(),
        );
    }

    /// Everything before the head; its result in `buffers.norm`.
    fn last_norm(&self, tokens: &[u16], buffers: &mut Buffers) {
        self.embed(tokens, buffers.positions, &mut buffers.residual);
        for ranges in &self.table.blocks {
            self.infer_block(ranges, buffers);
        }
        self.infer_norm(buffers, &self.table.final_norm);
    }

    fn infer_norm(&self, buffers: &mut Buffers, layer: &Pair) {
        layer_norm(
            &mut buffers.norm,
            &mut buffers.statistics,
            &buffers.residual,
            self.part(&layer.weight),
            self.part(&layer.bias),
        );
    }

    fn infer_block(&self, ranges: &BlockRanges, buffers: &mut Buffers) {
        let (rows, width) = (buffers.rows(), self.config.width);
        self.infer_norm(buffers, &ranges.norm1);
        add_bias(&mut buffers.qkv, self.part(&ranges.qkv.bias));
        multiply(
            MatrixMut::new(&mut buffers.qkv, rows, 3 * width),
            true,
            1.0,
            Matrix::new(&buffers.norm, rows, width),
            Matrix::new(self.part(&ranges.qkv.weight), width, 3 * width),
        );
        self.infer_attention(buffers);
        add_to_rows(&mut buffers.residual, self.part(&ranges.projection.bias));
        multiply(
            MatrixMut::new(&mut buffers.residual, rows, width),
            true,
            1.0,
            Matrix::new(&buffers.attended, rows, width),
            Matrix::new(self.part(&ranges.projection.weight), width, width),
        );
        self.infer_norm(buffers, &ranges.norm2);
        self.infer_mlp(ranges, buffers);
    }

    /// residual += bias + GELU(norm·W + b)·W', some columns of the inner values after the other.
    fn infer_mlp(&self, ranges: &BlockRanges, buffers: &mut Buffers) {
        let (rows, width) = (buffers.rows(), self.config.width);
        let inner = 4 * width;
        let (up, bias) = (self.part(&ranges.up.weight), self.part(&ranges.up.bias));
        let down = self.part(&ranges.down.weight);
        add_to_rows(&mut buffers.residual, self.part(&ranges.down.bias));
        for (first, last) in panels(inner, rows) {
            let columns = last - first;
            let values = &mut buffers.panel[..rows * columns];
            multiply(
                MatrixMut::new(values, rows, columns),
                false,
                1.0,
                Matrix::new(&buffers.norm, rows, width),
                Matrix::strided(&up[first..], width, columns, inner),
            );
            let is_exact = self.config.activation == Activation::Gelu;
            activate(values, &bias[first..last], is_exact);
            multiply(
                MatrixMut::new(&mut buffers.residual, rows, width),
                true,
                1.0,
                Matrix::new(values, rows, columns),
                Matrix::new(&down[first * width..last * width], columns, width),
            );
        }
    }

    /// Causal attention of every head: softmax(Q·Kᵀ/√D)·V.
    fn infer_attention(&self, buffers: &mut Buffers) {
        let positions = buffers.positions;
        let shape = HeadShape::new(self.config, positions);
        for index in 0..buffers.rows() / positions * shape.heads {
            shape.attend(&mut buffers.scores, &buffers.qkv, index);
            let (scores, qkv) = (&buffers.scores, &buffers.qkv);
            shape.mix(&mut buffers.attended, scores, qkv, index, 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backward::{Pass, Workspace};
    use crate::data::Batch;
    use crate::Gpt;

    /// Several panels of the vocabulary and of the MLP, the last one narrower; a last vector of scores that is not full.
    #[test]
    fn losses_are_those_of_the_pass_that_trains() {
        for activation in [Activation::Gelu, Activation::GeluTanh] {
            let config = ModelConfig {
                vocabulary: 300,
                block: 75,
                layers: 2,
                heads: 2,
                width: 20,
                activation,
                share_layers: false,
            };
            let mut model = Gpt::new(config.clone(), 3);
            for (index, value) in model.parameters.iter_mut().enumerate() {
                *value = *value * 8.0 + 0.1 * ((index * 37 % 101) as f32 / 101.0 - 0.5);
            }
            let tokens: Vec<u16> = (0..9000u32).map(|i| (i * i % 299) as u16).collect();
            let batch = Batch::random(&tokens, config.block, 28, 5, 0);
            let rows = batch.targets.len();
            assert!(panels(config.vocabulary, rows).count() > 2);
            assert!(panels(4 * config.width, rows).count() > 1);

            let mut workspace = Workspace::new(&config, &model.table, 28, 2);
            let trained = workspace.run(&model.network(), &batch, Pass::default());
            let mut buffers = Buffers::new(&config, rows, config.block);
            let mut losses = vec![0.0; rows];
            let network = model.network();
            network.losses(&batch.inputs, &batch.targets, &mut buffers, &mut losses);
            let sum: f64 = losses.iter().map(|&loss| f64::from(loss)).sum();
            assert!((sum / trained - 1.0).abs() < 1e-6, "{sum} {trained}");

            // Each row by itself, from the logits.
            let logits = network.logits(&batch.inputs, &mut buffers);
            for (row, (logits, loss)) in logits.chunks(300).zip(losses).enumerate() {
                let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
                let expected = sum.ln() - f64::from(logits[batch.targets[row] as usize]);
                assert!((f64::from(loss) - expected).abs() < 1e-5 * expected.max(1.0));
            }
        }
    }
}
