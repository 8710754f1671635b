//! What a waiting system call names, read from the memory of the thread that made it.

use std::ffi::OsStr;
use std::io::{IoSlice, IoSliceMut};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::uio::{process_vm_readv, process_vm_writev, RemoteIoVec};
use nix::unistd::Pid;

use super::calls::At;

/// The thread that waits in a system call.
pub struct Caller {
    pub pid: Pid,
    pub arguments: [u64; 6],
}

impl Caller {
    /// The absolute path that an argument names; `None` if it names none.
    pub fn path(&self, at: At, position: usize) -> Option<PathBuf> {
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
        if !path.starts_with("/proc") && !path.starts_with("/dev") {
            return path.to_path_buf();
        }
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
    pub fn open_file(&self, position: usize) -> Option<PathBuf> {
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

    /// A number of the structure that an argument points to, counted from 0; all are 64 bits wide.
    pub fn number(&self, position: usize, at: usize) -> Option<u64> {
        let mut bytes = [0u8; 8];
        let start = usize::try_from(self.arguments[position]).ok()?;
        let read = self.read(start.checked_add(at * bytes.len())?, &mut bytes)?;
        (read == bytes.len()).then(|| u64::from_ne_bytes(bytes))
    }

    /// Fills the memory that an argument points to. False if the caller gave no such memory.
    pub fn fill(&self, position: usize, bytes: &[u8]) -> bool {
        let Ok(base) = usize::try_from(self.arguments[position]) else {
            return false;
        };
        let to = [RemoteIoVec {
            base,
            len: bytes.len(),
        }];
        process_vm_writev(self.pid, &[IoSlice::new(bytes)], &to) == Ok(bytes.len())
    }

    /// The path of a local socket's address.
    pub fn socket(&self, address: usize, length: usize) -> Option<PathBuf> {
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
