//! Forward and backward pass of the GPT for one shard of a batch, on one thread.

use std::borrow::Cow;

use crate::kernels::{
    add_bias, add_into, column_sums, cross_entropy, dropout, gelu, gelu_backward, layer_norm,
    layer_norm_backward, multiply, softmax_causal, softmax_causal_backward, Matrix, MatrixMut,
    NormStatistics,
};
use crate::parameters::{BlockRanges, Pair, ParameterTable};
use crate::{ModelConfig, ModelError};

/// A GPT in floating point: its shape and all parameters in one array.
#[derive(Debug, Clone)]
pub struct Gpt {
    pub config: ModelConfig,
    pub table: ParameterTable,
    pub parameters: Vec<f32>,
}

/// Dropout of one pass: the rate and a key that differs for every step and shard.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dropout {
    pub rate: f32,
    pub key: u64,
}

impl Dropout {
    /// Applies it at one place of the network; the backward pass names the same place.
    fn apply(self, values: &mut [f32], layer: usize, place: Place) {
        let site = (layer as u64) << 3 | place as u64;
        dropout(
            values,
            self.rate,
            self.key ^ (site + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        );
    }
}

#[derive(Clone, Copy)]
enum Place {
    Embedding,
    Attention,
    Projection,
    Down,
}

/// What the forward pass of one block keeps for the backward pass. N = B·T rows.
struct BlockState {
    /// Residual stream at the block's entrance, N × E.
    input: Vec<f32>,
    norm1: Vec<f32>,
    statistics1: Vec<NormStatistics>,
    /// N × 3E.
    qkv: Vec<f32>,
    /// Softmax of the scores, for each sequence and head T × T.
    probabilities: Vec<f32>,
    /// Heads' outputs side by side, N × E.
    attended: Vec<f32>,
    /// Residual stream after attention, N × E.
    middle: Vec<f32>,
    norm2: Vec<f32>,
    statistics2: Vec<NormStatistics>,
    /// Before and after GELU, N × 4E.
    up: Vec<f32>,
    activated: Vec<f32>,
}

/// Everything the forward pass of a shard keeps.
struct State {
    blocks: Vec<BlockState>,
    output: Vec<f32>,
    norm: Vec<f32>,
    statistics: Vec<NormStatistics>,
}

/// A shard's result.
pub struct ShardResult {
    /// Sum of the cross-entropies of its tokens, in nats.
    pub loss_sum: f64,
    pub gradient: Vec<f32>,
}

impl Gpt {
    /// A model with fresh weights.
    #[must_use]
    pub fn new(config: ModelConfig, seed: u64) -> Self {
        let table = ParameterTable::new(&config);
        let parameters = table.initialize(&config, seed);
        Self {
            config,
            table,
            parameters,
        }
    }

    /// Borrows the pieces as a network to run.
    #[must_use]
    pub fn network(&self) -> Network<'_> {
        Network {
            config: &self.config,
            table: &self.table,
            parameters: Cow::Borrowed(&self.parameters),
        }
    }

    /// Logits of every position of one sequence, T × V.
    ///
    /// # Errors
    /// When the sequence is empty, longer than the block, or has a token past the vocabulary.
    pub fn logits(&self, tokens: &[u16]) -> Result<Vec<f32>, ModelError> {
        self.config.check_tokens(tokens)?;
        let network = self.network();
        let state = network.forward(tokens, tokens.len(), Dropout::default());
        Ok(network.head(&state.norm))
    }
}

/// A place of the network whose values a calibration looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// Residual stream before a norm: of layer 0, 1, …, and with layer = layers before the final norm.
    Input,
    /// Residual stream between attention and MLP.
    Middle,
    /// Result of the norm before attention; with layer = layers, of the final norm.
    Norm1,
    Norm2,
    /// N × 3E.
    Qkv,
    /// Input of the projection after attention.
    Attended,
    /// Result of GELU, N × 4E.
    Activated,
    Logits,
}

