//! A shard: a complete small map of its own. This is its header, and what holding its lock means.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | lock word |
//! | 4 | 4 | damaged: 1 = nothing is believed any more |
//! | 8 | 8 | sequence: odd while slots change |
//! | 16 | 8 | clock |
//! | 80 | 8 | transaction that this shard is the home of: number << 2, 1 = prepared, 2 = committed |
//! | 88 | 8 | shards that take part in it, a bit each |
//! | 128 | 8 | intent: operation, stage, space |
//! | 136 | 8 | intent: where the slot is |
//! | 144 | 8 | intent: the slot before |
//! | 152 | 8 | intent: the slot after |
//! | 160 | 8 | notes in the journal |
//! | 168 | 8 | this shard's part of a transaction |
//! | 176 | 8 | wait word that the operation owes a look |
//! | 184 | 8 | tag of the transaction that condemned slots of this shard |
//! | 192 | 2 × 8 | records of each space |
//! | 208 | 2 × 8 | slots of each space that are not empty |
//! | 224 | 2 × 8 | records of each space that have a lifetime |
//! | 240 | 2 × 8 | where burying goes on |
//! | 256 | 8 | blocks ever retired |
//! | 264 | 16 × 8 | the blocks retired last: class << 48 \| offset |
//! | 392 | 4 × 8 | extents to be given back |
//! | 424 | 4 × 8 | blocks reserved for large values |
//! | 456 | 4 × 8 | who reserved them: number << 13 \| slot |
//! | 512 | 51 × 8 | first span of each class that has room |
//! | 1,024 | 64 × 16 | journal |
//! | 2,048 | 2,048 | a part of a transaction, if it is small |

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use super::{Storage, classes, journal, slot::Slot};
use crate::{
    broken::{self, Defect},
    driver::Space,
    error::{Error, ErrorKind, Result},
    primitive::{
        allowance::Allowance,
        atomics::fence,
        shard_lock::{ShardLock, Taken},
    },
    region::{
        layout::SHARD_SIZE,
        memory::{PAGE, Page, PageMut},
        participants::Name,
    },
};

pub(crate) const LOCK: u64 = 0;
pub(crate) const DAMAGED: u64 = 4;
pub(crate) const SEQUENCE: u64 = 8;
pub(crate) const CLOCK: u64 = 16;
pub(crate) const TXN: u64 = 80;
pub(crate) const TXN_SHARDS: u64 = 88;
pub(crate) const INTENT: u64 = 128;
pub(crate) const INTENT_AT: u64 = 136;
pub(crate) const INTENT_OLD: u64 = 144;
pub(crate) const INTENT_NEW: u64 = 152;
pub(crate) const NOTES: u64 = 160;
pub(crate) const PART: u64 = 168;
pub(crate) const INTENT_WAIT: u64 = 176;
pub(crate) const CONDEMNED: u64 = 184;
pub(crate) const LIVE: u64 = 192;
pub(crate) const USED: u64 = 208;
pub(crate) const MORTALS: u64 = 224;
pub(crate) const BURY: u64 = 240;
pub(crate) const RETIRED: u64 = 256;
pub(crate) const RING: u64 = 264;
pub(crate) const RING_LEN: u64 = 16;
pub(crate) const PENDING: u64 = 392;
pub(crate) const PENDING_LEN: u64 = 4;
pub(crate) const RESERVED: u64 = 424;
pub(crate) const RESERVERS: u64 = 456;
pub(crate) const RESERVED_LEN: u64 = 4;
pub(crate) const SPANS: u64 = 512;
pub(crate) const JOURNAL: u64 = 1024;
pub(crate) const HEADER_PART: u64 = 2048;

const _: () = {
    assert!(RING + RING_LEN * 8 == PENDING);
    assert!(PENDING + PENDING_LEN * 8 == RESERVED);
    assert!(RESERVED + RESERVED_LEN * 8 == RESERVERS);
    assert!(RESERVERS + RESERVED_LEN * 8 <= SPANS);
    assert!(SPANS + classes::COUNT as u64 * 8 <= JOURNAL);
    assert!(JOURNAL + journal::MAX_NOTES * 16 <= HEADER_PART);
    assert!(HEADER_PART < PAGE && PAGE <= SHARD_SIZE);
};

