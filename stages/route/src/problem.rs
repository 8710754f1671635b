//! The routing problem: what is fixed, what must be joined.

use std::collections::HashMap;
use std::sync::Arc;

use nanoflow_layout::def::{Design, Terminal as DefTerminal};
use nanoflow_layout::gds::Library;
use nanoflow_layout::lef::Tech;
use nanoflow_layout::{shapes, tech, LayoutError, Orient, Point, Rect, Transform};
use nanoflow_sdk::StageError;

use crate::cells::{CellLayer, Master, MasterLibrary};
use crate::lattice::Lattice;
use crate::rules::Rules;

/// Whose a shape is: a net from 0 up, else one of the negative numbers below.
pub type Owner = i32;
/// Nobody's.
pub const FREE: Owner = -1;
/// More than one owner, or one that no wire may touch.
pub const BLOCKED: Owner = -2;
/// Supplies follow downwards from here, then conductors inside cells.
const FIRST_SUPPLY: Owner = -10;
const FIRST_INTERNAL: Owner = -1000;

/// Layer of a mask shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// met1 = 0 and up.
    Metal(usize),
    /// mcon = 0 and up.
    Cut(usize),
}

/// A rectangle on a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    pub layer: Layer,
    pub rect: Rect,
    pub owner: Owner,
    /// Drawn by the router, so that the router answers for it.
    pub routed: bool,
}

#[derive(Debug, Clone)]
pub struct Instance {
    pub master: usize,
    pub at: Point,
    pub orient: Orient,
}

/// What a net must reach.
#[derive(Debug, Clone)]
pub enum Terminal {
    Pin {
        instance: usize,
        pin: usize,
    },
    Port {
        name: String,
        shapes: Vec<(usize, Rect)>,
    },
}

#[derive(Debug, Clone)]
pub struct Net {
    pub name: String,
    pub terminals: Vec<Terminal>,
}

pub struct Problem<'a> {
    pub rules: Arc<Rules>,
    pub die: Rect,
    pub lattice: Lattice,
    pub library: MasterLibrary<'a>,
    pub instances: Vec<Instance>,
    pub nets: Vec<Net>,
    /// Supply wiring and the die's ports.
    pub fixed: Vec<Shape>,
    supplies: Vec<String>,
}

fn fault(error: &LayoutError) -> StageError {
    StageError::input(error.to_string())
}

impl<'a> Problem<'a> {
    /// # Errors
    /// When the design is not placed, has rows off one site grid, or names what the PDK does not have.
    pub fn new(design: &Design, lef: &'a Tech, gds: &'a Library) -> Result<Self, StageError> {
        let rules = Arc::new(Rules::new(lef)?);
        let first_row = design
            .rows
            .first()
            .ok_or_else(|| StageError::input("the DEF has no rows"))?;
        for row in &design.rows {
            let off = (row.origin.x - first_row.origin.x) % (2 * rules.step.0) != 0
                || (row.origin.y - first_row.origin.y) % rules.step.1 != 0;
            if off {
                return Err(StageError::input(format!(
                    "row '{}' is not on the site grid of row '{}'",
                    row.name, first_row.name
                )));
            }
        }
        let lattice = Lattice::new(design.die, first_row.origin, rules.step);
        if lattice.columns < 8 || lattice.rows < 8 {
            return Err(StageError::input("the die is too small to route in"));
        }
        let mut library = MasterLibrary::new(lef, gds);
        let mut instances = Vec::with_capacity(design.components.len());
        for component in &design.components {
            let placement = component.placement.ok_or_else(|| {
                StageError::input(format!("component '{}' is not placed", component.name))
                    .hint("run the stage 'place' first")
            })?;
            let master = library.get(&component.cell)?;
            let off_grid = (placement.at.x - first_row.origin.x) % (2 * rules.step.0) != 0
                || (placement.at.y - first_row.origin.y) % rules.step.1 != 0;
            if off_grid || placement.orient.is_sideways() {
                return Err(StageError::input(format!(
                    "component '{}' at ({}, {}) {} is not on the site grid",
                    component.name,
                    placement.at.x,
                    placement.at.y,
                    placement.orient.name()
                )));
            }
            instances.push(Instance {
                master,
                at: placement.at,
                orient: placement.orient,
            });
        }
        let supplies = design
            .special_nets
            .iter()
            .map(|net| net.name.clone())
            .collect();
        let mut problem = Self {
            rules,
            die: design.die,
            lattice,
            library,
            instances,
            nets: Vec::new(),
            fixed: Vec::new(),
            supplies,
        };
        problem.read_nets(design)?;
        problem.read_supplies(design, lef)?;
        Ok(problem)
    }

    fn read_nets(&mut self, design: &Design) -> Result<(), StageError> {
        for net in &design.nets {
            let mut terminals = Vec::with_capacity(net.terminals.len());
            for terminal in &net.terminals {
                terminals.push(match terminal {
                    DefTerminal::Pin { component, pin } => {
                        self.cell_terminal(design, &net.name, *component, pin)?
                    }
                    DefTerminal::Port(index) => self.port_terminal(design, &net.name, *index)?,
                });
            }
            self.nets.push(Net {
                name: net.name.clone(),
                terminals,
            });
        }
        Ok(())
    }

