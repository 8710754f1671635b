//! A small PDK, library and netlists for the tests of the layout stages: the names, sizes and formats of sky130_fd_sc_hd with
//! invented pins and delays, so that tests need nothing installed.

use std::fmt::Write;
use std::path::Path;

use crate::gds::{LayerSpec, Library, Structure};
use crate::{LayoutError, Rect};

/// Name without the library's prefix, sites, inputs, outputs.
const CELLS: [(&str, i32, &[&str], &[&str]); 16] = [
    ("inv_1", 3, &["A"], &["Y"]),
    ("nand2_1", 3, &["A", "B"], &["Y"]),
    ("buf_1", 3, &["A"], &["X"]),
    ("buf_2", 4, &["A"], &["X"]),
    ("buf_4", 6, &["A"], &["X"]),
    ("clkbuf_1", 3, &["A"], &["X"]),
    ("clkbuf_4", 6, &["A"], &["X"]),
    ("clkbuf_8", 11, &["A"], &["X"]),
    ("sdfxtp_1", 19, &["CLK", "D", "SCD", "SCE"], &["Q"]),
    ("conb_1", 3, &[], &["HI", "LO"]),
    ("diode_2", 2, &["DIODE"], &[]),
    ("tapvpwrvgnd_1", 1, &[], &[]),
    ("fill_1", 1, &[], &[]),
    ("fill_2", 2, &[], &[]),
    ("fill_4", 4, &[], &[]),
    ("fill_8", 8, &[], &[]),
];

const TECHNOLOGY: &str = "VERSION 5.7 ;\nMANUFACTURINGGRID 0.005 ;\nSITE unithd CLASS CORE ; SIZE 0.46 BY 2.72 ; END unithd\n\
LAYER li1 TYPE ROUTING ; DIRECTION VERTICAL ; PITCH 0.46 0.34 ; WIDTH 0.17 ; SPACING 0.17 ; END li1\n\
LAYER mcon TYPE CUT ; WIDTH 0.17 ; SPACING 0.19 ; END mcon\n\
LAYER met1 TYPE ROUTING ; DIRECTION HORIZONTAL ; PITCH 0.34 ; WIDTH 0.14 ; SPACINGTABLE PARALLELRUNLENGTH 0 WIDTH 0 0.14 WIDTH 3 0.28 ; AREA 0.083 ; END met1\n\
LAYER via TYPE CUT ; WIDTH 0.15 ; SPACING 0.17 ; ENCLOSURE BELOW 0.055 0.085 ; ENCLOSURE ABOVE 0.055 0.085 ; END via\n\
LAYER met2 TYPE ROUTING ; DIRECTION VERTICAL ; PITCH 0.46 ; WIDTH 0.14 ; SPACINGTABLE PARALLELRUNLENGTH 0 WIDTH 0 0.14 WIDTH 3 0.28 ; AREA 0.0676 ; END met2\n\
LAYER via2 TYPE CUT ; WIDTH 0.2 ; SPACING 0.2 ; ENCLOSURE BELOW 0.04 0.085 ; ENCLOSURE ABOVE 0.065 0.065 ; END via2\n\
LAYER met3 TYPE ROUTING ; DIRECTION HORIZONTAL ; PITCH 0.68 ; WIDTH 0.3 ; SPACINGTABLE PARALLELRUNLENGTH 0 WIDTH 0 0.3 WIDTH 3 0.4 ; AREA 0.24 ; END met3\n\
LAYER via3 TYPE CUT ; WIDTH 0.2 ; SPACING 0.2 ; ENCLOSURE BELOW 0.06 0.09 ; ENCLOSURE ABOVE 0.065 0.065 ; END via3\n\
LAYER met4 TYPE ROUTING ; DIRECTION VERTICAL ; PITCH 0.92 ; WIDTH 0.3 ; SPACINGTABLE PARALLELRUNLENGTH 0 WIDTH 0 0.3 WIDTH 3 0.4 ; AREA 0.24 ; END met4\n\
LAYER via4 TYPE CUT ; WIDTH 0.8 ; SPACING 0.8 ; ENCLOSURE BELOW 0.19 0.19 ; ENCLOSURE ABOVE 0.31 0.31 ; END via4\n\
LAYER met5 TYPE ROUTING ; DIRECTION HORIZONTAL ; PITCH 3.4 ; WIDTH 1.6 ; SPACINGTABLE PARALLELRUNLENGTH 0 WIDTH 0 1.6 ; AREA 4 ; END met5\n\
VIA L1M1_PR DEFAULT LAYER mcon ; RECT -0.085 -0.085 0.085 0.085 ; LAYER li1 ; RECT -0.085 -0.085 0.085 0.085 ; LAYER met1 ; RECT -0.145 -0.115 0.145 0.115 ; END L1M1_PR\n\
VIA M1M2_PR DEFAULT LAYER via ; RECT -0.075 -0.075 0.075 0.075 ; LAYER met1 ; RECT -0.16 -0.13 0.16 0.13 ; LAYER met2 ; RECT -0.13 -0.16 0.13 0.16 ; END M1M2_PR\n\
END LIBRARY\n";

