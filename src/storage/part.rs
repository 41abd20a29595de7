//! What one shard contributes to a transaction: an entry for each slot, in the shard's header, or in a block where they
//! are more than [`HEADER_ENTRIES`].
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | 0: no record begins here |
//! | 8 | 8 | tag: clock of the home shard << 6 \| home shard |
//! | 16 | 8 | entries that are complete |
//! | 24 | 8 | entries that were put away after the commit |
//! | 32 | 32 each | slot's offset (bits 0–39), wait word (40–49), space (50); old slot; new slot; tag |
//!
//! The home shard's word `clock << 2 | state` is the commit point of the whole: one store, for everybody.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::{
    Storage,
    shard::{HEADER_PART, Shard, TXN},
    slot::{GRAVE, Slot},
};
use crate::{
    driver::Space,
    region::memory::{Memory, PAGE, PageMut},
};

const TAG: u64 = 8;
const COUNT: u64 = 16;
const DONE: u64 = 24;
const ENTRIES: u64 = 32;
const ENTRY: u64 = 32;
/// So many entries fit into the shard's header.
pub(crate) const HEADER_ENTRIES: u64 = (PAGE - HEADER_PART - ENTRIES) / ENTRY;
const AT_MASK: u64 = (1 << 40) - 1;

pub(crate) const PREPARED: u64 = 1;
pub(crate) const COMMITTED: u64 = 2;

/// A transaction: its home shard, and that shard's clock when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag(pub(crate) u64);

impl Tag {
    pub(crate) fn home(self) -> u32 {
        (self.0 & 63) as u32
    }

    /// The home's word when the transaction is in that state.
    pub(crate) fn word(self, state: u64) -> u64 {
        (self.0 >> 6) << 2 | state
    }

    /// The home's word now; 0 when the home is garbage.
    fn now(self, storage: &Storage) -> u64 {
        if self.home() >= storage.geometry.shards { 0 } else { storage.shard(self.home()).load(TXN) }
    }

    pub(crate) fn is_committed(self, storage: &Storage) -> bool {
        self.now(storage) == self.word(COMMITTED)
    }
}

/// An entry as its own writer and recoverers see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) at: u64,
    pub(crate) wait: u64,
    pub(crate) space: Space,
    pub(crate) old: Slot,
    pub(crate) new: Slot,
}

impl Entry {
    #[inline(always)]
    fn place(&self) -> u64 {
        self.at | self.wait << 40 | (self.space as u64) << 50
    }
}

/// A shard's part of a transaction.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) memory: &'a Memory,
    pub(crate) at: u64,
}

impl Part<'_> {
    /// Bytes of a part with so many entries.
    pub(crate) fn size(entries: u64) -> u64 {
        ENTRIES + entries * ENTRY
    }

    #[inline(always)]
    pub(crate) fn begin(&self, tag: Tag) {
        self.memory.store(self.at, 0, Release);
        self.memory.store(self.at + TAG, tag.0, Release);
        self.memory.store(self.at + COUNT, 0, Release);
        self.memory.store(self.at + DONE, 0, Release);
    }

    #[inline]
    pub(crate) fn tag(&self) -> Tag {
        Tag(self.memory.load(self.at + TAG, Acquire))
    }

    #[inline]
    pub(crate) fn count_at(&self) -> u64 {
        self.at + COUNT
    }

    #[inline]
    pub(crate) fn count(&self) -> u64 {
        self.memory.load(self.count_at(), Acquire)
    }

    #[inline]
    pub(crate) fn done_at(&self) -> u64 {
        self.at + DONE
    }

    #[inline]
    pub(crate) fn done(&self) -> u64 {
        self.memory.load(self.done_at(), Acquire)
    }

    #[inline]
    pub(crate) fn entry_at(&self, index: u64) -> u64 {
        self.at + ENTRIES + index * ENTRY
    }

    /// The tag last: whoever sees it sees the rest.
    #[inline(always)]
    pub(crate) fn write(&self, tag: Tag, index: u64, entry: Entry) {
        let at = self.entry_at(index);
        self.memory.store(at, entry.place(), Release);
        self.memory.store(at + 8, entry.old.0, Release);
        self.memory.store(at + 16, entry.new.0, Release);
        self.memory.store(at + 24, tag.0, Release);
    }

    #[inline(always)]
    pub(crate) fn read(&self, index: u64) -> Entry {
        let (at, view) = (self.entry_at(index), self.memory.view());
        let place = view.load(at, Relaxed);
        Entry {
            at: place & AT_MASK,
            wait: place >> 40 & 0x3ff,
            space: if place >> 50 & 1 == 0 { Space::Values } else { Space::Coordination },
            old: Slot(view.load(at + 8, Relaxed)),
            new: Slot(view.load(at + 16, Relaxed)),
        }
    }
}

