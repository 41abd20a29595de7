//! Every access to mapped bytes goes through here, and none can leave the file.
//!
//! The region is input, not truth, so bounds are checked at each access, against the size that *this* process read by
//! `fstat`: a load outside gives zero, a store outside is dropped. Protocols above treat zero as "nothing there" or
//! "not valid", and turn it into an error where that cannot be. There are no references into the region, only raw
//! pointers to atomics, and no two sizes of access to the same bytes.
#![allow(unsafe_code)]

use std::{
    io,
    sync::atomic::{self, Ordering},
};

#[cfg(not(all(loom, test)))]
use super::cells::{Cells, Words};
use super::{
    glance::Glance,
    row::{Row, RowMut},
};
#[cfg(all(loom, test))]
use crate::models::cells::{Cells, Words};
use crate::{
    primitive::atomics::{AtomicU32, AtomicU64, fence},
    sys::file,
};

/// The mapped file of a region.
pub(crate) struct Memory {
    cells: Cells,
    file: std::fs::File,
    /// Device and inode, by which the descriptor is known: a program that closes all it has may have closed ours, and
    /// got its number for something else.
    identity: (u64, u64),
    /// How many words this process knows to lie inside the file. Only ever grows.
    words: atomic::AtomicU64,
    /// How many of them may be written: all or none.
    writable_words: atomic::AtomicU64,
    capacity: u64,
    writable: bool,
}

/// The memory as it is known now, for whoever touches it often in a row: what is compared with stays in registers.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    memory: &'a Memory,
    start: Words<'a>,
    words: u64,
}

impl<'a> View<'a> {
    /// One comparison for both: rotated, an offset that is no multiple of 8 is larger than any number of words.
    #[inline(always)]
    fn word(&self, offset: u64) -> Option<*const AtomicU64> {
        if offset.rotate_right(3) >= self.words && !self.memory.has_grown_to(offset, 8) {
            return None;
        }
        // SAFETY: these 8 bytes lie in the file and in the mapping, which lives as long as the memory.
        Some(unsafe { self.start.at(offset as usize / 8) })
    }

    #[inline(always)]
    pub(crate) fn load(&self, offset: u64, order: Ordering) -> u64 {
        match self.word(offset) {
            // SAFETY: `word` gives only aligned pointers into the live mapping; the access is atomic.
            Some(word) => unsafe { (*word).load(order) },
            None => 0,
        }
    }

    /// Whether these bytes lie in the file.
    #[inline(always)]
    pub(crate) fn contains(&self, offset: u64, len: u64) -> bool {
        match offset.checked_add(len) {
            Some(end) => end <= self.words * 8 || self.memory.contains_after_refresh(end),
            None => false,
        }
    }

    /// Words to be read one after the other; `None` when not all of them lie in the file.
    #[inline(always)]
    pub(crate) fn row(&self, offset: u64, len: u64) -> Option<Row<'a>> {
        if offset & 7 != 0 || !self.contains(offset, len) {
            return None;
        }
        // SAFETY: the offset is a multiple of 8, and `contains` has shown the row to lie in the file and the mapping.
        Some(unsafe { Row::new(self.memory.cells.words(offset), len as usize / 8) })
    }

    /// Copies `len` bytes out, word by word. What comes is a fact only after the caller has validated it.
    /// `None` when the bytes do not lie in the file or no memory is left; `into` is then empty.
    pub(crate) fn copy_out(&self, offset: u64, len: usize, into: &mut Vec<u8>) -> Option<()> {
        into.clear();
        self.row(offset, (len as u64).next_multiple_of(8))?.copy_out(0, len, into)
    }

    /// Whether the bytes there equal these. A fact only after validation.
    #[inline]
    pub(crate) fn equals(&self, offset: u64, bytes: &[u8]) -> bool {
        self.row(offset, (bytes.len() as u64).next_multiple_of(8)).is_some_and(|row| row.equals(0, bytes))
    }
}

/// Bytes of a [`Page`].
pub(crate) const PAGE: u64 = 4096;

/// A page of the fixed part of a region, found to lie in the file once: its words are reached without asking again.
#[derive(Clone, Copy)]
pub(crate) struct Page<'a>(Words<'a>);

