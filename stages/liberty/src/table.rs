//! `liberty.csv`: each cell's measured means, beside a reference's where there is one.

use std::fmt::Write;

use crate::library::Cell;
use crate::reference::{relative, Deviation};

/// Greatest deviation of a cell's mean delay.
pub fn worst(deviations: &[Deviation]) -> Option<f64> {
    deviations
        .iter()
        .filter_map(|deviation| relative(deviation.delay))
        .map(f64::abs)
        .reduce(f64::max)
}

/// One line a cell; columns of a reference stay empty where there is none.
pub fn csv(cells: &[Cell], deviations: &[Deviation]) -> String {
    let mut text = String::from(
        "cell,area_um2,arcs,input_capacitance_pf,leakage_nw,delay_deviation,transition_deviation,capacitance_deviation,\
         energy_deviation,leakage_ratio,setup_ns,reference_setup_ns,hold_ns,reference_hold_ns\n",
    );
    for cell in cells {
        let inputs = cell.inputs.len().max(1) as f64;
        let capacitance = cell
            .inputs
            .iter()
            .map(|pin| (pin.rise_capacitance + pin.fall_capacitance) / 2.0)
            .sum::<f64>()
            / inputs;
        let leakage = cell.leakage.iter().map(|(_, power)| power).sum::<f64>()
            / cell.leakage.len().max(1) as f64;
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{},{:.4},{},{capacitance:.6},{leakage:.6}",
            cell.name,
            cell.area,
            cell.arcs()
        );
        let found = deviations
            .iter()
            .find(|deviation| deviation.cell == cell.name);
        let part = |pick: fn(&Deviation) -> [f64; 2]| {
            found
                .and_then(|found| relative(pick(found)))
                .map_or(String::new(), |value| format!("{value:+.4}"))
        };
        let _ = write!(
            text,
            ",{},{},{},{}",
            part(|one| one.delay),
            part(|one| one.transition),
            part(|one| one.capacitance),
            part(|one| one.energy)
        );
        let ratio = found
            .and_then(|found| relative(found.leakage))
            .map_or(String::new(), |value| format!("{:.3}", value + 1.0));
        let _ = write!(text, ",{ratio}");
        for pick in [(|one| one.setup) as fn(&Deviation) -> [f64; 2], |one| {
            one.hold
        }] {
            let [ours, theirs] = found.map_or([0.0; 2], pick);
            match theirs != 0.0 {
                true => {
                    let _ = write!(text, ",{ours:.4},{theirs:.4}");
                }
                false => text.push_str(",,"),
            }
        }
        text.push('\n');
    }
    text
}
