//! The index of a space within a shard: a table of slots, searched in a row.
//!
//! A root word says where it is:
//!
//! | bits | what |
//! |---|---|
//! | 0–33 | offset of the table in units of 8 bytes; 0 = there is none yet |
//! | 34–39 | logarithm of the number of slots |
//! | 40–63 | generation: grows with every new table |
//!
//! Slots never move inside a table (attack 17). A table that is too full, or too full of graves, is replaced by a new
//! one, built beside it from the hash bits in the slots alone, and published by one store of the root.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::{
    classes::LARGEST,
    shard::{Intent, LIVE, Locked, Shard, USED},
    slot::{EMPTY, GRAVE, HASH_BITS, Slot},
    write::unless_locked,
};
use crate::{
    broken::{self, Defect},
    driver::Space,
    error::{ErrorKind, Result},
    primitive::{
        atomics::{MODELLED, fence},
        wait_word::Duty,
    },
    region::{glance::Glance, layout::UNIT, memory::Memory, row::Row},
};

const OFFSET: u64 = (1 << 34) - 1;
/// So many slots of a row are looked at in a hurry.
const NEAR: u64 = 16;
const FEWEST: u64 = if MODELLED { 4 } else { 64 };

/// Where an index is and how large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Root(pub(crate) u64);

impl Root {
    fn new(offset: u64, slots: u64, generation: u64) -> Self {
        Self((offset / UNIT) | (u64::from(slots.ilog2()) << 34) | generation << 40)
    }

    pub(crate) fn exists(self) -> bool {
        self.0 & OFFSET != 0
    }

    #[inline]
    pub(crate) fn offset(self) -> u64 {
        (self.0 & OFFSET) * UNIT
    }

    #[inline]
    fn log(self) -> u32 {
        ((self.0 >> 34 & 63) as u32).min(HASH_BITS)
    }

    #[inline]
    pub(crate) fn slots(self) -> u64 {
        if self.exists() { 1 << self.log() } else { 0 }
    }

    fn next_generation(self) -> u64 {
        ((self.0 >> 40) + 1) & 0xff_ffff
    }

    /// Where the slot of that number is, counted around.
    #[inline]
    pub(crate) fn slot_at(self, number: u64) -> u64 {
        self.offset() + (number & ((1 << self.log()) - 1)) * 8
    }

    /// The slot at which the search for a hash begins.
    #[inline]
    pub(crate) fn start(self, hash: u32) -> u64 {
        u64::from(hash) >> (HASH_BITS - self.log())
    }

    /// The first slot that names a record without a lifetime whose key has this hash, where it is, and its word, if it is
    /// among the first few of its row.
    #[inline(always)]
    pub(crate) fn plain_of<'a>(self, hash: u32, glance: Glance<'a>) -> Option<(u64, Slot, Row<'a>)> {
        // Garbage leads somewhere, which is looked at as everything else is.
        let log = (self.0 >> 34) as u32 & 63;
        let mask = !(u64::MAX << log);
        let start = u64::from(hash).wrapping_shr(HASH_BITS.wrapping_sub(log));
        for number in start..start + NEAR {
            let at = self.offset() + (number & mask) * 8;
            let place = glance.row(at, 1)?;
            let slot = Slot(place.load(0, Acquire));
            if slot.is_plain_of(hash) {
                return (slot.offset() != 0).then_some((at, slot, place));
            }
            if slot == EMPTY {
                return None;
            }
        }
        None
    }

    /// Where a key with this hash can be put that is not there, and what stands there: the first grave of its row, or the
    /// slot that ends it. `None` where that is not among the first few, or where the key may be there after all.
    #[inline(always)]
    pub(crate) fn vacancy(self, hash: u32, glance: Glance<'_>) -> Option<(u64, Slot)> {
        let mut grave = None;
        if !self.exists() {
            return None;
        }
        for number in self.start(hash)..self.start(hash) + NEAR.min(self.slots()) {
            let at = self.slot_at(number);
            let slot = Slot(glance.row(at, 1)?.load(0, Acquire));
            match slot {
                EMPTY => return Some((grave.unwrap_or(at), if grave.is_some() { GRAVE } else { EMPTY })),
                GRAVE => grave = grave.or(Some(at)),
                slot if slot.hash() == hash => return None,
                _ => {}
            }
        }
        None
    }

    /// Whether the row ends with the slot behind this one: then no grave is needed here.
    #[inline(always)]
    pub(crate) fn ends_behind(self, at: u64, glance: Glance<'_>) -> Option<bool> {
        let number = at.wrapping_sub(self.offset()) / 8;
        Some(glance.row(self.slot_at(number.wrapping_add(1)), 1)?.load(0, Acquire) == EMPTY.0)
    }

    /// Whether so few records are to have a smaller index.
    #[inline(always)]
    pub(crate) fn is_sparse(self, live: u64) -> bool {
        self.slots() > FEWEST && live * 16 <= self.slots()
    }

    #[inline]
    pub(crate) fn slot(self, memory: &Memory, number: u64) -> Slot {
        Slot(memory.load(self.slot_at(number), Acquire))
    }
}

impl Shard<'_> {
    #[inline]
    pub(crate) fn root(&self, space: Space) -> Root {
        Root(self.storage.memory.load(self.root_at(space), Acquire))
    }
}

