//! A look at the last run's snapshot and the long way over the flow file give the same answers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use crate::common::{events, Flow};

/// Makes every command go the long way.
const OFF: &str = "NANOFLOW_NO_SNAPSHOT";

const FLOW: &str = r#"
version: 1
env: [LEVEL]
stages:
  one: { run: "cat {{ inputs.a }} > {{ outputs.o }}; echo $LEVEL >> {{ outputs.o }}", inputs: { a: src/a }, outputs: { o: o } }
  two: { run: "cat {{ inputs.b }} {{ inputs.one }} > {{ outputs.o }}; echo PARAM >> {{ outputs.o }}", inputs: { b: src/b, one: one.o }, outputs: { o: deep/o } }
  all: { run: "cat {{ inputs.many }} > {{ outputs.o }}", inputs: { many: "many/*.txt" }, outputs: { o: o } }
  tree: { run: "mkdir -p {{ outputs.d }}/in && cp -r {{ inputs.folder }} {{ outputs.d }}/in/ && wc -c {{ inputs.two }} > {{ outputs.d }}/count", inputs: { folder: folder, two: two.o }, outputs: { d: d/ } }
  last: { run: [cp, "{{ inputs.one }}", "{{ outputs.o }}"], inputs: { one: one.o }, outputs: { o: o } }
  end: { run: "cat {{ inputs.d }}/count {{ inputs.all }} {{ inputs.last }} > {{ outputs.o }}", inputs: { d: tree.d, all: all.o, last: last.o }, outputs: { o: o } }
"#;

