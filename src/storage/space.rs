//! Handing out extents: a table with a word for each, behind one lock.
//!
//! | bits of a word | what |
//! |---|---|
//! | 0–2 | kind: 0 free, 1 span, 2 rest of a span, 3 run, 4 rest of a run |
//! | 3–8 | shard that owns it |
//! | 9–31 | span: class; rest: extents back to the first (a run's: 0); run: its extents |
//!
//! A shard's lock is held around every call here; so as long as it is unrecovered, nobody else takes or gives extents
//! in its name, and "does this shard own it" is a question with a lasting answer.
//!
//! Growing allocates blocks before anybody can touch them, the table's first, and only where nothing was allocated
//! before: a killed `fallocate(2)` on tmpfs takes back every page of its range that nobody has touched yet.
//!
//! What is free stays in the file. Punching it out would give memory back, but a reader that was paused in the middle
//! of a copy may still load from there, and on a full tmpfs a load from a hole is a SIGBUS.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::{Locked, Storage, classes::Class};
use crate::{
    error::Result,
    primitive::shard_lock::{ShardLock, Taken},
    region::layout::{EXTENT, space},
    sys::allocate::{allocate, is_no_room},
};

const FREE: u32 = 0;
const SPAN: u32 = 1;
const SPAN_REST: u32 = 2;
const RUN: u32 = 3;
const RUN_REST: u32 = 4;

/// Nothing is under way.
const IDLE: u64 = 0;
/// The table's words are being written.
const MARKING: u64 = 1;
/// The table's words are being freed.
const RELEASING: u64 = 2;

/// The most extents that the file grows by at once, unless a single run needs more: 1 MiB.
const LARGEST_STEP: u64 = 256;
/// The most extents of a run.
const LONGEST_RUN: u64 = (1 << 23) - 1;

/// What extents are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Blocks of one class.
    Span(Class),
    /// One block of whole extents.
    Run(u64),
}

/// What an extent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Free,
    Span { shard: u32, class: Class },
    SpanRest { shard: u32, back: u64 },
    Run { shard: u32, extents: u64 },
    RunRest { shard: u32 },
    Garbage,
}

impl Use {
    pub(crate) fn extents(self) -> u64 {
        match self {
            Self::Span(class) => class.extents(),
            Self::Run(extents) => extents,
        }
    }

    #[inline]
    pub(crate) fn word(self, shard: u32, index: u64) -> u32 {
        let (kind, payload) = match (self, index) {
            (Self::Span(class), 0) => (SPAN, class.number()),
            (Self::Span(_), back) => (SPAN_REST, back),
            (Self::Run(extents), 0) => (RUN, extents),
            (Self::Run(_), _) => (RUN_REST, 0),
        };
        kind | shard << 3 | (payload as u32) << 9
    }
}

/// The extents of a region.
#[derive(Clone, Copy)]
pub(crate) struct Space<'a> {
    pub(crate) storage: &'a Storage,
}

