//! From the fault list to a small set of patterns that detects all that can be detected.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::circuit::Circuit;
use crate::faults::{Fault, FaultList};
use crate::sat::{Answer, Prover};
use crate::simulate::Simulator;

/// A value for each source, in the order of [`Circuit::sources`].
pub(crate) type Pattern = Vec<bool>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Open,
    Detected,
    Redundant,
    Aborted,
}

pub(crate) struct Settings {
    pub seed: u64,
    /// Random words of 64 patterns at most.
    pub random_words: usize,
    /// Random patterns end after this many words that detect nothing new.
    pub idle_words: usize,
    /// Learnt clauses for one fault before it is given up.
    pub conflicts: u64,
}

pub(crate) struct Tests {
    pub patterns: Vec<Pattern>,
    /// One for each class of the fault list.
    pub status: Vec<Status>,
    /// Classes that random patterns detected, and calls of the solver.
    pub by_random: usize,
    pub solved: usize,
}

/// Generates the tests. `progress(done, total)` is told of classes.
///
/// # Errors
/// A pattern from the solver that the simulator does not see detect its fault: a fault of this program.
pub(crate) fn generate(
    circuit: &Circuit,
    list: &FaultList,
    settings: &Settings,
    progress: &mut dyn FnMut(usize, usize, &str),
) -> Result<Tests, String> {
    let mut generator = Generator {
        circuit,
        faults: list
            .classes
            .iter()
            .filter_map(|class| Some(&list.faults[*class.first()?]))
            .collect(),
        status: vec![Status::Open; list.classes.len()],
        patterns: Vec::new(),
        simulator: Simulator::new(circuit),
        random: ChaCha8Rng::seed_from_u64(settings.seed),
    };
    generator.random_phase(settings, progress);
    let by_random = generator.count(Status::Detected);
    let solved = generator.solver_phase(settings, progress)?;
    generator.compact(progress);
    Ok(Tests {
        patterns: generator.patterns,
        status: generator.status,
        by_random,
        solved,
    })
}

struct Generator<'a> {
    circuit: &'a Circuit,
    /// The fault that stands for each class.
    faults: Vec<&'a Fault>,
    status: Vec<Status>,
    patterns: Vec<Pattern>,
    simulator: Simulator<'a>,
    random: ChaCha8Rng,
}