impl Locked<'_> {
    /// The root of an index that lies in the file.
    #[inline]
    pub(crate) fn sound_root(&self, space: Space) -> Result<Root> {
        let root = self.root(space);
        if !self.storage.memory.contains(root.offset(), root.slots() * 8) {
            return Err(self.corrupt("its index lies outside the file"));
        }
        Ok(root)
    }

    /// The counts of records and of slots that are not empty, which no garbage makes larger than the index.
    fn counts(&self, space: Space, root: Root) -> Result<(u64, u64)> {
        let (live, used) = (self.load(Shard::field(LIVE, space)), self.load(Shard::field(USED, space)));
        if live > used || used > root.slots() {
            return Err(self.corrupt("it counts more records than its index has slots"));
        }
        Ok((live, used))
    }

    /// Whether there is room for so many more slots.
    #[inline]
    pub(crate) fn has_room(&self, space: Space, more: u64) -> Result<bool> {
        let root = self.sound_root(space)?;
        let (_, used) = self.counts(space, root)?;
        Ok(root.exists() && (used + more) * 4 <= root.slots() * 3)
    }

    /// Makes room for so many more slots. When none is left for a larger index, the present one is filled up first.
    pub(crate) fn reserve(&self, space: Space, more: u64) -> Result<()> {
        if self.has_room(space, more)? {
            return Ok(());
        }
        let root = self.sound_root(space)?;
        let slots = root.slots();
        let (live, used) = self.counts(space, root)?;
        // Then records need the room more than searches need short ways. (A smaller one is a block of a span, which may be
        // larger than the run of extents that it would give way to.)
        let takes_a_run = slots * 8 > LARGEST;
        if takes_a_run && (used + more) * 8 <= slots * 7 && self.storage.space().is_nearly_full() {
            return Ok(());
        }
        let wanted = ((live + more) * 2).next_power_of_two().max(FEWEST);
        match self.rebuild_index(space, wanted) {
            Err(error) if error.kind() == ErrorKind::Full && root.exists() && live + more < slots => {
                self.recover()?;
                Ok(())
            }
            other => other,
        }
    }

    /// Makes a sparse index smaller, where that can be had now.
    pub(crate) fn shrink(&self, space: Space) -> Result<()> {
        let root = self.sound_root(space)?;
        let (live, _) = self.counts(space, root)?;
        if !root.is_sparse(live) {
            return Ok(());
        }
        let wanted = (live * 2).next_power_of_two().max(FEWEST);
        match self.rebuild_index(space, wanted) {
            Err(error) if matches!(error.kind(), ErrorKind::Full | ErrorKind::Locked) => unless_locked(self.recover()),
            other => other,
        }
    }

    fn rebuild_index(&self, space: Space, slots: u64) -> Result<()> {
        let memory = &self.storage.memory;
        let old = self.sound_root(space)?;
        let at = self.root_at(space);
        self.intend(Intent::Swap, space, at, Slot(old.0), Slot(u64::MAX));
        let new = self.empty_index(slots, old)?;
        for number in 0..old.slots() {
            let slot = old.slot(memory, number);
            if slot.is_record() {
                self.insert(new, slot)?;
            }
        }
        self.store(super::shard::INTENT_NEW, new.0);
        self.store(super::shard::INTENT_WAIT, u64::MAX);
        self.storage.memory.swap(at, new.0, std::sync::atomic::Ordering::SeqCst);
        self.settle(Duty::Own)
    }

    /// An index that nobody reads yet.
    fn empty_index(&self, slots: u64, old: Root) -> Result<Root> {
        let offset = self.allocate(slots * 8)?;
        // The block may have been a record a moment ago: who still reads that finds it invalid before it finds it empty.
        self.storage.memory.store(offset, 0, Relaxed);
        if !broken::has(Defect::BlockClearedUnfenced) {
            fence(Release);
        }
        self.storage.memory.zero(offset, slots * 8);
        Ok(Root::new(offset, slots, old.next_generation()))
    }

    /// The same while everything is rebuilt; `idle` ends it.
    pub(crate) fn new_index(&self, space: Space, slots: u64) -> Result<Root> {
        self.intend(Intent::Books, space, 0, EMPTY, EMPTY);
        self.empty_index(slots.next_power_of_two().max(FEWEST), self.root(space))
    }

    /// Puts a slot into an index that nobody reads yet.
    pub(crate) fn insert(&self, root: Root, slot: Slot) -> Result<()> {
        let start = root.start(slot.hash());
        let memory = &self.storage.memory;
        let free = (start..start + root.slots()).find(|number| root.slot(memory, *number) == EMPTY);
        let Some(number) = free else { return Err(self.corrupt("it has more records than it counts")) };
        memory.store(root.slot_at(number), slot.0, Release);
        Ok(())
    }

    /// What follows once a new index was published. Repeated by whoever recovers.
    pub(crate) fn settle_index(&self, space: Space, old: Root) -> Result<()> {
        let journal = self.journal();
        journal.set(self.base + Shard::field(USED, space), self.load(Shard::field(LIVE, space)));
        if old.exists() {
            if !broken::has(Defect::IndexReusedUnfenced) {
                fence(Release);
            }
            // It need not rest: whoever searches it looks at the root again, and an index is hardly ever replaced twice.
            // Old ones at rest would be as large as the new one together.
            self.free(old.offset())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_keeps_what_it_was_made_of() {
        let root = Root::new(4096 + 64, 1 << 20, 7);
        assert_eq!((root.offset(), root.slots(), root.next_generation()), (4160, 1 << 20, 8));
        assert_eq!(root.start((1 << HASH_BITS) - 1), (1 << 20) - 1);
        assert_eq!(root.slot_at(1 << 20), root.slot_at(0));
    }
}
