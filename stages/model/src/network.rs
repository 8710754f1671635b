//! Forward pass for one part of a batch, on one thread, in buffers that are made once and keep what the backward pass needs.

use std::borrow::Cow;

use crate::config::Activation;
use crate::kernels::{
    add_bias, add_into, dot, dropout, gelu, gelu_tanh, layer_norm, multiply, softmax_causal,
    Matrix, MatrixMut, NormStatistics,
};
use crate::parameters::{BlockRanges, Pair, ParameterTable};
use crate::ModelConfig;

/// Dropout of one pass: the rates and a key that differs for every step and part.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dropout {
    pub rate: f32,
    /// Rate at which whole attention heads are left out of a sequence.
    pub heads: f32,
    pub key: u64,
}

/// A place of the network where values are dropped.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    Embedding,
    Attention,
    Projection,
    Down,
    Head,
}

impl Dropout {
    fn key(self, layer: usize, place: Place) -> u64 {
        let site = (layer as u64) << 3 | place as u64;
        self.key ^ (site + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// What the result of one head of one sequence is multiplied by.
    pub fn gate(self, index: usize, layer: usize) -> f32 {
        let mut gate = [1.0];
        let key = self.key(layer, Place::Head);
        dropout(&mut gate, self.heads, key, index);
        gate[0]
    }

    /// Applies it to values that stand at `start` of one place; the backward pass names the same place.
    pub fn apply(self, values: &mut [f32], start: usize, layer: usize, place: Place) {
        dropout(values, self.rate, self.key(layer, place), start);
    }
}

/// What the forward pass of one block keeps for the backward pass. N = B·T rows.
pub struct BlockState {
    /// Residual stream at the block's entrance, N × E.
    pub input: Vec<f32>,
    pub norm1: Vec<f32>,
    pub statistics1: Vec<NormStatistics>,
    /// N × 3E; the backward pass puts its gradient in the same place.
    pub qkv: Vec<f32>,
    /// Softmax of the scores, for each sequence and head T × T.
    pub probabilities: Vec<f32>,
    /// Heads' outputs side by side, N × E.
    pub attended: Vec<f32>,
    /// Residual stream after attention, N × E.
    pub middle: Vec<f32>,
    pub norm2: Vec<f32>,
    pub statistics2: Vec<NormStatistics>,
    /// The activation's slope, N × 4E; the backward pass puts the gradient before the activation in the same place.
    pub slope: Vec<f32>,
    /// After the activation, N × 4E.
    pub activated: Vec<f32>,
}

impl BlockState {
    fn new(config: &ModelConfig, rows: usize, positions: usize) -> Self {
        let values = |columns: usize| vec![0.0; rows * columns];
        let statistics = vec![NormStatistics::default(); rows];
        let width = config.width;
        Self {
            input: values(width),
            norm1: values(width),
            statistics1: statistics.clone(),
            qkv: values(3 * width),
            probabilities: values(config.heads * positions),
            attended: values(width),
            middle: values(width),
            norm2: values(width),
            statistics2: statistics,
            slope: values(4 * width),
            activated: values(4 * width),
        }
    }
}

/// Everything that the forward pass of a part writes.
pub struct State {
    pub positions: usize,
    /// One for each layer.
    pub blocks: Vec<BlockState>,
    /// Residual stream, after the last block once the pass is done.
    pub residual: Vec<f32>,
    pub norm: Vec<f32>,
    pub statistics: Vec<NormStatistics>,
    /// N × V.
    pub logits: Vec<f32>,
    /// T × T.
    scratch: Vec<f32>,
}

impl State {
    /// `rows` is a multiple of `positions`.
    #[must_use]
    pub fn new(config: &ModelConfig, rows: usize, positions: usize) -> Self {
        Self {
            positions,
            blocks: (0..config.layers)
                .map(|_| BlockState::new(config, rows, positions))
                .collect(),
            residual: vec![0.0; rows * config.width],
            norm: vec![0.0; rows * config.width],
            statistics: vec![NormStatistics::default(); rows],
            logits: vec![0.0; rows * config.vocabulary],
            scratch: vec![0.0; positions * positions],
        }
    }

    #[must_use]
    pub fn rows(&self) -> usize {
        self.statistics.len()
    }
}

/// Shape and weights, ready to run.
pub struct Network<'a> {
    pub config: &'a ModelConfig,
    pub table: &'a ParameterTable,
    pub parameters: Cow<'a, [f32]>,
}

impl Network<'_> {
    pub(crate) fn part(&self, range: &std::ops::Range<usize>) -> &[f32] {
        &self.parameters[range.clone()]
    }

