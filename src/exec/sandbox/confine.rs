//! Shutting a process in, between fork and exec.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::libc;
use rustix::fs::{Mode, OFlags};

use super::landlock::{self, Ruleset};
use super::system::System;
use super::{filter, Confine};

/// What every stage may reach, opened once for all stages of a run.
pub struct Roots {
    pub system: System,
    read: Vec<Root>,
    devices: Vec<Root>,
    landlock: u32,
}

struct Root {
    file: OwnedFd,
    is_folder: bool,
}

impl Root {
    /// `None` if it is gone; then nothing needs to be allowed.
    fn open(path: &Path) -> Option<Root> {
        let file = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let found = rustix::fs::fstat(&file).ok()?;
        let is_folder = rustix::fs::FileType::from_raw_mode(found.st_mode).is_dir();
        Some(Root { file, is_folder })
    }

    fn all(paths: &[std::path::PathBuf]) -> Vec<Root> {
        paths.iter().filter_map(|path| Root::open(path)).collect()
    }
}

impl Roots {
    pub fn open(system: System) -> Roots {
        Roots {
            read: Root::all(&system.read),
            devices: Root::all(&system.devices),
            system,
            landlock: landlock::version(),
        }
    }
}

/// Shuts this process in. Gives the descriptor on which its system calls are to be judged, if the kernel has that.
///
/// # Errors
/// The kernel refuses; the stage must not be started then.
pub fn confine(wants: &Confine, roots: &Roots) -> std::io::Result<Option<OwnedFd>> {
    if wants.enforce {
        drop_capabilities();
    }
    nix::sys::prctl::set_no_new_privs()?;
    if wants.enforce && roots.landlock > 0 {
        let rules = Ruleset::new(roots.landlock, wants.network)?;
        let readable = landlock::EXECUTE | landlock::READ_FILE | landlock::READ_DIR;
        let given = Root::all(&wants.read);
        for root in roots.read.iter().chain(&given) {
            rules.allow(root.file.as_fd(), root.is_folder, readable)?;
        }
        for root in roots.devices.iter().chain(&Root::all(&wants.write)) {
            rules.allow(root.file.as_fd(), root.is_folder, landlock::ALL)?;
        }
        rules.restrict()?;
    }
    filter::install(wants)
}

/// What root keeps: to own files and to change who it is. The rest (mounting, devices, modules, raw sockets, tracing) would lead
/// around the walls. Other users have none of them.
fn drop_capabilities() {
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP: numbers of linux/capability.h.
    const KEPT: [u64; 8] = [0, 1, 3, 4, 5, 6, 7, 8];
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    for capability in (0..64u64).filter(|capability| !KEPT.contains(capability)) {
        // SAFETY: the call takes numbers only. It fails for numbers that the kernel does not know, which is fine.
        unsafe {
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
    }
}
