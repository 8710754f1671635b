//! Turns an integer model into a program: layers and heads unrolled, parameters and weights in order of use.
//!
//! Memory: instruction stream at 0; tables; embeddings; then, not in the image, vectors and the cache of keys and values.

mod map;

use crate::fixed::{Requant, Table};
use crate::isa::*;
use crate::program::{Operation, Program, ProgramInfo};
use crate::{
    AccelError, IntAttention, IntLayer, IntLinear, IntModel, IntNorm, COPY, DISTANCE, HALF, WHOLE,
};
use map::{check_limits, pad, Map};

/// Assembles `model` for `hardware`.
///
/// # Errors
/// [`AccelError::Program`] that names the limit which the model exceeds.
pub fn assemble(model: &IntModel, hardware: &Hardware) -> Result<Program, AccelError> {
    hardware.validate()?;
    // The stream's length does not depend on the addresses in it: the first pass measures, the second writes.
    let first = Assembler::new(model, hardware, Map::default()).program()?;
    let map = Map::new(model, hardware.lanes, first.stream_words(), &first.tables);
    check_limits(model, hardware, &map)?;
    let second = Assembler::new(model, hardware, map).program()?;
    Ok(second.finish())
}

struct Assembler<'a> {
    model: &'a IntModel,
    lanes: usize,
    map: Map,
    stream: Vec<u8>,
    operations: Vec<Operation>,
    /// Tables in order of first use.
    tables: Vec<Table>,
    /// Templates of the computed normalisation parameters.
    normalises: Vec<Requant>,
}

impl<'a> Assembler<'a> {
    fn new(model: &'a IntModel, hardware: &Hardware, map: Map) -> Self {
        let lanes = hardware.lanes;
        Self {
            model,
            lanes,
            map,
            stream: Vec::new(),
            operations: Vec::new(),
            tables: Vec::new(),
            normalises: Vec::new(),
        }
    }

    fn stream_words(&self) -> u32 {
        (self.stream.len() / self.lanes) as u32
    }

    fn program(mut self) -> Result<Self, AccelError> {
        let model = self.model;
        let limit = model.dims.block.div_ceil(self.lanes) as u16;
        self.exec(Exec {
            fault: true,
            tile: limit,
            ..Exec::default()
        });
        self.embedding();
        for (index, layer) in model.layers.iter().enumerate() {
            self.layer(index, layer);
        }
        self.norm("final norm", &model.norm);
        self.head(&model.head);
        self.exec(Exec {
            end: true,
            ..Exec::default()
        });
        Ok(self)
    }

    // ---- words

    fn word(&mut self, word: u64) {
        self.stream.extend(word.to_le_bytes());
        self.stream.resize(self.stream.len() + self.lanes - 8, 0);
    }

    fn mode(&mut self, mode: Mode) {
        let last = if mode.last == 0 {
            (self.lanes - 1) as u8
        } else {
            mode.last
        };
        self.word(Mode { last, ..mode }.encode());
    }

    fn exec(&mut self, exec: Exec) {
        self.word(exec.encode());
    }

    fn point(&mut self, pointer: Pointer, address: u32) {
        self.exec(Exec {
            pointer,
            address,
            ..Exec::default()
        });
    }

    fn parameter(&mut self, requant: Requant) {
        self.word(requant.encode());
    }

    fn use_table(&mut self, table: &Table) {
        self.tables.push(table.clone());
        self.point(Pointer::W, self.map.table(table));
    }

    fn operation(&mut self, name: &str, real: usize, padded: usize) {
        self.operations.push(Operation {
            name: name.to_string(),
            start: self.stream_words(),
            real,
            padded,
        });
    }

    fn plain_operation(&mut self, name: &str) {
        self.operation(name, 1, 1);
    }

    /// An operation on the residual's or another vector's channels, padded to whole groups.
    fn vector_operation(&mut self, name: &str, channels: usize) {
        self.operation(name, channels, pad(channels, self.lanes));
    }

    // ---- operations

    fn embedding(&mut self) {
        let groups = self.map_len(self.model.dims.width);
        let mode = Mode {
            looping: Loop::Vector,
            fixed: true,
            out: Out::Half,
            ..Mode::default()
        };
        self.plain_operation("");
        self.point(Pointer::W, self.map.copy);
        for (residual, offset) in [(false, Offset::Token2), (true, Offset::Position2)] {
            if residual {
                self.vector_operation("embedding", self.model.dims.width);
            }
            self.mode(Mode { residual, ..mode });
            self.point(Pointer::Y, self.map.residual);
            for group in 0..groups {
                let table = if residual {
                    &self.map.position
                } else {
                    &self.map.token
                };
                let address = table.get(group).copied().unwrap_or(0);
                self.exec(Exec {
                    run: true,
                    pointer: Pointer::X,
                    offset,
                    address,
                    ..Exec::default()
                });
            }
        }
    }

