//! System calls that fail when a test wants them to: the n-th one that takes room in a file.

use std::cell::Cell;

use nix::errno::Errno;

/// Which calls of this thread fail, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    /// The first one that fails, counted from 0.
    pub(crate) first: u32,
    /// How many fail, one after the other.
    pub(crate) calls: u32,
    pub(crate) errno: Errno,
    /// Whether half of what was asked for is done all the same, as disks do.
    pub(crate) half: bool,
}

thread_local! {
    static FAULT: Cell<Option<Fault>> = const { Cell::new(None) };
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

/// What is to become of the call that is about to be made. Every call that takes room asks this.
pub(crate) fn next() -> Option<Fault> {
    let call = CALLS.replace(CALLS.get() + 1);
    FAULT.get().filter(|fault| (fault.first..fault.first.saturating_add(fault.calls)).contains(&call))
}

/// Runs something on this thread with that fault, or none; and tells how many calls were made.
pub(crate) fn during<T>(fault: Option<Fault>, run: impl FnOnce() -> T) -> (T, u32) {
    FAULT.set(fault);
    CALLS.set(0);
    let result = run();
    FAULT.set(None);
    (result, CALLS.get())
}
