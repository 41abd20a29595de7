//! The index of a space within a shard: a table of slots, searched in a row.
//!
//! A root word says where it is:
//!
//! | bits | what |
//! |---|---|
//! | 0–33 | offset of the table in units of 16 bytes; 0 = there is none yet |
//! | 34–39 | logarithm of the number of slots |
//! | 40–63 | generation: grows with every new table |
//!
//! Slots never move inside a table (attack 17). A table that is too full, or too full of graves, is replaced by a new
//! one, built beside it from the hash bits in the slots alone, and published by one store of the root.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::{
    shard::{Intent, LIVE, Locked, Shard, USED},
    slot::{EMPTY, GRAVE, HASH_BITS, Slot},
};
use crate::{
    broken::{self, Defect},
    driver::Space,
    error::{ErrorKind, Result},
    primitive::atomics::{MODELLED, fence},
    region::{
        layout::UNIT,
        memory::{Memory, View},
    },
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

    /// The first slot with this hash and where it is, if it is among the first few of its row.
    #[inline]
    pub(crate) fn first_of(self, hash: u32, view: View<'_>) -> Option<(u64, Slot)> {
        let start = self.start(hash);
        for number in start..start + NEAR {
            let at = self.slot_at(number);
            let slot = Slot(view.load(at, Acquire));
            if slot == EMPTY {
                return None;
            }
            if slot.hash() == hash && slot != GRAVE {
                return Some((at, slot));
            }
        }
        None
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

    /// Makes room for so many more slots. When none is left for a larger index, the present one is filled up first.
    pub(crate) fn reserve(&self, space: Space, more: u64) -> Result<()> {
        let root = self.sound_root(space)?;
        let slots = root.slots();
        let (live, used) = self.counts(space, root)?;
        if root.exists() && (used + more) * 4 <= slots * 3 {
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

    /// Makes a sparse index smaller.
    pub(crate) fn shrink(&self, space: Space) -> Result<()> {
        let root = self.sound_root(space)?;
        let (live, _) = self.counts(space, root)?;
        if root.slots() <= FEWEST || live * 16 > root.slots() {
            return Ok(());
        }
        let wanted = (live * 2).next_power_of_two().max(FEWEST);
        match self.rebuild_index(space, wanted) {
            Err(error) if error.kind() == ErrorKind::Full => self.recover(),
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
        self.settle()
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
            self.retire(old.offset())?;
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