fn full(name: &str) -> String {
    format!("sky130_fd_sc_hd__{name}")
}

/// Technology LEF.
#[must_use]
pub fn technology() -> &'static str {
    TECHNOLOGY
}

/// LEF of the cells: signal pins are squares of li1 in a row.
#[must_use]
pub fn cells() -> String {
    let mut text = String::from("VERSION 5.7 ;\n");
    for (name, sites, inputs, outputs) in CELLS {
        let (cell, width) = (full(name), f64::from(sites) * 0.46);
        let class = if name.starts_with("tap") {
            "CORE WELLTAP"
        } else {
            "CORE"
        };
        let _ = writeln!(
            text,
            "MACRO {cell}\n CLASS {class} ; ORIGIN 0 0 ; SIZE {width} BY 2.72 ; SITE unithd ;"
        );
        for (index, pin) in inputs.iter().chain(outputs).enumerate() {
            let direction = if index < inputs.len() {
                "INPUT"
            } else {
                "OUTPUT"
            };
            let x = 0.15 + 0.46 * index as f64;
            let _ = writeln!(text, " PIN {pin} DIRECTION {direction} ; USE SIGNAL ; PORT LAYER li1 ; RECT {x:.3} 1.1 {:.3} 1.6 ; END END {pin}", x + 0.17);
        }
        for (pin, use_, low, high) in [
            ("VGND", "GROUND", -0.24, 0.24),
            ("VPWR", "POWER", 2.48, 2.96),
        ] {
            let _ = writeln!(text, " PIN {pin} DIRECTION INOUT ; USE {use_} ; PORT LAYER met1 ; RECT 0 {low} {width} {high} ; END END {pin}");
        }
        let _ = writeln!(text, "END {cell}");
    }
    text.push_str("END LIBRARY\n");
    text
}

/// Liberty of the same cells with delays that grow with load and slew.
#[must_use]
pub fn liberty() -> String {
    let mut text = String::from(
        "library (small) {\n time_unit : \"1ns\"; capacitive_load_unit (1.0, \"pf\"); default_max_transition : 1.5;\n\
         lu_table_template (t) { variable_1 : \"input_net_transition\"; variable_2 : \"total_output_net_capacitance\"; index_1 (\"0.01, 1.0\"); index_2 (\"0.001, 0.1\"); }\n\
         lu_table_template (c) { variable_1 : \"related_pin_transition\"; variable_2 : \"constrained_pin_transition\"; index_1 (\"0.01, 1.0\"); index_2 (\"0.01, 1.0\"); }\n",
    );
    let table = |name: &str, low: f64, high: f64| {
        format!(
            "{name} (t) {{ values (\"{low}, {high}\", \"{}, {}\"); }} ",
            low + 0.1,
            high + 0.1
        )
    };
    for (name, _, inputs, outputs) in CELLS {
        if inputs.is_empty() && outputs.is_empty() {
            continue;
        }
        let flip_flop = name.starts_with("sdf");
        let strength: f64 = name
            .rsplit('_')
            .next()
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(1.0);
        let _ = writeln!(text, " cell ({}) {{ area : 1.0;", full(name));
        if flip_flop {
            text.push_str("  ff (IQ, IQ_N) { clocked_on : \"CLK\"; next_state : \"(SCE&SCD) | (!SCE&D)\"; }\n  test_cell () { ff (IQ, IQ_N) { clocked_on : \"CLK\"; next_state : \"D\"; }\n   pin (CLK) { direction : input; } pin (D) { direction : input; }\n   pin (SCD) { direction : input; signal_type : test_scan_in; } pin (SCE) { direction : input; signal_type : test_scan_enable; }\n   pin (Q) { direction : output; function : \"IQ\"; signal_type : test_scan_out; } }\n");
        }
        for pin in inputs {
            let clock = if *pin == "CLK" { "clock : true; " } else { "" };
            let hold = if flip_flop && *pin != "CLK" {
                "timing () { related_pin : \"CLK\"; timing_type : hold_rising; rise_constraint (c) { values (\"0.0, 0.0\", \"0.0, 0.0\"); } fall_constraint (c) { values (\"0.0, 0.0\", \"0.0, 0.0\"); } }"
            } else {
                ""
            };
            let _ = writeln!(
                text,
                "  pin ({pin}) {{ direction : input; {clock}capacitance : 0.002; {hold} }}"
            );
        }
        for pin in outputs {
            let function = match (name, *pin) {
                (_, "Q") => "IQ",
                ("inv_1", _) => "!A",
                ("nand2_1", _) => "!(A&B)",
                (_, "HI") => "1",
                (_, "LO") => "0",
                _ => "A",
            };
            let _ = write!(text, "  pin ({pin}) {{ direction : output; function : \"{function}\"; max_capacitance : {}; ", 0.12 * strength);
            for input in inputs.iter().filter(|input| !flip_flop || **input == "CLK") {
                let kind = if flip_flop {
                    "timing_type : rising_edge; "
                } else {
                    ""
                };
                let slope = 1.0 / strength;
                let _ = write!(
                    text,
                    "timing () {{ related_pin : \"{input}\"; {kind}{}{}{}{} }} ",
                    table("cell_rise", 0.05, 0.05 + slope),
                    table("cell_fall", 0.05, 0.05 + slope),
                    table("rise_transition", 0.02, 0.02 + slope),
                    table("fall_transition", 0.02, 0.02 + slope)
                );
            }
            text.push_str("}\n");
        }
        text.push_str(" }\n");
    }
    text.push_str("}\n");
    text
}

