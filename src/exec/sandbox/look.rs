//! Answers what a program asks about a file that lies elsewhere than it thinks.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::libc;

use super::caller::Caller;
use super::watch::Answer;

/// Large enough for what the kernel writes of a file: `struct stat` is 144 bytes or less, `struct statx` 256.
const MOST: usize = 256;

/// Positions of arguments.
enum Asks {
    /// The memory for a `struct stat`.
    Stat(usize),
    /// The memory for a `struct statx`, and which fields are wanted.
    Statx(usize, usize),
    /// What is to be allowed.
    Access(usize),
    /// Where a link leads.
    Link,
}

fn asks(number: libc::c_long) -> Option<Asks> {
    #[cfg(target_arch = "x86_64")]
    match number {
        libc::SYS_stat | libc::SYS_lstat => return Some(Asks::Stat(1)),
        libc::SYS_access => return Some(Asks::Access(1)),
        libc::SYS_readlink => return Some(Asks::Link),
        _ => {}
    }
    match number {
        libc::SYS_newfstatat => Some(Asks::Stat(2)),
        libc::SYS_statx => Some(Asks::Statx(4, 3)),
        libc::SYS_faccessat | libc::SYS_faccessat2 => Some(Asks::Access(2)),
        libc::SYS_readlinkat => Some(Asks::Link),
        _ => None,
    }
}

/// Does the caller's call with the file `name` in `folder`.
pub fn at(folder: &OwnedFd, name: &OsStr, call: &libc::seccomp_notif, caller: &Caller) -> Answer {
    let Some(asks) = asks(libc::c_long::from(call.data.nr)) else {
        return Answer::Error(libc::ENOENT);
    };
    let Ok(name) = CString::new(name.as_bytes()) else {
        return Answer::Error(libc::ENOENT);
    };
    let (folder, name) = (folder.as_raw_fd(), name.as_ptr());
    let mut found = [0u8; MOST];
    let no_follow = libc::AT_SYMLINK_NOFOLLOW;
    let (done, length, memory) = match asks {
        // What kinds of files can be made there says that it is no link.
        Asks::Link => return Answer::Error(libc::EINVAL),
        Asks::Access(mode) => {
            let mode = caller.arguments[mode];
            // SAFETY: the name is a live C string, the folder an open descriptor.
            let done = unsafe { libc::syscall(libc::SYS_faccessat, folder, name, mode) };
            (done, 0, None)
        }
        Asks::Stat(memory) => {
            // SAFETY: as above; the memory is larger than what the kernel fills.
            let done = unsafe {
                libc::syscall(
                    libc::SYS_newfstatat,
                    folder,
                    name,
                    found.as_mut_ptr(),
                    no_follow,
                )
            };
            (done, std::mem::size_of::<libc::stat>(), Some(memory))
        }
        Asks::Statx(memory, fields) => {
            let fields = caller.arguments[fields];
            // SAFETY: as above.
            let done = unsafe {
                libc::syscall(
                    libc::SYS_statx,
                    folder,
                    name,
                    no_follow,
                    fields,
                    found.as_mut_ptr(),
                )
            };
            (done, MOST, Some(memory))
        }
    };
    if done != 0 {
        let error = std::io::Error::last_os_error().raw_os_error();
        return Answer::Error(error.unwrap_or(libc::EIO));
    }
    match memory {
        Some(memory) => Answer::Tell {
            position: memory,
            bytes: found[..length].to_vec(),
        },
        None => Answer::Done,
    }
}
