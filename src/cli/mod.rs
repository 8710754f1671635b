//! The command line: parses and prints, decides nothing. One file for each command.

mod completions;
mod diff;
mod doctor;
mod error;
mod gc;
mod graph;
mod init;
mod invalidate;
mod log;
mod man;
mod output;
mod report;
mod run;
mod runs;
mod setup;
mod show;
mod stage;
mod status;
mod sweep;
mod verify;
mod watch;
mod why;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::events::Verbosity;
use crate::exec::snapshot::Question;
use crate::exec::{Overrides, Project};
use crate::store::{Lock, LockError};

pub use error::CliError;

/// Every exit code, in the order in which they win.
pub const EXIT_CODES: &str = "\
Exit codes (if several apply, the first of 2, 5, 4, 1, 3):
  0        all fine
  1        a stage failed
  2        wrong usage or wrong flow.yaml
  3        a gate failed
  4        a tool, library or PDK is missing
  5        the cache cannot be used
  130/143  interrupted";

/// Incremental, content-addressed build system for flows from a trained model to a checked chip layout.
#[derive(Debug, Parser)]
#[command(name = "nanoflow", version, after_help = EXIT_CODES, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// Change to this folder first
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub dir: Option<PathBuf>,
    /// The flow file
    #[arg(
        short = 'f',
        long = "file",
        value_name = "FILE",
        default_value = "flow.yaml",
        global = true
    )]
    pub file: PathBuf,
    /// Lay a profile of the flow over it; may be given several times
    #[arg(long = "profile", value_name = "NAME", global = true)]
    pub profiles: Vec<String>,
    /// Set a stage's parameter; may be given several times
    #[arg(long = "set", value_name = "STAGE.PARAM=VALUE", global = true)]
    pub settings: Vec<String>,
    /// Print JSON on standard output and nothing else there
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colour
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub color: Color,
    /// Say more; twice says everything
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Say only what went wrong
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring targets up to date
    Run(run::Args),
    /// Tell each stage's state and the first reason for it
    Status(status::Args),
    /// Tell every reason why a stage would run, down to its root
    Why(why::Args),
    /// Make stages run next time even if nothing changed
    Invalidate(invalidate::Args),
    /// Print what a stage's last try printed
    Log(log::Args),
    /// Print a stage's result: digests, metrics, time, memory
    Show(show::Args),
    /// List past runs
    Runs(runs::Args),
    /// Tell what differs between two runs
    Diff(diff::Args),
    /// Draw the graph
    Graph(graph::Args),
    /// Tell which tools are there, in which version, and what is missing
    Doctor(doctor::Args),
    /// Install what is missing, after saying what it will do
    Setup(setup::Args),
    /// Write one self-contained HTML page: states, gates, metrics and their history, times, the graph
    Report(report::Args),
    /// Check the whole cache and drop what is damaged
    Verify(verify::Args),
    /// Remove results that no kept run reaches
    Gc(gc::Args),
    /// Run many points of parameters, what they share once, and tell the best
    Sweep(sweep::Args),
    /// Bring targets up to date again whenever a file that they read changes
    Watch(watch::Args),
    /// Write a flow to begin with
    Init(init::Args),
    /// Print completions for a shell
    Completions(completions::Args),
    /// Write manual pages
    Man(man::Args),
    /// Run a plugin on a request (what nanoflow does with its own stages)
    #[command(hide = true)]
    Stage(stage::Args),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    // Started for every process of a stage: nothing else is done before it.
    if arguments.get(1).is_some_and(|word| word == "__supervise") {
        return crate::exec::supervise::main(arguments.get(2..).unwrap_or_default());
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    if let Command::Stage(arguments) = &cli.command {
        return stage::main(arguments);
    }
    crate::signals::install();
    start_log(&cli.global);
    let result = match &cli.global.dir {
        Some(dir) => std::env::set_current_dir(dir)
            .map_err(|error| CliError::Usage(format!("-C {}: {error}", dir.display()))),
        None => Ok(()),
    };
    match result.and_then(|()| dispatch(&cli)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            error.print();
            ExitCode::from(error.exit_code())
        }
    }
}

