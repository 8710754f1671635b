//! Signals outside a run's own handling: the process ends at once with the contract's exit code.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

static AT_ONCE: OnceLock<Arc<AtomicBool>> = OnceLock::new();
/// The signal that came last; 0 if none has.
static CAME: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// From now on Ctrl-C ends the process with 130 and a termination with 143.
pub fn install() {
    let at_once = AT_ONCE.get_or_init(|| Arc::new(AtomicBool::new(true)));
    let came = CAME.get_or_init(|| Arc::new(AtomicUsize::new(0)));
    for (signal, code) in [
        (signal_hook::consts::SIGINT, 130),
        (signal_hook::consts::SIGTERM, 143),
    ] {
        let _ = signal_hook::flag::register_conditional_shutdown(signal, code, at_once.clone());
        let number = usize::try_from(signal).unwrap_or(0);
        let _ = signal_hook::flag::register_usize(signal, came.clone(), number);
    }
}

/// A run takes care of its signals itself.
pub fn handled_by_run() {
    if let Some(at_once) = AT_ONCE.get() {
        at_once.store(false, Ordering::SeqCst);
    }
}

/// After a run: signals end the process at once again, one that came when the run had just ended too.
pub fn end_at_once() {
    if let Some(at_once) = AT_ONCE.get() {
        at_once.store(true, Ordering::SeqCst);
    }
    match CAME.get().map_or(0, |came| came.load(Ordering::SeqCst)) {
        0 => {}
        signal => std::process::exit(128 + i32::try_from(signal).unwrap_or(2)),
    }
}