#[derive(Debug, Clone)]
enum Edit {
    Write(&'static str, u8),
    Touch(&'static str),
    Remove(&'static str),
    Parameter(u8),
    Level(u8),
    AddStage,
    /// Spoils one object, action or other file of the cache in place, or removes it.
    Cache {
        folder: &'static str,
        which: usize,
        remove: bool,
    },
    Invalidate(&'static str),
    RunOne(&'static str),
    Wait,
}

const SOURCES: [&str; 6] = [
    "src/a",
    "src/b",
    "many/1.txt",
    "many/2.txt",
    "folder/x",
    "folder/y/z",
];
const ARTIFACTS: [&str; 6] = [
    "artifacts/one/o",
    "artifacts/two/deep/o",
    "artifacts/tree/d/count",
    "artifacts/tree/d/in/folder/x",
    "artifacts/tree/d/extra",
    "artifacts/end/o",
];
const STAGES: [&str; 6] = ["one", "two", "all", "tree", "last", "end"];

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let one = |names: &'static [&'static str]| (0..names.len()).prop_map(|at| names[at]);
    let edit = prop_oneof![
        4 => (one(&SOURCES), 0..3u8).prop_map(|(name, value)| Edit::Write(name, value)),
        2 => one(&SOURCES).prop_map(Edit::Touch),
        3 => (one(&ARTIFACTS), 0..3u8).prop_map(|(name, value)| Edit::Write(name, value)),
        2 => one(&ARTIFACTS).prop_map(Edit::Remove),
        1 => Just(Edit::Write("many/3.txt", 1)),
        1 => Just(Edit::Remove("many/3.txt")),
        1 => (0..3u8).prop_map(Edit::Parameter),
        1 => (0..3u8).prop_map(Edit::Level),
        1 => Just(Edit::AddStage),
        2 => (prop_oneof![Just("objects"), Just("actions"), Just("")], 0..64usize, any::<bool>())
            .prop_map(|(folder, which, remove)| Edit::Cache { folder, which, remove }),
        1 => one(&STAGES).prop_map(Edit::Invalidate),
        1 => one(&STAGES).prop_map(Edit::RunOne),
        2 => Just(Edit::Wait),
    ];
    prop::collection::vec(edit, 0..4)
}

/// One of the two folders that go through the same edits.
struct Side {
    flow: Flow,
    long_way: bool,
    level: u8,
    parameter: u8,
    added: usize,
}

/// What can be told from outside.
type Answer = (
    i32,
    Vec<String>,
    BTreeMap<String, Vec<u8>>,
    Vec<String>,
    Vec<String>,
);

impl Side {
    fn new(long_way: bool) -> Side {
        let flow = Flow::in_memory(&FLOW.replace("PARAM", "0"));
        for name in SOURCES {
            flow.write(name, format!("{name} 0\n"));
        }
        Side {
            flow,
            long_way,
            level: 0,
            parameter: 0,
            added: 0,
        }
    }

    fn run(&self, arguments: &[&str]) -> crate::common::Said {
        let mut command = self.flow.command();
        command.args(arguments).env("LEVEL", self.level.to_string());
        if self.long_way {
            command.env(OFF, "1");
        }
        crate::common::said(&mut command)
    }

    fn edit(&mut self, edit: &Edit) {
        match edit {
            Edit::Write(name, value) => {
                let _ = std::fs::remove_dir_all(self.flow.path(name));
                self.flow.write(name, format!("{name} {value}\n"));
            }
            Edit::Touch(name) => {
                let path = self.flow.path(name);
                let text = std::fs::read(&path).expect("a source");
                std::fs::write(path, text).expect("a source");
            }
            Edit::Remove(name) => {
                let _ = std::fs::remove_file(self.flow.path(name));
            }
            Edit::Parameter(value) => self.parameter = *value,
            Edit::Level(value) => self.level = *value,
            Edit::AddStage => self.added = (self.added + 1) % 3,
            // Both sides at once, in `spoil_both`.
            Edit::Cache { .. } => {}
            Edit::Invalidate(stage) => {
                self.run(&["invalidate", stage]);
            }
            Edit::RunOne(stage) => {
                self.run(&["run", stage]);
            }
            Edit::Wait => std::thread::sleep(Duration::from_millis(40)),
        }
        let mut text = FLOW.replace("PARAM", &self.parameter.to_string());
        for number in 0..self.added {
            text.push_str(&format!(
                "  n{number}: {{ run: 'cat {{{{ inputs.o }}}} > {{{{ outputs.o }}}}', inputs: {{ o: end.o }}, outputs: {{ o: o }} }}\n"
            ));
        }
        if self.flow.read("flow.yaml") != text {
            self.flow.write("flow.yaml", text);
        }
    }

    /// The files below a folder of the cache that can be damaged.
    fn cached(&self, folder: &str) -> BTreeSet<PathBuf> {
        let root = self.flow.path("cache").join(folder);
        let mut files = BTreeSet::new();
        for_each_file(&root, &mut |path| {
            let name = path.strip_prefix(&root).expect("below");
            // Names of runs and of snapshots differ between the two folders.
            let stays = ["runs", "clean", "memo", "lock"];
            if !stays.iter().any(|stays| name.starts_with(stays)) {
                files.insert(Path::new(folder).join(name));
            }
        });
        files
    }

    fn spoil(&self, file: &Path, remove: bool) {
        let path = self.flow.path("cache").join(file);
        if remove {
            std::fs::remove_file(path).expect("removed");
            return;
        }
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("opened");
        std::fs::write(path, "spoilt").expect("spoilt");
    }

    fn answer(&self) -> Answer {
        let states = self.run(&["status", "--json"]).stdout;
        let said = self.run(&["run", "--json"]);
        let mut outcomes: Vec<String> = events(&said.stdout)
            .iter()
            .filter(|event| event["event"] == "stage-finished")
            .map(|event| format!("{}={} {}", event["stage"], event["outcome"], event["key"]))
            .collect();
        outcomes.sort();
        let last = events(&said.stdout).pop().unwrap_or_default();
        outcomes.push(format!("{}/{}", last["executed"], last["cached"]));
        let journal = self.journal(last["run"].as_str().unwrap_or(""));
        let mut artifacts = BTreeMap::new();
        let root = self.flow.path("artifacts");
        for_each_file(&root, &mut |path| {
            let name = path.strip_prefix(&root).expect("below");
            let content = std::fs::read(path).expect("an artifact");
            artifacts.insert(name.display().to_string(), content);
        });
        let after = self.run(&["status"]).stdout;
        (said.code, outcomes, artifacts, vec![states, after], journal)
    }

    fn journal(&self, run: &str) -> Vec<String> {
        let text = self.flow.read(&format!("cache/runs/{run}/journal.jsonl"));
        let mut lines: Vec<String> = events(&text)
            .iter()
            .filter(|event| event["event"] == "stage-finished")
            .map(|event| format!("{} {}", event["stage"], event["outcome"]))
            .collect();
        lines.sort();
        lines
    }
}

fn for_each_file(folder: &Path, seen: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            for_each_file(&entry.path(), seen);
        } else {
            seen(&entry.path());
        }
    }
}

/// Damages the same file on both sides. Only one way needs the stat cache, so a removed one comes back on that side alone.
fn spoil_both(sides: &[Side; 2], folder: &str, which: usize, remove: bool) {
    let [short, long] = sides.each_ref().map(|side| side.cached(folder));
    let both: Vec<&PathBuf> = short.intersection(&long).collect();
    if let Some(file) = both.get(which % both.len().max(1)) {
        for side in sides {
            side.spoil(file, remove);
        }
    }
}

fn compare(rounds: &[Vec<Edit>]) -> Result<(), TestCaseError> {
    let mut sides = [Side::new(false), Side::new(true)];
    for (round, edits) in std::iter::once(&Vec::new()).chain(rounds).enumerate() {
        for edit in edits {
            if let Edit::Cache {
                folder,
                which,
                remove,
            } = edit
            {
                spoil_both(&sides, folder, *which, *remove);
            }
            for side in &mut sides {
                side.edit(edit);
            }
        }
        let [short, long] = sides.each_ref().map(Side::answer);
        prop_assert_eq!(short, long, "round {}: {:?}", round, edits);
    }
    Ok(())
}

fn cases(default: u32) -> ProptestConfig {
    let asked = std::env::var("NANOFLOW_CASES").ok();
    ProptestConfig {
        cases: asked.and_then(|n| n.parse().ok()).unwrap_or(default),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(3))]

