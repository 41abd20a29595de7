//! A word to sleep on until something changes.
//!
//! | bits | what |
//! |---|---|
//! | 0–30 | sequence: grows when somebody was woken |
//! | 31 | WAITERS: somebody may sleep |
//!
//! The bit is sticky, not a count, so a killed waiter leaks nothing (it costs one needless wake-up).
//!
//! Who waits: [`WaitWord::prepare`] (sets the bit, full fence), looks at what it waits for once more, then sleeps on the
//! value that `prepare` returned. Who changes: publishes, full fence, [`WaitWord::notify`].
//! 1. The change comes before the waiter's second look: the look sees it.
//! 2. It comes after: then the fence makes the changer see the bit; it clears it with a new sequence and wakes, or the
//!    kernel finds another value than was prepared and does not sleep.
//! 3. The changer dies in between: whoever recovers the shard notifies again. The changer may have taken the bit away
//!    and died before it woke anybody, so whoever inherits its duty wakes also without the bit.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::atomics::fence;
use crate::{
    broken::{self, Defect},
    region::memory::Memory,
    sys::futex,
};

pub(crate) const WAITERS: u32 = 1 << 31;

/// Whose change others are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Our own.
    Own,
    /// That of somebody who was killed, perhaps in the middle of telling.
    Inherited,
}

/// A wait word at an offset.
#[derive(Clone, Copy)]
pub(crate) struct WaitWord<'a> {
    pub(crate) word: u64,
    pub(crate) memory: &'a Memory,
}

impl WaitWord<'_> {
    /// Announces a waiter and gives the value to sleep on.
    pub(crate) fn prepare(&self) -> u32 {
        loop {
            let word = self.memory.load32(self.word, SeqCst);
            if word & WAITERS != 0 || self.memory.exchange32(self.word, word, word | WAITERS).is_ok() {
                fence(SeqCst);
                return word | WAITERS;
            }
            if !self.memory.writable() {
                return word;
            }
        }
    }

    /// The word's address, to sleep on.
    pub(crate) fn futex(&self) -> Option<*const u32> {
        self.memory.futex(self.word)
    }

    /// Wakes everybody, if anybody may sleep. The caller's change was published by a sequentially consistent store.
    #[inline]
    pub(crate) fn notify(&self) {
        let order = if broken::has(Defect::WaitersMissed) { Relaxed } else { SeqCst };
        if self.memory.load32(self.word, order) & WAITERS != 0 {
            self.notify_waiters();
        }
    }

    /// The same for a change of that kind.
    #[inline]
    pub(crate) fn notify_of(&self, duty: Duty) {
        match duty {
            Duty::Own => self.notify(),
            Duty::Inherited => self.notify_waiters(),
        }
    }

    #[cold]
    fn notify_waiters(&self) {
        loop {
            let word = self.memory.load32(self.word, SeqCst);
            let next = word.wrapping_add(1) & !WAITERS;
            if word & WAITERS == 0 || self.memory.exchange32(self.word, word, next).is_ok() {
                break;
            }
        }
        if let Some(pointer) = self.futex() {
            futex::wake(pointer, i32::MAX as u32);
        }
    }
}