    fn map_len(&self, channels: usize) -> usize {
        channels.div_ceil(self.lanes)
    }

    fn layer(&mut self, index: usize, layer: &IntLayer) {
        let name = |part: &str| format!("layer {index} / {part}");
        let width = self.model.dims.width;
        if let Some(attention) = &layer.attention {
            self.norm(&name("norm1"), &layer.norm1);
            self.attention(index, attention);
        }
        let (heads, head_dim) = layer
            .attention
            .as_ref()
            .map_or((0, 0), |a| (a.heads, a.head_dim));
        let output = spread_columns(&layer.o, heads, head_dim, self.lanes);
        self.vector_operation(&name("attention residual"), width);
        self.add_to_residual(&output, self.map.mix);
        self.norm(&name("norm2"), &layer.norm2);
        self.vector_operation(&name("gelu"), layer.up.rows);
        self.use_table(&layer.gelu);
        self.point(Pointer::Y, self.map.hidden);
        self.mode(Mode {
            looping: Loop::Drain,
            mac: true,
            second: Second::Table,
            out: Out::Byte,
            ..Mode::default()
        });
        self.matrix(&layer.up, self.map.normal, |_, exec| exec);
        self.vector_operation(&name("residual"), width);
        self.add_to_residual(&layer.down, self.map.hidden);
    }

    fn norm(&mut self, name: &str, norm: &IntNorm) {
        let count = (self.map_len(self.model.dims.width) - 1) as u16;
        let over_residual = Exec {
            run: true,
            pointer: Pointer::X,
            address: self.map.residual,
            first: true,
            count,
            ..Exec::default()
        };
        let computed = self.map.normalise + self.normalises.len() as u32;
        self.normalises.push(norm.normalise);
        self.plain_operation("");
        self.mode(Mode {
            looping: Loop::Vector,
            hold: true,
            square: true,
            reduce: Reduce::Sum,
            ..Mode::default()
        });
        self.exec(over_residual);
        self.parameter(norm.square);
        let table = &self.model.inverse_root;
        self.use_table(table);
        self.scalar(computed, MULTIPLIER_LANE, Second::Table, norm.variance);
        self.vector_operation(name, self.model.dims.width);
        self.point(Pointer::W, computed);
        self.point(Pointer::Y, self.map.normal);
        self.mode(Mode {
            looping: Loop::Vector,
            fixed: true,
            second: Second::Stream,
            out: Out::Byte,
            ..Mode::default()
        });
        self.exec(over_residual);
        for row in 0..pad(norm.channel.len(), self.lanes) {
            self.parameter(norm.channel.get(row).copied().unwrap_or_default());
        }
    }

    /// Writes a function of the reduction register into the parameter at `address`.
    fn scalar(&mut self, address: u32, lane: u8, second: Second, requant: Requant) {
        self.mode(Mode {
            looping: Loop::Scalar,
            second,
            out: Out::Half,
            lane,
            ..Mode::default()
        });
        self.exec(Exec {
            run: true,
            pointer: Pointer::Y,
            address,
            ..Exec::default()
        });
        self.parameter(requant);
    }

    /// All row groups of a matrix in the current mode; `adjust` may change a group's instruction.
    fn matrix(&mut self, matrix: &IntLinear, x: u32, adjust: impl Fn(usize, Exec) -> Exec) {
        for group in 0..self.map_len(matrix.rows) {
            self.row_group(matrix, group, x, &adjust);
        }
    }

    fn row_group(
        &mut self,
        matrix: &IntLinear,
        group: usize,
        x: u32,
        adjust: impl Fn(usize, Exec) -> Exec,
    ) {
        let words = self.map_len(matrix.cols);
        let count = words.saturating_sub(1) as u16;
        let exec = Exec {
            run: true,
            pointer: Pointer::X,
            address: x,
            count,
            ..Exec::default()
        };
        self.exec(adjust(group, exec));
        let rows = group * self.lanes..(group + 1) * self.lanes;
        for col in 0..words * self.lanes {
            for row in rows.clone() {
                let inside = row < matrix.rows && col < matrix.cols;
                self.stream.push(if inside {
                    matrix.weight[row * matrix.cols + col] as u8
                } else {
                    0
                });
            }
        }
        for row in rows {
            self.parameter(matrix.requant.get(row).copied().unwrap_or_default());
        }
    }