/// A part of one entry in the header of its shard, for whoever has that at hand.
#[derive(Clone, Copy)]
pub(crate) struct Single<'a>(pub(crate) PageMut<'a>);

impl Single<'_> {
    /// Where in the shard's header its entry is.
    pub(crate) const ENTRY: u64 = HEADER_PART + ENTRIES;

    /// As [`Part::begin`].
    #[inline(always)]
    pub(crate) fn begin(self, tag: Tag) {
        self.store(0, 0);
        self.store(TAG, tag.0);
        self.store(COUNT, 0);
        self.store(DONE, 0);
    }

    /// As [`Part::write`]. The entry is complete.
    #[inline(always)]
    pub(crate) fn write(self, tag: Tag, entry: Entry) {
        self.store(ENTRIES, entry.place());
        self.store(ENTRIES + 8, entry.old.0);
        self.store(ENTRIES + 16, entry.new.0);
        self.store(ENTRIES + 24, tag.0);
        self.store(COUNT, 1);
    }

    /// The entry was put away.
    #[inline(always)]
    pub(crate) fn end(self) {
        self.store(DONE, 1);
    }

    #[inline(always)]
    fn store(self, field: u64, value: u64) {
        self.0.store(HEADER_PART + field, value, Release);
    }
}

/// An entry as a reader sees it through a mark.
#[derive(Clone, Copy)]
pub(crate) struct Sighting {
    /// The tag stands 24 bytes behind this.
    entry: u64,
    tag: Tag,
    state: u64,
    old: Slot,
    new: Slot,
}

impl Sighting {
    /// What an entry says of the slot at `at`; `None` when it is no longer that slot's.
    pub(crate) fn of(storage: &Storage, entry: u64, at: u64) -> Option<Self> {
        let word = |field| storage.memory.load(entry + field, Acquire);
        let tag = Tag(word(24));
        let (place, old, new) = (word(0), Slot(word(8)), Slot(word(16)));
        let state = tag.now(storage);
        let sound = place & AT_MASK == at && (state == tag.word(PREPARED) || state == tag.word(COMMITTED));
        sound.then_some(Self { entry, tag, state, old, new })
    }

    /// What a condemned slot means, as the shard's header at `header` says; `None` when no transaction is under way.
    pub(crate) fn of_condemned(storage: &Storage, header: u64, raw: Slot) -> Option<Self> {
        let entry = header + super::shard::CONDEMNED - 24;
        let tag = Tag(storage.memory.load(entry + 24, Acquire));
        let state = tag.now(storage);
        let sound = state == tag.word(PREPARED) || state == tag.word(COMMITTED);
        sound.then(|| Self { entry, tag, state, old: Slot::record(raw.hash(), raw.offset(), true), new: GRAVE })
    }

    /// The slot that it means now.
    pub(crate) fn slot(&self) -> Slot {
        if self.state == self.tag.word(COMMITTED) { self.new } else { self.old }
    }

    /// Whether entry and transaction are as they were.
    pub(crate) fn holds(&self, storage: &Storage) -> bool {
        storage.memory.load(self.entry + 24, Acquire) == self.tag.0 && self.tag.now(storage) == self.state
    }
}

impl Shard<'_> {
    /// This shard's part of a transaction, if it takes part in one.
    #[inline]
    pub(crate) fn part(&self) -> Option<Part<'_>> {
        match self.load(super::shard::PART) {
            0 => None,
            at => Some(Part { memory: &self.storage.memory, at }),
        }
    }

    /// Whether a part is the one that has its place in this shard's header.
    #[inline]
    pub(crate) fn is_in_header(&self, part: Part<'_>) -> bool {
        part.at == self.base + HEADER_PART
    }
}
