//! `nanoflow __supervise PROGRAM ARGUMENT…`: a small process between nanoflow and a stage, so that no process of the stage
//! outlives either of them.
//!
//! It is the reaper of everything that the stage starts, so a process that goes into the background, changes its session or loses
//! its parent stays below it. Standard input is a socket to nanoflow: a `t` on it asks the stage to stop, a `k` or its end (nanoflow
//! was killed) kills everything. When the stage's own process has ended, whatever it left behind is killed, and one
//! JSON line about how it ended goes to the socket.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::sys::resource::{getrusage, UsageWho};
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// How a stage's process ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// Why it could not be started.
    pub start_error: Option<String>,
    pub cpu_seconds: f64,
    /// Of the largest process.
    pub peak_memory_bytes: u64,
    /// Processes that it left behind and that were killed.
    pub killed: usize,
}

/// Runs the program below this process and reports on standard input's socket.
pub fn main(arguments: &[std::ffi::OsString]) -> ExitCode {
    let Some((program, rest)) = arguments.split_first() else {
        return ExitCode::from(2);
    };
    // A terminal's Ctrl-C is for nanoflow alone; it decides what happens to the stage.
    let _ = nix::unistd::setsid();
    let _ = nix::sys::prctl::set_child_subreaper(true);
    // What a stage makes must not depend on who runs it: a mask could take away an executable bit, which is content.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let Ok(socket) = std::io::stdin().as_fd().try_clone_to_owned() else {
        return ExitCode::from(2);
    };
    let mut socket = std::os::unix::net::UnixStream::from(socket);
    let mut command = Command::new(program);
    command.args(rest).stdin(Stdio::null());
    // SAFETY: between fork and exec only one prctl is called, which is async-signal-safe. It makes the kernel kill the stage
    // should this supervisor itself be killed.
    unsafe {
        command.pre_exec(|| {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from)
        });
    }
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            report(
                &mut socket,
                &Ended {
                    start_error: Some(error.to_string()),
                    ..Ended::default()
                },
            );
            return ExitCode::from(127);
        }
    };
    if let Ok(orders) = socket.try_clone() {
        std::thread::spawn(move || obey(orders));
    }
    let mut ended = Ended::default();
    let child = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => {
                ended.code = Some(code);
                break;
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                ended.signal = Some(signal as i32);
                break;
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => break,
        }
    }
    ended.killed = kill_all();
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) {
        let seconds =
            |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        ended.cpu_seconds = seconds(usage.user_time()) + seconds(usage.system_time());
        ended.peak_memory_bytes = u64::try_from(usage.max_rss()).unwrap_or(0) * 1024;
    }
    report(&mut socket, &ended);
    ExitCode::SUCCESS
}

fn report(socket: &mut std::os::unix::net::UnixStream, ended: &Ended) {
    if let Ok(line) = serde_json::to_string(ended) {
        let _ = writeln!(socket, "{line}");
    }
}

/// Reads orders until nanoflow ends.
fn obey(mut socket: std::os::unix::net::UnixStream) {
    let mut order = [0u8];
    loop {
        match socket.read(&mut order) {
            Ok(1) if order == *b"t" => {
                for pid in descendants() {
                    let _ = kill(pid, Signal::SIGTERM);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(1) => {
                kill_running();
            }
            // The other end is gone.
            Ok(_) | Err(_) => {
                kill_running();
                std::process::exit(1);
            }
        }
    }
}

/// Kills everything below this process, again and again until nothing is left that could start something new.
fn kill_running() -> usize {
    let mut killed = HashSet::new();
    loop {
        let found = descendants();
        if found.is_empty() {
            return killed.len();
        }
        for pid in found {
            let _ = kill(pid, Signal::SIGKILL);
            killed.insert(pid);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Kills what is left and reaps it. Returns how many there were.
fn kill_all() -> usize {
    let mut killed = HashSet::new();
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(nix::errno::Errno::ECHILD) => return killed.len(),
            Ok(WaitStatus::StillAlive) => {
                for pid in descendants() {
                    if kill(pid, Signal::SIGKILL).is_ok() {
                        killed.insert(pid);
                    }
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            _ => {}
        }
    }
}

/// All living processes below this one, from `/proc`; dead ones that wait to be reaped do not count.
fn descendants() -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(text) = std::fs::read(entry.path().join("stat")) else {
            continue;
        };
        // The name in parentheses may hold anything; the fields follow the last one.
        let Some(close) = text.iter().rposition(|byte| *byte == b')') else {
            continue;
        };
        let fields =
            String::from_utf8_lossy(text.get(close + 1..).unwrap_or_default()).into_owned();
        let mut fields = fields.split_whitespace();
        let state = fields.next().unwrap_or("Z");
        if state == "Z" || state == "X" {
            continue;
        }
        if let Some(parent) = fields.next().and_then(|parent| parent.parse::<i32>().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut stack = vec![std::process::id() as i32];
    while let Some(parent) = stack.pop() {
        for pid in children.get(&parent).into_iter().flatten() {
            found.push(Pid::from_raw(*pid));
            stack.push(*pid);
        }
    }
    found
}

impl Ended {
    pub fn good(&self) -> bool {
        self.code == Some(0)
    }

    /// How it ended, in words.
    pub fn tell(&self) -> String {
        if let Some(error) = &self.start_error {
            return format!("could not be started: {error}");
        }
        match (self.code, self.signal) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => {
                let name = Signal::try_from(signal)
                    .map_or_else(|_| signal.to_string(), |signal| signal.to_string());
                format!("killed by {name}")
            }
            _ => "ended without a report".to_string(),
        }
    }
}

/// For a supervisor that was itself killed.
pub fn from_status(status: std::process::ExitStatus) -> Ended {
    Ended {
        code: status.code().filter(|code| *code != 0).or(Some(1)),
        signal: status.signal(),
        ..Ended::default()
    }
}
