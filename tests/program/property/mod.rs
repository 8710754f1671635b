//! Random flows and random edits: what an incremental run leaves is what a clean build makes, and what `status`, `why` and
//! `--dry-run` said before is what `run` then does.
//!
//! Some dozens of cases in every run of the tests, thousands with `--ignored`; `PROPTEST_CASES` sets how many. A failing case is
//! shrunk and told as the flow and the edits that lead to it.

mod oracle;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use serde_json::Value;

use crate::common::{events, said, Flow, Said};
use oracle::{closure, Entry, Oracle, Outputs, Thing, Verdict};
use world::{Edit, InputDraw, Leaf, Node, StageDraw, World};

/// One round: edits, then a run of one target or all.
#[derive(Debug, Clone)]
struct Round {
    edits: Vec<Edit>,
    target: Option<usize>,
    force: bool,
    jobs: usize,
}

fn leaf() -> impl Strategy<Value = Leaf> {
    prop_oneof![
        4 => (0..3u8, any::<bool>()).prop_map(|(text, executable)| Leaf::File { text, executable }),
        1 => prop::sample::select(vec!["x", "y"]).prop_map(Leaf::Link),
        1 => Just(Leaf::EmptyFolder),
    ]
}

fn node() -> impl Strategy<Value = Node> {
    let names = prop::sample::select(vec!["x", "y", "z"]);
    prop_oneof![
        5 => (0..3u8, prop::bool::weighted(0.3)).prop_map(|(text, executable)| Node::File { text, executable }),
        2 => prop::collection::btree_map(names, leaf(), 0..3).prop_map(Node::Folder),
        1 => Just(Node::Link),
    ]
}

fn inputs() -> impl Strategy<Value = Vec<InputDraw>> {
    let input = prop_oneof![
        2 => (0..2usize).prop_map(InputDraw::Source),
        1 => Just(InputDraw::Glob),
        1 => Just(InputDraw::List),
        5 => (0..8usize, any::<bool>()).prop_map(|(stage, more)| InputDraw::Output(stage, more)),
    ];
    prop::collection::vec(input, 0..3)
}

fn gate() -> impl Strategy<Value = Option<(u8, bool)>> {
    prop::option::weighted(0.25, (0..3u8, any::<bool>()))
}

fn stage() -> impl Strategy<Value = StageDraw> {
    let flag = || prop::bool::weighted(0.25);
    let flags =
        (flag(), flag(), flag(), flag(), flag()).prop_map(|(a, b, c, d, e)| [a, b, c, d, e]);
    (0..3u8, flags, inputs(), 0..3usize, gate()).prop_map(|(param, flags, inputs, path, gate)| {
        StageDraw {
            param,
            flags,
            inputs,
            path,
            gate,
        }
    })
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = || 0..8usize;
    prop_oneof![
        4 => (0..2usize, node()).prop_map(|(source, node)| Edit::Source(source, node)),
        2 => (0..3usize, prop::option::of(node())).prop_map(|(file, node)| Edit::GlobFile(file, node)),
        1 => (0..3u8).prop_map(Edit::Target),
        1 => (0..2usize).prop_map(Edit::Touch),
        1 => (0..3u8).prop_map(Edit::FlowParam),
        1 => (0..3u8).prop_map(Edit::Mode),
        4 => (at(), 0..3u8).prop_map(|(stage, value)| Edit::Param(stage, value)),
        1 => at().prop_map(Edit::UsesFlow),
        1 => at().prop_map(Edit::Constant),
        2 => at().prop_map(Edit::Fails),
        1 => (at(), 0..2u8).prop_map(|(stage, note)| Edit::Note(stage, note)),
        1 => (at(), gate()).prop_map(|(stage, gate)| Edit::Gate(stage, gate)),
        2 => (at(), inputs()).prop_map(|(stage, inputs)| Edit::Inputs(stage, inputs)),
        1 => (at(), 0..3usize).prop_map(|(stage, path)| Edit::OutputPath(stage, path)),
        1 => at().prop_map(Edit::OutputKind),
        1 => at().prop_map(Edit::Executable),
        1 => at().prop_map(Edit::More),
        1 => stage().prop_map(Edit::Add),
        1 => at().prop_map(Edit::Remove),
        1 => at().prop_map(Edit::Rename),
        1 => at().prop_map(Edit::MoveToFront),
        1 => at().prop_map(Edit::Invalidate),
        1 => at().prop_map(Edit::SpoilArtifact),
        1 => at().prop_map(Edit::LoseArtifacts),
        1 => Just(Edit::LoseMemo),
        1 => Just(Edit::LoseStat),
    ]
}

