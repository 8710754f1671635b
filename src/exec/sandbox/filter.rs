//! The seccomp filter: which system calls the guard is asked about.

use std::os::fd::{FromRawFd, OwnedFd};

use nix::libc;

use super::Confine;

/// What a system call does with its arguments; numbers are positions of arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Opens a path with flags.
    Open {
        at: At,
        path: usize,
        flags: usize,
    },
    /// `openat2`: the flags are in a structure.
    OpenHow {
        at: At,
        path: usize,
        how: usize,
    },
    Execute {
        at: At,
        path: usize,
    },
    /// Makes a name.
    Make {
        at: At,
        path: usize,
    },
    /// Removes a name.
    Remove {
        at: At,
        path: usize,
    },
    /// Gives something a second name, or another one.
    Rename {
        first: (At, usize),
        second: (At, usize),
    },
    /// Changes a file's length; makes it first if need be.
    Length {
        path: usize,
    },
    /// Changes mode, owner, times or attributes.
    Change {
        at: At,
        path: usize,
        follow: bool,
    },
    /// The same of an open file.
    ChangeOpen {
        file: usize,
    },
    Socket {
        domain: usize,
    },
    Connect {
        address: usize,
        length: usize,
    },
    /// Asks about a path.
    Look {
        at: At,
        path: usize,
    },
}

/// What a relative path is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Cwd,
    Folder(usize),
}

use At::{Cwd, Folder};

/// Calls of 64-bit Linux everywhere.
const COMMON: &[(libc::c_long, Use)] = &[
    (
        libc::SYS_openat,
        Use::Open {
            at: Folder(0),
            path: 1,
            flags: 2,
        },
    ),
    (
        libc::SYS_openat2,
        Use::OpenHow {
            at: Folder(0),
            path: 1,
            how: 2,
        },
    ),
    (libc::SYS_execve, Use::Execute { at: Cwd, path: 0 }),
    (
        libc::SYS_execveat,
        Use::Execute {
            at: Folder(0),
            path: 1,
        },
    ),
    (
        libc::SYS_mkdirat,
        Use::Make {
            at: Folder(0),
            path: 1,
        },
    ),
    (
        libc::SYS_mknodat,
        Use::Make {
            at: Folder(0),
            path: 1,
        },
    ),
    (
        libc::SYS_unlinkat,
        Use::Remove {
            at: Folder(0),
            path: 1,
        },
    ),
    (
        libc::SYS_symlinkat,
        Use::Make {
            at: Folder(1),
            path: 2,
        },
    ),
    (
        libc::SYS_linkat,
        Use::Rename {
            first: (Folder(0), 1),
            second: (Folder(2), 3),
        },
    ),
    (
        libc::SYS_renameat2,
        Use::Rename {
            first: (Folder(0), 1),
            second: (Folder(2), 3),
        },
    ),
    (libc::SYS_truncate, Use::Length { path: 0 }),
    (
        libc::SYS_fchmodat,
        Use::Change {
            at: Folder(0),
            path: 1,
            follow: true,
        },
    ),
    (
        FCHMODAT2,
        Use::Change {
            at: Folder(0),
            path: 1,
            follow: true,
        },
    ),
    (
        libc::SYS_fchownat,
        Use::Change {
            at: Folder(0),
            path: 1,
            follow: false,
        },
    ),
    (
        libc::SYS_utimensat,
        Use::Change {
            at: Folder(0),
            path: 1,
            follow: false,
        },
    ),
    (
        libc::SYS_setxattr,
        Use::Change {
            at: Cwd,
            path: 0,
            follow: true,
        },
    ),
    (
        libc::SYS_lsetxattr,
        Use::Change {
            at: Cwd,
            path: 0,
            follow: false,
        },
    ),
    (
        libc::SYS_removexattr,
        Use::Change {
            at: Cwd,
            path: 0,
            follow: true,
        },
    ),
    (
        libc::SYS_lremovexattr,
        Use::Change {
            at: Cwd,
            path: 0,
            follow: false,
        },
    ),
    (libc::SYS_fchmod, Use::ChangeOpen { file: 0 }),
    (libc::SYS_fchown, Use::ChangeOpen { file: 0 }),
    (libc::SYS_fsetxattr, Use::ChangeOpen { file: 0 }),
    (libc::SYS_fremovexattr, Use::ChangeOpen { file: 0 }),
    (libc::SYS_socket, Use::Socket { domain: 0 }),
    (
        libc::SYS_connect,
        Use::Connect {
            address: 1,
            length: 2,
        },
    ),
    (
        libc::SYS_newfstatat,
        Use::Look {
            at: Folder(0),
            path: 1,
        },
    ),
    (
        libc::SYS_statx,
        Use::Look {
            at: Folder(0),
            path: 1,
        },
    ),
    (
        libc::SYS_faccessat,
        Use::Look {
            at: Folder(0),
            path: 1,
        },
    ),
    (
        libc::SYS_faccessat2,
        Use::Look {
            at: Folder(0),
            path: 1,
        },
    ),
    (
        libc::SYS_readlinkat,
        Use::Look {
            at: Folder(0),
            path: 1,
        },
    ),
];

