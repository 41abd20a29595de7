//! The memory as it was known a moment ago, for whoever is in a hurry: what lies behind that is not looked for, but left to
//! those who have time. So all that is known stays in two registers, and nothing has to be kept over a call.
#![allow(unsafe_code)]

use std::{ops::Deref, sync::atomic::Ordering};

#[cfg(not(all(loom, test)))]
use super::cells::Words;
use super::{
    layout::{PARTICIPANTS, WAIT_WORDS},
    memory::{Memory, Page, PageMut},
    row::{Row, RowMut},
};
#[cfg(all(loom, test))]
use crate::models::cells::Words;

/// What can be read at a glance.
#[derive(Clone, Copy)]
pub(crate) struct Glance<'a> {
    start: Words<'a>,
    words: u64,
}

/// What can also be written.
#[derive(Clone, Copy)]
pub(crate) struct GlanceMut<'a>(Glance<'a>);

impl<'a> Glance<'a> {
    /// `None` when not even all that lies before the participants is there.
    ///
    /// # Safety
    /// So many words from `start` on lie in the mapping and in the file.
    #[inline(always)]
    pub(super) unsafe fn new(start: Words<'a>, words: u64) -> Option<Self> {
        (words >= PARTICIPANTS / 8).then_some(Self { start, words })
    }

    /// The first page: what the region as a whole has, and all roots.
    #[inline(always)]
    pub(crate) fn header(&self) -> Page<'a> {
        // SAFETY: `new` has shown it to be there.
        unsafe { Page::new(self.start) }
    }

    /// The page of wait words.
    #[inline(always)]
    pub(crate) fn wait_words(&self) -> Page<'a> {
        // SAFETY: it ends before the participants.
        unsafe { Page::new(self.start.behind(WAIT_WORDS as usize / 8)) }
    }

    #[inline(always)]
    pub(crate) fn page(&self, offset: u64) -> Option<Page<'a>> {
        self.words_at(offset, super::memory::PAGE / 8).map(|words| {
            // SAFETY: so many words are there.
            unsafe { Page::new(words) }
        })
    }

    /// Where words in a row begin; `None` when not all of them are there. An offset that is no multiple of 8 is none of
    /// theirs: rotated, it is larger than any number of words.
    #[inline(always)]
    fn words_at(&self, offset: u64, len: u64) -> Option<Words<'a>> {
        let first = offset.rotate_right(3);
        // SAFETY: not behind the end.
        (first.saturating_add(len) <= self.words).then(|| unsafe { self.start.behind(first as usize) })
    }

    /// Whether that byte lies in the file.
    #[inline(always)]
    pub(crate) fn reaches(&self, offset: u64) -> bool {
        offset / 8 < self.words
    }

    #[inline(always)]
    pub(crate) fn load32(&self, offset: u64, order: Ordering) -> Option<u32> {
        let is_there = offset.rotate_right(2) < self.words * 2;
        // SAFETY: these 4 bytes are there, and begin at a multiple of 4; the access is atomic.
        is_there.then(|| unsafe { (*self.start.half(offset as usize)).load(order) })
    }

    /// Words to be read one after the other.
    #[inline(always)]
    pub(crate) fn row(&self, offset: u64, words: u64) -> Option<Row<'a>> {
        // SAFETY: so many words are there.
        self.words_at(offset, words).map(|start| unsafe { Row::new(start, words as usize) })
    }
}

impl<'a> GlanceMut<'a> {
    /// `None` where nothing may be written.
    #[inline(always)]
    pub(crate) fn of(memory: &'a Memory) -> Option<Self> {
        memory.glance_of_writable().map(Self)
    }

    /// The header of a shard, say.
    #[inline(always)]
    pub(crate) fn page_mut(&self, offset: u64) -> Option<PageMut<'a>> {
        // SAFETY: whoever made the glance has seen that the mapping may be written.
        self.page(offset).map(|page| unsafe { PageMut::new(page) })
    }

    /// Words to be written one after the other.
    #[inline(always)]
    pub(crate) fn row_mut(&self, offset: u64, words: u64) -> Option<RowMut<'a>> {
        // SAFETY: so many words are there; as in `page_mut`.
        self.words_at(offset, words).map(|start| unsafe { RowMut::new(start, words as usize) })
    }

    /// Writes a word, if it is there.
    #[inline(always)]
    pub(crate) fn store(&self, offset: u64, value: u64, order: Ordering) {
        let index = offset.rotate_right(3);
        if index < self.words {
            // SAFETY: as in `swap`.
            unsafe { (*self.start.at(index as usize)).store(value, order) };
        }
    }

    /// Changes a word, if it is there.
    #[inline(always)]
    pub(crate) fn swap(&self, offset: u64, value: u64, order: Ordering) {
        let index = offset.rotate_right(3);
        if index < self.words {
            // SAFETY: the word is there; as in `page_mut`; the access is atomic.
            unsafe { (*self.start.at(index as usize)).swap(value, order) };
        }
    }
}

impl<'a> Deref for GlanceMut<'a> {
    type Target = Glance<'a>;

    #[inline(always)]
    fn deref(&self) -> &Glance<'a> {
        &self.0
    }
}
