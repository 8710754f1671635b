//! The guard's side of the seccomp filter: reads what a waiting system call asks for, judges it, answers.
//!
//! What a call names is read from the memory of the calling thread, which waits. Another thread of the same program could change
//! it in between: a program that does so on purpose is held by Landlock alone.

use std::ffi::OsStr;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::uio::{process_vm_readv, RemoteIoVec};
use nix::unistd::Pid;

use super::filter::{usage, At, Use};
use super::judge::{Judge, Verdict};
use super::{Access, Reached};

/// Most different things that are kept of one stage, of those that count and of those in passing.
const MOST: usize = 100;

/// `SECCOMP_IOCTL_NOTIF_…` of linux/seccomp.h.
const RECEIVE: libc::c_ulong = 0xc050_2100;
const SEND: libc::c_ulong = 0xc018_2101;
const SET_FLAGS: libc::c_ulong = 0x4008_2104;
/// The caller is woken on the processor that answers it.
const WAKE_HERE: libc::c_ulong = 1;

pub struct Watch {
    listener: OwnedFd,
    judge: Judge,
    enforce: bool,
    reached: Vec<Reached>,
}

/// What the guard says to a call.
enum Answer {
    Continue,
    Error(i32),
}

impl Watch {
    pub fn new(listener: OwnedFd, judge: Judge, enforce: bool) -> Watch {
        // SAFETY: the call takes a number. Kernels before 6.6 do not know it; they only answer more slowly.
        unsafe {
            libc::ioctl(listener.as_raw_fd(), SET_FLAGS, WAKE_HERE);
        }
        Watch {
            listener,
            judge,
            enforce,
            reached: Vec::new(),
        }
    }

