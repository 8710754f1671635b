//! The rules that the router keeps, gathered from the technology LEF and the table of `nanoflow_layout::tech`.
//!
//! Metals are numbered from met1 = 0 to met5 = 4. Cut layer `k` lies below metal `k`: mcon = 0 … via4 = 4.

use nanoflow_layout::lef::Tech;
use nanoflow_layout::{tech, Dbu, Rect};
use nanoflow_sdk::StageError;

/// Metals that signal wires may use: met1 to met4.
pub const WIRE_LAYERS: usize = 4;

/// One metal.
#[derive(Debug, Clone, Copy)]
pub struct Metal {
    pub name: &'static str,
    pub width: Dbu,
    pub space: Dbu,
    /// Shapes wider than the first need the second as spacing.
    pub huge: Option<(Dbu, Dbu)>,
    /// Least area of a shape and of a hole, nm².
    pub area: i64,
    pub hole: i64,
    /// Side wall height for antenna ratios, nm.
    pub antenna_thickness: Dbu,
    /// Names of the rules as the public documents have them.
    pub rule: RuleNames,
}

#[derive(Debug, Clone, Copy)]
pub struct RuleNames {
    pub width: &'static str,
    pub space: &'static str,
    pub huge: &'static str,
    pub area: &'static str,
    pub hole: &'static str,
}

#[derive(Debug, Clone, Copy)]
pub struct Cut {
    pub name: &'static str,
    pub space: Dbu,
    pub rule: &'static str,
}

/// A via that the router places: its name in the technology LEF and its shapes around the origin.
#[derive(Debug, Clone)]
pub struct Via {
    pub name: &'static str,
    pub cut: Rect,
    /// `None` for the contact of met1, whose lower metal is the cell's own li1.
    pub lower: Option<Rect>,
    pub upper: Rect,
}

#[derive(Debug, Clone)]
pub struct Rules {
    pub metals: [Metal; 5],
    pub cuts: [Cut; 5],
    /// Via `k` ends on metal `k`; `vias[0]` is the contact from li1.
    pub vias: [Via; WIRE_LAYERS],
    /// Distance of lattice nodes: half the pitch of met2, the pitch of met1.
    pub step: (Dbu, Dbu),
    /// Half width of wires. met3 and met4 wires are as wide as the pads of their vias, else two pads on one wire
    /// would have a notch between them.
    pub half_width: [Dbu; WIRE_LAYERS],
}

const RULE_NAMES: [RuleNames; 5] = [
    RuleNames {
        width: "m1.1",
        space: "m1.2",
        huge: "m1.3ab",
        area: "m1.6",
        hole: "m1.7",
    },
    RuleNames {
        width: "m2.1",
        space: "m2.2",
        huge: "m2.3ab",
        area: "m2.6",
        hole: "m2.7",
    },
    RuleNames {
        width: "m3.1",
        space: "m3.2",
        huge: "m3.3cd",
        area: "m3.6",
        hole: "m3.7",
    },
    RuleNames {
        width: "m4.1",
        space: "m4.2",
        huge: "m4.5ab",
        area: "m4.4a",
        hole: "m4.7",
    },
    RuleNames {
        width: "m5.1",
        space: "m5.2",
        huge: "m5.2",
        area: "m5.4",
        hole: "m5.7",
    },
];
const CUT_RULES: [&str; 5] = ["ct.2", "via.2", "via2.2", "via3.2", "via4.2"];
const VIA_NAMES: [&str; WIRE_LAYERS] = ["L1M1_PR", "M1M2_PR", "M2M3_PR", "M3M4_PR"];

/// Name of the rule that two nets touch.
pub const SHORT: &str = "short";

