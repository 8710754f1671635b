use std::collections::BTreeMap;

use crate::Error;

/// Index of a net in [`Netlist::nets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetId(pub u32);

/// Index of a cell in [`Netlist::cells`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellId(pub u32);

impl NetId {
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl CellId {
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Input,
    Output,
    Inout,
}

/// A port of the module: a scalar, or a vector with its range as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    pub name: String,
    pub direction: Direction,
    /// `[left:right]` of a vector.
    pub range: Option<(i64, i64)>,
    /// One net a bit, left to right as declared; one for a scalar.
    pub bits: Vec<NetId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Net {
    /// Plain name, without Verilog's escapes; the bit of a vector is `name[3]`.
    pub name: String,
    /// A net that is tied to a constant in the text (`1'b0`, `1'b1`).
    pub constant: Option<bool>,
}

/// An instance of a library cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    pub name: String,
    /// Library cell, such as `sky130_fd_sc_hd__nand2_1`.
    pub kind: String,
    /// Connected pins in the text's order; an open pin is absent.
    pub pins: Vec<(String, NetId)>,
}

impl Cell {
    /// The net on a pin.
    #[must_use]
    pub fn pin(&self, name: &str) -> Option<NetId> {
        self.pins
            .iter()
            .find(|(pin, _)| pin == name)
            .map(|(_, net)| *net)
    }
}

/// A flat netlist: one module of library cells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Netlist {
    pub name: String,
    pub ports: Vec<Port>,
    pub nets: Vec<Net>,
    pub cells: Vec<Cell>,
    names: BTreeMap<String, NetId>,
}

impl Netlist {
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// The net of this name, made if it is not there.
    pub fn net(&mut self, name: &str) -> NetId {
        if let Some(id) = self.names.get(name) {
            return *id;
        }
        self.push_net(name, None)
    }

    /// The net that carries a constant.
    pub fn constant(&mut self, value: bool) -> NetId {
        let name = if value { "1'b1" } else { "1'b0" };
        if let Some(id) = self.names.get(name) {
            return *id;
        }
        self.push_net(name, Some(value))
    }

    fn push_net(&mut self, name: &str, constant: Option<bool>) -> NetId {
        // More than 4 billion nets do not fit in memory before they overflow the index.
        let id = NetId(u32::try_from(self.nets.len()).unwrap_or(u32::MAX));
        self.nets.push(Net {
            name: name.to_string(),
            constant,
        });
        self.names.insert(name.to_string(), id);
        id
    }

    #[must_use]
    pub fn find_net(&self, name: &str) -> Option<NetId> {
        self.names.get(name).copied()
    }

    /// A net name that is not taken yet: `base`, or `base_1`, `base_2` …
    #[must_use]
    pub fn free_name(&self, base: &str) -> String {
        if !self.names.contains_key(base) {
            return base.to_string();
        }
        let mut count = 1_u64;
        loop {
            let name = format!("{base}_{count}");
            if !self.names.contains_key(&name) {
                return name;
            }
            count += 1;
        }
    }

    /// Adds a scalar port and its net.
    ///
    /// # Errors
    /// When a port or a net of that name is there already.
    pub fn add_port(&mut self, name: &str, direction: Direction) -> Result<NetId, Error> {
        if self.names.contains_key(name) || self.ports.iter().any(|port| port.name == name) {
            return Err(Error::Netlist(format!(
                "module '{}' has a port or net '{name}' already",
                self.name
            )));
        }
        let net = self.net(name);
        self.ports.push(Port {
            name: name.to_string(),
            direction,
            range: None,
            bits: vec![net],
        });
        Ok(net)
    }

    pub fn add_cell(&mut self, cell: Cell) -> CellId {
        let id = CellId(u32::try_from(self.cells.len()).unwrap_or(u32::MAX));
        self.cells.push(cell);
        id
    }

    #[must_use]
    pub fn net_name(&self, net: NetId) -> &str {
        self.nets
            .get(net.index())
            .map_or("", |net| net.name.as_str())
    }

    /// For every net the pins on it, as (cell, position in [`Cell::pins`]), in the order of the cells.
    #[must_use]
    pub fn connections(&self) -> Vec<Vec<(CellId, usize)>> {
        let mut found = vec![Vec::new(); self.nets.len()];
        for (cell, instance) in self.cells.iter().enumerate() {
            for (pin, (_, net)) in instance.pins.iter().enumerate() {
                found[net.index()].push((CellId(cell as u32), pin));
            }
        }
        found
    }
}
