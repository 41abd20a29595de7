//! Removing many records at once without a byte of room: the slots themselves say so.
//!
//! A part of a transaction needs 32 bytes for each slot. Who clears a full store has none. So where many records of a
//! shard are to go, their slots are *condemned*: they keep the record's offset and get both bits MARK and MORTAL. A
//! reader that meets one looks at the transaction that the shard's header names, and takes the record, or nothing.
//! Whoever finishes or undoes it goes through the whole index.

use std::{
    num::NonZeroU64,
    sync::atomic::Ordering::{Acquire, Release},
};

use super::{
    find::Found,
    part::Tag,
    record::Record,
    shard::{CONDEMNED, Locked},
    slot::{GRAVE, Slot},
    transaction::Change,
};
use crate::{
    driver::{Space, State},
    error::Result,
    primitive::{atomics::MODELLED, wait_word::Duty},
};

/// From so many removals in one shard on.
pub(super) const MANY: usize = if MODELLED { 2 } else { 64 };

impl Locked<'_> {
    /// Condemns the slots of these keys; the revisions of those that were live.
    pub(super) fn condemn(
        &self,
        tag: Tag,
        removals: &[Change<'_>],
        revisions: &mut [Option<NonZeroU64>],
    ) -> Result<()> {
        self.store(CONDEMNED, tag.0);
        for removal in removals {
            let Found::Here { at, slot } = self.find(&removal.key)? else { continue };
            if self.current(slot)?.state == State::Live {
                revisions[removal.number] = NonZeroU64::new(self.tick()?);
            }
            self.storage.memory.store(at, slot.condemned().0, Release);
        }
        Ok(())
    }

    /// What becomes of condemned slots. Repeated by whoever recovers.
    pub(super) fn end_condemned(&self, committed: bool, duty: Duty) -> Result<()> {
        if self.load(CONDEMNED) == 0 {
            return Ok(());
        }
        for space in [Space::Values, Space::Coordination] {
            let root = self.sound_root(space)?;
            for number in 0..root.slots() {
                let at = root.slot_at(number);
                let slot = Slot(self.storage.memory.load(at, Acquire));
                if slot.is_condemned() {
                    self.end_one(space, at, self.pardoned(slot)?, committed, duty)?;
                }
            }
        }
        self.store(CONDEMNED, 0);
        Ok(())
    }

    fn end_one(&self, space: Space, at: u64, slot: Slot, committed: bool, duty: Duty) -> Result<()> {
        if !committed {
            self.storage.memory.store(at, slot.0, Release);
            return Ok(());
        }
        let current = self.current(slot)?;
        let wait = self.wait_of(&current.record, current.shape);
        self.give_back()?;
        // The slot is in the notes too: until all of this is done, it is still condemned.
        self.journal().set(at, GRAVE.0);
        self.count_slot(space, slot, GRAVE);
        self.notify(space, wait, slot, GRAVE, duty);
        self.retire(slot.offset())?;
        self.journal().clear();
        Ok(())
    }

    /// The slot as it was; whether it had a lifetime is known from its record.
    fn pardoned(&self, slot: Slot) -> Result<Slot> {
        let record = Record::new(&self.storage.memory, slot.offset());
        match record.shape() {
            Some(shape) => Ok(Slot::record(slot.hash(), slot.offset(), shape.is_mortal())),
            None => Err(self.corrupt("a condemned slot names no record")),
        }
    }
}