impl Space<'_> {
    /// What an extent is; garbage where there is none.
    #[inline]
    pub(crate) fn extent(&self, extent: u64) -> Extent {
        // Behind the end of the file the table may have holes, which must not be touched.
        if extent < self.storage.geometry.first_extent() || !self.contains(extent, 1) {
            return Extent::Garbage;
        }
        let word = self.word(extent);
        let (shard, payload) = (word >> 3 & 63, u64::from(word >> 9));
        match word & 7 {
            FREE => Extent::Free,
            SPAN => Class::from_number(payload).map_or(Extent::Garbage, |class| Extent::Span { shard, class }),
            SPAN_REST if payload <= extent => Extent::SpanRest { shard, back: payload },
            RUN => Extent::Run { shard, extents: payload },
            RUN_REST => Extent::RunRest { shard },
            _ => Extent::Garbage,
        }
    }

    #[inline]
    fn word(&self, extent: u64) -> u32 {
        self.storage.memory.load32(self.storage.geometry.extent_word(extent), Acquire)
    }

    fn set_word(&self, extent: u64, word: u32) {
        self.storage.memory.store32(self.storage.geometry.extent_word(extent), word, Release);
    }

    /// The class of blocks in a span that begins with this extent and is this shard's; `None` is no answer.
    #[inline]
    pub(crate) fn span_class(&self, extent: u64, shard: u32) -> Option<Class> {
        if extent < self.storage.geometry.first_extent() || !self.contains(extent, 1) {
            return None;
        }
        let word = self.word(extent);
        if word & 0x1ff == SPAN | shard << 3 { Class::from_number(u64::from(word >> 9)) } else { None }
    }

    /// Extents that the file holds, as this process knows.
    pub(crate) fn extents(&self) -> u64 {
        self.storage.memory.size() / EXTENT
    }

    /// Whether nearly all extents that there may ever be are in use: nowhere below is one free.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.storage.memory.load(Self::hint_at(1), Relaxed) >= self.storage.geometry.extents() / 8 * 7
    }

    /// Whether the file holds these extents; others may have made it longer.
    #[inline]
    pub(crate) fn contains(&self, first: u64, extents: u64) -> bool {
        self.storage.memory.contains(first.saturating_mul(EXTENT), extents.saturating_mul(EXTENT))
    }

    /// Takes extents for a shard, whose journal learns of it before it happens.
    pub(crate) fn claim(&self, locked: &Locked<'_>, what: Use) -> Result<u64> {
        if what.extents() > LONGEST_RUN {
            return Err(self.storage.full());
        }
        let _lock = self.lock(locked)?;
        let first = self.find_room(what.extents())?;
        locked.journal().claim(first);
        self.begin(MARKING, first, what.extents());
        for index in 0..what.extents() {
            self.set_word(first + index, what.word(locked.index, index));
        }
        self.set_hint(what.extents(), first + what.extents());
        self.end();
        Ok(first)
    }

    /// Gives back what begins at `first`, if the shard owns it; else there is nothing left to do.
    pub(crate) fn release(&self, locked: &Locked<'_>, first: u64) -> Result<()> {
        let _lock = self.lock(locked)?;
        let extents = match self.extent(first) {
            Extent::Span { shard: owner, class } if owner == locked.index => class.extents(),
            Extent::Run { shard: owner, extents } if owner == locked.index => extents,
            _ => return Ok(()),
        };
        if !self.contains(first, extents) {
            return Ok(());
        }
        self.begin(RELEASING, first, extents);
        self.finish_release(first, extents);
        self.end();
        Ok(())
    }

    fn finish_release(&self, first: u64, extents: u64) {
        // From the back: as long as the first says what it was, a release begun can be finished.
        (first..first + extents).rev().for_each(|extent| self.set_word(extent, FREE));
        let start = self.free_run_start(first);
        for hint in 0..3 {
            let at = space::HINTS + hint * 8;
            if self.storage.memory.load(at, Relaxed) > start {
                self.storage.memory.store(at, start, Relaxed);
            }
        }
    }

    /// The beginning of the free run that ends here, followed back a few steps.
    fn free_run_start(&self, first: u64) -> u64 {
        let least = self.storage.geometry.first_extent().max(first.saturating_sub(64));
        let mut start = first;
        while start > least && self.word(start - 1) & 7 == FREE {
            start -= 1;
        }
        start
    }

    fn begin(&self, op: u64, first: u64, extents: u64) {
        let memory = &self.storage.memory;
        memory.store(space::OP, IDLE, Release);
        memory.store(space::FIRST, first, Release);
        memory.store(space::COUNT, extents, Release);
        memory.store(space::OP, op, Release);
    }

    fn end(&self) {
        self.storage.memory.store(space::OP, IDLE, Release);
    }

    fn hint_at(extents: u64) -> u64 {
        space::HINTS
            + match extents {
                1 => 0,
                2..=8 => 8,
                _ => 16,
            }
    }

    fn set_hint(&self, extents: u64, extent: u64) {
        self.storage.memory.store(Self::hint_at(extents), extent, Relaxed);
    }

    fn find_room(&self, extents: u64) -> Result<u64> {
        let least = self.storage.geometry.first_extent();
        let hint = self.storage.memory.load(Self::hint_at(extents), Relaxed).max(least);
        if let Some(first) = self.search(hint, extents) {
            return Ok(first);
        }
        let known = self.extents();
        self.storage.memory.refresh().map_err(|error| self.storage.io("read the size", error))?;
        if self.extents() > known
            && let Some(first) = self.search(self.free_run_start(known), extents)
        {
            return Ok(first);
        }
        match self.grow(extents) {
            Ok(first) => Ok(first),
            // Hints only make searching short; nothing is full before everything was looked at.
            Err(error) => self.search(least, extents).ok_or(error),
        }
    }

    fn search(&self, from: u64, extents: u64) -> Option<u64> {
        let (mut first, mut found) = (from, 0);
        for extent in from..self.extents() {
            if self.word(extent) & 7 != FREE {
                (first, found) = (extent + 1, 0);
                continue;
            }
            found += 1;
            if found == extents {
                return Some(first);
            }
        }
        None
    }

    /// Makes the file longer and gives the first extent of a free run at its end.
    fn grow(&self, extents: u64) -> Result<u64> {
        let begun = std::time::Instant::now();
        let geometry = &self.storage.geometry;
        let known = self.extents();
        let start = self.tail_start(known);
        let needed = extents - (known - start).min(extents);
        if start + extents > geometry.extents() {
            return Err(self.storage.full());
        }
        let step = ((known - geometry.first_extent()) / 4).clamp(16, LARGEST_STEP).max(needed);
        let wanted = (known + step).min(geometry.extents());
        let result = self.extend(known, wanted).or_else(|_| self.extend(known, known + needed));
        result.map_err(|error| match is_no_room(&error) {
            true => self.storage.full().with_source(error),
            false => self.storage.io("make the store larger", error),
        })?;
        crate::trace::grow(&self.storage.path, std::process::id(), self.storage.memory.size(), begun.elapsed());
        Ok(start)
    }

    /// Where the free run at the end of the file begins.
    fn tail_start(&self, known: u64) -> u64 {
        let least = self.storage.geometry.first_extent();
        let mut start = known;
        while start > least && self.word(start - 1) & 7 == FREE {
            start -= 1;
        }
        start
    }

    fn extend(&self, known: u64, wanted: u64) -> std::io::Result<()> {
        let geometry = &self.storage.geometry;
        let memory = &self.storage.memory;
        let (table, table_end) = (geometry.table_end(known), geometry.table_end(wanted));
        if table_end > table {
            allocate(memory.file(), table, table_end - table)?;
        }
        allocate(memory.file(), known * EXTENT, (wanted - known) * EXTENT)?;
        memory.refresh()?;
        if self.extents() >= wanted { Ok(()) } else { Err(std::io::ErrorKind::StorageFull.into()) }
    }

    fn lock(&self, locked: &Locked<'_>) -> Result<SpaceGuard<'_>> {
        let lock = self.shard_lock();
        let taken = lock.lock(locked.me, locked.allowance).map_err(|held| self.storage.held(held))?;
        let guard = SpaceGuard(lock);
        let op = self.storage.memory.load(space::OP, Relaxed);
        if taken != Taken::Free || op != IDLE {
            let recovery = self.storage.begin_recovery(taken);
            self.recover(op);
            self.storage.end_recovery(u32::MAX, recovery);
        }
        Ok(guard)
    }

    /// The lock of the space block.
    pub(crate) fn shard_lock(&self) -> ShardLock<'_> {
        ShardLock { word: space::LOCK, memory: &self.storage.memory, participants: self.storage.participants() }
    }

    #[cold]
    fn recover(&self, op: u64) {
        let memory = &self.storage.memory;
        let (first, extents) = (memory.load(space::FIRST, Relaxed), memory.load(space::COUNT, Relaxed));
        let sound = first >= self.storage.geometry.first_extent()
            && extents <= LONGEST_RUN
            && memory.contains(first.saturating_mul(EXTENT), extents * EXTENT);
        if sound && op == MARKING {
            (first..first + extents).for_each(|extent| self.set_word(extent, FREE));
        } else if sound && op == RELEASING {
            self.finish_release(first, extents);
        }
        (0..3).for_each(|hint| memory.store(space::HINTS + hint * 8, 0, Relaxed));
        self.end();
    }

    /// Extents in use, counted.
    pub(crate) fn used(&self) -> u64 {
        // Should that fail, what is known counts.
        let _ = self.storage.memory.refresh();
        (self.storage.geometry.first_extent()..self.extents()).filter(|extent| self.word(*extent) & 7 != FREE).count()
            as u64
    }

    /// Writes down what an extent is part of, while everything is rebuilt.
    pub(crate) fn assign(&self, extent: u64, first: u64, what: Option<(u32, Use)>) {
        let word = what.map_or(FREE, |(shard, what)| what.word(shard, extent - first));
        if self.word(extent) != word {
            self.set_word(extent, word);
        }
    }

    /// Hints only make searching short.
    pub(crate) fn forget_hints(&self) {
        (0..3).for_each(|hint| self.storage.memory.store(space::HINTS + hint * 8, 0, Relaxed));
        self.end();
    }
}

