//! Buffers for nets with many sinks or more load than their driver may drive.

use nanoflow_layout::def::{Component, Design, Names, Net, Terminal, Use};
use nanoflow_layout::electrical::{wire_ff_per_um, Electrical};
use nanoflow_layout::lef::{PinDirection, Tech};
use nanoflow_layout::{LayoutError, Point, Rect};

/// Buffers from weak to strong.
const BUFFERS: [&str; 5] = [
    "sky130_fd_sc_hd__buf_1",
    "sky130_fd_sc_hd__buf_2",
    "sky130_fd_sc_hd__buf_4",
    "sky130_fd_sc_hd__buf_8",
    "sky130_fd_sc_hd__buf_16",
];

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub max_fanout: usize,
    /// Part of a driver's greatest load that is used.
    pub load_margin: f64,
    /// A group of sinks does not reach farther than this (half-perimeter), µm.
    pub max_reach: f64,
}

/// Adds buffers, and keeps a position for each component.
pub struct Bufferer<'a> {
    pub design: &'a mut Design,
    pub tech: &'a Tech,
    pub electrical: &'a Electrical<'a>,
    /// Where each component is (its middle).
    pub at: Vec<Point>,
    pub limits: Limits,
    kinds: Vec<&'static str>,
    names: Names,
    pub added: usize,
}

impl<'a> Bufferer<'a> {
    pub fn new(
        design: &'a mut Design,
        tech: &'a Tech,
        electrical: &'a Electrical<'a>,
        at: Vec<Point>,
        limits: Limits,
    ) -> Self {
        let mut kinds = electrical.available(&BUFFERS);
        kinds.retain(|kind| tech.macros.contains_key(*kind));
        let names = Names::of(design);
        Self {
            design,
            tech,
            electrical,
            at,
            limits,
            kinds,
            names,
            added: 0,
        }
    }

    /// Goes through all nets but the clock.
    ///
    /// # Errors
    /// When a cell is unknown to the LEF files.
    pub fn run(&mut self) -> Result<(), LayoutError> {
        if self.kinds.is_empty() {
            return Ok(());
        }
        let nets = self.design.nets.len();
        for net in 0..nets {
            if self.design.nets[net].use_ == Use::Clock {
                continue;
            }
            let (driver, sinks) = self.split(net)?;
            if sinks.len() > self.limits.max_fanout {
                self.tree(net, driver, sinks);
            } else {
                self.relieve(net, driver, sinks);
            }
        }
        Ok(())
    }

    /// Places in the net's terminals of its driver and its sinks. Output ports count as sinks.
    fn split(&self, net: usize) -> Result<(Option<usize>, Vec<usize>), LayoutError> {
        let (mut driver, mut sinks) = (None, Vec::new());
        for (place, terminal) in self.design.nets[net].terminals.iter().enumerate() {
            let drives = match terminal {
                Terminal::Port(pin) => self.design.pins[*pin].direction == PinDirection::Input,
                Terminal::Pin { component, pin } => {
                    let cell = self.tech.cell(&self.design.components[*component].cell)?;
                    cell.pin(pin)
                        .is_some_and(|pin| pin.direction == PinDirection::Output)
                }
            };
            if drives {
                driver = driver.or(Some(place));
            } else {
                sinks.push(place);
            }
        }
        Ok((driver, sinks))
    }

    fn place_of(&self, terminal: &Terminal) -> Point {
        match terminal {
            Terminal::Port(pin) => self.design.pins[*pin].location().unwrap_or_default(),
            Terminal::Pin { component, .. } => self.at[*component],
        }
    }

    fn pin_ff(&self, terminal: &Terminal) -> f64 {
        match terminal {
            // What an output port drives outside is not known; a small pad load.
            Terminal::Port(_) => 5.0,
            Terminal::Pin { component, pin } => self
                .electrical
                .pin_ff(&self.design.components[*component].cell, pin),
        }
    }

    /// Load of a driver at `from` on these sinks: pins, and a wire of the half-perimeter (longer with many sinks).
    fn load(&self, from: Point, sinks: &[Terminal]) -> f64 {
        let mut bounds = Rect::new(from.x, from.y, from.x, from.y);
        let mut pins = 0.0;
        for sink in sinks {
            let at = self.place_of(sink);
            bounds = bounds.union(&Rect::new(at.x, at.y, at.x, at.y));
            pins += self.pin_ff(sink);
        }
        let half = f64::from(bounds.width() + bounds.height()) * 1e-3;
        let longer = 1.1 + 0.03 * sinks.len() as f64;
        pins + half * longer * wire_ff_per_um()
    }

