//! Keeping signals away from a thread for a while.
#![allow(unsafe_code)]

use std::{io, marker::PhantomData, mem::MaybeUninit};

use nix::{
    errno::Errno,
    sys::signal::{SigSet, SigmaskHow, Signal},
};

/// Faults of the thread itself. Blocking them protects nobody: the kernel kills instead of calling a handler, and a seccomp
/// sandbox that answers system calls by SIGSYS would take the process down.
const FAULTS: [Signal; 6] =
    [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE, Signal::SIGTRAP, Signal::SIGSYS];

/// While it lives, no signal but the thread's own faults is delivered to the thread that made it.
pub(crate) struct BlockedSignals {
    before: SigSet,
    file_size_signal_was_pending: bool,
    /// The mask belongs to one thread.
    not_send: PhantomData<*const ()>,
}

impl BlockedSignals {
    pub(crate) fn new() -> io::Result<Self> {
        let mut all = SigSet::all();
        FAULTS.into_iter().for_each(|fault| all.remove(fault));
        let before = all.thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        Ok(Self { before, file_size_signal_was_pending: is_pending(Signal::SIGXFSZ), not_send: PhantomData })
    }

    /// Takes the SIGXFSZ away that a refused file operation of this thread has raised, so that it is not delivered later.
    ///
    /// The kernel sends it to the very thread, and a thread's own signals are taken before those of the process; one that
    /// was pending before is somebody else's and stays.
    pub(crate) fn swallow_file_size_signal<T>(&self, result: &io::Result<T>) {
        let refused = result.as_ref().is_err_and(|error| error.raw_os_error() == Some(Errno::EFBIG as i32));
        if refused && !self.file_size_signal_was_pending {
            take_pending(Signal::SIGXFSZ);
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // It cannot fail: the mask came from the kernel.
        let _ = self.before.thread_set_mask();
    }
}

fn is_pending(signal: Signal) -> bool {
    let mut pending = empty_set();
    // SAFETY: the C library fills and reads a set of ours that is alive.
    unsafe { libc::sigpending(&mut pending) == 0 && libc::sigismember(&pending, signal as i32) == 1 }
}

/// Removes a pending signal, without waiting for one.
fn take_pending(signal: Signal) {
    let no_time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let mut wanted = empty_set();
    // SAFETY: both places are ours and alive; what the signal carried is not asked for.
    unsafe {
        libc::sigaddset(&mut wanted, signal as i32);
        libc::sigtimedwait(&wanted, std::ptr::null_mut(), &no_time);
    }
}

fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set and cannot fail on a valid address.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}
