//! Scratch files that a program makes in `/tmp` by that name, as the C library's `tmpfile` does whatever `TMPDIR` says: the guard
//! makes them in the stage's own `TMPDIR` and hands them over open.
//!
//! Only files that the stage newly makes are its own: those without a name (`O_TMPFILE`) and those that must not be there yet
//! (`O_CREAT` with `O_EXCL`). It may open, ask about and remove them by the name that it gave them. What others keep there
//! stays out of reach, and a fixed name there, by which stages could speak with each other, is refused.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::libc;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::caller::Caller;
use super::calls::{At, Use};
use super::judge::{Judge, Verdict};
use super::look;
use super::watch::{place_of, Answer};
use super::Access;

/// Where the C library makes such files (`P_tmpdir`).
const SHARED: &str = "/tmp";

pub struct Scratch {
    /// The stage's `TMPDIR`. Held open: the stage may put something else in its place.
    folder: OwnedFd,
    shared: PathBuf,
    /// What the stage made, by the name that it knows.
    names: HashSet<PathBuf>,
    /// Make them in `folder`; otherwise where the stage says.
    redirects: bool,
}

/// How a file is to be opened.
struct Opening {
    path: PathBuf,
    flags: OFlags,
    mode: Mode,
}

impl Opening {
    /// Nothing if the call opens no path, or cannot be about a scratch file: most calls are not, and the path is not read then.
    fn of(caller: &Caller, used: Use, has_names: bool) -> Option<Opening> {
        let (at, path, flags, mode) = match used {
            Use::Open { at, path, flags } => (
                at,
                path,
                caller.arguments[flags],
                *caller.arguments.get(flags + 1)?,
            ),
            Use::OpenHow { at, path, how } => {
                (at, path, caller.number(how, 0)?, caller.number(how, 1)?)
            }
            _ => return None,
        };
        // The kernel looks at the lower halves of these arguments alone.
        let flags = OFlags::from_bits_retain(flags as u32);
        if !has_names && !nameless(flags) && !new_only(flags) {
            return None;
        }
        Some(Opening {
            path: caller.path(at, path)?,
            flags,
            mode: Mode::from_raw_mode(mode as u32 & 0o7777),
        })
    }
}

fn nameless(flags: OFlags) -> bool {
    flags.contains(OFlags::TMPFILE)
}

/// The file must not be there yet.
fn new_only(flags: OFlags) -> bool {
    flags.contains(OFlags::CREATE | OFlags::EXCL)
}

