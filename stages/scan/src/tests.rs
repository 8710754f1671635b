use std::path::Path;

use nanoflow_sdk::testing;
use serde_json::json;

use crate::{stage, Chain};

const LIBRARY: &str = r#"library (small) {
  cell (t__inv_1) { area : 3; pin (A) { direction : input; } pin (Y) { direction : output; function : "!A"; } }
  cell (t__buf_2) { area : 5; pin (A) { direction : input; } pin (X) { direction : output; function : "A"; } }
  cell (t__dfxtp_1) { area : 20; ff (IQ, IQ_N) { clocked_on : "CLK"; next_state : "D"; }
    pin (CLK) { direction : input; clock : true; } pin (D) { direction : input; } pin (Q) { direction : output; function : "IQ"; } }
  cell (t__dfxbp_1) { area : 24; ff (IQ, IQ_N) { clocked_on : "CLK"; next_state : "D"; }
    pin (CLK) { direction : input; clock : true; } pin (D) { direction : input; } pin (Q) { direction : output; function : "IQ"; }
    pin (Q_N) { direction : output; function : "IQ_N"; } }
  cell (t__dlxtp_1) { area : 15; latch (IQ, IQ_N) { enable : "GATE"; data_in : "D"; }
    pin (GATE) { direction : input; } pin (D) { direction : input; } pin (Q) { direction : output; function : "IQ"; } }
  cell (t__sdfxtp_1) { area : 26; ff (IQ, IQ_N) { clocked_on : "CLK"; next_state : "(D&!SCE) | (SCD&SCE)"; }
    pin (CLK) { direction : input; clock : true; } pin (D) { direction : input; } pin (SCD) { direction : input; } pin (SCE) { direction : input; }
    pin (Q) { direction : output; function : "IQ"; }
    test_cell () { ff (IQ, IQ_N) { clocked_on : "CLK"; next_state : "D"; }
      pin (CLK) { direction : input; } pin (D) { direction : input; }
      pin (SCD) { direction : input; signal_type : "test_scan_in"; } pin (SCE) { direction : input; signal_type : "test_scan_enable"; }
      pin (Q) { direction : output; function : "IQ"; signal_type : "test_scan_out"; } } }
}"#;

/// A three-bit ring of inverters and flip-flops; bit 10 comes after bit 2 in the chain.
const NETLIST: &str = r"module ring(clk, q);
  input clk;
  output q;
  wire \r[2] , \r[10] , n0, n1, n2;
  t__dfxtp_1 a (.CLK(clk), .D(n1), .Q(\r[10] ));
  t__dfxtp_1 b (.CLK(clk), .D(n0), .Q(\r[2] ));
  t__dfxtp_1 c (.CLK(clk), .D(n2), .Q(q));
  t__inv_1 i0 (.A(q), .Y(n0));
  t__inv_1 i1 (.A(\r[2] ), .Y(n1));
  t__inv_1 i2 (.A(\r[10] ), .Y(n2));
endmodule
";

fn run(netlist: &str) -> Result<(String, Chain), String> {
    let dir = tempfile::tempdir().expect("a folder");
    let (library, verilog) = (dir.path().join("s.lib"), dir.path().join("n.v"));
    std::fs::write(&library, LIBRARY).expect("a file");
    std::fs::write(&verilog, netlist).expect("a file");
    let inputs: [(&str, &Path); 2] = [("liberty", &library), ("netlist", &verilog)];
    let outputs = [("netlist", "scan.v"), ("chain", "chain.json")];
    let done = testing::run(stage(), json!({}), &inputs, &outputs, 1)
        .map_err(|error| error.to_string())?;
    let text = std::fs::read_to_string(done.output("netlist")).expect("a netlist");
    let chain = std::fs::read_to_string(done.output("chain")).expect("a chain");
    Ok((text, serde_json::from_str(&chain).expect("JSON")))
}

#[test]
fn every_flip_flop_is_a_link_in_the_order_of_its_name() {
    let (text, chain) = run(NETLIST).expect("a scan netlist");
    let order: Vec<_> = chain.cells.iter().map(|cell| cell.net.as_str()).collect();
    assert_eq!(order, ["q", "r[2]", "r[10]"]);
    assert!(!text.contains("t__dfxtp_1"), "{text}");
    assert_eq!(text.matches("t__sdfxtp_1").count(), 3);
    assert!(
        text.contains("input scan_enable;")
            && text.contains("input scan_in;")
            && text.contains("output scan_out;")
    );
}

#[test]
fn what_cannot_be_scanned_is_told() {
    for (from, to, words) in [
        ("t__dfxtp_1 a", "t__dlxtp_1 a", "instance 'a' is a latch"),
        (
            "t__dfxtp_1 a",
            "t__dfxbp_1 a",
            "no scan cell for t__dfxbp_1",
        ),
        (
            "t__dfxtp_1 a (.CLK(clk)",
            "t__dfxtp_1 a (.CLK(n0)",
            "two clocks",
        ),
        ("t__inv_1 i0", "t__what_1 i0", "no cell 't__what_1'"),
        (
            "module ring(clk, q);",
            "module ring(clk, q, scan_in);\n  input scan_in;",
            "'scan_in' already",
        ),
    ] {
        let error = run(&NETLIST.replace(from, to)).expect_err(to);
        assert!(error.contains(words), "{error}");
    }
}

/// With scan off the ring counts as before; with scan on a pattern comes out as it went in. Judged by Icarus Verilog.
#[test]
fn the_chain_shifts_and_the_function_stays() {
    if which::which("iverilog").is_err() {
        eprintln!("skipped: iverilog is not there");
        return;
    }
    let (text, _) = run(NETLIST).expect("a scan netlist");
    let models = "module t__inv_1(input A, output Y); assign Y = ~A; endmodule
module t__buf_2(input A, output X); assign X = A; endmodule
module t__dfxtp_1(input CLK, D, output reg Q); initial Q = 0; always @(posedge CLK) Q <= D; endmodule
module t__sdfxtp_1(input CLK, D, SCD, SCE, output reg Q); initial Q = 0; always @(posedge CLK) Q <= SCE ? SCD : D; endmodule
";
    let bench = "module bench; reg clk = 0, se = 0, si = 0; wire q0, q1, so; integer i; reg [9:0] sent, got;
  ring before (.clk(clk), .q(q0)); ring_scan after (.clk(clk), .q(q1), .scan_enable(se), .scan_in(si), .scan_out(so));
  initial begin
    for (i = 0; i < 20; i = i + 1) begin #1; if (q0 !== q1) $display(\"DIFFER %0d\", i); clk = 1; #1 clk = 0; end
    se = 1; sent = 10'b1011001110; got = 0;
    for (i = 0; i < 13; i = i + 1) begin
      si = i < 10 ? sent[i] : 0; #1 clk = 1; #1 clk = 0; if (i >= 2 && i < 12) got[i-2] = so; end
    if (got === sent) $display(\"SHIFTED\"); else $display(\"LOST %b %b\", sent, got);
  end endmodule
";
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("all.v");
    let scan = text.replace("module ring(", "module ring_scan(");
    std::fs::write(&file, format!("{models}{NETLIST}{scan}{bench}")).expect("a file");
    let binary = dir.path().join("bench");
    duct::cmd!("iverilog", "-g2005", "-o", &binary, &file)
        .run()
        .expect("iverilog takes it");
    let printed = duct::cmd!(&binary).read().expect("it runs");
    assert_eq!(printed.trim(), "SHIFTED");
}
