//! Compares the test bench's log with what is expected.

use super::{describe, Expected, Outcome};
use crate::machine::Effect;
use crate::program::Program;
use crate::AccelError;

/// Position in the expected results.
struct Comparison<'a> {
    program: &'a Program,
    expected: &'a [Expected],
    outcome: Outcome,
    /// Next effect of the current token.
    effect: usize,
    logits: usize,
}

pub(super) fn compare(
    program: &Program,
    expected: &[Expected],
    text: &str,
) -> Result<Outcome, AccelError> {
    let mut comparison = Comparison {
        program,
        expected,
        outcome: Outcome::default(),
        effect: 0,
        logits: 0,
    };
    for (number, line) in text.lines().enumerate() {
        let bad = || {
            AccelError::Tool(format!(
                "line {} of the simulation's log cannot be read: '{line}'",
                number + 1
            ))
        };
        if let Some(reason) = line.strip_prefix("E ") {
            let token = comparison.token_name();
            comparison.differ(format!("{token}: {reason}"));
            return Ok(comparison.outcome);
        }
        let mut parts = line.split(' ');
        let kind = parts.next().unwrap_or_default();
        // Unknown values ('x') of a four-valued simulator are differences too: they become a number that nothing equals.
        let numbers: Vec<u64> = parts
            .map(|part| u64::from_str_radix(part, 16).unwrap_or(u64::MAX))
            .collect();
        match (kind, numbers.as_slice()) {
            ("W", &[address, strobe, data]) => comparison.write(address, strobe, data),
            ("L", &[value, last]) => comparison.logit(value, last),
            ("T", &[cycles, best, position, status]) => {
                comparison.end(cycles, best, position, status)
            }
            _ => return Err(bad()),
        }
    }
    if comparison.outcome.tokens < expected.len() {
        let token = comparison.token_name();
        comparison.differ(format!(
            "{token}: the simulation ended before this token was done"
        ));
    }
    Ok(comparison.outcome)
}

impl Comparison<'_> {
    fn current(&self) -> Option<&Expected> {
        self.expected.get(self.outcome.tokens)
    }

    fn token_name(&self) -> String {
        self.current().map_or_else(
            || "after the last token".to_string(),
            |expected| expected.name.clone(),
        )
    }

    fn differ(&mut self, text: String) {
        self.outcome.mismatches += 1;
        self.outcome.first_difference.get_or_insert(text);
    }

    /// Compares the next effect, skipping logits that the stream does not carry in argmax mode.
    fn next_effect(&mut self, found: Effect, mask: u64, raw: u64) {
        self.outcome.compared += 1;
        let Some(current) = self.current() else {
            return self.differ("a result after the last token".into());
        };
        let effects = &current.machine.effects;
        let mut index = self.effect;
        while current.argmax
            && effects
                .get(index)
                .is_some_and(|effect| effect.address.is_none())
        {
            index += 1;
        }
        let same = effects.get(index).is_some_and(|expected| {
            let value = expected.value as u16 as u64;
            expected.address == found.address
                && expected.strobe == found.strobe
                && value & mask == raw & mask
        });
        let text = (!same).then(|| {
            let place = describe(self.program, effects, index);
            let wanted = effects.get(index).map_or("nothing".into(), show);
            format!(
                "{}: {place}: expected {wanted}, found {}",
                current.name,
                show(&found)
            )
        });
        self.effect = index + 1;
        if let Some(text) = text {
            self.differ(text);
        }
    }

    fn write(&mut self, address: u64, strobe: u64, data: u64) {
        let wide = strobe.count_ones() == 2;
        // A byte stands in both halves of the 16 bits.
        let known = data <= 0xffff && (wide || data >> 8 == data & 0xff);
        let mask = if !known {
            u64::MAX
        } else if wide {
            0xffff
        } else {
            0xff
        };
        let value = if wide {
            data as i16
        } else {
            i16::from(data as i8)
        };
        let address = u32::try_from(address).ok();
        self.next_effect(
            Effect {
                operation: 0,
                address,
                strobe: strobe as u32,
                value,
            },
            mask,
            data,
        );
    }

    fn logit(&mut self, value: u64, last: u64) {
        let Some(current) = self.current() else {
            return self.differ("a logit after the last token".into());
        };
        let wanted_last = u64::from(self.logits + 1 == current.logits.len());
        if last != wanted_last {
            let text = format!(
                "{}: logit {}: expected tlast {wanted_last}, found {last}",
                current.name, self.logits
            );
            self.differ(text);
        }
        self.logits += 1;
        let Some(current) = self.current() else {
            return;
        };
        if current.argmax {
            let wanted = u64::from(current.best);
            let text = format!(
                "{}: index of the largest logit: expected {wanted}, found {value}",
                current.name
            );
            self.outcome.compared += 1;
            if value != wanted {
                self.differ(text);
            }
            return;
        }
        let effect = Effect {
            operation: 0,
            address: None,
            strobe: 0,
            value: value as u16 as i16,
        };
        self.next_effect(effect, u64::MAX, value);
    }

    fn end(&mut self, cycles: u64, best: u64, position: u64, status: u64) {
        let Some(current) = self.current() else {
            return self.differ("a token after the last".into());
        };
        let name = current.name.clone();
        let missing = current.machine.effects[self.effect.min(current.machine.effects.len())..]
            .iter()
            .filter(|effect| !current.argmax || effect.address.is_some())
            .count();
        let checks = [
            ("missing results", 0, missing as u64),
            ("index of the largest logit", u64::from(current.best), best),
            ("position", current.position, position),
            ("status", 0, status),
        ];
        for (what, wanted, found) in checks {
            if wanted != found {
                self.differ(format!("{name}: {what}: expected {wanted}, found {found}"));
            }
        }
        self.outcome.cycles.push(cycles);
        self.outcome.tokens += 1;
        self.effect = 0;
        self.logits = 0;
    }
}

fn show(effect: &Effect) -> String {
    match effect.address {
        Some(address) => format!(
            "{} at word {address:#x} bytes {:#b}",
            effect.value, effect.strobe
        ),
        None => format!("logit {}", effect.value),
    }
}
