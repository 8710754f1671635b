//! A cell's transistors and wire capacitances.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Kind of a transistor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    N,
    P,
}

/// Source or drain of a transistor; perimeter in nm, area in nm², as drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terminal {
    pub net: usize,
    pub area: f64,
    /// With the edge to the gate, as BSIM4's `permod=1` wants it.
    pub perimeter: f64,
    /// Of its contacts, ohms.
    pub resistance: f64,
}

/// A transistor; lengths in nm, as drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Transistor {
    pub channel: Channel,
    pub gate: usize,
    pub drain: Terminal,
    pub source: Terminal,
    pub width: f64,
    pub length: f64,
    /// Distances from the gate to the ends of the diffusion, for the stress effect.
    pub stress_a: f64,
    pub stress_b: f64,
    /// How many equal ones stand in parallel.
    pub fingers: usize,
}

/// A diffusion without a gate; perimeter in nm, area in nm², as drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Junction {
    pub net: usize,
    pub channel: Channel,
    pub area: f64,
    pub perimeter: f64,
}

/// A cell as it is simulated. Nets are numbers; pins and supplies have names.
#[derive(Debug, Clone, Default)]
pub struct Circuit {
    pub nets: Vec<String>,
    pub transistors: Vec<Transistor>,
    /// Diffusions of diodes.
    pub junctions: Vec<Junction>,
    /// Capacitance in farads between two nets, the lower number first.
    pub capacitances: BTreeMap<(usize, usize), f64>,
}

/// What fingers that stand in parallel have in common: channel, gate, drain and source nets, width and length.
type Likeness = (Channel, usize, usize, usize, i64, i64);

/// Names of the supply nets. The wells are tied to them, as in a layout with tap cells.
pub const POWER: &str = "VPWR";
pub const GROUND: &str = "VGND";

impl Circuit {
    pub fn net(&self, name: &str) -> Option<usize> {
        self.nets.iter().position(|net| net == name)
    }

    pub fn add_capacitance(&mut self, a: usize, b: usize, farads: f64) {
        if a != b {
            *self.capacitances.entry((a.min(b), a.max(b))).or_insert(0.0) += farads;
        }
    }

    /// Puts transistors with the same connections and size together as one with several fingers and their average
    /// diffusions: the simulation of wide cells takes a fraction of the time.
    pub fn merge_fingers(&mut self) {
        let mut groups: BTreeMap<Likeness, Vec<Transistor>> = BTreeMap::new();
        for transistor in self.transistors.drain(..) {
            let mut transistor = transistor;
            if transistor.drain.net > transistor.source.net {
                std::mem::swap(&mut transistor.drain, &mut transistor.source);
            }
            let key = (
                transistor.channel,
                transistor.gate,
                transistor.drain.net,
                transistor.source.net,
                transistor.width.round() as i64,
                transistor.length.round() as i64,
            );
            groups.entry(key).or_default().push(transistor);
        }
        for group in groups.into_values() {
            let count = group.len() as f64;
            let mean =
                |field: &dyn Fn(&Transistor) -> f64| group.iter().map(field).sum::<f64>() / count;
            // The stress effect goes with 1/distance, so that is what is averaged.
            let harmonic = |field: &dyn Fn(&Transistor) -> f64| 1.0 / mean(&|one| 1.0 / field(one));
            let terminal = |side: fn(&Transistor) -> &Terminal, net: usize| Terminal {
                net,
                area: mean(&|one| side(one).area),
                perimeter: mean(&|one| side(one).perimeter),
                resistance: mean(&|one| side(one).resistance),
            };
            if let Some(first) = group.first() {
                self.transistors.push(Transistor {
                    drain: terminal(|one| &one.drain, first.drain.net),
                    source: terminal(|one| &one.source, first.source.net),
                    stress_a: harmonic(&|one| one.stress_a),
                    stress_b: harmonic(&|one| one.stress_b),
                    fingers: group.len(),
                    ..first.clone()
                });
            }
        }
    }

