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

/// The first horizontal or vertical met1 or met2 segment of a routed net that is long enough to matter: its line in the DEF.
fn segment(def: &str) -> usize {
    let nets = def.find("\nNETS ").expect("nets");
    let mut at = nets;
    for line in def[nets..].split_inclusive('\n') {
        let words: Vec<&str> = line.split_whitespace().collect();
        let wire = words.iter().position(|word| *word == "met2");
        if let Some(layer) = wire {
            // `met2 ( x y ) ( * y2 )` or `( x2 * )`: two points on one layer, with no via at the end.
            let points = words[layer + 1..]
                .iter()
                .filter(|word| **word == "(")
                .count();
            let numbers: Vec<i64> = words[layer + 1..]
                .iter()
                .filter_map(|word| word.parse().ok())
                .collect();
            let long = numbers.len() >= 3
                && (numbers[2] - numbers[1])
                    .abs()
                    .min((numbers[2] - numbers[0]).abs())
                    > 5_000;
            if points == 2 && long {
                return at;
            }
        }
        at += line.len();
    }
    panic!("the DEF has no long met2 segment");
}

fn without_wire(def: &str) -> String {
    let start = segment(def);
    let line = def[start..].split_inclusive('\n').next().expect("a line");
    // What ends the net or begins its wires must stay: shrink the segment to its first point instead of deleting the line.
    let points: Vec<usize> = line.match_indices('(').map(|(index, _)| index).collect();
    let close = line[points[1]..].find(')').expect("a closing parenthesis") + points[1];
    let first = line[points[0] + 1..]
        .split(')')
        .next()
        .expect("a point")
        .trim()
        .to_string();
    format!(
        "{}{}( {first} ){}{}",
        &def[..start],
        &line[..points[1]],
        &line[close + 1..],
        &def[start + line.len()..]
    )
}

fn with_shifted_wire(def: &str) -> String {
    let start = segment(def);
    let line = def[start..].split_inclusive('\n').next().expect("a line");
    let open = line.find('(').expect("a point");
    let close = line[open..].find(')').expect("a closing parenthesis") + open;
    let mut words: Vec<String> = line[open + 1..close]
        .split_whitespace()
        .map(str::to_string)
        .collect();
    let x: i64 = words[0].parse().expect("x of the first point");
    words[0] = (x + 50).to_string();
    // A vertical wire moves whole: its second point says `*` for the same x.
    format!(
        "{}{}( {} {}{}",
        &def[..start],
        &line[..open],
        words.join(" "),
        &line[close..],
        &def[start + line.len()..]
    )
}
