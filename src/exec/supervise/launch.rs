//! Starting a stage's process from its guard: fork, set up, shut in, exec.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::unistd::{fork, ForkResult, Pid};

use super::super::sandbox::{confine, Roots};
use super::fds::{pair, receive, send};
use super::order::Order;

/// A started process.
pub struct Launched {
    pub pid: Pid,
    /// Closed when the program runs; else why it does not.
    pub failure: OwnedFd,
    /// Where its system calls are to be judged.
    pub listener: Option<OwnedFd>,
}

/// Forks the process.
///
/// # Errors
/// The kernel has no room for another process or descriptor.
pub fn launch(order: &Order, outputs: [OwnedFd; 2], roots: &Roots) -> std::io::Result<Launched> {
    let (failure, tell) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let (ours, theirs) = match order.confine {
        Some(_) => pair().map(|(ours, theirs)| (Some(ours), Some(theirs)))?,
        None => (None, None),
    };
    let guard = Pid::this();
    // SAFETY: the guard has one thread, so the child may do all that its parent may.
    match unsafe { fork()? } {
        ForkResult::Parent { child } => {
            drop((tell, theirs, outputs));
            let listener = ours
                .and_then(|ours| receive(&ours).ok())
                .and_then(|mut files| files.pop());
            Ok(Launched {
                pid: child,
                failure,
                listener,
            })
        }
        ForkResult::Child => {
            drop(ours);
            let error = become_stage(order, outputs, roots, guard, theirs);
            let _ = File::from(tell).write_all(error.as_bytes());
            // SAFETY: ends the process; nothing of the guard's that was copied is run.
            unsafe { nix::libc::_exit(127) }
        }
    }
}

/// Gives only why it did not work.
fn become_stage(
    order: &Order,
    outputs: [OwnedFd; 2],
    roots: &Roots,
    guard: Pid,
    listener: Option<OwnedFd>,
) -> String {
    let prepared = prepare(order, outputs, guard);
    let program = match prepared {
        Ok(program) => program,
        Err(error) => return error.to_string(),
    };
    if let Some(wants) = &order.confine {
        match confine(wants, roots) {
            Ok(file) => {
                let files: Vec<_> = file.iter().map(AsFd::as_fd).collect();
                let _ = listener.as_ref().map(|listener| send(listener, &files));
            }
            Err(error) => {
                return format!(
                    "the sandbox cannot be set up: {error}; 'sandbox: off' runs it without"
                )
            }
        }
    }
    drop(listener);
    execute(&program, order)
}

fn prepare(order: &Order, outputs: [OwnedFd; 2], guard: Pid) -> std::io::Result<PathBuf> {
    // The kernel kills the stage should its guard itself be killed.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    if nix::unistd::getppid() != guard {
        return Err(std::io::Error::other("its guard was killed"));
    }
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    // SAFETY: sets back what Rust's start of a program changed; no handler is involved.
    unsafe {
        nix::sys::signal::signal(Signal::SIGPIPE, nix::sys::signal::SigHandler::SigDfl)?;
    }
    let nothing = File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&outputs[0])?;
    rustix::stdio::dup2_stderr(&outputs[1])?;
    std::env::set_current_dir(&order.dir)?;
    let word = order
        .argv
        .first()
        .map(OsString::as_os_str)
        .unwrap_or_default();
    find(word, order).ok_or_else(|| Errno::ENOENT.into())
}

/// The program's file, as a shell finds it.
fn find(word: &OsStr, order: &Order) -> Option<PathBuf> {
    if word.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(word));
    }
    let (_, path) = order.env.iter().find(|(name, _)| name == "PATH")?;
    let runs = |file: &Path| {
        file.metadata()
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(path)
        .map(|folder| folder.join(word))
        .find(|file| runs(file))
}

fn execute(program: &Path, order: &Order) -> String {
    let word = |word: &OsStr| CString::new(word.as_bytes()).unwrap_or_default();
    let variable = |(name, value): &(OsString, OsString)| {
        let mut whole = name.clone();
        whole.push("=");
        whole.push(value);
        word(&whole)
    };
    let file = word(program.as_os_str());
    let argv: Vec<CString> = order.argv.iter().map(|argument| word(argument)).collect();
    let env: Vec<CString> = order.env.iter().map(variable).collect();
    let Err(error) = nix::unistd::execve(&file, &argv, &env);
    if error == Errno::ENOEXEC {
        // A script without a first line that names its interpreter is the shell's.
        let shell = [c"/bin/sh".to_owned(), file];
        let argv: Vec<CString> = shell.into_iter().chain(argv.into_iter().skip(1)).collect();
        let Err(error) = nix::unistd::execve(c"/bin/sh", &argv, &env);
        return std::io::Error::from(error).to_string();
    }
    std::io::Error::from(error).to_string()
}
