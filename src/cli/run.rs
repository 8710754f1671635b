//! `nanoflow run`

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::events::{new_run_id, Event, Events, JournalWriter, JsonLines, Live, Terminal, Trace};
use crate::exec::snapshot::{self, Clean, Looked, Part, Question};
use crate::exec::{self, plan, Project, RunError, RunOptions, Surroundings, Verdict};
use crate::flow::StageId;
use crate::report::{held_back, tell, Explainer, Junit, LogTail};
use crate::store::{prepare, Lock, State, StoreError};

use super::{lock, CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stages, groups or aliases; all stages if none is given
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// How many processors to use; all if not given
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// Tell what would run, and run nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Go on with what does not depend on a failure
    #[arg(short, long)]
    pub keep_going: bool,
    /// Run the targets even if nothing changed
    #[arg(long)]
    pub force: bool,
    /// Run every stage twice and compare the bytes
    #[arg(long)]
    pub twice: bool,
    /// Do not wait for another run on this cache
    #[arg(long)]
    pub no_wait: bool,
    /// Where stages run
    #[arg(long, value_name = "WHERE", default_value = "local")]
    pub executor: Executor,
    /// Install what is missing first
    #[arg(long)]
    pub setup: bool,
    /// Write what ran when as a trace, for ui.perfetto.dev or chrome://tracing
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Write how the stages and gates ended as a JUnit file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Executor {
    /// On this machine
    Local,
}

impl Args {
    /// Nothing is wanted but that the targets are up to date.
    fn plain(&self) -> bool {
        let more = self.dry_run || self.force || self.twice || self.setup;
        !more && self.trace.is_none() && self.junit.is_none()
    }
}

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    let question = global.question(&arguments.targets);
    if let Some(question) = question.as_ref().filter(|_| arguments.plain()) {
        if let Some(code) = glance(global, arguments, question)? {
            return Ok(code);
        }
    }
    tracing::debug!("snapshot: the long way");
    let project = Arc::new(global.open()?);
    let targets = project.targets(&arguments.targets)?;
    let order = project.graph.closure(&targets);
    project.check(&order)?;
    let forced: BTreeSet<StageId> = if arguments.force {
        targets.into_iter().collect()
    } else {
        BTreeSet::new()
    };
    if arguments.dry_run {
        return Ok(dry_run(global, &project, &order, &forced));
    }
    let project = if arguments.setup {
        super::setup::install(global, &project, &order, true)?;
        // What was looked for before is looked for again.
        Arc::new(global.open()?)
    } else {
        project
    };
    let jobs = jobs(arguments);
    // Reading and hashing keeps to the same number of processors as the stages do.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(jobs)
        .build_global();
    let options = RunOptions {
        jobs,
        keep_going: arguments.keep_going,
        forced,
        twice: arguments.twice,
        question,
        ..RunOptions::default()
    };
    let mut sinks = Events::default();
    if let Some(path) = &arguments.trace {
        let tell = !global.quiet && !global.json;
        let upstream = upstream(&project, &order);
        sinks.add(Trace::create(path, upstream, tell).map_err(|error| unwritable(path, &error))?);
    }
    if let Some(path) = &arguments.junit {
        let flow = project.flow.name.as_deref().unwrap_or("flow");
        let tail = log_tail(project.clone());
        sinks.add(Junit::create(path, flow, tail).map_err(|error| unwritable(path, &error))?);
    }
    bring(global, &project, &order, options, !arguments.no_wait, sinks)
}

fn unwritable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::Usage(format!("{}: {error}", path.display()))
}

/// The last lines that a stage printed in a run.
fn log_tail(project: Arc<Project>) -> LogTail {
    const LINES: usize = 100;
    Box::new(move |run, stage| {
        let bytes = std::fs::read(exec::log_path(&project, run, stage)).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        Some(lines[lines.len().saturating_sub(LINES)..].join("\n"))
    })
}

fn upstream(project: &Project, order: &[StageId]) -> BTreeMap<String, Vec<String>> {
    let name = |id: StageId| project.flow.stage(id).name.clone();
    order
        .iter()
        .map(|id| (name(*id), project.graph.upstream(*id).map(name).collect()))
        .collect()
}

fn jobs(arguments: &Args) -> usize {
    arguments.jobs.map_or_else(processors, usize::from)
}

pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Takes the lock and brings the stages up to date. What happens is shown, kept in the journal, and given to `events` too.
pub fn bring(
    global: &Global,
    project: &Arc<Project>,
    order: &[StageId],
    options: RunOptions,
    wait: bool,
    mut events: Events,
) -> Result<u8, CliError> {
    let root = project.store.root().to_path_buf();
    let mut held = lock(&root, wait)?;
    prepare(&root)?;
    let mut state = State::load(&root);
    let run = begin(global, &root.join("runs"), &mut held, &mut events)?;
    let options = RunOptions {
        run,
        command: command_line(),
        ..options
    };
    let result = exec::run(project, &mut state, &mut events, order, &options);
    project.store.stat.save();
    project.tools.save();
    held.tell(None);
    Ok(result?.exit_code())
}