fn round() -> impl Strategy<Value = Round> {
    (
        prop::collection::vec(edit(), 0..4),
        prop::option::weighted(0.3, 0..8usize),
        prop::bool::weighted(0.1),
        prop::sample::select(vec![1, 4]),
    )
        .prop_map(|(edits, target, force, jobs)| Round {
            edits,
            target,
            force,
            jobs,
        })
}

fn nanoflow(flow: &Flow, world: &World, arguments: &[&str]) -> Said {
    let mut command = flow.command();
    if world.mode > 0 {
        command.env("NANOFLOW_TEST_MODE", world.mode.to_string());
    }
    said(command.args(arguments))
}

/// `name → word` out of objects with a stage and a word.
fn words(objects: &[Value], word: &str) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    objects
        .iter()
        .map(|object| (text(&object["stage"]), text(&object[word])))
        .collect()
}

fn owned(words: &BTreeMap<String, &'static str>) -> BTreeMap<String, String> {
    words
        .iter()
        .map(|(name, word)| (name.clone(), (*word).to_string()))
        .collect()
}

fn demand(holds: bool, what: impl FnOnce() -> String) -> Result<(), TestCaseError> {
    if holds {
        Ok(())
    } else {
        Err(TestCaseError::fail(what()))
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, must: &T, is: &T) -> Result<(), TestCaseError> {
    demand(must == is, || {
        format!("{what}\n  must be {must:?}\n  is      {is:?}")
    })
}

/// Writes over every file, and adds one to what is an output as a whole.
fn spoil(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            if path.join("f").exists() {
                std::fs::write(path.join("spoilt"), "spoilt").expect("artifact");
            }
            spoil(&path);
        } else {
            std::fs::write(&path, "spoilt").expect("artifact");
        }
    }
}

/// What lies in `artifacts/<stage>/`, by path below it.
fn artifacts(flow: &Flow, stage: &str) -> BTreeMap<String, Entry> {
    let mut found = BTreeMap::new();
    walk(&flow.path("artifacts").join(stage), "", &mut found);
    found
}

fn walk(root: &Path, below: &str, found: &mut BTreeMap<String, Entry>) {
    for entry in std::fs::read_dir(root.join(below))
        .into_iter()
        .flatten()
        .flatten()
    {
        let slash = if below.is_empty() { "" } else { "/" };
        let name = format!("{below}{slash}{}", entry.file_name().to_string_lossy());
        let at = entry.path();
        let Ok(meta) = at.symlink_metadata() else {
            continue;
        };
        if meta.is_symlink() {
            let to = std::fs::read_link(&at).unwrap_or_default();
            found.insert(name, Entry::Link(to.to_string_lossy().into_owned()));
        } else if meta.is_dir() {
            let before = found.len();
            walk(root, &name, found);
            if found.len() == before {
                found.insert(name, Entry::EmptyFolder);
            }
        } else {
            let text = std::fs::read_to_string(&at).unwrap_or_default();
            let executable = meta.permissions().mode() & 0o111 != 0;
            found.insert(name, Entry::File { text, executable });
        }
    }
}

/// Outputs as [`artifacts`] sees them.
fn listed(outputs: &Outputs) -> BTreeMap<String, Entry> {
    let mut list = BTreeMap::new();
    for (path, thing) in outputs {
        match thing.clone() {
            Thing::File { text, executable } => {
                list.insert(path.clone(), Entry::File { text, executable });
            }
            Thing::Folder(entries) => {
                for (name, entry) in entries {
                    list.insert(format!("{path}{name}"), entry);
                }
            }
        }
    }
    list
}

/// One case, from an empty folder to its end.
struct Case {
    flow: Flow,
    world: World,
    oracle: Oracle,
}

impl Case {
    fn edit(&mut self, edits: &[Edit]) {
        let before = self.world.clone();
        for edit in edits {
            self.world.apply(edit);
        }
        self.world.write(&self.flow, Some(&before));
        for edit in edits {
            self.edit_cache(edit);
        }
    }

