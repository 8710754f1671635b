//! What of a cell matters to the router: its li1, mcon and met1 shapes from the GDS, each with the pin it belongs to.
//!
//! LEF shows pins and obstructions as rectangles drawn by hand; the masks are in the GDS, so those decide.

use std::collections::{BTreeMap, HashMap};

use nanoflow_layout::gds::{LayerSpec, Library, Structure};
use nanoflow_layout::lef::{Macro, Tech};
use nanoflow_layout::{tech, Dbu, Rect};
use nanoflow_sdk::StageError;

/// GDS layer and datatype of diffusion (SkyWater docs/rules/layers: diff drawing).
const DIFFUSION: (i16, i16) = (65, 20);

/// Layer of a cell's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CellLayer {
    LocalInterconnect,
    Contact,
    /// met1 = 0 and up.
    Metal(usize),
}

#[derive(Debug, Clone)]
pub struct CellShape {
    pub layer: CellLayer,
    pub rect: Rect,
    /// Index of the pin whose conductor this is.
    pub pin: Option<usize>,
    /// Shapes of one conductor share it.
    pub conductor: usize,
}

#[derive(Debug, Clone)]
pub struct CellPin {
    pub name: String,
    pub supply: bool,
    /// µm².
    pub gate_area: f64,
    pub diffusion_area: f64,
}

#[derive(Debug, Clone)]
pub struct Master {
    pub name: String,
    pub width: Dbu,
    pub height: Dbu,
    pub pins: Vec<CellPin>,
    pub shapes: Vec<CellShape>,
}

impl Master {
    #[must_use]
    pub fn pin(&self, name: &str) -> Option<usize> {
        self.pins.iter().position(|pin| pin.name == name)
    }
    pub fn on(&self, layer: CellLayer) -> impl Iterator<Item = &CellShape> {
        self.shapes.iter().filter(move |shape| shape.layer == layer)
    }
}

/// Reads masters on demand from LEF and GDS.
pub struct MasterLibrary<'a> {
    lef: &'a Tech,
    structures: HashMap<&'a str, &'a Structure>,
    pub masters: Vec<Master>,
    index: BTreeMap<String, usize>,
}

impl<'a> MasterLibrary<'a> {
    #[must_use]
    pub fn new(lef: &'a Tech, gds: &'a Library) -> Self {
        let structures = gds
            .structures
            .iter()
            .map(|structure| (structure.name(), structure))
            .collect();
        Self {
            lef,
            structures,
            masters: Vec::new(),
            index: BTreeMap::new(),
        }
    }

    /// Index of a cell in `masters`.
    ///
    /// # Errors
    /// When LEF or GDS lack the cell or its shapes are not rectilinear.
    pub fn get(&mut self, cell: &str) -> Result<usize, StageError> {
        if let Some(&known) = self.index.get(cell) {
            return Ok(known);
        }
        let lef = self
            .lef
            .cell(cell)
            .map_err(|error| StageError::input(error.to_string()))?;
        let structure = self.structures.get(cell).ok_or_else(|| {
            StageError::input(format!(
                "the GDS of the PDK has no cell '{cell}', its LEF has"
            ))
        })?;
        let master = master(lef, structure)?;
        self.index.insert(cell.to_string(), self.masters.len());
        self.masters.push(master);
        Ok(self.masters.len() - 1)
    }
}

fn master(lef: &Macro, structure: &Structure) -> Result<Master, StageError> {
    let read = |layer: i16, datatype: i16| {
        structure
            .rects(LayerSpec::new(layer, datatype))
            .map_err(|error| StageError::input(error.to_string()))
    };
    let mut found: Vec<(CellLayer, Rect)> = Vec::new();
    let mut add = |layer: CellLayer, rects: Vec<Rect>| {
        found.extend(rects.into_iter().map(|rect| (layer, rect)))
    };
    for (k, metal) in tech::METALS.iter().enumerate() {
        let layer = if k == 0 {
            CellLayer::LocalInterconnect
        } else {
            CellLayer::Metal(k - 1)
        };
        add(layer, read(metal.gds, tech::DRAWING)?);
    }
    add(
        CellLayer::Contact,
        read(tech::CUTS[0].gds.0, tech::CUTS[0].gds.1)?,
    );
    let conductors = conductors(&found);
    let pins: Vec<CellPin> = lef
        .pins
        .iter()
        .map(|pin| CellPin {
            name: pin.name.clone(),
            supply: pin.is_supply(),
            gate_area: pin.gate_area,
            diffusion_area: pin.diffusion_area,
        })
        .collect();
    let mut pins = pins;
    if lef.class.contains("ANTENNACELL") {
        // The library's LEF does not tell the diode's area; its drawn diffusion is the diode.
        let area: i64 = read(DIFFUSION.0, DIFFUSION.1)?.iter().map(Rect::area).sum();
        let signals = pins
            .iter_mut()
            .filter(|pin| !pin.supply && pin.diffusion_area == 0.0);
        signals.for_each(|pin| pin.diffusion_area = area as f64 * 1e-6);
    }
    let mut pin_of: BTreeMap<usize, usize> = BTreeMap::new();
    for (index, pin) in lef.pins.iter().enumerate() {
        for (layer, rect) in &pin.shapes {
            let Some(layer) = cell_layer(layer) else {
                continue;
            };
            let hits = found
                .iter()
                .zip(&conductors)
                .filter(|((l, r), _)| *l == layer && r.overlaps(rect));
            for (_, &conductor) in hits {
                pin_of.insert(conductor, index);
            }
        }
    }
    let shapes = found
        .into_iter()
        .zip(conductors)
        .map(|((layer, rect), conductor)| CellShape {
            layer,
            rect,
            pin: pin_of.get(&conductor).copied(),
            conductor,
        })
        .collect();
    Ok(Master {
        name: lef.name.clone(),
        width: lef.width,
        height: lef.height,
        pins,
        shapes,
    })
}

fn cell_layer(name: &str) -> Option<CellLayer> {
    let k = tech::METALS.iter().position(|metal| metal.name == name)?;
    Some(if k == 0 {
        CellLayer::LocalInterconnect
    } else {
        CellLayer::Metal(k - 1)
    })
}

/// For each shape the number of the conductor it belongs to: shapes of one layer that touch, li1 and met1 that a contact joins.
fn conductors(shapes: &[(CellLayer, Rect)]) -> Vec<usize> {
    let joined = |a: CellLayer, b: CellLayer| match (a, b) {
        _ if a == b => a != CellLayer::Contact,
        (CellLayer::Contact, CellLayer::LocalInterconnect | CellLayer::Metal(0)) => true,
        (CellLayer::LocalInterconnect | CellLayer::Metal(0), CellLayer::Contact) => true,
        _ => false,
    };
    let mut sets = crate::union_find::UnionFind::new(shapes.len());
    for (i, a) in shapes.iter().enumerate() {
        for (j, b) in shapes.iter().enumerate().take(i) {
            if joined(a.0, b.0) && a.1.touches(&b.1) {
                sets.join(i, j);
            }
        }
    }
    (0..shapes.len()).map(|i| sets.find(i)).collect()
}