impl Rules {
    /// # Errors
    /// When the technology LEF lacks a layer or via of sky130 hd.
    pub fn new(lef: &Tech) -> Result<Self, StageError> {
        let metals = array(|k| metal(lef, k))?;
        let cuts = array(|k| {
            let cut = tech::CUTS.get(k).ok_or_else(|| missing("cut layers"))?;
            Ok(Cut {
                name: cut.name,
                space: cut.space,
                rule: CUT_RULES[k],
            })
        })?;
        let vias = array(|k| via(lef, k))?;
        let pitch = |name: &str| {
            lef.layer(name)
                .map(|layer| layer.pitch)
                .ok_or_else(|| missing(name))
        };
        let step = (pitch("met2")?.0 / 2, pitch("met1")?.1);
        let half = |k: usize| {
            let pad = |rect: &Rect| rect.x1.min(rect.y1);
            if k < 2 {
                metals[k].width / 2
            } else {
                pad(&vias[k].upper).max(metals[k].width / 2)
            }
        };
        let half_width = [half(0), half(1), half(2), half(3)];
        let rules = Self {
            metals,
            cuts,
            vias,
            step,
            half_width,
        };
        if rules.step != (230, 340) || rules.half_width != [70, 70, 165, 165] {
            return Err(StageError::input(format!(
                "the technology LEF gives lattice steps {:?} and half widths {:?} nm; the router is built for sky130_fd_sc_hd (230, 340; 70, 70, 165, 165)",
                rules.step, rules.half_width
            ))
            .hint("use the technology LEF of sky130_fd_sc_hd"));
        }
        Ok(rules)
    }

    /// Rules with one metal for all layers.
    #[cfg(test)]
    #[must_use]
    pub fn for_tests(metal: Metal) -> Self {
        let rect = Rect::new(-85, -85, 85, 85);
        let via = Via {
            name: "via",
            cut: rect,
            lower: Some(rect.grow(60)),
            upper: rect.grow(60),
        };
        let cut = Cut {
            name: "cut",
            space: 190,
            rule: "ct.2",
        };
        Self {
            metals: [metal; 5],
            cuts: [cut; 5],
            vias: [via.clone(), via.clone(), via.clone(), via],
            step: (230, 340),
            half_width: [70, 70, 165, 165],
        }
    }

    /// Spacing that a shape of this size asks of all others.
    #[must_use]
    pub fn space_of(&self, metal: usize, rect: Rect) -> Dbu {
        let rule = &self.metals[metal];
        match rule.huge {
            Some((width, space)) if rect.width().min(rect.height()) > width => space,
            _ => rule.space,
        }
    }
}

fn missing(what: &str) -> StageError {
    StageError::input(format!("the technology LEF of the PDK lacks '{what}'"))
        .hint("the router needs the technology LEF of sky130_fd_sc_hd")
}

fn array<T, const N: usize>(
    make: impl FnMut(usize) -> Result<T, StageError>,
) -> Result<[T; N], StageError> {
    let all: Vec<T> = (0..N).map(make).collect::<Result<_, _>>()?;
    all.try_into()
        .map_err(|_| StageError::internal("rule table of the wrong length"))
}

fn metal(lef: &Tech, k: usize) -> Result<Metal, StageError> {
    let table = tech::METALS.get(k + 1).ok_or_else(|| missing("metals"))?;
    let layer = lef.layer(table.name).ok_or_else(|| missing(table.name))?;
    Ok(Metal {
        name: table.name,
        width: layer.width,
        space: layer.spacing_for(0),
        huge: table.huge,
        area: layer.area,
        hole: table.enclosed_hole,
        antenna_thickness: table.antenna_thickness,
        rule: RULE_NAMES[k],
    })
}

fn via(lef: &Tech, k: usize) -> Result<Via, StageError> {
    let name = VIA_NAMES[k];
    let via = lef.via(name).ok_or_else(|| missing(name))?;
    let cut = &tech::CUTS[k];
    let on = |layer: &str| {
        via.shapes
            .iter()
            .find(|(name, _)| name == layer)
            .map(|(_, rect)| *rect)
    };
    let (Some(cut_rect), Some(upper)) = (on(cut.name), on(cut.above)) else {
        return Err(missing(name));
    };
    let lower = if k == 0 {
        None
    } else {
        Some(on(cut.below).ok_or_else(|| missing(name))?)
    };
    Ok(Via {
        name,
        cut: cut_rect,
        lower,
        upper,
    })
}