    fn edit_cache(&mut self, edit: &Edit) {
        let name = |number: &usize| {
            let stages = &self.world.stages;
            stages[number % stages.len()].name.clone()
        };
        match edit {
            Edit::Touch(number) => {
                let path = self.flow.path(world::SOLO[number % world::SOLO.len()]);
                let now = std::fs::FileTimes::new().set_modified(std::time::SystemTime::now());
                let _ = std::fs::File::open(path).and_then(|file| file.set_times(now));
            }
            Edit::Invalidate(number) => {
                let name = name(number);
                self.flow.expect(0, &["invalidate", &name]);
                self.oracle.invalidate(&name);
            }
            Edit::SpoilArtifact(number) => {
                let name = name(number);
                spoil(&self.flow.path("artifacts").join(&name));
                self.oracle.spoil(&name);
            }
            Edit::LoseArtifacts(number) => {
                let name = name(number);
                let _ = std::fs::remove_dir_all(self.flow.path("artifacts").join(&name));
                self.oracle.spoil(&name);
            }
            Edit::LoseMemo => {
                let _ = std::fs::remove_dir_all(self.flow.path("cache/memo"));
            }
            Edit::LoseStat => {
                let _ = std::fs::remove_file(self.flow.path("cache/stat"));
            }
            _ => {}
        }
    }

    fn say(&self, arguments: &[&str]) -> Said {
        nanoflow(&self.flow, &self.world, arguments)
    }

    fn object(&self, arguments: &[&str]) -> Result<Value, TestCaseError> {
        let said = self.say(arguments);
        serde_json::from_str(&said.stdout)
            .map_err(|error| TestCaseError::fail(format!("{arguments:?}: {error}: {said:?}")))
    }

    /// `status` and `why` against the model.
    fn predictions(&self) -> Result<(), TestCaseError> {
        let must = self.oracle.states(&self.world);
        let status = self.object(&["status", "--json"])?;
        let stages = status["stages"].as_array().cloned().unwrap_or_default();
        same("status", &owned(&must), &words(&stages, "state"))?;
        for stage in &stages {
            let fresh = stage["state"] == "fresh";
            demand(fresh == stage["reason"].is_null(), || {
                format!("a reason exactly if not fresh: {stage}")
            })?;
        }
        let verdicts = self.oracle.verdicts(&self.world, &BTreeSet::new());
        for stage in &self.world.stages {
            let why = self.object(&["why", &stage.name, "--json"])?;
            same(
                "why's state",
                &must[&stage.name],
                &why["state"].as_str().unwrap_or_default(),
            )?;
            let reasons = why["reasons"].as_array().cloned().unwrap_or_default();
            demand(reasons.is_empty() == (why["state"] == "fresh"), || {
                format!("reasons exactly if not fresh: {why}")
            })?;
            let last = self.oracle.last_param(&stage.name);
            if let (Verdict::Run(_), Some(old)) = (&verdicts[&stage.id], last) {
                let told = reasons.iter().any(|reason| {
                    reason["kind"] == "param-changed"
                        && reason["subject"] == "p"
                        && reason["old"] == old
                        && reason["new"] == stage.param
                });
                demand(told == (old != stage.param), || {
                    format!("p was {old} and is {}: {why}", stage.param)
                })?;
            }
        }
        Ok(())
    }

