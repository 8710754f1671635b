//! A flow file with everything around it: its graph, its cache, its tools.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::flow::{self, Fault, Flow, FlowFaults, Span, StageId};
use crate::graph::{self, Graph};
use crate::store::{StatCache, Store};

use super::programs::{self, Programs};
use super::snapshot::folder_of;
use super::sources::Sources;
use super::supervise::Keeper;
use super::tools::Tools;

/// What the command line lays over the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub profiles: Vec<String>,
    pub settings: Vec<String>,
}

pub struct Project {
    /// Folder of the flow file; all paths of the flow are relative to it.
    pub dir: PathBuf,
    /// The file's name as people typed it.
    pub file: String,
    pub flow: Flow,
    pub graph: Graph,
    pub store: Store,
    pub(super) sources: Sources,
    pub programs: Programs,
    pub tools: Tools,
    pub(super) keeper: Keeper,
    text: String,
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{file}: {source}\nhint: 'nanoflow init' writes one, -f names another file")]
    Read {
        file: String,
        source: std::io::Error,
    },
    #[error(transparent)]
    Faults(#[from] FlowFaults),
}

impl Project {
    /// Reads and checks a flow file.
    ///
    /// # Errors
    /// It cannot be read, or it has faults; all of them are told.
    pub fn open(file: &Path, overrides: &Overrides) -> Result<Project, LoadError> {
        let shown = file.display().to_string();
        let read = |source| LoadError::Read {
            file: shown.clone(),
            source,
        };
        let faulty = |text: String, faults: Vec<Fault>| FlowFaults {
            file: shown.clone(),
            text,
            faults,
        };
        // What has no size, such as a device, is read no further than this either.
        let most = flow::yaml::MAX_BYTES as u64;
        let mut bytes = Vec::new();
        std::fs::File::open(file)
            .and_then(|open| open.take(most + 1).read_to_end(&mut bytes))
            .map_err(read)?;
        if bytes.len() as u64 > most {
            let message = format!("the file is too long: at most {most} bytes are read");
            return Err(faulty(String::new(), vec![Fault::new(Span::START, message)]).into());
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
                let line = before.matches('\n').count() + 1;
                let column = before
                    .rsplit('\n')
                    .next()
                    .unwrap_or_default()
                    .chars()
                    .count()
                    + 1;
                let fault = Fault::new(Span::new(line, column, 1), "bytes that are no UTF-8");
                return Err(faulty(text, vec![fault]).into());
            }
        };
        let mut faults = Vec::new();
        let Some(flow) = read_flow(&text, overrides, &mut faults) else {
            return Err(faulty(text, faults).into());
        };
        let dir = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let dir = dir.canonicalize().map_err(read)?;
        let store = Store::at(&dir);
        let tools = Tools::new(store.root());
        let project = match Graph::build(&flow) {
            Ok(graph) if faults.is_empty() => Project {
                programs: Programs::default(),
                sources: Sources::new(&dir),
                keeper: Keeper::new(&dir, tools.path()),
                dir,
                file: shown,
                flow,
                graph,
                store,
                tools,
                text,
            },
            built => {
                faults.extend(built.err().unwrap_or_default());
                // Missing files are told together with the rest.
                let sources = Sources::new(&dir);
                for id in flow.ids() {
                    sources.check(&flow, id, &mut faults);
                    programs::check(&dir, &flow, id, &Programs::default(), &mut faults);
                }
                return Err(faulty(text, faults).into());
            }
        };
        Ok(project)
    }

    /// A part of a flow that was checked before. `None` if its folder is gone.
    pub(super) fn part(file: &Path, flow: Flow, stat: StatCache) -> Option<Project> {
        let dir = folder_of(file)?;
        let store = Store::with(&dir, stat);
        let tools = Tools::new(store.root());
        Some(Project {
            programs: Programs::default(),
            sources: Sources::new(&dir),
            keeper: Keeper::new(&dir, tools.path()),
            tools,
            file: file.display().to_string(),
            graph: Graph::build(&flow).ok()?,
            text: String::new(),
            dir,
            flow,
            store,
        })
    }

    /// Tells of inputs and programs that these stages name and that do not exist, or do not fit.
    ///
    /// # Errors
    /// All faults of all these stages.
    pub fn check(&self, stages: &[StageId]) -> Result<(), FlowFaults> {
        let mut faults = Vec::new();
        for id in stages {
            self.sources.check(&self.flow, *id, &mut faults);
            programs::check(&self.dir, &self.flow, *id, &self.programs, &mut faults);
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(self.faults(faults))
        }
    }

    /// The flow file as it was read.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Faults with the file they are in.
    pub fn faults(&self, faults: Vec<Fault>) -> FlowFaults {
        FlowFaults {
            file: self.file.clone(),
            text: self.text.clone(),
            faults,
        }
    }

    /// Stages of words on the command line.
    ///
    /// # Errors
    /// A word names nothing.
    pub fn targets(&self, words: &[String]) -> Result<Vec<StageId>, graph::UnknownTarget> {
        graph::targets(&self.flow, words)
    }
}

/// Text → flow; `None` only if nothing can be told about it any more.
fn read_flow(text: &str, overrides: &Overrides, faults: &mut Vec<Fault>) -> Option<Flow> {
    let root = flow::yaml::parse(text, faults);
    let Some(mut root) = root.filter(|root| !root.is_null()) else {
        if faults.is_empty() {
            faults.push(
                Fault::new(Span::START, "the file is empty")
                    .hint("a flow has at least 'version: 1' and 'stages:'"),
            );
        }
        return None;
    };
    for profile in &overrides.profiles {
        match flow::profile::apply(&root, profile) {
            Ok(merged) => root = merged,
            Err(fault) => faults.push(fault),
        }
    }
    for setting in &overrides.settings {
        match flow::profile::set(&root, setting, faults) {
            Ok(merged) => root = merged,
            Err(fault) => faults.push(fault),
        }
    }
    Some(flow::check(&root, faults))
}
