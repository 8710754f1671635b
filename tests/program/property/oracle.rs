//! What must happen and what must come out, worked out from the model alone: its own idea of a key, of a cache and of what the
//! commands write. Nothing here calls nanoflow.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use super::world::{InputModel, Leaf, Node, StageModel, World, GLOB, SOLO, TARGET};

/// A file or folder as a stage sees it and writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    File { text: String, executable: bool },
    Folder(BTreeMap<String, Entry>),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    File { text: String, executable: bool },
    Link(String),
    EmptyFolder,
}

/// Declared path → content.
pub type Outputs = BTreeMap<String, Thing>;

/// Everything that a result may depend on, as text.
pub type Key = String;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Fresh(Outputs),
    Run(Key),
    Unknown,
}

/// What a stage's name is known for.
#[derive(Debug, Clone, Default)]
struct History {
    good: bool,
    failed: bool,
    invalidated: bool,
    /// Parameter of the last good result.
    param: Option<u8>,
}

/// What is expected of one run.
#[derive(Debug, Default)]
pub struct Expected {
    /// Stage → words that its outcome may be.
    pub outcomes: BTreeMap<String, Vec<&'static str>>,
    /// Stages with one key of which exactly so many run: (names, fewest, most).
    pub shared: Vec<(Vec<String>, usize, usize)>,
    pub exit: i32,
}

/// The cache as it must be.
#[derive(Debug, Default)]
pub struct Oracle {
    known: HashMap<Key, Outputs>,
    histories: HashMap<String, History>,
    /// What `artifacts/` must show of a stage; `None` if somebody spoilt it since.
    pub shown: BTreeMap<String, Option<Outputs>>,
}

impl Oracle {
    fn history(&mut self, name: &str) -> &mut History {
        self.histories.entry(name.to_string()).or_default()
    }

    pub fn invalidate(&mut self, name: &str) {
        self.history(name).invalidated = true;
    }

    pub fn spoil(&mut self, name: &str) {
        self.shown.insert(name.to_string(), None);
    }

    /// The parameter of the stage's last good result.
    pub fn last_param(&self, name: &str) -> Option<u8> {
        self.histories.get(name).and_then(|history| history.param)
    }

    /// Where each stage stands before a run that would force some.
    pub fn verdicts(&self, world: &World, forced: &BTreeSet<usize>) -> BTreeMap<usize, Verdict> {
        let mut verdicts: BTreeMap<usize, Verdict> = BTreeMap::new();
        for id in world.order() {
            let stage = world.stage(id);
            let upstream = |from: usize| match verdicts.get(&from) {
                Some(Verdict::Fresh(outputs)) => Some(outputs.clone()),
                _ => None,
            };
            let verdict = match key(world, stage, &upstream) {
                None => Verdict::Unknown,
                Some(key) => {
                    let again = forced.contains(&id)
                        || self
                            .histories
                            .get(&stage.name)
                            .is_some_and(|history| history.invalidated);
                    match self.known.get(&key).filter(|_| !again) {
                        Some(outputs) => Verdict::Fresh(outputs.clone()),
                        None => Verdict::Run(key),
                    }
                }
            };
            verdicts.insert(id, verdict);
        }
        verdicts
    }

