//! The instruction set: two kinds of 64-bit words, and the limits that the hardware's parameters set.
//! `ISA.md` beside this crate describes what they do.

use crate::fixed::Requant;

/// Hardware parameters: everything the Verilog text depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hardware {
    /// Bytes of a memory word and int8 multipliers: 8 or 16.
    pub lanes: usize,
    /// Width of the accumulators, 24…32.
    pub acc_bits: u32,
    /// Bits of a word address, 18…32.
    pub address_bits: u32,
    /// Bits of a count of words: vectors have up to lanes · 2^`count_bits` bytes; at most 10.
    pub count_bits: u32,
    /// Bits of a position: contexts are shorter than 2^`position_bits`; at most 12.
    pub position_bits: u32,
}

impl Default for Hardware {
    fn default() -> Self {
        Self {
            lanes: 8,
            acc_bits: 24,
            address_bits: 24,
            count_bits: 10,
            position_bits: 12,
        }
    }
}

impl Hardware {
    /// Reads the `hardware.json` that stage `hls` leaves beside what it generates.
    ///
    /// # Errors
    /// [`AccelError::Io`](crate::AccelError::Io) or [`AccelError::File`](crate::AccelError::File).
    pub fn read(path: &std::path::Path) -> Result<Self, crate::AccelError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| crate::AccelError::io(path, error))?;
        let hardware: Self = serde_json::from_str(&text)
            .map_err(|error| crate::AccelError::file(path, error.to_string()))?;
        hardware.validate()?;
        Ok(hardware)
    }

    /// log2 of the lanes.
    #[must_use]
    pub fn lane_bits(&self) -> u32 {
        self.lanes.trailing_zeros()
    }

    /// Refuses parameters that the RTL does not support.
    ///
    /// # Errors
    /// [`AccelError::Program`](crate::AccelError::Program) that names the parameter.
    pub fn validate(&self) -> Result<(), crate::AccelError> {
        let checks = [
            ("lanes", self.lanes == 8 || self.lanes == 16, "8 or 16"),
            ("acc_bits", (24..=32).contains(&self.acc_bits), "24…32"),
            (
                "address_bits",
                (18..=32).contains(&self.address_bits),
                "18…32",
            ),
            ("count_bits", (9..=10).contains(&self.count_bits), "9 or 10"),
            (
                "position_bits",
                (self.lane_bits() + 1..=12).contains(&self.position_bits),
                "log2(lanes) + 1…12",
            ),
        ];
        for (name, good, range) in checks {
            if !good {
                return Err(crate::AccelError::Program(format!(
                    "hardware parameter '{name}' must be {range}"
                )));
            }
        }
        if self.position_bits - self.lane_bits() > self.count_bits {
            return Err(crate::AccelError::Program(
                "'position_bits' − log2(lanes) must not exceed 'count_bits'".into(),
            ));
        }
        Ok(())
    }

    /// What the core's version register reads: "NF", lanes, instruction set.
    #[must_use]
    pub fn version(&self) -> u32 {
        0x4E46_0000 | (self.lanes as u32) << 8 | ISA_VERSION
    }
}

/// Version of the instruction set.
pub const ISA_VERSION: u32 = 1;

/// What an instruction loops over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Loop {
    #[default]
    None = 0,
    /// The accumulators, one row each.
    Drain = 1,
    /// int16 elements at X.
    Vector = 2,
    /// The reduction register, once.
    Scalar = 3,
}

/// Second stage of an element: another requantisation of the int16 result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Second {
    #[default]
    None = 0,
    /// Parameters from the instruction stream.
    Stream = 1,
    /// Parameters from the table at W, indexed by the result.
    Table = 2,
}

/// Where results go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Out {
    #[default]
    None = 0,
    /// int8, packed, at Y.
    Byte = 1,
    /// int16, packed, at Y, from half lane `lane` on.
    Half = 2,
    /// int8 at byte lane position mod lanes, one word a result.
    Column = 3,
    /// Logits stream.
    Stream = 4,
}

/// What the reduction register does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Reduce {
    #[default]
    None = 0,
    Sum = 1,
    Maximum = 2,
}

/// The mode register: how the following instructions work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mode {
    pub looping: Loop,
    /// Multiply and accumulate before the loop.
    pub mac: bool,
    /// Weights come from W instead of the instruction stream.
    pub weights_at_w: bool,
    /// One parameter of the instruction stream serves the whole loop.
    pub hold: bool,
    /// One parameter at W serves the whole loop.
    pub fixed: bool,
    pub second: Second,
    pub out: Out,
    pub reduce: Reduce,
    /// Rows past the position give −32768 and do not count.
    pub mask: bool,
    /// The int16 at Y is added before saturation.
    pub residual: bool,
    /// The multiplier is the element itself.
    pub square: bool,
    /// The count is position / lanes instead of the instruction's.
    pub count_position: bool,
    /// First half lane of int16 results.
    pub lane: u8,
    /// Last row that counts.
    pub last: u8,
}

/// A pointer register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Pointer {
    #[default]
    None = 0,
    X = 1,
    Y = 2,
    W = 3,
}

/// What is or-ed to the address of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Offset {
    #[default]
    None = 0,
    /// 2 · token.
    Token2 = 1,
    /// 2 · position.
    Position2 = 2,
    Position = 3,
}

