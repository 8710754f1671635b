//! A piece of a file looked at where it lies in memory: mapped, not copied.
//!
//! A file that is mapped can be cut short by anyone at any time. Whoever then looks at what is gone gets a signal (SIGBUS) that
//! ends the process. So while a piece is looked at, a handler stands by: it puts zeros in place of the piece and notes that, and
//! what was found is thrown away. For a fault anywhere else it does what was done without it.
//!
//! Only what is in memory already is worth mapping: what must come from the disk comes sooner when it is read. So the file
//! system is asked first for a byte that it has without waiting. Those that cannot tell, as most on a network, are not mapped.

use std::ffi::c_void;
use std::fs::File;
use std::io::IoSliceMut;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{compiler_fence, AtomicBool, AtomicUsize, Ordering};
use std::sync::OnceLock;

use nix::libc::{c_int, siginfo_t};
use nix::sys::signal::{raise, sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};
use rustix::io::{preadv2, ReadWriteFlags};
use rustix::mm::{madvise, mmap, mmap_anonymous, munmap, Advice, MapFlags, ProtFlags};

/// The piece that a thread looks at. Only the thread itself and a signal handler on it come here, so no order matters
/// between threads; they are atomic so that the compiler keeps each access where it stands.
struct Look {
    start: AtomicUsize,
    /// 0 while nothing is looked at.
    length: AtomicUsize,
    cut: AtomicBool,
}

thread_local! {
    // Without a destructor and with a constant at first, this is plain memory of the thread, which a handler may use.
    static LOOK: Look = const {
        Look {
            start: AtomicUsize::new(0),
            length: AtomicUsize::new(0),
            cut: AtomicBool::new(false),
        }
    };
}

/// Whether pieces of the file may be looked at where they lie: a place without content would get memory by that on some
/// file systems, so files with holes are read.
pub fn suits(found: &std::fs::Metadata) -> bool {
    found.is_file() && found.blocks().saturating_mul(512) >= found.len()
}

/// What `look` finds in the `length` bytes from `start`, which is a multiple of the page size.
///
/// `None`: they have to be read (not in memory, not to be mapped, or the file was cut short meanwhile). Other processes may
/// change the bytes while `look` is at them, so it must be content with any, and it must not call this function.
pub fn look<T>(file: &File, start: u64, length: usize, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
    let last = start + (length as u64).checked_sub(1)?;
    if !(guarded() && in_memory(file, start) && in_memory(file, last)) {
        return None;
    }
    let piece = Piece::map(file, start, length)?;
    let (found, cut) = piece.watched(look);
    // A cut within a page leaves zeros there and no signal.
    let whole = file.metadata().is_ok_and(|now| now.len() > last);
    (whole && !cut).then_some(found)
}

/// Whether a byte of the file is there without waiting for it.
fn in_memory(file: &File, place: u64) -> bool {
    let mut byte = [0];
    let mut buffers = [IoSliceMut::new(&mut byte)];
    preadv2(file, &mut buffers, place, ReadWriteFlags::NOWAIT) == Ok(1)
}

/// Some bytes of a file, mapped for reading.
struct Piece {
    start: *mut c_void,
    length: usize,
}

impl Piece {
    fn map(file: &File, start: u64, length: usize) -> Option<Piece> {
        let (read, own) = (ProtFlags::READ, MapFlags::PRIVATE);
        // SAFETY: the kernel chooses a place where nothing is, so no memory of anyone's changes.
        let address = unsafe { mmap(std::ptr::null_mut(), length, read, own, file, start) };
        let piece = Piece {
            start: address.ok()?,
            length,
        };
        // SAFETY: the range was just mapped; to fill its page table for reading changes no content.
        let filled = unsafe { madvise(piece.start, length, Advice::LinuxPopulateRead) };
        // Older kernels do not know this advice; on newer ones what cannot be had is told here already.
        filled.ok().map(|()| piece)
    }