    /// Logic values of all nets by switches: a net is what its strongest conducting path to a supply or driven net says.
    /// `None` where no path conducts or both supplies fight. `kept` holds the values of nets that float (a latch's).
    pub fn switch_level(
        &self,
        driven: &BTreeMap<usize, bool>,
        kept: &[Option<bool>],
    ) -> Vec<Option<bool>> {
        let mut values: Vec<Option<bool>> = (0..self.nets.len())
            .map(|net| kept.get(net).copied().flatten())
            .collect();
        for (net, value) in driven {
            values[*net] = Some(*value);
        }
        for _ in 0..self.nets.len() + 2 {
            let next = self.settle(driven, &values);
            if next == values {
                break;
            }
            values = next;
        }
        values
    }

    fn settle(&self, driven: &BTreeMap<usize, bool>, values: &[Option<bool>]) -> Vec<Option<bool>> {
        let mut high = vec![false; values.len()];
        let mut low = vec![false; values.len()];
        for (net, value) in driven {
            high[*net] = *value;
            low[*net] = !*value;
        }
        loop {
            let mut changed = false;
            for transistor in &self.transistors {
                let conducts = values[transistor.gate] == Some(transistor.channel == Channel::N);
                if !conducts {
                    continue;
                }
                for (from, to) in [
                    (transistor.drain.net, transistor.source.net),
                    (transistor.source.net, transistor.drain.net),
                ] {
                    for side in [&mut high, &mut low] {
                        if side[from] && !side[to] && !driven.contains_key(&to) {
                            side[to] = true;
                            changed = true;
                        }
                    }
                }
            }
            if !changed {
                break;
            }
        }
        (0..values.len())
            .map(|net| match (high[net], low[net]) {
                (true, false) => Some(true),
                (false, true) => Some(false),
                (true, true) => None,
                (false, false) => values[net],
            })
            .collect()
    }

    /// The circuit's SPICE lines; `model` names the card of a transistor. Ground is node 0.
    pub fn spice(&self, model: impl Fn(&Transistor) -> String) -> String {
        let node = |net: usize| self.node(net);
        let (power, micro) = (self.net(POWER).map_or_else(|| POWER.into(), node), 1e-3);
        let mut text = String::new();
        for (number, one) in self.transistors.iter().enumerate() {
            let bulk = if one.channel == Channel::N {
                "0"
            } else {
                power.as_str()
            };
            // Without the network of the body (50 ohms, and the wells are tied): it changes no delay by 0.02 ps and costs three
            // unknowns a transistor. Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "m{number} {} {} {} {bulk} {} w={:.4}u l={:.4}u ad={:.6}p as={:.6}p pd={:.4}u ps={:.4}u nrd={:.1} nrs={:.1} rbodymod=0 sa={:.4}u sb={:.4}u m={}",
                node(one.drain.net),
                node(one.gate),
                node(one.source.net),
                model(one),
                one.width * micro,
                one.length * micro,
                one.drain.area * 1e-6,
                one.source.area * 1e-6,
                one.drain.perimeter * micro,
                one.source.perimeter * micro,
                // Squares of diffusion; the models' sheet resistance is 1 ohm.
                one.drain.resistance,
                one.source.resistance,
                one.stress_a * micro,
                one.stress_b * micro,
                one.fingers
            );
        }
        for (number, ((a, b), farads)) in self.capacitances.iter().enumerate() {
            let _ = writeln!(text, "c{number} {} {} {:.5e}", node(*a), node(*b), farads);
        }
        text
    }

    /// SPICE node of a net. SPICE has no case, hence the prefix that keeps pins and numbered nets apart.
    pub fn node(&self, net: usize) -> String {
        match self.nets.get(net) {
            Some(name) if name == GROUND => "0".into(),
            Some(name) => format!("n_{}", name.to_ascii_lowercase()),
            None => "0".into(),
        }
    }
}
