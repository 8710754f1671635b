//! One writer at a time. The lock is the kernel's and ends with its process, however that ends.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::StoreError;

/// The held lock.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Who holds the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: i32,
    /// The run it does, once it has begun one.
    pub run: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("another nanoflow (process {0}) is using this cache")]
    Held(i32),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn open(path: &Path) -> Result<File, StoreError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| StoreError::io(folder, error))?;
    }
    super::make_way(path).map_err(|error| StoreError::io(path, error))?;
    let options = || {
        std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
    };
    options().map_err(|error| StoreError::io(path, error))
}

impl Lock {
    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// Another process holds it, or the cache cannot be written.
    pub fn try_take(root: &Path) -> Result<Lock, LockError> {
        let path = root.join("lock");
        let file = open(&path)?;
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let mut lock = Lock { file };
                lock.tell(None);
                Ok(lock)
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
                Err(LockError::Held(holder(root).map_or(0, |holder| holder.pid)))
            }
            Err(error) => Err(StoreError::io(&path, error.into()).into()),
        }
    }

    /// Tells others which run is going on.
    pub fn tell(&mut self, run: Option<&str>) {
        let holder = Holder {
            pid: i32::try_from(std::process::id()).unwrap_or(0),
            run: run.map(str::to_string),
        };
        let text = serde_json::to_string(&holder).unwrap_or_default();
        let write = |file: &mut File| -> std::io::Result<()> {
            file.rewind()?;
            file.write_all(text.as_bytes())?;
            file.set_len(text.len() as u64)
        };
        // Only messages depend on it.
        let _ = write(&mut self.file);
    }
}

/// The process that holds the lock now, without taking or disturbing it.
pub fn holder(root: &Path) -> Option<Holder> {
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(root.join("lock"))
        .ok()?;
    let wanted = rustix::process::Flock::from(rustix::process::FlockType::WriteLock);
    let held = rustix::process::fcntl_getlk(&file, &wanted).ok()??;
    let pid = held.pid.map_or(0, |pid| pid.as_raw_nonzero().get());
    let mut text = String::new();
    let _ = file.read_to_string(&mut text);
    let told: Option<Holder> = serde_json::from_str(&text).ok();
    let run = told
        .filter(|told| told.pid == pid || pid == 0)
        .and_then(|told| told.run);
    Some(Holder { pid, run })
}
