//! A test for one fault, or the proof that there is none, by satisfiability (Larrabee 1992, with the active-path clauses of
//! TEGUS, Stephan et al. 1996).

use std::collections::BTreeMap;
use std::rc::Rc;

use batsat::{lbool, Callbacks, ClauseKind, Lit, Solver, SolverInterface, SolverOpts, Var};

use crate::circuit::{Circuit, GateIndex, Signal};
use crate::faults::{Fault, Site};
use crate::logic::Cube;

pub(crate) enum Answer {
    /// Values of the sources that matter, by place in [`Circuit::sources`].
    Test(Vec<(usize, bool)>),
    Redundant,
    /// Too many conflicts.
    Unknown,
}

/// Stops the solver after a number of learnt clauses, which makes the result independent of the machine's speed.
struct Budget {
    learnt: u64,
    limit: u64,
}

impl Callbacks for Budget {
    fn on_new_clause(&mut self, _: &[Lit], kind: ClauseKind) {
        self.learnt += u64::from(kind == ClauseKind::Learnt);
    }
    fn stop(&self) -> bool {
        self.learnt >= self.limit
    }
}

pub(crate) struct Prover<'a> {
    circuit: &'a Circuit,
    /// Prime implicants by (truth table, inputs): of the function and of its inverse.
    primes: BTreeMap<(u64, usize), Rc<[Vec<Cube>; 2]>>,
    source_place: Vec<Option<usize>>,
    conflicts: u64,
}

impl<'a> Prover<'a> {
    pub(crate) fn new(circuit: &'a Circuit, conflicts: u64) -> Self {
        let mut source_place = vec![None; circuit.signals];
        for (place, &(_, signal)) in circuit.sources.iter().enumerate() {
            source_place[signal] = Some(place);
        }
        Self {
            circuit,
            primes: BTreeMap::new(),
            source_place,
            conflicts,
        }
    }

    fn primes(&mut self, gate: GateIndex) -> Rc<[Vec<Cube>; 2]> {
        let gate = &self.circuit.gates[gate];
        let key = (gate.logic.table(), gate.inputs.len());
        let make = || Rc::new([gate.logic.primes(false), gate.logic.primes(true)]);
        self.primes.entry(key).or_insert_with(make).clone()
    }

    /// Looks for a test of a fault.
    pub(crate) fn prove(&mut self, fault: &Fault) -> Answer {
        let circuit = self.circuit;
        let starts: Vec<GateIndex> = match &fault.site {
            Site::Port(_) => Vec::new(),
            Site::Stem(signal) => circuit.readers[*signal].clone(),
            Site::Pin(reads) => reads.iter().map(|&(gate, _)| gate).collect(),
        };
        let cone = cone(circuit, &starts);
        let seen = match &fault.site {
            Site::Stem(signal) => circuit.observed[*signal],
            Site::Port(_) => true,
            Site::Pin(_) => false,
        };
        let reaches = seen
            || cone
                .iter()
                .any(|&gate| circuit.observed[circuit.gates[gate].output]);
        if !reaches {
            return Answer::Redundant;
        }
        let options = SolverOpts::default();
        let budget = Budget {
            learnt: 0,
            limit: self.conflicts,
        };
        let mut problem = Problem {
            solver: Solver::new(options, budget),
            good: vec![None; circuit.signals],
            bad: vec![None; circuit.signals],
            active: vec![None; circuit.signals],
            clause: Vec::new(),
        };
        self.encode_good(&mut problem, fault, &cone);
        self.encode_bad(&mut problem, fault, &cone, seen, &starts);
        match problem.solver.solve_limited(&[]) {
            status if status == lbool::TRUE => Answer::Test(self.read_test(&problem)),
            status if status == lbool::FALSE => Answer::Redundant,
            _ => Answer::Unknown,
        }
    }

    /// The fault-free circuit behind everything that the fault's cone reads.
    fn encode_good(&mut self, problem: &mut Problem, fault: &Fault, cone: &[GateIndex]) {
        let circuit = self.circuit;
        let mut needed = vec![false; circuit.signals];
        needed[fault.signal] = true;
        for &gate in cone {
            needed[circuit.gates[gate].output] = true;
            circuit.gates[gate]
                .inputs
                .iter()
                .for_each(|&input| needed[input] = true);
        }
        for index in (0..circuit.gates.len()).rev() {
            let gate = &circuit.gates[index];
            if needed[gate.output] {
                gate.inputs.iter().for_each(|&input| needed[input] = true);
            }
        }
        for (signal, _) in needed.iter().enumerate().filter(|(_, needed)| **needed) {
            problem.good[signal] = Some(problem.solver.new_var_default());
        }
        for (index, gate) in circuit.gates.iter().enumerate() {
            if let Some(output) = problem.good[gate.output] {
                let primes = self.primes(index);
                let literals: Vec<Term> = gate
                    .inputs
                    .iter()
                    .map(|&input| Term::of(problem.good[input]))
                    .collect();
                problem.gate(&primes, &literals, output);
            }
        }
    }

