//! The whole flow that ships, from text to checked layout, and then what the build system promises about it: nothing runs
//! twice, a change runs what it reaches and no more, and a fault put into the layout is found.
//!
//! Slow (minutes). Needs the external tools; where `nanoflow doctor` finds one missing, it says so and is skipped.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const LAYOUT: &[&str] = &[
    "floorplan",
    "place",
    "cts",
    "route",
    "finish",
    "drc",
    "lvs",
    "sta",
];

/// A checkout of the flow in a folder of its own.
struct Flow {
    folder: tempfile::TempDir,
}

/// What a run did.
struct Ran {
    code: i32,
    executed: BTreeSet<String>,
    messages: String,
    seconds: f64,
}

impl Flow {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        // Beside the build, not in /tmp, which is memory on some machines.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        fs::copy(root.join("flow.yaml"), folder.path().join("flow.yaml")).expect("flow.yaml");
        for name in ["configs", "constraints", "tool-wrappers"] {
            copy_folder(&root.join(name), &folder.path().join(name));
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nanoflow"));
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let start = Instant::now();
        let output = self
            .command(&["--json"])
            .args(arguments)
            .output()
            .expect("nanoflow runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let events = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a JSON line"));
        let executed = events
            .filter(|event| event["event"] == "stage-finished" && event["outcome"] == "executed")
            .filter_map(|event| event["stage"].as_str().map(str::to_string))
            .collect();
        Ran {
            code: output.status.code().unwrap_or(-1),
            executed,
            messages: String::from_utf8_lossy(&output.stderr).into_owned(),
            seconds: start.elapsed().as_secs_f64(),
        }
    }

    fn metric(&self, stage: &str, name: &str) -> f64 {
        let output = self
            .command(&["--json", "show", stage])
            .output()
            .expect("nanoflow runs");
        let shown: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        shown["metrics"][name]["value"]
            .as_f64()
            .unwrap_or_else(|| panic!("{stage} has no metric {name}: {shown}"))
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let path = self.path(name);
        let text = fs::read_to_string(&path).expect("a text");
        assert!(text.contains(from), "{name} has no '{from}'");
        fs::write(&path, text.replace(from, to)).expect("it is written");
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_string()).collect()
}

#[test]
fn from_text_to_checked_layout() {
    let flow = Flow::new();
    let doctor = flow.command(&["doctor"]).output().expect("nanoflow runs");
    if doctor.status.code() == Some(4) {
        eprintln!("skipped: {}", String::from_utf8_lossy(&doctor.stdout));
        return;
    }

    // Everything, all gates green; then nothing to do.
    let first = flow.run(&["run"]);
    assert_eq!(first.code, 0, "{}", first.messages);
    eprintln!("the whole flow: {:.0} s", first.seconds);
    let second = flow.run(&["run"]);
    assert_eq!(
        (second.code, second.executed.len()),
        (0, 0),
        "{:?}",
        second.executed
    );
    assert_eq!(flow.metric("drc", "violations"), 0.0);
    assert_eq!(flow.metric("lvs", "mismatches"), 0.0);
    assert_eq!(flow.metric("gatesim", "mismatches"), 0.0);
    assert!(flow.metric("sta", "setup_wns_ns") >= 0.0 && flow.metric("sta", "hold_wns_ns") >= 0.0);
    for file in [
        "finish/top.gds",
        "finish/top.def",
        "finish/top.spef",
        "finish/top.v",
        "picture/top.png",
        "sta/sta.rpt",
    ] {
        assert!(
            flow.path("artifacts").join(file).exists(),
            "artifacts/{file} is missing"
        );
    }

    // The same bytes again stop the ripple at once.
    assert!(flow
        .command(&["invalidate", "quantize"])
        .status()
        .expect("nanoflow runs")
        .success());
    let again = flow.run(&["run", "lvs"]);
    assert_eq!(
        (again.code, again.executed),
        (0, set(&["smoothquant"])),
        "{}",
        again.messages
    );

    // Another model: the program changes, the silicon stays.
    flow.edit("flow.yaml", "seed: 1337", "seed: 42");
    let seed = flow.run(&[
        "--set",
        "train.steps=40",
        "run",
        "csim",
        "cosim",
        "gatesim",
        "lvs",
        "drc",
        "sta",
    ]);
    assert_eq!(seed.code, 0, "{}", seed.messages);
    assert!(
        seed.executed.is_superset(&set(&[
            "train",
            "smoothquant",
            "export",
            "hls",
            "csim",
            "cosim",
            "gatesim"
        ])),
        "{:?}",
        seed.executed
    );
    assert!(
        seed.executed.is_disjoint(&set(LAYOUT)) && !seed.executed.contains("yosys"),
        "{:?}",
        seed.executed
    );
    flow.edit("flow.yaml", "seed: 42", "seed: 1337");

    // Another ratio of heads runs pruning and what its output reaches.
    let heads = flow.run(&["--set", "prune.ratio=0.4", "run", "csim", "lvs"]);
    assert_eq!(
        (heads.code, heads.executed),
        (0, set(&["prune", "export", "hls", "csim"])),
        "{}",
        heads.messages
    );

    // Another clock period runs what reads it.
    flow.edit("constraints/top.sdc", "-period 20.0", "-period 25.0");
    let period = flow.run(&["run"]);
    assert_eq!(
        (period.code, period.executed),
        (0, set(&["sta"])),
        "{}",
        period.messages
    );

    faults_in_the_layout_are_found(&flow);
    another_design_takes_the_same_road(&flow);
}