    /// target = source (N × inputs) · weight + bias.
    fn linear(&self, target: &mut [f32], source: &[f32], layer: &Pair) {
        let bias = self.part(&layer.bias);
        let outputs = bias.len();
        let inputs = layer.weight.len() / outputs;
        let rows = source.len() / inputs;
        add_bias(target, bias);
        multiply(
            MatrixMut::new(target, rows, outputs),
            true,
            1.0,
            Matrix::new(source, rows, inputs),
            Matrix::new(self.part(&layer.weight), inputs, outputs),
        );
    }

    fn norm(
        &self,
        target: &mut [f32],
        statistics: &mut [NormStatistics],
        source: &[f32],
        layer: &Pair,
    ) {
        let (weight, bias) = (self.part(&layer.weight), self.part(&layer.bias));
        layer_norm(target, statistics, source, weight, bias);
    }

    /// `tokens` holds whole sequences of `state.positions` tokens, one after the other; as many rows as `state` has.
    pub fn forward(&self, tokens: &[u16], dropout: Dropout, state: &mut State) {
        self.embed(tokens, state.positions, &mut state.residual);
        dropout.apply(&mut state.residual, 0, 0, Place::Embedding);
        for (layer, ranges) in self.table.blocks.iter().enumerate() {
            self.block(layer, ranges, dropout, state);
        }
        self.norm(
            &mut state.norm,
            &mut state.statistics,
            &state.residual,
            &self.table.final_norm,
        );
    }

    /// Sum of each token's and its position's row.
    pub(crate) fn embed(&self, tokens: &[u16], positions: usize, target: &mut [f32]) {
        let width = self.config.width;
        let (token_rows, position_rows) = (
            self.part(&self.table.token_embedding),
            self.part(&self.table.position_embedding),
        );
        for ((index, &token), row) in tokens
            .iter()
            .enumerate()
            .zip(target.chunks_exact_mut(width))
        {
            let token_row = &token_rows[token as usize * width..][..width];
            row.copy_from_slice(&position_rows[index % positions * width..][..width]);
            add_into(row, token_row);
        }
    }

    fn block(&self, layer: usize, ranges: &BlockRanges, dropout: Dropout, state: &mut State) {
        let block = &mut state.blocks[layer];
        block.input.copy_from_slice(&state.residual);
        self.norm(
            &mut block.norm1,
            &mut block.statistics1,
            &block.input,
            &ranges.norm1,
        );
        self.linear(&mut block.qkv, &block.norm1, &ranges.qkv);
        self.attention(block, state.positions, layer, dropout, &mut state.scratch);
        self.linear(&mut block.middle, &block.attended, &ranges.projection);
        dropout.apply(&mut block.middle, 0, layer, Place::Projection);
        add_into(&mut block.middle, &block.input);
        self.norm(
            &mut block.norm2,
            &mut block.statistics2,
            &block.middle,
            &ranges.norm2,
        );
        self.linear(&mut block.slope, &block.norm2, &ranges.up);
        match self.config.activation {
            Activation::Gelu => gelu(&mut block.activated, &mut block.slope),
            Activation::GeluTanh => gelu_tanh(&mut block.activated, &mut block.slope),
        }
        self.linear(&mut state.residual, &block.activated, &ranges.down);
        dropout.apply(&mut state.residual, 0, layer, Place::Down);
        add_into(&mut state.residual, &block.middle);
    }

    /// Causal attention of every head: softmax(Q·Kᵀ/√D)·V.
    fn attention(
        &self,
        block: &mut BlockState,
        positions: usize,
        layer: usize,
        dropout: Dropout,
        scratch: &mut [f32],
    ) {
        let shape = HeadShape::new(self.config, positions);
        let square = positions * positions;
        for (index, scores) in block.probabilities.chunks_exact_mut(square).enumerate() {
            shape.attend(scores, &block.qkv, index);
            let weights = if dropout.rate > 0.0 {
                scratch.copy_from_slice(scores);
                dropout.apply(scratch, index * square, layer, Place::Attention);
                &*scratch
            } else {
                &*scores
            };
            let gate = dropout.gate(index, layer);
            shape.mix(&mut block.attended, weights, &block.qkv, index, gate);
        }
    }

    /// Logits of the normalised rows: rows · wteᵀ.
    pub fn head(&self, state: &mut State) {
        let (width, vocabulary) = (self.config.width, self.config.vocabulary);
        let rows = state.rows();
        multiply(
            MatrixMut::new(&mut state.logits, rows, vocabulary),
            false,
            1.0,
            Matrix::new(&state.norm, rows, width),
            Matrix::new(self.part(&self.table.token_embedding), vocabulary, width).transposed(),
        );
    }
}