    /// The cone with the fault, and the path along which its effect must reach a sink.
    fn encode_bad(
        &mut self,
        problem: &mut Problem,
        fault: &Fault,
        cone: &[GateIndex],
        seen: bool,
        starts: &[GateIndex],
    ) {
        let circuit = self.circuit;
        if let Some(site) = problem.good[fault.signal] {
            // The fault-free value is the other one.
            problem.add(&[Lit::new(site, !fault.stuck)]);
        }
        for &gate in cone {
            let output = circuit.gates[gate].output;
            problem.bad[output] = Some(problem.solver.new_var_default());
            problem.active[output] = Some(problem.solver.new_var_default());
        }
        for &index in cone {
            let gate = &circuit.gates[index];
            let Some(output) = problem.bad[gate.output] else {
                continue;
            };
            let term = |input: usize| {
                let signal = gate.inputs[input];
                match &fault.site {
                    Site::Pin(reads) if reads.contains(&(index, input)) => {
                        Term::Constant(fault.stuck)
                    }
                    Site::Stem(stem) if *stem == signal => Term::Constant(fault.stuck),
                    _ => Term::of(problem.bad[signal].or(problem.good[signal])),
                }
            };
            let terms: Vec<Term> = (0..gate.inputs.len()).map(term).collect();
            let primes = self.primes(index);
            problem.gate(&primes, &terms, output);
        }
        for &index in cone {
            problem.path(circuit, circuit.gates[index].output);
        }
        if !seen {
            // The effect leaves the site through one of its gates.
            let first: Vec<Lit> = starts
                .iter()
                .filter_map(|&gate| problem.active[circuit.gates[gate].output])
                .map(|variable| Lit::new(variable, true))
                .collect();
            problem.add(&first);
        }
    }

    fn read_test(&self, problem: &Problem) -> Vec<(usize, bool)> {
        let mut test: Vec<(usize, bool)> = Vec::new();
        for (signal, variable) in problem.good.iter().enumerate() {
            if let (Some(variable), Some(place)) = (variable, self.source_place[signal]) {
                let value = problem.solver.value_var(*variable);
                if value != lbool::UNDEF {
                    test.push((place, value == lbool::TRUE));
                }
            }
        }
        test
    }
}

/// The gates that a change can reach from `starts`, in topological order.
fn cone(circuit: &Circuit, starts: &[GateIndex]) -> Vec<GateIndex> {
    let mut reached = vec![false; circuit.gates.len()];
    starts.iter().for_each(|&gate| reached[gate] = true);
    let first = starts.iter().copied().min().unwrap_or(circuit.gates.len());
    for index in first..circuit.gates.len() {
        if reached[index] {
            for &reader in &circuit.readers[circuit.gates[index].output] {
                reached[reader] = true;
            }
        }
    }
    (first..circuit.gates.len())
        .filter(|&index| reached[index])
        .collect()
}

/// An input of a gate in the formula.
#[derive(Clone, Copy)]
enum Term {
    Variable(Var),
    Constant(bool),
}

impl Term {
    /// A signal without variable cannot be: everything that is read was given one.
    fn of(variable: Option<Var>) -> Self {
        variable.map_or(Term::Constant(false), Term::Variable)
    }
}

struct Problem {
    solver: Solver<Budget>,
    good: Vec<Option<Var>>,
    bad: Vec<Option<Var>>,
    /// Set only where good and bad differ and the difference goes on to a sink.
    active: Vec<Option<Var>>,
    clause: Vec<Lit>,
}

impl Problem {
    fn add(&mut self, literals: &[Lit]) {
        self.clause.clear();
        self.clause.extend_from_slice(literals);
        self.solver.add_clause_reuse(&mut self.clause);
    }

    /// output = function(terms): each prime of the function makes it 1, each of the inverse makes it 0.
    fn gate(&mut self, primes: &[Vec<Cube>; 2], terms: &[Term], output: Var) {
        for (value, cubes) in [false, true].into_iter().zip(primes) {
            'cubes: for cube in cubes {
                self.clause.clear();
                self.clause.push(Lit::new(output, value));
                for (place, term) in terms.iter().enumerate() {
                    if cube.care >> place & 1 == 0 {
                        continue;
                    }
                    let wanted = cube.value >> place & 1 == 1;
                    match *term {
                        Term::Variable(variable) => self.clause.push(Lit::new(variable, !wanted)),
                        Term::Constant(constant) if constant == wanted => {}
                        Term::Constant(_) => continue 'cubes,
                    }
                }
                self.solver.add_clause_reuse(&mut self.clause);
            }
        }
    }

    /// active(signal) → good ≠ bad, and active of a reader's output unless a sink sees the signal.
    fn path(&mut self, circuit: &Circuit, signal: Signal) {
        let (Some(good), Some(bad), Some(active)) =
            (self.good[signal], self.bad[signal], self.active[signal])
        else {
            return;
        };
        let not_active = Lit::new(active, false);
        self.add(&[not_active, Lit::new(good, true), Lit::new(bad, true)]);
        self.add(&[not_active, Lit::new(good, false), Lit::new(bad, false)]);
        if circuit.observed[signal] {
            return;
        }
        let mut onwards = vec![not_active];
        for &reader in &circuit.readers[signal] {
            if let Some(next) = self.active[circuit.gates[reader].output] {
                onwards.push(Lit::new(next, true));
            }
        }
        self.add(&onwards);
    }
}