    fn run(&mut self, round: &Round) -> Result<(), TestCaseError> {
        let target = round.target.map(|number| {
            let stages = &self.world.stages;
            &stages[number % stages.len()]
        });
        let order = match target {
            Some(stage) => closure(&self.world, stage.id),
            None => self.world.order(),
        };
        let forced: BTreeSet<usize> = match (round.force, target) {
            (false, _) => BTreeSet::new(),
            (true, Some(stage)) => [stage.id].into(),
            (true, None) => order.iter().copied().collect(),
        };
        let jobs = format!("-j{}", round.jobs);
        let mut arguments = vec!["run", "--json", "-k", &jobs];
        arguments.extend(round.force.then_some("--force"));
        let name = target.map(|stage| stage.name.clone());
        arguments.extend(name.as_deref());
        let dry = self.say(&[arguments.clone(), vec!["-n"]].concat());
        let planned = self.oracle.plan(&self.world, &order, &forced);
        let said_before = words(&events(&dry.stdout), "action");
        same("dry run", &planned.len(), &said_before.len())?;
        for (name, must) in &planned {
            let is = said_before
                .get(name)
                .map(String::as_str)
                .unwrap_or_default();
            demand(must.contains(&is), || {
                format!("dry run: {name} must be {must:?} and is {is}")
            })?;
        }
        let expected = self.oracle.run(&self.world, &order, &forced);
        let said = self.say(&arguments);
        same("exit code", &expected.exit, &said.code)
            .map_err(|error| TestCaseError::fail(format!("{error}\n{}", said.stderr)))?;
        let finished: Vec<Value> = events(&said.stdout)
            .into_iter()
            .filter(|event| event["event"] == "stage-finished")
            .collect();
        let outcomes = words(&finished, "outcome");
        same(
            "one stage-finished for each stage",
            &outcomes.len(),
            &finished.len(),
        )?;
        same(
            "stages in the run",
            &expected.outcomes.keys().collect::<Vec<_>>(),
            &outcomes.keys().collect(),
        )?;
        for (name, must) in &expected.outcomes {
            let is = outcomes[name].as_str();
            demand(must.contains(&is), || {
                format!("{name} must be {must:?} and is {is}")
            })?;
            let before = said_before[name].as_str();
            let as_said = match before {
                "run" => matches!(is, "executed" | "failed"),
                // It waited for another one with its key, and that failed.
                "cached" => matches!(is, "cached" | "failed"),
                "skipped" => is == "skipped",
                _ => true,
            };
            demand(as_said, || {
                format!("{name}: '{before}' was said, and it was {is}")
            })?;
        }
        for (names, fewest, most) in &expected.shared {
            let count = names
                .iter()
                .filter(|name| outcomes[*name] == "executed")
                .count();
            demand((fewest..=most).contains(&&count), || {
                format!("of {names:?}, which have one key, {count} ran")
            })?;
        }
        self.compare_artifacts()
    }

    fn compare_artifacts(&self) -> Result<(), TestCaseError> {
        for stage in &self.world.stages {
            if let Some(Some(outputs)) = self.oracle.shown.get(&stage.name) {
                let what = format!("artifacts of {}", stage.name);
                same(&what, &listed(outputs), &artifacts(&self.flow, &stage.name))?;
            }
        }
        Ok(())
    }

    /// A clean build in another folder leaves the same artifacts.
    fn clean(&mut self) -> Result<(), TestCaseError> {
        let all = Round {
            edits: Vec::new(),
            target: None,
            force: false,
            jobs: 2,
        };
        self.run(&all)?;
        self.predictions()?;
        let clean = Flow::in_memory(&self.world.flow_text());
        self.world.write(&clean, None);
        let said = nanoflow(&clean, &self.world, &["run", "-k", "--json"]);
        for event in events(&said.stdout) {
            if event["event"] == "stage-finished" {
                let name = event["stage"].as_str().unwrap_or_default();
                let good = matches!(event["outcome"].as_str(), Some("executed" | "cached"));
                if good {
                    let (one, other) = (artifacts(&clean, name), artifacts(&self.flow, name));
                    same(&format!("artifacts of {name}, clean and not"), &one, &other)?;
                }
            }
        }
        Ok(())
    }
}

fn case(draws: &[StageDraw], rounds: &[Round]) -> Result<(), TestCaseError> {
    let world = World::new(draws);
    let flow = Flow::in_memory(&world.flow_text());
    world.write(&flow, None);
    let mut case = Case {
        flow,
        world,
        oracle: Oracle::default(),
    };
    let tell = |case: &Case, at: usize, error: TestCaseError| {
        let done: Vec<String> = rounds
            .iter()
            .take(at + 1)
            .map(|round| format!("{round:?}"))
            .collect();
        let flow = case.flow.read("flow.yaml");
        TestCaseError::fail(format!("{error}\nafter {}\n{flow}", done.join("\n      ")))
    };
    for (at, round) in rounds.iter().enumerate() {
        case.edit(&round.edits);
        case.predictions()
            .and_then(|()| case.run(round))
            .map_err(|error| tell(&case, at, error))?;
    }
    case.clean()
        .map_err(|error| tell(&case, rounds.len(), error))
}

fn cases(default: u32) {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(default);
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    });
    let strategy = (
        prop::collection::vec(stage(), 1..6),
        prop::collection::vec(round(), 1..5),
    );
    let result = runner.run(&strategy, |(draws, rounds)| case(&draws, &rounds));
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn incremental_is_clean_and_as_predicted() {
    cases(24);
}

#[test]
#[ignore = "thousands of cases, for the night"]
fn incremental_is_clean_and_as_predicted_thousands() {
    cases(4000);
}
