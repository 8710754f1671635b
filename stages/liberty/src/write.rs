//! Writes a library as Liberty text that Yosys, OpenSTA and others read.

use std::fmt::Write;

use crate::corner::{Corner, MAX_TRANSITION};
use crate::library::{Arc, Cell, Constraint, Edge, Input, Output, ScanRole, Sense, Table};
use crate::logic::STATE;

/// Indented text; writing to a String cannot fail, so results are dropped in one place.
struct Page {
    text: String,
    depth: usize,
}

impl Page {
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{:indent$}{line}", "", indent = 2 * self.depth);
    }

    fn attribute(&mut self, name: &str, value: impl std::fmt::Display) {
        self.line(&format!("{name} : {value};"));
    }

    fn quoted(&mut self, name: &str, value: &str) {
        self.line(&format!("{name} : \"{value}\";"));
    }

    fn group(&mut self, head: &str, body: impl FnOnce(&mut Self)) {
        self.line(&format!("{head} {{"));
        self.depth += 1;
        body(self);
        self.depth -= 1;
        self.line("}");
    }
}

/// Seven significant digits without trailing zeros: more than the simulator's tolerance, and the same on every machine.
fn number(value: f64) -> String {
    let text = format!("{value:.7}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" {
        "0".into()
    } else {
        text.into()
    }
}

fn numbers(values: &[f64]) -> String {
    values
        .iter()
        .map(|value| number(*value))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The whole library.
pub fn library(
    corner: Corner,
    slews: &[f64],
    loads: usize,
    constraint_slews: &[f64],
    cells: &[Cell],
) -> String {
    let mut page = Page {
        text: String::new(),
        depth: 0,
    };
    let name = format!("sky130_fd_sc_hd__{}", corner.name);
    page.group(&format!("library (\"{name}\")"), |page| {
        head(page, corner);
        templates(page, slews.len(), loads, constraint_slews.len());
        for one in cells {
            cell(page, one);
        }
    });
    page.text
}

fn head(page: &mut Page, corner: Corner) {
    page.line("technology (\"cmos\");");
    page.attribute("delay_model", "table_lookup");
    page.quoted(
        "comment",
        "characterised by nanoflow from the PDK's layouts and transistor models",
    );
    page.quoted("time_unit", "1ns");
    page.quoted("voltage_unit", "1V");
    page.quoted("current_unit", "1mA");
    page.quoted("leakage_power_unit", "1nW");
    page.quoted("pulling_resistance_unit", "1kohm");
    page.line("capacitive_load_unit (1, \"pf\");");
    page.attribute("nom_process", 1);
    page.attribute("nom_temperature", number(corner.celsius));
    page.attribute("nom_voltage", number(corner.volts));
    for edge in ["rise", "fall"] {
        page.attribute(&format!("input_threshold_pct_{edge}"), 50);
        page.attribute(&format!("output_threshold_pct_{edge}"), 50);
        page.attribute(&format!("slew_lower_threshold_pct_{edge}"), 20);
        page.attribute(&format!("slew_upper_threshold_pct_{edge}"), 80);
    }
    page.attribute("slew_derate_from_library", 1);
    page.attribute("default_fanout_load", 1);
    page.attribute("default_max_transition", number(MAX_TRANSITION));
    for kind in ["inout", "input", "output"] {
        page.attribute(&format!("default_{kind}_pin_cap"), 0);
    }
    page.attribute("default_cell_leakage_power", 0);
    page.group(
        &format!("operating_conditions (\"{}\")", corner.name),
        |page| {
            page.attribute("process", 1);
            page.attribute("temperature", number(corner.celsius));
            page.attribute("voltage", number(corner.volts));
            page.quoted("tree_type", "balanced_tree");
        },
    );
    page.quoted("default_operating_conditions", corner.name);
    for (net, volts) in [
        ("VPWR", corner.volts),
        ("VPB", corner.volts),
        ("VGND", 0.0),
        ("VNB", 0.0),
    ] {
        page.line(&format!("voltage_map (\"{net}\", {});", number(volts)));
    }
}

fn templates(page: &mut Page, slews: usize, loads: usize, constraints: usize) {
    let axis = |count: usize| {
        (1..=count)
            .map(|step| step.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let two = |page: &mut Page, head: &str, one: &str, first: usize, other: &str, second: usize| {
        page.group(head, |page| {
            page.attribute("variable_1", one);
            page.attribute("variable_2", other);
            page.line(&format!("index_1 (\"{}\");", axis(first)));
            page.line(&format!("index_2 (\"{}\");", axis(second)));
        });
    };
    let load = "total_output_net_capacitance";
    two(
        page,
        "lu_table_template (\"delay\")",
        "input_net_transition",
        slews,
        load,
        loads,
    );
    two(
        page,
        "power_lut_template (\"energy\")",
        "input_transition_time",
        slews,
        load,
        loads,
    );
    let (clock, data) = ("related_pin_transition", "constrained_pin_transition");
    two(
        page,
        "lu_table_template (\"constraint\")",
        clock,
        constraints,
        data,
        constraints,
    );
    page.group("power_lut_template (\"input_energy\")", |page| {
        page.attribute("variable_1", "input_transition_time");
        page.line(&format!("index_1 (\"{}\");", axis(slews)));
    });
}

fn cell(page: &mut Page, cell: &Cell) {
    page.group(&format!("cell (\"{}\")", cell.name), |page| {
        page.attribute("area", number(cell.area));
        let footprint = cell
            .name
            .rsplit_once('_')
            .map_or(cell.name.as_str(), |(base, _)| base);
        page.quoted("cell_footprint", footprint);
        if !cell.leakage.is_empty() {
            let mean = cell.leakage.iter().map(|(_, power)| power).sum::<f64>()
                / cell.leakage.len() as f64;
            page.attribute("cell_leakage_power", number(mean));
            for (state, power) in &cell.leakage {
                page.group("leakage_power ()", |page| {
                    page.attribute("value", number(*power));
                    if !state.is_empty() {
                        page.quoted("when", state);
                    }
                });
            }
        }
        for (net, kind) in [
            ("VPWR", "primary_power"),
            ("VGND", "primary_ground"),
            ("VPB", "nwell"),
            ("VNB", "pwell"),
        ] {
            page.group(&format!("pg_pin (\"{net}\")"), |page| {
                page.quoted("pg_type", kind);
                page.quoted("voltage_name", net);
            });
        }
        if let Some(flip_flop) = &cell.flip_flop {
            page.group(&format!("ff (\"{STATE}\", \"{STATE}_N\")"), |page| {
                page.quoted("clocked_on", &flip_flop.clock);
                page.quoted("next_state", &flip_flop.next.to_string());
            });
        }
        for pin in &cell.inputs {
            input(page, pin);
        }
        for pin in &cell.outputs {
            output(page, pin);
        }
        test_cell(page, cell);
    });
}

fn input(page: &mut Page, pin: &Input) {
    page.group(&format!("pin (\"{}\")", pin.name), |page| {
        page.quoted("direction", "input");
        page.attribute(
            "capacitance",
            number((pin.rise_capacitance + pin.fall_capacitance) / 2.0),
        );
        page.attribute("rise_capacitance", number(pin.rise_capacitance));
        page.attribute("fall_capacitance", number(pin.fall_capacitance));
        page.attribute("max_transition", number(MAX_TRANSITION));
        if pin.is_clock {
            page.attribute("clock", "true");
        }
        if let Some(role) = pin.role {
            let kind = match role {
                ScanRole::Data => "data",
                ScanRole::ScanIn => "scan_in",
                ScanRole::ScanEnable => "scan_enable",
            };
            page.quoted("nextstate_type", kind);
        }
        supplies(page);
        if let Some(energy) = &pin.energy {
            page.group("internal_power ()", |page| {
                for (name, table) in [("rise_power", &energy.rise), ("fall_power", &energy.fall)] {
                    let values: Vec<f64> = table
                        .values
                        .iter()
                        .filter_map(|row| row.first().copied())
                        .collect();
                    page.group(&format!("{name} (\"input_energy\")"), |page| {
                        page.line(&format!("index_1 (\"{}\");", numbers(&table.rows)));
                        page.line(&format!("values (\"{}\");", numbers(&values)));
                    });
                }
            });
        }
        for one in &pin.constraints {
            constraint(page, one);
        }
    });
}

fn supplies(page: &mut Page) {
    page.quoted("related_power_pin", "VPWR");
    page.quoted("related_ground_pin", "VGND");
}

fn output(page: &mut Page, pin: &Output) {
    page.group(&format!("pin (\"{}\")", pin.name), |page| {
        page.quoted("direction", "output");
        page.quoted("function", &pin.function);
        page.attribute("max_capacitance", number(pin.max_capacitance));
        page.attribute("max_transition", number(MAX_TRANSITION));
        supplies(page);
        for one in &pin.arcs {
            arc(page, one);
        }
        for one in pin.energies() {
            page.group("internal_power ()", |page| {
                page.quoted("related_pin", &one.related);
                table(page, "rise_power", "energy", &one.rise);
                table(page, "fall_power", "energy", &one.fall);
            });
        }
    });
}

fn arc(page: &mut Page, arc: &Arc) {
    let (sense, kind) = match arc.sense {
        Sense::Positive => ("positive_unate", "combinational"),
        Sense::Negative => ("negative_unate", "combinational"),
        Sense::None => ("non_unate", "rising_edge"),
    };
    page.group("timing ()", |page| {
        page.quoted("related_pin", &arc.related);
        page.quoted("timing_sense", sense);
        page.quoted("timing_type", kind);
        let edges: [(&str, &Edge); 2] = [("rise", &arc.rise), ("fall", &arc.fall)];
        for (name, edge) in edges {
            table(page, &format!("cell_{name}"), "delay", &edge.delay);
            table(
                page,
                &format!("{name}_transition"),
                "delay",
                &edge.transition,
            );
        }
    });
}

fn constraint(page: &mut Page, constraint: &Constraint) {
    page.group("timing ()", |page| {
        page.quoted("related_pin", &constraint.clock);
        page.quoted(
            "timing_type",
            if constraint.hold {
                "hold_rising"
            } else {
                "setup_rising"
            },
        );
        table(page, "rise_constraint", "constraint", &constraint.rise);
        table(page, "fall_constraint", "constraint", &constraint.fall);
    });
}

fn table(page: &mut Page, name: &str, template: &str, table: &Table) {
    page.group(&format!("{name} (\"{template}\")"), |page| {
        page.line(&format!("index_1 (\"{}\");", numbers(&table.rows)));
        page.line(&format!("index_2 (\"{}\");", numbers(&table.columns)));
        let rows: Vec<String> = table
            .values
            .iter()
            .map(|row| format!("\"{}\"", numbers(row)))
            .collect();
        page.line(&format!("values ({});", rows.join(", ")));
    });
}

/// A scan flip-flop as it is without scan, and which pins are for the test.
fn test_cell(page: &mut Page, cell: &Cell) {
    let Some(flip_flop) = cell.flip_flop.as_ref().filter(|_| {
        cell.inputs
            .iter()
            .any(|pin| pin.role == Some(ScanRole::ScanIn))
    }) else {
        return;
    };
    page.group("test_cell ()", |page| {
        let data = cell
            .inputs
            .iter()
            .find(|pin| pin.role == Some(ScanRole::Data))
            .map_or("", |pin| pin.name.as_str());
        page.group(&format!("ff (\"{STATE}\", \"{STATE}_N\")"), |page| {
            page.quoted("clocked_on", &flip_flop.clock);
            page.quoted("next_state", data);
        });
        for pin in &cell.inputs {
            page.group(&format!("pin (\"{}\")", pin.name), |page| {
                page.quoted("direction", "input");
                match pin.role {
                    Some(ScanRole::ScanIn) => page.quoted("signal_type", "test_scan_in"),
                    Some(ScanRole::ScanEnable) => page.quoted("signal_type", "test_scan_enable"),
                    _ => {}
                }
            });
        }
        for pin in &cell.outputs {
            page.group(&format!("pin (\"{}\")", pin.name), |page| {
                page.quoted("direction", "output");
                page.quoted("function", &pin.function);
                page.quoted("signal_type", "test_scan_out");
            });
        }
    });
}