/// A page that may also be written.
#[derive(Clone, Copy)]
pub(crate) struct PageMut<'a>(Page<'a>);

impl<'a> Page<'a> {
    /// # Safety
    /// The words of a whole page lie in the mapping and in the file.
    #[inline(always)]
    pub(super) unsafe fn new(words: Words<'a>) -> Self {
        Self(words)
    }

    /// A word of the page; `field` is counted in bytes, and rounded down to a word of this page.
    #[inline(always)]
    fn word(&self, field: u64) -> *const AtomicU64 {
        // SAFETY: the mask keeps the word in the page, which whoever made it has found in the file; what is in the file
        // once stays there, and the mapping lives as long as the memory that is borrowed.
        unsafe { self.0.at((field & (PAGE - 1)) as usize / 8) }
    }

    /// The same for 4 bytes.
    #[inline(always)]
    fn half(&self, field: u64) -> *const AtomicU32 {
        // SAFETY: as in `word`.
        unsafe { self.0.half((field & (PAGE - 4)) as usize) }
    }

    #[inline(always)]
    pub(crate) fn load(&self, field: u64, order: Ordering) -> u64 {
        // SAFETY: `word` gives only aligned pointers into the live mapping; the access is atomic.
        unsafe { (*self.word(field)).load(order) }
    }

    #[inline(always)]
    pub(crate) fn load32(&self, field: u64, order: Ordering) -> u32 {
        // SAFETY: as in `load`.
        unsafe { (*self.half(field)).load(order) }
    }
}

impl<'a> PageMut<'a> {
    /// # Safety
    /// The mapping may be written.
    #[inline(always)]
    pub(super) unsafe fn new(page: Page<'a>) -> Self {
        Self(page)
    }

    #[inline(always)]
    pub(crate) fn store(&self, field: u64, value: u64, order: Ordering) {
        // SAFETY: as in `Page::load`; whoever made it has seen that the mapping may be written.
        unsafe { (*self.0.word(field)).store(value, order) }
    }

    #[inline(always)]
    pub(crate) fn swap32(&self, field: u64, value: u32, order: Ordering) -> u32 {
        // SAFETY: as in `store`.
        unsafe { (*self.0.half(field)).swap(value, order) }
    }

    /// Compare and swap; whether it was done.
    #[inline(always)]
    pub(crate) fn exchange32(&self, field: u64, old: u32, new: u32) -> bool {
        // SAFETY: as in `store`.
        unsafe { (*self.0.half(field)).compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).is_ok() }
    }
}

impl<'a> std::ops::Deref for PageMut<'a> {
    type Target = Page<'a>;

    #[inline(always)]
    fn deref(&self) -> &Page<'a> {
        &self.0
    }
}

impl Memory {
    /// Maps `capacity` bytes of a file, which may be shorter.
    pub(crate) fn map(file: std::fs::File, capacity: u64, writable: bool) -> io::Result<Self> {
        let cells = Cells::map(&file, capacity as usize, !writable)?;
        let stat = file::stat(&file)?;
        let identity = (stat.dev, stat.ino);
        let (words, writable_words) = (atomic::AtomicU64::new(0), atomic::AtomicU64::new(0));
        let memory = Self { cells, file, identity, words, writable_words, capacity, writable };
        memory.refresh()?;
        Ok(memory)
    }

    /// What a model has instead of a file. The descriptor leads nowhere; all of the capacity is there.
    #[cfg(all(loom, test))]
    pub(crate) fn modelled(cells: Cells, capacity: u64) -> io::Result<Self> {
        let file = std::fs::File::open("/dev/null")?;
        let stat = file::stat(&file)?;
        let identity = (stat.dev, stat.ino);
        let words = [capacity / 8; 2].map(atomic::AtomicU64::new);
        let [words, writable_words] = words;
        Ok(Self { cells, file, identity, words, writable_words, capacity, writable: true })
    }

    /// The descriptor to ask with; it never holds a lock.
    pub(crate) fn file(&self) -> &std::fs::File {
        &self.file
    }

