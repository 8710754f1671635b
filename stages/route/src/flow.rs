//! The whole of routing: negotiate, check exactly, repair, rip up what violates, mend antennas, until nothing is left.

use std::sync::Arc;

use nanoflow_layout::def::Design;
use nanoflow_layout::{Dbu, Rect};
use nanoflow_sdk::{Context, StageError};

use crate::access::{AccessFinder, Gate};
use crate::antenna::{self, Excess};
use crate::check::{Checker, Violation};
use crate::connect::{self, Open};
use crate::diode::Diodes;
use crate::field::{Field, Spot};
use crate::global::Plan;
use crate::lattice::Node;
use crate::negotiate::{Negotiation, Schedule};
use crate::patch;
use crate::problem::{Layer, Problem, Shape};
use crate::route::Route;
use crate::rules::WIRE_LAYERS;
use crate::search::Costs;
use crate::wiring::Wiring;
use crate::Params;

/// What routing achieved.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    pub wirings: Vec<Wiring>,
    pub violations: Vec<Violation>,
    pub antennas: Vec<Excess>,
    pub opens: Vec<Open>,
    pub diodes: usize,
    pub rounds: usize,
    /// Conflicts that negotiation left, counted where two nets are too near on the lattice.
    pub overflow: usize,
}

pub struct Router<'a, 'p> {
    pub problem: Problem<'a>,
    pub plan: Plan,
    negotiation: Negotiation,
    checker: Checker,
    /// What is drawn of each net in `checker`, and the route that it was drawn for.
    wirings: Vec<Wiring>,
    drawn: Vec<Option<Route>>,
    threads: usize,
    params: &'p Params,
    rounds: usize,
}

/// Repairs of repairs are tried so often.
const REPAIR_PASSES: usize = 4;
/// So few conflicts are left to the exact check, which knows better than the lattice what is too near.
const FEW: usize = 32;
/// After so many checks without fewer violations the nets around make room, this far, in nm.
const FRUITLESS: usize = 2;
const SURROUNDINGS: Dbu = 2000;
/// What a violation leaves behind on the nodes near it, in nm.
const VIOLATION_HISTORY: u32 = 4000;

impl<'a, 'p> Router<'a, 'p> {
    /// # Errors
    /// A design failure when a terminal cannot be reached.
    pub fn new(
        problem: Problem<'a>,
        params: &'p Params,
        threads: usize,
    ) -> Result<Self, StageError> {
        let fixed = problem.fixed_shapes();
        let field = Field::new(&problem, &fixed);
        let gates = find_gates(&problem, &field, &fixed, 0..problem.nets.len())?;
        let rules = Arc::clone(&problem.rules);
        let mut negotiation =
            Negotiation::new(field, rules, Costs::default(), Schedule::default(), threads);
        let plan = Plan::new(&negotiation.field, &gates);
        negotiation.set_gates(gates);
        if params.guides {
            negotiation.set_guides(plan.router.grid().clone(), plan.guides());
        }
        eprintln!(
            "global routing: {} rounds, {:.1} crossings without room ({:.2} %), {} um",
            plan.router.rounds,
            plan.overflow,
            plan.overload() * 100.0,
            plan.router.length() / 1000
        );
        let mut checker = Checker::new(Arc::clone(&problem.rules), problem.die);
        fixed.iter().for_each(|shape| checker.add(*shape));
        let (wirings, drawn) = (
            vec![Wiring::default(); problem.nets.len()],
            vec![None; problem.nets.len()],
        );
        Ok(Self {
            problem,
            plan,
            negotiation,
            checker,
            wirings,
            drawn,
            threads,
            params,
            rounds: 0,
        })
    }

    /// Routes all, then mends antennas with diodes and routes their nets again, until nothing is left or the rounds are
    /// used up. Diodes are added to `design` too.
    ///
    /// # Errors
    /// A design failure when a net has no way at all, or no diode can be placed.
    pub fn run(&mut self, ctx: &mut Context, design: &mut Design) -> Result<Outcome, StageError> {
        let mut outcome = Outcome::default();
        let mut todo = self.negotiation.missing();
        let mut diodes = Diodes::new(design, &self.problem);
        for attempt in 0.. {
            self.until_clean(ctx, todo, &mut outcome)?;
            outcome.antennas = self.antennas();
            outcome.diodes = diodes.count;
            eprintln!(
                "antennas: {} pieces over their limit, {} diodes so far",
                outcome.antennas.len(),
                diodes.count
            );
            let over = self.rounds >= self.params.rounds || attempt >= self.params.antenna_rounds;
            if !outcome.violations.is_empty() || outcome.antennas.is_empty() || over {
                break;
            }
            let mut wanted = outcome.antennas.clone();
            wanted.dedup_by_key(|excess| (excess.net, excess.terminal));
            let nets = diodes.insert(design, &mut self.problem, &wanted)?;
            self.new_terminals(&nets)?;
            todo = self.negotiation.missing();
        }
        outcome.wirings.clone_from(&self.wirings);
        outcome.opens = connect::opens(&self.problem, &self.wirings);
        outcome.rounds = self.rounds;
        Ok(outcome)
    }

