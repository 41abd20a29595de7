//! Changing one slot.

use std::sync::atomic::Ordering::Relaxed;

use super::{
    Key,
    find::Found,
    index::Root,
    record::{Life, Record, Shape, checksum_of},
    shard::{
        BURY, INTENT, INTENT_AT, INTENT_NEW, INTENT_OLD, INTENT_WAIT, Intent, LIVE, Locked, MORTALS, SEQUENCE, Shard,
        USED,
    },
    slot::{EMPTY, GRAVE, Slot},
};
use crate::{
    broken::{self, Defect},
    driver::{Space, State},
    error::{ErrorKind, Result},
    primitive::wait_word::Duty,
};

/// Of so many changes of a shard, one looks for what is to be buried after all that are in a hurry, too.
const TURN: u64 = 8;

/// Whether that is the next one, as the shard's sequence says, which grows by two for each.
#[inline(always)]
pub(super) fn is_turn_to_bury(sequence: u64) -> bool {
    (sequence / 2).is_multiple_of(TURN)
}

/// "Not known yet": no slot ever looks so.
const UNKNOWN: Slot = Slot(u64::MAX);

/// Once a change is made, it is no failure that somebody stands still with a lock that is needed to clear up after it:
/// whoever comes next does that first.
pub(super) fn unless_locked(cleared_up: Result<()>) -> Result<()> {
    match cleared_up {
        Err(error) if error.kind() == ErrorKind::Locked => Ok(()),
        cleared_up => cleared_up,
    }
}

impl Shard<'_> {
    /// Wakes who waits for a key, for a prefix of it, or for anything.
    #[inline]
    pub(crate) fn notify(&self, space: Space, wait: u64, old: Slot, new: Slot, duty: Duty) {
        if wait < crate::region::layout::WAIT_WORD_COUNT {
            self.storage.wait_word(wait).notify_of(duty);
        }
        self.storage.any_wait_word().notify_of(duty);
        if self.storage.watches().any() {
            self.notify_watches(space, if new.is_record() { new } else { old }, duty);
        }
    }

    #[cold]
    fn notify_watches(&self, space: Space, slot: Slot, duty: Duty) {
        let record = Record::new(&self.storage.memory, slot.offset());
        let mut key = Vec::new();
        if slot.is_record() && record.shape().is_some_and(|shape| record.key(shape, &mut key).is_some()) {
            self.storage.watches().tell(space as u64, &key, self.index, duty);
        }
    }
}