/// Loads a pointer and carries out the mode's operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exec {
    pub run: bool,
    pub pointer: Pointer,
    pub offset: Offset,
    /// End of the token.
    pub end: bool,
    /// The reduction starts afresh.
    pub first: bool,
    /// Words or groups, less one.
    pub count: u16,
    /// Carried out only where position / lanes ≥ tile; else the next word, if it is a parameter, is skipped too.
    pub tile: u16,
    /// The last row is the last logit.
    pub last_group: bool,
    /// Stops with an error.
    pub fault: bool,
    pub address: u32,
}

/// A decoded instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instruction {
    Mode(Mode),
    Exec(Exec),
}

impl Mode {
    #[must_use]
    pub fn encode(self) -> u64 {
        let bit = |flag: bool, at: u32| u64::from(flag) << at;
        1 | (self.looping as u64) << 4
            | bit(self.mac, 8)
            | bit(self.weights_at_w, 9)
            | bit(self.hold, 10)
            | bit(self.fixed, 11)
            | (self.second as u64) << 12
            | (self.out as u64) << 14
            | (self.reduce as u64) << 17
            | bit(self.mask, 19)
            | bit(self.residual, 20)
            | bit(self.square, 21)
            | bit(self.count_position, 22)
            | u64::from(self.lane & 15) << 23
            | u64::from(self.last & 15) << 27
    }
}

impl Exec {
    #[must_use]
    pub fn encode(self) -> u64 {
        let bit = |flag: bool, at: u32| u64::from(flag) << at;
        bit(self.run, 1)
            | (self.pointer as u64) << 2
            | (self.offset as u64) << 4
            | bit(self.end, 6)
            | bit(self.first, 7)
            | u64::from(self.count & 0x3ff) << 8
            | u64::from(self.tile & 0xfff) << 18
            | bit(self.last_group, 30)
            | bit(self.fault, 31)
            | u64::from(self.address) << 32
    }
}

impl Instruction {
    /// Every word is an instruction, as in the hardware; undefined field values read as the last defined one.
    #[must_use]
    pub fn decode(word: u64) -> Self {
        let bit = |at: u32| word >> at & 1 != 0;
        let field = |at: u32, bits: u32| word >> at & ((1 << bits) - 1);
        if !bit(0) {
            return Self::Exec(Exec {
                run: bit(1),
                pointer: [Pointer::None, Pointer::X, Pointer::Y, Pointer::W][field(2, 2) as usize],
                offset: [
                    Offset::None,
                    Offset::Token2,
                    Offset::Position2,
                    Offset::Position,
                ][field(4, 2) as usize],
                end: bit(6),
                first: bit(7),
                count: field(8, 10) as u16,
                tile: field(18, 12) as u16,
                last_group: bit(30),
                fault: bit(31),
                address: (word >> 32) as u32,
            });
        }
        Self::Mode(Mode {
            looping: [Loop::None, Loop::Drain, Loop::Vector, Loop::Scalar][field(4, 2) as usize],
            mac: bit(8),
            weights_at_w: bit(9),
            hold: bit(10),
            fixed: bit(11),
            second: [Second::None, Second::Stream, Second::Table, Second::Table]
                [field(12, 2) as usize],
            out: match field(14, 3) {
                0 => Out::None,
                1 => Out::Byte,
                2 => Out::Half,
                3 => Out::Column,
                _ => Out::Stream,
            },
            reduce: [Reduce::None, Reduce::Sum, Reduce::Maximum, Reduce::Maximum]
                [field(17, 2) as usize],
            mask: bit(19),
            residual: bit(20),
            square: bit(21),
            count_position: bit(22),
            lane: field(23, 4) as u8,
            last: field(27, 4) as u8,
        })
    }
}

impl Requant {
    /// The parameter word: `m` in bytes 0–1, `s` in byte 4, `b` in bytes 5–7.
    #[must_use]
    pub fn encode(self) -> u64 {
        u64::from(self.m as u16)
            | u64::from(self.s & 15) << 32
            | u64::from(self.b as u32 & 0xff_ffff) << 40
    }

    #[must_use]
    pub fn decode(word: u64) -> Self {
        Self {
            m: word as u16 as i16,
            s: (word >> 32 & 15) as u8,
            b: (word as i64 >> 40) as i32,
        }
    }
}

/// Half lane of a parameter word where `m` lies, and where the upper 16 bits of `b` lie.
pub const MULTIPLIER_LANE: u8 = 0;
pub const OFFSET_LANE: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_decode_to_what_was_encoded() {
        let mode = Mode {
            looping: Loop::Vector,
            mac: true,
            hold: true,
            second: Second::Table,
            out: Out::Stream,
            reduce: Reduce::Maximum,
            residual: true,
            count_position: true,
            lane: 3,
            last: 7,
            ..Mode::default()
        };
        assert_eq!(Instruction::decode(mode.encode()), Instruction::Mode(mode));
        let exec = Exec {
            run: true,
            pointer: Pointer::W,
            offset: Offset::Position,
            first: true,
            count: 1023,
            tile: 4095,
            last_group: true,
            address: 0xdead_beef,
            ..Exec::default()
        };
        assert_eq!(Instruction::decode(exec.encode()), Instruction::Exec(exec));
        let requant = Requant {
            m: -12345,
            b: -4_000_000,
            s: 13,
        };
        assert_eq!(Requant::decode(requant.encode()), requant);
    }
}
