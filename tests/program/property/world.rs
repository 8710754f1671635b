//! Random flows with their source files, the edits that people make to them, and how both are written to a folder.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;

use crate::common::Flow;

/// What lies in a folder of the user's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leaf {
    File {
        text: u8,
        executable: bool,
    },
    /// To a name beside it, which may not exist.
    Link(&'static str),
    EmptyFolder,
}

/// What lies at the path of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    File {
        text: u8,
        executable: bool,
    },
    Folder(BTreeMap<&'static str, Leaf>),
    /// A link to the file `target`, which stands for that file.
    Link,
}

/// Sources that an input names alone.
pub const SOLO: [&str; 2] = ["a", "b"];
/// Files that the pattern `g/*` may match; the first is always there.
pub const GLOB: [&str; 3] = ["g/1", "g/2", "g/3"];
/// The file that links lead to.
pub const TARGET: &str = "target";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputModel {
    Source(usize),
    Glob,
    List,
    /// The output `o` or, if there is one, `more` of the stage with this number.
    Output(usize, bool),
}

#[derive(Debug, Clone)]
pub struct StageModel {
    /// Never used again; a stage reads only from those with smaller numbers.
    pub id: usize,
    pub name: String,
    pub param: u8,
    pub uses_flow: bool,
    /// Writes the same whatever it reads, so that a change stops here.
    pub constant: bool,
    pub fails: bool,
    /// A comment in the command.
    pub note: u8,
    /// Limit on the metric, which is the parameter, and whether the flow goes on when it fails.
    pub gate: Option<(u8, bool)>,
    pub inputs: Vec<InputModel>,
    pub folder: bool,
    pub path: usize,
    pub executable: bool,
    /// A second output.
    pub more: bool,
}

/// Declared places of the output `o`.
const PATHS: [&str; 3] = ["o", "deep/o", "p"];

#[derive(Debug, Clone)]
pub struct World {
    pub sources: BTreeMap<&'static str, Node>,
    pub stages: Vec<StageModel>,
    pub flow_param: u8,
    /// The variable `NANOFLOW_TEST_MODE`, unset for 0.
    pub mode: u8,
    pub next: usize,
}

/// A stage as drawn; numbers are taken modulo what there is.
#[derive(Debug, Clone)]
pub struct StageDraw {
    pub param: u8,
    pub flags: [bool; 5],
    pub inputs: Vec<InputDraw>,
    pub path: usize,
    pub gate: Option<(u8, bool)>,
}

#[derive(Debug, Clone)]
pub enum InputDraw {
    Source(usize),
    Glob,
    List,
    Output(usize, bool),
}

/// One change between two runs.
#[derive(Debug, Clone)]
pub enum Edit {
    Source(usize, Node),
    GlobFile(usize, Option<Node>),
    Target(u8),
    Touch(usize),
    FlowParam(u8),
    Mode(u8),
    Param(usize, u8),
    UsesFlow(usize),
    Constant(usize),
    Fails(usize),
    Note(usize, u8),
    Gate(usize, Option<(u8, bool)>),
    Inputs(usize, Vec<InputDraw>),
    OutputPath(usize, usize),
    OutputKind(usize),
    Executable(usize),
    More(usize),
    Add(StageDraw),
    Remove(usize),
    Rename(usize),
    /// The stage stands first in the file.
    MoveToFront(usize),
    Invalidate(usize),
    SpoilArtifact(usize),
    LoseArtifacts(usize),
    LoseMemo,
    LoseStat,
}

impl World {
    pub fn new(draws: &[StageDraw]) -> World {
        let file = |text| Node::File {
            text,
            executable: false,
        };
        let mut world = World {
            sources: BTreeMap::from([("a", file(0)), ("b", file(1)), ("g/1", file(0))]),
            stages: Vec::new(),
            flow_param: 0,
            mode: 0,
            next: 0,
        };
        world.sources.insert(TARGET, file(2));
        for draw in draws {
            world.add(draw);
        }
        world
    }

    pub fn stage(&self, id: usize) -> &StageModel {
        self.stages
            .iter()
            .find(|stage| stage.id == id)
            .expect("references lead to stages")
    }

    fn add(&mut self, draw: &StageDraw) {
        let id = self.next;
        self.next += 1;
        let [uses_flow, constant, folder, executable, more] = draw.flags;
        let inputs = self.inputs(id, &draw.inputs);
        self.stages.push(StageModel {
            id,
            name: format!("s{id}"),
            param: draw.param,
            uses_flow,
            constant,
            fails: false,
            note: 0,
            gate: draw.gate,
            inputs,
            folder,
            path: draw.path % PATHS.len(),
            executable,
            more,
        });
    }

