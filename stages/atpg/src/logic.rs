//! A cell's function compiled for speed: a stack program over 64 patterns, a truth table, and its prime implicants.

use nanoflow_netlist::function::Function;

/// Cells with more inputs than this are refused; hd has six at most (`mux4`).
pub(crate) const MAX_INPUTS: usize = 6;

/// Column i of a truth table of six variables.
const COLUMNS: [u64; MAX_INPUTS] = [
    0xAAAA_AAAA_AAAA_AAAA,
    0xCCCC_CCCC_CCCC_CCCC,
    0xF0F0_F0F0_F0F0_F0F0,
    0xFF00_FF00_FF00_FF00,
    0xFFFF_0000_FFFF_0000,
    0xFFFF_FFFF_0000_0000,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Input(u8),
    Constant(bool),
    Not,
    And,
    Or,
    Xor,
}

/// A function of at most [`MAX_INPUTS`] inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logic {
    steps: Vec<Step>,
    inputs: usize,
}

/// A product term: the input patterns that agree with `value` where `care` has a one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cube {
    pub care: u8,
    pub value: u8,
}

impl Logic {
    /// Compiles `function`; `position` gives the place of a pin among the inputs.
    /// `None` when a pin has no place or there are too many.
    pub(crate) fn compile(
        function: &Function,
        inputs: usize,
        position: &dyn Fn(&str) -> Option<usize>,
    ) -> Option<Self> {
        let mut steps = Vec::new();
        (inputs <= MAX_INPUTS && push(function, position, &mut steps))
            .then_some(Self { steps, inputs })
    }

    /// The value for 64 patterns; `input(i)` is the word of input i.
    pub(crate) fn evaluate(&self, input: impl Fn(usize) -> u64) -> u64 {
        // The depth of a cell's function is a handful; `compile` refuses more than the stack holds.
        let mut stack = [0_u64; STACK];
        let mut top = 0;
        for step in &self.steps {
            match *step {
                Step::Input(index) => {
                    stack[top] = input(usize::from(index));
                    top += 1;
                }
                Step::Constant(value) => {
                    stack[top] = if value { u64::MAX } else { 0 };
                    top += 1;
                }
                Step::Not => stack[top - 1] = !stack[top - 1],
                Step::And => {
                    top -= 1;
                    stack[top - 1] &= stack[top];
                }
                Step::Or => {
                    top -= 1;
                    stack[top - 1] |= stack[top];
                }
                Step::Xor => {
                    top -= 1;
                    stack[top - 1] ^= stack[top];
                }
            }
        }
        stack[0]
    }

    fn mask(&self) -> u64 {
        match self.inputs {
            MAX_INPUTS => u64::MAX,
            inputs => (1_u64 << (1_u32 << inputs)) - 1,
        }
    }

    /// Bit k is the value for the pattern whose bit i is input i.
    pub(crate) fn table(&self) -> u64 {
        self.evaluate(|index| COLUMNS[index]) & self.mask()
    }

    /// The truth table with one input held at a value.
    pub(crate) fn table_with(&self, held: usize, value: bool) -> u64 {
        let constant = if value { u64::MAX } else { 0 };
        self.evaluate(|index| {
            if index == held {
                constant
            } else {
                COLUMNS[index]
            }
        }) & self.mask()
    }

    /// The truth table of a constant output.
    pub(crate) fn constant_table(&self, value: bool) -> u64 {
        if value {
            self.mask()
        } else {
            0
        }
    }