    /// The weakest buffer that drives a load with the margin, else the strongest.
    fn kind_for(&self, load: f64) -> &'static str {
        let fits = |kind: &&&str| {
            let limit = self.electrical.limit_ff(kind, "X").unwrap_or(f64::MAX);
            let slew = self
                .electrical
                .output_slew(kind, None, 0.2, load)
                .unwrap_or(0.0);
            load <= limit * self.limits.load_margin && slew <= 0.5
        };
        self.kinds
            .iter()
            .find(fits)
            .or(self.kinds.last())
            .copied()
            .unwrap_or(BUFFERS[0])
    }

    /// A buffer at `at` that drives `sinks`; returns the terminal of its input.
    fn insert(&mut self, at: Point, sinks: Vec<Terminal>, use_: Use) -> Terminal {
        let kind = self.kind_for(self.load(at, &sinks));
        let component = self.design.components.len();
        let name = self.names.free(&format!("place_buf_{}", self.added));
        self.design.components.push(Component {
            name: name.clone(),
            cell: kind.into(),
            placement: None,
            source: Some("TIMING".into()),
            properties: Vec::new(),
        });
        self.at.push(at);
        let mut terminals = vec![Terminal::Pin {
            component,
            pin: "X".into(),
        }];
        terminals.extend(sinks);
        self.design.nets.push(Net {
            name: self.names.free(&format!("{name}_net")),
            use_,
            terminals,
            ..Net::default()
        });
        self.added += 1;
        Terminal::Pin {
            component,
            pin: "A".into(),
        }
    }

    /// Replaces the net's sinks by buffers, level by level, until few enough are left for its driver.
    fn tree(&mut self, net: usize, driver: Option<usize>, sinks: Vec<usize>) {
        let use_ = self.design.nets[net].use_;
        let terminals = std::mem::take(&mut self.design.nets[net].terminals);
        let root: Vec<Terminal> = driver
            .map(|place| terminals[place].clone())
            .into_iter()
            .collect();
        // An output port stays on the net that has its name.
        let (ports, mut level): (Vec<Terminal>, Vec<Terminal>) = sinks
            .into_iter()
            .map(|place| terminals[place].clone())
            .partition(|terminal| matches!(terminal, Terminal::Port(_)));
        while level.len() > self.limits.max_fanout {
            let mut groups = Vec::new();
            self.group(level, &mut groups);
            level = Vec::new();
            for group in groups {
                let at = self.middle(&group);
                level.push(self.insert(at, group, use_));
            }
        }
        self.design.nets[net].terminals = root.into_iter().chain(ports).chain(level).collect();
        let (driver, sinks) = match self.split(net) {
            Ok(parts) => parts,
            Err(_) => return,
        };
        self.relieve(net, driver, sinks);
    }

    fn middle(&self, group: &[Terminal]) -> Point {
        let (mut x, mut y) = (0i64, 0i64);
        for terminal in group {
            let at = self.place_of(terminal);
            x += i64::from(at.x);
            y += i64::from(at.y);
        }
        let count = group.len().max(1) as i64;
        Point::new((x / count) as i32, (y / count) as i32)
    }

    /// Halves a set of sinks across its longer side until every part is small enough.
    fn group(&self, mut sinks: Vec<Terminal>, groups: &mut Vec<Vec<Terminal>>) {
        let places: Vec<Point> = sinks.iter().map(|sink| self.place_of(sink)).collect();
        let bounds = places.iter().skip(1).fold(
            Rect::new(places[0].x, places[0].y, places[0].x, places[0].y),
            |all, at| all.union(&Rect::new(at.x, at.y, at.x, at.y)),
        );
        let reach = f64::from(bounds.width() + bounds.height()) * 1e-3;
        if sinks.len() <= self.limits.max_fanout
            && (reach <= self.limits.max_reach || sinks.len() <= 2)
        {
            groups.push(sinks);
            return;
        }
        let wide = bounds.width() > bounds.height();
        sinks.sort_by_key(|sink| {
            let at = self.place_of(sink);
            if wide {
                (at.x, at.y)
            } else {
                (at.y, at.x)
            }
        });
        // A whole number of full groups on each side keeps the buffers few.
        let full = sinks.len().div_ceil(self.limits.max_fanout).max(2);
        let cut = (sinks.len() * (full / 2)).div_ceil(full);
        let upper = sinks.split_off(cut);
        self.group(sinks, groups);
        self.group(upper, groups);
    }

    /// Puts one strong buffer behind a driver whose load is too big for it.
    fn relieve(&mut self, net: usize, driver: Option<usize>, sinks: Vec<usize>) {
        let Some(driver) = driver else { return };
        let terminals = &self.design.nets[net].terminals;
        let Terminal::Pin { component, pin } = &terminals[driver] else {
            return self.relieve_port(net, driver, sinks);
        };
        let cell = self.design.components[*component].cell.clone();
        let Some(limit) = self.electrical.limit_ff(&cell, pin) else {
            return;
        };
        let list: Vec<Terminal> = sinks
            .iter()
            .map(|&place| terminals[place].clone())
            .collect();
        let from = self.at[*component];
        let load = self.load(from, &list);
        let slew = self
            .electrical
            .output_slew(&cell, None, 0.3, load)
            .unwrap_or(0.0);
        if load <= limit * self.limits.load_margin && slew <= 0.8 {
            return;
        }
        let root = terminals[driver].clone();
        let (ports, list): (Vec<Terminal>, Vec<Terminal>) = list
            .into_iter()
            .partition(|terminal| matches!(terminal, Terminal::Port(_)));
        if list.is_empty() {
            return;
        }
        let use_ = self.design.nets[net].use_;
        let input = self.insert(from, list, use_);
        self.design.nets[net].terminals =
            std::iter::once(root).chain(ports).chain([input]).collect();
    }

    /// A port's driver is unknown; a buffer at its side keeps what it sees small, and its wire short of antenna limits.
    fn relieve_port(&mut self, net: usize, driver: usize, sinks: Vec<usize>) {
        let terminals = &self.design.nets[net].terminals;
        let from = self.place_of(&terminals[driver]);
        let list: Vec<Terminal> = sinks
            .iter()
            .map(|&place| terminals[place].clone())
            .collect();
        if list
            .iter()
            .any(|terminal| matches!(terminal, Terminal::Port(_)))
            || list.is_empty()
        {
            return;
        }
        let root = terminals[driver].clone();
        let use_ = self.design.nets[net].use_;
        let input = self.insert(from, list, use_);
        self.design.nets[net].terminals = vec![root, input];
    }
}
