//! Hold: a path that is quicker than the clock's skew to its end gets delay.
//!
//! Shortest arrival times over the whole netlist, from the tables of Liberty with the loads of the placed wires; where the
//! slack of a flip-flop's input is below the margin, delay cells go in front of that input.

use std::collections::BTreeMap;

use nanoflow_layout::def::{Component, Design, Names, Net, Terminal, Use};
use nanoflow_layout::electrical::{wire_ff_per_um, Electrical, Extreme};
use nanoflow_layout::lef::{PinDirection, Tech};
use nanoflow_layout::sites::Sites;
use nanoflow_layout::{LayoutError, Point, Rect};

/// Cells that serve as delay, the slowest first.
const DELAYS: [&str; 6] = [
    "sky130_fd_sc_hd__dlygate4sd3_1",
    "sky130_fd_sc_hd__dlymetal6s2s_1",
    "sky130_fd_sc_hd__dlygate4sd2_1",
    "sky130_fd_sc_hd__dlygate4sd1_1",
    "sky130_fd_sc_hd__clkbuf_1",
    "sky130_fd_sc_hd__buf_1",
];

/// A quick transition, ns: shortest paths are judged with it.
const QUICK: f64 = 0.04;
/// Delay cells in front of one input at most.
const MOST_DELAYS: usize = 8;

#[derive(Debug, Clone, Copy, Default)]
pub struct Hold {
    pub inserted: usize,
    /// Worst estimated slack before and after, ns, margin not counted.
    pub before: f64,
    pub after: f64,
}

/// What the analysis holds paths to, ns.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Slack that the estimate must show.
    pub margin: f64,
    /// Earliest change of an input port after the clock's edge at its port.
    pub input_delay: f64,
}

struct Analysis<'a> {
    design: &'a Design,
    tech: &'a Tech,
    electrical: &'a Electrical<'a>,
    /// Net on each pin.
    nets: Vec<BTreeMap<&'a str, usize>>,
    driver: Vec<Option<(usize, &'a str)>>,
    /// Driven by a port of the design.
    from_port: Vec<bool>,
    load: Vec<f64>,
}

impl<'a> Analysis<'a> {
    fn new(
        design: &'a Design,
        tech: &'a Tech,
        electrical: &'a Electrical<'a>,
    ) -> Result<Self, LayoutError> {
        let mut nets: Vec<BTreeMap<&str, usize>> = vec![BTreeMap::new(); design.components.len()];
        let mut driver = vec![None; design.nets.len()];
        let mut load = vec![0.0; design.nets.len()];
        let mut from_port = vec![false; design.nets.len()];
        for (index, net) in design.nets.iter().enumerate() {
            let mut bounds: Option<Rect> = None;
            for terminal in &net.terminals {
                let at = match terminal {
                    Terminal::Port(pin) => {
                        let pin = &design.pins[*pin];
                        from_port[index] |= pin.direction == PinDirection::Input;
                        pin.location()
                    }
                    Terminal::Pin { component, pin } => {
                        let part = &design.components[*component];
                        nets[*component].insert(pin, index);
                        let cell = tech.cell(&part.cell)?;
                        if cell
                            .pin(pin)
                            .is_some_and(|pin| pin.direction == PinDirection::Output)
                        {
                            driver[index] = Some((*component, pin.as_str()));
                        } else {
                            load[index] += electrical.pin_ff(&part.cell, pin);
                        }
                        part.placement.map(|placement| placement.at)
                    }
                };
                if let Some(at) = at {
                    let here = Rect::new(at.x, at.y, at.x, at.y);
                    bounds = Some(bounds.map_or(here, |all| all.union(&here)));
                }
            }
            let half = bounds.map_or(0.0, |all| f64::from(all.width() + all.height()) * 1e-3);
            load[index] += half * wire_ff_per_um();
        }
        Ok(Self {
            design,
            tech,
            electrical,
            nets,
            driver,
            from_port,
            load,
        })
    }

    /// Shortest arrival at each net, ns; `None` where only constants lead.
    fn arrivals(&self, clock: &BTreeMap<usize, f64>, input: f64) -> Vec<Option<f64>> {
        let mut arrival: Vec<Option<f64>> = vec![None; self.design.nets.len()];
        // Depth first over drivers; `open` guards against rings of gates.
        let mut state = vec![0u8; self.design.nets.len()];
        for net in 0..self.design.nets.len() {
            let mut stack = vec![net];
            while let Some(&top) = stack.last() {
                if state[top] == 2 {
                    stack.pop();
                    continue;
                }
                let Some((component, output)) = self.driver[top] else {
                    arrival[top] = self.from_port[top].then_some(input);
                    state[top] = 2;
                    continue;
                };
                let cell = self.design.components[component].cell.as_str();
                if state[top] == 0 {
                    state[top] = 1;
                    if !self.electrical.is_flip_flop(cell) {
                        let before = self.nets[component]
                            .iter()
                            .filter(|(pin, _)| **pin != output)
                            .map(|(_, net)| *net);
                        stack.extend(before.filter(|net| state[*net] == 0));
                        continue;
                    }
                }
                state[top] = 2;
                arrival[top] = self.through(component, cell, output, top, clock, &arrival);
            }
        }
        arrival
    }

