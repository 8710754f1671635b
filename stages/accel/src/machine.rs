//! The instruction set as software: carries out a program word by word, without any notion of time.
//!
//! It shares no code with the assembler or the integer model except [`Requant`], and says of every result
//! which operation of the program it belongs to.

use crate::fixed::{saturate16, saturate8, table_index, wrap24, Requant};
use crate::isa::*;
use crate::program::Program;
use crate::{AccelError, TraceEntry};

/// One result in the order in which the hardware gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// Index of the operation in the program's list.
    pub operation: usize,
    /// Word written; `None` for a logit.
    pub address: Option<u32>,
    /// Bytes written in that word, one bit each.
    pub strobe: u32,
    pub value: i16,
}

/// Result of one token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MachineStep {
    pub logits: Vec<i16>,
    pub best: u16,
    pub effects: Vec<Effect>,
}

/// Memory and registers between tokens.
pub struct Machine<'a> {
    program: &'a Program,
    hardware: Hardware,
    memory: Vec<u8>,
    position: usize,
}

#[derive(Default)]
struct Registers {
    pc: u32,
    x: u32,
    y: u32,
    w: u32,
    mode: Mode,
    count: u32,
    first: bool,
    last_tile: bool,
    /// The next word is the parameter of a skipped instruction.
    discard: bool,
    accumulators: Vec<i32>,
    total: i32,
    operation: usize,
}

impl<'a> Machine<'a> {
    /// A machine with the program loaded; memory outside the image holds `fill`.
    #[must_use]
    pub fn new(program: &'a Program, hardware: &Hardware, fill: impl FnMut() -> u8) -> Self {
        Self {
            program,
            hardware: *hardware,
            memory: program.memory(fill),
            position: 0,
        }
    }

    /// Starts an empty context.
    pub fn clear(&mut self) {
        self.position = 0;
    }

    /// Takes one token.
    ///
    /// # Errors
    /// [`AccelError::Program`] when the program faults, leaves its memory or does not end.
    pub fn step(&mut self, token: u16) -> Result<MachineStep, AccelError> {
        let lanes = self.hardware.lanes;
        let mut state = Registers {
            pc: self.program.info.entry,
            accumulators: vec![0; lanes],
            ..Registers::default()
        };
        let mut step = MachineStep::default();
        let longest = self.memory.len() / lanes * 4 + 1000;
        for _ in 0..longest {
            let start = state.pc;
            let word = self.read(&mut state.pc, true)?;
            if std::mem::take(&mut state.discard) {
                continue;
            }
            let operations = &self.program.info.operations;
            state.operation = operations
                .partition_point(|operation| operation.start <= start)
                .saturating_sub(1);
            match Instruction::decode(word) {
                Instruction::Mode(mode) => state.mode = mode,
                Instruction::Exec(exec) => {
                    if usize::from(exec.tile) > self.position / lanes {
                        state.discard = exec.run && state.mode.hold;
                        continue;
                    }
                    if exec.fault {
                        return Err(AccelError::Program(format!(
                            "the program stops at position {}",
                            self.position
                        )));
                    }
                    self.load_pointer(&mut state, &exec, token);
                    if exec.end {
                        self.position += 1;
                        return Ok(step);
                    }
                    if exec.run {
                        self.execute(&mut state, &exec, &mut step)?;
                    }
                }
            }
        }
        Err(AccelError::Program("the program does not end".into()))
    }

    fn load_pointer(&self, state: &mut Registers, exec: &Exec, token: u16) {
        let offset = match exec.offset {
            Offset::None => 0,
            Offset::Token2 => u32::from(token) * 2,
            Offset::Position2 => self.position as u32 * 2,
            Offset::Position => self.position as u32,
        };
        let address = exec.address | offset;
        match exec.pointer {
            Pointer::None => {}
            Pointer::X => state.x = address,
            Pointer::Y => state.y = address,
            Pointer::W => state.w = address,
        }
        state.first = exec.first;
        state.last_tile = usize::from(exec.tile) == self.position / self.hardware.lanes;
        state.count = if state.mode.count_position {
            (self.position / self.hardware.lanes) as u32
        } else {
            u32::from(exec.count)
        };
    }

    fn bytes(&self, address: u32) -> Result<&[u8], AccelError> {
        let lanes = self.hardware.lanes;
        let at = address as usize * lanes;
        self.memory.get(at..at + lanes).ok_or_else(|| {
            let words = self.memory.len() / lanes;
            AccelError::Program(format!(
                "word {address} is outside the memory of {words} words"
            ))
        })
    }

    fn read(&self, pointer: &mut u32, advance: bool) -> Result<u64, AccelError> {
        let bytes = self.bytes(*pointer)?;
        let mut low = [0; 8];
        low.copy_from_slice(&bytes[..8]);
        *pointer += u32::from(advance);
        Ok(u64::from_le_bytes(low))
    }

    fn execute(
        &mut self,
        state: &mut Registers,
        exec: &Exec,
        step: &mut MachineStep,
    ) -> Result<(), AccelError> {
        if state.mode.mac {
            self.accumulate(state)?;
        }
        let lanes = self.hardware.lanes;
        match state.mode.looping {
            Loop::None => {}
            Loop::Scalar => self.element(state, exec, 0, true, state.total, step)?,
            Loop::Drain => {
                for lane in 0..lanes {
                    let sum = state.accumulators[lane];
                    self.element(state, exec, lane, lane + 1 == lanes, sum, step)?;
                }
                state.accumulators.fill(0);
            }
            Loop::Vector => {
                let count = (state.count as usize + 1) * lanes;
                for index in 0..count {
                    let half = index % (lanes / 2);
                    let x = half_at(self.bytes(state.x)?, half);
                    state.x += u32::from(half + 1 == lanes / 2);
                    self.element(
                        state,
                        exec,
                        index % lanes,
                        index + 1 == count,
                        i32::from(x) << 8,
                        step,
                    )?;
                }
            }
        }
        Ok(())
    }

