use std::path::Path;

use nanoflow_netlist::{liberty, verilog};

use crate::{chain, models, shift};

const LIBRARY: &str = r#"library (small) {
  cell (inv) { pin (A) { direction : input; } pin (Y) { direction : output; function : "!A"; } }
  cell (rep) { pin (A) { direction : input; } pin (X) { direction : output; function : "A"; } }
  cell (dlat) { latch (IQ, IQ_N) { enable : "G"; } pin (G) { direction : input; } pin (Q) { direction : output; function : "IQ"; } }
  cell (sdf) { ff (IQ, IQ_N) { clocked_on : "CLK"; next_state : "(D&!SCE) | (SCD&SCE)"; }
    pin (CLK) { direction : input; clock : true; } pin (D) { direction : input; } pin (SCD) { direction : input; } pin (SCE) { direction : input; }
    pin (Q) { direction : output; function : "IQ"; }
    test_cell () { ff (IQ, IQ_N) { clocked_on : "CLK"; next_state : "D"; }
      pin (SCD) { direction : input; signal_type : "test_scan_in"; } pin (SCE) { direction : input; signal_type : "test_scan_enable"; } } }
}"#;

const NETLIST: &str = "module top(clk, se, si, so, y);
  input clk, se, si; output so, y; wire a, b, c, d, e;
  sdf first (.CLK(clk), .D(e), .SCD(si), .SCE(se), .Q(a));
  rep hold (.A(a), .X(b));
  rep load (.A(a), .X(d));
  inv invert (.A(d), .Y(e));
  rep side (.A(e), .X(y));
  sdf second (.CLK(clk), .D(e), .SCD(b), .SCE(se), .Q(c));
  rep last (.A(c), .X(so));
endmodule
";

fn trace(text: &str) -> Result<Vec<String>, String> {
    let library = liberty::read(LIBRARY, Path::new("s.lib")).expect("a library");
    let netlist = verilog::read(text, Path::new("n.v"), None).expect("a netlist");
    chain::trace(&netlist, &library, "si", "so").map_err(|error| error.to_string())
}

#[test]
fn the_chain_is_followed_through_buffers() {
    assert_eq!(trace(NETLIST).expect("a chain"), ["first", "second"]);
    let broken = trace(
        &NETLIST
            .replace(".SCD(b)", ".SCD(d2)")
            .replace("wire a", "wire d2, a"),
    )
    .expect_err("no chain");
    assert!(broken.contains("breaks off"), "{broken}");
    assert!(trace(
        &NETLIST
            .replace("output so", "output sx")
            .replace("so", "sx")
    )
    .is_err());
}

/// Counts the wrong bits of a shift through `text`.
fn wrong_bits(text: &str) -> Option<usize> {
    if which::which("iverilog").is_err() {
        eprintln!("skipped: iverilog is not there");
        return None;
    }
    let library = liberty::read(LIBRARY, Path::new("s.lib")).expect("a library");
    let netlist = verilog::read(text, Path::new("n.v"), None).expect("a netlist");
    let dir = tempfile::tempdir().expect("a folder");
    let files = [
        ("n.v", verilog::write(&netlist)),
        ("c.v", models::write(&netlist, &library).expect("models")),
    ];
    let files = files.map(|(name, text)| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    });
    let ports = shift::Ports {
        clock: "clk",
        scan_enable: "se",
        scan_in: "si",
        scan_out: "so",
    };
    Some(
        shift::run(&netlist, &ports, 2, &files, dir.path())
            .expect("it runs")
            .wrong,
    )
}

#[test]
fn a_pattern_shifts_through_and_a_broken_chain_shows() {
    let Some(wrong) = wrong_bits(NETLIST) else {
        return;
    };
    assert_eq!(wrong, 0);
    // An inverter in the chain, and a link that takes its data instead of the chain's bit.
    assert!(
        wrong_bits(&NETLIST.replace("rep hold (.A(a), .X(b))", "inv hold (.A(a), .Y(b))"))
            .is_some_and(|wrong| wrong > 0)
    );
    assert!(wrong_bits(&NETLIST.replace(".SCD(b)", ".SCD(e)")).is_some_and(|wrong| wrong > 0));
}

#[test]
fn a_latch_has_no_model() {
    let library = liberty::read(LIBRARY, Path::new("s.lib")).expect("a library");
    let text = "module t(g, q); input g; output q; dlat u (.G(g), .Q(q)); endmodule";
    let netlist = verilog::read(text, Path::new("n.v"), None).expect("a netlist");
    assert!(models::write(&netlist, &library)
        .expect_err("a latch")
        .to_string()
        .contains("'dlat' is a latch"));
}