    /// What `look` finds, and whether something of the piece was gone meanwhile.
    fn watched<T>(&self, look: impl FnOnce(&[u8]) -> T) -> (T, bool) {
        /// Ends the watch even if `look` panics: the place may be someone else's memory soon.
        struct Watch;
        impl Drop for Watch {
            fn drop(&mut self) {
                compiler_fence(Ordering::SeqCst);
                LOOK.with(|own| own.length.store(0, Ordering::SeqCst));
            }
        }
        LOOK.with(|own| {
            own.cut.store(false, Ordering::SeqCst);
            own.start.store(self.start as usize, Ordering::SeqCst);
            own.length.store(self.length, Ordering::SeqCst);
            let watch = Watch;
            // No look at the piece is to be moved out of the watch.
            compiler_fence(Ordering::SeqCst);
            // SAFETY: the range is mapped for reading as long as `self` lives; where the file ends sooner, the handler maps
            // zeros. Nobody in this process writes there. Others may write to the file, so the bytes may change: that `look`
            // is content with any bytes is asked of the caller above.
            let bytes = unsafe { std::slice::from_raw_parts(self.start as *const u8, self.length) };
            let found = look(bytes);
            drop(watch);
            (found, own.cut.load(Ordering::SeqCst))
        })
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: `map` made this range, all of it is this piece's still, and no reference into it outlives `watched`.
        let _ = unsafe { munmap(self.start, self.length) };
    }
}

/// What was done with the signal before.
static BEFORE: OnceLock<SigAction> = OnceLock::new();

/// Puts the handler up at the first call; whether it is up.
fn guarded() -> bool {
    static UP: OnceLock<bool> = OnceLock::new();
    *UP.get_or_init(|| {
        let flags = SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK;
        let action = SigAction::new(SigHandler::SigAction(on_fault), flags, SigSet::empty());
        // SAFETY: `on_fault` does only what is allowed in a handler; see there.
        match unsafe { sigaction(Signal::SIGBUS, &action) } {
            Ok(before) => BEFORE.set(before).is_ok(),
            Err(_) => false,
        }
    })
}

/// The handler. It runs in the midst of anything, so it takes no lock and no memory of the allocator's: it reads and writes
/// atomics and makes system calls.
extern "C" fn on_fault(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel hands over a valid `info`, and for a fault its address is set. For a signal that a process sent, the
    // field holds another number, and the code, which is then not positive, is looked at first.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    if code > 0 && zeros_instead(address) {
        return;
    }
    match BEFORE.get().map(SigAction::handler) {
        Some(SigHandler::SigAction(before)) => before(signal, info, context),
        Some(SigHandler::Handler(before)) => before(signal),
        Some(SigHandler::SigIgn) if code <= 0 => {}
        _ => {
            let plain = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
            // SAFETY: no handler of anyone's is called by it. A fault comes again when this one returns, and ends the process.
            let _ = unsafe { sigaction(Signal::SIGBUS, &plain) };
            if code <= 0 {
                let _ = raise(Signal::SIGBUS);
            }
        }
    }
}

