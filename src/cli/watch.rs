//! `nanoflow watch`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::events::Events;
use crate::exec::watch::{mark, marks, Marks};
use crate::exec::RunOptions;

use super::{CliError, Global};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stages, groups or aliases; all stages if none is given
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// How many processors to use; all if not given
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// Go on with what does not depend on a failure
    #[arg(short, long)]
    pub keep_going: bool,
}

/// Tells the marks of all files that are watched.
type Look = Box<dyn Fn() -> Marks>;

/// How often files are looked at, at most.
const PAUSE: Duration = Duration::from_millis(200);
/// Looking takes at most this share of the time.
const SHARE: u32 = 10;

pub fn main(global: &Global, arguments: &Args) -> Result<u8, CliError> {
    loop {
        // Looked at before the run, so that what changes during it is seen.
        let flow_file = PathBuf::from(&global.file);
        let own = mark(&flow_file);
        let (look, code): (Look, u8) = match once(global, arguments) {
            Ok((look, code)) => (look, code),
            Err(error @ (CliError::Store(_) | CliError::Run(_))) => return Err(error),
            Err(error) => {
                error.print();
                (Box::new(Marks::new), error.exit_code())
            }
        };
        if code >= 128 {
            return Ok(code);
        }
        if !global.quiet {
            eprintln!("waiting for a change (Ctrl-C ends)");
        }
        wait(
            &|| {
                let mut marks = look();
                marks.insert(flow_file.clone(), mark(&flow_file));
                marks
            },
            own.map(|own| (flow_file.clone(), own)),
        );
    }
}

/// Reads the flow and brings the targets up to date. Returns how to look for changes and the exit code.
fn once(global: &Global, arguments: &Args) -> Result<(Look, u8), CliError> {
    let project = Arc::new(global.open()?);
    let targets = project.targets(&arguments.targets)?;
    let order = project.graph.closure(&targets);
    let before = marks(&project, &order);
    let options = RunOptions {
        jobs: arguments
            .jobs
            .map_or_else(super::run::processors, usize::from),
        keep_going: arguments.keep_going,
        ..RunOptions::default()
    };
    let code = match project.check(&order) {
        Ok(()) => super::run::bring(global, &project, &order, options, true, Events::default())?,
        Err(faults) => {
            let error = CliError::from(faults);
            error.print();
            error.exit_code()
        }
    };
    crate::signals::end_at_once();
    let first = std::cell::Cell::new(Some(before));
    Ok((
        Box::new(move || first.take().unwrap_or_else(|| marks(&project, &order))),
        code,
    ))
}

/// Returns when a look shows something else than the first one did, and then nothing new for a moment.
fn wait(look: &dyn Fn() -> Marks, own: Option<(PathBuf, crate::exec::watch::Mark)>) {
    let mut before = look();
    if let Some((path, mark)) = own {
        before.insert(path, Some(mark));
    }
    loop {
        let begun = Instant::now();
        let mut now = look();
        let cost = begun.elapsed();
        if now != before {
            // An editor or a checkout writes several files: wait until it is done.
            loop {
                std::thread::sleep(PAUSE / 2);
                let next = look();
                if next == now {
                    return;
                }
                now = next;
            }
        }
        std::thread::sleep(PAUSE.max(cost * SHARE));
    }
}