    fn inputs(&self, id: usize, draws: &[InputDraw]) -> Vec<InputModel> {
        let earlier: Vec<&StageModel> = self.stages.iter().filter(|stage| stage.id < id).collect();
        draws
            .iter()
            .map(|draw| match draw {
                InputDraw::Source(number) => InputModel::Source(number % SOLO.len()),
                InputDraw::Glob => InputModel::Glob,
                InputDraw::List => InputModel::List,
                InputDraw::Output(number, more) => match earlier.get(number % earlier.len().max(1))
                {
                    Some(stage) => InputModel::Output(stage.id, *more),
                    None => InputModel::Source(number % SOLO.len()),
                },
            })
            .collect()
    }

    /// Applies an edit that concerns flow and sources; those of the cache are the caller's.
    pub fn apply(&mut self, edit: &Edit) {
        let count = self.stages.len();
        let at = |number: &usize| number % count.max(1);
        match edit {
            Edit::Source(number, node) => {
                self.sources.insert(SOLO[number % SOLO.len()], node.clone());
            }
            Edit::GlobFile(number, node) => {
                let path = GLOB[number % GLOB.len()];
                match node {
                    Some(node) => {
                        self.sources.insert(path, node.clone());
                    }
                    None if path != GLOB[0] => {
                        self.sources.remove(path);
                    }
                    None => {}
                }
            }
            Edit::Target(text) => {
                let executable = text % 2 == 1;
                let text = *text;
                self.sources.insert(TARGET, Node::File { text, executable });
            }
            Edit::FlowParam(value) => self.flow_param = *value,
            Edit::Mode(value) => self.mode = *value,
            Edit::Add(draw) => self.add(draw),
            _ if count == 0 => {}
            Edit::Param(stage, value) => self.stages[at(stage)].param = *value,
            Edit::UsesFlow(stage) => self.stages[at(stage)].uses_flow ^= true,
            Edit::Constant(stage) => self.stages[at(stage)].constant ^= true,
            Edit::Fails(stage) => self.stages[at(stage)].fails ^= true,
            Edit::Note(stage, value) => self.stages[at(stage)].note = *value,
            Edit::Gate(stage, gate) => self.stages[at(stage)].gate = *gate,
            Edit::OutputPath(stage, path) => self.stages[at(stage)].path = path % PATHS.len(),
            Edit::OutputKind(stage) => self.stages[at(stage)].folder ^= true,
            Edit::Executable(stage) => self.stages[at(stage)].executable ^= true,
            Edit::Inputs(stage, draws) => {
                let id = self.stages[at(stage)].id;
                self.stages[at(stage)].inputs = self.inputs(id, draws);
            }
            Edit::More(stage) => self.stages[at(stage)].more ^= true,
            Edit::Remove(stage) if count > 1 => {
                let gone = self.stages.remove(at(stage)).id;
                for stage in &mut self.stages {
                    stage
                        .inputs
                        .retain(|input| !matches!(input, InputModel::Output(id, _) if *id == gone));
                }
            }
            Edit::Rename(stage) => {
                self.stages[at(stage)].name = format!("r{}", self.next);
                self.next += 1;
            }
            Edit::MoveToFront(stage) => {
                let moved = self.stages.remove(at(stage));
                self.stages.insert(0, moved);
            }
            _ => {}
        }
    }

    /// Ids in an order in which each stage follows those that it reads from.
    pub fn order(&self) -> Vec<usize> {
        let mut ids: Vec<usize> = self.stages.iter().map(|stage| stage.id).collect();
        ids.sort_unstable();
        ids
    }

    pub fn flow_text(&self) -> String {
        let mut text = format!(
            "version: 1\nparams: {{ f: {} }}\nenv: [NANOFLOW_TEST_MODE]\nstages:\n",
            self.flow_param
        );
        for stage in &self.stages {
            let _ = write!(
                text,
                "  {}:\n    params: {{ p: {} }}\n",
                stage.name, stage.param
            );
            let inputs: Vec<String> = stage
                .inputs
                .iter()
                .enumerate()
                .map(|(number, input)| format!("i{number}: {}", self.input_text(input)))
                .collect();
            let _ = writeln!(text, "    inputs: {{ {} }}", inputs.join(", "));
            let mut outputs = vec![format!("o: {}", stage.output_path())];
            if stage.more {
                outputs.push("more: more.txt".to_string());
            }
            let _ = writeln!(text, "    outputs: {{ {} }}", outputs.join(", "));
            if let Some((max, goes_on)) = stage.gate {
                let on_fail = if goes_on { ", on-fail: continue" } else { "" };
                let _ = writeln!(text, "    gates: [{{ metric: m, max: {max}{on_fail} }}]");
            }
            let _ = writeln!(text, "    run: |");
            for line in stage.command().lines() {
                let _ = writeln!(text, "      {line}");
            }
        }
        text
    }