impl Gpt {
    /// Shows `visit` the values at every site for one sequence.
    ///
    /// # Errors
    /// When the sequence does not fit the model.
    pub fn observe(
        &self,
        tokens: &[u16],
        visit: &mut dyn FnMut(Site, usize, &[f32]),
    ) -> Result<(), ModelError> {
        self.config.check_tokens(tokens)?;
        let network = self.network();
        let state = network.forward(tokens, tokens.len(), Dropout::default());
        for (layer, block) in state.blocks.iter().enumerate() {
            visit(Site::Input, layer, &block.input);
            visit(Site::Norm1, layer, &block.norm1);
            visit(Site::Qkv, layer, &block.qkv);
            visit(Site::Attended, layer, &block.attended);
            visit(Site::Middle, layer, &block.middle);
            visit(Site::Norm2, layer, &block.norm2);
            visit(Site::Activated, layer, &block.activated);
        }
        let last = state.blocks.len();
        visit(Site::Input, last, &state.output);
        visit(Site::Norm1, last, &state.norm);
        visit(Site::Logits, last, &network.head(&state.norm));
        Ok(())
    }
}

impl ModelConfig {
    /// # Errors
    /// When the sequence is empty, longer than the block, or has a token past the vocabulary.
    pub fn check_tokens(&self, tokens: &[u16]) -> Result<(), ModelError> {
        if tokens.is_empty() || tokens.len() > self.block {
            let (length, block) = (tokens.len(), self.block);
            return Err(ModelError::Data(format!(
                "a sequence of {length} tokens does not fit a block of {block}"
            )));
        }
        if let Some(token) = tokens
            .iter()
            .find(|&&token| token as usize >= self.vocabulary)
        {
            let vocabulary = self.vocabulary;
            return Err(ModelError::Data(format!(
                "token {token} is past the model's vocabulary of {vocabulary}"
            )));
        }
        Ok(())
    }
}

/// Shape and weights, ready to run.
pub struct Network<'a> {
    pub config: &'a ModelConfig,
    pub table: &'a ParameterTable,
    pub parameters: Cow<'a, [f32]>,
}

