//! A stage's process: started below a guard, its lines read as they come, stopped on demand.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::supervise::{Ended, Keeper, Order};

/// What to start, and where its output goes.
pub struct Start {
    pub order: Order,
    pub log: PathBuf,
}

/// How hard a running stage is to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    No,
    Ask,
    Kill,
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
pub async fn run(
    keeper: &Keeper,
    start: Start,
    mut stop: watch::Receiver<Stop>,
    progress: impl Fn(Progress),
) -> std::io::Result<Ended> {
    let mut log = File::options().create(true).append(true).open(&start.log)?;
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let (mut stdout, their_stdout) = output_pipe()?;
    let (mut stderr, their_stderr) = output_pipe()?;
    keeper.guard(&[theirs.into(), their_stdout, their_stderr])?;
    let (mut reports, mut orders) = UnixStream::from_std(ours)?.into_split();
    // A guard that is gone already shows itself below.
    let _ = orders.write_all(&start.order.to_bytes()).await;
    let mut lines = Lines::default();
    let (mut out_chunk, mut err_chunk, mut report_chunk) =
        (vec![0u8; 16 << 10], vec![0u8; 16 << 10], [0u8; 512]);
    let (mut out_open, mut err_open, mut report_open) = (true, true, true);
    let mut asked = Stop::No;
    let mut report = Vec::new();
    // Reads until the process reported its end and both its outputs are closed.
    while report_open || out_open || err_open {
        tokio::select! {
            read = stdout.read(&mut out_chunk), if out_open => {
                let count = read?;
                out_open = count > 0;
                lines.take(&out_chunk[..count], !out_open, &mut log, &progress)?;
            }
            read = stderr.read(&mut err_chunk), if err_open => {
                let count = read?;
                err_open = count > 0;
                log.write_all(&err_chunk[..count])?;
            }
            read = reports.read(&mut report_chunk), if report_open => {
                // A killed guard leaves no whole report.
                let count = read.unwrap_or(0);
                report_open = count > 0;
                report.extend_from_slice(&report_chunk[..count]);
            }
            changed = stop.changed() => {
                let wanted = if changed.is_err() { Stop::Kill } else { *stop.borrow_and_update() };
                if wanted > asked {
                    asked = wanted;
                    let order: &[u8] = if wanted == Stop::Kill { b"k" } else { b"t" };
                    let _ = orders.write_all(order).await;
                }
            }
        }
    }
    Ok(serde_json::from_slice(report.trim_ascii()).unwrap_or_default())
}

/// A pipe whose first end is read here.
fn output_pipe() -> std::io::Result<(pipe::Receiver, OwnedFd)> {
    let (ours, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    Ok((pipe::Receiver::from_owned_fd(ours)?, theirs))
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
