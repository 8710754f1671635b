//! Where things lie in memory, and whether they fit.

use std::collections::BTreeMap;

use crate::fixed::Table;
use crate::isa::Hardware;
use crate::{AccelError, IntModel};

/// Refuses a model that exceeds the hardware.
pub(super) fn check_limits(
    model: &IntModel,
    hardware: &Hardware,
    map: &Map,
) -> Result<(), AccelError> {
    let dims = &model.dims;
    let lanes = hardware.lanes;
    let inner = dims.heads.iter().max().unwrap_or(&0) * pad(dims.head_dim, lanes);
    let longest = dims.width.max(dims.hidden).max(inner);
    let limits = [
        ("vector bytes", longest, lanes << hardware.count_bits),
        ("context", dims.block, (1 << hardware.position_bits) - 1),
        ("context / lanes", dims.block / lanes, 4095),
        ("vocabulary", dims.vocab, 65535),
        ("memory words", map.end as usize, 1 << hardware.address_bits),
    ];
    for (what, needed, limit) in limits {
        if needed > limit {
            return Err(AccelError::Program(format!(
                "the model needs {needed} {what}, the hardware has {limit}; change the hardware parameters of stage 'hls'"
            )));
        }
    }
    let matrices = model.layers.iter().flat_map(|layer| {
        let attention = layer.attention.iter().flat_map(|a| [&a.q, &a.k, &a.v]);
        attention.chain([&layer.o, &layer.up, &layer.down])
    });
    for matrix in matrices.chain([&model.head]) {
        let rows = matrix.weight.chunks(matrix.cols.max(1));
        let largest = rows
            .map(|row| row.iter().map(|&w| i64::from(w).abs()).sum::<i64>())
            .max()
            .unwrap_or(0);
        if largest * 128 >= 1 << (hardware.acc_bits - 1) {
            return Err(AccelError::Program(format!(
                "a row's sum may exceed {} bits; raise 'acc_bits'",
                hardware.acc_bits
            )));
        }
    }
    let scores = dims.head_dim.max(dims.block) as i64 * 128 * 128;
    if scores >= 1 << (hardware.acc_bits - 1) {
        return Err(AccelError::Program(format!(
            "attention sums may exceed {} bits; raise 'acc_bits'",
            hardware.acc_bits
        )));
    }
    Ok(())
}

/// Rounds up to whole groups.
pub(super) fn pad(count: usize, lanes: usize) -> usize {
    count.div_ceil(lanes) * lanes
}

fn align(address: u32, to: u32) -> u32 {
    address.div_ceil(to) * to
}

/// Word addresses.
#[derive(Debug, Clone, Default)]
pub(super) struct Map {
    pub(super) tables: BTreeMap<Table, u32>,
    /// The parameter that copies an element.
    pub(super) copy: u32,
    /// Parameter whose multiplier is computed.
    pub(super) normalise: u32,
    /// For each group of channels: vocab × 2 words, aligned so that 2 · token can be or-ed.
    pub(super) token: Vec<u32>,
    pub(super) position: Vec<u32>,
    pub(super) image_end: u32,
    pub(super) residual: u32,
    pub(super) normal: u32,
    pub(super) query: u32,
    pub(super) scores: u32,
    pub(super) weights: u32,
    pub(super) mix: u32,
    pub(super) hidden: u32,
    /// For each layer and head: tiles of positions × channels.
    pub(super) keys: Vec<Vec<u32>>,
    /// For each layer and head and group of channels: positions, aligned so that a position can be or-ed.
    pub(super) values: Vec<Vec<Vec<u32>>>,
    pub(super) end: u32,
}

impl Map {
    pub(super) fn new(model: &IntModel, lanes: usize, stream: u32, tables: &[Table]) -> Self {
        let dims = &model.dims;
        let mut at = stream;
        let mut place = |size: usize, alignment: usize| {
            let start = align(at, alignment as u32);
            at = start.saturating_add(size as u32);
            start
        };
        let mut map = Self {
            copy: place(1, 1),
            ..Self::default()
        };
        map.normalise = place(model.layers.len() * 2 + 1, 1);
        for table in tables {
            if !map.tables.contains_key(table) {
                let start = place(crate::fixed::TABLE_ENTRIES, crate::fixed::TABLE_ENTRIES);
                map.tables.insert(table.clone(), start);
            }
        }
        let groups = dims.width.div_ceil(lanes);
        let context = pad(dims.block, lanes);
        for _ in 0..groups {
            map.token
                .push(place(2 * dims.vocab, (2 * dims.vocab).next_power_of_two()));
        }
        for _ in 0..groups {
            map.position
                .push(place(2 * context, (2 * context).next_power_of_two()));
        }
        map.image_end = place(0, 1);
        let head_groups = dims.head_dim.div_ceil(lanes);
        let heads = *dims.heads.iter().max().unwrap_or(&0);
        map.residual = place(2 * groups, 1);
        map.normal = place(groups, 1);
        map.query = place(heads * head_groups, 1);
        map.scores = place(2 * context / lanes, 1);
        map.weights = place(context / lanes, 1);
        map.mix = place(heads * head_groups, 1);
        map.hidden = place(dims.hidden.div_ceil(lanes), 1);
        for &heads in &dims.heads {
            map.keys.push(
                (0..heads)
                    .map(|_| place(context / lanes * head_groups * lanes, 1))
                    .collect(),
            );
            let mut head = || {
                (0..head_groups)
                    .map(|_| place(context, context.next_power_of_two()))
                    .collect()
            };
            map.values.push((0..heads).map(|_| head()).collect());
        }
        map.end = place(0, 1);
        map
    }

    pub(super) fn table(&self, table: &Table) -> u32 {
        self.tables.get(table).copied().unwrap_or(0)
    }
}