impl Scratch {
    /// `None` if there is no such folder, or no `/tmp`. With `redirects` files go to `folder`, else they are only known.
    pub fn open(folder: &Path, redirects: bool) -> Option<Scratch> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Some(Scratch {
            folder: rustix::fs::open(folder, flags, Mode::empty()).ok()?,
            shared: Path::new(SHARED).canonicalize().ok()?,
            names: HashSet::new(),
            redirects,
        })
    }

    /// The answer to a call about a scratch file; `None` if it is about something else.
    pub fn answer(
        &mut self,
        call: &libc::seccomp_notif,
        caller: &Caller,
        used: Use,
        judge: &Judge,
    ) -> Option<Answer> {
        if let Some(opening) = Opening::of(caller, used, !self.names.is_empty()) {
            return self.open_for(&opening, call.id, judge);
        }
        if self.names.is_empty() {
            return None;
        }
        match used {
            Use::Look { at, path } => {
                let own = self.own(&caller.path(at, path)?)?;
                Some(match self.redirects {
                    true => look::at(&self.folder, name_of(&own), call, caller),
                    false => Answer::Continue,
                })
            }
            Use::Remove { at, path } => {
                let own = self.own(&caller.path(at, path)?)?;
                Some(match self.redirects {
                    true => self.remove(&own),
                    false => Answer::Continue,
                })
            }
            Use::Rename { first, second } => [first, second]
                .into_iter()
                .find_map(|(at, path)| self.refused(Access::Write, caller.path(at, path))),
            Use::Length { path } => self.refused(Access::Write, caller.path(At::Cwd, path)),
            Use::Make { at, path } => self.refused(Access::Write, caller.path(at, path)),
            Use::Change { at, path, .. } => self.refused(Access::Change, caller.path(at, path)),
            Use::Execute { at, path } => self.refused(Access::Execute, caller.path(at, path)),
            _ => None,
        }
    }

    /// What is not done to a scratch file by its name.
    fn refused(&self, access: Access, path: Option<PathBuf>) -> Option<Answer> {
        let own = self.own(&path?).filter(|_| self.redirects)?;
        Some(Answer::Refuse(access, own))
    }

    /// The name under which a file is known, if it is the stage's.
    fn own(&self, path: &Path) -> Option<PathBuf> {
        place_of(path).filter(|place| self.names.contains(place))
    }

    fn open_for(&mut self, opening: &Opening, id: u64, judge: &Judge) -> Option<Answer> {
        let refused =
            |path: &Path| matches!(judge.judge(Access::Write, path), Verdict::Refuse { .. });
        if nameless(opening.flags) {
            let folder = opening.path.canonicalize().ok()?;
            if folder != self.shared || !refused(&folder) {
                return None;
            }
            return Some(match self.redirects {
                true => Answer::of(self.nameless(opening, id), opening.flags),
                false => Answer::Continue,
            });
        }
        let place = place_of(&opening.path)?;
        let own = self.names.contains(&place);
        let made_here = new_only(opening.flags) && place.parent() == Some(&self.shared);
        let makes = made_here && refused(&place);
        if !own && !makes {
            return None;
        }
        if !self.redirects {
            if !own && place.symlink_metadata().is_err() {
                self.names.insert(place);
                return Some(Answer::Continue);
            }
            return own.then_some(Answer::Continue);
        }
        let opened = self.named(name_of(&place), opening);
        if opened.is_ok() {
            self.names.insert(place);
        }
        Some(Answer::of(opened, opening.flags))
    }

    /// A file that goes with the last who has it open.
    fn nameless(&self, opening: &Opening, id: u64) -> Result<OwnedFd, Errno> {
        let made = rustix::fs::openat(
            &self.folder,
            ".",
            opening.flags | OFlags::CLOEXEC,
            opening.mode,
        );
        if !matches!(made, Err(Errno::OPNOTSUPP | Errno::ISDIR)) {
            return made;
        }
        // The file system has no such files.
        let name = format!(".scratch-{id:x}");
        let flags = opening.flags.difference(OFlags::TMPFILE) | OFlags::CREATE | OFlags::EXCL;
        let made = rustix::fs::openat(
            &self.folder,
            name.as_str(),
            flags | OFlags::CLOEXEC,
            opening.mode,
        )?;
        rustix::fs::unlinkat(&self.folder, name.as_str(), AtFlags::empty())?;
        Ok(made)
    }

    /// A file of this name. The guard is not shut in as its stage is: it follows no link that lies there, and waits for nothing.
    fn named(&self, name: &OsStr, opening: &Opening) -> Result<OwnedFd, Errno> {
        let careful = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let flags = opening.flags | careful;
        let file = rustix::fs::openat(&self.folder, name, flags, opening.mode)?;
        let found = rustix::fs::fstat(&file)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => {}
            _ => return Err(Errno::ACCESS),
        }
        if !opening.flags.intersects(OFlags::NONBLOCK | OFlags::PATH) {
            let set = rustix::fs::fcntl_getfl(&file)?;
            rustix::fs::fcntl_setfl(&file, set.difference(OFlags::NONBLOCK))?;
        }
        Ok(file)
    }

    fn remove(&mut self, own: &Path) -> Answer {
        match rustix::fs::unlinkat(&self.folder, name_of(own), AtFlags::empty()) {
            Ok(()) => {
                self.names.remove(own);
                Answer::Done
            }
            Err(error) => Answer::Error(error.raw_os_error()),
        }
    }
}

impl Answer {
    fn of(opened: Result<OwnedFd, Errno>, flags: OFlags) -> Answer {
        match opened {
            Ok(file) => Answer::Give {
                file,
                close_on_exec: flags.contains(OFlags::CLOEXEC),
            },
            Err(error) => Answer::Error(error.raw_os_error()),
        }
    }
}

fn name_of(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}