impl Network<'_> {
    fn part(&self, range: &std::ops::Range<usize>) -> &[f32] {
        &self.parameters[range.clone()]
    }

    /// source (N × inputs) · weight + bias.
    fn linear(&self, source: &[f32], layer: &Pair) -> Vec<f32> {
        let bias = self.part(&layer.bias);
        let outputs = bias.len();
        let inputs = layer.weight.len() / outputs;
        let rows = source.len() / inputs;
        let mut target = vec![0.0; rows * outputs];
        add_bias(&mut target, bias);
        multiply(
            MatrixMut::new(&mut target, rows, outputs),
            true,
            1.0,
            Matrix::new(source, rows, inputs),
            Matrix::new(self.part(&layer.weight), inputs, outputs),
        );
        target
    }

    fn norm(&self, source: &[f32], layer: &Pair) -> (Vec<f32>, Vec<NormStatistics>) {
        let mut target = vec![0.0; source.len()];
        let mut statistics = vec![NormStatistics::default(); source.len() / self.config.width];
        layer_norm(
            &mut target,
            &mut statistics,
            source,
            self.part(&layer.weight),
            self.part(&layer.bias),
        );
        (target, statistics)
    }

    /// `tokens` holds whole sequences of `positions` tokens, one after the other.
    fn forward(&self, tokens: &[u16], positions: usize, dropout: Dropout) -> State {
        let width = self.config.width;
        let (token_rows, position_rows) = (
            self.part(&self.table.token_embedding),
            self.part(&self.table.position_embedding),
        );
        let mut residual = Vec::with_capacity(tokens.len() * width);
        for (index, &token) in tokens.iter().enumerate() {
            let token_row = &token_rows[token as usize * width..][..width];
            let position_row = &position_rows[index % positions * width..][..width];
            residual.extend(token_row.iter().zip(position_row).map(|(a, b)| a + b));
        }
        dropout.apply(&mut residual, 0, Place::Embedding);
        let mut blocks = Vec::with_capacity(self.config.layers);
        for (layer, ranges) in self.table.blocks.iter().enumerate() {
            let (state, output) = self.block(residual, positions, layer, ranges, dropout);
            blocks.push(state);
            residual = output;
        }
        let (norm, statistics) = self.norm(&residual, &self.table.final_norm);
        State {
            blocks,
            output: residual,
            norm,
            statistics,
        }
    }

    fn block(
        &self,
        input: Vec<f32>,
        positions: usize,
        layer: usize,
        ranges: &BlockRanges,
        dropout: Dropout,
    ) -> (BlockState, Vec<f32>) {
        let (norm1, statistics1) = self.norm(&input, &ranges.norm1);
        let qkv = self.linear(&norm1, &ranges.qkv);
        let (probabilities, attended) = self.attention(&qkv, positions, layer, dropout);
        let mut middle = self.linear(&attended, &ranges.projection);
        dropout.apply(&mut middle, layer, Place::Projection);
        add_into(&mut middle, &input);
        let (norm2, statistics2) = self.norm(&middle, &ranges.norm2);
        let up = self.linear(&norm2, &ranges.up);
        let mut activated = vec![0.0; up.len()];
        gelu(&mut activated, &up);
        let mut output = self.linear(&activated, &ranges.down);
        dropout.apply(&mut output, layer, Place::Down);
        add_into(&mut output, &middle);
        let state = BlockState {
            input,
            norm1,
            statistics1,
            qkv,
            probabilities,
            attended,
            middle,
            norm2,
            statistics2,
            up,
            activated,
        };
        (state, output)
    }

    /// Causal attention of every head: softmax(Q·Kᵀ/√D)·V.
    fn attention(
        &self,
        qkv: &[f32],
        positions: usize,
        layer: usize,
        dropout: Dropout,
    ) -> (Vec<f32>, Vec<f32>) {
        let (width, heads, head_width) = (
            self.config.width,
            self.config.heads,
            self.config.head_width(),
        );
        let sequences = qkv.len() / (3 * width * positions);
        let square = positions * positions;
        let mut probabilities = vec![0.0; sequences * heads * square];
        let mut attended = vec![0.0; qkv.len() / 3];
        let scale = 1.0 / (head_width as f32).sqrt();
        for (index, scores) in probabilities.chunks_exact_mut(square).enumerate() {
            let (sequence, head) = (index / heads, index % heads);
            let [q, k, _] = head_views(qkv, sequence, head, positions, width, head_width);
            multiply(
                MatrixMut::new(scores, positions, positions),
                false,
                scale,
                q,
                k.transposed(),
            );
            softmax_causal(scores, positions);
        }
        let mut dropped = Cow::Borrowed(&probabilities);
        if dropout.rate > 0.0 {
            dropout.apply(dropped.to_mut(), layer, Place::Attention);
        }
        for (index, weights) in dropped.chunks_exact(square).enumerate() {
            let (sequence, head) = (index / heads, index % heads);
            let [_, _, v] = head_views(qkv, sequence, head, positions, width, head_width);
            let target = &mut attended[sequence * positions * width + head * head_width..];
            let target = MatrixMut::strided(target, positions, head_width, width);
            multiply(
                target,
                false,
                1.0,
                Matrix::new(weights, positions, positions),
                v,
            );
        }
        (probabilities, attended)
    }

    /// Logits of normalised rows: rows · wteᵀ.
    fn head(&self, norm: &[f32]) -> Vec<f32> {
        let (width, vocabulary) = (self.config.width, self.config.vocabulary);
        let rows = norm.len() / width;
        let mut logits = vec![0.0; rows * vocabulary];
        multiply(
            MatrixMut::new(&mut logits, rows, vocabulary),
            false,
            1.0,
            Matrix::new(norm, rows, width),
            Matrix::new(self.part(&self.table.token_embedding), vocabulary, width).transposed(),
        );
        logits
    }

    /// Sum of the cross-entropies over whole sequences of `positions` tokens.
    #[must_use]
    pub fn loss_sum(&self, tokens: &[u16], targets: &[u16], positions: usize) -> f64 {
        let state = self.forward(tokens, positions, Dropout::default());
        let mut logits = self.head(&state.norm);
        cross_entropy(&mut logits, targets, self.config.vocabulary, 0.0)
    }

    /// Loss and gradient of whole sequences; the gradient is that of `scale` · (sum of cross-entropies).
    #[must_use]
    pub fn gradient(
        &self,
        tokens: &[u16],
        targets: &[u16],
        scale: f32,
        dropout: Dropout,
    ) -> ShardResult {
        let positions = self.config.block;
        let state = self.forward(tokens, positions, dropout);
        let mut logits = self.head(&state.norm);
        let loss_sum = cross_entropy(&mut logits, targets, self.config.vocabulary, scale);
        let mut gradient = vec![0.0; self.table.total];
        let mut d_residual = self.head_backward(&logits, &state, &mut gradient);
        drop(logits);
        for (layer, block) in state.blocks.iter().enumerate().rev() {
            self.block_backward(
                &mut d_residual,
                block,
                positions,
                layer,
                dropout,
                &mut gradient,
            );
        }
        dropout.apply(&mut d_residual, 0, Place::Embedding);
        self.embedding_backward(&d_residual, tokens, positions, &mut gradient);
        ShardResult { loss_sum, gradient }
    }

    /// From d_logits to d_residual at the end of the last block.
    fn head_backward(&self, d_logits: &[f32], state: &State, gradient: &mut [f32]) -> Vec<f32> {
        let (width, vocabulary) = (self.config.width, self.config.vocabulary);
        let rows = state.norm.len() / width;
        let d_logits = Matrix::new(d_logits, rows, vocabulary);
        multiply(
            MatrixMut::new(
                &mut gradient[self.table.token_embedding.clone()],
                vocabulary,
                width,
            ),
            true,
            1.0,
            d_logits.transposed(),
            Matrix::new(&state.norm, rows, width),
        );
        let mut d_norm = vec![0.0; state.norm.len()];
        let embedding = Matrix::new(self.part(&self.table.token_embedding), vocabulary, width);
        multiply(
            MatrixMut::new(&mut d_norm, rows, width),
            false,
            1.0,
            d_logits,
            embedding,
        );
        let mut d_residual = vec![0.0; state.norm.len()];
        let final_norm = &self.table.final_norm;
        self.norm_backward(
            &mut d_residual,
            &d_norm,
            &state.output,
            &state.statistics,
            final_norm,
            gradient,
        );
        d_residual
    }

    fn block_backward(
        &self,
        d_residual: &mut [f32],
        state: &BlockState,
        positions: usize,
        layer: usize,
        dropout: Dropout,
        gradient: &mut [f32],
    ) {
        let ranges = &self.table.blocks[layer];
        let mut d_branch = d_residual.to_vec();
        dropout.apply(&mut d_branch, layer, Place::Down);
        let mut d_up = self.linear_backward(&d_branch, &state.activated, &ranges.down, gradient);
        gelu_backward(&mut d_up, &state.up);
        let d_norm2 = self.linear_backward(&d_up, &state.norm2, &ranges.up, gradient);
        self.norm_backward(
            d_residual,
            &d_norm2,
            &state.middle,
            &state.statistics2,
            &ranges.norm2,
            gradient,
        );

        d_branch.copy_from_slice(d_residual);
        dropout.apply(&mut d_branch, layer, Place::Projection);
        let d_attended =
            self.linear_backward(&d_branch, &state.attended, &ranges.projection, gradient);
        let d_qkv = self.attention_backward(&d_attended, state, positions, layer, dropout);
        let d_norm1 = self.linear_backward(&d_qkv, &state.norm1, &ranges.qkv, gradient);
        self.norm_backward(
            d_residual,
            &d_norm1,
            &state.input,
            &state.statistics1,
            &ranges.norm1,
            gradient,
        );
    }

    /// Adds the gradients of weight and bias, returns that of the source.
    fn linear_backward(
        &self,
        d_target: &[f32],
        source: &[f32],
        layer: &Pair,
        gradient: &mut [f32],
    ) -> Vec<f32> {
        let outputs = layer.bias.len();
        let inputs = layer.weight.len() / outputs;
        let rows = source.len() / inputs;
        column_sums(&mut gradient[layer.bias.clone()], d_target);
        let d_target = Matrix::new(d_target, rows, outputs);
        multiply(
            MatrixMut::new(&mut gradient[layer.weight.clone()], inputs, outputs),
            true,
            1.0,
            Matrix::new(source, rows, inputs).transposed(),
            d_target,
        );
        let mut d_source = vec![0.0; source.len()];
        let weight = Matrix::new(self.part(&layer.weight), inputs, outputs).transposed();
        multiply(
            MatrixMut::new(&mut d_source, rows, inputs),
            false,
            1.0,
            d_target,
            weight,
        );
        d_source
    }

    fn norm_backward(
        &self,
        d_source: &mut [f32],
        d_target: &[f32],
        source: &[f32],
        statistics: &[NormStatistics],
        layer: &Pair,
        gradient: &mut [f32],
    ) {
        // Weight and bias of a norm lie side by side.
        let both = &mut gradient[layer.weight.start..layer.bias.end];
        let pair = both.split_at_mut(layer.weight.len());
        layer_norm_backward(
            d_source,
            pair,
            d_target,
            source,
            statistics,
            self.part(&layer.weight),
        );
    }

    fn attention_backward(
        &self,
        d_attended: &[f32],
        state: &BlockState,
        positions: usize,
        layer: usize,
        dropout: Dropout,
    ) -> Vec<f32> {
        let (width, heads, head_width) = (
            self.config.width,
            self.config.heads,
            self.config.head_width(),
        );
        let square = positions * positions;
        let scale = 1.0 / (head_width as f32).sqrt();
        let mut dropped = Cow::Borrowed(&state.probabilities);
        if dropout.rate > 0.0 {
            dropout.apply(dropped.to_mut(), layer, Place::Attention);
        }
        let mut d_scores = vec![0.0; state.probabilities.len()];
        let mut d_qkv = vec![0.0; state.qkv.len()];
        let d_heads = |sequence: usize, head: usize| {
            let start = sequence * positions * width + head * head_width;
            Matrix::strided(&d_attended[start..], positions, head_width, width)
        };
        for (index, (scores, weights)) in d_scores
            .chunks_exact_mut(square)
            .zip(dropped.chunks_exact(square))
            .enumerate()
        {
            let (sequence, head) = (index / heads, index % heads);
            let [_, _, v] = head_views(&state.qkv, sequence, head, positions, width, head_width);
            let d_head = d_heads(sequence, head);
            let weights = Matrix::new(weights, positions, positions).transposed();
            let d_v = head_view_mut(&mut d_qkv, 2, sequence, head, positions, width, head_width);
            multiply(d_v, false, 1.0, weights, d_head);
            multiply(
                MatrixMut::new(scores, positions, positions),
                false,
                1.0,
                d_head,
                v.transposed(),
            );
        }
        dropout.apply(&mut d_scores, layer, Place::Attention);
        for (index, (scores, probabilities)) in d_scores
            .chunks_exact_mut(square)
            .zip(state.probabilities.chunks_exact(square))
            .enumerate()
        {
            let (sequence, head) = (index / heads, index % heads);
            softmax_causal_backward(scores, probabilities, positions);
            let scores = Matrix::new(scores, positions, positions);
            let [q, k, _] = head_views(&state.qkv, sequence, head, positions, width, head_width);
            let d_q = head_view_mut(&mut d_qkv, 0, sequence, head, positions, width, head_width);
            multiply(d_q, false, scale, scores, k);
            let d_k = head_view_mut(&mut d_qkv, 1, sequence, head, positions, width, head_width);
            multiply(d_k, false, scale, scores.transposed(), q);
        }
        d_qkv
    }

    fn embedding_backward(
        &self,
        d_residual: &[f32],
        tokens: &[u16],
        positions: usize,
        gradient: &mut [f32],
    ) {
        let width = self.config.width;
        for (index, (&token, row)) in tokens
            .iter()
            .zip(d_residual.chunks_exact(width))
            .enumerate()
        {
            let token_start = self.table.token_embedding.start + token as usize * width;
            add_into(&mut gradient[token_start..][..width], row);
            let position_start = self.table.position_embedding.start + index % positions * width;
            add_into(&mut gradient[position_start..][..width], row);
        }
    }
}

/// Q, K and V of one sequence and head, each T × D, inside the N × 3E array.
fn head_views(
    qkv: &[f32],
    sequence: usize,
    head: usize,
    positions: usize,
    width: usize,
    head_width: usize,
) -> [Matrix<'_>; 3] {
    [0, 1, 2].map(|part| {
        let start = sequence * positions * 3 * width + part * width + head * head_width;
        Matrix::strided(&qkv[start..], positions, head_width, 3 * width)
    })
}

fn head_view_mut(
    qkv: &mut [f32],
    part: usize,
    sequence: usize,
    head: usize,
    positions: usize,
    width: usize,
    head_width: usize,
) -> MatrixMut<'_> {
    let start = sequence * positions * 3 * width + part * width + head * head_width;
    MatrixMut::strided(&mut qkv[start..], positions, head_width, 3 * width)
}