    /// What the file is like now.
    ///
    /// # Errors
    /// Also when the descriptor was closed behind our back: nothing may be asked of or done to another file.
    pub(crate) fn stat(&self) -> io::Result<file::Stat> {
        let stat = file::stat(&self.file)?;
        if (stat.dev, stat.ino) != self.identity {
            return Err(io::Error::other("its descriptor was closed by the program, and stands for another file now"));
        }
        Ok(stat)
    }

    #[inline]
    pub(crate) fn writable(&self) -> bool {
        self.writable
    }

    /// What is known of the file's size, never above the capacity.
    #[inline]
    pub(crate) fn size(&self) -> u64 {
        self.words.load(Ordering::Relaxed) * 8
    }

    /// Reads the file's size anew. It never shrinks here: a file cut short is beyond what can be guarded against.
    pub(crate) fn refresh(&self) -> io::Result<u64> {
        let words = self.stat()?.size.min(self.capacity) / 8;
        self.words.fetch_max(words, Ordering::Relaxed);
        if self.writable {
            self.writable_words.fetch_max(words, Ordering::Relaxed);
        }
        Ok(self.size())
    }

    /// Whether these bytes lie in the file.
    #[inline(always)]
    pub(crate) fn contains(&self, offset: u64, len: u64) -> bool {
        self.view().contains(offset, len)
    }

    #[cold]
    fn contains_after_refresh(&self, end: u64) -> bool {
        end <= self.capacity && self.refresh().is_ok_and(|size| end <= size)
    }

