//! Signals outside a run's own handling: the process ends at once with the contract's exit code.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

static AT_ONCE: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on Ctrl-C ends the process with 130 and a termination with 143.
pub fn install() {
    let at_once = AT_ONCE.get_or_init(|| Arc::new(AtomicBool::new(true)));
    for (signal, code) in [
        (signal_hook::consts::SIGINT, 130),
        (signal_hook::consts::SIGTERM, 143),
    ] {
        let _ = signal_hook::flag::register_conditional_shutdown(signal, code, at_once.clone());
    }
}

/// A run takes care of its signals itself.
pub fn handled_by_run() {
    if let Some(at_once) = AT_ONCE.get() {
        at_once.store(false, Ordering::SeqCst);
    }
}
