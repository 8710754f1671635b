//! Shifts a pattern through the chain in Icarus Verilog, whose unknown values show a link that was never written.

use std::path::{Path, PathBuf};

use nanoflow_netlist::{Direction, Netlist};
use nanoflow_sdk::StageError;

/// Bits sent after the chain is full; they must come out as they went in.
const PATTERN: usize = 256;

/// Result of the shift.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Shift {
    pub length: usize,
    pub bits: usize,
    pub wrong: usize,
}

/// Names of the ports.
pub struct Ports<'a> {
    pub clock: &'a str,
    pub scan_enable: &'a str,
    pub scan_in: &'a str,
    pub scan_out: &'a str,
}

/// Runs the shift. `files` are the netlist and the cells' models.
///
/// # Errors
/// When Icarus fails or prints what cannot be read.
pub fn run(
    netlist: &Netlist,
    ports: &Ports,
    length: usize,
    files: &[PathBuf],
    scratch: &Path,
) -> Result<Shift, StageError> {
    let path = scratch.join("shift.v");
    std::fs::write(&path, bench(netlist, ports, length))
        .map_err(|error| StageError::io(&path, &error))?;
    let program = scratch.join("shift.vvp");
    let compile = which("iverilog")?;
    let mut arguments: Vec<std::ffi::OsString> = vec![
        "-g2005".into(),
        "-s".into(),
        "shift".into(),
        "-o".into(),
        program.clone().into(),
    ];
    arguments.push(path.into());
    arguments.extend(files.iter().map(|file| file.clone().into()));
    call(&compile, &arguments, scratch)?;
    let printed = call(&which("vvp")?, &["-N".into(), program.into()], scratch)?;
    let wrong = printed
        .lines()
        .find_map(|line| line.strip_prefix("wrong "))
        .and_then(|number| number.trim().parse().ok());
    let wrong = wrong.ok_or_else(|| {
        StageError::tool(format!("the shift simulation printed no result: {printed}"))
    })?;
    Ok(Shift {
        length,
        bits: PATTERN,
        wrong,
    })
}

fn which(program: &str) -> Result<PathBuf, StageError> {
    which::which(program).map_err(|_| {
        StageError::tool(format!("'{program}' is not there"))
            .hint("install it: apt-get install iverilog, or nanoflow setup")
    })
}

fn call(
    program: &Path,
    arguments: &[std::ffi::OsString],
    scratch: &Path,
) -> Result<String, StageError> {
    let output = duct::cmd(program, arguments)
        .dir(scratch)
        .stderr_to_stdout()
        .stdout_capture()
        .unchecked()
        .run();
    let output =
        output.map_err(|error| StageError::tool(format!("{}: {error}", program.display())))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let first = text.lines().next().unwrap_or("it printed nothing");
    Err(StageError::tool(format!(
        "{} failed: {first}",
        program.display()
    )))
}

fn bench(netlist: &Netlist, ports: &Ports, length: usize) -> String {
    let driven = [ports.clock, ports.scan_enable, ports.scan_in];
    // Inputs that the shift does not use stay at 0; with scan on they reach no flip-flop.
    let connections: Vec<String> = netlist
        .ports
        .iter()
        .filter_map(|port| match (port.direction, port.name.as_str()) {
            (_, name) if name == ports.clock => Some(format!(".\\{name} (clock)")),
            (_, name) if name == ports.scan_enable => Some(format!(".\\{name} (1'b1)")),
            (_, name) if name == ports.scan_in => Some(format!(".\\{name} (bits[0])")),
            (_, name) if name == ports.scan_out => Some(format!(".\\{name} (out)")),
            (Direction::Input, name) if !driven.contains(&name) => {
                Some(format!(".\\{name} ({}'b0)", port.bits.len()))
            }
            _ => None,
        })
        .collect();
    // The pattern is that of a 16-bit shift register with feedback (taps 16, 14, 13, 11), once going in and once compared.
    format!(
        "module shift;
  reg clock = 0; wire out; integer cycle, wrong = 0;
  reg [15:0] bits = 16'hace1, expected = 16'hace1;
  \\{top} gates({connections});
  function [15:0] step(input [15:0] now); step = {{now[0] ^ now[2] ^ now[3] ^ now[5], now[15:1]}}; endfunction
  initial begin
    for (cycle = 0; cycle < {total}; cycle = cycle + 1) begin
      #1;
      if (cycle >= {length}) begin
        if (out !== expected[0]) wrong = wrong + 1;
        expected = step(expected);
      end
      clock = 1; #1; clock = 0; bits = step(bits);
    end
    $display(\"wrong %0d\", wrong);
  end
endmodule
",
        top = netlist.name,
        connections = connections.join(", "),
        total = length + PATTERN,
    )
}
