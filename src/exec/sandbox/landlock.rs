//! The three system calls of Landlock (`landlock(7)`), and which rights which version of it knows.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::libc;

pub const EXECUTE: u64 = 1 << 0;
pub const WRITE_FILE: u64 = 1 << 1;
pub const READ_FILE: u64 = 1 << 2;
pub const READ_DIR: u64 = 1 << 3;
const MAKE_CHAR: u64 = 1 << 6;
const MAKE_BLOCK: u64 = 1 << 11;
pub const TRUNCATE: u64 = 1 << 14;
pub const IOCTL_DEV: u64 = 1 << 15;
/// Connecting to and listening on TCP ports.
const TCP: u64 = 0b11;
/// Abstract sockets and signals of processes outside.
const SCOPES: u64 = 0b11;

/// `struct landlock_ruleset_attr`.
#[repr(C)]
struct RulesetAttributes {
    files: u64,
    network: u64,
    scopes: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    rights: u64,
    parent: i32,
}

/// The version that the kernel has; 0 if it has none or it is switched off.
pub fn version() -> u32 {
    // SAFETY: with these arguments the call reads no memory; it only returns a number.
    let found = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<RulesetAttributes>(),
            0usize,
            1u32,
        )
    };
    u32::try_from(found).unwrap_or(0)
}

/// Rights on files that a version knows.
fn known(version: u32) -> u64 {
    match version {
        0 => 0,
        1 => (1 << 13) - 1,
        2 => (1 << 14) - 1,
        3 | 4 => (1 << 15) - 1,
        _ => (1 << 16) - 1,
    }
}

/// Rules in the making. Everything that no rule allows is refused.
pub struct Ruleset {
    file: OwnedFd,
    known: u64,
}

impl Ruleset {
    /// # Errors
    /// The kernel refuses; with a known version only for want of memory or descriptors.
    pub fn new(version: u32, network: bool) -> std::io::Result<Ruleset> {
        let attributes = RulesetAttributes {
            files: known(version),
            network: if version >= 4 && !network { TCP } else { 0 },
            scopes: if version >= 6 { SCOPES } else { 0 },
        };
        let size = match version {
            0..=3 => 8,
            4 | 5 => 16,
            _ => std::mem::size_of::<RulesetAttributes>(),
        };
        // SAFETY: the pointer is to a live structure of at least `size` bytes, which the kernel only reads.
        let made = unsafe {
            libc::syscall(
                libc::SYS_landlock_create_ruleset,
                &raw const attributes,
                size,
                0u32,
            )
        };
        let Ok(file) = i32::try_from(made) else {
            return Err(std::io::Error::last_os_error());
        };
        if file < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(Ruleset {
            // SAFETY: the kernel just made this descriptor and nothing else owns it.
            file: unsafe { OwnedFd::from_raw_fd(file) },
            known: known(version),
        })
    }

    /// Allows `rights` on a file, or on everything below a folder.
    ///
    /// # Errors
    /// The kernel refuses the rule.
    pub fn allow(&self, path: BorrowedFd<'_>, is_folder: bool, rights: u64) -> std::io::Result<()> {
        let on_files = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;
        let rights = rights & self.known & if is_folder { u64::MAX } else { on_files };
        let rule = PathBeneath {
            rights,
            parent: path.as_raw_fd(),
        };
        // SAFETY: the pointer is to a live structure of the rule's type (1, path beneath), which the kernel only reads.
        let added = unsafe {
            libc::syscall(
                libc::SYS_landlock_add_rule,
                self.file.as_raw_fd(),
                1u32,
                &raw const rule,
                0u32,
            )
        };
        match added {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    }

    /// Puts this thread and all that it starts under the rules, for ever.
    ///
    /// # Errors
    /// The thread could still gain rights by running a set-user-id program, or there are too many layers.
    pub fn restrict(self) -> std::io::Result<()> {
        // SAFETY: the call takes a descriptor that is alive and no memory.
        let done = unsafe {
            libc::syscall(
                libc::SYS_landlock_restrict_self,
                self.file.as_raw_fd(),
                0u32,
            )
        };
        match done {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    }
}

/// Everything but making devices.
pub const ALL: u64 = !(MAKE_CHAR | MAKE_BLOCK);
