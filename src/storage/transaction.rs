//! Changing many slots at once, over any number of shards.
//!
//! 1. All shards concerned are locked, lowest first. The lowest is the transaction's home.
//! 2. Each slot is replaced by a mark that leads to its entry in the shard's part. A reader that meets a mark looks
//!    at the home's word and takes the old slot, or the new one.
//! 3. The home's word becomes COMMITTED: one store, for everybody.
//! 4. Marks are replaced by the new slots, old records put away, parts freed; the home last, and its word only when no
//!    other shard needs it any more.
//!
//! Whoever recovers a shard finishes or undoes only that shard's part, as the home's word says; whoever recovers the
//! home first makes sure that every other shard has been recovered (attack 24).

use std::{
    num::NonZeroU64,
    sync::atomic::Ordering::{Acquire, Release, SeqCst},
};

use super::{
    Key, Storage, condemned,
    find::Found,
    part::{COMMITTED, Entry, HEADER_ENTRIES, PREPARED, Part, Tag},
    record::{Life, Record, Shape, checksum_of},
    shard::{CONDEMNED, HEADER_PART, Intent, Locked, PART, TXN, TXN_SHARDS},
    slot::{EMPTY, GRAVE, Slot},
    write::unless_locked,
};
use crate::{
    broken::{self, Defect},
    driver::{Space, State},
    error::{ErrorKind, Result},
    primitive::wait_word::Duty,
};

/// What becomes of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum To<'a> {
    Value(&'a [u8], Life),
    /// With the lifetime of the entry that it replaces.
    KeptValue(&'a [u8]),
    Nothing,
}

/// A change of one key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) key: Key<'a>,
    pub(crate) to: To<'a>,
    /// Which of all answers is this change's.
    pub(crate) number: usize,
}

impl Storage {
    /// All changes at once. The shards of all keys are locked by the caller, in order; each key occurs once, and those
    /// of one shard stand beside each other, in the order of the locks.
    /// One answer per change, by its number: its revision; none where there was nothing to remove.
    ///
    /// # Errors
    /// `Full`, with nothing changed.
    pub(crate) fn transact(&self, locks: &[Locked<'_>], changes: &[Change<'_>]) -> Result<Revisions> {
        for (lock, mine) in shares(locks, changes) {
            lock.make_room(mine)?;
        }
        match self.transact_once(locks, changes) {
            Err(error) if error.kind() == ErrorKind::Full => {
                locks.iter().try_for_each(Locked::free_retired)?;
                self.transact_once(locks, changes)
            }
            other => other,
        }
    }

    fn transact_once(&self, locks: &[Locked<'_>], changes: &[Change<'_>]) -> Result<Revisions> {
        let Some(home) = locks.first() else { return Ok(Vec::new()) };
        let tag = Tag(home.tick()?);
        for lock in locks {
            lock.intend(Intent::Part, Space::Values, 0, EMPTY, EMPTY);
        }
        home.store(TXN_SHARDS, locks.iter().fold(0, |shards, lock| shards | 1 << lock.index));
        home.store(TXN, tag.word(PREPARED));
        let mut revisions = Vec::with_capacity(changes.len());
        revisions.resize(changes.len(), None);
        let prepared = shares(locks, changes).try_for_each(|(lock, mine)| lock.prepare(tag, mine, &mut revisions));
        if let Err(error) = prepared {
            for lock in locks.iter().rev() {
                lock.undo()?;
                lock.roll_back()?;
            }
            finish(home, locks)?;
            return Err(error);
        }
        locks.iter().for_each(Locked::begin_change);
        self.memory.swap(home.base + TXN, tag.word(COMMITTED), SeqCst);
        unless_locked(clear_up(home, locks, changes))?;
        Ok(revisions)
    }
}

/// One answer for each change.
pub(crate) type Revisions = Vec<Option<NonZeroU64>>;

/// Each lock with the changes of its shard.
fn shares<'l, 'c, 'a>(
    locks: &'l [Locked<'a>],
    changes: &'c [Change<'c>],
) -> impl Iterator<Item = (&'l Locked<'a>, &'c [Change<'c>])> {
    let mut rest = changes;
    locks.iter().map(move |lock| {
        let others = rest.iter().position(|change| change.key.shard != lock.index).unwrap_or(rest.len());
        let (mine, later) = rest.split_at(others);
        rest = later;
        (lock, mine)
    })
}

/// What follows the commit. Where it ends early, whoever recovers goes on.
fn clear_up(home: &Locked<'_>, locks: &[Locked<'_>], changes: &[Change<'_>]) -> Result<()> {
    for lock in locks.iter().rev() {
        lock.apply(Duty::Own)?;
    }
    finish(home, locks)?;
    for (lock, mine) in shares(locks, changes) {
        lock.tidy_up(mine.iter().filter(|change| change.is_removal()).count())?;
    }
    Ok(())
}

impl Change<'_> {
    fn is_removal(&self) -> bool {
        matches!(self.to, To::Nothing)
    }
}

