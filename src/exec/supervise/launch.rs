//! Starting a stage's process from its guard: a new process, set up, shut in, exec.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
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

/// Starts the process.
///
/// # Errors
/// There is no such program, or the kernel has no room for another process or descriptor.
pub fn launch(order: &Order, outputs: [OwnedFd; 2], roots: &Roots) -> std::io::Result<Launched> {
    let (failure, tell) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let (ours, theirs) = match order.confine {
        Some(_) => pair().map(|(ours, theirs)| (Some(ours), Some(theirs)))?,
        None => (None, None),
    };
    let mut newborn = Newborn {
        program: Program::of(order)?,
        order,
        outputs,
        roots,
        guard: Pid::this(),
        nothing: File::open("/dev/null")?,
        listener: theirs,
        tell: tell.into(),
    };
    let child = match order.confine {
        Some(_) => fork_into(newborn)?,
        None => {
            let child = borrow_into(&mut newborn)?;
            drop(newborn);
            child
        }
    };
    let listener = ours
        .and_then(|ours| receive(&ours).ok())
        .and_then(|mut files| files.pop());
    Ok(Launched {
        pid: child,
        failure,
        listener,
    })
}

/// A child of its own: once it is shut in, its guard must be able to judge its call of the program.
fn fork_into(mut newborn: Newborn<'_>) -> std::io::Result<Pid> {
    // SAFETY: the guard has one thread, so the child may do all that its parent may.
    match unsafe { fork()? } {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            newborn.live();
            // SAFETY: ends the process; nothing of the guard's that was copied is run.
            unsafe { libc::_exit(127) }
        }
    }
}

/// The child's stack. It is not touched, so it costs no memory, until the child needs it.
const STACK: usize = 256 << 10;

/// A child that borrows its parent's memory until it calls the program, while the parent waits, as `posix_spawn` does it:
/// copying the tables of that memory would take as long as all else. (`posix_spawn` itself cannot ask for the signal that a stage
/// gets when its guard is killed.)
fn borrow_into(newborn: &mut Newborn<'_>) -> std::io::Result<Pid> {
    extern "C" fn live(newborn: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the pointer is to what `borrow_into` borrowed, and it waits.
        let newborn = unsafe { &mut *newborn.cast::<Newborn<'_>>() };
        newborn.live();
        127
    }
    let mut stack: Vec<std::mem::MaybeUninit<u128>> = Vec::with_capacity(STACK / 16);
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack lies in its memory and is aligned to 16 bytes; it and `newborn` live until the call returns, which is
    // after the child has called its program or ended. There is no other thread, and the parent does nothing meanwhile.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(STACK / 16).cast();
        libc::clone(live, top, flags, std::ptr::from_mut(newborn).cast())
    };
    Ok(Pid::from_raw(Errno::result(pid)?))
}

/// All that a child needs. What can be made ready before it lives is, as it may borrow its parent's memory.
struct Newborn<'a> {
    program: Program,
    order: &'a Order,
    outputs: [OwnedFd; 2],
    roots: &'a Roots,
    guard: Pid,
    nothing: File,
    listener: Option<OwnedFd>,
    tell: File,
}

impl Newborn<'_> {
    /// Becomes the stage. If this returns, that came to nothing, and why has been told.
    fn live(&mut self) {
        let error = match self.prepare() {
            Ok(()) => self.shut_in().err().unwrap_or_else(|| self.program.call()),
            Err(error) => error.to_string(),
        };
        let _ = self.tell.write_all(error.as_bytes());
    }

    fn prepare(&self) -> std::io::Result<()> {
        // The kernel kills the stage should its guard itself be killed.
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        if nix::unistd::getppid() != self.guard {
            return Err(std::io::Error::other("its guard was killed"));
        }
        nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
        // SAFETY: sets back what Rust's start of a program changed; no handler is involved.
        unsafe {
            nix::sys::signal::signal(Signal::SIGPIPE, nix::sys::signal::SigHandler::SigDfl)?;
        }
        rustix::stdio::dup2_stdin(&self.nothing)?;
        rustix::stdio::dup2_stdout(&self.outputs[0])?;
        rustix::stdio::dup2_stderr(&self.outputs[1])?;
        std::env::set_current_dir(&self.order.dir)
    }

    fn shut_in(&mut self) -> Result<(), String> {
        let Some(wants) = &self.order.confine else {
            return Ok(());
        };
        let file = confine(wants, self.roots).map_err(|error| {
            format!("the sandbox cannot be set up: {error}; 'sandbox: off' runs it without")
        })?;
        let files: Vec<_> = file.iter().map(AsFd::as_fd).collect();
        if let Some(listener) = self.listener.take() {
            let _ = send(&listener, &files);
        }
        Ok(())
    }
}

/// A program with its words and variables, as the kernel takes them.
struct Program {
    file: CString,
    argv: Vec<CString>,
    env: Vec<CString>,
}

impl Program {
    /// # Errors
    /// There is none of that name.
    fn of(order: &Order) -> std::io::Result<Program> {
        let name = order.argv.first();
        let name = name.map(OsString::as_os_str).unwrap_or_default();
        let file = find(name, order).ok_or(Errno::ENOENT)?;
        let word = |word: &OsStr| CString::new(word.as_bytes()).unwrap_or_default();
        let variable = |(name, value): &(OsString, OsString)| {
            let mut whole = name.clone();
            whole.push("=");
            whole.push(value);
            word(&whole)
        };
        Ok(Program {
            file: word(file.as_os_str()),
            argv: order.argv.iter().map(|argument| word(argument)).collect(),
            env: order.env.iter().map(variable).collect(),
        })
    }

    /// Gives only why it did not work.
    fn call(&self) -> String {
        let Err(error) = nix::unistd::execve(&self.file, &self.argv, &self.env);
        if error == Errno::ENOEXEC {
            // A script without a first line that names its interpreter is the shell's.
            let shell = [c"/bin/sh".to_owned(), self.file.clone()];
            let words = self.argv.iter().skip(1).cloned();
            let argv: Vec<CString> = shell.into_iter().chain(words).collect();
            let Err(error) = nix::unistd::execve(c"/bin/sh", &argv, &self.env);
            return std::io::Error::from(error).to_string();
        }
        std::io::Error::from(error).to_string()
    }
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
        // Relative ones are seen from where the program will be.
        .map(|folder| order.dir.join(folder).join(word))
        .find(|file| runs(file))
}