impl Generator<'_> {
    fn count(&self, status: Status) -> usize {
        self.status.iter().filter(|other| **other == status).count()
    }

    fn random_phase(&mut self, settings: &Settings, progress: &mut dyn FnMut(usize, usize, &str)) {
        let mut idle = 0;
        for word in 0..settings.random_words {
            if idle >= settings.idle_words {
                break;
            }
            let sources = self.random_word(word);
            let useful = self.drop_detected(&sources);
            idle = if useful == 0 { idle + 1 } else { 0 };
            for k in (0..64).filter(|k| useful >> k & 1 == 1) {
                self.patterns
                    .push(sources.iter().map(|word| word >> k & 1 == 1).collect());
            }
            progress(
                self.count(Status::Detected),
                self.faults.len(),
                "random patterns",
            );
        }
    }

    /// 64 random patterns. Every other word gives each source a bias of its own, since a reset or an enable that is
    /// on half of the time hides what is behind it.
    fn random_word(&mut self, word: usize) -> Vec<u64> {
        let even = word % 2 == 0;
        (0..self.circuit.sources.len())
            .map(|_| {
                let (a, b, c): (u64, u64, u64) = (
                    self.random.random(),
                    self.random.random(),
                    self.random.random(),
                );
                let choice: u32 = self.random.random_range(0..4);
                match choice {
                    0 if !even => a & b & c,
                    1 if !even => a | b | c,
                    _ => a,
                }
            })
            .collect()
    }

    /// Simulates 64 patterns and marks what they detect; gives the patterns that were the first to detect something.
    fn drop_detected(&mut self, sources: &[u64]) -> u64 {
        self.simulator.load(sources);
        let mut useful = 0;
        for (fault, status) in self.faults.iter().zip(&mut self.status) {
            if *status != Status::Open {
                continue;
            }
            let detecting = self.simulator.detects(fault, true);
            if detecting != 0 {
                *status = Status::Detected;
                // A pattern that is kept anyway serves as well.
                let kept = detecting & useful;
                let pick = if kept != 0 { kept } else { detecting };
                useful |= pick & pick.wrapping_neg();
            }
        }
        useful
    }

    fn solver_phase(
        &mut self,
        settings: &Settings,
        progress: &mut dyn FnMut(usize, usize, &str),
    ) -> Result<usize, String> {
        let mut prover = Prover::new(self.circuit, settings.conflicts);
        let mut solved = 0;
        for class in 0..self.faults.len() {
            if self.status[class] != Status::Open {
                continue;
            }
            solved += 1;
            match prover.prove(self.faults[class]) {
                Answer::Redundant => self.status[class] = Status::Redundant,
                Answer::Unknown => self.status[class] = Status::Aborted,
                Answer::Test(values) => {
                    let pattern = self.filled(&values);
                    let words: Vec<u64> = pattern
                        .iter()
                        .map(|&bit| if bit { u64::MAX } else { 0 })
                        .collect();
                    self.simulator.load(&words);
                    if self.simulator.detects(self.faults[class], true) == 0 {
                        return Err(format!(
                            "the test found for {} does not detect it",
                            self.faults[class].name
                        ));
                    }
                    self.drop_detected(&words);
                    self.patterns.push(pattern);
                }
            }
            let done = self.faults.len() - self.count(Status::Open);
            progress(done, self.faults.len(), "satisfiability");
        }
        Ok(solved)
    }

    /// A pattern with the given values and random ones elsewhere.
    fn filled(&mut self, values: &[(usize, bool)]) -> Pattern {
        let mut pattern: Pattern = (0..self.circuit.sources.len())
            .map(|_| self.random.random())
            .collect();
        for &(place, value) in values {
            pattern[place] = value;
        }
        pattern
    }

    /// Static compaction: patterns are simulated again, last first and then in other orders, and only those stay that
    /// detect what none before them did.
    fn compact(&mut self, progress: &mut dyn FnMut(usize, usize, &str)) {
        for pass in 0..COMPACTION_PASSES {
            progress(pass, COMPACTION_PASSES, "compaction");
            self.patterns.reverse();
            if pass >= 2 {
                // Fisher-Yates.
                for i in (1..self.patterns.len()).rev() {
                    let j = self.random.random_range(0..=i);
                    self.patterns.swap(i, j);
                }
            }
            self.compact_once();
        }
    }

    fn compact_once(&mut self) {
        let mut open: Vec<usize> = (0..self.faults.len())
            .filter(|&class| self.status[class] == Status::Detected)
            .collect();
        let mut kept = Vec::new();
        for block in self.patterns.chunks(64) {
            let words: Vec<u64> = (0..self.circuit.sources.len())
                .map(|source| {
                    block.iter().enumerate().fold(0, |word, (k, pattern)| {
                        word | u64::from(pattern[source]) << k
                    })
                })
                .collect();
            let valid = if block.len() == 64 {
                u64::MAX
            } else {
                (1 << block.len()) - 1
            };
            self.simulator.load(&words);
            let mut useful = 0_u64;
            let mut rest = Vec::new();
            let mut found = Vec::new();
            for class in open {
                match self.simulator.detects(self.faults[class], false) & valid {
                    0 => rest.push(class),
                    detecting => found.push(detecting),
                }
            }
            // Faults that one pattern alone detects decide first; the others take what is kept anyway.
            found.sort_unstable_by_key(|detecting| (detecting.count_ones(), *detecting));
            for detecting in found {
                if detecting & useful == 0 {
                    useful |= detecting & detecting.wrapping_neg();
                }
            }
            kept.extend(
                (0..block.len())
                    .filter(|k| useful >> k & 1 == 1)
                    .map(|k| block[k].clone()),
            );
            open = rest;
        }
        self.patterns = kept;
    }
}

/// Three passes leave little to the fourth.
const COMPACTION_PASSES: usize = 3;