/// What the holder of the lock is doing, so that others can finish or undo it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Intent {
    /// Nothing.
    Idle = 0,
    /// One slot changes from old to new: of a record, or the root of an index.
    Swap = 1,
    /// The slot has changed; the old record is being put away.
    Settle = 2,
    /// The shard takes part in a transaction.
    Part = 3,
    /// Bookkeeping only.
    Books = 4,
}

impl Intent {
    pub(crate) fn from_word(word: u64) -> Option<Self> {
        [Self::Idle, Self::Swap, Self::Settle, Self::Part, Self::Books]
            .into_iter()
            .find(|intent| *intent as u64 == word & 0xff)
    }
}

/// Clocks stay below this, in units of 16 ns: the year 2116.
pub(crate) const CLOCK_END: u64 = (1 << 58) - 1;

/// A shard, locked or not.
#[derive(Clone, Copy)]
pub(crate) struct Shard<'a> {
    pub(crate) storage: &'a Storage,
    pub(crate) index: u32,
    /// Where its header is.
    pub(crate) base: u64,
    pub(crate) page: Page<'a>,
}

impl<'a> Shard<'a> {
    /// Every word of the header behind the lock, up to the journal.
    pub(crate) fn words() -> impl Iterator<Item = u64> {
        (SEQUENCE..JOURNAL).step_by(8)
    }

    /// A word of the header.
    #[inline]
    pub(crate) fn load(&self, field: u64) -> u64 {
        self.page.load(field, Acquire)
    }

    #[inline]
    pub(crate) fn store(&self, field: u64, value: u64) {
        self.storage.memory.store(self.base + field, value, Release);
    }

    /// Where the root of a space's index is.
    #[inline]
    pub(crate) fn root_at(&self, space: Space) -> u64 {
        self.storage.geometry.root(self.index, space as u64)
    }

    /// A field that each space has its own of.
    #[inline]
    pub(crate) fn field(field: u64, space: Space) -> u64 {
        field + space as u64 * 8
    }

    #[inline]
    pub(crate) fn shard_lock(&self) -> ShardLock<'a> {
        ShardLock { word: self.base + LOCK, memory: &self.storage.memory, participants: self.storage.participants() }
    }

    #[inline]
    pub(crate) fn is_damaged(&self) -> bool {
        self.storage.memory.load32(self.base + DAMAGED, Relaxed) != 0
    }

    /// The error for bytes that contradict each other. From then on the shard is not believed any more.
    #[cold]
    pub(crate) fn corrupt(&self, what: &str) -> Error {
        self.storage.memory.store32(self.base + DAMAGED, 1, Release);
        self.damaged(what)
    }

    /// The error for bytes that contradict each other, told by somebody who only reads.
    #[cold]
    pub(crate) fn damaged(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::Corrupt,
            format!(
                "{}: part {} of the store is damaged ({what}); restore a dump, or `shmsync destroy` it",
                self.storage.path.display(),
                self.index
            ),
        )
    }

    /// Takes the lock, finishing or undoing what a dead holder had begun. Whatever else has to be waited for while it is
    /// held counts against the same allowance.
    #[inline(always)]
    pub(crate) fn lock(self, me: Name, allowance: &'a Allowance) -> Result<Locked<'a>> {
        if self.is_writable() && self.shard_lock().try_lock(me) {
            return self.locked(me, allowance).check_unless_idle();
        }
        self.lock_contended(me, allowance)
    }

    fn is_writable(&self) -> bool {
        self.storage.memory.writable()
    }

    #[inline(always)]
    pub(super) fn locked(self, me: Name, allowance: &'a Allowance) -> Locked<'a> {
        let page = self.storage.memory.page_mut(self.base).expect("what can be locked can be written");
        Locked { shard: self, page, me, allowance }
    }

    #[cold]
    fn lock_contended(self, me: Name, allowance: &'a Allowance) -> Result<Locked<'a>> {
        match self.shard_lock().lock(me, allowance) {
            Ok(taken) => self.locked(me, allowance).check(taken),
            Err(held) => Err(self.storage.held(held)),
        }
    }
}

/// A shard whose lock this thread holds.
pub(crate) struct Locked<'a> {
    pub(crate) shard: Shard<'a>,
    page: PageMut<'a>,
    pub(crate) me: Name,
    /// For how long others may still be waited for.
    pub(crate) allowance: &'a Allowance,
}

impl<'a> std::ops::Deref for Locked<'a> {
    type Target = Shard<'a>;

    fn deref(&self) -> &Shard<'a> {
        &self.shard
    }
}

