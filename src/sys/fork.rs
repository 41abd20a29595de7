//! Descriptors that a forked child must not keep.
//!
//! A child inherits every descriptor and with it the locks of its parent ([`super::byte_lock`]): the parent would look alive for as
//! long as the child is. So the child closes them before it runs anything else. The handlers here take no lock and allocate
//! nothing: each is a handful of loads and stores.
//!
//! Not reached: children of a raw `clone(2)` and of `_Fork`, which run no handlers, and descriptors that found the table
//! full. They keep the parent's descriptors until `exec` (O_CLOEXEC) or their end.
#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd},
    sync::atomic::{
        AtomicBool, AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release, SeqCst},
    },
    time::Duration,
};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// How many descriptors can be remembered at once.
const SLOTS: usize = 256;

/// What a slot says of a free one; otherwise generation and descriptor, see [`entry`].
const FREE: u64 = 0;

/// What a child has to close. Each value is used once: the generation tells a descriptor from a later one of the same number.
static TABLE: [AtomicU64; SLOTS] = [const { AtomicU64::new(FREE) }; SLOTS];

/// How many forks have begun, and how many of them are over, in this process.
static BEGUN: AtomicU64 = AtomicU64::new(0);
static OVER: AtomicU64 = AtomicU64::new(0);

/// How often a descriptor is opened anew because a fork came in between, before that is accepted.
const ATTEMPTS: u32 = 50;

/// A descriptor that only this process keeps: a forked child closes its copy at once.
///
/// A child that is *meant* to keep it gets a duplicate ([`Self::inheritable`]).
pub(crate) struct ParentFd {
    fd: RawFd,
    place: Option<Place>,
}

struct Place {
    slot: &'static AtomicU64,
    entry: u64,
}

impl ParentFd {
    /// Opens a descriptor that no child keeps. **Lock only afterwards**: when a fork comes in between, what was opened is dropped
    /// and opened again, because the child may have kept the first one; without a lock that is harmless.
    ///
    /// For the same reason, unlock before you drop it.
    pub(crate) fn open(mut open: impl FnMut() -> io::Result<OwnedFd>) -> io::Result<Self> {
        register_handlers()?;
        for _ in 0..ATTEMPTS {
            let begun = BEGUN.load(SeqCst);
            if OVER.load(SeqCst) != begun {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            let fd = Self::remember(open()?);
            if BEGUN.load(SeqCst) == begun {
                return Ok(fd);
            }
        }
        Ok(Self::remember(open()?))
    }

    /// The descriptor; nothing in a forked child, where it was closed.
    pub(crate) fn get(&self) -> Option<BorrowedFd<'_>> {
        let is_open = self.place.as_ref().is_none_or(|place| place.slot.load(Relaxed) == place.entry);
        // SAFETY: the descriptor is ours until the drop, and the entry still being there says that no handler closed it.
        is_open.then(|| unsafe { BorrowedFd::borrow_raw(self.fd) })
    }

    /// A duplicate that every child inherits, also over `exec`, and with it the locks. They last until the last copy is closed.
    pub(crate) fn inheritable(&self) -> io::Result<OwnedFd> {
        let open = self.get().ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))?;
        let copy = open.try_clone_to_owned()?;
        fcntl(&copy, FcntlArg::F_SETFD(FdFlag::empty()))?;
        Ok(copy)
    }

    /// Whether the table had room, so that children really close it.
    pub(crate) fn is_remembered(&self) -> bool {
        self.place.is_some()
    }

    fn remember(fd: OwnedFd) -> Self {
        let entry = entry(fd.as_raw_fd());
        let place = TABLE
            .iter()
            .find(|slot| slot.compare_exchange(FREE, entry, SeqCst, Relaxed).is_ok())
            .map(|slot| Place { slot, entry });
        Self { fd: fd.into_raw_fd(), place }
    }

    /// Takes the entry back; false when the handler in a child took it and closed the descriptor.
    fn take_back(&self) -> bool {
        let Some(place) = &self.place else { return true };
        place.slot.compare_exchange(place.entry, FREE, SeqCst, Relaxed).is_ok()
    }
}

impl Drop for ParentFd {
    /// The entry goes first: a child must never close a number that was given to somebody else.
    fn drop(&mut self) {
        if self.take_back() {
            close(self.fd);
        }
    }
}

/// Generation in the upper half, descriptor + 1 in the lower.
fn entry(fd: RawFd) -> u64 {
    static GENERATION: AtomicU32 = AtomicU32::new(0);
    u64::from(GENERATION.fetch_add(1, Relaxed)) << 32 | (fd as u32 + 1) as u64
}

fn descriptor(entry: u64) -> RawFd {
    (entry as u32 - 1) as RawFd
}

fn close(fd: RawFd) {
    // SAFETY: the caller has just taken the only entry that stood for this open descriptor.
    unsafe { libc::close(fd) };
}

unsafe extern "C" {
    /// POSIX; the libc crate leaves it out on Linux.
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> i32;
}

/// Two threads may both do it: run twice, the handlers do the same. No `Once`, in which a child could be stuck for ever.
fn register_handlers() -> io::Result<()> {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.load(Acquire) {
        // SAFETY: the handlers live as long as the program (the C library forgets them when a shared object is unloaded) and are
        // safe in a forked child: atomics and close(2).
        match unsafe { pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child)) } {
            0 => DONE.store(true, Release),
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
    Ok(())
}

extern "C" fn before_fork() {
    BEGUN.fetch_add(1, SeqCst);
}

extern "C" fn after_fork_in_parent() {
    OVER.fetch_add(1, SeqCst);
}

extern "C" fn after_fork_in_child() {
    // Forks of other threads, under way in the parent, will never be over here.
    OVER.store(BEGUN.load(Relaxed), Relaxed);
    for slot in &TABLE {
        match slot.swap(FREE, Relaxed) {
            FREE => {}
            entry => close(descriptor(entry)),
        }
    }
}

#[cfg(test)]
mod tests;