    fn add_to_residual(&mut self, matrix: &IntLinear, x: u32) {
        self.point(Pointer::Y, self.map.residual);
        let mac = matrix.cols > 0;
        self.mode(Mode {
            looping: Loop::Drain,
            mac,
            out: Out::Half,
            residual: true,
            ..Mode::default()
        });
        self.matrix(matrix, x, |_, exec| exec);
    }

    fn attention(&mut self, index: usize, attention: &IntAttention) {
        let name = |part: &str| format!("layer {index} / {part}");
        let (heads, dim, normal) = (attention.heads, attention.head_dim, self.map.normal);
        let groups = self.map_len(dim);
        let tiles = self.map_len(self.model.dims.block);
        let drain = Mode {
            looping: Loop::Drain,
            mac: true,
            ..Mode::default()
        };

        self.vector_operation(&name("q"), dim);
        self.point(Pointer::Y, self.map.query);
        self.mode(Mode {
            out: Out::Byte,
            ..drain
        });
        self.matrix(
            &spread_rows(&attention.q, heads, dim, self.lanes),
            normal,
            |_, exec| exec,
        );

        self.vector_operation(&name("k"), dim);
        self.mode(Mode {
            out: Out::Column,
            ..drain
        });
        let keys = spread_rows(&attention.k, heads, dim, self.lanes);
        for head in 0..heads {
            // The last of these that is carried out, the position's own tile, stays.
            for tile in 0..tiles {
                let address = self.key_tile(index, head, tile, groups);
                self.exec(Exec {
                    pointer: Pointer::Y,
                    address,
                    tile: tile as u16,
                    ..Exec::default()
                });
            }
            for group in 0..groups {
                self.row_group(&keys, head * groups + group, normal, |_, exec| exec);
            }
        }

        self.vector_operation(&name("v"), dim);
        self.mode(Mode {
            out: Out::Byte,
            ..drain
        });
        let values = spread_rows(&attention.v, heads, dim, self.lanes);
        for head in 0..heads {
            for group in 0..groups {
                let address = self.value_group(index, head, group);
                self.exec(Exec {
                    pointer: Pointer::Y,
                    offset: Offset::Position,
                    address,
                    ..Exec::default()
                });
                self.row_group(&values, head * groups + group, normal, |_, exec| exec);
            }
        }
        for head in 0..heads {
            self.attention_head(index, head, attention);
        }
    }

    fn attention_head(&mut self, index: usize, head: usize, attention: &IntAttention) {
        let name = |part: &str| format!("layer {index} / head {head} {part}");
        let groups = self.map_len(attention.head_dim);
        let tiles = self.map_len(self.model.dims.block);
        let cached = Mode {
            looping: Loop::Drain,
            mac: true,
            weights_at_w: true,
            hold: true,
            ..Mode::default()
        };

        self.plain_operation(&name("scores"));
        self.mode(Mode {
            out: Out::Half,
            reduce: Reduce::Maximum,
            mask: true,
            ..cached
        });
        self.point(Pointer::W, self.key_tile(index, head, 0, groups));
        self.point(Pointer::Y, self.map.scores);
        let query = self.map.query + (head * groups) as u32;
        for tile in 0..tiles {
            let count = (groups - 1) as u16;
            let (first, tile) = (tile == 0, tile as u16);
            self.exec(Exec {
                run: true,
                pointer: Pointer::X,
                address: query,
                count,
                first,
                tile,
                ..Exec::default()
            });
            self.parameter(attention.score);
        }

        self.plain_operation("");
        // The parameter follows six words on: mode, instruction, parameter; table, Y, mode, instruction.
        let distance = self.stream_words() + 7;
        self.scalar(distance, OFFSET_LANE, Second::None, HALF);
        self.plain_operation(&name("weights"));
        self.use_table(&attention.exponential);
        self.point(Pointer::Y, self.map.weights);
        self.mode(Mode {
            looping: Loop::Vector,
            hold: true,
            second: Second::Table,
            out: Out::Byte,
            reduce: Reduce::Sum,
            count_position: true,
            ..Mode::default()
        });
        self.exec(Exec {
            run: true,
            pointer: Pointer::X,
            address: self.map.scores,
            first: true,
            ..Exec::default()
        });
        debug_assert_eq!(self.stream_words(), distance);
        self.parameter(DISTANCE);

        self.plain_operation("");
        self.use_table(&attention.reciprocal);
        // After `groups` scalars of three words come Y and mode, then for each group W, instruction and its parameter.
        let parameters = self.stream_words() + 3 * groups as u32 + 2;
        for group in 0..groups {
            self.scalar(
                parameters + 3 * group as u32 + 2,
                MULTIPLIER_LANE,
                Second::Table,
                WHOLE,
            );
        }
        self.vector_operation(&name("mix"), attention.head_dim);
        self.point(Pointer::Y, self.map.mix + (head * groups) as u32);
        self.mode(Mode {
            out: Out::Byte,
            count_position: true,
            ..cached
        });
        for group in 0..groups {
            self.point(Pointer::W, self.value_group(index, head, group));
            self.exec(Exec {
                run: true,
                pointer: Pointer::X,
                address: self.map.weights,
                ..Exec::default()
            });
            debug_assert_eq!(self.stream_words(), parameters + 3 * group as u32 + 2);
            self.parameter(attention.mix);
        }
    }

