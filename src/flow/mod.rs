//! `flow.yaml` → a checked [`Flow`]. Pure: text in, values or faults out; no file is opened here.

mod check;
mod fault;
pub mod profile;
mod quantity;
pub mod quote;
pub mod sweep;
pub mod template;
pub mod yaml;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use check::check;
pub use fault::{may_suggest, nearest, Fault, FlowFaults, Span, MOST_FAULTS};
pub use quantity::{parse_bytes, show_bytes};
pub use template::Template;

/// Position of a stage in [`Flow::stages`], which keeps the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StageId(pub usize);

/// A flow whose names are all resolved. Written down, its parts leave out where they stand in the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Flow {
    pub name: Option<String>,
    pub params: BTreeMap<String, serde_json::Value>,
    /// Variables passed to every stage; part of each key.
    pub env: Vec<String>,
    /// Variables passed to every stage, outside the keys.
    pub env_volatile: Vec<String>,
    pub stages: Vec<Stage>,
    pub groups: BTreeMap<String, Vec<StageId>>,
    /// Other names of stages.
    pub aliases: BTreeMap<String, StageId>,
    pub limits: Limits,
    /// Of all stages that do not say otherwise.
    pub sandbox: Sandbox,
    /// Out-of-tree plugins: the word after `uses:` → a path relative to the flow file.
    pub plugins: BTreeMap<String, Plugin>,
}

impl Flow {
    /// Everything but stages and other names for them.
    pub fn clone_frame(&self) -> Flow {
        // Taken apart whole, so that nothing of a flow can be forgotten.
        let Flow {
            name,
            params,
            env,
            env_volatile,
            stages: _,
            groups: _,
            aliases: _,
            limits,
            sandbox,
            plugins,
        } = self;
        Flow {
            name: name.clone(),
            params: params.clone(),
            env: env.clone(),
            env_volatile: env_volatile.clone(),
            limits: limits.clone(),
            sandbox: sandbox.clone(),
            plugins: plugins.clone(),
            ..Flow::default()
        }
    }
    pub fn stage(&self, id: StageId) -> &Stage {
        &self.stages[id.0]
    }
    pub fn ids(&self) -> impl Iterator<Item = StageId> {
        (0..self.stages.len()).map(StageId)
    }
    /// What happens when a stage reaches for what is not its own.
    pub fn sandbox_mode(&self, id: StageId) -> SandboxMode {
        let own = self.stage(id).sandbox.mode;
        own.or(self.sandbox.mode).unwrap_or_default()
    }
    /// Places that a stage may read besides its own and the system's.
    pub fn sandbox_read(&self, id: StageId) -> impl Iterator<Item = &String> {
        self.sandbox.read.iter().chain(&self.stage(id).sandbox.read)
    }
    /// The stage of this name or alias.
    pub fn find(&self, name: &str) -> Option<StageId> {
        self.aliases.get(name).copied().or_else(|| {
            self.stages
                .iter()
                .position(|stage| stage.name == name)
                .map(StageId)
        })
    }
}

/// A program that speaks the stage protocol.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plugin {
    pub path: String,
    #[serde(skip)]
    pub span: Span,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stage {
    pub name: String,
    #[serde(skip)]
    pub span: Span,
    pub aliases: Vec<String>,
    pub body: Body,
    #[serde(skip)]
    pub body_span: Span,
    /// With flow parameters put in where a value is a template.
    pub params: BTreeMap<String, serde_json::Value>,
    pub inputs: BTreeMap<String, Input>,
    pub outputs: BTreeMap<String, Output>,
    pub gates: Vec<Gate>,
    pub resources: Resources,
    pub network: bool,
    pub sandbox: Sandbox,
    pub checkpoint: bool,
    /// The result depends on the machine's architecture and operating system.
    pub platform: bool,
}

impl Stage {
    /// A stage of which nothing is known but its name.
    fn named(name: &str, span: Span) -> Stage {
        Stage {
            name: name.to_string(),
            span,
            aliases: Vec::new(),
            body: Body::Argv(Vec::new()),
            body_span: span,
            params: BTreeMap::new(),
            inputs: BTreeMap::new(),
            outputs: BTreeMap::new(),
            gates: Vec::new(),
            resources: Resources::default(),
            network: false,
            sandbox: Sandbox::default(),
            checkpoint: false,
            platform: false,
        }
    }
}

/// What a stage runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Body {
    /// A plugin that speaks the stage protocol.
    Uses(String),
    /// `tool-wrappers/<name>/wrapper.yaml`.
    Wrapper(String),
    /// A line for `/bin/sh -c`.
    Shell(Template),
    /// A program and its arguments.
    Argv(Vec<Template>),
}

impl Body {
    /// Whether the command depends on the resources that it gets.
    pub fn uses_resources(&self) -> bool {
        match self {
            Body::Shell(line) => line.uses_resources(),
            Body::Argv(words) => words.iter().any(Template::uses_resources),
            Body::Uses(_) | Body::Wrapper(_) => false,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// A list or a glob: the stage sees many paths, even if it is one today.
    pub many: bool,
    pub sources: Vec<Source>,
    #[serde(skip)]
    pub span: Span,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Source {
    pub kind: SourceKind,
    #[serde(skip)]
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceKind {
    /// A file or directory, relative to the flow file.
    Path(String),
    /// Files that match a pattern, relative to the flow file.
    Glob(String),
    Output {
        stage: StageId,
        output: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Relative to the work directory, without a trailing slash.
    pub path: String,
    pub directory: bool,
    /// Content that is expected, `b3:` and 64 hexadecimal digits.
    pub digest: Option<String>,
    #[serde(skip)]
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    pub metric: String,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// `on-fail: continue`: what depends on the stage runs nevertheless.
    pub continue_on_fail: bool,
    #[serde(skip)]
    pub span: Span,
}

/// One measured value as a stage wrote it; it may be no number, then each gate on it fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    pub value: serde_json::Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

pub type Metrics = BTreeMap<String, Metric>;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    pub cpu: Option<usize>,
    pub memory: Option<u64>,
    pub licenses: BTreeMap<String, u64>,
}

/// `sandbox:` as a flow or a stage says it. It decides what a stage may do, not what it makes, so it is in no key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    pub mode: Option<SandboxMode>,
    /// Relative to the flow file, absolute, or beginning with `$VARIABLE`.
    pub read: Vec<String>,
}

/// What happens when a stage reaches for what is not its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SandboxMode {
    /// It is refused, and the stage fails.
    #[default]
    Enforce,
    /// It is told.
    Report,
    Off,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub memory: Option<u64>,
    pub licenses: BTreeMap<String, u64>,
}