    pub fn file(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// What was reached for, in the order in which it was.
    pub fn into_reached(self) -> Vec<Reached> {
        self.reached
    }

    /// Answers one call. False when none of the stage's processes is left.
    pub fn answer(&mut self) -> bool {
        // SAFETY: all bits zero is a value of the structure, and the kernel wants it so.
        let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a live structure of the type that this request fills.
        if unsafe { libc::ioctl(self.listener.as_raw_fd(), RECEIVE, &raw mut call) } != 0 {
            let error = std::io::Error::last_os_error();
            // The caller was killed meanwhile.
            return matches!(
                error.raw_os_error(),
                Some(libc::ENOENT | libc::EINTR | libc::EAGAIN)
            );
        }
        let mut response = libc::seccomp_notif_resp {
            id: call.id,
            val: 0,
            error: 0,
            flags: 0,
        };
        match self.consider(&call) {
            Answer::Continue => response.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
            Answer::Error(number) => response.error = -number,
        }
        // SAFETY: the pointer is to a live structure of the type that this request reads. It fails if the caller is gone.
        unsafe {
            libc::ioctl(self.listener.as_raw_fd(), SEND, &raw mut response);
        }
        true
    }

    fn consider(&mut self, call: &libc::seccomp_notif) -> Answer {
        let Some(used) = usage(libc::c_long::from(call.data.nr)) else {
            return Answer::Continue;
        };
        let caller = Caller {
            pid: Pid::from_raw(i32::try_from(call.pid).unwrap_or(0)),
            arguments: call.data.args,
        };
        for (access, path) in self.asked(&caller, used) {
            match self.judge.judge(access, &path) {
                Verdict::Allow => {}
                Verdict::Hide if self.enforce => {
                    if path.symlink_metadata().is_ok() {
                        self.note(access, &path, true);
                    }
                    return Answer::Error(libc::ENOENT);
                }
                Verdict::Hide => {}
                Verdict::Refuse { in_passing } => {
                    self.note(access, &path, in_passing);
                    if self.enforce {
                        return Answer::Error(libc::EACCES);
                    }
                }
            }
        }
        Answer::Continue
    }

    fn note(&mut self, access: Access, path: &Path, in_passing: bool) {
        let reached = Reached {
            access,
            path: crate::store::show_path(path),
            in_passing,
        };
        let mut alike = self
            .reached
            .iter()
            .filter(|known| known.in_passing == in_passing);
        if alike.nth(MOST).is_none() && !self.reached.contains(&reached) {
            self.reached.push(reached);
        }
    }

    /// What a call wants to do to which real paths. Empty if the kernel will find an error by itself, such as a file that is
    /// not there.
    fn asked(&self, caller: &Caller, used: Use) -> Vec<(Access, PathBuf)> {
        let written = |at: At, path: usize| caller.path(at, path);
        let mut asked = Vec::new();
        let mut add = |access: Access, path: Option<PathBuf>| {
            asked.extend(path.map(|path| (access, path)));
        };
        match used {
            Use::Open { at, path, flags } => {
                let flags = caller.arguments[flags];
                if let Some(path) = written(at, path) {
                    add_open(&self.judge, &path, flags, &mut add);
                }
            }
            Use::OpenHow { at, path, how } => {
                let flags = caller.number(how).unwrap_or(0);
                if let Some(path) = written(at, path) {
                    add_open(&self.judge, &path, flags, &mut add);
                }
            }
            Use::Execute { at, path } => {
                if let Some(path) =
                    written(at, path).filter(|path| !self.judge.plainly_system(path))
                {
                    add(Access::Execute, real(&path, true));
                }
            }
            Use::Make { at, path } => {
                let place = written(at, path).filter(|path| path.symlink_metadata().is_err());
                add(Access::Write, place.and_then(|path| place_of(&path)));
            }
            Use::Remove { at, path } => {
                add(
                    Access::Write,
                    written(at, path).and_then(|path| real(&path, false)),
                );
            }
            Use::Rename { first, second } => {
                let old = written(first.0, first.1).and_then(|path| real(&path, false));
                if old.is_some() {
                    add(Access::Write, old);
                    add(
                        Access::Write,
                        written(second.0, second.1).and_then(|path| place_of(&path)),
                    );
                }
            }
            Use::Length { path } => {
                let path = written(At::Cwd, path);
                add(
                    Access::Write,
                    path.and_then(|path| real(&path, true).or_else(|| place_of(&path))),
                );
            }
            Use::Change {
                at: At::Folder(file),
                path,
                ..
            } if caller.arguments[path] == 0 => {
                add(Access::Change, caller.open_file(file));
            }
            Use::Change { at, path, follow } => {
                add(
                    Access::Change,
                    written(at, path).and_then(|path| real(&path, follow)),
                );
            }
            Use::ChangeOpen { file } => add(Access::Change, caller.open_file(file)),
            Use::Socket { domain } => {
                let kind = match i32::try_from(caller.arguments[domain]) {
                    Ok(libc::AF_INET) => "IPv4",
                    Ok(libc::AF_INET6) => "IPv6",
                    _ => "another kind",
                };
                add(Access::Network, Some(kind.into()));
            }
            Use::Connect { address, length } => {
                add(
                    Access::Connect,
                    caller
                        .socket(address, length)
                        .and_then(|path| real(&path, true)),
                );
            }
            Use::Look { at, path } => {
                let path = written(at, path).filter(|path| !self.judge.plainly_system(path));
                add(Access::Look, path.map(|path| plain(&path)));
            }
        }
        asked
    }
}

fn add_open(judge: &Judge, path: &Path, flags: u64, add: &mut impl FnMut(Access, Option<PathBuf>)) {
    let has = |flag: i32| flags & u64::try_from(flag).unwrap_or(0) != 0;
    if has(libc::O_PATH) {
        return;
    }
    let follow = !has(libc::O_NOFOLLOW);
    let writes = has(libc::O_WRONLY) || has(libc::O_RDWR) || has(libc::O_TRUNC);
    if !writes && !has(libc::O_CREAT) && judge.plainly_system(path) {
        return;
    }
    match real(path, follow) {
        Some(found) if writes => add(Access::Write, Some(found)),
        Some(found) if found.is_dir() => add(Access::List, Some(found)),
        Some(found) => add(Access::Read, Some(found)),
        None if has(libc::O_CREAT) => add(Access::Write, place_of(path)),
        None => {}
    }
}

/// The real path of something that is there.
fn real(path: &Path, follow: bool) -> Option<PathBuf> {
    if follow || path.file_name().is_none() {
        return path.canonicalize().ok();
    }
    let place = place_of(path)?;
    place.symlink_metadata().ok().map(|_| place)
}

/// Where a new name would be.
fn place_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?;
    Some(path.parent()?.canonicalize().ok()?.join(name))
}

/// Without `.` and `..`, by the words alone.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                plain.pop();
            }
            std::path::Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// The thread that waits in a system call.