fn dispatch(cli: &Cli) -> Result<u8, CliError> {
    let global = &cli.global;
    match &cli.command {
        Command::Run(arguments) => run::main(global, arguments),
        Command::Status(arguments) => status::main(global, arguments),
        Command::Why(arguments) => why::main(global, arguments),
        Command::Invalidate(arguments) => invalidate::main(global, arguments),
        Command::Log(arguments) => log::main(global, arguments),
        Command::Show(arguments) => show::main(global, arguments),
        Command::Runs(arguments) => runs::main(global, arguments),
        Command::Diff(arguments) => diff::main(global, arguments),
        Command::Graph(arguments) => graph::main(global, arguments),
        Command::Doctor(arguments) => doctor::main(global, arguments),
        Command::Setup(arguments) => setup::main(global, arguments),
        Command::Report(arguments) => report::main(global, arguments),
        Command::Verify(arguments) => verify::main(global, arguments),
        Command::Gc(arguments) => gc::main(global, arguments),
        Command::Sweep(arguments) => sweep::main(global, arguments),
        Command::Watch(arguments) => watch::main(global, arguments),
        Command::Man(arguments) => man::main(global, arguments),
        Command::Init(arguments) => init::main(global, arguments),
        Command::Completions(arguments) => completions::main(arguments),
        Command::Stage(_) => Ok(0),
    }
}

fn start_log(global: &Global) {
    let level = match global.verbose {
        0 => "warn",
        1 => "nanoflow=info",
        2 => "nanoflow=debug",
        _ => "nanoflow=trace",
    };
    let filter = tracing_subscriber::EnvFilter::new(level);
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(global.colored())
        .without_time()
        .with_target(false)
        .try_init();
}

impl Global {
    pub fn colored(&self) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
            }
        }
    }

    pub fn verbosity(&self) -> Verbosity {
        if self.quiet {
            Verbosity::Quiet
        } else if self.verbose > 0 {
            Verbosity::Verbose
        } else {
            Verbosity::Normal
        }
    }

    /// What the snapshot of a run with these targets is the answer to.
    pub fn question(&self, words: &[String]) -> Option<Question> {
        Question::new(&self.file, &self.overrides(), words)
    }

    /// The flow file's folder and the cache in it.
    pub fn folders(&self) -> (PathBuf, PathBuf) {
        let base = match self.file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let root = base.join("cache");
        (base, root)
    }

    fn overrides(&self) -> Overrides {
        Overrides {
            profiles: self.profiles.clone(),
            settings: self.settings.clone(),
        }
    }

    /// Reads the flow.
    pub fn open(&self) -> Result<Project, CliError> {
        Ok(Project::open(&self.file, &self.overrides())?)
    }
}

/// Takes the writer's lock; says so if it must wait.
fn lock(root: &Path, wait: bool) -> Result<Lock, CliError> {
    let mut told = false;
    loop {
        match Lock::try_take(root) {
            Ok(lock) => return Ok(lock),
            Err(LockError::Store(error)) => return Err(error.into()),
            Err(LockError::Held(pid)) => {
                if !wait {
                    return Err(CliError::Locked(pid));
                }
                if !told {
                    told = true;
                    eprintln!("waiting: another nanoflow (process {pid}) is using this cache");
                }
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        }
    }
}

/// The one stage that a word names.
fn one_stage(project: &Project, word: &str) -> Result<crate::flow::StageId, CliError> {
    match project.flow.find(word) {
        Some(id) => Ok(id),
        None if project.flow.groups.contains_key(word) => Err(CliError::Usage(format!(
            "'{word}' is a group; name one stage of it"
        ))),
        None => Err(project.targets(&[word.to_string()]).err().map_or_else(
            || CliError::Usage(format!("there is no stage '{word}'")),
            CliError::from,
        )),
    }
}