    fn through(
        &self,
        component: usize,
        cell: &str,
        output: &str,
        net: usize,
        clock: &BTreeMap<usize, f64>,
        arrival: &[Option<f64>],
    ) -> Option<f64> {
        if let Some(&time) = clock.get(&component) {
            let delay =
                self.electrical
                    .delay(cell, None, QUICK, self.load[net], Extreme::Shortest)?;
            return Some(time + delay);
        }
        let inputs = self.nets[component]
            .iter()
            .filter(|(pin, _)| **pin != output);
        let times = inputs.filter_map(|(pin, net_in)| {
            let delay =
                self.electrical
                    .delay(cell, Some(pin), QUICK, self.load[net], Extreme::Shortest)?;
            Some(arrival[*net_in]? + delay)
        });
        times.reduce(f64::min)
    }

    /// Slack of each data input of each flip-flop, ns: (component, pin, net, slack).
    fn slacks(
        &self,
        clock: &BTreeMap<usize, f64>,
        input: f64,
    ) -> Vec<(usize, &'a str, usize, f64)> {
        let arrival = self.arrivals(clock, input);
        let mut slacks = Vec::new();
        for (&component, &time) in clock {
            let cell = self.design.components[component].cell.as_str();
            for (&pin, &net) in &self.nets[component] {
                let is_input = self
                    .tech
                    .macros
                    .get(cell)
                    .and_then(|cell| cell.pin(pin))
                    .is_some_and(|pin| pin.direction == PinDirection::Input);
                if !is_input || self.electrical.is_clock(cell, pin) {
                    continue;
                }
                if let (Some(at), Some(hold)) =
                    (arrival[net], self.electrical.hold(cell, pin, QUICK, 0.1))
                {
                    slacks.push((component, pin, net, at - time - hold));
                }
            }
        }
        slacks
    }
}

/// Inserts delay cells until every input has the margin, as far as the estimate goes.
///
/// # Errors
/// When a cell is unknown, or no room is left.
pub fn fix(
    design: &mut Design,
    tech: &Tech,
    electrical: &Electrical,
    sites: &mut Sites,
    arrival: &[(usize, f64)],
    wanted: Wanted,
) -> Result<Hold, LayoutError> {
    let clock: BTreeMap<usize, f64> = arrival.iter().copied().collect();
    let mut kinds = electrical.available(&DELAYS);
    kinds.retain(|kind| tech.macros.contains_key(*kind));
    let mut names = Names::of(design);
    let mut result = Hold::default();
    for round in 0..MOST_DELAYS {
        let mut bad: Vec<(usize, String, usize, f64)> = Vec::new();
        let mut worst = f64::MAX;
        {
            let analysis = Analysis::new(design, tech, electrical)?;
            for (component, pin, net, slack) in analysis.slacks(&clock, wanted.input_delay) {
                worst = worst.min(slack);
                if slack < wanted.margin {
                    bad.push((component, pin.to_string(), net, wanted.margin - slack));
                }
            }
        }
        let worst = if worst == f64::MAX { 0.0 } else { worst };
        if round == 0 {
            result.before = worst;
        }
        result.after = worst;
        if bad.is_empty() || kinds.is_empty() {
            break;
        }
        for (component, pin, net, lack) in bad {
            let at = design.components[component]
                .placement
                .map_or(Point::default(), |placement| placement.at);
            // The quickest cell that is slow enough, else the slowest.
            let load = electrical.pin_ff(&design.components[component].cell, &pin) + 2.0;
            let slow_enough = |kind: &&&str| {
                electrical
                    .delay(kind, Some("A"), QUICK, load, Extreme::Shortest)
                    .is_some_and(|delay| delay >= lack)
            };
            let Some(kind) = kinds
                .iter()
                .rev()
                .find(slow_enough)
                .or(kinds.first())
                .copied()
            else {
                break;
            };
            let width = tech.cell(kind)?.width;
            let placement = sites.nearest(at, width).ok_or_else(|| {
                LayoutError::Missing(format!(
                    "no row has room for a delay cell '{kind}': lower 'utilization' of floorplan"
                ))
            })?;
            sites.mark(placement.at, width, true);
            let name = names.free(&format!("hold_{}", result.inserted));
            let new = design.components.len();
            design.components.push(Component {
                name: name.clone(),
                cell: kind.into(),
                placement: Some(placement),
                source: Some("TIMING".into()),
                properties: Vec::new(),
            });
            let sink = Terminal::Pin { component, pin };
            design.nets[net]
                .terminals
                .retain(|terminal| *terminal != sink);
            design.nets[net].terminals.push(Terminal::Pin {
                component: new,
                pin: "A".into(),
            });
            let terminals = vec![
                Terminal::Pin {
                    component: new,
                    pin: "X".into(),
                },
                sink,
            ];
            let name = names.free(&format!("{name}_net"));
            design.nets.push(Net {
                name,
                use_: Use::Signal,
                terminals,
                ..Net::default()
            });
            result.inserted += 1;
        }
    }
    Ok(result)
}