/// If this thread looks at a piece with this address: puts zeros in place of the piece and notes it.
fn zeros_instead(address: usize) -> bool {
    LOOK.with(|own| {
        let start = own.start.load(Ordering::SeqCst);
        let length = own.length.load(Ordering::SeqCst);
        if !(start..start.saturating_add(length)).contains(&address) {
            return false;
        }
        own.cut.store(true, Ordering::SeqCst);
        let flags = MapFlags::PRIVATE | MapFlags::FIXED;
        // SAFETY: the range is the piece of this thread, which is in `watched` and keeps it mapped; the new bytes can be read as
        // the old ones could, and what is found in them is thrown away.
        let zeros = unsafe { mmap_anonymous(start as *mut c_void, length, ProtFlags::READ, flags) };
        zeros.is_ok()
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use nix::sys::wait::{waitpid, WaitStatus};
    use nix::unistd::{fork, ForkResult};
    use std::io::Write;
    use std::process::Command;

    /// A file of this content, in memory, where the file system tells that it is.
    pub(crate) fn file(content: &[u8]) -> (tempfile::NamedTempFile, File) {
        let folders = [std::env::temp_dir(), "/dev/shm".into(), "target".into()];
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            let mut named = tempfile::NamedTempFile::new_in(folder).expect("a file");
            named.write_all(content).expect("written");
            let file = named.reopen().expect("opened");
            if in_memory(&file, 0) {
                return (named, file);
            }
        }
        panic!("none of {folders:?} tells what it has in memory");
    }

    const LENGTH: usize = 100_000;

    #[test]
    fn what_is_there_is_seen() {
        let content: Vec<u8> = (0..LENGTH).map(|place| (place % 251) as u8).collect();
        let (_named, file) = file(&content);
        for (start, length) in [(0, LENGTH), (0, 1), (65_536, LENGTH - 65_536), (65_536, 5)] {
            let seen = look(&file, start as u64, length, <[u8]>::to_vec);
            assert_eq!(seen.as_deref(), Some(&content[start..start + length]));
        }
        assert_eq!(look(&file, 0, 0, <[u8]>::len), None);
        assert_eq!(look(&file, 0, LENGTH + 1, <[u8]>::len), None);
        assert_eq!(look(&file, 1 << 20, 1, <[u8]>::len), None);
    }

    #[test]
    fn what_is_cut_meanwhile_is_nothing() {
        let content = vec![7; LENGTH];
        for length in [0, 1, 4096, 65_536, LENGTH - 1] {
            for round in 0..20 {
                let (named, file) = file(&content);
                let seen = look(&file, 0, LENGTH, |bytes| {
                    if round == 0 {
                        let size = format!("--size={length}");
                        let done = Command::new("truncate")
                            .arg(size)
                            .arg(named.path())
                            .status();
                        assert!(done.expect("it starts").success());
                    } else {
                        named.as_file().set_len(length as u64).expect("cut");
                    }
                    blake3::hash(bytes)
                });
                assert_eq!(seen, None, "cut to {length}");
            }
        }
    }

    #[test]
    fn zeros_in_place_of_what_was_cut_are_nothing() {
        let (named, file) = file(&vec![7; LENGTH]);
        let mut zeros = false;
        let seen = look(&file, 0, LENGTH, |bytes| {
            named.as_file().set_len(0).expect("cut");
            zeros = blake3::hash(bytes) == blake3::hash(&[0; LENGTH]);
            named
                .as_file()
                .set_len(LENGTH as u64)
                .expect("as long as before");
        });
        assert!(zeros, "the handler was not there");
        assert_eq!(seen, None);
    }

    #[test]
    fn only_files_without_holes_suit() {
        let (named, file) = file(&[1; LENGTH]);
        let suited = |length| {
            named.as_file().set_len(length).expect("its length set");
            suits(&file.metadata().expect("metadata"))
        };
        assert!(suited(LENGTH as u64));
        assert!(!suited(1 << 30));
        assert!(!suits(&std::fs::metadata("/dev/null").expect("metadata")));
        assert!(!suits(&std::env::temp_dir().metadata().expect("metadata")));
    }

    #[test]
    fn a_fault_elsewhere_still_ends_a_process() {
        let (named, file) = file(&[1; LENGTH]);
        let other = Piece::map(&file, 0, LENGTH).expect("mapped");
        // The handler is up, and has had something to do.
        let seen = look(&file, 0, LENGTH, |bytes| {
            named.as_file().set_len(0).expect("cut");
            blake3::hash(bytes)
        });
        assert_eq!(seen, None);
        // SAFETY: the child only looks at memory and ends.
        match unsafe { fork() }.expect("a child") {
            ForkResult::Child => {
                // SAFETY: mapped, but the file is empty: this ends the child, which is what is tested.
                let byte = unsafe { std::ptr::read_volatile(other.start as *const u8) };
                // SAFETY: ends the process at once.
                unsafe { nix::libc::_exit(i32::from(byte)) }
            }
            ForkResult::Parent { child } => {
                let ended = waitpid(child, None).expect("it ended");
                assert!(
                    matches!(ended, WaitStatus::Signaled(_, Signal::SIGBUS, _)),
                    "{ended:?}"
                );
            }
        }
    }
}
