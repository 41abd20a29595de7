//! Blocks: where records, indexes and transactions lie.
//!
//! A span is a few extents full of blocks of one class. Its first 64 bytes keep its books:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 16 | a bit for each block, 1 = taken |
//! | 16 | 8 | next span of the class with room << 32, previous one; 0 = none |
//! | 24 | 8 | blocks that are not taken |
//!
//! Everything here changes under the shard's lock through its journal. What is freed first rests among the last 16
//! retired blocks, so that a reader who still copies it has time (attack 21); the oldest is used again first.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::{
    Storage,
    classes::{Class, SPAN_HEADER},
    shard::{Intent, Locked, PENDING, PENDING_LEN, RETIRED, RING, RING_LEN, SPANS, Shard},
    slot::{EMPTY, Slot},
    space::{Extent, Space, Use},
};
use crate::{
    error::{ErrorKind, Result},
    primitive::atomics::{MODELLED, fence},
    region::{glance::Glance, layout::EXTENT},
};

const BITS: u64 = 0;
const LINKS: u64 = 16;
const VACANT: u64 = 24;
/// The class that stands for a run of extents in the ring of retired blocks.
const RUN: u64 = 63;
const CLASS_SHIFT: u32 = 48;
/// How many blocks rest. In models only the last one does, so that few steps show what reuse can do.
const RESTING: u64 = if MODELLED { 1 } else { RING_LEN };
/// Longer runs, in extents, do not rest: 16 of them would be too much air.
const LONGEST_REST: u64 = 64;

/// A block as the ring of retired ones keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retired(pub(crate) u64);

/// Where in a shard's header the block retired 16 blocks before that one is, which is the next to be used again.
#[inline(always)]
pub(crate) fn ring(count: u64) -> u64 {
    RING + count % RESTING * 8
}

impl Retired {
    #[inline(always)]
    pub(crate) fn new(class: Option<Class>, offset: u64) -> Self {
        Self(class.map_or(RUN, Class::number) << CLASS_SHIFT | offset)
    }

    /// Where the block is, if it is one of this class and shard, and begins in the first extent of its span. What the ring
    /// says may be garbage, which must not be handed out.
    #[inline(always)]
    pub(crate) fn of(self, class: Class, shard: u32, storage: &Storage, glance: Glance<'_>) -> Option<u64> {
        let offset = self.0 ^ Self::new(Some(class), 0).0;
        let geometry = &storage.geometry;
        // Outside of the file the table of extents may have holes, which must not be touched.
        if offset >> CLASS_SHIFT != 0 || offset / EXTENT < geometry.first_extent() || !glance.reaches(offset) {
            return None;
        }
        let word = glance.load32(geometry.extent_word(offset / EXTENT), Acquire)?;
        let index = class.block_at((offset % EXTENT).wrapping_sub(SPAN_HEADER));
        (word == Use::Span(class).word(shard, 0) && index.is_some()).then_some(offset)
    }

    fn class(self) -> u64 {
        self.0 >> CLASS_SHIFT
    }

    fn offset(self) -> u64 {
        self.0 & ((1 << CLASS_SHIFT) - 1)
    }
}

/// Where a block lies, as the table of extents says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Block { span: u64, class: Class, index: u64 },
    Run { first: u64, extents: u64 },
}

impl Shard<'_> {
    /// Where a block lies; `None` when nothing of this shard can lie there.
    #[inline(always)]
    pub(crate) fn place(&self, offset: u64) -> Option<Place> {
        let (extent, within) = (offset / EXTENT, offset % EXTENT);
        // The first extent of a span: nearly all blocks lie in such a one.
        if let Some(class) = self.storage.space().span_class(extent, self.index)
            && let Some(index) = class.block_at(within.wrapping_sub(SPAN_HEADER))
        {
            return Some(Place::Block { span: extent * EXTENT, class, index });
        }
        self.place_anywhere(offset)
    }

    fn place_anywhere(&self, offset: u64) -> Option<Place> {
        let extent = offset / EXTENT;
        let (first, what) = match self.storage.space().extent(extent) {
            Extent::SpanRest { back, .. } => (extent - back, self.storage.space().extent(extent - back)),
            what => (extent, what),
        };
        match what {
            Extent::Span { shard, class } if shard == self.index => {
                let index = class.block_at((offset - first * EXTENT).checked_sub(SPAN_HEADER)?)?;
                Some(Place::Block { span: first * EXTENT, class, index })
            }
            Extent::Run { shard, extents } if shard == self.index && offset.is_multiple_of(EXTENT) => {
                self.storage.space().contains(first, extents).then_some(Place::Run { first, extents })
            }
            _ => None,
        }
    }
}

