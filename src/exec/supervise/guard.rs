//! A guard: starts a stage's process, judges its system calls, stops it on demand, leaves nothing of it behind; then the next
//! stage's.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::resource::{getrusage, UsageWho};
use nix::sys::signal::{kill, Signal};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use super::super::sandbox::{Judge, Roots, Scratch, Watch};
use super::fds::receive;
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

/// Does the whole work of a guard: one stage after the other, until nanoflow closes the socket.
pub fn main(control: OwnedFd, roots: &Roots, keeper: Pid) {
    // Stages have a session and a reaper that are not nanoflow's: what one leaves behind comes to its guard.
    let _ = nix::unistd::setsid();
    let _ = nix::sys::prctl::set_child_subreaper(true);
    let mut control = UnixStream::from(control);
    let Ok(signals) = child_signals() else { return };
    while let Some(outputs) = next_stage(&control, keeper) {
        let Ok(order) = Order::read(&mut control) else {
            return;
        };
        let before = cpu_seconds();
        let ended = match launch(&order, outputs, roots) {
            Ok(launched) => {
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
        let ended = Ended {
            cpu_seconds: cpu_seconds() - before,
            ..ended
        };
        // Without its keeper nobody would end what it leaves when it is killed: it takes no further stage.
        let alone = nix::unistd::getppid() != keeper;
        if alone {
            let _ = control.shutdown(std::net::Shutdown::Read);
        }
        if let Ok(line) = serde_json::to_string(&ended) {
            let _ = control.write_all(format!("{line}\n").as_bytes());
        }
        if alone {
            return;
        }
    }
}

/// Waits for a stage; gives its outputs. `None` when there will be none: nanoflow or the keeper has ended.
fn next_stage(control: &UnixStream, keeper: Pid) -> Option<[OwnedFd; 2]> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).ok()?;
    if nix::unistd::getppid() != keeper {
        return None;
    }
    loop {
        match receive(control) {
            Ok(files) => {
                // An order to stop what has just ended brings no files.
                if let Ok(outputs) = files.try_into() {
                    nix::sys::prctl::set_pdeathsig(None).ok()?;
                    return Some(outputs);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

/// Of all processes that have ended and were waited for.
fn cpu_seconds() -> f64 {
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0.0, |usage| {
        seconds(usage.user_time()) + seconds(usage.system_time())
    })
}

impl Guard {
    /// Until the stage's own process has ended and nothing of it is left.
    fn watch_over(&mut self, signals: &SignalFd, launched: Launched, order: &Order, roots: &Roots) {
        let mut watch = launched
            .listener
            .zip(order.confine.as_ref())
            .map(|(listener, wants)| {
                let scratch = Scratch::open(&temporary_folder(order), wants.enforce);
                Watch::new(
                    listener,
                    Judge::new(wants, &roots.readable),
                    wants.enforce,
                    scratch,
                )
            });
        self.ended.watched = watch.is_some();
        let mut listening = true;
        while !self.over {
            let [asked, reaped, called] = {
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
                [0, 1, 2].map(|number| {
                    let said = files.get(number).and_then(PollFd::revents);
                    said.unwrap_or(PollFlags::empty())
                })
            };
            if called.contains(PollFlags::POLLIN) {
                listening = watch.as_mut().is_some_and(Watch::answer);
            } else if !called.is_empty() {
                // Nobody is left under the filter; to be told of it over and over until the last has ended costs a processor.
                listening = false;
            }
            if !asked.is_empty() {
                self.obey();
            }
            if !reaped.is_empty() {
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
            match wait_for_any() {
                Ok((pid, status, peak)) => {
                    self.ended.peak_memory_bytes = self.ended.peak_memory_bytes.max(peak);
                    match WaitStatus::from_raw(pid, status) {
                        Ok(WaitStatus::Exited(pid, code)) if pid == self.stage => {
                            self.ended.code = Some(code);
                            self.over = true;
                        }
                        Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.stage => {
                            self.ended.signal = Some(signal as i32);
                            self.over = true;
                        }
                        _ => {}
                    }
                }
                Err(Errno::EAGAIN) => return,
                Err(Errno::EINTR) => {}
                Err(_) => {
                    // Nothing is left to wait for.
                    self.over = true;
                    return;
                }
            }
        }
    }
}

/// Reaps a process that has ended: which one, how it ended, and the memory in bytes of it or the largest below it, whichever is
/// more. `EAGAIN` if none has ended.
fn wait_for_any() -> nix::Result<(Pid, i32, u64)> {
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both places live through the call; all bytes zero are a good `rusage` if the kernel writes none.
    let (pid, usage) = unsafe {
        let pid = libc::wait4(-1, &mut status, libc::WNOHANG, usage.as_mut_ptr());
        (pid, usage.assume_init())
    };
    match Errno::result(pid)? {
        0 => Err(Errno::EAGAIN),
        pid => {
            let kilobytes = u64::try_from(usage.ru_maxrss).unwrap_or(0);
            Ok((Pid::from_raw(pid), status, kilobytes * 1024))
        }
    }
}

/// The stage's own.
fn temporary_folder(order: &Order) -> PathBuf {
    let mut variables = order.env.iter();
    let found = variables.find(|(name, _)| name == "TMPDIR");
    found.map(|(_, value)| value.into()).unwrap_or_default()
}

fn readable<File: AsFd>(file: &File) -> PollFd<'_> {
    PollFd::new(file.as_fd(), PollFlags::POLLIN)
}

fn kill_each(signal: Signal) {
    for pid in descendants(&HashSet::new()) {
        let _ = kill(pid, signal);
    }
}