    fn cell_terminal(
        &self,
        design: &Design,
        net: &str,
        component: usize,
        pin: &str,
    ) -> Result<Terminal, StageError> {
        let master = self
            .instances
            .get(component)
            .and_then(|instance| self.library.masters.get(instance.master));
        let pin_index = master.and_then(|master| master.pin(pin));
        match pin_index {
            Some(pin) => Ok(Terminal::Pin {
                instance: component,
                pin,
            }),
            None => {
                let name = design
                    .components
                    .get(component)
                    .map_or("?", |component| component.name.as_str());
                let cell = master.map_or("?", |master| master.name.as_str());
                Err(StageError::input(format!(
                    "net '{net}': cell '{cell}' of component '{name}' has no pin '{pin}'"
                )))
            }
        }
    }

    fn port_terminal(
        &mut self,
        design: &Design,
        net: &str,
        index: usize,
    ) -> Result<Terminal, StageError> {
        let pin = design.pins.get(index).ok_or_else(|| {
            StageError::input(format!("net '{net}' has a port that the DEF lacks"))
        })?;
        let mut shapes = Vec::new();
        let owner = self.nets.len() as Owner;
        for (layer, rect) in pin.placed_shapes() {
            let metal = self
                .rules
                .metals
                .iter()
                .position(|metal| metal.name == layer);
            if let Some(metal) = metal {
                shapes.push((metal, rect));
                self.fixed.push(Shape {
                    layer: Layer::Metal(metal),
                    rect,
                    owner,
                    routed: false,
                });
            }
        }
        if shapes.is_empty() {
            return Err(StageError::input(format!(
                "port '{}' has no placed shape on a metal",
                pin.name
            ))
            .hint("run the stages 'floorplan' and 'place' first"));
        }
        Ok(Terminal::Port {
            name: pin.name.clone(),
            shapes,
        })
    }

    fn read_supplies(&mut self, design: &Design, lef: &Tech) -> Result<(), StageError> {
        for (k, net) in design.special_nets.iter().enumerate() {
            let owner = FIRST_SUPPLY - k as Owner;
            for shape in
                shapes::special_net_shapes(design, lef, net).map_err(|error| fault(&error))?
            {
                if let Some(layer) = layer_of(shape.layer) {
                    self.fixed.push(Shape {
                        layer,
                        rect: shape.rect,
                        owner,
                        routed: false,
                    });
                }
            }
            for pin in design
                .pins
                .iter()
                .filter(|pin| pin.special && pin.net == net.name)
            {
                for (layer, rect) in pin.placed_shapes() {
                    if let Some(layer) = layer_of(layer) {
                        self.fixed.push(Shape {
                            layer,
                            rect,
                            owner,
                            routed: false,
                        });
                    }
                }
            }
        }
        self.fixed.sort_unstable();
        self.fixed.dedup();
        Ok(())
    }

    #[must_use]
    pub fn master(&self, instance: usize) -> &Master {
        &self.library.masters[self.instances[instance].master]
    }
    #[must_use]
    pub fn transform(&self, instance: usize) -> Transform {
        let master = self.master(instance);
        let instance = &self.instances[instance];
        Transform::placed(instance.at, instance.orient, master.width, master.height)
    }

    /// All shapes that are there before routing.
    #[must_use]
    pub fn fixed_shapes(&self) -> Vec<Shape> {
        let mut shapes = self.cell_shapes();
        shapes.extend(&self.fixed);
        shapes
    }

    /// Shapes of all cells on met1 and up and their contacts, each with its owner.
    fn cell_shapes(&self) -> Vec<Shape> {
        let mut net_of: HashMap<(usize, usize), Owner> = HashMap::new();
        for (net, terminals) in self.nets.iter().enumerate() {
            for terminal in &terminals.terminals {
                if let Terminal::Pin { instance, pin } = terminal {
                    net_of.insert((*instance, *pin), net as Owner);
                }
            }
        }
        let mut shapes = Vec::new();
        let mut internal = FIRST_INTERNAL;
        for index in 0..self.instances.len() {
            let (master, transform) = (self.master(index), self.transform(index));
            for shape in &master.shapes {
                let layer = match shape.layer {
                    CellLayer::LocalInterconnect => continue,
                    CellLayer::Contact => Layer::Cut(0),
                    CellLayer::Metal(k) => Layer::Metal(k),
                };
                let owner = shape.pin.and_then(|pin| {
                    net_of
                        .get(&(index, pin))
                        .copied()
                        .or_else(|| self.supply(&master.pins[pin].name))
                });
                let owner = owner.unwrap_or(internal - shape.conductor as Owner);
                shapes.push(Shape {
                    layer,
                    rect: transform.rect(shape.rect),
                    owner,
                    routed: false,
                });
            }
            internal -= master.shapes.len() as Owner;
        }
        shapes
    }

    fn supply(&self, pin: &str) -> Option<Owner> {
        self.supplies
            .iter()
            .position(|name| name == pin)
            .map(|k| FIRST_SUPPLY - k as Owner)
    }

    /// Name of an owner, for messages.
    #[must_use]
    pub fn owner_name(&self, owner: Owner) -> &str {
        if let Ok(net) = usize::try_from(owner) {
            return self.nets.get(net).map_or("?", |net| net.name.as_str());
        }
        let supply = usize::try_from(FIRST_SUPPLY - owner)
            .ok()
            .and_then(|k| self.supplies.get(k));
        supply.map_or("(inside a cell)", String::as_str)
    }
}

/// Metal or cut of a layer name of LEF; `None` for li1 and what lies below.
#[must_use]
pub fn layer_of(name: &str) -> Option<Layer> {
    let metal = tech::METALS.iter().position(|metal| metal.name == name);
    if let Some(k) = metal {
        return k.checked_sub(1).map(Layer::Metal);
    }
    tech::CUTS
        .iter()
        .position(|cut| cut.name == name)
        .map(Layer::Cut)
}
