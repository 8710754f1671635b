//! One build for all machines, each at its full width.

use pulp::{Arch, Simd, WithSimd};

struct Work<F>(F);

impl<F: FnMut()> WithSimd for Work<F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        (self.0)();
    }
}

/// Runs `work` in the widest instructions of the machine: it is compiled for several instruction sets, and one is picked when the
/// program runs. Results are the same in all of them, since a compiler neither reorders sums nor fuses products on its own.
///
/// `work` is a closure that is marked `#[inline(always)]`; what it calls has to be inlined too. (Handed to `pulp` as a plain closure it
/// would be called through the compiler's own `FnOnce::call_once`, which is compiled for the oldest processors.)
#[inline(always)]
pub(crate) fn widest(work: impl FnMut()) {
    Arch::new().dispatch(Work(work));
}