/// Writes a PDK folder of these cells: LEF, GDS and CDL under the names that the stages read.
///
/// # Errors
/// When a file cannot be written.
pub fn write_pdk(folder: &Path) -> Result<(), LayoutError> {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|source| LayoutError::Io { path, source })
    };
    write("sky130_fd_sc_hd.tlef", TECHNOLOGY)?;
    write("sky130_fd_sc_hd.lef", &cells())?;
    let mut circuits = String::new();
    let mut library = Library::new("small");
    for (name, sites, inputs, outputs) in CELLS {
        let pins: Vec<&str> = inputs
            .iter()
            .chain(["VGND", "VNB", "VPB", "VPWR"].iter())
            .chain(outputs)
            .copied()
            .collect();
        let _ = writeln!(circuits, ".SUBCKT {} {}", full(name), pins.join(" "));
        if !outputs.is_empty() {
            let _ = writeln!(
                circuits,
                "M1 {} VGND VGND VNB nfet_01v8 w=0.65 l=0.15",
                outputs[0]
            );
        }
        let _ = writeln!(circuits, ".ENDS");
        let mut cell = Structure::new(full(name));
        cell.rect(LayerSpec::new(235, 4), Rect::new(0, 0, sites * 460, 2720));
        library.structures.push(cell);
    }
    write("sky130_fd_sc_hd.cdl", &circuits)?;
    library
        .write(folder.join("sky130_fd_sc_hd.gds"))
        .map_err(|error| LayoutError::Missing(error.to_string()))
}

/// A Verilog netlist: a scan chain of `flip_flops`, and `gates` between them with inputs at random from what is near.
#[must_use]
pub fn netlist(flip_flops: usize, gates: usize) -> String {
    let mut text = String::from("module nanoflow_top(clk, scan_enable, scan_in, a, q, scan_out);\n input clk, scan_enable, scan_in;\n input [3:0] a;\n output [3:0] q;\n output scan_out;\n");
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % below.max(1)
    };
    let _ = writeln!(
        text,
        " wire [{}:0] s;\n wire [{}:0] g;",
        flip_flops.max(1) - 1,
        gates.max(1) - 1
    );
    let mut source = |index: usize| match random(3) {
        0 if index > 0 => format!("g[{}]", index - 1 - random(index.min(30))),
        1 => format!("s[{}]", random(flip_flops)),
        _ => format!(
            "s[{}]",
            (index * flip_flops / gates.max(1) + random(5)).min(flip_flops - 1)
        ),
    };
    for gate in 0..gates {
        let (a, b) = (source(gate), source(gate));
        let _ = writeln!(
            text,
            " sky130_fd_sc_hd__nand2_1 gate_{gate} (.A({a}), .B({b}), .Y(g[{gate}]));"
        );
    }
    for index in 0..flip_flops {
        let data = if index < 4 {
            format!("a[{index}]")
        } else {
            format!("g[{}]", index * gates / flip_flops.max(1))
        };
        let scan = if index == 0 {
            "scan_in".to_string()
        } else {
            format!("s[{}]", index - 1)
        };
        let _ = writeln!(text, " sky130_fd_sc_hd__sdfxtp_1 flop_{index} (.CLK(clk), .D({data}), .SCD({scan}), .SCE(scan_enable), .Q(s[{index}]));");
    }
    for bit in 0..4 {
        let _ = writeln!(
            text,
            " sky130_fd_sc_hd__buf_1 out_{bit} (.A(s[{}]), .X(q[{bit}]));",
            bit % flip_flops
        );
    }
    let _ = writeln!(
        text,
        " sky130_fd_sc_hd__buf_1 out_scan (.A(s[{}]), .X(scan_out));\nendmodule",
        flip_flops - 1
    );
    text
}
