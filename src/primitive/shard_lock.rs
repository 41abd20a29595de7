//! The lock of a shard: one 32-bit word that says who holds it.
//!
//! | bits | what |
//! |---|---|
//! | 0–12 | slot of the participant that holds it, plus 1; 0 = free; all ones = given up, to be recovered |
//! | 13–30 | that participant's generation |
//! | 31 | WAITERS: somebody may sleep |
//!
//! Owner and lock are one swap, so there is no moment at which it is held by nobody (attack 5). A waiter that finds
//! the owner dead takes over by a swap and is told to recover. Every sleep is at most 20 ms: a woken waiter may be
//! killed before it takes the lock, and then nobody else is woken (attack 2).

use std::{
    sync::atomic::Ordering::{Relaxed, SeqCst},
    time::Duration,
};

use super::{
    allowance::Allowance,
    atomics::{MODELLED, spin_loop},
};
use crate::{
    broken::{self, Defect},
    region::{
        memory::Memory,
        participants::{GENERATION_MASK, Name, Participants},
    },
    sys::{
        barrier,
        futex::{self, Word},
    },
};

const SLOT_BITS: u32 = 13;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
pub(crate) const WAITERS: u32 = 1 << 31;
/// Given up by somebody who could not recover it: nobody holds it, but what it protects is unfinished.
const GIVEN_UP: u32 = SLOT_MASK;
const SPINS: u32 = if MODELLED { 0 } else { 100 };
/// So often in a row the word changes between a look and a swap, before the time is looked at.
const LOSSES: u32 = 1000;
/// The longest sleep.
const NAP: Duration = Duration::from_millis(20);
/// After this long a liveness word is no longer taken at its word: the byte is asked for.
const DOUBT: Duration = if MODELLED { Duration::MAX } else { Duration::from_millis(100) };
/// A live owner may hold a lock so long (it is stopped, say) before the others are told.
pub(crate) const LIMIT: Duration = Duration::from_secs(5);

/// How the lock was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It was free.
    Free,
    /// From a dead owner: what it had begun is to be finished or undone.
    FromDead(Name),
}

/// Still held by a live owner when the limit was over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) by: Name,
    pub(crate) for_so_long: Duration,
}

/// A lock word and who may hold it.
#[derive(Clone, Copy)]
pub(crate) struct ShardLock<'a> {
    pub(crate) word: u64,
    pub(crate) memory: &'a Memory,
    pub(crate) participants: Participants<'a>,
}

/// The word of a lock that this one holds.
#[inline(always)]
pub(crate) fn held_by(name: Name) -> u32 {
    (name.slot + 1) | (name.generation & GENERATION_MASK) << SLOT_BITS
}

fn decode(word: u32) -> Name {
    Name { slot: (word & SLOT_MASK).wrapping_sub(1), generation: (word & !WAITERS) >> SLOT_BITS }
}

impl ShardLock<'_> {
    /// Takes the lock for `me` if nobody has it, and nobody waits for it.
    #[inline]
    pub(crate) fn try_lock(&self, me: Name) -> bool {
        self.memory.exchange32(self.word, 0, held_by(me)).is_ok()
    }

    /// Takes the lock for `me`, waiting as long as is allowed; once, if nothing is.
    #[inline]
    pub(crate) fn lock(&self, me: Name, allowance: &Allowance) -> Result<Taken, Held> {
        if self.try_lock(me) { Ok(Taken::Free) } else { self.lock_contended(me, allowance) }
    }

    /// Gives it back and wakes one waiter.
    #[inline]
    pub(crate) fn unlock(&self) {
        if self.memory.swap32(self.word, 0, SeqCst) & WAITERS != 0 {
            self.wake();
        }
    }

    /// Gives it up unrecovered: the next one tries again.
    pub(crate) fn give_up(&self) {
        self.memory.swap32(self.word, GIVEN_UP, SeqCst);
        self.wake();
    }

    #[cold]
    pub(crate) fn wake(&self) {
        if let Some(pointer) = self.memory.futex(self.word) {
            futex::wake(pointer, 1);
        }
    }

    #[cold]
    fn lock_contended(&self, me: Name, allowance: &Allowance) -> Result<Taken, Held> {
        let waiting = allowance.spend();
        let (mut spins, mut lost) = (0, 0_u32);
        // Whoever has slept must assume that others sleep too.
        let mut mark = 0;
        loop {
            let word = self.memory.load32(self.word, Relaxed);
            if word & !WAITERS == 0 {
                if self.memory.exchange32(self.word, word, held_by(me) | word & WAITERS | mark).is_ok() {
                    return Ok(Taken::Free);
                }
                lost += 1;
            } else if spins < SPINS {
                spins += 1;
                spin_loop();
                continue;
            } else if self.owner_is_dead(word, waiting.time() > DOUBT) {
                // A thread of the dead process may still run for a moment on another processor.
                barrier::global();
                if self.memory.exchange32(self.word, word, held_by(me) | WAITERS).is_ok() {
                    return Ok(Taken::FromDead(decode(word)));
                }
                lost += 1;
            } else if mark == 0 || !waiting.has_spent_all() {
                // Whoever is woken tries once more, however long that took.
                self.sleep(word);
                mark = WAITERS;
                continue;
            }
            // Losing is no waiting, unless somebody writes garbage without pause.
            if (word & !WAITERS != 0 || lost > LOSSES) && waiting.has_spent_all() {
                return Err(Held { by: decode(word), for_so_long: waiting.time() });
            }
        }
    }

    fn owner_is_dead(&self, word: u32, in_doubt: bool) -> bool {
        if word & SLOT_MASK == GIVEN_UP || broken::has(Defect::LockStolen) {
            return true;
        }
        let name = decode(word);
        self.participants.is_dead(name) || in_doubt && self.participants.is_dead_by_byte(name)
    }

    /// Sleeps until the word changes or its owner dies, 20 ms at most.
    fn sleep(&self, word: u32) {
        if word & WAITERS == 0 && self.memory.exchange32(self.word, word, word | WAITERS).is_err() {
            return;
        }
        let Some(pointer) = self.memory.futex(self.word) else { return };
        match self.participants.liveness(decode(word).slot) {
            Some((liveness, alive)) if futex::has_wait_any() => {
                let words = [Word::shared(pointer, word | WAITERS), Word::shared(liveness, alive)];
                futex::wait_any(&words, NAP, NAP);
                self.participants.pass_on_death(decode(word).slot);
            }
            _ => {
                futex::wait(pointer, word | WAITERS, NAP);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_its_owner() {
        let name = Name { slot: 4095, generation: GENERATION_MASK };
        assert_eq!(decode(held_by(name)), name);
        assert_eq!(decode(held_by(name) | WAITERS), name);
        assert_ne!(held_by(name) & SLOT_MASK, GIVEN_UP);
        assert_ne!(held_by(Name { slot: 0, generation: 0 }), 0);
    }
}
