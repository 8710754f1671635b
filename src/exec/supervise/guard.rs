//! A stage's guard: starts its process, judges its system calls, stops it on demand, leaves nothing of it behind.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::resource::{getrusage, UsageWho};
use nix::sys::signal::{kill, Signal};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;

use super::super::sandbox::{Judge, Roots, Watch};
use super::launch::{launch, Launched};
use super::order::Order;
use super::processes::{descendants, kill_all, kill_running};
use super::{child_signals, Ended};

/// Between two looks for what is still to be killed.
const AGAIN_MS: u16 = 2;

struct Guard {
    control: UnixStream,
    ended: Ended,
    stage: Pid,
    over: bool,
    killing: bool,
}

/// Does the whole work of a guard. `files` are the socket to nanoflow and the stage's outputs.
pub fn main(files: [OwnedFd; 3], roots: &Roots) {
    // A stage has its own session and its own reaper: what it leaves behind comes to its guard.
    let _ = nix::unistd::setsid();
    let _ = nix::sys::prctl::set_child_subreaper(true);
    let [control, stdout, stderr] = files;
    let mut control = UnixStream::from(control);
    let Ok(order) = Order::read(&mut control) else {
        return;
    };
    let started = child_signals().and_then(|signals| {
        let launched = launch(&order, [stdout, stderr], roots)?;
        Ok((signals, launched))
    });
    let ended = match started {
        Ok((signals, launched)) => {
            let mut guard = Guard {
                control,
                ended: Ended::default(),
                stage: launched.pid,
                over: false,
                killing: false,
            };
            guard.watch_over(&signals, launched, &order, roots);
            control = guard.control;
            guard.ended
        }
        Err(error) => Ended {
            start_error: Some(error.to_string()),
            ..Ended::default()
        },
    };
    if let Ok(line) = serde_json::to_string(&ended) {
        let _ = writeln!(control, "{line}");
    }
}

impl Guard {
    /// Until the stage's own process has ended and nothing of it is left.
    fn watch_over(&mut self, signals: &SignalFd, launched: Launched, order: &Order, roots: &Roots) {
        let mut watch = launched
            .listener
            .zip(order.confine.as_ref())
            .map(|(listener, wants)| {
                Watch::new(listener, Judge::new(wants, &roots.system), wants.enforce)
            });
        self.ended.watched = watch.is_some();
        let mut listening = true;
        while !self.over {
            let (asked, called, reaped) = {
                let mut files = vec![readable(&self.control), readable(signals)];
                if let Some(watch) = watch.as_ref().filter(|_| listening) {
                    files.push(PollFd::new(watch.file(), PollFlags::POLLIN));
                }
                let timeout = if self.killing {
                    PollTimeout::from(AGAIN_MS)
                } else {
                    PollTimeout::NONE
                };
                let _ = poll(&mut files, timeout);
                let ready = |file: Option<&PollFd<'_>>| file.and_then(PollFd::any).unwrap_or(false);
                (
                    ready(files.first()),
                    ready(files.get(2)),
                    ready(files.get(1)),
                )
            };
            if called {
                listening = watch.as_mut().is_some_and(Watch::answer);
            }
            if asked {
                self.obey();
            }
            if reaped {
                while let Ok(Some(_)) = signals.read_signal() {}
                self.reap();
            }
            if self.killing {
                kill_each(Signal::SIGKILL);
                self.reap();
            }
        }
        self.ended.killed = kill_all();
        let mut failure = String::new();
        if std::fs::File::from(launched.failure)
            .read_to_string(&mut failure)
            .is_ok()
            && !failure.is_empty()
        {
            self.ended.start_error = Some(failure);
        }
        self.ended.reached = watch.map(Watch::into_reached).unwrap_or_default();
        self.measure();
    }

    /// Reads an order: `t` asks the stage to stop, `k` kills all of it; the end of nanoflow is the end of the stage.
    fn obey(&mut self) {
        let mut order = [0u8];
        match self.control.read(&mut order) {
            Ok(1) if order == *b"t" => {
                kill_each(Signal::SIGTERM);
                // One that was stopped hears it only when it goes on.
                kill_each(Signal::SIGCONT);
            }
            Ok(1) => self.killing = true,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => {
                kill_running(&HashSet::new());
                std::process::exit(1);
            }
        }
    }

    fn reap(&mut self) {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) if pid == self.stage => {
                    self.ended.code = Some(code);
                    self.over = true;
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.stage => {
                    self.ended.signal = Some(signal as i32);
                    self.over = true;
                }
                Ok(WaitStatus::StillAlive) => return,
                Err(nix::errno::Errno::EINTR) => {}
                Err(_) => {
                    // Nothing is left to wait for.
                    self.over = true;
                    return;
                }
                Ok(_) => {}
            }
        }
    }

    fn measure(&mut self) {
        if let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) {
            let seconds =
                |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
            self.ended.cpu_seconds = seconds(usage.user_time()) + seconds(usage.system_time());
            self.ended.peak_memory_bytes = u64::try_from(usage.max_rss()).unwrap_or(0) * 1024;
        }
    }
}

fn readable<File: AsFd>(file: &File) -> PollFd<'_> {
    PollFd::new(file.as_fd(), PollFlags::POLLIN)
}

fn kill_each(signal: Signal) {
    for pid in descendants(&HashSet::new()) {
        let _ = kill(pid, signal);
    }
}
