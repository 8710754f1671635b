//! Loss and gradient of a batch.
//!
//! First the parts of the batch run forward and backward side by side and keep, for every linear layer, its input and the
//! gradient of its output. Then the gradients of the weights are products over all rows, cut into pieces of the result that
//! do not touch each other. So there is one gradient array, nothing is reduced afterwards, and the bits depend neither
//! on threads nor on the order of work.

use std::ops::Range;

use rayon::prelude::*;

use crate::data::Batch;
use crate::inference::Buffers;
use crate::kernels::{
    add_into, column_sums, cross_entropy, distillation, layer_norm_backward, multiply,
    multiply_elements, multiply_into, softmax_causal_backward, Matrix, MatrixMut, NormStatistics,
};
use crate::network::{row_blocks, BlockState, Dropout, HeadShape, Network, Place, State};
use crate::parameters::{BlockRanges, Pair, ParameterTable};
use crate::ModelConfig;

/// Multiplications in one piece of a weight's gradient, about 10 ms of work.
const PIECE: usize = 1 << 26;

/// Buffers for the gradient of batches of one size.
pub struct Workspace {
    parts: Vec<Part>,
    /// Gradient of the flat parameter array.
    pub gradient: Vec<f32>,
    tasks: Vec<Task>,
}

/// One part of the batch: whole sequences.
struct Part {
    state: State,
    tokens: Vec<u16>,
    losses: Vec<f32>,
    loss_sum: f64,
    blocks: Vec<BlockGradient>,
    d_residual: Vec<f32>,
    /// Gradients of the norms' weights and biases: of each layer two norms, then the final one.
    norms: Vec<NormGradient>,
    narrow: Vec<f32>,
    wide: Vec<f32>,
    square: [Vec<f32>; 2],
    head: [Vec<f32>; 3],
    /// Of each layer's heads: sum over sequences of |∂loss/∂gate|.
    importance: Vec<f64>,
}

struct BlockGradient {
    /// Of the two projections' results, N × E.
    projection: Vec<f32>,
    down: Vec<f32>,
}

#[derive(Clone)]
struct NormGradient {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// How a batch is computed.
#[derive(Clone, Copy, Default)]
pub struct Pass<'a> {
    /// The gradient is that of `scale` · (sum of losses).
    pub scale: f32,
    pub dropout: f32,
    /// Rate at which whole attention heads are left out.
    pub head_dropout: f32,
    /// Key of the dropout.
    pub seed: u64,
    /// Adds to the gradient that is there instead of replacing it.
    pub accumulate: bool,
    pub teacher: Option<Teacher<'a>>,
}

/// A model whose probabilities are learned from (Hinton et al. 2015): the loss of a token becomes
/// (1 - weight)·cross-entropy + weight·τ²·KL(teacher ‖ student), both distributions at temperature τ.
#[derive(Clone, Copy)]
pub struct Teacher<'a> {
    pub network: &'a Network<'a>,
    pub weight: f32,
    pub temperature: f32,
}

impl Teacher<'_> {
    /// As [`cross_entropy`]: sum of the losses; `logits` become their gradient.
    fn losses(&self, logits: &mut [f32], tokens: &[u16], part: (&[u16], usize, f32)) -> f64 {
        let (targets, positions, scale) = part;
        let mut buffers = Buffers::new(self.network.config, tokens.len(), positions);
        let teacher = self.network.logits(tokens, &mut buffers);
        let vocabulary = self.network.config.vocabulary;
        distillation(
            logits,
            &teacher,
            targets,
            vocabulary,
            (scale, self.weight, self.temperature),
        )
    }
}

impl Workspace {
    /// For batches of `sequences` whole blocks, computed in about `parts` parts side by side.
    #[must_use]
    pub fn new(
        config: &ModelConfig,
        table: &ParameterTable,
        sequences: usize,
        parts: usize,
    ) -> Self {
        let in_part = sequences.div_ceil(parts.max(1)).max(1);
        let parts = (0..sequences)
            .step_by(in_part)
            .map(|first| Part::new(config, in_part.min(sequences - first)))
            .collect();
        Self {
            parts,
            gradient: vec![0.0; table.total],
            tasks: tasks(config, table, sequences * config.block),
        }
    }

