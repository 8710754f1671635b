//! The keeper: forks a guard for each stage, and ends what a killed guard left.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::{fork, ForkResult, Pid};

use super::super::sandbox::{Roots, System};
use super::child_signals;
use super::fds::{pair, receive, send};
use super::processes::kill_running;

/// nanoflow's end: starts the keeper when the first stage starts.
pub struct Keeper {
    flow: PathBuf,
    path: OsString,
    socket: Mutex<Option<OwnedFd>>,
}

impl Keeper {
    /// `path` is the stages' `PATH`.
    pub fn new(flow: &Path, path: &std::ffi::OsStr) -> Keeper {
        Keeper {
            flow: flow.to_path_buf(),
            path: path.to_os_string(),
            socket: Mutex::new(None),
        }
    }

    /// Has a guard started, with the socket to it and the stage's outputs.
    ///
    /// # Errors
    /// No process can be started.
    pub fn guard(&self, files: &[OwnedFd; 3]) -> std::io::Result<()> {
        let files: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = socket.as_ref() {
            if send(open, &files).is_ok() {
                return Ok(());
            }
        }
        let open = self.start()?;
        send(&open, &files)?;
        *socket = Some(open);
        Ok(())
    }

    fn start(&self) -> std::io::Result<OwnedFd> {
        let (ours, theirs) = pair()?;
        // The program of this very process, even if the file was replaced since. It does not bear nanoflow's name: what kills
        // nanoflow by name must not kill what cleans up behind it.
        Command::new("/proc/self/exe")
            .arg0("stage-keeper")
            .arg("__supervise")
            .arg(&self.flow)
            .env("PATH", &self.path)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(ours)
    }
}

/// The keeper's own life: until nanoflow closes the socket on standard input, however that ends.
pub fn main(arguments: &[OsString]) -> ExitCode {
    // A terminal's Ctrl-C is for nanoflow alone; it decides what happens to the stages.
    let _ = nix::unistd::setsid();
    let _ = nix::sys::prctl::set_child_subreaper(true);
    // What a stage makes must not depend on who runs it: a mask could take away an executable bit, which is content.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let flow = PathBuf::from(arguments.first().cloned().unwrap_or_default());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let roots = Roots::open(System::of_machine(&path, &flow));
    let (Ok(socket), Ok(signals)) = (take_stdin(), child_signals()) else {
        return ExitCode::from(2);
    };
    let mut guards = HashSet::new();
    loop {
        let (asked, reaped) = {
            let mut files = [
                PollFd::new(socket.as_fd(), PollFlags::POLLIN),
                PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            ];
            let _ = poll(&mut files, PollTimeout::NONE);
            (
                files[0].any().unwrap_or(false),
                files[1].any().unwrap_or(false),
            )
        };
        if reaped {
            while let Ok(Some(_)) = signals.read_signal() {}
            reap(&mut guards);
        }
        if asked {
            match receive(&socket) {
                Ok(files) => match fork_guard(files) {
                    Some(Forked::Parent(guard)) => {
                        guards.insert(guard);
                    }
                    Some(Forked::Child(files)) => {
                        // Whoever holds the keeper's socket would hide the keeper's end from nanoflow.
                        drop((socket, signals));
                        super::guard::main(files, &roots);
                        return ExitCode::SUCCESS;
                    }
                    // nanoflow sees the end of the guard's socket.
                    None => {}
                },
                Err(_) => break,
            }
        }
    }
    // Guards see the same end and do the same; whoever is first does it.
    kill_running(&HashSet::new());
    ExitCode::SUCCESS
}

/// The socket on standard input, and nothing in its place.
fn take_stdin() -> std::io::Result<OwnedFd> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(socket)
}

enum Forked {
    Parent(Pid),
    Child([OwnedFd; 3]),
}

fn fork_guard(files: Vec<OwnedFd>) -> Option<Forked> {
    let files: [OwnedFd; 3] = files.try_into().ok()?;
    // SAFETY: the keeper has one thread, so the child may do all that its parent may.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => Some(Forked::Parent(child)),
        Ok(ForkResult::Child) => Some(Forked::Child(files)),
        Err(_) => None,
    }
}

/// Reaps guards. If one was killed, what it guarded is now below the keeper itself, and is killed.
fn reap(guards: &mut HashSet<Pid>) {
    let mut killed = false;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, 0)) => {
                guards.remove(&pid);
            }
            Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) => {
                killed |= guards.remove(&pid);
            }
            Ok(WaitStatus::StillAlive) | Err(_) => break,
            Ok(_) => {}
        }
    }
    if killed {
        kill_running(guards);
    }
}
