//! The keeper: forks guards, one for each stage that runs at a time, and ends what a killed guard left.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::{fork, ForkResult, Pid};

use super::super::sandbox::{Roots, System};
use super::child_signals;
use super::fds::{pair, receive, send};
use super::order::Order;
use super::processes::kill_running;

/// nanoflow's end: starts the keeper when the first stage starts, and has as many guards as stages run at a time.
pub struct Keeper {
    flow: PathBuf,
    path: OsString,
    running: Mutex<Option<Running>>,
    /// Guards that have no stage.
    idle: Mutex<Vec<UnixStream>>,
}

struct Running {
    socket: OwnedFd,
    process: Child,
}

/// How long the keeper may take to end what a killed guard left.
const LAST_WAIT_MS: u16 = 1000;

impl Keeper {
    /// `path` is the stages' `PATH`.
    pub fn new(flow: &Path, path: &std::ffi::OsStr) -> Keeper {
        Keeper {
            flow: flow.to_path_buf(),
            path: path.to_os_string(),
            running: Mutex::new(None),
            idle: Mutex::default(),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<UnixStream>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a guard start a stage whose outputs go to these two; gives the socket to the guard.
    ///
    /// # Errors
    /// No process can be started.
    pub fn launch(&self, order: &Order, outputs: [OwnedFd; 2]) -> std::io::Result<UnixStream> {
        let files = outputs.each_ref().map(AsFd::as_fd);
        let bytes = order.to_bytes();
        let hand = |guard: &mut UnixStream| -> std::io::Result<()> {
            send(&*guard, &files)?;
            guard.write_all(&bytes)
        };
        // One that went away together with its keeper takes nothing.
        while let Some(mut guard) = { self.idle().pop() } {
            if hand(&mut guard).is_ok() {
                return Ok(guard);
            }
        }
        let (mut ours, theirs) = UnixStream::pair()?;
        self.fork_guard(&theirs.into())?;
        // If it is gone already, that shows as the end of its socket.
        let _ = hand(&mut ours);
        Ok(ours)
    }

    /// Takes back a guard whose stage has ended.
    pub fn give_back(&self, guard: UnixStream) {
        self.idle().push(guard);
    }

    fn fork_guard(&self, socket: &OwnedFd) -> std::io::Result<()> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keeper) = running.as_ref() {
            if send(&keeper.socket, &[socket.as_fd()]).is_ok() {
                return Ok(());
            }
        }
        let keeper = self.start()?;
        send(&keeper.socket, &[socket.as_fd()])?;
        *running = Some(keeper);
        Ok(())
    }

    /// Ends guards and keeper; the next stage has new ones.
    pub fn finish(&self) {
        self.idle().clear();
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Running {
            socket,
            mut process,
        }) = running.take()
        else {
            return;
        };
        let _ = rustix::net::shutdown(&socket, rustix::net::Shutdown::Write);
        let mut files = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut files, PollTimeout::from(LAST_WAIT_MS));
        if files[0].any().unwrap_or(false) {
            let _ = process.wait();
        }
    }

    fn start(&self) -> std::io::Result<Running> {
        let (ours, theirs) = pair()?;
        // The program of this very process, even if the file was replaced since. It does not bear nanoflow's name: what kills
        // nanoflow by name must not kill what cleans up behind it.
        let process = Command::new("/proc/self/exe")
            .arg0("stage-keeper")
            .arg("__supervise")
            .arg(&self.flow)
            .env("PATH", &self.path)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Running {
            socket: ours,
            process,
        })
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
    let roots = Roots::open(&System::of_machine(&path, &flow));
    let (Ok(socket), Ok(signals)) = (take_stdin(), child_signals()) else {
        return ExitCode::from(2);
    };
    let own = Pid::this();
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
                    Some(Forked::Child(control)) => {
                        // Whoever holds the keeper's socket would hide the keeper's end from nanoflow.
                        drop((socket, signals));
                        super::guard::main(control, &roots, own);
                        return ExitCode::SUCCESS;
                    }
                    // nanoflow sees the end of the guard's socket.
                    None => {}
                },
                Err(_) => break,
            }
        }
    }
    // Guards see the same end and do the same; whoever is first does it. Those without a stage are gone at once.
    for _ in 0..IDLE_LOOKS {
        if nothing_is_below() {
            return ExitCode::SUCCESS;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    kill_running(&HashSet::new());
    ExitCode::SUCCESS
}

/// How often the keeper looks whether all guards have ended by themselves, before it kills what is left.
const IDLE_LOOKS: usize = 5;

/// Reaps what has ended. All that was ever started is below the keeper, so without a child there is nothing.
fn nothing_is_below() -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(nix::errno::Errno::ECHILD) => return true,
            Ok(WaitStatus::StillAlive) => return false,
            Ok(_) | Err(_) => {}
        }
    }
}

/// The socket on standard input, and nothing in its place.
fn take_stdin() -> std::io::Result<OwnedFd> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(socket)
}

enum Forked {
    Parent(Pid),
    Child(OwnedFd),
}

fn fork_guard(files: Vec<OwnedFd>) -> Option<Forked> {
    let [control]: [OwnedFd; 1] = files.try_into().ok()?;
    // SAFETY: the keeper has one thread, so the child may do all that its parent may.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => Some(Forked::Parent(child)),
        Ok(ForkResult::Child) => Some(Forked::Child(control)),
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
