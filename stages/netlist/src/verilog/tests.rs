use std::path::Path;

use super::{read, write};
use crate::{Direction, Netlist};

fn parse(text: &str) -> Result<Netlist, String> {
    read(text, Path::new("n.v"), None).map_err(|error| error.to_string())
}

const SMALL: &str = r"
/* a comment
   over lines */
(* top = 1 *)
module top(clk, d, q, \odd.name[2] );
  input clk; // clock
  input [3:0] d;
  output [1:0] q;
  output \odd.name[2] ;
  wire \u.n1 ;
  wire [1:0] v;
  nand2_1 _0_ (.A(d[3]), .B(d[0]), .Y(\u.n1 ));
  dfxtp_1 \u.r[0] (.CLK(clk), .D(\u.n1 ), .Q(q[0]));
  dfxtp_1 r1 (.CLK(clk), .D(v[1]), .Q(\odd.name[2] ));
  inv_1 i (.A(1'b1), .Y(v[1]));
  inv_1 j (.A(d[2]), .Y());
  buf_1 b (.A(d[1]), .X(q[1]));
endmodule
";

#[test]
fn what_synthesis_writes_is_read() {
    let netlist = parse(SMALL).expect("a netlist");
    assert_eq!(netlist.name, "top");
    let ports: Vec<_> = netlist
        .ports
        .iter()
        .map(|port| (port.name.as_str(), port.direction, port.bits.len()))
        .collect();
    assert_eq!(
        ports,
        [
            ("clk", Direction::Input, 1),
            ("d", Direction::Input, 4),
            ("q", Direction::Output, 2),
            ("odd.name[2]", Direction::Output, 1)
        ]
    );
    assert_eq!(netlist.cells.len(), 6);
    assert_eq!(netlist.cells[0].pin("A"), netlist.find_net("d[3]"));
    assert_eq!(netlist.cells[1].name, "u.r[0]");
    assert!(netlist.nets[netlist.cells[3].pin("A").expect("A").index()].constant == Some(true));
    assert_eq!(netlist.cells[4].pin("Y"), None);
}

#[test]
fn what_is_written_is_read_as_the_same() {
    let netlist = parse(SMALL).expect("a netlist");
    let text = write(&netlist);
    let again = parse(&text).expect("its own text");
    assert_eq!(write(&again), text);
    assert_eq!(again.cells.len(), netlist.cells.len());
    assert_eq!(again.ports.len(), netlist.ports.len());
}

#[test]
fn concatenations_and_selects_are_split_into_bits() {
    let text = "module t(input [2:0] a, output y); wire [2:0] b; assign b = {a[0], a[2:1]}; \
                and3_1 u (.A(b[2]), .B(b[1]), .C(b[0]), .X(y)); endmodule";
    let netlist = parse(text).expect("a netlist");
    let cell = &netlist.cells[0];
    let names: Vec<_> = ["A", "B", "C"]
        .map(|pin| netlist.net_name(cell.pin(pin).expect("a net")))
        .into();
    assert_eq!(names, ["a[0]", "a[2]", "a[1]"]);
}

#[test]
fn constants_of_any_base_have_their_width() {
    let text = "module t(output y); wire [5:0] b; assign b = 6'h2x; and2_1 u (.A(b[5]), .B(b[4]), .X(y)); endmodule";
    let netlist = parse(text).expect("a netlist");
    let constants: Vec<_> = ["A", "B"]
        .map(|pin| netlist.nets[netlist.cells[0].pin(pin).expect("a net").index()].constant)
        .into();
    assert_eq!(constants, [Some(true), Some(false)]);
}

#[test]
fn faults_name_the_line() {
    for (text, words) in [
        ("module t(a);\nendmodule", "'a' has no direction"),
        (
            "module t(input a);\n  inv_1 u (a);\nendmodule",
            "n.v:2: a named pin",
        ),
        (
            "module t(input [1:0] a);\n\n  inv_1 u (.A(a[7]), .Y());\nendmodule",
            "n.v:3: 'a' has no bit 7",
        ),
        (
            "module t(input [1:0] a);\n  inv_1 u (.A(a), .Y());\nendmodule",
            "takes one bit, not 2",
        ),
        (
            "module t(input a, output b);\n  assign b = a;\nendmodule",
            "put a buffer there",
        ),
        ("module t(input a);\n  always @(a) ;\nendmodule", "no place"),
        (
            "module t(input a);\n  inv_1 u (.A(a));\n  inv_1 u (.A(a));\nendmodule",
            "n.v:3: instance 'u' stands twice",
        ),
        ("module t(input a);\n  inv_1 u (.A(a)", "the text ends"),
        (
            "module t(input a);\n  /* never",
            "n.v:2: a comment that starts here never ends",
        ),
        ("", "no module"),
        ("module t(input [99999999:0] a); endmodule", "too wide"),
    ] {
        let error = parse(text).expect_err(text);
        assert!(error.contains(words), "{text:?} gave {error:?}");
    }
}