    /// Sum of the cross-entropies of `batch`, and its gradient in `self.gradient`. Runs on the current thread pool.
    ///
    /// # Panics
    /// If the batch has another size than the workspace was made for.
    pub fn run(&mut self, network: &Network, batch: &Batch, pass: Pass<'_>) -> f64 {
        let mut start = 0;
        for part in &mut self.parts {
            let end = start + part.tokens.len();
            part.tokens.copy_from_slice(&batch.inputs[start..end]);
            start = end;
        }
        assert_eq!(start, batch.inputs.len(), "a batch of another size");
        let mut targets = &batch.targets[..];
        let work: Vec<_> = self
            .parts
            .iter_mut()
            .enumerate()
            .map(|(index, part)| {
                let (own, rest) = targets.split_at(part.tokens.len());
                targets = rest;
                let key = pass
                    .seed
                    .wrapping_add(index as u64)
                    .wrapping_mul(0xd134_2543_de82_ef95);
                let (rate, heads) = (pass.dropout, pass.head_dropout);
                (part, own, Dropout { rate, heads, key })
            })
            .collect();
        work.into_par_iter()
            .with_max_len(1)
            .for_each(|(part, targets, dropout)| part.run(network, targets, pass, dropout));
        self.weights(network, pass.accumulate);
        self.parts.iter().map(|part| part.loss_sum).sum()
    }

    /// Takes a gradient that was computed elsewhere, times a factor; adds it to the one that is there if `keep`.
    pub fn add(&mut self, gradient: &[f32], factor: f32, keep: bool) {
        clear(&mut self.gradient, keep);
        for (target, &value) in self.gradient.iter_mut().zip(gradient) {
            *target += factor * value;
        }
    }

    /// First-order Taylor importance of every head (Michel et al. 2019), layer by layer, of the batch that was run last: the mean
    /// over sequences of |∂loss/∂gate|, the gate being a factor of 1 on the head's result.
    #[must_use]
    pub fn head_importance(&self) -> Vec<f64> {
        let sequences: usize = self.parts.iter().map(Part::sequences).sum();
        let mut sums = vec![0.0; self.parts.first().map_or(0, |part| part.importance.len())];
        for part in &self.parts {
            for (sum, value) in sums.iter_mut().zip(&part.importance) {
                *sum += value;
            }
        }
        sums.iter().map(|sum| sum / sequences as f64).collect()
    }

    /// The gradients of all weights from what the parts kept.
    fn weights(&mut self, network: &Network, keep: bool) {
        let mut rest = self.gradient.as_mut_slice();
        let mut work = Vec::with_capacity(self.tasks.len());
        for task in &self.tasks {
            let (target, after) = rest.split_at_mut(task.length);
            rest = after;
            work.push((task, target));
        }
        let parts = &self.parts;
        work.into_par_iter()
            .with_max_len(1)
            .for_each(|(task, target)| task.run(network, parts, target, keep));
    }
}

impl Part {
    fn new(config: &ModelConfig, sequences: usize) -> Self {
        let (rows, width) = (sequences * config.block, config.width);
        let norm = NormGradient {
            weight: vec![0.0; width],
            bias: vec![0.0; width],
        };
        Self {
            state: State::new(config, rows, config.block),
            tokens: vec![0; rows],
            losses: vec![0.0; rows],
            loss_sum: 0.0,
            blocks: (0..config.layers)
                .map(|_| BlockGradient {
                    projection: vec![0.0; rows * width],
                    down: vec![0.0; rows * width],
                })
                .collect(),
            d_residual: vec![0.0; rows * width],
            norms: vec![norm; 2 * config.layers + 1],
            narrow: vec![0.0; rows * width],
            wide: vec![0.0; rows * 4 * width],
            square: [0, 1].map(|_| vec![0.0; config.block * config.block]),
            head: [0, 1, 2].map(|_| vec![0.0; config.block * config.head_width()]),
            importance: vec![0.0; config.layers * config.heads],
        }
    }

    fn sequences(&self) -> usize {
        self.tokens.len() / self.state.positions
    }

    /// Forward and backward, all but the gradients of the weights.
    fn run(&mut self, network: &Network, targets: &[u16], pass: Pass, dropout: Dropout) {
        network.forward(&self.tokens, dropout, &mut self.state);
        network.head(&mut self.state);
        let (vocabulary, logits) = (network.config.vocabulary, &mut self.state.logits);
        self.loss_sum = match pass.teacher {
            None => cross_entropy(logits, targets, vocabulary, pass.scale, &mut self.losses),
            Some(teacher) => {
                let part = (targets, self.state.positions, pass.scale);
                teacher.losses(logits, &self.tokens, part)
            }
        };
        self.head_backward(network);
        for layer in (0..network.config.layers).rev() {
            self.block_backward(network, layer, dropout);
        }
        dropout.apply(&mut self.d_residual, 0, 0, Place::Embedding);
    }

