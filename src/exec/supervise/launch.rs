//! Starting a stage's process from its guard: a new process, set up, shut in, exec.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::unistd::Pid;

use super::super::sandbox::{confine, Mark, Roots};
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
    let child = borrow_into(&mut newborn)?;
    // With this end closed, the other hears of it if the child did not come to send anything.
    drop(newborn);
    let listener = ours
        .and_then(|ours| receive(&ours).ok())
        .and_then(|mut files| files.pop());
    Ok(Launched {
        pid: child,
        failure,
        listener,
    })
}

/// The child's stack. It is not touched, so it costs no memory, until the child needs it.
const STACK: usize = 256 << 10;

/// A child that borrows its parent's memory until it calls the program, while the parent waits, as `posix_spawn` does it:
/// copying the tables of that memory would take as long as all else. (`posix_spawn` itself can neither shut in nor ask for the
/// signal that a stage gets when its guard is killed.)
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

/// All that a child needs. What can be made ready before it lives is, as it borrows its parent's memory. Its descriptors are its own:
/// it must not close any of these, or its parent's stay open for ever.
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
            Ok(()) => match self.shut_in() {
                Ok(mark) => self.program.call(mark),
                Err(error) => error,
            },
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

    /// Gives the mark with which the program is to be called then.
    fn shut_in(&self) -> Result<Mark, String> {
        let told = |error: std::io::Error| {
            format!("the sandbox cannot be set up: {error}; 'sandbox: off' runs it without")
        };
        let Some(wants) = &self.order.confine else {
            return Ok(Mark::default());
        };
        let mark = Mark::new().map_err(told)?;
        let file = confine(wants, self.roots, mark).map_err(told)?;
        let files: Vec<_> = file.iter().map(AsFd::as_fd).collect();
        if let Some(listener) = &self.listener {
            let _ = send(listener, &files);
        }
        Ok(mark)
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
    fn call(&self, mark: Mark) -> String {
        let error = execve(&self.file, &self.argv, &self.env, mark);
        if error.raw_os_error() != Some(libc::ENOEXEC) {
            return error.to_string();
        }
        // A script without a first line that names its interpreter is the shell's.
        let shell = [c"/bin/sh".to_owned(), self.file.clone()];
        let words = self.argv.iter().skip(1).cloned();
        let argv: Vec<CString> = shell.into_iter().chain(words).collect();
        execve(c"/bin/sh", &argv, &self.env, mark).to_string()
    }
}

/// Calls a program, with the mark that lets this one call through the filter. Gives only why it did not work.
fn execve(file: &CStr, argv: &[CString], env: &[CString], mark: Mark) -> std::io::Error {
    let pointers = |words: &[CString]| -> Vec<*const libc::c_char> {
        let words = words.iter().map(|word| word.as_ptr());
        words.chain([std::ptr::null()]).collect()
    };
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: words and variables are lists of pointers to live texts that end with a null pointer. The kernel reads three
    // arguments; the mark behind them is for the filter.
    unsafe {
        libc::syscall(
            libc::SYS_execve,
            file.as_ptr(),
            argv.as_ptr(),
            env.as_ptr(),
            mark.0[0],
            mark.0[1],
        );
    }
    std::io::Error::last_os_error()
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
