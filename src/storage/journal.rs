//! The undo journal of a shard: what a word was before it was changed.
//!
//! Bookkeeping (bits of blocks, lists, counts) is changed only through [`Journal::set`], which notes the old value
//! first. Whoever dies in the middle leaves notes from which the next one puts everything back, in reverse, each note
//! struck out once it was put back; so the recoverer may die as well. The step that counts as done strikes out all
//! notes at once. A killed process has executed its stores in program order, and the next owner of the lock sees all
//! of them, so the order of the stores here is all that matters.

use std::sync::atomic::Ordering::{Relaxed, Release};

use super::shard::{JOURNAL, NOTES};
use crate::region::memory::{Memory, PageMut};

/// Room for so many notes; the longest step makes about 20.
pub(crate) const MAX_NOTES: u64 = 64;
/// Notes whose offset has this bit name extents that were claimed, not a word.
const CLAIM: u64 = 1;

/// The journal of one shard.
#[derive(Clone, Copy)]
pub(crate) struct Journal<'a> {
    pub(crate) memory: &'a Memory,
    /// The shard's header, in which the notes are.
    pub(crate) page: PageMut<'a>,
}

/// What the latest note says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Note {
    /// The word at `offset` was `old`.
    Word { offset: u64, old: u64 },
    /// Extents from this one on were about to be claimed.
    Claim { first: u64 },
}

impl Journal<'_> {
    pub(crate) fn len(&self) -> u64 {
        self.page.load(NOTES, Relaxed)
    }

    /// Changes a word, its old value noted.
    #[inline]
    pub(crate) fn set(&self, offset: u64, value: u64) {
        let old = self.memory.load(offset, Relaxed);
        self.note(offset, old);
        self.memory.store(offset, value, Release);
    }

    /// Notes that extents are about to be claimed.
    pub(crate) fn claim(&self, first: u64) {
        self.note(CLAIM, first);
    }

    #[inline]
    fn note(&self, offset: u64, old: u64) {
        // No step makes so many; a number that somebody else wrote must not lead astray.
        let len = self.len().min(MAX_NOTES - 1);
        let at = JOURNAL + len * 16;
        self.page.store(at, offset, Relaxed);
        self.page.store(at + 8, old, Relaxed);
        self.page.store(NOTES, len + 1, Release);
    }

    /// Strikes out all notes: what was done, stays.
    #[inline]
    pub(crate) fn clear(&self) {
        self.page.store(NOTES, 0, Release);
    }

    /// How many notes are not struck out; `None` when that is garbage.
    pub(crate) fn sound_len(&self) -> Option<u64> {
        Some(self.len()).filter(|len| *len <= MAX_NOTES)
    }

    /// What a note says.
    pub(crate) fn note_at(&self, index: u64) -> Note {
        let at = JOURNAL + index * 16;
        let (offset, old) = (self.page.load(at, Relaxed), self.page.load(at + 8, Relaxed));
        if offset == CLAIM { Note::Claim { first: old } } else { Note::Word { offset, old } }
    }

    /// Strikes out all notes from that one on.
    pub(crate) fn strike_to(&self, index: u64) {
        self.page.store(NOTES, index, Release);
    }
}
