//! The shortest ways of changing one key: overwriting a record by one of the same size, as nearly all writes do; and
//! putting and removing where blocks rest, as locks do. With the fewest stores, and nothing kept in memory meanwhile.
//!
//! It is what [`Locked::put_over`] and [`Locked::delete`] do, where nothing has to be taken from anywhere before the commit
//! but a block that rests, which is only borrowed. So nothing has to be undone, and everything can be ready before the
//! intent is written down: as long as it is not, a dead holder has only filled a block that still rests. From then on
//! the slot says whether the change was made, and whoever recovers settles it as any other.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use super::{
    Key, Storage,
    classes::Class,
    index::Root,
    plain::{Plain, Sighted},
    record::{Life, Shape, Unsealed, checksum_of},
    shard::{
        CLOCK, CLOCK_END, DAMAGED, INTENT, INTENT_AT, INTENT_NEW, INTENT_OLD, INTENT_WAIT, Intent, JOURNAL, LIVE, LOCK,
        Locked, MORTALS, NOTES, RETIRED, SEQUENCE, Shard, USED,
    },
    slab::{Retired, ring},
    slot::{EMPTY, GRAVE, Slot},
    write::is_turn_to_bury,
};
use crate::{
    broken::{self, Defect},
    driver::Space,
    error::Result,
    primitive::{
        allowance::Allowance,
        atomics::fence,
        shard_lock::{WAITERS, held_by},
        wait_word::{self, Duty},
    },
    region::{
        glance::GlanceMut,
        layout::live,
        memory::{Page, PageMut},
        participants::Name,
    },
};

/// A shard whose lock was free and is held now, by one in a hurry. Nothing here can fail or panic, so nobody has to see to
/// it that the lock is given back: that is [`Seized::release`], or [`Seized::into_locked`]. It is copied rather than lent, so
/// that nobody has to keep it in memory for those who are hardly ever called.
#[derive(Clone, Copy)]
#[must_use = "the lock is held"]
pub(crate) struct Seized<'a> {
    pub(super) storage: &'a Storage,
    pub(super) glance: GlanceMut<'a>,
    pub(super) page: PageMut<'a>,
    /// The page that the region has for all shards.
    header: Page<'a>,
    pub(super) index: u32,
}

/// A record that can be overwritten.
#[derive(Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(super) slot: Sighted<'a>,
    record: Plain<'a>,
}

impl Found<'_> {
    #[inline(always)]
    pub(crate) fn revision(&self) -> u64 {
        self.slot.version()
    }

    /// A value of at most 16 bytes, with zeros behind its end, and how long it is in truth.
    #[inline(always)]
    pub(crate) fn short_value(&self) -> ([u8; 16], usize) {
        (self.record.short_value(), self.record.value_len())
    }
}

impl Storage {
    /// The lock of a key's shard, if nobody has it, and nobody waits for it.
    #[inline(always)]
    pub(crate) fn seize(&self, me: Name, key: &Key<'_>) -> Option<Seized<'_>> {
        let glance = GlanceMut::of(&self.memory)?;
        let page = glance.page_mut(self.geometry.shard(key.shard))?;
        let seized = Seized { storage: self, glance, page, header: glance.header(), index: key.shard };
        page.exchange32(LOCK, 0, held_by(me)).then_some(seized)
    }
}

impl<'a> Seized<'a> {
    /// The word of the gate.
    #[inline(always)]
    pub(crate) fn gate(self) -> u64 {
        self.header.load(live::GATE, Acquire)
    }

    /// Gives the lock back. Nothing is under way.
    #[inline(always)]
    pub(crate) fn release(self) {
        if self.page.swap32(LOCK, 0, SeqCst) & WAITERS != 0 {
            wake(self.storage, self.index);
        }
    }