    /// Negotiates and checks until no rule is broken or the rounds are used up.
    fn until_clean(
        &mut self,
        ctx: &mut Context,
        mut todo: Vec<usize>,
        outcome: &mut Outcome,
    ) -> Result<(), StageError> {
        let (mut fewest, mut fruitless) = (usize::MAX, 0);
        loop {
            outcome.overflow = self.negotiate(ctx, &todo)?;
            let started = std::time::Instant::now();
            outcome.violations = self.exact();
            let (count, seconds) = (outcome.violations.len(), started.elapsed().as_secs_f64());
            eprintln!(
                "check after round {}: {count} violations, {seconds:.2} s",
                self.rounds
            );
            ctx.progress(
                self.rounds as u64,
                self.params.rounds as u64,
                "round",
                &format!("{count} violations on the masks"),
            );
            if outcome.violations.is_empty() {
                // What is still too near by the measure of the lattice is not by that of the masks.
                outcome.overflow = 0;
                self.negotiation.accept_all_but(&[]);
                return Ok(());
            }
            if self.rounds >= self.params.rounds {
                return Ok(());
            }
            todo = self.rip_up(&outcome.violations);
            self.negotiation.accept_all_but(&todo);
            // What does not go away in its surroundings gets the first choice there.
            fruitless = if count < fewest { 0 } else { fruitless + 1 };
            fewest = fewest.min(count);
            if fruitless >= FRUITLESS {
                fruitless = 0;
                let around = self.around(&outcome.violations, &todo);
                self.negotiation.clear(&around);
            }
        }
    }

    /// Nets other than `nets` that have wires near a violation.
    fn around(&self, violations: &[Violation], nets: &[usize]) -> Vec<usize> {
        let lattice = &self.negotiation.field.lattice;
        let near = |node: Node| {
            violations.iter().any(|violation| {
                violation
                    .rect
                    .grow(SURROUNDINGS)
                    .contains(lattice.point(node))
            })
        };
        let mut found = Vec::new();
        for (net, route) in self.negotiation.routes.iter().enumerate() {
            let Some(route) = route else { continue };
            if !nets.contains(&net) && route.nodes.iter().any(|&node| near(node)) {
                found.push(net);
            }
        }
        found
    }

    fn antennas(&self) -> Vec<Excess> {
        let lattice = &self.negotiation.field.lattice;
        let mut found = Vec::new();
        for (net, route) in self.negotiation.routes.iter().enumerate() {
            let Some(route) = route else { continue };
            found.extend(antenna::excesses(
                &self.problem,
                lattice,
                net,
                route,
                &self.wirings[net],
            ));
        }
        found
    }

    /// Takes over the cells and terminals that were added to some nets.
    fn new_terminals(&mut self, nets: &[usize]) -> Result<(), StageError> {
        let fixed = self.problem.fixed_shapes();
        self.negotiation.field.set_fixed(&self.problem, &fixed);
        let gates = find_gates(
            &self.problem,
            &self.negotiation.field,
            &fixed,
            nets.iter().copied(),
        )?;
        for (&net, gates) in nets.iter().zip(gates) {
            self.negotiation.replace_gates(net, gates);
        }
        self.checker.replace_fixed(&fixed);
        Ok(())
    }

    /// Rounds until no conflict is left on the lattice, or so few that only the exact check can tell.
    fn negotiate(&mut self, ctx: &mut Context, first: &[usize]) -> Result<usize, StageError> {
        let mut todo = first.to_vec();
        let (mut best, mut stalled) = (usize::MAX, 0);
        loop {
            let started = std::time::Instant::now();
            let round = self.negotiation.round(&todo, self.rounds > 4);
            self.rounds += 1;
            if let Some(&net) = self.negotiation.unroutable.first() {
                return Err(self.no_way(net));
            }
            let note = format!(
                "{} nets, {} conflicts in {} nets",
                round.routed,
                round.conflicts,
                round.nets.len()
            );
            let seconds = started.elapsed().as_secs_f64();
            eprintln!(
                "round {}: {note}, {} batches, {} nodes visited, {seconds:.2} s",
                self.rounds,
                round.batches,
                self.negotiation.visited()
            );
            ctx.progress(
                self.rounds as u64,
                self.params.rounds as u64,
                "round",
                &note,
            );
            if round.conflicts < best {
                (best, stalled) = (round.conflicts, 0);
            } else {
                stalled += 1;
            }
            let missing = self.negotiation.missing();
            let settled = round.conflicts <= FEW || (stalled >= 3 && round.conflicts < 4 * FEW);
            if settled && missing.is_empty() || self.rounds >= self.params.rounds {
                return Ok(round.conflicts);
            }
            todo = round.nets;
            todo.extend(missing);
        }
    }