    /// From d_logits to d_residual at the end of the last block.
    fn head_backward(&mut self, network: &Network) {
        let (width, vocabulary) = (network.config.width, network.config.vocabulary);
        let rows = self.tokens.len();
        let embedding = network.part(&network.table.token_embedding);
        multiply_into(
            &mut self.narrow,
            Matrix::new(&self.state.logits, rows, vocabulary),
            Matrix::new(embedding, vocabulary, width),
        );
        self.d_residual.fill(0.0);
        let last = self.norms.len() - 1;
        let mut norm = NormBackward {
            network,
            layer: &network.table.final_norm,
            gradient: &mut self.norms[last],
        };
        let (source, statistics) = (&self.state.residual, &self.state.statistics);
        norm.run(&mut self.d_residual, &self.narrow, source, statistics);
    }

    fn block_backward(&mut self, network: &Network, layer: usize, dropout: Dropout) {
        let ranges = &network.table.blocks[layer];
        let positions = self.state.positions;
        let block = &mut self.state.blocks[layer];
        let kept = &mut self.blocks[layer];

        kept.down.copy_from_slice(&self.d_residual);
        dropout.apply(&mut kept.down, 0, layer, Place::Down);
        source_gradient(network, &mut self.wide, &kept.down, &ranges.down);
        multiply_elements(&mut block.slope, &self.wide);
        source_gradient(network, &mut self.narrow, &block.slope, &ranges.up);
        let mut norm = NormBackward {
            network,
            layer: &ranges.norm2,
            gradient: &mut self.norms[2 * layer + 1],
        };
        norm.run(
            &mut self.d_residual,
            &self.narrow,
            &block.middle,
            &block.statistics2,
        );

        kept.projection.copy_from_slice(&self.d_residual);
        dropout.apply(&mut kept.projection, 0, layer, Place::Projection);
        source_gradient(
            network,
            &mut self.narrow,
            &kept.projection,
            &ranges.projection,
        );
        let shape = HeadShape::new(network.config, positions);
        let importance = &mut self.importance[layer * shape.heads..][..shape.heads];
        shape.importance(importance, &block.attended, &self.narrow);
        let scratch = (&mut self.square, &mut self.head);
        attention_backward(block, &self.narrow, shape, layer, dropout, scratch);
        source_gradient(network, &mut self.narrow, &block.qkv, &ranges.qkv);
        let mut norm = NormBackward {
            network,
            layer: &ranges.norm1,
            gradient: &mut self.norms[2 * layer],
        };
        norm.run(
            &mut self.d_residual,
            &self.narrow,
            &block.input,
            &block.statistics1,
        );
    }
}

/// d_source = d_target · weightᵀ.
fn source_gradient(network: &Network, d_source: &mut [f32], d_target: &[f32], layer: &Pair) {
    let outputs = layer.bias.len();
    let inputs = layer.weight.len() / outputs;
    let rows = d_target.len() / outputs;
    let weight = Matrix::new(network.part(&layer.weight), inputs, outputs).transposed();
    multiply_into(d_source, Matrix::new(d_target, rows, outputs), weight);
}

struct NormBackward<'a> {
    network: &'a Network<'a>,
    layer: &'a Pair,
    gradient: &'a mut NormGradient,
}

impl NormBackward<'_> {
    /// Adds to `d_source`, replaces the gradients of weight and bias.
    fn run(
        &mut self,
        d_source: &mut [f32],
        d_target: &[f32],
        source: &[f32],
        statistics: &[NormStatistics],
    ) {
        let NormGradient { weight, bias } = &mut *self.gradient;
        weight.fill(0.0);
        bias.fill(0.0);
        layer_norm_backward(
            d_source,
            (weight, bias),
            d_target,
            source,
            statistics,
            self.network.part(&self.layer.weight),
        );
    }
}