    /// The same lock for one who has time, and looks first whether something is unfinished.
    #[cold]
    pub(crate) fn into_locked(self, me: Name, allowance: &'a Allowance) -> Result<Locked<'a>> {
        self.storage.shard(self.index).locked(me, allowance).check_unless_idle()
    }

    /// Whether the shard is sound, and it is not this change's turn to look for what is to be buried.
    #[inline(always)]
    pub(crate) fn is_sound(self) -> bool {
        let word = |field| self.page.load(field, Acquire);
        let [values, coordination] = [Space::Values, Space::Coordination].map(|space| Shard::field(MORTALS, space));
        word(INTENT) | word(NOTES) == 0
            && self.page.load32(DAMAGED, Relaxed) == 0
            && (word(values) | word(coordination) == 0 || !is_turn_to_bury(word(SEQUENCE)))
    }

    #[inline(always)]
    fn root(self, key: &Key<'_>) -> Root {
        Root(self.header.load(self.storage.geometry.root(key.shard, key.space as u64), Acquire))
    }

    /// The record of a key, if it has one that lasts for ever. The shard is sound.
    #[inline(always)]
    pub(crate) fn find(self, key: &Key<'_>) -> Option<Found<'a>> {
        let slot = Sighted::of(key, self.root(key), *self.glance)?;
        let record = slot.open(key, *self.glance)?;
        (slot.version() != 0 && record.has_key(key)).then_some(Found { slot, record })
    }

    /// Stores a value over what was found, for ever; its revision. `None`, with nothing changed, where it is not as simple
    /// as that.
    #[inline(always)]
    pub(crate) fn overwrite(self, found: Found<'_>, key: &Key<'_>, value: &[u8]) -> Option<u64> {
        let ready = self.replacement(found, key, value)?;
        self.commit(key, found.slot.at, found.slot.slot, ready.slot);
        self.tell(key, found.slot.slot, ready.slot);
        self.let_rest(ready, found.slot.slot);
        // No notes were made.
        self.page.store(INTENT, Intent::Idle as u64, Release);
        Some(ready.revision)
    }

    /// What will take the place of a record, if its block can take that of the new one among those that rest.
    #[inline(always)]
    pub(super) fn replacement(self, found: Found<'_>, key: &Key<'_>, value: &[u8]) -> Option<Ready> {
        let shape = Shape::new(key.space, key.bytes.len(), value.len(), Life::Forever);
        let class = Class::of(shape.size())?;
        if Class::of(shape.with_value(found.record.value_len()).size()) != Some(class) {
            return None;
        }
        self.prepare(key, shape, class, value)
    }

    /// The old record's block rests, in the place of the new one's. Two stores, of which whoever recovers sees how far they
    /// have come.
    #[inline(always)]
    pub(super) fn let_rest(self, new: Ready, old: Slot) {
        self.page.store(ring(new.count), Retired::new(Some(new.class), old.offset()).0, Release);
        self.page.store(RETIRED, new.count.wrapping_add(1), Release);
    }

    /// Fills the block that has rested longest.
    #[inline(always)]
    fn prepare(self, key: &Key<'_>, shape: Shape, class: Class, value: &[u8]) -> Option<Ready> {
        if broken::has(Defect::FreedBeforePublished) {
            return None;
        }
        let count = self.page.load(RETIRED, Acquire);
        let oldest = Retired(self.page.load(ring(count), Acquire));
        let block = oldest.of(class, self.index, self.storage, *self.glance)?;
        let row = self.glance.row_mut(block, shape.size() / 8)?;
        let filled = Unsealed::fill(row, shape, key.bytes, value, Life::Forever);
        let revision = self.tick()?;
        filled.seal(shape, checksum_of(key, value), Life::Forever, revision);
        Some(Ready { slot: Slot::record(key.hash, block, false), revision, class, count })
    }

    /// The next revision; `None` when the clock is garbage.
    #[inline(always)]
    pub(super) fn tick(self) -> Option<u64> {
        let clock = self.page.load(CLOCK, Acquire);
        if clock >= CLOCK_END {
            return None;
        }
        self.page.store(CLOCK, clock + 1, Release);
        Some((clock + 1) << 6 | u64::from(self.index))
    }

    /// Changes the slot.
    #[inline(always)]
    fn commit(self, key: &Key<'_>, at: u64, old: Slot, new: Slot) {
        let page = self.page;
        page.store(INTENT_AT, at, Release);
        page.store(INTENT_OLD, old.0, Release);
        page.store(INTENT_NEW, new.0, Release);
        page.store(INTENT_WAIT, key.wait, Release);
        // If its holder dies from now on, it is known from the slot alone whether it has changed.
        page.store(INTENT, Intent::Swap as u64 | (key.space as u64) << 8, Release);
        self.begin_change();
        self.publish(at, new);
        self.end_change();
    }

    /// As [`Locked::begin_change`].
    #[inline(always)]
    pub(super) fn begin_change(self) {
        self.page.store(SEQUENCE, self.page.load(SEQUENCE, Acquire) | 1, Relaxed);
        fence(Release);
    }

    /// As [`Locked::publish`].
    #[inline(always)]
    pub(super) fn publish(self, at: u64, new: Slot) {
        let order = if broken::has(Defect::WaitersMissed) { Release } else { SeqCst };
        self.glance.swap(at, new.0, order);
    }

    /// As [`Locked::end_change`].
    #[inline(always)]
    pub(super) fn end_change(self) {
        self.page.store(SEQUENCE, (self.page.load(SEQUENCE, Acquire) | 1).wrapping_add(1), Release);
    }

    /// Tells who waits.
    #[inline(always)]
    pub(super) fn tell(self, key: &Key<'_>, old: Slot, new: Slot) {
        let order = if broken::has(Defect::WaitersMissed) { Relaxed } else { SeqCst };
        let waits = self.glance.wait_words().load32(key.wait * 4, order) | self.header.load32(live::ANY_WAIT, order);
        if waits & wait_word::WAITERS != 0 || self.header.load(live::WATCHES, order) != 0 {
            tell(self.storage, self.index, key.space, key.wait, (old, new));
        }
    }
}

/// What will be published.
#[derive(Clone, Copy)]
pub(super) struct Ready {
    pub(super) slot: Slot,
    pub(super) revision: u64,
    class: Class,
    /// Of blocks ever retired.
    count: u64,
}

/// What comes and goes: it is counted, and that is noted. As short as it can be all the same, because each turn of a lock
/// is one of either.
impl Seized<'_> {
    /// Stores a value for ever under a key that is not there, where the ring has a block for it and the index a place;
    /// its revision. `None`, with nothing changed, where it is not as simple as that.
    #[inline(always)]
    pub(crate) fn insert(self, key: &Key<'_>, value: &[u8]) -> Option<u64> {
        let shape = Shape::new(key.space, key.bytes.len(), value.len(), Life::Forever);
        let root = self.root(key);
        let (at, old) = root.vacancy(key.hash, *self.glance)?;
        let (live, used) = self.counts(key.space, root)?;
        if (used + 1) * 4 > root.slots() * 3 {
            return None;
        }
        let ready = self.prepare(key, shape, Class::of(shape.size())?, value)?;
        self.commit(key, at, old, ready.slot);
        self.count(key.space, (live, live + 1), (used, used + u64::from(old == EMPTY)));
        self.tell(key, old, ready.slot);
        self.page.store(ring(ready.count), 0, Release);
        self.idle();
        Some(ready.revision)
    }

    /// Removes what was found; the revision of the removal. `None` as for [`Seized::insert`].
    #[inline(always)]
    pub(crate) fn remove(self, found: Found<'_>, key: &Key<'_>) -> Option<u64> {
        let shape = Shape::new(key.space, key.bytes.len(), found.record.value_len(), Life::Forever);
        let class = Class::of(shape.size())?;
        let root = self.root(key);
        let (live, used) = self.counts(key.space, root)?;
        let count = self.page.load(RETIRED, Acquire);
        // Nothing has to be freed for it, and no index made smaller.
        let is_simple = self.page.load(ring(count), Acquire) == 0 && live > 0 && !root.is_sparse(live - 1);
        if !is_simple || broken::has(Defect::SlotMoved) {
            return None;
        }
        let old = found.slot.slot;
        let new = if root.ends_behind(found.slot.at, *self.glance)? { EMPTY } else { GRAVE };
        let revision = self.tick()?;
        self.commit(key, found.slot.at, old, new);
        self.count(key.space, (live, live - 1), (used, used - u64::from(new == EMPTY)));
        self.tell(key, old, new);
        // As in `overwrite`.
        self.page.store(ring(count), Retired::new(Some(class), old.offset()).0, Release);
        self.page.store(RETIRED, count.wrapping_add(1), Release);
        self.idle();
        Some(revision)
    }

    /// The counts of records and of slots that are not empty, if they can be that.
    #[inline(always)]
    fn counts(self, space: Space, root: Root) -> Option<(u64, u64)> {
        let [live, used] = [LIVE, USED].map(|field| self.page.load(Shard::field(field, space), Acquire));
        (live <= used && used <= root.slots()).then_some((live, used))
    }

    /// Counts what was changed, each from what it is to what it will be. First both are noted: from now on the intent is
    /// Settle, in which whoever recovers puts back what is noted, and counts again.
    #[inline(always)]
    fn count(self, space: Space, live: (u64, u64), used: (u64, u64)) {
        let page = self.page;
        page.store(INTENT, Intent::Settle as u64 | (space as u64) << 8, Release);
        let base = self.storage.geometry.shard(self.index);
        let (live_at, used_at) = (Shard::field(LIVE, space), Shard::field(USED, space));
        page.store(JOURNAL, base + live_at, Relaxed);
        page.store(JOURNAL + 8, live.0, Relaxed);
        page.store(JOURNAL + 16, base + used_at, Relaxed);
        page.store(JOURNAL + 24, used.0, Relaxed);
        page.store(NOTES, 2, Release);
        page.store(live_at, live.1, Release);
        page.store(used_at, used.1, Release);
    }

    #[inline(always)]
    fn idle(self) {
        self.page.store(INTENT, Intent::Idle as u64, Release);
        self.page.store(NOTES, 0, Release);
    }
}

#[cold]
#[inline(never)]
fn wake(storage: &Storage, shard: u32) {
    storage.shard(shard).shard_lock().wake();
}

#[cold]
#[inline(never)]
fn tell(storage: &Storage, shard: u32, space: Space, wait: u64, slots: (Slot, Slot)) {
    storage.shard(shard).notify(space, wait, slots.0, slots.1, Duty::Own);
}