/// No part is left: the home's word is not needed any more, and nothing is under way.
fn finish(home: &Locked<'_>, locks: &[Locked<'_>]) -> Result<()> {
    for lock in locks.iter().skip(1) {
        lock.end_change();
        lock.idle();
    }
    home.end_change();
    home.store(TXN, 0);
    home.idle();
    locks.iter().try_for_each(Locked::give_back)
}

impl Locked<'_> {
    /// Whatever needs an operation of its own, before the transaction begins.
    fn make_room(&self, mine: &[Change<'_>]) -> Result<()> {
        self.bury()?;
        for space in [Space::Values, Space::Coordination] {
            let puts = mine.iter().filter(|change| change.key.space == space && !change.is_removal()).count() as u64;
            if puts > 0
                && let Err(error) = self.reserve(space, puts)
            {
                self.recover()?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// What a transaction that removed so many leaves behind is made free.
    fn tidy_up(&self, removals: usize) -> Result<()> {
        if removals >= condemned::MANY {
            // A few blocks that rest, scattered over what is free now, would leave no room for a large index.
            self.free_retired()?;
        }
        if removals > 0 {
            self.shrink(Space::Values)?;
        }
        Ok(())
    }

    /// Fills new records and marks the slots. Each step is complete in itself: a note of every word, an entry, a mark.
    fn prepare(&self, tag: Tag, mine: &[Change<'_>], revisions: &mut [Option<NonZeroU64>]) -> Result<()> {
        if mine.len() < condemned::MANY || mine.iter().filter(|change| change.is_removal()).count() < condemned::MANY {
            return self.prepare_entries(tag, mine, revisions);
        }
        let (removals, puts): (Vec<Change<'_>>, Vec<Change<'_>>) = mine.iter().partition(|change| change.is_removal());
        self.condemn(tag, &removals, revisions)?;
        self.prepare_entries(tag, &puts, revisions)
    }

    fn prepare_entries(&self, tag: Tag, mine: &[Change<'_>], revisions: &mut [Option<NonZeroU64>]) -> Result<()> {
        if mine.is_empty() {
            return Ok(());
        }
        let part = self.begin_part(tag, mine.len() as u64)?;
        // Counted here, not by what the part says: it lies where anybody may write.
        let mut entries = 0;
        for change in mine {
            // What is borrowed stays in the ring, which has one place for that.
            let borrows = mine.len() == 1;
            revisions[change.number] =
                self.prepare_one(tag, part, &mut entries, change, borrows)?.and_then(NonZeroU64::new);
        }
        Ok(())
    }

    /// Nearly all parts are small and lie in the shard's header, where nothing has to be taken for them.
    fn begin_part(&self, tag: Tag, entries: u64) -> Result<Part<'_>> {
        let memory = &self.storage.memory;
        if entries <= HEADER_ENTRIES {
            let part = Part { memory, at: self.base + HEADER_PART };
            part.begin(tag);
            self.store(PART, part.at);
            return Ok(part);
        }
        let part = Part { memory, at: self.allocate_anywhere(Part::size(entries))? };
        part.begin(tag);
        self.journal().set(self.base + PART, part.at);
        self.journal().clear();
        Ok(part)
    }

    #[inline]
    fn prepare_one(
        &self,
        tag: Tag,
        part: Part<'_>,
        entries: &mut u64,
        change: &Change<'_>,
        borrows: bool,
    ) -> Result<Option<u64>> {
        let key = &change.key;
        let (at, old) = match self.find(key)? {
            Found::Here { at, slot } | Found::Vacant { at, slot } => (at, slot),
            Found::NoRoom if matches!(change.to, To::Nothing) => return Ok(None),
            Found::NoRoom => return Err(self.storage.full()),
        };
        let put = match change.to {
            To::Value(value, life) => Some((value, life)),
            To::KeptValue(value) if old.is_record() && old.is_mortal() => {
                let current = self.current(old)?;
                Some((value, if current.state == State::Live { current.life } else { Life::Forever }))
            }
            To::KeptValue(value) => Some((value, Life::Forever)),
            To::Nothing => None,
        };
        let (new, revision) = match put {
            Some((value, life)) => {
                let shape = Shape::new(key.space, key.bytes.len(), value.len(), life);
                let size = shape.size();
                let block = if borrows { self.borrow_or_allocate(size)? } else { self.allocate(size)? };
                let record = Record::new(&self.storage.memory, block);
                let Some(filled) = record.fill(shape, key.bytes, value, life) else {
                    return Err(self.corrupt("a block lies outside the store"));
                };
                let revision = self.tick()?;
                filled.seal(shape, checksum_of(key, value), life, revision);
                (Slot::record(key.hash, record.at, life.is_mortal()), Some(revision))
            }
            None if old.is_record() => {
                let was_live = self.current(old)?.state == State::Live;
                (GRAVE, if was_live { Some(self.tick()?) } else { None })
            }
            None => return Ok(None),
        };
        let index = *entries;
        *entries += 1;
        part.write(tag, index, Entry { at, wait: key.wait, space: key.space, old, new });
        self.complete(part.count_at(), index + 1);
        let mark = Slot::mark(key.hash, part.entry_at(index));
        let visible = if broken::has(Defect::MarkSkipped) { new } else { mark };
        self.storage.memory.store(at, visible.0, Release);
        Ok(revision)
    }

    /// A step of the part is complete, with all that was noted of it: both are struck out and counted at once.
    #[inline]
    fn complete(&self, number_at: u64, number: u64) {
        let journal = self.journal();
        if journal.len() == 0 {
            return self.storage.memory.store(number_at, number, Release);
        }
        journal.set(number_at, number);
        journal.clear();
    }

    /// The transaction is committed: slots become what they were to be. Repeated by whoever recovers.
    fn apply(&self, duty: Duty) -> Result<()> {
        if let Some((part, done, count)) = self.sound_part()? {
            self.apply_part(part, done, count, duty)?;
        }
        self.end_condemned(true, duty)
    }

    fn apply_part(&self, part: Part<'_>, done: u64, count: u64, duty: Duty) -> Result<()> {
        for index in 0..count {
            let entry = part.read(index);
            self.replace_mark(part, index, entry, entry.new);
        }
        for index in done..count {
            // There is room for what one step frees.
            self.give_back()?;
            let entry = part.read(index);
            self.count_slot(entry.space, entry.old, entry.new);
            self.notify(entry.space, entry.wait, entry.old, entry.new, duty);
            self.settle_blocks(entry.old, entry.new, duty == Duty::Inherited)?;
            self.complete(part.done_at(), index + 1);
        }
        self.drop_part(part)
    }

    /// The transaction never happened: slots become what they were, new records are freed.
    fn roll_back(&self) -> Result<()> {
        if let Some((part, _, count)) = self.sound_part()? {
            self.roll_back_part(part, count)?;
        }
        self.end_condemned(false, Duty::Own)
    }

    fn roll_back_part(&self, part: Part<'_>, count: u64) -> Result<()> {
        for index in (0..count).rev() {
            self.give_back()?;
            let entry = part.read(index);
            self.replace_mark(part, index, entry, entry.old);
            if entry.new.is_record() && !self.is_borrowed(entry.new) {
                self.retire(entry.new.offset())?;
            }
            self.complete(part.count_at(), index);
        }
        self.drop_part(part)
    }

    /// Only where the mark still stands: whatever else is there is newer (attack 24).
    fn replace_mark(&self, part: Part<'_>, index: u64, entry: Entry, slot: Slot) {
        let raw = Slot(self.storage.memory.load(entry.at, Acquire));
        if raw.is_mark() && raw.offset() == part.entry_at(index) {
            self.storage.memory.swap(entry.at, slot.0, SeqCst);
        }
    }

    fn drop_part(&self, part: Part<'_>) -> Result<()> {
        if self.is_in_header(part) {
            self.store(PART, 0);
            return Ok(());
        }
        self.give_back()?;
        self.journal().set(self.base + PART, 0);
        self.retire(part.at)?;
        self.journal().clear();
        self.give_back()
    }

    /// Finishes or undoes this shard's part, and, at home, sees to it that all others have done so too.
    pub(crate) fn recover_part(&self) -> Result<()> {
        self.undo()?;
        let tag = match self.sound_part()? {
            Some((part, ..)) => part.tag(),
            None => Tag(self.load(CONDEMNED)),
        };
        if tag.is_committed(self.storage) {
            self.apply(Duty::Inherited)?
        } else {
            self.roll_back()?
        }
        if self.load(TXN) != 0 {
            let others = self.load(TXN_SHARDS) & self.storage.all_shards() & !(u64::MAX >> (63 - self.index));
            let others = if broken::has(Defect::OthersForgotten) { 0 } else { others };
            for other in self.storage.shards().filter(|shard| others >> shard.index & 1 == 1) {
                drop(other.lock(self.me, self.allowance)?);
            }
            self.store(TXN, 0);
        }
        self.end_change();
        self.idle();
        Ok(())
    }

    /// This shard's part, how many of its entries were put away, and how many there are. Read once: whoever goes
    /// through them must not be led on by a number that changes.
    #[inline]
    fn sound_part(&self) -> Result<Option<(Part<'_>, u64, u64)>> {
        let Some(part) = self.part() else { return Ok(None) };
        // Where no block can be, not even a number is read.
        let is_in_header = self.is_in_header(part);
        let has_place = is_in_header || self.place(part.at).is_some();
        let (done, count) = if has_place { (part.done(), part.count()) } else { (1, 0) };
        let most = if is_in_header { HEADER_ENTRIES } else { self.storage.geometry.capacity / 32 };
        let fits = count <= most && done <= count && self.storage.memory.contains(part.at, Part::size(count));
        if !fits {
            return Err(self.corrupt("its part of a transaction is garbage"));
        }
        Ok(Some((part, done, count)))
    }
}
