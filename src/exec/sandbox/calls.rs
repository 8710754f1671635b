//! The system calls that the guard is asked about, and what they do with their arguments.

use nix::libc;

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

/// All of these calls, with their numbers.
pub fn all() -> impl Iterator<Item = (libc::c_long, Use)> {
    COMMON.iter().chain(OLDER).copied()
}