    fn key_tile(&self, layer: usize, head: usize, tile: usize, groups: usize) -> u32 {
        let base = self
            .map
            .keys
            .get(layer)
            .and_then(|heads| heads.get(head))
            .copied()
            .unwrap_or(0);
        base + (tile * groups * self.lanes) as u32
    }

    fn value_group(&self, layer: usize, head: usize, group: usize) -> u32 {
        let heads = self.map.values.get(layer).and_then(|heads| heads.get(head));
        heads
            .and_then(|groups| groups.get(group))
            .copied()
            .unwrap_or(0)
    }

    fn head(&mut self, head: &IntLinear) {
        self.plain_operation("logits");
        let groups = self.map_len(head.rows);
        let mode = Mode {
            looping: Loop::Drain,
            mac: true,
            out: Out::Stream,
            reduce: Reduce::Maximum,
            ..Mode::default()
        };
        self.mode(mode);
        let normal = self.map.normal;
        let flags = |group: usize, exec: Exec| Exec {
            first: group == 0,
            last_group: group + 1 == groups,
            ..exec
        };
        for group in 0..groups {
            let last = ((head.rows - 1) % self.lanes) as u8;
            if group + 1 == groups {
                self.word(Mode { last, ..mode }.encode());
            }
            self.row_group(head, group, normal, flags);
        }
    }

    // ---- image

    fn finish(self) -> Program {
        let lanes = self.lanes;
        let dims = &self.model.dims;
        let mut image = self.stream;
        image.resize(self.map.image_end as usize * lanes, 0);
        let mut put = |address: u32, requant: Requant| {
            let at = address as usize * lanes;
            image[at..at + 8].copy_from_slice(&requant.encode().to_le_bytes());
        };
        put(self.map.copy, COPY);
        for (index, &normalise) in self.normalises.iter().enumerate() {
            put(self.map.normalise + index as u32, normalise);
        }
        for (table, &address) in &self.map.tables {
            for (index, &entry) in table.entries().iter().enumerate() {
                put(address + index as u32, entry);
            }
        }
        let mut put_rows = |bases: &[u32], table: &[i16]| {
            for (index, &value) in table.iter().enumerate() {
                let (row, channel) = (index / dims.width, index % dims.width);
                let word = bases[channel / lanes] as usize + 2 * row;
                let at = word * lanes + channel % lanes * 2;
                image[at..at + 2].copy_from_slice(&value.to_le_bytes());
            }
        };
        put_rows(&self.map.token, &self.model.token);
        put_rows(&self.map.position, &self.model.position);
        let info = ProgramInfo {
            lanes,
            entry: 0,
            memory_words: self.map.end,
            vocab: dims.vocab,
            block: dims.block,
            operations: self.operations,
        };
        Program { info, image }
    }
}

/// Gives every head whole groups of rows.
fn spread_rows(matrix: &IntLinear, heads: usize, dim: usize, lanes: usize) -> IntLinear {
    let padded = pad(dim, lanes);
    let mut spread = IntLinear {
        rows: heads * padded,
        cols: matrix.cols,
        weight: vec![0; heads * padded * matrix.cols],
        requant: vec![Requant::default(); heads * padded],
    };
    for row in 0..heads * dim {
        let to = row / dim * padded + row % dim;
        spread.requant[to] = matrix.requant[row];
        let from = &matrix.weight[row * matrix.cols..(row + 1) * matrix.cols];
        spread.weight[to * matrix.cols..(to + 1) * matrix.cols].copy_from_slice(from);
    }
    spread
}

/// Gives every head whole groups of columns.
fn spread_columns(matrix: &IntLinear, heads: usize, dim: usize, lanes: usize) -> IntLinear {
    let padded = pad(dim, lanes);
    let cols = heads * padded;
    let mut weight = vec![0; matrix.rows * cols];
    for row in 0..matrix.rows {
        for col in 0..matrix.cols {
            weight[row * cols + col / dim * padded + col % dim] =
                matrix.weight[row * matrix.cols + col];
        }
    }
    IntLinear {
        rows: matrix.rows,
        cols,
        weight,
        requant: matrix.requant.clone(),
    }
}