impl<'a> Locked<'a> {
    /// What was free is as it should be, or is put in order.
    #[inline(always)]
    pub(super) fn check_unless_idle(self) -> Result<Self> {
        if self.is_idle() && !self.is_damaged() { Ok(self) } else { self.check(Taken::Free) }
    }

    /// Finishes or undoes what is unfinished, before anything else is done.
    #[cold]
    fn check(self, taken: Taken) -> Result<Self> {
        if taken != Taken::Free || !self.is_idle() {
            let recovery = self.storage.begin_recovery(taken);
            if let Err(error) = self.recover() {
                let lock = self.shard_lock();
                // Not by dropping it, which would try once more.
                std::mem::forget(self);
                lock.give_up();
                return Err(error);
            }
            self.storage.end_recovery(self.index, recovery);
        }
        if self.is_damaged() {
            return Err(self.corrupt("it was found damaged before"));
        }
        Ok(self)
    }

    /// Whether nothing is under way.
    #[inline]
    fn is_idle(&self) -> bool {
        self.load(INTENT) == Intent::Idle as u64 && self.load(NOTES) == 0
    }

    /// Writes a word of the header.
    #[inline(always)]
    pub(crate) fn store(&self, field: u64, value: u64) {
        self.page.store(field, value, Release);
    }

    #[inline]
    pub(crate) fn journal(&self) -> journal::Journal<'a> {
        journal::Journal { memory: &self.storage.memory, page: self.page }
    }

    /// Says what is about to be done. Until [`Locked::idle`] others would finish or undo it.
    #[inline]
    pub(crate) fn intend(&self, intent: Intent, space: Space, at: u64, old: Slot, new: Slot) {
        self.store(INTENT_AT, at);
        self.store(INTENT_OLD, old.0);
        self.store(INTENT_NEW, new.0);
        self.store(INTENT, intent as u64 | (space as u64) << 8);
    }

    /// It is done.
    #[inline]
    pub(crate) fn idle(&self) {
        self.store(INTENT, Intent::Idle as u64);
        self.journal().clear();
    }

    /// The next revision: the shard's clock, then its number.
    ///
    /// # Errors
    /// `Corrupt` when the clock has left its range: a revision would be 0, or older than the last one.
    #[inline]
    pub(crate) fn tick(&self) -> Result<u64> {
        let clock = self.load(CLOCK);
        if clock >= CLOCK_END {
            return Err(self.corrupt("its clock is garbage"));
        }
        self.store(CLOCK, clock + 1);
        Ok((clock + 1) << 6 | u64::from(self.index))
    }

    /// Slots begin to change: whoever reads several of them at once must begin anew.
    #[inline]
    pub(crate) fn begin_change(&self) {
        let sequence = self.load(SEQUENCE);
        self.page.store(SEQUENCE, sequence | 1, Relaxed);
        fence(Release);
    }

    /// Slots have changed.
    #[inline]
    pub(crate) fn end_change(&self) {
        self.store(SEQUENCE, (self.load(SEQUENCE) | 1).wrapping_add(1));
    }

    /// The commit point: from this store on the new slot is what everybody sees. A full fence, because waiters are
    /// looked for next.
    #[inline]
    pub(crate) fn publish(&self, at: u64, slot: Slot) {
        let order = if broken::has(Defect::WaitersMissed) { Release } else { SeqCst };
        self.storage.memory.swap(at, slot.0, order);
    }
}

impl Locked<'_> {
    #[cold]
    fn give_up(&self) {
        if !self.is_damaged() && self.recover().is_err() {
            self.shard_lock().give_up();
        } else {
            self.shard_lock().unlock();
        }
    }
}

impl Drop for Locked<'_> {
    /// An operation that ended with an error was left in the middle: it is undone as if its process had died.
    #[inline(always)]
    fn drop(&mut self) {
        if self.is_idle() { self.shard_lock().unlock() } else { self.give_up() }
    }
}