    /// The word of `status` for each stage.
    pub fn states(&self, world: &World) -> BTreeMap<String, &'static str> {
        let verdicts = self.verdicts(world, &BTreeSet::new());
        let mut words: BTreeMap<usize, &'static str> = BTreeMap::new();
        for id in world.order() {
            let stage = world.stage(id);
            let history = self.histories.get(&stage.name).cloned().unwrap_or_default();
            let fresh = |id: &usize| matches!(verdicts[id], Verdict::Fresh(_));
            let blocked = upstream(stage).any(|from| {
                matches!(words[&from], "failed" | "blocked")
                    || fresh(&from) && !passes(world.stage(from))
            });
            let word = if fresh(&id) {
                "fresh"
            } else if history.failed {
                "failed"
            } else if blocked {
                "blocked"
            } else if history.good {
                "stale"
            } else {
                "never-ran"
            };
            words.insert(id, word);
        }
        words
            .into_iter()
            .map(|(id, word)| (world.stage(id).name.clone(), word))
            .collect()
    }

    /// The words of a dry run for each of these stages.
    pub fn plan(
        &self,
        world: &World,
        order: &[usize],
        forced: &BTreeSet<usize>,
    ) -> BTreeMap<String, Vec<&'static str>> {
        let verdicts = self.verdicts(world, forced);
        let mut keys: BTreeMap<&Key, usize> = BTreeMap::new();
        for id in order {
            if let Verdict::Run(key) = &verdicts[id] {
                *keys.entry(key).or_default() += 1;
            }
        }
        let mut words: BTreeMap<usize, Vec<&'static str>> = BTreeMap::new();
        for id in order {
            let stage = world.stage(*id);
            let held = upstream(stage).any(|from| {
                words[&from] == ["skipped"]
                    || words[&from] == ["cached"] && !passes(world.stage(from))
            });
            let word = match &verdicts[id] {
                _ if held => vec!["skipped"],
                Verdict::Fresh(_) => vec!["cached"],
                // Of several with one key one runs.
                Verdict::Run(key) if keys[key] > 1 => vec!["run", "cached"],
                Verdict::Run(_) => vec!["run"],
                Verdict::Unknown => vec!["maybe"],
            };
            words.insert(*id, word);
        }
        words
            .into_iter()
            .map(|(id, word)| (world.stage(id).name.clone(), word))
            .collect()
    }

    /// Runs the stages with `-k`, in the model.
    pub fn run(&mut self, world: &World, order: &[usize], forced: &BTreeSet<usize>) -> Expected {
        let before: BTreeSet<Key> = self.known.keys().cloned().collect();
        let mut expected = Expected::default();
        let mut results: BTreeMap<usize, Outputs> = BTreeMap::new();
        let mut groups: BTreeMap<Key, Vec<(String, bool)>> = BTreeMap::new();
        let (mut failed, mut gates_failed) = (false, false);
        for id in order {
            let stage = world.stage(*id);
            let name = stage.name.clone();
            let ready = upstream(stage)
                .all(|from| results.contains_key(&from) && passes(world.stage(from)));
            let inputs = |from: usize| results.get(&from).cloned();
            let Some(key) = key(world, stage, &inputs).filter(|_| ready) else {
                expected.outcomes.insert(name, vec!["skipped"]);
                continue;
            };
            let again = forced.contains(id) || self.history(&name).invalidated;
            let hit = self.known.get(&key).filter(|_| !again).cloned();
            let outputs = match hit.filter(|_| before.contains(&key)) {
                Some(outputs) => {
                    expected.outcomes.insert(name.clone(), vec!["cached"]);
                    outputs
                }
                None if stage.fails => {
                    failed = true;
                    self.history(&name).failed = true;
                    expected.outcomes.insert(name, vec!["failed"]);
                    continue;
                }
                None => {
                    let words = if again {
                        vec!["executed"]
                    } else {
                        vec!["executed", "cached"]
                    };
                    expected.outcomes.insert(name.clone(), words);
                    let members = groups.entry(key.clone()).or_default();
                    members.push((name.clone(), again));
                    made(world, stage, &inputs)
                }
            };
            self.known.insert(key, outputs.clone());
            let history = self.history(&name);
            history.good = true;
            history.failed = false;
            history.invalidated = false;
            history.param = Some(stage.param);
            self.shown.insert(name, Some(outputs.clone()));
            gates_failed |= stage.gate.is_some_and(|(max, _)| stage.param > max);
            results.insert(*id, outputs);
        }
        for (key, members) in groups {
            let others: Vec<String> = members
                .iter()
                .filter(|(_, again)| !again)
                .map(|(name, _)| name.clone())
                .collect();
            let (some_again, new) = (others.len() < members.len(), !before.contains(&key));
            if !others.is_empty() && new {
                expected.shared.push((others, usize::from(!some_again), 1));
            }
        }
        expected.exit = match (failed, gates_failed) {
            (true, _) => 1,
            (_, true) => 3,
            _ => 0,
        };
        expected
    }
}

/// Stages that this one reads from.
pub fn upstream(stage: &StageModel) -> impl Iterator<Item = usize> + '_ {
    stage.inputs.iter().filter_map(|input| match input {
        InputModel::Output(id, _) => Some(*id),
        _ => None,
    })
}

/// The stage and all that it waits for.
pub fn closure(world: &World, id: usize) -> Vec<usize> {
    let mut wanted = BTreeSet::new();
    let mut stack = vec![id];
    while let Some(id) = stack.pop() {
        if wanted.insert(id) {
            stack.extend(upstream(world.stage(id)));
        }
    }
    wanted.into_iter().collect()
}

/// Whether no gate of a good stage holds back what depends on it.
fn passes(stage: &StageModel) -> bool {
    stage
        .gate
        .is_none_or(|(max, goes_on)| goes_on || stage.param <= max)
}

