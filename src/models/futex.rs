//! The double of the kernel's sleeping: what is bounded by 20 ms only lets others go on; any longer sleep has no bound at
//! all here, so that a wake that is lost shows as a deadlock.

use std::{cell::RefCell, sync::Arc, time::Duration};

use loom::sync::{Condvar, Mutex};

use super::{
    atomics::{self, AtomicU32},
    death,
};

/// Why a sleep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code)]
pub(crate) enum Wake {
    Woken,
    TimedOut,
    Changed,
    Interrupted,
}

/// A word to wait for and the value that is to be slept on.
#[derive(Clone, Copy)]
pub(crate) struct Word {
    address: usize,
    expected: u32,
}

impl Word {
    pub(crate) fn shared(word: *const u32, expected: u32) -> Self {
        Self { address: word as usize, expected }
    }

    /// Nobody stops a wait in a model.
    pub(crate) fn private(_: *const u32, expected: u32) -> Self {
        Self { address: 0, expected }
    }

    #[allow(unsafe_code)]
    fn has_changed(self) -> bool {
        if self.address == 0 {
            return false;
        }
        // SAFETY: addresses come from `Memory::futex`, which gives that of such a double; its region outlives the model.
        let cell = unsafe { &*(self.address as *const AtomicU32) };
        cell.load(std::sync::atomic::Ordering::SeqCst) != self.expected
    }
}

/// The longest sleep that is not taken for endless.
const SHORT: Duration = Duration::from_millis(20);

/// Who sleeps on which words; whoever is woken is taken out.
#[derive(Default)]
struct Sleepers {
    next: u64,
    asleep: Vec<(u64, Vec<usize>)>,
}

/// The part of the kernel that models need, one for each execution.
#[derive(Clone)]
struct Kernel {
    sleepers: Arc<Mutex<Sleepers>>,
    changed: Arc<Condvar>,
    naps_end: bool,
}

thread_local! {
    static KERNEL: RefCell<Option<Kernel>> = const { RefCell::new(None) };
}

/// A kernel for the execution that begins. `naps_end`: whether short sleeps end by themselves, as they do.
pub(super) fn boot(naps_end: bool) {
    let kernel = Kernel { sleepers: Arc::default(), changed: Arc::new(Condvar::new()), naps_end };
    KERNEL.with_borrow_mut(|old| *old = Some(kernel));
}

/// The execution is over.
pub(super) fn shut_down() {
    KERNEL.with_borrow_mut(|kernel| *kernel = None);
}

fn kernel() -> Option<Kernel> {
    if std::thread::panicking() { None } else { KERNEL.with_borrow(Clone::clone) }
}

pub(crate) fn wait(word: *const u32, expected: u32, timeout: Duration) -> Wake {
    wait_any(&[Word::shared(word, expected)], timeout, timeout)
}

pub(crate) fn wait_any(words: &[Word], timeout: Duration, _: Duration) -> Wake {
    let Some(kernel) = kernel() else { return Wake::Interrupted };
    if timeout <= SHORT && kernel.naps_end {
        atomics::yield_now();
        return Wake::TimedOut;
    }
    let mut sleepers = kernel.sleepers.lock().unwrap();
    if words.iter().any(|word| word.has_changed()) {
        return Wake::Changed;
    }
    let ticket = sleepers.next;
    sleepers.next += 1;
    sleepers.asleep.push((ticket, words.iter().map(|word| word.address).collect()));
    while sleepers.asleep.iter().any(|(other, _)| *other == ticket) {
        sleepers = kernel.changed.wait(sleepers).unwrap();
    }
    Wake::Woken
}

pub(crate) fn wake(word: *const u32, n: u32) -> usize {
    // One may die between a change and the wake that it owes.
    if !death::may_wake() {
        return 0;
    }
    let Some(kernel) = kernel() else { return 0 };
    let mut sleepers = kernel.sleepers.lock().unwrap();
    let mut woken = 0;
    sleepers.asleep.retain(|(_, words)| {
        let wakes = woken < n as usize && words.contains(&(word as usize));
        woken += usize::from(wakes);
        !wakes
    });
    if woken > 0 {
        kernel.changed.notify_all();
    }
    woken
}

pub(crate) fn wake_private(_: *const u32, _: u32) -> usize {
    0
}

pub(crate) fn has_wait_any() -> bool {
    true
}
