//! The guard's side of the seccomp filter: reads what a waiting system call asks for, judges it, answers.
//!
//! What a call names is read from the memory of the calling thread, which waits. Another thread of the same program could change
//! it in between: a program that does so on purpose is held by Landlock alone.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::libc;
use nix::unistd::Pid;
use rustix::fs::{openat2, Mode, OFlags, ResolveFlags, CWD};
use rustix::io::Errno;

use super::caller::Caller;
use super::calls::{usage, At, Use};
use super::judge::{Judge, Verdict};
use super::scratch::Scratch;
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
    scratch: Option<Scratch>,
    reached: Vec<Reached>,
}

/// How a file was handed over.
enum Given {
    Answered,
    /// The answer is still to be sent: the file's number.
    Number(i64),
}

/// What the guard says to a call.
pub enum Answer {
    /// The kernel does it.
    Continue,
    Error(i32),
    /// The guard did it.
    Done,
    /// The guard opened this in its place.
    Give {
        file: OwnedFd,
        close_on_exec: bool,
    },
    /// The guard found this out in its place; it goes where an argument points.
    Tell {
        position: usize,
        bytes: Vec<u8>,
    },
    /// Refused, and told.
    Refuse(Access, PathBuf),
}

impl Watch {
    /// `scratch` is for files that are made in everybody's temporary folder.
    pub fn new(listener: OwnedFd, judge: Judge, enforce: bool, scratch: Option<Scratch>) -> Watch {
        // SAFETY: the call takes a number. Kernels before 6.6 do not know it; they only answer more slowly.
        unsafe {
            libc::ioctl(listener.as_raw_fd(), SET_FLAGS, WAKE_HERE);
        }
        Watch {
            listener,
            judge,
            enforce,
            scratch,
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
        let caller = Caller {
            pid: Pid::from_raw(i32::try_from(call.pid).unwrap_or(0)),
            arguments: call.data.args,
        };
        let mut response = libc::seccomp_notif_resp {
            id: call.id,
            val: 0,
            error: 0,
            flags: 0,
        };
        match self.consider(&call, &caller) {
            Answer::Continue => response.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
            Answer::Error(number) => response.error = -number,
            Answer::Done => {}
            Answer::Give {
                file,
                close_on_exec,
            } => match self.give(call.id, &file, close_on_exec) {
                Ok(Given::Answered) => return true,
                Ok(Given::Number(number)) => response.val = number,
                Err(number) => response.error = -number,
            },
            Answer::Tell { position, bytes } => {
                // Memory of a thread that waits no longer may be another's.
                if !self.waits(call.id) {
                    return true;
                }
                if !caller.fill(position, &bytes) {
                    response.error = -libc::EFAULT;
                }
            }
            Answer::Refuse(access, path) => {
                self.note(access, &path, false);
                response.error = -libc::EACCES;
            }
        }
        // SAFETY: the pointer is to a live structure of the type that this request reads. It fails if the caller is gone.
        unsafe {
            libc::ioctl(self.listener.as_raw_fd(), SEND, &raw mut response);
        }
        true
    }

    /// Whether the call still waits for its answer.
    fn waits(&self, id: u64) -> bool {
        // SAFETY: the pointer is to a live number that this request reads.
        let found = unsafe {
            libc::ioctl(
                self.listener.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_ID_VALID,
                &raw const id,
            )
        };
        found == 0
    }

    /// Puts an open file into the caller and, where the kernel does both in one (from 5.14 on), answers with its number.
    fn give(&self, id: u64, file: &OwnedFd, close_on_exec: bool) -> Result<Given, i32> {
        let put = |flags: libc::c_ulong| {
            let wish = libc::seccomp_notif_addfd {
                id,
                flags: u32::try_from(flags).unwrap_or(0),
                srcfd: u32::try_from(file.as_raw_fd()).unwrap_or(u32::MAX),
                newfd: 0,
                newfd_flags: match close_on_exec {
                    true => libc::O_CLOEXEC as u32,
                    false => 0,
                },
            };
            // SAFETY: the pointer is to a live structure of the type that this request reads.
            let made = unsafe {
                libc::ioctl(
                    self.listener.as_raw_fd(),
                    libc::SECCOMP_IOCTL_NOTIF_ADDFD,
                    &raw const wish,
                )
            };
            match made {
                0.. => Ok(i64::from(made)),
                _ => Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)),
            }
        };
        match put(libc::SECCOMP_ADDFD_FLAG_SEND) {
            Ok(_) | Err(libc::ENOENT) => Ok(Given::Answered),
            Err(libc::EINVAL) => match put(0) {
                Ok(number) => Ok(Given::Number(number)),
                // Kernels before 5.9 hand no files over.
                Err(libc::EINVAL | libc::ENOTTY) => Err(libc::EACCES),
                Err(number) => Err(number),
            },
            Err(number) => Err(number),
        }
    }

    fn consider(&mut self, call: &libc::seccomp_notif, caller: &Caller) -> Answer {
        let Some(used) = usage(libc::c_long::from(call.data.nr)) else {
            return Answer::Continue;
        };
        let scratch = self.scratch.as_mut();
        let scratch = scratch.and_then(|files| files.answer(call, caller, used, &self.judge));
        if let Some(answer) = scratch {
            return answer;
        }
        for (access, path) in self.asked(caller, used) {
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
                let flags = caller.number(how, 0).unwrap_or(0);
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
        // There it may read and list alike.
        Some(found) if judge.owns(&found) => {}
        Some(found) if found.is_dir() => add(Access::List, Some(found)),
        Some(found) => add(Access::Read, Some(found)),
        None if has(libc::O_CREAT) => add(Access::Write, place_of(path)),
        None => {}
    }
}

/// The real path of something that is there.
fn real(path: &Path, follow: bool) -> Option<PathBuf> {
    let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    if path.components().all(plain) {
        // Most have no links on the way. One look at the whole path is less than one at each name in it.
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
            Ok(_) => return Some(path.components().collect()),
            Err(Errno::NOENT | Errno::NOTDIR) => return None,
            // A link, or a kernel before 5.6.
            Err(_) => {}
        }
    }
    if follow || path.file_name().is_none() {
        return path.canonicalize().ok();
    }
    let place = place_of(path)?;
    place.symlink_metadata().ok().map(|_| place)
}

/// Where a new name would be.
pub fn place_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?;
    Some(real(path.parent()?, true)?.join(name))
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
