//! The generated texts: templates in which only the hardware parameters are filled in.

use std::path::Path;

use nanoflow_accel::{simulate::bench, Hardware};
use nanoflow_sdk::StageError;

const RTL: [(&str, &str); 4] = [
    ("nanoflow_top.v", include_str!("rtl/nanoflow_top.v")),
    ("nanoflow_core.v", include_str!("rtl/nanoflow_core.v")),
    ("nanoflow_mac.v", include_str!("rtl/nanoflow_mac.v")),
    ("nanoflow_csr.v", include_str!("rtl/nanoflow_csr.v")),
];

const CPP: [(&str, &str); 5] = [
    ("nanoflow_core.h", include_str!("cpp/nanoflow_core.h")),
    ("nanoflow_core.cpp", include_str!("cpp/nanoflow_core.cpp")),
    ("nanoflow_ac.h", include_str!("cpp/nanoflow_ac.h")),
    ("nanoflow_tb.cpp", include_str!("cpp/nanoflow_tb.cpp")),
    ("project.tcl", include_str!("cpp/project.tcl")),
];

/// Memory and script of the test bench that is emitted for people; `cosim` makes one that fits its program.
const BENCH_WORDS: usize = 1 << 20;
const BENCH_STEPS: usize = 1024;

/// Writes the Verilog, a test bench in `bench/`, and `hardware.json`.
///
/// # Errors
/// A file that cannot be written.
pub fn rtl(dir: &Path, hardware: &Hardware) -> Result<(), StageError> {
    for (name, text) in RTL {
        write(&dir.join(name), &fill(text, hardware))?;
    }
    let bench = bench("nanoflow_top", hardware, BENCH_WORDS, BENCH_STEPS, 0, "");
    write(&dir.join("bench/nanoflow_bench.v"), &bench)?;
    write_hardware(dir, hardware)
}

/// Writes the C++ for high-level synthesis and `hardware.json`.
///
/// # Errors
/// A file that cannot be written.
pub fn cpp(dir: &Path, hardware: &Hardware) -> Result<(), StageError> {
    for (name, text) in CPP {
        write(&dir.join(name), &fill(text, hardware))?;
    }
    write_hardware(dir, hardware)
}

fn write_hardware(dir: &Path, hardware: &Hardware) -> Result<(), StageError> {
    let text = serde_json::to_string_pretty(hardware)
        .map_err(|error| StageError::internal(error.to_string()))?;
    write(&dir.join("hardware.json"), &(text + "\n"))
}

fn write(path: &Path, text: &str) -> Result<(), StageError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| StageError::io(parent, &error))?;
    }
    std::fs::write(path, text).map_err(|error| StageError::io(path, &error))
}

fn fill(text: &str, hardware: &Hardware) -> String {
    let values = [
        ("@LANES@", hardware.lanes.to_string()),
        ("@LANE_BITS@", hardware.lane_bits().to_string()),
        ("@ACC_BITS@", hardware.acc_bits.to_string()),
        ("@ADDRESS_BITS@", hardware.address_bits.to_string()),
        ("@COUNT_BITS@", hardware.count_bits.to_string()),
        ("@POSITION_BITS@", hardware.position_bits.to_string()),
        ("@ADDRESS_MSB@", (hardware.address_bits - 1).to_string()),
        ("@POSITION_MSB@", (hardware.position_bits - 1).to_string()),
        ("@STROBE_MSB@", (hardware.lanes - 1).to_string()),
        ("@WORD_MSB@", (hardware.lanes * 8 - 1).to_string()),
        ("@VERSION@", format!("32'h{:08X}", hardware.version())),
    ];
    values.iter().fold(text.to_string(), |text, (name, value)| {
        text.replace(name, value)
    })
}
