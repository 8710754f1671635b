//! What leaves the router: the wiring in DEF, the metrics, or the list of what is wrong.

use nanoflow_layout::def::{Design, WidthRule, Wire, WireItem};
use nanoflow_layout::Point;
use nanoflow_sdk::{Context, StageError};

use crate::check::Violation;
use crate::flow::Outcome;
use crate::problem::{Layer, Problem};
use crate::wiring::Wiring;

/// Name of the DEF rule that gives met3 and met4 wires the width of their via pads.
const WIDE_RULE: &str = "via_wide";

/// Puts the wiring of all nets into the design.
pub fn write_routes(design: &mut Design, problem: &Problem, outcome: &Outcome) {
    let rules = &problem.rules;
    design.rules.retain(|rule| rule.name != WIDE_RULE);
    let wide = |metal: usize| rules.half_width[metal] * 2 != rules.metals[metal].width;
    let layers = (0..rules.half_width.len())
        .filter(|&k| wide(k))
        .map(|k| (rules.metals[k].name.to_string(), rules.half_width[k] * 2));
    design.rules.push(WidthRule {
        name: WIDE_RULE.to_string(),
        layers: layers.collect(),
    });
    for (net, wiring) in design.nets.iter_mut().zip(&outcome.wirings) {
        net.wires = def_wires(problem, wiring, &wide);
    }
}

fn def_wires(problem: &Problem, wiring: &Wiring, wide: &dyn Fn(usize) -> bool) -> Vec<Wire> {
    let rules = &problem.rules;
    let mut wires =
        Vec::with_capacity(wiring.wires.len() + wiring.vias.len() + wiring.patches.len());
    let point = |at: Point| WireItem::point(at.x, at.y);
    for &(metal, from, to) in &wiring.wires {
        let rule = wide(metal).then(|| WIDE_RULE.to_string());
        wires.push(Wire {
            layer: rules.metals[metal].name.to_string(),
            rule,
            items: vec![point(from), point(to)],
        });
    }
    for &(k, at) in &wiring.vias {
        let layer = rules.metals[k].name.to_string();
        wires.push(Wire {
            layer,
            rule: None,
            items: vec![point(at), WireItem::via(rules.vias[k].name)],
        });
    }
    for &(metal, rect) in &wiring.patches {
        let at = Point::new(rect.x0, rect.y0);
        let patch = WireItem::Patch(rect.shift(Point::new(-at.x, -at.y)));
        wires.push(Wire {
            layer: rules.metals[metal].name.to_string(),
            rule: None,
            items: vec![point(at), patch],
        });
    }
    wires
}

pub fn metrics(ctx: &mut Context, problem: &Problem, outcome: &Outcome) {
    let mut length = 0i64;
    let mut vias = 0usize;
    let mut contacts = 0usize;
    for wiring in &outcome.wirings {
        length += wiring
            .wires
            .iter()
            .map(|(_, from, to)| from.distance(*to))
            .sum::<i64>();
        vias += wiring.vias.iter().filter(|via| via.0 > 0).count();
        contacts += wiring.vias.iter().filter(|via| via.0 == 0).count();
    }
    ctx.metric("wire_length_um", length as f64 / 1000.0, "um");
    ctx.metric("vias", vias as f64, "vias");
    ctx.metric("contacts", contacts as f64, "contacts");
    ctx.metric("violations", outcome.violations.len() as f64, "violations");
    let mut antennas: Vec<usize> = outcome.antennas.iter().map(|excess| excess.net).collect();
    antennas.dedup();
    ctx.metric("antenna_nets", antennas.len() as f64, "nets");
    ctx.metric("opens", outcome.opens.len() as f64, "nets");
    ctx.metric("diodes", outcome.diodes as f64, "cells");
    ctx.metric("overflow", outcome.overflow as f64, "conflicts");
    ctx.metric("rounds", outcome.rounds as f64, "rounds");
    ctx.metric("nets", problem.nets.len() as f64, "nets");
}

/// # Errors
/// A design failure that names rule, place and nets of what is left.
pub fn verdict(problem: &Problem, outcome: &Outcome) -> Result<(), StageError> {
    const SHOWN: usize = 10;
    let mut lines: Vec<String> = outcome
        .violations
        .iter()
        .map(|violation| describe(problem, violation))
        .collect();
    lines.extend(outcome.antennas.iter().map(|excess| {
        format!(
            "antenna.{} ratio {:.0} over {:.0} at ({:.3}, {:.3}) um: {}",
            excess.layer,
            excess.ratio,
            excess.limit,
            f64::from(excess.at.x) / 1000.0,
            f64::from(excess.at.y) / 1000.0,
            problem.nets[excess.net].name
        )
    }));
    lines.extend(outcome.opens.iter().map(|open| {
        format!(
            "open: net '{}' is not one piece",
            problem.nets[open.net].name
        )
    }));
    if lines.is_empty() {
        return Ok(());
    }
    let count = lines.len();
    lines.truncate(SHOWN);
    let more = if count > SHOWN {
        format!("\n  and {} more", count - SHOWN)
    } else {
        String::new()
    };
    Err(StageError::design(format!(
        "{count} rule violations are left after {} rounds:\n  {}{more}",
        outcome.rounds,
        lines.join("\n  ")
    ))
    .hint("lower the utilisation of the floorplan, or raise 'rounds' of this stage"))
}

fn describe(problem: &Problem, violation: &Violation) -> String {
    let layer = match violation.layer {
        Layer::Metal(k) => problem.rules.metals[k].name,
        Layer::Cut(k) => problem.rules.cuts[k].name,
    };
    let at = violation.rect.center();
    let nets: Vec<&str> = violation
        .owners
        .iter()
        .map(|&owner| problem.owner_name(owner))
        .collect();
    format!(
        "{} on {layer} at ({:.3}, {:.3}) um: {}",
        violation.rule,
        f64::from(at.x) / 1000.0,
        f64::from(at.y) / 1000.0,
        nets.join(", ")
    )
}