    fn accumulate(&self, state: &mut Registers) -> Result<(), AccelError> {
        let lanes = self.hardware.lanes;
        for _ in 0..=state.count {
            let activations = self.bytes(state.x)?.to_vec();
            state.x += 1;
            for &activation in &activations {
                let pointer = if state.mode.weights_at_w {
                    &mut state.w
                } else {
                    &mut state.pc
                };
                let weights = self.bytes(*pointer)?;
                *pointer += 1;
                for (accumulator, &weight) in state.accumulators.iter_mut().zip(weights) {
                    *accumulator += i32::from(activation as i8) * i32::from(weight as i8);
                }
            }
        }
        debug_assert!(state.accumulators.len() == lanes);
        Ok(())
    }

    /// One row or element: one or two requantisations, then reduction and output.
    fn element(
        &mut self,
        state: &mut Registers,
        exec: &Exec,
        lane: usize,
        last: bool,
        a: i32,
        step: &mut MachineStep,
    ) -> Result<(), AccelError> {
        let mode = state.mode;
        let word = if mode.fixed {
            self.read(&mut state.w.clone(), false)?
        } else {
            let advance = !mode.hold || last;
            self.read(&mut state.pc, advance)?
        };
        let requant = Requant::decode(word);
        let multiplier = if mode.square {
            (a >> 8) as i16
        } else {
            requant.m
        };
        let mut sum = requant.scale_by(a, multiplier);
        if mode.second != Second::None {
            let result = saturate16(sum);
            let word = match mode.second {
                Second::Stream => self.read(&mut state.pc, true)?,
                _ => self.read(&mut ((state.w & !2047) | table_index(result) as u32), false)?,
            };
            sum = Requant::decode(word).scale(i32::from(result) << 8);
        }
        let halves = self.hardware.lanes / 2;
        let half = (lane + usize::from(mode.lane)) % halves;
        if mode.residual {
            sum += i32::from(half_at(self.bytes(state.y)?, half));
        }
        let masked = mode.mask && state.last_tile && lane > self.position % self.hardware.lanes;
        let real = lane <= usize::from(mode.last);
        if !masked && real {
            self.reduce(state, sum, step);
        }
        let value = match (masked, mode.out) {
            (true, _) => i16::MIN,
            (_, Out::Byte | Out::Column) => i16::from(saturate8(sum)),
            _ => saturate16(sum),
        };
        let effect = |address, strobe| Effect {
            operation: state.operation,
            address,
            strobe,
            value,
        };
        let (strobe, advance) = match mode.out {
            Out::None => return Ok(()),
            Out::Stream => {
                if real {
                    step.logits.push(value);
                    step.effects.push(effect(None, 0));
                }
                debug_assert!(!exec.last_group || lane < self.hardware.lanes);
                return Ok(());
            }
            Out::Byte => (1 << lane, lane + 1 == self.hardware.lanes),
            Out::Half => (3 << (2 * half), half + 1 == halves),
            Out::Column => (1 << (self.position % self.hardware.lanes), true),
        };
        step.effects.push(effect(Some(state.y), strobe));
        self.write(state.y, strobe, value)?;
        state.y += u32::from(advance);
        Ok(())
    }

    fn reduce(&self, state: &mut Registers, sum: i32, step: &mut MachineStep) {
        let greater = sum > state.total;
        let first = std::mem::take(&mut state.first);
        let replace = match state.mode.reduce {
            Reduce::None => first,
            Reduce::Sum => true,
            Reduce::Maximum => first || greater,
        };
        if replace {
            let start = first || state.mode.reduce == Reduce::Maximum;
            state.total = wrap24(if start {
                sum
            } else {
                state.total.wrapping_add(sum)
            });
        }
        if replace && state.mode.out == Out::Stream {
            step.best = step.logits.len() as u16;
        }
    }

    fn write(&mut self, address: u32, strobe: u32, value: i16) -> Result<(), AccelError> {
        self.bytes(address)?;
        let lanes = self.hardware.lanes;
        let at = address as usize * lanes;
        for byte in 0..lanes {
            if strobe >> byte & 1 != 0 {
                // Bytes go out on both halves, int16 as they are.
                let wide = strobe.count_ones() == 2;
                self.memory[at + byte] = if wide && byte % 2 == 1 {
                    (value >> 8) as u8
                } else {
                    value as u8
                };
            }
        }
        Ok(())
    }
}

fn half_at(bytes: &[u8], half: usize) -> i16 {
    i16::from_le_bytes([bytes[2 * half], bytes[2 * half + 1]])
}

/// Groups results by operation, without padding and temporaries: comparable with the integer model's trace.
#[must_use]
pub fn trace_of(program: &Program, effects: &[Effect]) -> Vec<TraceEntry> {
    let mut trace: Vec<TraceEntry> = Vec::new();
    let mut current = usize::MAX;
    let mut index = 0;
    for effect in effects {
        let Some(operation) = program.info.operations.get(effect.operation) else {
            continue;
        };
        if operation.name.is_empty() {
            continue;
        }
        if current != effect.operation {
            current = effect.operation;
            index = 0;
            trace.push(TraceEntry {
                name: operation.name.clone(),
                values: Vec::new(),
            });
        }
        if index % operation.padded < operation.real {
            if let Some(entry) = trace.last_mut() {
                entry.values.push(effect.value);
            }
        }
        index += 1;
    }
    trace
}

#[cfg(test)]
mod tests;
