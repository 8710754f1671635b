//! A stage's process: started below a guard, its lines read as they come, stopped on demand.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};

use super::stop::{Stop, Stopper};
use super::supervise::{Ended, Keeper, Order};

/// What to start, and where its output goes.
pub struct Start {
    pub order: Order,
    pub log: PathBuf,
}

/// A progress line: `{"progress": {"done": 10, "total": 300, "unit": "step", "note": "loss 2.31"}}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    pub done: f64,
    pub total: Option<f64>,
    pub unit: Option<String>,
    pub note: Option<String>,
}

/// Longest line that is looked at as progress.
const LONGEST_PROGRESS: usize = 8192;

/// Runs the process to its end. Output goes to the log, progress lines to `progress`.
///
/// # Errors
/// No guard could be started or the log not be written.
pub fn run(
    keeper: &Keeper,
    start: &Start,
    stop: &Stopper,
    progress: impl Fn(Progress),
) -> std::io::Result<Ended> {
    let mut log = File::options().create(true).append(true).open(&start.log)?;
    let (stdout, their_stdout) = pipe()?;
    let (stderr, their_stderr) = pipe()?;
    let mut guard = keeper.launch(&start.order, [their_stdout, their_stderr])?;
    let (mut stdout, mut stderr) = (Some(stdout), Some(stderr));
    let mut lines = Lines::default();
    let mut chunk = vec![0u8; 16 << 10];
    let mut heard = Stop::No;
    let mut report = Vec::new();
    let mut reported = false;
    // Reads until the guard told of the end and both outputs are closed.
    while !reported || stdout.is_some() || stderr.is_some() {
        let ready = wait(
            [
                stdout.as_ref().map(AsFd::as_fd),
                stderr.as_ref().map(AsFd::as_fd),
                (!reported).then(|| guard.as_fd()),
                stop.above(heard),
            ]
            .map(|file| file.map(|file| PollFd::new(file, PollFlags::POLLIN))),
        )?;
        let [out_ready, err_ready, report_ready, stop_ready] = ready;
        if let Some(file) = stdout.as_mut().filter(|_| out_ready) {
            let count = read(file, &mut chunk)?;
            let piece = chunk.get(..count).unwrap_or_default();
            lines.take(piece, count == 0, &mut log, &progress)?;
            if count == 0 {
                stdout = None;
            }
        }
        if let Some(file) = stderr.as_mut().filter(|_| err_ready) {
            let count = read(file, &mut chunk)?;
            log.write_all(chunk.get(..count).unwrap_or_default())?;
            if count == 0 {
                stderr = None;
            }
        }
        if report_ready {
            // A killed guard leaves no whole report.
            let count = read(&mut guard, &mut chunk).unwrap_or(0);
            report.extend_from_slice(chunk.get(..count).unwrap_or_default());
            reported = count == 0 || report.ends_with(b"\n");
        }
        if stop_ready {
            heard = stop.level();
            let order: &[u8] = if heard == Stop::Kill { b"k" } else { b"t" };
            // A guard that is gone already shows itself above.
            let _ = guard.write_all(order);
        }
    }
    let ended = serde_json::from_slice(report.trim_ascii());
    if ended.is_ok() {
        keeper.give_back(guard);
    }
    Ok(ended.unwrap_or_default())
}

/// A pipe whose first end is read here.
fn pipe() -> std::io::Result<(File, OwnedFd)> {
    let (ours, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    Ok((ours.into(), theirs))
}

/// Waits until something can be read from one of the files; tells from which, the end of one counting too.
fn wait<const N: usize>(files: [Option<PollFd<'_>>; N]) -> std::io::Result<[bool; N]> {
    let mut ready = [false; N];
    let mut asked: Vec<(usize, PollFd<'_>)> = files
        .into_iter()
        .enumerate()
        .filter_map(|(number, file)| Some((number, file?)))
        .collect();
    let mut list: Vec<PollFd<'_>> = asked.iter().map(|(_, file)| file.clone()).collect();
    loop {
        match poll(&mut list, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => break,
        }
    }
    for ((number, _), file) in asked.drain(..).zip(&list) {
        if let Some(ready) = ready.get_mut(number) {
            *ready = file.any().unwrap_or(false);
        }
    }
    Ok(ready)
}

fn read(file: &mut impl Read, chunk: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match file.read(chunk) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Standard output cut into lines: progress lines are told, all others go to the log.
#[derive(Default)]
struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    fn take(
        &mut self,
        bytes: &[u8],
        end: bool,
        log: &mut File,
        progress: &impl Fn(Progress),
    ) -> std::io::Result<()> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.partial.len() > LONGEST_PROGRESS {
                self.flush(log, progress)?;
            }
        }
        if end {
            self.flush(log, progress)?;
        }
        Ok(())
    }

    fn flush(&mut self, log: &mut File, progress: &impl Fn(Progress)) -> std::io::Result<()> {
        match parse_progress(&self.partial) {
            Some(told) => progress(told),
            None => log.write_all(&self.partial)?,
        }
        self.partial.clear();
        Ok(())
    }
}

fn parse_progress(line: &[u8]) -> Option<Progress> {
    let trimmed = line.trim_ascii();
    if !trimmed.starts_with(b"{") || trimmed.len() > LONGEST_PROGRESS {
        return None;
    }
    let value: serde_json::Value = serde_json::from_slice(trimmed).ok()?;
    let told = value.get("progress")?;
    let text = |name: &str| {
        told.get(name)
            .and_then(|value| value.as_str())
            .map(str::to_string)
    };
    Some(Progress {
        done: told.get("done")?.as_f64()?,
        total: told.get("total").and_then(serde_json::Value::as_f64),
        unit: text("unit"),
        note: text("note"),
    })
}