impl Locked<'_> {
    /// Stores a value; its revision.
    pub(crate) fn put(&self, key: &Key<'_>, value: &[u8], life: Life) -> Result<u64> {
        self.bury()?;
        self.put_over(self.find(key)?, key, value, life)
    }

    /// Stores a value where its key was just found, or not found. Room that rests is used before the answer is `Full`.
    pub(crate) fn put_over(&self, found: Found, key: &Key<'_>, value: &[u8], life: Life) -> Result<u64> {
        match self.put_once(found, key, value, life) {
            Err(error) if error.kind() == ErrorKind::Full => {
                self.recover()?;
                self.free_retired()?;
                self.put_once(self.find(key)?, key, value, life)
            }
            other => other,
        }
    }

    #[inline]
    fn put_once(&self, found: Found, key: &Key<'_>, value: &[u8], life: Life) -> Result<u64> {
        self.put_block(found, key, life, || {
            let shape = Shape::new(key.space, key.bytes.len(), value.len(), life);
            let record = Record::new(&self.storage.memory, self.allocate_for(key, shape)?);
            let Some(filled) = record.fill(shape, key.bytes, value, life) else {
                return Err(self.corrupt("a block lies outside the store"));
            };
            let revision = self.tick()?;
            filled.seal(shape, checksum_of(key, value), life, revision);
            Ok((record.at, revision))
        })
    }

    /// Where the new record of a key goes.
    #[inline]
    fn allocate_for(&self, key: &Key<'_>, shape: Shape) -> Result<u64> {
        if broken::has(Defect::FreedBeforePublished)
            && let Found::Here { slot, .. } = self.find(key)?
        {
            return Ok(slot.offset());
        }
        self.borrow_or_allocate(shape.size())
    }

    /// Lets the slot of a key that was just looked for name a block that `make` makes, with its revision.
    #[inline(always)]
    pub(crate) fn put_block(
        &self,
        found: Found,
        key: &Key<'_>,
        life: Life,
        make: impl FnOnce() -> Result<(u64, u64)>,
    ) -> Result<u64> {
        let (at, old) = match found {
            Found::Here { at, slot } => (at, slot),
            found => self.new_place(found, key)?,
        };
        self.intend(Intent::Swap, key.space, at, old, UNKNOWN);
        let (block, revision) = make()?;
        self.swap(key.space, at, old, Slot::record(key.hash, block, life.is_mortal()), key.wait)?;
        Ok(revision)
    }

    /// Where a slot for a new key can be, and what is there now: where it was just found to be, unless the index has to
    /// grow for it.
    fn new_place(&self, found: Found, key: &Key<'_>) -> Result<(u64, Slot)> {
        if let Found::Vacant { at, slot } = found
            && self.has_room(key.space, 1)?
        {
            return Ok((at, slot));
        }
        self.reserve(key.space, 1)?;
        match self.find(key)? {
            Found::Here { at, slot } | Found::Vacant { at, slot } => Ok((at, slot)),
            Found::NoRoom => Err(self.storage.full()),
        }
    }

    /// Removes a key, live or dead; the state in which it was, and the revision of its removal.
    pub(crate) fn delete(&self, key: &Key<'_>) -> Result<Option<(State, u64)>> {
        self.bury()?;
        self.delete_found(self.find(key)?, key)
    }

    /// The same for what was just found, or not found.
    pub(crate) fn delete_found(&self, found: Found, key: &Key<'_>) -> Result<Option<(State, u64)>> {
        let Found::Here { at, slot } = found else { return Ok(None) };
        let state = if slot.is_mortal() { self.current(slot)?.state } else { State::Live };
        let revision = self.tick()?;
        self.remove_slot(key.space, at, slot, key.wait)?;
        self.shrink(key.space)?;
        Ok(Some((state, revision)))
    }

    fn remove_slot(&self, space: Space, at: u64, slot: Slot, wait: u64) -> Result<()> {
        let root = self.root(space);
        let number = at.wrapping_sub(root.offset()) / 8;
        // Where the row ends anyway, no grave is needed.
        let new = if root.slot(&self.storage.memory, number.wrapping_add(1)) == EMPTY { EMPTY } else { GRAVE };
        self.intend(Intent::Swap, space, at, slot, UNKNOWN);
        if broken::has(Defect::SlotMoved) && new == GRAVE {
            self.swap(space, at, slot, root.slot(&self.storage.memory, number + 1), wait)?;
            self.storage.memory.store(root.slot_at(number + 1), GRAVE.0, Relaxed);
            return Ok(());
        }
        self.swap(space, at, slot, new, wait)
    }

    /// Commits the intent by changing the slot, then does what follows.
    #[inline(always)]
    fn swap(&self, space: Space, at: u64, old: Slot, new: Slot, wait: u64) -> Result<()> {
        self.store(INTENT_WAIT, wait);
        self.store(INTENT_NEW, new.0);
        self.begin_change();
        self.publish(at, new);
        self.begin_settling(space);
        self.settle_slot(space, old, new, wait, Duty::Own)
    }

    /// What was allocated stays.
    #[inline]
    fn begin_settling(&self, space: Space) {
        self.journal().clear();
        self.store(INTENT, Intent::Settle as u64 | (space as u64) << 8);
    }

    /// What follows a commit, as the intent says.
    pub(crate) fn settle(&self, duty: Duty) -> Result<()> {
        self.begin_settling(self.intended_space());
        self.settle_again(duty)
    }

    fn intended_space(&self) -> Space {
        if self.load(INTENT) >> 8 & 1 == 0 { Space::Values } else { Space::Coordination }
    }

    /// The part of `settle` that whoever recovers repeats, after undoing what was noted of it.
    pub(crate) fn settle_again(&self, duty: Duty) -> Result<()> {
        let space = self.intended_space();
        let (at, old) = (self.load(INTENT_AT), self.load(INTENT_OLD));
        if at == self.root_at(space) {
            self.settle_index(space, Root(old))?;
            self.idle();
            return unless_locked(self.give_back());
        }
        self.settle_slot(space, Slot(old), Slot(self.load(INTENT_NEW)), self.load(INTENT_WAIT), duty)
    }

    /// The books are brought up to date, who waits is woken, the old record is put away.
    #[inline(always)]
    fn settle_slot(&self, space: Space, old: Slot, new: Slot, wait: u64, duty: Duty) -> Result<()> {
        self.end_change();
        self.count_slot(space, old, new);
        self.notify(space, wait, old, new, duty);
        if !(old == new && broken::has(Defect::FreedBeforePublished)) {
            self.settle_blocks(old, new, duty == Duty::Inherited)?;
        }
        self.idle();
        unless_locked(self.give_back())
    }

    /// Counts what a changed slot means.
    #[inline(always)]
    pub(crate) fn count_slot(&self, space: Space, old: Slot, new: Slot) {
        let count = |field, before: bool, after: bool| {
            if before != after {
                let at = self.base + Shard::field(field, space);
                let count = self.storage.memory.load(at, Relaxed);
                self.journal().set(at, if after { count.wrapping_add(1) } else { count.wrapping_sub(1) });
            }
        };
        count(LIVE, old.is_record(), new.is_record());
        count(USED, old != EMPTY, new != EMPTY);
        count(MORTALS, old.is_record() && old.is_mortal(), new.is_record() && new.is_mortal());
    }

    /// Looks at two slots of each space for each change, and buries what is expired or orphaned, so that what nobody
    /// touches again goes too: also the claims of the dead in a store in which only values are written.
    #[inline(always)]
    pub(crate) fn bury(&self) -> Result<()> {
        // What could not be given back after a change is so before the next one, or there is none.
        self.give_back()?;
        let changes = if is_turn_to_bury(self.load(SEQUENCE)) { TURN } else { 1 };
        for space in [Space::Values, Space::Coordination] {
            if self.load(Shard::field(MORTALS, space)) != 0 {
                self.bury_some(space, 2 * changes)?;
            }
        }
        Ok(())
    }

    /// Looks at every slot once.
    pub(crate) fn bury_all(&self) -> Result<()> {
        for space in [Space::Values, Space::Coordination] {
            if self.load(Shard::field(MORTALS, space)) != 0 {
                self.bury_some(space, self.sound_root(space)?.slots())?;
            }
        }
        Ok(())
    }

    /// Looks at so many slots.
    fn bury_some(&self, space: Space, slots: u64) -> Result<()> {
        let all = self.sound_root(space)?.slots();
        for _ in 0..slots.min(all) {
            let root = self.sound_root(space)?;
            if !root.exists() {
                return Ok(());
            }
            let cursor = self.load(Shard::field(BURY, space));
            self.store(Shard::field(BURY, space), cursor.wrapping_add(1));
            let slot = root.slot(&self.storage.memory, cursor);
            if slot.is_record() && slot.is_mortal() {
                let current = self.current(slot)?;
                if current.state != State::Live {
                    self.give_back()?;
                    let wait = self.wait_of(&current.record, current.shape);
                    self.tick()?;
                    self.remove_slot(space, root.slot_at(cursor), slot, wait)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn wait_of(&self, record: &Record<'_>, shape: Shape) -> u64 {
        let mut bytes = Vec::new();
        record.key(shape, &mut bytes);
        self.storage.key(Space::Values, &bytes).wait
    }
}
