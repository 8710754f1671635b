//! Shutting a process in, between fork and exec.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::filter::{self, Mark};
use super::judge::{topmost, Readable};
use super::landlock::{self, Ruleset};
use super::system::System;
use super::Confine;

/// What every stage may reach, opened once for all stages of a run.
pub struct Roots {
    /// For the judges of all stages.
    pub readable: Readable,
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

    fn all(paths: &[PathBuf]) -> Vec<Root> {
        paths.iter().filter_map(|path| Root::open(path)).collect()
    }
}

impl Roots {
    pub fn open(system: &System) -> Roots {
        let read = system.read.iter();
        let read = topmost(read.filter_map(|path| path.canonicalize().ok()).collect());
        Roots {
            read: Root::all(&read),
            devices: Root::all(&system.devices),
            readable: Readable::new(system),
            landlock: landlock::version(),
        }
    }
}

/// Shuts this process in but for the marked `execve`. Gives the descriptor on which its system calls are to be judged, if the kernel
/// has that. From there on this process may make no call that is judged: its guard does not listen yet.
///
/// # Errors
/// The kernel refuses; the stage must not be started then.
pub fn confine(wants: &Confine, roots: &Roots, mark: Mark) -> std::io::Result<Option<OwnedFd>> {
    nix::sys::prctl::set_no_new_privs()?;
    if wants.enforce {
        drop_capabilities()?;
    }
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
    filter::install(wants, mark)
}

/// What root keeps: to own files and to change who it is. The rest (mounting, devices, modules, raw sockets, tracing) would lead
/// around the walls. Other users have hardly any of them. What is given up does not come back with another program, as the process
/// may gain no privileges any more.
fn drop_capabilities() -> std::io::Result<()> {
    let kept = CapabilitySet::CHOWN
        | CapabilitySet::DAC_OVERRIDE
        | CapabilitySet::FOWNER
        | CapabilitySet::FSETID
        | CapabilitySet::KILL
        | CapabilitySet::SETGID
        | CapabilitySet::SETUID
        | CapabilitySet::SETPCAP;
    let had = rustix::thread::capabilities(None)?;
    let left = CapabilitySets {
        effective: had.effective & kept,
        permitted: had.permitted & kept,
        inheritable: had.inheritable & kept,
    };
    if left != had {
        rustix::thread::set_capabilities(None, left)?;
    }
    Ok(())
}
