//! What the technology LEF of sky130 lacks, with its source. One table, nowhere else in the project.

use crate::Dbu;

/// Manufacturing grid: all drawn vertices are multiples of it (rules x.1b, SkyWater docs/rules/periphery).
pub const GRID: Dbu = 5;

/// One metal of the aluminium back end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metal {
    /// Name in LEF and DEF.
    pub name: &'static str,
    /// GDS layer of drawing (datatype 20), pin (16) and label (5) shapes.
    pub gds: i16,
    /// Wire resistance, Ω for each µm at minimum width (see [`METALS`]).
    pub ohm_per_um: f64,
    /// Wire capacitance, fF for each µm.
    pub ff_per_um: f64,
    /// Smallest area of a hole in a polygon, nm² (m1.7, m2.7, m3.7, m4.7, m5.7), 0 where no rule is.
    pub enclosed_hole: i64,
    /// Width above which the wide spacing holds (m1.3, m2.3, m3.3, m4.5), and that spacing.
    pub huge: Option<(Dbu, Dbu)>,
    /// Thickness for antenna side walls, nm (SkyWater docs/rules/antenna, table Ie).
    pub antenna_thickness: Dbu,
}

/// Resistance and capacitance: OpenROAD-flow-scripts, flow/platforms/sky130hd/setRC.tcl, correlated against
/// extraction on gcd, ibex, aes and jpeg. Rules: SkyWater docs/rules/periphery.
pub const METALS: [Metal; 6] = [
    Metal {
        name: "li1",
        gds: 67,
        ohm_per_um: 71.76,
        ff_per_um: 0.150,
        enclosed_hole: 0,
        huge: None,
        antenna_thickness: 100,
    },
    Metal {
        name: "met1",
        gds: 68,
        ohm_per_um: 0.893,
        ff_per_um: 0.172,
        enclosed_hole: 140_000,
        huge: Some((3000, 280)),
        antenna_thickness: 350,
    },
    Metal {
        name: "met2",
        gds: 69,
        ohm_per_um: 0.893,
        ff_per_um: 0.136,
        enclosed_hole: 140_000,
        huge: Some((3000, 280)),
        antenna_thickness: 350,
    },
    Metal {
        name: "met3",
        gds: 70,
        ohm_per_um: 0.157,
        ff_per_um: 0.215,
        enclosed_hole: 200_000,
        huge: Some((3000, 400)),
        antenna_thickness: 800,
    },
    Metal {
        name: "met4",
        gds: 71,
        ohm_per_um: 0.157,
        ff_per_um: 0.148,
        enclosed_hole: 200_000,
        huge: Some((3000, 400)),
        antenna_thickness: 800,
    },
    Metal {
        name: "met5",
        gds: 72,
        ohm_per_um: 0.0178,
        ff_per_um: 0.154,
        enclosed_hole: 140_000,
        huge: None,
        antenna_thickness: 2000,
    },
];

/// One cut layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cut {
    pub name: &'static str,
    /// GDS layer and datatype.
    pub gds: (i16, i16),
    pub below: &'static str,
    pub above: &'static str,
    /// Resistance of one cut, Ω (OpenROAD-flow-scripts, setRC.tcl).
    pub ohm: f64,
    /// Side of the square and spacing, nm (ct.1/2, via.1a/2, via2.1a/2, via3.1/2, via4.1/2).
    pub size: Dbu,
    pub space: Dbu,
}

pub const CUTS: [Cut; 5] = [
    Cut {
        name: "mcon",
        gds: (67, 44),
        below: "li1",
        above: "met1",
        ohm: 9.25,
        size: 170,
        space: 190,
    },
    Cut {
        name: "via",
        gds: (68, 44),
        below: "met1",
        above: "met2",
        ohm: 4.50,
        size: 150,
        space: 170,
    },
    Cut {
        name: "via2",
        gds: (69, 44),
        below: "met2",
        above: "met3",
        ohm: 3.37,
        size: 200,
        space: 200,
    },
    Cut {
        name: "via3",
        gds: (70, 44),
        below: "met3",
        above: "met4",
        ohm: 0.377,
        size: 200,
        space: 200,
    },
    Cut {
        name: "via4",
        gds: (71, 44),
        below: "met4",
        above: "met5",
        ohm: 0.0058,
        size: 800,
        space: 800,
    },
];

/// GDS layer and datatype of the outline of a cell (prBoundary).
pub const OUTLINE_GDS: (i16, i16) = (235, 4);
/// GDS datatypes of a metal's drawing, pin and label shapes.
pub const DRAWING: i16 = 20;
pub const PIN: i16 = 16;
pub const LABEL: i16 = 5;

/// Farthest that a diffusion may be from a tap of its well, nm (LU.2, LU.3), and the pitch of taps in
/// a row that others use (OpenROAD-flow-scripts: every 13 µm, staggered from row to row).
pub const TAP_REACH: Dbu = 15_000;
pub const TAP_PITCH: Dbu = 13_000;

#[must_use]
pub fn metal(name: &str) -> Option<&'static Metal> {
    METALS.iter().find(|metal| metal.name == name)
}

#[must_use]
pub fn cut(name: &str) -> Option<&'static Cut> {
    CUTS.iter().find(|cut| cut.name == name)
}

/// GDS layer and datatype of the drawing of a metal or cut layer of LEF.
#[must_use]
pub fn gds_layer(name: &str) -> Option<(i16, i16)> {
    metal(name)
        .map(|metal| (metal.gds, DRAWING))
        .or_else(|| cut(name).map(|cut| cut.gds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cut_joins_neighbouring_metals() {
        for (index, cut) in CUTS.iter().enumerate() {
            assert_eq!(
                (cut.below, cut.above),
                (METALS[index].name, METALS[index + 1].name)
            );
            assert_eq!(gds_layer(cut.name), Some(cut.gds));
        }
        assert_eq!(gds_layer("met4"), Some((71, 20)));
        assert_eq!(gds_layer("poly"), None);
    }
}