/// Turns `block.qkv` into its gradient, head by head.
fn attention_backward(
    block: &mut BlockState,
    d_attended: &[f32],
    shape: HeadShape,
    layer: usize,
    dropout: Dropout,
    (square, head): (&mut [Vec<f32>; 2], &mut [Vec<f32>; 3]),
) {
    let positions = shape.positions;
    let area = positions * positions;
    let scale = 1.0 / (shape.head_width as f32).sqrt();
    let [dropped, scores] = square;
    let [first, second, third] = head;
    for (index, probabilities) in block.probabilities.chunks_exact(area).enumerate() {
        let weights = if dropout.rate > 0.0 {
            dropped.copy_from_slice(probabilities);
            dropout.apply(dropped, index * area, layer, Place::Attention);
            &dropped[..]
        } else {
            probabilities
        };
        let weights = Matrix::new(weights, positions, positions);
        let d_head = shape.mixed(d_attended, index);
        let [q, k, v] = shape.views(&block.qkv, index);
        let (gate, width) = (dropout.gate(index, layer), shape.head_width);
        // The gradient of V, which goes over columns, is a sum over the blocks of rows.
        first.fill(0.0);
        for (start, end) in row_blocks(positions) {
            let d_rows = d_head.block(start, end, width);
            let target = &mut scores[start * positions..];
            let target = MatrixMut::strided(target, end - start, end, positions);
            multiply(
                target,
                false,
                gate,
                d_rows,
                v.block(0, end, width).transposed(),
            );
            let columns = weights.block(start, end, end).transposed();
            let target = MatrixMut::new(&mut first[..end * width], end, width);
            multiply(target, true, gate, columns, d_rows);
        }
        dropout.apply(scores, index * area, layer, Place::Attention);
        softmax_causal_backward(scores, probabilities, positions);
        let scores = Matrix::new(scores, positions, positions);
        third.fill(0.0);
        for (start, end) in row_blocks(positions) {
            let rows = scores.block(start, end, end);
            let target = &mut second[start * width..end * width];
            let target = MatrixMut::new(target, end - start, width);
            multiply(target, false, scale, rows, k.block(0, end, width));
            let target = MatrixMut::new(&mut third[..end * width], end, width);
            let q = q.block(start, end, width);
            multiply(target, true, scale, rows.transposed(), q);
        }
        shape.put(&mut block.qkv, index, 0, second);
        shape.put(&mut block.qkv, index, 1, third);
        shape.put(&mut block.qkv, index, 2, first);
    }
}

/// One piece of the flat gradient.
struct Task {
    length: usize,
    kind: Kind,
}

enum Kind {
    /// Rows of the tied token embedding: from the head, and from the tokens that were looked up.
    Tokens(Range<usize>),
    Positions,
    /// Rows of a linear layer's weight; the layers that use it.
    Weight(Linear, Range<usize>, Vec<usize>),
    Bias(Linear, Vec<usize>),
    /// Weight or bias of norms, by their places in `Part::norms`.
    NormWeight(Vec<usize>),
    NormBias(Vec<usize>),
}

#[derive(Clone, Copy)]
enum Linear {
    Qkv,
    Projection,
    Up,
    Down,
}

/// Pieces in the order of the flat array; they cover it wholly. `rows` is the number of tokens in a batch.
fn tasks(config: &ModelConfig, table: &ParameterTable, rows: usize) -> Vec<Task> {
    let width = config.width;
    let mut tasks = Vec::new();
    for rows in pieces(config.vocabulary, width * rows) {
        tasks.push((
            table.token_embedding.start + rows.start * width,
            rows.len() * width,
            Kind::Tokens(rows),
        ));
    }
    let positions = &table.position_embedding;
    tasks.push((positions.start, positions.len(), Kind::Positions));
    let mut unique: Vec<(&BlockRanges, Vec<usize>)> = Vec::new();
    for (layer, ranges) in table.blocks.iter().enumerate() {
        match unique.iter_mut().find(|(found, _)| *found == ranges) {
            Some((_, layers)) => layers.push(layer),
            None => unique.push((ranges, vec![layer])),
        }
    }
    for (ranges, layers) in unique {
        for (kind, pair) in [
            (Linear::Qkv, &ranges.qkv),
            (Linear::Projection, &ranges.projection),
            (Linear::Up, &ranges.up),
            (Linear::Down, &ranges.down),
        ] {
            let outputs = pair.bias.len();
            for piece in pieces(pair.weight.len() / outputs, outputs * rows) {
                let start = pair.weight.start + piece.start * outputs;
                let length = piece.len() * outputs;
                tasks.push((start, length, Kind::Weight(kind, piece, layers.clone())));
            }
            let bias = Kind::Bias(kind, layers.clone());
            tasks.push((pair.bias.start, outputs, bias));
        }
        for (which, pair) in [(0, &ranges.norm1), (1, &ranges.norm2)] {
            let places: Vec<usize> = layers.iter().map(|layer| 2 * layer + which).collect();
            tasks.push((pair.weight.start, width, Kind::NormWeight(places.clone())));
            tasks.push((pair.bias.start, width, Kind::NormBias(places)));
        }
    }
    let last = vec![2 * config.layers];
    let norm = &table.final_norm;
    tasks.push((norm.weight.start, width, Kind::NormWeight(last.clone())));
    tasks.push((norm.bias.start, width, Kind::NormBias(last)));
    tasks.sort_by_key(|(start, ..)| *start);
    tasks
        .into_iter()
        .map(|(_, length, kind)| Task { length, kind })
        .collect()
}