/// Same number on every architecture; not in every C library yet.
const FCHMODAT2: libc::c_long = 452;

/// Older calls that only some architectures have.
#[cfg(target_arch = "x86_64")]
const OLDER: &[(libc::c_long, Use)] = &[
    (
        libc::SYS_open,
        Use::Open {
            at: Cwd,
            path: 0,
            flags: 1,
        },
    ),
    (libc::SYS_creat, Use::Length { path: 0 }),
    (libc::SYS_mkdir, Use::Make { at: Cwd, path: 0 }),
    (libc::SYS_rmdir, Use::Remove { at: Cwd, path: 0 }),
    (libc::SYS_unlink, Use::Remove { at: Cwd, path: 0 }),
    (libc::SYS_mknod, Use::Make { at: Cwd, path: 0 }),
    (libc::SYS_symlink, Use::Make { at: Cwd, path: 1 }),
    (
        libc::SYS_link,
        Use::Rename {
            first: (Cwd, 0),
            second: (Cwd, 1),
        },
    ),
    (
        libc::SYS_rename,
        Use::Rename {
            first: (Cwd, 0),
            second: (Cwd, 1),
        },
    ),
    (
        libc::SYS_renameat,
        Use::Rename {
            first: (Folder(0), 1),
            second: (Folder(2), 3),
        },
    ),
    (
        libc::SYS_chmod,
        Use::Change {
            at: Cwd,
            path: 0,
            follow: true,
        },
    ),
    (
        libc::SYS_chown,
        Use::Change {
            at: Cwd,
            path: 0,
            follow: true,
        },
    ),
    (
        libc::SYS_lchown,
        Use::Change {
            at: Cwd,
            path: 0,
            follow: false,
        },
    ),
    (
        libc::SYS_utime,
        Use::Change {
            at: Cwd,
            path: 0,
            follow: true,
        },
    ),
    (
        libc::SYS_utimes,
        Use::Change {
            at: Cwd,
            path: 0,
            follow: true,
        },
    ),
    (
        libc::SYS_futimesat,
        Use::Change {
            at: Folder(0),
            path: 1,
            follow: true,
        },
    ),
    (libc::SYS_stat, Use::Look { at: Cwd, path: 0 }),
    (libc::SYS_lstat, Use::Look { at: Cwd, path: 0 }),
    (libc::SYS_access, Use::Look { at: Cwd, path: 0 }),
    (libc::SYS_readlink, Use::Look { at: Cwd, path: 0 }),
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[(libc::c_long, Use)] = &[];

/// What the call of this number does.
pub fn usage(number: libc::c_long) -> Option<Use> {
    COMMON
        .iter()
        .chain(OLDER)
        .find(|(known, _)| *known == number)
        .map(|(_, usage)| *usage)
}

/// `AUDIT_ARCH_…` of linux/audit.h.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: Option<u32> = Some(0xC000_003E);
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: Option<u32> = Some(0xC000_00B7);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCHITECTURE: Option<u32> = None;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
/// The lower half of an argument, on little-endian machines.
const fn argument(position: u32) -> u32 {
    16 + 8 * position
}

/// The filter as a program for the kernel's packet machine.
struct Program(Vec<libc::sock_filter>);

impl Program {
    fn push(&mut self, code: u32, k: u32, jump_true: u8, jump_false: u8) {
        self.0.push(libc::sock_filter {
            code: u16::try_from(code).unwrap_or(0),
            jt: jump_true,
            jf: jump_false,
            k,
        });
    }
    fn load(&mut self, offset: u32) {
        self.push(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0);
    }
    fn give(&mut self, result: u32) {
        self.push(libc::BPF_RET | libc::BPF_K, result, 0, 0);
    }
    /// If what was loaded is `value`, the `count` next instructions; else those after them.
    fn if_equal(&mut self, value: u32, count: u8) {
        self.push(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, 0, count);
    }
    fn if_any_bit(&mut self, bits: u32, count: u8) {
        self.push(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, bits, 0, count);
    }
}

/// Builds the filter. `judged` is what happens to a call that the guard judges.
fn program(
    wants: &Confine,
    architecture: u32,
    judged: u32,
    listens: bool,
) -> Vec<libc::sock_filter> {
    let (allow, refuse) = (libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_ERRNO);
    let mut made = Program(Vec::new());
    made.load(ARCHITECTURE_AT);
    made.if_equal(architecture, 1);
    made.push(libc::BPF_JMP | libc::BPF_JA, 1, 0, 0);
    // Programs of another word length are left to Landlock.
    made.give(allow);
    made.load(NUMBER);
    // The ring does files and sockets without system calls; programs fall back to those where it is missing.
    for number in [
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
    ] {
        made.if_equal(number_of(number), 1);
        made.give(refuse | libc::ENOSYS as u32);
    }
    if !wants.network {
        made.if_equal(number_of(libc::SYS_socket), 6);
        made.load(argument(0));
        made.if_equal(libc::AF_UNIX as u32, 1);
        made.give(allow);
        made.if_equal(libc::AF_NETLINK as u32, 1);
        made.give(allow);
        made.give(judged);
    }
    if listens {
        // `fstat` and its like name no path.
        for (number, flags) in [(libc::SYS_newfstatat, 3), (libc::SYS_statx, 2)] {
            made.if_equal(number_of(number), 4);
            made.load(argument(flags));
            made.if_any_bit(libc::AT_EMPTY_PATH as u32, 1);
            made.give(allow);
            made.load(NUMBER);
        }
        for (number, usage) in COMMON.iter().chain(OLDER) {
            if !matches!(usage, Use::Socket { .. }) {
                made.if_equal(number_of(*number), 1);
                made.give(judged);
            }
        }
    }
    made.give(allow);
    made.0
}

fn number_of(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

/// Puts this process under the filter. Gives the descriptor on which the guard is asked; `None` if the kernel has no such thing, or
/// someone else listens already: then the network alone is refused, without a word about it.
///
/// # Errors
/// The kernel refuses the filter.
pub fn install(wants: &Confine) -> std::io::Result<Option<OwnedFd>> {
    let Some(architecture) = ARCHITECTURE else {
        return Ok(None);
    };
    let asked = program(wants, architecture, libc::SECCOMP_RET_USER_NOTIF, true);
    match load(asked, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER) {
        Ok(file) if file >= 0 => {
            // SAFETY: the kernel just made this descriptor and nothing else owns it.
            return Ok(Some(unsafe { OwnedFd::from_raw_fd(file) }));
        }
        _ => {}
    }
    if wants.enforce && !wants.network {
        let refused = libc::SECCOMP_RET_ERRNO | libc::EACCES as u32;
        load(program(wants, architecture, refused, false), 0)?;
    }
    Ok(None)
}

fn load(mut program: Vec<libc::sock_filter>, flags: libc::c_ulong) -> std::io::Result<i32> {
    let whole = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap_or(0),
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the pointers are to a live program of the given length, which the kernel copies.
    let made = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const whole,
        )
    };
    match i32::try_from(made) {
        Ok(made) if made >= 0 => Ok(made),
        _ => Err(std::io::Error::last_os_error()),
    }
}