struct Caller {
    pid: Pid,
    arguments: [u64; 6],
}

impl Caller {
    /// The absolute path that an argument names; `None` if it names none.
    fn path(&self, at: At, position: usize) -> Option<PathBuf> {
        let words = self.text(self.arguments[position])?;
        let written = Path::new(OsStr::from_bytes(&words));
        if words.is_empty() || written.is_absolute() {
            return (!words.is_empty()).then(|| self.seen_from_here(written));
        }
        let base = match at {
            At::Folder(position) if self.arguments[position] as i32 != libc::AT_FDCWD => {
                self.open_file(position)?
            }
            _ => std::fs::read_link(format!("/proc/{}/cwd", self.pid)).ok()?,
        };
        Some(base.join(written))
    }

    /// What a process calls itself and its open files, as another process names these.
    fn seen_from_here(&self, path: &Path) -> PathBuf {
        let own = PathBuf::from(format!("/proc/{}", self.pid));
        let replaced = [
            ("/proc/self", own.clone()),
            ("/proc/thread-self", own.clone()),
            ("/dev/fd", own.join("fd")),
            ("/dev/stdin", own.join("fd/0")),
            ("/dev/stdout", own.join("fd/1")),
            ("/dev/stderr", own.join("fd/2")),
        ];
        let found = replaced
            .iter()
            .find_map(|(name, real)| Some((path.strip_prefix(name).ok()?, real)));
        match found {
            Some((rest, real)) if rest.as_os_str().is_empty() => real.clone(),
            Some((rest, real)) => real.join(rest),
            None => path.to_path_buf(),
        }
    }

    /// The path of an open file; `None` for pipes, sockets and files that were removed.
    fn open_file(&self, position: usize) -> Option<PathBuf> {
        let number = self.arguments[position] as i32;
        let path = std::fs::read_link(format!("/proc/{}/fd/{number}", self.pid)).ok()?;
        (path.is_absolute() && !path.as_os_str().as_bytes().ends_with(b" (deleted)"))
            .then_some(path)
    }

    /// Bytes up to a NUL.
    fn text(&self, address: u64) -> Option<Vec<u8>> {
        const PAGE: usize = 4096;
        let mut found = Vec::new();
        let mut address = usize::try_from(address)
            .ok()
            .filter(|address| *address != 0)?;
        while found.len() <= libc::PATH_MAX as usize {
            // What lies in the next page may not be there.
            let mut chunk = [0u8; 256];
            let length = chunk.len().min(PAGE - address % PAGE);
            let read = self.read(address, &mut chunk[..length])?;
            let chunk = &chunk[..read];
            if let Some(end) = chunk.iter().position(|byte| *byte == 0) {
                found.extend_from_slice(&chunk[..end]);
                return Some(found);
            }
            found.extend_from_slice(chunk);
            address += read;
        }
        None
    }

    fn read(&self, address: usize, to: &mut [u8]) -> Option<usize> {
        let from = [RemoteIoVec {
            base: address,
            len: to.len(),
        }];
        let read = process_vm_readv(self.pid, &mut [IoSliceMut::new(to)], &from).ok()?;
        (read > 0).then_some(read)
    }

    /// The first number of the structure that an argument points to.
    fn number(&self, position: usize) -> Option<u64> {
        let mut bytes = [0u8; 8];
        let read = self.read(usize::try_from(self.arguments[position]).ok()?, &mut bytes)?;
        (read == bytes.len()).then(|| u64::from_ne_bytes(bytes))
    }

    /// The path of a local socket's address.
    fn socket(&self, address: usize, length: usize) -> Option<PathBuf> {
        let mut bytes = [0u8; 110];
        let length = usize::try_from(self.arguments[length])
            .ok()?
            .min(bytes.len());
        let read = self.read(
            usize::try_from(self.arguments[address]).ok()?,
            &mut bytes[..length],
        )?;
        let (family, path) = bytes[..read].split_at_checked(2)?;
        let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
        if i32::from(u16::from_ne_bytes([family[0], family[1]])) != libc::AF_UNIX || path.is_empty()
        {
            return None;
        }
        let written = Path::new(OsStr::from_bytes(path));
        if written.is_absolute() {
            return Some(written.to_path_buf());
        }
        let base = std::fs::read_link(format!("/proc/{}/cwd", self.pid)).ok()?;
        Some(base.join(written))
    }
}