/// Even pieces of `count` rows of `work` multiplications each.
fn pieces(count: usize, work: usize) -> Vec<Range<usize>> {
    let size = (PIECE / work.max(1)).clamp(1, count.max(1));
    let number = count.div_ceil(size).max(1);
    (0..number)
        .map(|index| index * count / number..(index + 1) * count / number)
        .collect()
}

impl Task {
    fn run(&self, network: &Network, parts: &[Part], target: &mut [f32], keep: bool) {
        let width = network.config.width;
        match &self.kind {
            Kind::Tokens(rows) => tokens_gradient(network.config, parts, rows, target, keep),
            Kind::Positions => {
                clear(target, keep);
                for part in parts {
                    for sequence in part.d_residual.chunks_exact(part.state.positions * width) {
                        add_into(target, sequence);
                    }
                }
            }
            Kind::Weight(linear, rows, layers) => {
                let mut keep = keep;
                for (part, layer) in each(parts, layers) {
                    let (source, d_target) = part.linear(*linear, layer);
                    let outputs = target.len() / rows.len();
                    let count = part.tokens.len();
                    let columns = source.len() / count;
                    let source = Matrix::strided(&source[rows.start..], count, rows.len(), columns);
                    multiply(
                        MatrixMut::new(target, rows.len(), outputs),
                        keep,
                        1.0,
                        source.transposed(),
                        Matrix::new(d_target, count, outputs),
                    );
                    keep = true;
                }
            }
            Kind::Bias(linear, layers) => {
                clear(target, keep);
                for (part, layer) in each(parts, layers) {
                    column_sums(target, part.linear(*linear, layer).1);
                }
            }
            Kind::NormWeight(places) => {
                clear(target, keep);
                for (part, place) in each(parts, places) {
                    add_into(target, &part.norms[place].weight);
                }
            }
            Kind::NormBias(places) => {
                clear(target, keep);
                for (part, place) in each(parts, places) {
                    add_into(target, &part.norms[place].bias);
                }
            }
        }
    }
}

fn clear(target: &mut [f32], keep: bool) {
    if !keep {
        target.fill(0.0);
    }
}

fn each<'a>(
    parts: &'a [Part],
    places: &'a [usize],
) -> impl Iterator<Item = (&'a Part, usize)> + 'a {
    places
        .iter()
        .flat_map(move |&place| parts.iter().map(move |part| (part, place)))
}

fn tokens_gradient(
    config: &ModelConfig,
    parts: &[Part],
    rows: &Range<usize>,
    target: &mut [f32],
    mut keep: bool,
) {
    let (width, vocabulary) = (config.width, config.vocabulary);
    for part in parts {
        let count = part.tokens.len();
        let d_logits = &part.state.logits[rows.start..];
        multiply(
            MatrixMut::new(target, rows.len(), width),
            keep,
            1.0,
            Matrix::strided(d_logits, count, rows.len(), vocabulary).transposed(),
            Matrix::new(&part.state.norm, count, width),
        );
        keep = true;
    }
    for part in parts {
        for (&token, row) in part.tokens.iter().zip(part.d_residual.chunks_exact(width)) {
            let token = usize::from(token);
            if rows.contains(&token) {
                add_into(&mut target[(token - rows.start) * width..][..width], row);
            }
        }
    }
}

impl Part {
    /// Input of a linear layer and the gradient of its result.
    fn linear(&self, linear: Linear, layer: usize) -> (&[f32], &[f32]) {
        let (block, kept) = (&self.state.blocks[layer], &self.blocks[layer]);
        match linear {
            Linear::Qkv => (&block.norm1, &block.qkv),
            Linear::Projection => (&block.attended, &kept.projection),
            Linear::Up => (&block.norm2, &block.slope),
            Linear::Down => (&block.activated, &kept.down),
        }
    }
}