    /// All prime implicants of the function (`value` true) or of its inverse.
    pub(crate) fn primes(&self, value: bool) -> Vec<Cube> {
        let rows = 1_u32 << self.inputs;
        let table = if value {
            self.table()
        } else {
            !self.table() & self.mask()
        };
        let holds = |cube: Cube| {
            (0..rows).all(|row| {
                u32::from(cube.value) != row & u32::from(cube.care) || table >> row & 1 == 1
            })
        };
        let mut implicants = Vec::new();
        for care in 0..rows {
            // Every subset of `care` is a value, counted down through the subsets.
            let mut value = care;
            loop {
                let cube = Cube {
                    care: care as u8,
                    value: value as u8,
                };
                if holds(cube) {
                    implicants.push(cube);
                }
                if value == 0 {
                    break;
                }
                value = (value - 1) & care;
            }
        }
        let covers = |big: &Cube, small: &Cube| {
            big != small && big.care & !small.care == 0 && small.value & big.care == big.value
        };
        let mut primes: Vec<Cube> = implicants
            .iter()
            .copied()
            .filter(|cube| !implicants.iter().any(|other| covers(other, cube)))
            .collect();
        primes.sort_unstable();
        primes
    }
}

const STACK: usize = 16;

/// Appends the program of `function`; false when it cannot be compiled.
fn push(
    function: &Function,
    position: &dyn Fn(&str) -> Option<usize>,
    steps: &mut Vec<Step>,
) -> bool {
    fn walk(
        function: &Function,
        position: &dyn Fn(&str) -> Option<usize>,
        depth: usize,
        steps: &mut Vec<Step>,
    ) -> bool {
        if depth >= STACK {
            return false;
        }
        let all = |terms: &[Function], step: Step, steps: &mut Vec<Step>| {
            terms.iter().enumerate().all(|(index, term)| {
                let done = walk(term, position, depth + usize::from(index > 0), steps);
                if index > 0 {
                    steps.push(step);
                }
                done
            })
        };
        match function {
            Function::Constant(value) => {
                steps.push(Step::Constant(*value));
                true
            }
            Function::Pin(name) => match position(name) {
                Some(index) if index < MAX_INPUTS => {
                    steps.push(Step::Input(index as u8));
                    true
                }
                _ => false,
            },
            Function::Not(inner) => {
                let done = walk(inner, position, depth, steps);
                steps.push(Step::Not);
                done
            }
            Function::And(terms) => all(terms, Step::And, steps),
            Function::Or(terms) => all(terms, Step::Or, steps),
            Function::Xor(left, right) => {
                let done =
                    walk(left, position, depth, steps) && walk(right, position, depth + 1, steps);
                steps.push(Step::Xor);
                done
            }
        }
    }
    walk(function, position, 0, steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logic(text: &str) -> Logic {
        let function = Function::parse(text).expect("a function");
        let names: Vec<String> = function.pins().iter().map(ToString::to_string).collect();
        let place = |name: &str| names.iter().position(|other| other == name);
        Logic::compile(&function, names.len(), &place).expect("small enough")
    }

    #[test]
    fn tables_and_primes_of_known_functions() {
        assert_eq!(logic("A & B").table(), 0b1000);
        assert_eq!(logic("!(A | B)").table(), 0b0001);
        assert_eq!(logic("A ^ B ^ C").table(), 0b1001_0110);
        assert_eq!(logic("A & B").table_with(0, true), 0b1100);
        assert_eq!(logic("(A&B)|(B&C)|(A&C)").primes(true).len(), 3);
        assert_eq!(logic("A ^ B ^ C").primes(false).len(), 4);
        assert_eq!(
            logic("A & B").primes(false),
            [Cube { care: 1, value: 0 }, Cube { care: 2, value: 0 }]
        );
        // The consensus term of a multiplexer is a prime too.
        assert_eq!(logic("(A&!S)|(B&S)").primes(true).len(), 3);
    }

    #[test]
    fn primes_cover_exactly_the_function() {
        for text in [
            "(A1&A2)|B1",
            "(A0&!S0&!S1)|(A1&S0&!S1)|(A2&!S0&S1)|(A3&S0&S1)",
            "1",
            "!A",
        ] {
            let logic = logic(text);
            let rows = 1_u64 << logic.inputs;
            for value in [false, true] {
                let primes = logic.primes(value);
                for row in 0..rows {
                    let covered = primes
                        .iter()
                        .any(|cube| row & u64::from(cube.care) == u64::from(cube.value));
                    assert_eq!(
                        covered,
                        (logic.table() >> row & 1 == 1) == value,
                        "{text} row {row}"
                    );
                }
            }
        }
    }
}