    /// A page of the fixed part; `None` when it does not lie in the file.
    #[inline]
    pub(crate) fn page(&self, offset: u64) -> Option<Page<'_>> {
        if offset & 7 != 0 || !self.contains(offset, PAGE) {
            return None;
        }
        // SAFETY: the offset is a multiple of 8, and `contains` has shown the page to lie in the file and the mapping.
        Some(Page(unsafe { self.cells.words(offset) }))
    }

    /// The same to be written; `None` also when nothing may be.
    #[inline]
    pub(crate) fn page_mut(&self, offset: u64) -> Option<PageMut<'_>> {
        if self.writable { self.page(offset).map(PageMut) } else { None }
    }

    #[inline(always)]
    fn half(&self, offset: u64) -> Option<*const AtomicU32> {
        if offset.rotate_right(2) >= self.words.load(Ordering::Relaxed) * 2 && !self.has_grown_to(offset, 4) {
            return None;
        }
        // SAFETY: as in `View::word`, for 4 bytes.
        Some(unsafe { self.cells.half(offset) })
    }

    /// Whether these bytes are one word, and in the file after all.
    #[cold]
    fn has_grown_to(&self, offset: u64, len: u64) -> bool {
        offset.is_multiple_of(len) && self.contains(offset, len)
    }

    #[inline(always)]
    pub(crate) fn load(&self, offset: u64, order: Ordering) -> u64 {
        self.view().load(offset, order)
    }

    #[inline(always)]
    pub(crate) fn store(&self, offset: u64, value: u64, order: Ordering) {
        if let Some(word) = self.writable_word(offset) {
            // SAFETY: as in `View::load`; `writable_word` has shown that the mapping may be written.
            unsafe { (*word).store(value, order) }
        }
    }

    #[inline(always)]
    fn writable_word(&self, offset: u64) -> Option<*const AtomicU64> {
        let known = self.writable_words.load(Ordering::Relaxed);
        if offset.rotate_right(3) >= known && !(self.writable && self.has_grown_to(offset, 8)) {
            return None;
        }
        // SAFETY: as in `View::word`; the mapping may be written.
        Some(unsafe { self.cells.word(offset) })
    }

    #[inline(always)]
    fn writable_half(&self, offset: u64) -> Option<*const AtomicU32> {
        if self.writable { self.half(offset) } else { None }
    }

    #[inline(always)]
    pub(crate) fn swap(&self, offset: u64, value: u64, order: Ordering) -> u64 {
        match self.writable_word(offset) {
            // SAFETY: as in `store`.
            Some(word) => unsafe { (*word).swap(value, order) },
            None => 0,
        }
    }

    pub(crate) fn fetch_or(&self, offset: u64, bits: u64, order: Ordering) -> u64 {
        match self.writable_word(offset) {
            // SAFETY: as in `store`.
            Some(word) => unsafe { (*word).fetch_or(bits, order) },
            None => 0,
        }
    }

    /// Compare and swap; the error is what stood there.
    pub(crate) fn exchange(&self, offset: u64, old: u64, new: u64) -> Result<u64, u64> {
        match self.writable_word(offset) {
            // SAFETY: as in `store`.
            Some(word) => unsafe { (*word).compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst) },
            None => Err(0),
        }
    }

    #[inline(always)]
    pub(crate) fn load32(&self, offset: u64, order: Ordering) -> u32 {
        match self.half(offset) {
            // SAFETY: as in `View::load`.
            Some(half) => unsafe { (*half).load(order) },
            None => 0,
        }
    }

    #[inline(always)]
    pub(crate) fn store32(&self, offset: u64, value: u32, order: Ordering) {
        if let Some(half) = self.writable_half(offset) {
            // SAFETY: as in `store`.
            unsafe { (*half).store(value, order) }
        }
    }

    #[inline]
    pub(crate) fn swap32(&self, offset: u64, value: u32, order: Ordering) -> u32 {
        match self.writable_half(offset) {
            // SAFETY: as in `store`.
            Some(half) => unsafe { (*half).swap(value, order) },
            None => 0,
        }
    }

    /// Compare and swap of a 32-bit word; the error is what stood there.
    #[inline]
    pub(crate) fn exchange32(&self, offset: u64, old: u32, new: u32) -> Result<u32, u32> {
        match self.writable_half(offset) {
            // SAFETY: as in `store`.
            Some(half) => unsafe { (*half).compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst) },
            None => Err(0),
        }
    }

    /// The address of a 32-bit word, for the kernel; `None` outside the file.
    pub(crate) fn futex(&self, offset: u64) -> Option<*const u32> {
        self.half(offset).map(|half| half.cast())
    }

    /// The memory as it is known now.
    #[inline(always)]
    pub(crate) fn view(&self) -> View<'_> {
        // SAFETY: 0 is a multiple of 8 and the beginning of the mapping.
        let start = unsafe { self.cells.words(0) };
        View { memory: self, start, words: self.words.load(Ordering::Relaxed) }
    }

    /// What is known now, for whoever has no time to learn more.
    #[inline(always)]
    pub(crate) fn glance(&self) -> Option<Glance<'_>> {
        // SAFETY: 0 is the beginning of the mapping, and so many words lie in the file.
        unsafe { Glance::new(self.cells.words(0), self.words.load(Ordering::Relaxed)) }
    }

    /// The same where it may be written.
    #[inline(always)]
    pub(super) fn glance_of_writable(&self) -> Option<Glance<'_>> {
        // SAFETY: as in `glance`.
        unsafe { Glance::new(self.cells.words(0), self.writable_words.load(Ordering::Relaxed)) }
    }

    /// As [`View::copy_out`].
    pub(crate) fn copy_out(&self, offset: u64, len: usize, into: &mut Vec<u8>) -> Option<()> {
        self.view().copy_out(offset, len, into)
    }

    /// Words to be written one after the other; `None` when not all of them lie in the file, or nothing may be written.
    #[inline]
    pub(crate) fn row_mut(&self, offset: u64, len: u64) -> Option<RowMut<'_>> {
        if !self.writable || offset & 7 != 0 || len & 7 != 0 || !self.contains(offset, len) {
            return None;
        }
        // SAFETY: the offset is a multiple of 8, and `contains` has shown the row to lie in the file and the mapping.
        Some(unsafe { RowMut::new(self.cells.words(offset), len as usize / 8) })
    }

    /// Copies bytes in, word by word, the last word filled up with zeros.
    pub(crate) fn copy_in(&self, offset: u64, bytes: &[u8]) -> Option<()> {
        let row = self.row_mut(offset, (bytes.len() as u64).next_multiple_of(8))?;
        row.put_bytes(0, bytes);
        Some(())
    }

    /// Brings what was written to the file's medium.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.cells.flush(self.size() as usize)?;
        file::sync(&self.file)
    }

    /// Fills whole words with zeros.
    pub(crate) fn zero(&self, offset: u64, len: u64) {
        for word in (offset..offset + len).step_by(8) {
            self.store(word, 0, Ordering::Relaxed);
        }
        fence(Ordering::Release);
    }
}
