//! Sleeping on 32-bit words that several processes share.
//!
//! Words are raw pointers: the kernel checks an address before it reads it, so a wrong one is an answer, not a crash.
//! Read-only mappings may be waited on. A return says only that it is time to look again: wakes may be meant for another
//! word or another sleeper, so **look at every word, and pass on what was not for you**.
#![allow(unsafe_code)]

use std::{
    io, ptr,
    sync::atomic::{AtomicU8, Ordering::Relaxed},
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};

/// Why a sleep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Somebody woke us.
    Woken,
    /// The time ran out.
    TimedOut,
    /// The word was another already: there was no sleep.
    Changed,
    /// A signal came, or the kernel refused: after a refusal a moment was slept, so that a loop does not spin.
    Interrupted,
}

/// A word to wait for and the value that is to be slept on: `struct futex_waitv`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Word {
    expected: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

const _: () = assert!(size_of::<Word>() == 24);

const SIZE_U32: u32 = 2;
const PRIVATE: u32 = libc::FUTEX_PRIVATE_FLAG as u32;

/// The most words that [`wait_any`] can sleep on.
pub(crate) const MAX_WORDS: usize = 128;

impl Word {
    /// A word in memory that is shared with other processes. Woken by [`wake`].
    pub(crate) fn shared(word: *const u32, expected: u32) -> Self {
        Self { expected: expected.into(), address: word as u64, flags: SIZE_U32, reserved: 0 }
    }

    /// A word of this process alone. Woken by [`wake_private`], not by [`wake`].
    pub(crate) fn private(word: *const u32, expected: u32) -> Self {
        Self { flags: SIZE_U32 | PRIVATE, ..Self::shared(word, expected) }
    }
}

/// Sleeps while the word is `expected`, at most for `timeout`.
pub(crate) fn wait(word: *const u32, expected: u32, timeout: Duration) -> Wake {
    wait_one(&Word::shared(word, expected), timeout)
}

/// Wakes up to `n` who sleep on a shared word; how many it were.
pub(crate) fn wake(word: *const u32, n: u32) -> usize {
    wake_flagged(word, n, 0)
}

/// Wakes up to `n` of this process who sleep on a private word; how many it were.
pub(crate) fn wake_private(word: *const u32, n: u32) -> usize {
    wake_flagged(word, n, libc::FUTEX_PRIVATE_FLAG)
}

/// Sleeps while all words are as expected, at most for `timeout` and at most on [`MAX_WORDS`] words.
///
/// Where the system cannot do that (before Linux 5.16, or forbidden by a sandbox) it sleeps on the **first** word only, at
/// most for `bound`, and then says `TimedOut`: the others are found changed that much later.
pub(crate) fn wait_any(words: &[Word], timeout: Duration, bound: Duration) -> Wake {
    if has_wait_any() {
        match wait_all_words(words, timeout) {
            Err(error) if is_missing(&error) => WAIT_ANY.store(MISSING, Relaxed),
            result => return outcome(result, timeout),
        }
    }
    wait_first_word(words, timeout.min(bound))
}

/// Whether [`wait_any`] really waits for all its words here.
pub(crate) fn has_wait_any() -> bool {
    match WAIT_ANY.load(Relaxed) {
        UNKNOWN => probe_wait_any(),
        known => known == PRESENT,
    }
}

static WAIT_ANY: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const PRESENT: u8 = 1;
const MISSING: u8 = 2;

#[cold]
fn probe_wait_any() -> bool {
    // No words at all are refused as invalid by whoever has the call.
    let missing = wait_all_words(&[], Duration::ZERO).is_err_and(|error| is_missing(&error));
    WAIT_ANY.store(if missing { MISSING } else { PRESENT }, Relaxed);
    !missing
}

/// Sandboxes say EPERM for calls they do not know.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM | libc::EACCES))
}

fn wait_all_words(words: &[Word], timeout: Duration) -> io::Result<()> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    let deadline = timespec(Duration::from(now).saturating_add(timeout));
    // SAFETY: the kernel reads `words.len()` entries of its own layout and one deadline, all alive; it checks the addresses.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex_waitv,
            words.as_ptr(),
            words.len(),
            0,
            ptr::from_ref(&deadline),
            libc::CLOCK_MONOTONIC,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn wait_first_word(words: &[Word], timeout: Duration) -> Wake {
    let Some((first, others)) = words.split_first() else {
        std::thread::sleep(timeout);
        return Wake::TimedOut;
    };
    // A sleep of no time compares without keeping anybody waiting.
    others
        .iter()
        .map(|word| wait_one(word, Duration::ZERO))
        .find(|wake| matches!(wake, Wake::Changed | Wake::Woken))
        .unwrap_or_else(|| wait_one(first, timeout))
}

fn wait_one(word: &Word, timeout: Duration) -> Wake {
    let private = if word.flags & PRIVATE == 0 { 0 } else { libc::FUTEX_PRIVATE_FLAG };
    let relative = timespec(timeout);
    // SAFETY: the kernel reads one timeout that is alive, and checks the word's address.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.address,
            libc::FUTEX_WAIT | private,
            word.expected as u32,
            ptr::from_ref(&relative),
        )
    };
    outcome(if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }, timeout)
}

fn outcome(result: io::Result<()>, timeout: Duration) -> Wake {
    let Err(error) = result else { return Wake::Woken };
    match error.raw_os_error() {
        Some(libc::EAGAIN) => Wake::Changed,
        Some(libc::ETIMEDOUT) => Wake::TimedOut,
        Some(libc::EINTR) => Wake::Interrupted,
        _ => {
            std::thread::sleep(timeout.min(Duration::from_millis(1)));
            Wake::Interrupted
        }
    }
}

fn wake_flagged(word: *const u32, n: u32, flags: i32) -> usize {
    // SAFETY: the kernel uses the address as a name and checks it; nothing is written.
    let woken = unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE | flags, n.min(i32::MAX as u32)) };
    usize::try_from(woken).unwrap_or(0)
}

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests;