impl Locked<'_> {
    fn space(&self) -> Space<'_> {
        Space { storage: self.shard.storage }
    }

    /// A block for so many bytes, taken from the oldest retired one if that fits.
    ///
    /// # Errors
    /// `Full`, with everything as it was once the operation was undone.
    pub(crate) fn allocate(&self, bytes: u64) -> Result<u64> {
        match Class::of(bytes) {
            Some(class) => match self.oldest(class) {
                Some((at, block)) => {
                    self.journal().set(self.base + at, 0);
                    Ok(block)
                }
                None => self.allocate_block(class),
            },
            None => self.allocate_run(bytes),
        }
    }

    /// A block for the record that replaces another one. The oldest retired block is only borrowed: it stays in the ring
    /// until [`Locked::settle_blocks`], so there is nothing to be noted and nothing to be undone.
    #[inline(always)]
    pub(crate) fn borrow_or_allocate(&self, bytes: u64) -> Result<u64> {
        match Class::of(bytes) {
            Some(class) => match self.oldest(class) {
                Some((_, block)) => Ok(block),
                None => self.allocate_block(class),
            },
            None => self.allocate_run(bytes),
        }
    }

    /// Once a slot has changed: the old record's block rests, in the place of the borrowed one if the new one was.
    /// `again`: somebody may have died in the middle of this.
    #[inline(always)]
    pub(crate) fn settle_blocks(&self, old: Slot, new: Slot, again: bool) -> Result<()> {
        let count = self.load(RETIRED);
        let at = ring(count);
        let is_borrowed = new.is_record() && Retired(self.load(at)).offset() == new.offset();
        if !old.is_record() {
            if is_borrowed {
                self.store(at, 0);
            }
            return Ok(());
        }
        if !is_borrowed {
            return if again && self.is_retired(old, count) { Ok(()) } else { self.retire(old.offset()) };
        }
        if let Some(Place::Block { class, .. }) = self.place(old.offset()) {
            self.store(at, Retired::new(Some(class), old.offset()).0);
            self.store(RETIRED, count.wrapping_add(1));
            return Ok(());
        }
        self.journal().set(self.base + at, 0);
        self.retire(old.offset())
    }

    /// Whether a record's block is only borrowed: it rests still, as the oldest.
    #[inline]
    pub(crate) fn is_borrowed(&self, new: Slot) -> bool {
        new.is_record() && Retired(self.load(ring(self.load(RETIRED)))).offset() == new.offset()
    }

    /// Whether a block rests already because its place in the ring was that of the borrowed one. Whoever put it there may
    /// have died before counting it.
    fn is_retired(&self, old: Slot, count: u64) -> bool {
        let is_old = |at| Retired(self.load(at)).offset() == old.offset();
        if is_old(ring(count.wrapping_sub(1))) {
            return true;
        }
        let uncounted = is_old(ring(count));
        if uncounted {
            self.store(RETIRED, count.wrapping_add(1));
        }
        uncounted
    }

    /// A block for so many bytes, wherever there is one: where no span of its class fits any more, a larger block, or an
    /// extent of its own. So even a full store can be cleared.
    pub(crate) fn allocate_anywhere(&self, bytes: u64) -> Result<u64> {
        match self.allocate(bytes) {
            Err(error) if error.kind() == ErrorKind::Full => {
                let larger = Class::of(bytes)
                    .into_iter()
                    .flat_map(Class::larger)
                    .find(|class| self.storage.memory.load(self.base + SPANS + class.number() * 8, Relaxed) != 0);
                match larger {
                    Some(class) => self.allocate_block(class),
                    None => self.allocate_run(bytes).map_err(|_| error),
                }
            }
            other => other,
        }
    }

    fn allocate_run(&self, bytes: u64) -> Result<u64> {
        let what = Use::Run(bytes.div_ceil(EXTENT));
        Ok(self.space().claim(self, what)? * EXTENT)
    }

    fn allocate_block(&self, class: Class) -> Result<u64> {
        let memory = &self.storage.memory;
        let list = self.base + SPANS + class.number() * 8;
        let mut extent = memory.load(list, Relaxed);
        if extent == 0 {
            extent = self.new_span(class)?;
        }
        if self.space().extent(extent) != (Extent::Span { shard: self.index, class }) {
            return Err(self.corrupt("a list of spans leads astray"));
        }
        let span = extent * EXTENT;
        let Some(index) = self.vacant_block(span, class) else {
            return Err(self.corrupt("a span without room is listed"));
        };
        let vacant = memory.load(span + VACANT, Relaxed);
        self.set_bit(span, index, true);
        self.journal().set(span + VACANT, vacant.wrapping_sub(1));
        if vacant <= 1 {
            self.unlink(span, list)?;
        }
        Ok(span + SPAN_HEADER + index * class.size())
    }

    fn vacant_block(&self, span: u64, class: Class) -> Option<u64> {
        let low = (!self.storage.memory.load(span + BITS, Relaxed)).trailing_zeros();
        let index = match low {
            64 => 64 + (!self.storage.memory.load(span + BITS + 8, Relaxed)).trailing_zeros(),
            low => low,
        };
        Some(u64::from(index)).filter(|index| *index < class.blocks())
    }

    fn set_bit(&self, span: u64, index: u64, taken: bool) {
        let at = span + BITS + index / 64 * 8;
        let (bits, bit) = (self.storage.memory.load(at, Relaxed), 1 << (index % 64));
        self.journal().set(at, if taken { bits | bit } else { bits & !bit });
    }

    fn new_span(&self, class: Class) -> Result<u64> {
        let extent = self.space().claim(self, Use::Span(class))?;
        let (memory, span) = (&self.storage.memory, extent * EXTENT);
        for (field, value) in [(BITS, 0), (BITS + 8, 0), (LINKS, 0), (VACANT, class.blocks())] {
            memory.store(span + field, value, Relaxed);
        }
        self.journal().set(self.base + SPANS + class.number() * 8, extent);
        Ok(extent)
    }

    /// Takes a span out of its list.
    fn unlink(&self, span: u64, list: u64) -> Result<()> {
        let memory = &self.storage.memory;
        let links = memory.load(span + LINKS, Relaxed);
        let (next, previous) = (links >> 32, links & u64::from(u32::MAX));
        if previous == 0 {
            self.journal().set(list, next);
        } else {
            let at = self.neighbour(previous)? + LINKS;
            self.journal().set(at, next << 32 | memory.load(at, Relaxed) & u64::from(u32::MAX));
        }
        if next != 0 {
            let at = self.neighbour(next)? + LINKS;
            self.journal().set(at, memory.load(at, Relaxed) >> 32 << 32 | previous);
        }
        self.journal().set(span + LINKS, 0);
        Ok(())
    }

    /// Puts a span in front of its list.
    fn link(&self, span: u64, list: u64) -> Result<()> {
        let memory = &self.storage.memory;
        let next = memory.load(list, Relaxed);
        self.journal().set(span + LINKS, next << 32);
        if next != 0 {
            let at = self.neighbour(next)? + LINKS;
            self.journal().set(at, (memory.load(at, Relaxed) >> 32 << 32) | (span / EXTENT));
        }
        self.journal().set(list, span / EXTENT);
        Ok(())
    }

    /// The span before or after another one in a list: one of this shard, or nothing is written there.
    fn neighbour(&self, extent: u64) -> Result<u64> {
        match self.space().extent(extent) {
            Extent::Span { shard, .. } if shard == self.index => Ok(extent * EXTENT),
            _ => Err(self.corrupt("a list of spans leads astray")),
        }
    }

    /// Puts a block away. It rests among the retired ones; the one that has rested longest becomes free.
    pub(crate) fn retire(&self, offset: u64) -> Result<()> {
        let Some(place) = self.place(offset) else {
            return Err(self.corrupt("a block lies where none can be"));
        };
        let class = match place {
            Place::Block { class, .. } => Some(class),
            Place::Run { .. } => None,
        };
        if matches!(place, Place::Run { extents, .. } if extents > LONGEST_REST) {
            return self.free(offset);
        }
        let count = self.load(RETIRED);
        let oldest = Retired(self.load(ring(count)));
        self.journal().set(self.base + ring(count), Retired::new(class, offset).0);
        self.journal().set(self.base + RETIRED, count.wrapping_add(1));
        if oldest.0 == 0 { Ok(()) } else { self.free(oldest.offset()) }
    }

    /// The oldest retired block and its place in the ring, if it is of that class.
    #[inline(always)]
    fn oldest(&self, class: Class) -> Option<(u64, u64)> {
        let at = ring(self.load(RETIRED));
        let oldest = Retired(self.load(at));
        if oldest.0 == 0 || oldest.class() != class.number() {
            return None;
        }
        // A block whose class is not what the ring says is garbage that must not be handed out.
        let fits = matches!(self.place(oldest.offset()), Some(Place::Block { class: found, .. }) if found == class);
        fits.then_some((at, oldest.offset()))
    }

    /// Frees all that rests, because room is needed now. Nothing is under way when this is called.
    pub(crate) fn free_retired(&self) -> Result<()> {
        for index in 0..RING_LEN {
            let at = self.base + RING + index * 8;
            let retired = Retired(self.storage.memory.load(at, Relaxed));
            if retired.0 != 0 {
                self.intend(Intent::Books, crate::driver::Space::Values, 0, EMPTY, EMPTY);
                self.journal().set(at, 0);
                self.free(retired.offset())?;
                self.idle();
                self.give_back()?;
            }
        }
        Ok(())
    }

    /// Makes a block free for anything.
    pub(super) fn free(&self, offset: u64) -> Result<()> {
        let Some(place) = self.place(offset) else {
            return Err(self.corrupt("a block to be freed lies where none can be"));
        };
        // A reader may still hold its offset: whatever is written here next is no valid record.
        self.storage.memory.store(offset, 0, Relaxed);
        fence(Release);
        match place {
            Place::Run { first, .. } => self.give_back_later(first),
            Place::Block { span, class, index } => self.free_block(span, class, index),
        }
    }

    fn free_block(&self, span: u64, class: Class, index: u64) -> Result<()> {
        let memory = &self.storage.memory;
        if memory.load(span + BITS + index / 64 * 8, Relaxed) >> (index % 64) & 1 == 0 {
            return Err(self.corrupt("a block is free twice"));
        }
        let vacant = memory.load(span + VACANT, Relaxed);
        if vacant >= class.blocks() {
            return Err(self.corrupt("a span counts more free blocks than it has"));
        }
        self.set_bit(span, index, false);
        let vacant = vacant + 1;
        self.journal().set(span + VACANT, vacant);
        let list = self.base + SPANS + class.number() * 8;
        if vacant == class.blocks() {
            if vacant > 1 {
                self.unlink(span, list)?;
            }
            return self.give_back_later(span / EXTENT);
        }
        if vacant == 1 {
            self.link(span, list)?;
        }
        Ok(())
    }

    /// Extents can be given back only when the operation can no longer be undone: others may use them at once.
    fn give_back_later(&self, first: u64) -> Result<()> {
        for index in 0..PENDING_LEN {
            let at = self.base + PENDING + index * 8;
            if self.storage.memory.load(at, Relaxed) == 0 {
                self.journal().set(at, first);
                return Ok(());
            }
        }
        Err(self.corrupt("too many extents wait to be given back"))
    }

    /// Gives back what waits for it. Nothing is under way when this is called.
    #[inline(always)]
    pub(crate) fn give_back(&self) -> Result<()> {
        let pending = (0..PENDING_LEN).fold(0, |pending, index| pending | self.load(PENDING + index * 8));
        if pending == 0 { Ok(()) } else { self.give_back_now() }
    }

    #[cold]
    fn give_back_now(&self) -> Result<()> {
        for at in (0..PENDING_LEN).map(|index| PENDING + index * 8) {
            let first = self.load(at);
            if first != 0 {
                self.space().release(self, first)?;
                self.store(at, 0);
            }
        }
        Ok(())
    }

    /// Blocks that rest, for whoever counts.
    pub(crate) fn retired(&self) -> impl Iterator<Item = u64> + '_ {
        (0..RING_LEN)
            .map(|index| Retired(self.storage.memory.load(self.base + RING + index * 8, Relaxed)))
            .filter(|retired| retired.0 != 0)
            .map(Retired::offset)
    }

    /// The bits of a span, for whoever counts.
    pub(crate) fn bits(&self, span: u64) -> u128 {
        let memory = &self.storage.memory;
        u128::from(memory.load(span + BITS, Relaxed)) | u128::from(memory.load(span + BITS + 8, Relaxed)) << 64
    }

    /// Writes a span's books anew, while everything is rebuilt.
    pub(crate) fn rewrite_span(&self, span: u64, class: Class, bits: u128) -> Result<()> {
        let memory = &self.storage.memory;
        let vacant = class.blocks().saturating_sub(u64::from(bits.count_ones()));
        for (field, value) in [(BITS, bits as u64), (BITS + 8, (bits >> 64) as u64), (LINKS, 0), (VACANT, vacant)] {
            memory.store(span + field, value, Relaxed);
        }
        if vacant > 0 {
            self.link(span, self.base + SPANS + class.number() * 8)?;
        }
        self.journal().clear();
        Ok(())
    }
}