fn command_line() -> Vec<String> {
    std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

/// A new run with its journal, and everything that shows it.
fn begin(
    global: &Global,
    runs: &Path,
    held: &mut Lock,
    events: &mut Events,
) -> Result<String, CliError> {
    let run = new_run_id(runs);
    let folder = runs.join(&run);
    let journal = JournalWriter::create(&folder).map_err(|error| StoreError::io(&folder, error))?;
    held.tell(Some(&run));
    if global.json {
        events.add(JsonLines);
    }
    let verbosity = if global.json {
        crate::events::Verbosity::Quiet
    } else {
        global.verbosity()
    };
    events.add(Terminal::new(verbosity, global.colored()));
    events.add(journal);
    events.add(Live::new(&folder));
    Ok(run)
}

/// The run in which a look at the last one's snapshot shows that nothing or little changed; `None` if it does not tell, or if
/// another process uses the cache.
fn glance(global: &Global, arguments: &Args, question: &Question) -> Result<Option<u8>, CliError> {
    let started = Instant::now();
    let (base, root) = global.folders();
    if !question.asked_before(&root) {
        return Ok(None);
    }
    let Ok(held) = Lock::try_take(&root) else {
        return Ok(None);
    };
    match snapshot::look(&base, &root, question, true) {
        Looked::Clean(clean) => {
            tracing::debug!("snapshot: nothing changed");
            nothing_to_do(global, *clean, &root, held, started)
        }
        Looked::Changed(changed) => match changed.part() {
            Some(part) => {
                tracing::debug!("snapshot: little changed");
                bring_part(global, arguments, part, &root, held)
            }
            None => Ok(None),
        },
        Looked::Unknown => Ok(None),
    }
}

fn nothing_to_do(
    global: &Global,
    clean: Clean,
    root: &Path,
    mut held: Lock,
    started: Instant,
) -> Result<Option<u8>, CliError> {
    let stages = clean.stages;
    let Some(lines) = clean.lines() else {
        return Ok(None);
    };
    prepare(root)?;
    let mut events = Events::default();
    let run = begin(global, &root.join("runs"), &mut held, &mut events)?;
    events.emit(&Event::RunStarted {
        run: run.clone(),
        time: crate::events::now(),
        stages,
        command: command_line(),
    });
    events.emit_cached(&lines, stages);
    events.emit(&Event::RunFinished {
        run,
        executed: 0,
        cached: stages,
        remote: 0,
        failed: 0,
        skipped: 0,
        gates_failed: 0,
        seconds: started.elapsed().as_secs_f64(),
        exit: 0,
    });
    held.tell(None);
    Ok(Some(0))
}

/// Brings the stages that can have changed up to date; all others are as they were.
fn bring_part(
    global: &Global,
    arguments: &Args,
    part: Part,
    root: &Path,
    mut held: Lock,
) -> Result<Option<u8>, CliError> {
    let Part {
        project,
        order,
        given,
        aside,
        aside_count,
        previous,
    } = part;
    // Faults are told with their place in the file, which the part does not know.
    if project.check(&order).is_err() {
        return Ok(None);
    }
    prepare(root)?;
    let project = Arc::new(project);
    let names = order.iter().map(|id| project.flow.stage(*id).name.as_str());
    let mut state = State::load_for(root, &names.collect());
    let mut events = Events::default();
    let run = begin(global, &root.join("runs"), &mut held, &mut events)?;
    let options = RunOptions {
        run,
        command: command_line(),
        jobs: jobs(arguments),
        keep_going: arguments.keep_going,
        part: Some(Surroundings {
            given,
            count: aside_count,
            lines: Arc::new(aside),
            previous,
        }),
        ..RunOptions::default()
    };
    let result = exec::run(&project, &mut state, &mut events, &order, &options);
    held.tell(None);
    match result {
        Err(RunError::Around) => Ok(None),
        result => Ok(Some(result?.exit_code())),
    }
}

/// Tells what would run, by the same plan that a run follows.
fn dry_run(
    global: &Global,
    project: &Project,
    order: &[StageId],
    forced: &BTreeSet<StageId>,
) -> u8 {
    let state = State::load(project.store.root());
    let plan = plan(project, &state, order, forced);
    let mut explainer = Explainer::new(project, &state, &plan);
    let mut events = Events::default();
    if global.json {
        events.add(JsonLines);
    } else {
        events.add(Terminal::new(global.verbosity(), global.colored()));
    }
    let held = held_back(project, &plan, order);
    let mut missing = false;
    let (mut run, mut cached, mut maybe, mut skipped) = (0, 0, 0, 0);
    // Stages with one key run once.
    let mut keys = BTreeSet::new();
    for id in order {
        let again = forced.contains(id)
            || state
                .history(&project.flow.stage(*id).name)
                .is_some_and(|history| history.invalidated);
        let action = match plan.get(id) {
            _ if held.contains(id) => "skipped",
            Some(Verdict::Run { resolved }) if !keys.insert(resolved.key.clone()) && !again => {
                "cached"
            }
            Some(Verdict::Fresh { .. }) => "cached",
            Some(Verdict::Run { .. }) => "run",
            Some(Verdict::Problem(exec::Problem::Missing(_))) => {
                missing = true;
                "tool-missing"
            }
            _ => "maybe",
        };
        match action {
            "cached" => cached += 1,
            "maybe" => maybe += 1,
            "skipped" => skipped += 1,
            _ => run += 1,
        }
        let reason = explainer.reasons(*id).into_iter().next().map(|reason| {
            let mut value = serde_json::to_value(&reason).unwrap_or_default();
            value["text"] = tell(&reason).into();
            value
        });
        let stage = project.flow.stage(*id).name.clone();
        events.emit(&Event::StagePlanned {
            stage,
            action: action.to_string(),
            reason,
        });
    }
    if !global.json && !global.quiet {
        let held = match skipped {
            0 => String::new(),
            count => format!(", {count} held back by a gate"),
        };
        eprintln!("{run} would run, {maybe} may run after them, {cached} cached{held}");
    }
    if missing {
        4
    } else {
        0
    }
}