struct SpaceGuard<'a>(ShardLock<'a>);

impl Drop for SpaceGuard<'_> {
    fn drop(&mut self) {
        self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Options,
        driver::Shm,
        primitive::allowance::Allowance,
        region::{header::Header, memory::Memory},
        sys::file,
    };

    /// A region as a second process sees it that has looked at the file's size only once, at the beginning.
    fn second_view(storage: &Storage) -> Storage {
        let file = file::open_existing(&storage.path, false, false).unwrap();
        let mut block = [0; crate::region::header::LEN];
        file::pread_exact_at(&file, &mut block, 0).unwrap();
        let Ok(crate::region::header::Found::Ready(header)) = Header::parse(&block, &storage.path) else {
            panic!("not ready")
        };
        let memory = Memory::map(file, header.geometry.capacity, true).unwrap();
        Storage::new(memory, &header, storage.path.clone())
    }

    #[test]
    fn extents_are_released_by_a_process_that_does_not_know_yet_how_the_file_grew() {
        let path = std::path::PathBuf::from(format!("/dev/shm/shmsync-stale-size-{}", std::process::id()));
        let shm = Shm::open(&path, &Options::default().capacity(8 << 20)).unwrap();
        let (storage, me) = shm.parts();
        let stale = second_view(storage);
        let allowance = Allowance::full();
        let (used, locked) = (storage.space().used(), storage.shard(0).lock(me, &allowance).unwrap());
        // Larger than what the file holds: it grows, and only the first view knows.
        let first = storage.space().claim(&locked, Use::Run(512)).unwrap();
        locked.journal().clear();
        assert!(first + 512 > stale.space().extents());
        stale.space().release(&locked, first).unwrap();
        assert_eq!(storage.space().used(), used);
        drop(locked);
        std::fs::remove_file(&path).unwrap();
    }
}