    fn input_text(&self, input: &InputModel) -> String {
        match input {
            InputModel::Source(number) => SOLO[*number].to_string(),
            InputModel::Glob => "g/*".to_string(),
            InputModel::List => "[b, a]".to_string(),
            InputModel::Output(id, more) => {
                let stage = self.stage(*id);
                format!("{}.{}", stage.name, stage.output_named(*more))
            }
        }
    }

    /// Brings the folder to this world's sources; what is the same is not touched.
    pub fn write(&self, flow: &Flow, before: Option<&World>) {
        std::fs::create_dir_all(flow.path("g")).expect("folder");
        for path in SOLO.iter().chain(&GLOB).chain([&TARGET]) {
            let (old, new) = (
                before.and_then(|world| world.sources.get(path)),
                self.sources.get(path),
            );
            if before.is_some() && old == new {
                continue;
            }
            let _ = std::fs::remove_file(flow.path(path));
            let _ = std::fs::remove_dir_all(flow.path(path));
            match new {
                None => {}
                Some(Node::File { text, executable }) => file(flow, path, *text, *executable),
                Some(Node::Link) => {
                    std::os::unix::fs::symlink(flow.path(TARGET), flow.path(path)).expect("link");
                }
                Some(Node::Folder(leaves)) => {
                    std::fs::create_dir_all(flow.path(path)).expect("folder");
                    for (name, leaf) in leaves {
                        let inner = format!("{path}/{name}");
                        match leaf {
                            Leaf::File { text, executable } => {
                                file(flow, &inner, *text, *executable);
                            }
                            Leaf::Link(to) => {
                                std::os::unix::fs::symlink(to, flow.path(&inner)).expect("link");
                            }
                            Leaf::EmptyFolder => {
                                std::fs::create_dir(flow.path(&inner)).expect("folder");
                            }
                        }
                    }
                }
            }
        }
        flow.write("flow.yaml", self.flow_text());
    }
}

fn file(flow: &Flow, path: &str, text: u8, executable: bool) {
    flow.write(path, format!("text {text}\n"));
    let mode = if executable { 0o755 } else { 0o644 };
    std::fs::set_permissions(flow.path(path), std::fs::Permissions::from_mode(mode))
        .expect("chmod");
}

/// Writes what it sees of files and folders, with nothing but the shell's own words wherever that goes.
const SHOW: &str = r#"show() { while [ $# -gt 0 ]; do
  if [ -h "$1" ]; then echo "link ${1##*/} $(readlink "$1")"
  elif [ -d "$1" ]; then echo "folder ${1##*/}"; show "$1"/*; echo end
  elif [ -f "$1" ]; then
    if [ -x "$1" ]; then echo "program ${1##*/}"; else echo "file ${1##*/}"; fi
    while read -r line; do echo "$line"; done < "$1"
  fi; shift; done; }
"#;

impl StageModel {
    /// The template of its command.
    pub fn command(&self) -> String {
        let mut text = String::new();
        if self.note > 0 {
            let _ = writeln!(text, "# note {}", self.note);
        }
        text.push_str("echo '{\"m\": {\"value\": {{ params.p }} }}' > metrics.json\n");
        if self.fails {
            text.push_str("exit 7\n");
        }
        let target = match self.folder {
            true => {
                text.push_str("mkdir -p {{ outputs.o }}/none; ln -s f {{ outputs.o }}/link\n");
                "{{ outputs.o }}/f"
            }
            false => "{{ outputs.o }}",
        };
        if self.constant {
            let _ = writeln!(text, "echo constant > {target}");
        } else {
            text.push_str(SHOW);
            let flow = if self.uses_flow { " {{ flow.f }}" } else { "" };
            let inputs: String = (0..self.inputs.len())
                .map(|number| format!(" {{{{ inputs.i{number} }}}}"))
                .collect();
            let _ = writeln!(
                text,
                "{{ echo p {{{{ params.p }}}}{flow} $NANOFLOW_TEST_MODE; show{inputs}; }} > {target}"
            );
        }
        if self.executable {
            let _ = writeln!(text, "chmod +x {target}");
        }
        if self.more {
            text.push_str("echo more > {{ outputs.more }}\n");
        }
        text
    }

    /// Which output a reference means.
    pub fn output_named(&self, more: bool) -> &'static str {
        if more && self.more {
            "more"
        } else {
            "o"
        }
    }

    /// The declared path of `o`, with a slash if it is a folder.
    pub fn output_path(&self) -> String {
        let slash = if self.folder { "/" } else { "" };
        format!("{}{slash}", PATHS[self.path])
    }
}