/// Where the heads lie in the N × 3E and N × E arrays. `index` counts sequences and, inside them, heads.
#[derive(Clone, Copy)]
pub(crate) struct HeadShape {
    pub positions: usize,
    pub width: usize,
    pub heads: usize,
    pub head_width: usize,
}

impl HeadShape {
    pub fn new(config: &ModelConfig, positions: usize) -> Self {
        Self {
            positions,
            width: config.width,
            heads: config.heads,
            head_width: config.head_width(),
        }
    }

    fn start(self, index: usize, columns: usize) -> usize {
        index / self.heads * self.positions * columns + index % self.heads * self.head_width
    }

    /// Start of Q (0), K (1) or V (2).
    fn start_of(self, index: usize, part: usize) -> usize {
        self.start(index, 3 * self.width) + part * self.width
    }

    /// Q, K and V of one sequence and head, each T × D.
    pub fn views(self, qkv: &[f32], index: usize) -> [Matrix<'_>; 3] {
        [0, 1, 2].map(|part| {
            let start = self.start_of(index, part);
            Matrix::strided(
                &qkv[start..],
                self.positions,
                self.head_width,
                3 * self.width,
            )
        })
    }

    /// scores = softmax(Q·Kᵀ/√D) of one head, T × T and causal.
    pub fn attend(self, scores: &mut [f32], qkv: &[f32], index: usize) {
        let [q, k, _] = self.views(qkv, index);
        let (positions, width) = (self.positions, self.head_width);
        for (start, end) in row_blocks(positions) {
            let target = &mut scores[start * positions..];
            multiply(
                MatrixMut::strided(target, end - start, end, positions),
                false,
                1.0 / (width as f32).sqrt(),
                q.block(start, end, width),
                k.block(0, end, width).transposed(),
            );
        }
        softmax_causal(scores, positions);
    }

    /// gate·weights·V of one head, to its place in `attended`. `weights` is T × T and causal.
    pub fn mix(self, attended: &mut [f32], weights: &[f32], qkv: &[f32], index: usize, gate: f32) {
        let [_, _, v] = self.views(qkv, index);
        let weights = Matrix::new(weights, self.positions, self.positions);
        for (start, end) in row_blocks(self.positions) {
            multiply(
                self.mixed_mut(attended, index, start, end),
                false,
                gate,
                weights.block(start, end, end),
                v.block(0, end, self.head_width),
            );
        }
    }

    /// Copies a dense T × D array to where Q, K or V of one head lie.
    pub fn put(self, qkv: &mut [f32], index: usize, part: usize, values: &[f32]) {
        let start = self.start_of(index, part);
        for (row, source) in values.chunks_exact(self.head_width).enumerate() {
            qkv[start + row * 3 * self.width..][..self.head_width].copy_from_slice(source);
        }
    }

    pub fn mixed(self, attended: &[f32], index: usize) -> Matrix<'_> {
        let start = self.start(index, self.width);
        Matrix::strided(
            &attended[start..],
            self.positions,
            self.head_width,
            self.width,
        )
    }

    /// sums[h] = Σ over sequences of |Σ over the head's values of value · gradient|.
    pub fn importance(self, sums: &mut [f64], attended: &[f32], gradient: &[f32]) {
        sums.fill(0.0);
        let size = self.positions * self.width;
        for (values, gradients) in attended.chunks_exact(size).zip(gradient.chunks_exact(size)) {
            for (head, sum) in sums.iter_mut().enumerate() {
                let columns = head * self.head_width..(head + 1) * self.head_width;
                let rows = values
                    .chunks_exact(self.width)
                    .zip(gradients.chunks_exact(self.width));
                let product: f32 = rows
                    .map(|(value, gradient)| {
                        dot(&value[columns.clone()], &gradient[columns.clone()])
                    })
                    .sum();
                *sum += f64::from(product.abs());
            }
        }
    }

    /// Rows `first` to `last` of one head's result.
    pub fn mixed_mut(
        self,
        attended: &mut [f32],
        index: usize,
        first: usize,
        last: usize,
    ) -> MatrixMut<'_> {
        let start = self.start(index, self.width) + first * self.width;
        let data = &mut attended[start..];
        MatrixMut::strided(data, last - first, self.head_width, self.width)
    }
}

/// Rows (from, to) of a causal T × T matrix, in blocks: of each only the columns before `to` count, so that less than the whole
/// square is computed.
pub(crate) fn row_blocks(positions: usize) -> impl Iterator<Item = (usize, usize)> {
    const ROWS: usize = 64;
    (0..positions)
        .step_by(ROWS)
        .map(move |start| (start, positions.min(start + ROWS)))
}
