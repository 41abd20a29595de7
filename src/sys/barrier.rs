//! Waiting until a dead process has really stopped.
//!
//! A mark in a robust futex word proves that a process is doomed, not that none of its threads runs: the thread whose death made
//! the mark may be gone while another is in user code on another CPU, for an instant still, with a store to the region ahead
//! of it. Why that ends with [`global`]:
//!
//! 1. Before any thread of a killed process walks its robust list, every other one has SIGKILL pending and its flag to
//!    look at signals set. (`complete_signal` for SIGKILL, `zap_other_threads` for `exit_group` and `exec`; after a fault with
//!    a core dump they have even stopped.)
//! 2. A thread with that flag set runs user code only until it next enters the kernel: on the way out it meets its signal.
//! 3. `MEMBARRIER_CMD_GLOBAL_EXPEDITED` interrupts every CPU that currently runs a **registered** process and waits for all
//!    of them to answer. A CPU not interrupted runs no such process, and what is scheduled there later comes out of the
//!    kernel by the same way.
//!
//! So after it returns, no thread of a process that was registered and marked before executes another user instruction, and all
//! its stores are visible to the caller. Whoever has its death told by the kernel registers first; whoever takes over from the dead calls
//! [`global`] between seeing the mark and touching what the dead may have been writing.
#![allow(unsafe_code)]

use std::{io, time::Duration};

const GLOBAL_EXPEDITED: i32 = 1 << 1;
const REGISTER_GLOBAL_EXPEDITED: i32 = 1 << 2;

/// Makes this process one that [`global`] of others reaches. False where the system has no such thing.
///
/// Cheap while the process has one thread; the first call of a process with more waits for a grace period of the kernel (seen: 12
/// to 20 ms). So call it before starting threads.
/// Kept over `fork`, lost at `exec`.
pub(crate) fn register() -> bool {
    membarrier(REGISTER_GLOBAL_EXPEDITED).is_ok()
}

/// Returns when every doomed thread of a registered process has met its death.
///
/// Where the system cannot do that, it sleeps a millisecond: the kernel sends the interrupt together with the signal, so that is
/// ample unless a virtual CPU is kept from running.
pub(crate) fn global() {
    if membarrier(GLOBAL_EXPEDITED).is_err() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn membarrier(command: i32) -> io::Result<()> {
    // SAFETY: it takes numbers only and touches no memory of ours.
    match unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {

    use std::sync::atomic::Ordering::{Relaxed, SeqCst};

    use super::*;
    use crate::sys::{
        robust::{OWNER_DIED, RobustList, WAITERS, thread_id},
        testing::{Child, SharedWords},
    };

    const LIVENESS: usize = 0;
    const COUNTER: usize = 64;

    /// A process whose first thread stands for it while another one writes without pause.
    fn writer(words: &SharedWords) {
        register();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for count in 1.. {
                    words.word(COUNTER).store(count, Relaxed);
                }
            });
            let list = RobustList::new().unwrap();
            // SAFETY: the words outlive this process, which sleeps until it is killed.
            unsafe { list.register(words.word(LIVENESS).as_ptr()) };
            words.word(LIVENESS).store(thread_id() | WAITERS, SeqCst);
            std::thread::sleep(Duration::from_secs(60));
        });
    }

    #[test]
    fn nothing_is_written_by_the_dead_after_the_barrier() {
        for _ in 0..30 {
            let words = SharedWords::new();
            let child = Child::fork_and_sleep(|| writer(&words));
            crate::sys::testing::eventually(|| words.word(LIVENESS).load(SeqCst) != 0);
            crate::sys::testing::eventually(|| words.word(COUNTER).load(SeqCst) != 0);
            child.signal(nix::sys::signal::Signal::SIGKILL);
            while words.word(LIVENESS).load(SeqCst) & OWNER_DIED == 0 {
                std::hint::spin_loop();
            }
            global();
            let count = words.word(COUNTER).load(SeqCst);
            std::thread::sleep(Duration::from_millis(2));
            assert_eq!(words.word(COUNTER).load(SeqCst), count);
        }
    }

    #[test]
    fn registering_twice_is_as_good_as_once() {
        assert_eq!(register(), register());
        global();
    }
}