    #[test]
    fn the_short_way_and_the_long_way_agree(rounds in prop::collection::vec(edits(), 1..6)) {
        compare(&rounds)?;
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    #[ignore = "an hour of random edits"]
    fn the_short_way_and_the_long_way_agree_long(rounds in prop::collection::vec(edits(), 1..12)) {
        compare(&rounds)?;
    }
}

/// How the last run came to its answer: by what it wrote to the log of the program itself.
fn way(side: &Side) -> String {
    let said = side.run(&["run", "-vv"]);
    let ways = ["nothing changed", "little changed", "the long way"];
    let found = ways
        .iter()
        .find(|way| said.stderr.contains(&format!("snapshot: {way}")));
    found.map_or_else(|| said.stderr.clone(), |way| (*way).to_string())
}

#[test]
fn the_short_way_is_taken() {
    let mut side = Side::new(false);
    assert_eq!(way(&side), "the long way");
    std::thread::sleep(Duration::from_millis(40));
    assert_eq!(way(&side), "nothing changed");
    side.edit(&Edit::Touch("src/b"));
    side.edit(&Edit::Wait);
    assert_eq!(way(&side), "nothing changed", "same content");
    side.edit(&Edit::Write("src/b", 1));
    assert_eq!(way(&side), "little changed");
    side.edit(&Edit::Wait);
    assert_eq!(way(&side), "nothing changed");
    side.edit(&Edit::Level(1));
    assert_eq!(way(&side), "the long way");
    side.edit(&Edit::Wait);
    assert_eq!(way(&side), "nothing changed");
    side.long_way = true;
    assert_eq!(way(&side), "the long way");
}

/// Every kind of change that a snapshot must see, one at a time.
#[test]
fn each_change_is_seen() {
    for edit in [
        Edit::Write("src/a", 1),
        Edit::Write("artifacts/end/o", 1),
        Edit::Remove("artifacts/two/deep/o"),
        Edit::Write("artifacts/tree/d/extra", 1),
        Edit::Remove("artifacts/tree/d/count"),
        Edit::Write("many/3.txt", 1),
        Edit::Write("folder/new", 1),
        Edit::Remove("folder/y/z"),
        Edit::Level(2),
        Edit::Parameter(2),
        Edit::Invalidate("tree"),
        Edit::Cache {
            folder: "objects",
            which: 1,
            remove: false,
        },
        Edit::Cache {
            folder: "objects",
            which: 2,
            remove: true,
        },
        Edit::Cache {
            folder: "actions",
            which: 1,
            remove: false,
        },
        Edit::Cache {
            folder: "actions",
            which: 2,
            remove: true,
        },
    ] {
        let rounds = [vec![Edit::Wait], vec![edit], vec![Edit::Wait]];
        compare(&rounds).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// What the flow says for all its stages is so as well when only a part of it is looked at.
#[test]
fn the_sandbox_of_the_flow_holds_in_a_part_of_it() {
    let flow = Flow::new(
        "version: 1\nsandbox: off\nstages:\n  a: { run: 'cat DIR/aside {{ inputs.s }} > {{ outputs.o }}', inputs: { s: s }, outputs: { o: o } }\n  b: { run: 'echo b > {{ outputs.o }}', outputs: { o: o } }\n",
    );
    flow.edit("DIR", &flow.path("").display().to_string());
    flow.write("aside", "aside\n");
    flow.write("s", "1\n");
    flow.expect(0, &["run"]);
    std::thread::sleep(Duration::from_millis(60));
    flow.expect(0, &["run"]);
    flow.write("s", "2\n");
    let said = flow.expect(0, &["run", "-vv"]);
    assert!(
        said.stderr.contains("snapshot: little changed"),
        "{}",
        said.stderr
    );
    assert_eq!(flow.read("artifacts/a/o"), "aside\n2\n");
}

/// Many small changes, one after the other: what is noted beside a snapshot grows, becomes part of it, and is right all the time.
#[test]
fn a_chain_of_small_changes_is_told_as_the_long_way_tells_it() {
    const STAGES: usize = 130;
    let mut text = String::from("version: 1\nsandbox: off\nstages:\n");
    for number in 0..STAGES {
        let above = match number {
            0 => String::new(),
            number => format!(", above: s{}.o", (number - 1) / 8),
        };
        text.push_str(&format!(
            "  s{number}: {{ run: 'cat {{{{ inputs.own }}}} > {{{{ outputs.o }}}}', inputs: {{ own: src/{number}{above} }}, outputs: {{ o: o }} }}\n"
        ));
    }
    let flow = Flow::new(&text);
    for number in 0..STAGES {
        flow.write(&format!("src/{number}"), format!("{number}\n"));
    }
    let told = |arguments: &[&str], long: bool| {
        let mut command = flow.command();
        command.args(arguments);
        if long {
            command.env(OFF, "1");
        }
        let said = crate::common::said(&mut command);
        assert_eq!(said.code, 0, "{}", said.stderr);
        said
    };
    let notes = || {
        let files = std::fs::read_dir(flow.path("cache/clean")).expect("snapshots");
        let lengths = files.flatten().filter_map(|file| {
            let later = file.path().extension()? == "later";
            later.then(|| file.metadata().map_or(0, |found| found.len()))
        });
        lengths.sum::<u64>()
    };
    told(&["run"], false);
    std::thread::sleep(Duration::from_millis(40));
    told(&["run"], false);
    let (mut before, mut grew, mut shrank) = (notes(), 0, 0);
    // Leaves only, so that each change reaches one stage; some of them twice.
    let leaves = (STAGES / 8 + 1..STAGES).chain(STAGES - 10..STAGES);
    let leaves: Vec<usize> = leaves.collect();
    for (round, changed) in leaves.chunks(6).enumerate() {
        for number in changed {
            flow.write(&format!("src/{number}"), format!("{number} in {round}\n"));
        }
        if round % 4 == 1 {
            // An artifact that was changed a round ago is not what it should be.
            let number = changed[0] - 1;
            flow.write(&format!("artifacts/s{number}/o"), "spoilt");
        }
        let states = |long| told(&["status", "--json"], long).stdout;
        assert_eq!(states(false), states(true), "round {round}, before");
        let said = told(&["run", "--json", "-vv"], false);
        assert!(
            said.stderr.contains("snapshot: little changed"),
            "{}",
            said.stderr
        );
        let last = events(&said.stdout).pop().expect("the end");
        assert_eq!(last["executed"], changed.len(), "round {round}");
        assert_eq!(last["cached"], STAGES - changed.len(), "round {round}");
        let finished = events(&said.stdout)
            .iter()
            .filter(|event| event["event"] == "stage-finished")
            .count();
        assert_eq!(finished, STAGES);
        assert_eq!(states(false), states(true), "round {round}, after");
        for number in changed {
            let shown = flow.read(&format!("artifacts/s{number}/o"));
            assert_eq!(shown, format!("{number} in {round}\n"));
        }
        let now = notes();
        grew += usize::from(now > before);
        shrank += usize::from(now < before);
        before = now;
    }
    assert!(grew > 5 && shrank > 0, "{grew} {shrank}");
    let last = events(&told(&["run", "--json"], true).stdout).pop();
    assert_eq!(last.expect("the end")["executed"], 0);
    // Without the notes, or with spoilt ones, the answers are the same.
    for entry in std::fs::read_dir(flow.path("cache/clean"))
        .expect("snapshots")
        .flatten()
    {
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "later")
        {
            std::fs::write(entry.path(), "spoilt").expect("spoilt");
        }
    }
    let last = events(&told(&["run", "--json"], false).stdout).pop();
    assert_eq!(last.expect("the end")["cached"], STAGES);
}