/// What the stage finds in its work directory for one input: path and content, in order; `None` if it is not known.
fn staged(
    world: &World,
    number: usize,
    input: &InputModel,
    upstream: &dyn Fn(usize) -> Option<Outputs>,
) -> Option<Vec<(String, Thing)>> {
    let source = |path: &&str| Some((format!("inputs/i{number}/{path}"), node(world, path)?));
    Some(match input {
        InputModel::Source(at) => vec![source(&SOLO[*at])?],
        InputModel::Glob => GLOB.iter().filter_map(source).collect(),
        InputModel::List => SOLO.iter().filter_map(source).collect(),
        InputModel::Output(id, more) => {
            let from = world.stage(*id);
            let declared = match from.output_named(*more) {
                "more" => "more.txt".to_string(),
                _ => from.output_path(),
            };
            let content = upstream(*id)?.get(&declared)?.clone();
            let name = declared
                .trim_end_matches('/')
                .rsplit('/')
                .next()?
                .to_string();
            vec![(format!("inputs/i{number}/{name}"), content)]
        }
    })
}

/// What lies at a source's path, links followed.
fn node(world: &World, path: &str) -> Option<Thing> {
    Some(match world.sources.get(path)? {
        Node::Link => return node(world, TARGET),
        Node::File { text, executable } => Thing::File {
            text: format!("text {text}\n"),
            executable: *executable,
        },
        Node::Folder(leaves) => Thing::Folder(
            leaves
                .iter()
                .map(|(name, leaf)| {
                    let entry = match leaf {
                        Leaf::File { text, executable } => Entry::File {
                            text: format!("text {text}\n"),
                            executable: *executable,
                        },
                        Leaf::Link(to) => Entry::Link((*to).to_string()),
                        Leaf::EmptyFolder => Entry::EmptyFolder,
                    };
                    ((*name).to_string(), entry)
                })
                .collect(),
        ),
    })
}

fn key(
    world: &World,
    stage: &StageModel,
    upstream: &dyn Fn(usize) -> Option<Outputs>,
) -> Option<Key> {
    let command = stage.command();
    let inputs: Option<Vec<_>> = stage
        .inputs
        .iter()
        .enumerate()
        .map(|(number, input)| {
            let many = matches!(input, InputModel::Glob | InputModel::List);
            Some((many, staged(world, number, input, upstream)?))
        })
        .collect();
    let flow = command.contains("flow.f").then_some(world.flow_param);
    let inputs = inputs?;
    Some(format!(
        "{command}\n{:?}",
        (
            stage.param,
            flow,
            world.mode,
            inputs,
            stage.output_path(),
            stage.more
        )
    ))
}

/// What the stage's command writes.
fn made(world: &World, stage: &StageModel, upstream: &dyn Fn(usize) -> Option<Outputs>) -> Outputs {
    let mut text = String::new();
    if stage.constant {
        text.push_str("constant\n");
    } else {
        let _ = write!(text, "p {}", stage.param);
        if stage.uses_flow {
            let _ = write!(text, " {}", world.flow_param);
        }
        if world.mode > 0 {
            let _ = write!(text, " {}", world.mode);
        }
        text.push('\n');
        for (number, input) in stage.inputs.iter().enumerate() {
            for (path, thing) in staged(world, number, input, upstream).unwrap_or_default() {
                let name = path.rsplit('/').next().unwrap_or_default();
                show(name, &thing, &mut text);
            }
        }
    }
    let executable = stage.executable;
    let main = match stage.folder {
        false => Thing::File { text, executable },
        true => Thing::Folder(BTreeMap::from([
            ("f".to_string(), Entry::File { text, executable }),
            ("link".to_string(), Entry::Link("f".to_string())),
            ("none".to_string(), Entry::EmptyFolder),
        ])),
    };
    let mut outputs = BTreeMap::from([(stage.output_path(), main)]);
    if stage.more {
        let more = Thing::File {
            text: "more\n".to_string(),
            executable: false,
        };
        outputs.insert("more.txt".to_string(), more);
    }
    outputs
}

/// What the commands' `show` prints.
fn show(name: &str, thing: &Thing, out: &mut String) {
    let mut file = |name: &str, text: &str, executable: bool| {
        let word = if executable { "program" } else { "file" };
        let _ = write!(out, "{word} {name}\n{text}");
    };
    match thing {
        Thing::File { text, executable } => file(name, text, *executable),
        Thing::Folder(entries) => {
            let _ = writeln!(out, "folder {name}");
            for (name, entry) in entries {
                match entry {
                    Entry::File { text, executable } => {
                        let word = if *executable { "program" } else { "file" };
                        let _ = write!(out, "{word} {name}\n{text}");
                    }
                    Entry::Link(to) => {
                        let _ = writeln!(out, "link {name} {to}");
                    }
                    Entry::EmptyFolder => {
                        let _ = writeln!(out, "folder {name}\nend");
                    }
                }
            }
            out.push_str("end\n");
        }
    }
}