/// The serial port of `examples/`, in the same folder and so with the same cells: simulated, laid out, checked.
fn another_design_takes_the_same_road(flow: &Flow) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/uart");
    fs::copy(example.join("flow.yaml"), flow.path("uart.yaml")).expect("the example's flow");
    copy_folder(&example.join("rtl"), &flow.path("rtl"));
    copy_folder(&example.join("constraints"), &flow.path("constraints"));
    let ran = flow.run(&["-f", "uart.yaml", "run"]);
    assert_eq!(ran.code, 0, "{}", ran.messages);
    assert!(!ran.executed.contains("liberty"), "{:?}", ran.executed);
    let number = |stage: &str, name: &str| {
        let shown = flow
            .command(&["-f", "uart.yaml", "--json", "show", stage])
            .output()
            .expect("nanoflow runs");
        let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
        shown["metrics"][name]["value"].as_f64()
    };
    assert_eq!(number("drc", "violations"), Some(0.0));
    assert_eq!(number("lvs", "mismatches"), Some(0.0));
    assert_eq!(number("route", "global_overflow"), Some(0.0));
    let cells = number("finish", "cells").expect("cells");
    assert!((200.0..500.0).contains(&cells), "{cells} cells");
    assert!(flow.path("artifacts/route/congestion.svg").is_file());
}

/// A wire taken out of the routed DEF, and one that is shifted by 50 nm: `finish` passes both on, sign-off finds them.
fn faults_in_the_layout_are_found(flow: &Flow) {
    let routed =
        fs::read_to_string(flow.path("artifacts/route/route.def")).expect("the routed DEF");
    flow.edit(
        "flow.yaml",
        "def: route.def, pdk",
        "def: edited/route.def, pdk",
    );
    fs::create_dir_all(flow.path("edited")).expect("a folder");
    for (fault, text) in [
        ("a wire is missing", without_wire(&routed)),
        ("a wire is shifted by 50 nm", with_shifted_wire(&routed)),
    ] {
        assert_ne!(text, routed, "{fault}");
        fs::write(flow.path("edited/route.def"), text).expect("a file");
        let checked = flow.run(&["run", "-k", "drc", "lvs"]);
        assert_eq!(checked.code, 3, "{fault}: {}", checked.messages);
        let places = ["drc/drc.json", "lvs/lvs.json"]
            .iter()
            .filter_map(|name| fs::read_to_string(flow.path("artifacts").join(name)).ok())
            .filter(|text| text.contains("\"x\"") && text.contains("\"y\""))
            .count();
        assert!(places > 0, "{fault}: no report names a place");
    }
}

/// A straight piece of a routed net's wire: `NEW met1 ( x y ) ( x2 y2 )`.
struct Wire<'a> {
    net: usize,
    line: &'a str,
    from: (i64, i64),
    to: (i64, i64),
}

/// Straight wires of the routed nets on one layer, and the places of contacts to pins with the number of their net.
fn wires<'a>(def: &'a str, layer: &str) -> (Vec<Wire<'a>>, Vec<(usize, i64, i64)>) {
    let (mut wires, mut contacts) = (Vec::new(), Vec::new());
    let mut net = 0;
    for line in def[def.find("\nNETS ").expect("nets")..].lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |index: usize| words[index].parse::<i64>();
        match words.as_slice() {
            ["-", ..] => net += 1,
            ["NEW", found, "(", _, _, ")", "(", _, _, ")"] if *found == layer => {
                if let (Ok(x1), Ok(y1), Ok(x2), Ok(y2)) =
                    (number(3), number(4), number(7), number(8))
                {
                    wires.push(Wire {
                        net,
                        line,
                        from: (x1.min(x2), y1.min(y2)),
                        to: (x1.max(x2), y1.max(y2)),
                    });
                }
            }
            ["NEW", "met1", "(", _, _, ")", via] if via.starts_with("L1M1") => {
                if let (Ok(x), Ok(y)) = (number(3), number(4)) {
                    contacts.push((net, x, y));
                }
            }
            _ => {}
        }
    }
    (wires, contacts)
}

/// Takes out the longest met2 wire.
fn without_wire(def: &str) -> String {
    let (wires, _) = wires(def, "met2");
    let length = |wire: &&Wire| (wire.to.1 - wire.from.1, wire.net);
    let longest = wires.iter().max_by_key(length).expect("a met2 wire");
    def.replacen(&format!("{}\n", longest.line), "", 1)
}

/// Shifts a met1 wire by 50 nm towards another net's contact, which lies one row of the lattice (0.34 um) away.
fn with_shifted_wire(def: &str) -> String {
    let (wires, contacts) = wires(def, "met1");
    let beside = |wire: &&Wire| {
        wire.from.1 == wire.to.1
            && wire.to.0 - wire.from.0 > 1_000
            && contacts.iter().any(|(net, x, y)| {
                *net != wire.net
                    && (325..=345).contains(&(y - wire.from.1))
                    && wire.from.0 < *x
                    && *x < wire.to.0
            })
    };
    let wire = wires
        .iter()
        .find(beside)
        .expect("a met1 wire beside another net's contact");
    let y = wire.from.1 + 50;
    let shifted = format!("    NEW met1 ( {} {y} ) ( {} {y} )", wire.from.0, wire.to.0);
    def.replacen(wire.line, &shifted, 1)
}