    fn no_way(&self, net: usize) -> StageError {
        let net = &self.problem.nets[net];
        let place = self.negotiation_place(net);
        StageError::design(format!(
            "net '{}' has no way between its terminals{place}",
            net.name
        ))
        .hint("lower the utilisation of the floorplan, or move what blocks its pins")
    }

    fn negotiation_place(&self, net: &crate::problem::Net) -> String {
        net.terminals
            .iter()
            .find_map(|terminal| match terminal {
                crate::problem::Terminal::Pin { instance, .. } => {
                    Some(self.problem.instances[*instance].at)
                }
                crate::problem::Terminal::Port { shapes, .. } => {
                    shapes.first().map(|(_, rect)| rect.center())
                }
            })
            .map_or_else(String::new, |at| {
                format!("; its first terminal is at ({}, {})", at.x, at.y)
            })
    }

    /// Draws the routes that changed, checks all against every rule, and repairs what a net does to itself.
    fn exact(&mut self) -> Vec<Violation> {
        let rules = &Arc::clone(&self.problem.rules);
        for (net, route) in self.negotiation.routes.iter().enumerate() {
            if self.drawn[net] == *route {
                continue;
            }
            self.checker.remove_net(net);
            let lattice = &self.negotiation.field.lattice;
            self.wirings[net] = route
                .as_ref()
                .map(|route| Wiring::new(lattice, rules, route))
                .unwrap_or_default();
            self.wirings[net]
                .shapes(rules, net as i32)
                .into_iter()
                .for_each(|shape| self.checker.add(shape));
            self.drawn[net].clone_from(route);
        }
        let mut violations = self.checker.all(self.threads);
        for _ in 0..REPAIR_PASSES {
            let patches = patch::repair(&mut self.checker, rules, &violations);
            if patches.is_empty() {
                break;
            }
            for (net, metal, rect) in patches {
                self.wirings[net].patches.push((metal, rect));
            }
            violations = self.checker.all(self.threads);
        }
        violations
    }

    /// Nets that take part in violations; the places become dearer.
    fn rip_up(&mut self, violations: &[Violation]) -> Vec<usize> {
        let mut nets: Vec<usize> = Vec::new();
        for violation in violations {
            for net in violation
                .owners
                .iter()
                .filter_map(|&owner| usize::try_from(owner).ok())
            {
                nets.push(net);
                // Drawn anew, without the patches of its old shape.
                self.drawn[net] = None;
                self.remember(net, violation);
            }
        }
        nets.sort_unstable();
        nets.dedup();
        nets
    }

    fn remember(&mut self, net: usize, violation: &Violation) {
        let lattice = self.negotiation.field.lattice;
        let Some(route) = self.negotiation.routes.get(net).and_then(Option::as_ref) else {
            return;
        };
        let (low, high) = match violation.layer {
            Layer::Metal(k) => (k, k),
            Layer::Cut(k) => (k.saturating_sub(1), k),
        };
        let near: Rect = violation.rect.grow(200);
        let nodes: Vec<Node> = route
            .nodes
            .iter()
            .copied()
            .filter(|&node| {
                (low..=high.min(WIRE_LAYERS - 1)).contains(&lattice.split(node).0)
                    && near.contains(lattice.point(node))
            })
            .collect();
        for node in nodes {
            self.negotiation
                .field
                .remember(Spot::Wire(node), VIOLATION_HISTORY);
            if (node as usize) < lattice.plane {
                self.negotiation
                    .field
                    .remember(Spot::Pad(node), VIOLATION_HISTORY);
            }
        }
    }
}

/// The ways into all terminals of some nets.
fn find_gates(
    problem: &Problem,
    field: &Field,
    fixed: &[Shape],
    nets: impl Iterator<Item = usize>,
) -> Result<Vec<Vec<Gate>>, StageError> {
    let mut finder = AccessFinder::new(problem, fixed);
    nets.map(|net| finder.gates(field, net)).collect()
}
